"""Searches on a real Ray cluster on this machine; its workers are really killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from lightsearch import search
from lightsearch.errors import ArgumentError, WorkerError
from lightsearch.workers.ray import ray_slots
from lightsearch.workers.slot import Slot, WorkerDied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("ray"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two CPUs."""
    import ray

    with pytest.raises(ArgumentError, match=r"Ray must be connected .*: call `ray.init\(\)`"):
        ray_slots()
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture
def slots(cluster: None) -> list[Slot]:
    return ray_slots()


def test_there_is_a_slot_for_each_cpu(slots: list[Slot]) -> None:
    assert list(map(repr, slots)) == ["RaySlot('ray-0')", "RaySlot('ray-1')"]
    assert len(ray_slots(5)) == 5
    with pytest.raises(ArgumentError, match=r"`workers` must be an integer from 1 .* workers=0"):
        ray_slots(0)


def test_a_search_gives_what_it_gives_here(slots: list[Slot], tmp_path: Path) -> None:
    here = search(**tiny.arguments(workers=2, study=tmp_path / "here"))
    there = search(**tiny.arguments(study=tmp_path / "there", slots=slots, workers=2))
    assert tiny.outcome(there) == tiny.outcome(here)


def test_what_a_call_raises_is_raised(slots: list[Slot]) -> None:
    with pytest.raises(ZeroDivisionError):
        slots[0].submit(divmod, 1, 0).result(timeout=60)
    assert slots[0].submit(max, 2, 3).result(timeout=60) == 3


def test_a_busy_slot_takes_no_call(slots: list[Slot]) -> None:
    running = slots[0].submit(time.sleep, 1)
    with pytest.raises(WorkerError, match="one call at a time, but RaySlot\\('ray-0'\\) is busy"):
        slots[0].submit(max, 2, 3)
    running.result(timeout=60)


def test_a_worker_killed_in_a_call_is_replaced(slots: list[Slot]) -> None:
    with pytest.raises(WorkerDied, match="'ray-0' died in the middle of a call: it was lost"):
        slots[0].submit(os.abort).result(timeout=60)
    assert slots[0].submit(max, 2, 3).result(timeout=60) == 3


def test_a_call_that_is_killed_takes_its_process_with_it(
    slots: list[Slot], tmp_path: Path
) -> None:
    file = tmp_path / "process"
    program = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    running = slots[1].submit(exec, program)
    until = time.monotonic() + 60
    while not (file.exists() and file.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    slots[1].kill()
    with pytest.raises(WorkerDied, match="'ray-1' was stopped"):
        running.result(timeout=60)
    assert slots[1].submit(max, 2, 3).result(timeout=60) == 3
    process = int(file.read_text())
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:
            os.kill(process, 0)
            time.sleep(0.05)
