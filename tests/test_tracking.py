"""Trials as runs of MLflow and Weights & Biases: what they are told, and what they keep."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import made
import pytest
from tiny import arguments

from lightsearch import search
from lightsearch.errors import ArgumentError
from lightsearch.tracking import log_to_mlflow, log_to_wandb


class StandIn(ModuleType):
    """Has the functions of both packages that are called, and notes the calls."""

    def __init__(self, name: str, active: object = None) -> None:
        super().__init__(name)
        self.active, self.runs = active, []

    def active_run(self) -> object:
        return self.active

    @contextmanager
    def start_run(self, **given: Any) -> Iterator[StandIn]:
        self.runs.append({"given": given, "steps": []})
        yield self
        self.runs[-1]["ended"] = True

    def log_params(self, facts: dict[str, Any]) -> None:
        self.runs[-1]["facts"] = facts

    def log_metrics(self, figures: dict[str, float], step: int) -> None:
        self.runs[-1]["steps"].append((step, figures))

    init, log = start_run, log_metrics


@pytest.mark.parametrize(
    ("name", "log"), [("mlflow", log_to_mlflow), ("wandb", log_to_wandb)], ids=["mlflow", "wandb"]
)
def test_a_trial_is_a_run_with_its_epochs(
    name: str, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = StandIn(name)
    monkeypatch.setitem(sys.modules, name, package)
    trials = made.result(3).records
    for trial in trials:
        log(trial)
    assert len(package.runs) == 3
    for trial, run in zip(trials, package.runs, strict=True):
        facts = run["facts"] if name == "mlflow" else run["given"]["config"]
        assert (
            run["given"]["run_name" if name == "mlflow" else "name"][-5:] == f"{trial.number:05d}"
        )
        assert facts["design"] == trial.candidate.design and facts["outcome"] == trial.outcome
        assert [step for step, _ in run["steps"]] == [e.epoch for e in trial.epochs]
        assert [f["accuracy"] for _, f in run["steps"]] == [e.accuracy for e in trial.epochs]
        assert run["ended"]


def test_it_is_a_child_of_the_run_that_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for active in (None, object()):
        package = StandIn("mlflow", active)
        monkeypatch.setitem(sys.modules, "mlflow", package)
        log_to_mlflow(made.result(1).records[0])
        assert package.runs[0]["given"]["nested"] is (active is not None)


@pytest.mark.parametrize(("name", "log"), [("mlflow", log_to_mlflow), ("wandb", log_to_wandb)])
def test_without_the_package_it_is_said_how_to_get_it(
    name: str, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ArgumentError, match=rf"not installed: pip install 'lightsearch\[{name}\]'"
    ):
        log(made.result(1).records[0])


@pytest.mark.needs("mlflow")
@pytest.mark.filterwarnings("ignore")  # of its own
def test_mlflow_itself_has_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run(run_name="all"):
        result = search(**arguments(study=tmp_path / "s", trials=2, on_trial=log_to_mlflow))
    runs = {run.info.run_name: run for run in mlflow.search_runs(output_format="list")}
    assert runs.keys() == {"all", "trial-00000", "trial-00001"}
    for trial in result.records:
        run = runs[f"trial-{trial.number:05d}"]
        assert run.data.params["design"] == trial.candidate.design
        assert run.data.tags["mlflow.parentRunId"] == runs["all"].info.run_id
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "accuracy")
        kept = [(one.step, one.value) for one in history]
        assert kept == [(e.epoch, e.accuracy) for e in trial.epochs]


@pytest.mark.needs("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_itself_has_the_trials_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("MODE", "offline"), ("SILENT", "true"), ("DIR", str(tmp_path))):
        monkeypatch.setenv(f"WANDB_{name}", value)
    result = search(**arguments(study=tmp_path / "s", trials=2, on_trial=log_to_wandb))
    files = [path.read_bytes() for path in tmp_path.glob("wandb/offline-run-*/run-*.wandb")]
    assert len(files) == 2
    for trial in result.records:
        assert sum(trial.candidate.design.encode() in file for file in files) == 1
