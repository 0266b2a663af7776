"""docs/cluster.md's search on Slurm, with a stand-in for `sbatch` that starts jobs here.

The jobs' scripts are dask-jobqueue's own, and run as they are; Slurm's queue is what is not there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tiny

from lightsearch import search
from lightsearch.workers.dask import dask_slots

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("dask_jobqueue"),
    pytest.mark.filterwarnings("ignore"),
]

# A job is a session of processes of its own, so that all of it can be ended.
SBATCH = """#!/bin/sh
cp "$1" {folder}/job-$$.sh
setsid sh {folder}/job-$$.sh > /dev/null 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do echo "$job" >> {folder}/cancelled; kill -- "-$job"; done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Slurm's programs, first in the path; job scripts are kept there."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        program = tmp_path / name
        program.write_text(text.format(folder=tmp_path))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def _cluster() -> SLURMCluster:
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(
        cores=1,
        processes=1,
        memory="2GB",
        walltime="04:00:00",
        interface="lo",
        job_script_prologue=["export LIGHTSEARCH_TEST_JOB=yes"],
        scheduler_options={"dashboard_address": None},
    )


def test_a_search_in_slurms_jobs_gives_what_it_gives_here(slurm: Path, tmp_path: Path) -> None:
    from distributed import Client

    here = search(**tiny.arguments(workers=2, study=tmp_path / "here"))
    with _cluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0)
        )
        slots = dask_slots(client, workers=2)
        there = search(**tiny.arguments(workers=2, study=tmp_path / "there", slots=slots))
        variables = client.run(os.getenv, "LIGHTSEARCH_TEST_JOB")
    assert tiny.outcome(there) == tiny.outcome(here)
    assert list(variables.values()) == ["yes", "yes"]  # what trained was in jobs
    scripts = [file.read_text() for file in slurm.glob("job-*.sh")]
    assert len(scripts) == 2 and all("#SBATCH --cpus-per-task=1" in text for text in scripts)
    assert len((slurm / "cancelled").read_text().split()) == 2
