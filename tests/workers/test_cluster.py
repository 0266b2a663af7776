"""Searches on a real Dask cluster of processes on this machine; its workers are really killed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tiny

from lightsearch import search
from lightsearch.api import run
from lightsearch.errors import ArgumentError, WorkerError
from lightsearch.result import SearchResult, load_result
from lightsearch.searching.events import EpochDone, Event, Retried
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.workers.dask import POLL, dask_slots
from lightsearch.workers.slot import WorkerDied

if TYPE_CHECKING:
    from distributed import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("distributed"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """Two worker processes of one thread each."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found,
        Client(found) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """The same search with two workers of this machine's own."""
    return search(**tiny.arguments(workers=2, study=tmp_path_factory.mktemp("here") / "s"))


def _searched(
    client: Client,
    folder: Path,
    workers: int = 2,
    at: Callable[[Event], None] = lambda event: None,
) -> list[Event]:
    """The events of the search on the cluster; `at` is called with each as it comes."""
    arguments = tiny.arguments(workers=workers, study=folder, slots=dask_slots(client, workers))
    events = []
    for event in run(resolve(SearchSettings(**arguments))):
        events.append(event)
        at(event)
    return events


def test_a_search_gives_what_it_gives_here(
    cluster: Client, here: SearchResult, tmp_path: Path
) -> None:
    _searched(cluster, tmp_path / "s")
    assert tiny.outcome(load_result(tmp_path / "s")) == tiny.outcome(here)


def _kill_one_at_work(client: Client) -> int:
    """Kill a worker process in the middle of a call, and say which."""
    until = time.monotonic() + 60
    while True:
        working = [address for address, calls in client.processing().items() if calls]
        if working:
            victim: int = client.run(os.getpid, workers=working[:1])[working[0]]
            os.kill(victim, signal.SIGKILL)
            return victim
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_worker_killed_in_a_call_is_replaced(cluster: Client) -> None:
    slot, _ = dask_slots(cluster, workers=2)
    running = slot.submit(time.sleep, 60)
    victim = _kill_one_at_work(cluster)
    with pytest.raises(
        WorkerDied, match="worker 'dask-0' died in the middle of a call: it was lost"
    ):
        running.result(timeout=60)
    assert slot.submit(os.getpid).result(timeout=120) != victim


class _Deadly:
    """A value that kills the worker which has it, when it is asked for."""

    def __reduce__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


def test_a_worker_killed_with_a_value_that_nobody_has_fetched_is_replaced(
    cluster: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightsearch.workers.dask.FETCH", 1.0)
    slot, _ = dask_slots(cluster, workers=2)
    with pytest.raises(WorkerDied, match="it was lost"):
        slot.submit(_Deadly).result(timeout=60)
    assert slot.submit(max, 2, 3).result(timeout=120) == 3


def test_slots_share_what_is_asked_of_the_scheduler(
    cluster: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def alive(client: Client) -> set[str]:
        asked.append(time.monotonic())
        return set(client.nthreads())

    slots = dask_slots(cluster, workers=2)
    monkeypatch.setattr("lightsearch.workers.dask._alive", alive)
    for _ in range(20):
        for call in [slot.submit(max, 2, 3) for slot in slots]:
            assert call.result(timeout=60) == 3
    for call in [slot.submit(time.sleep, 2) for slot in slots]:
        call.result(timeout=60)
    assert len(asked) >= 3
    assert min(late - soon for soon, late in itertools.pairwise(asked)) >= POLL


def test_what_a_call_raises_is_raised(cluster: Client) -> None:
    slot, other = dask_slots(cluster, workers=2)
    with pytest.raises(ZeroDivisionError):
        slot.submit(divmod, 1, 0).result(timeout=60)
    with pytest.raises(TimeoutError, match="of the call"):
        other.submit(_time_out).result(timeout=60)


def _time_out() -> None:
    raise TimeoutError("of the call")


def test_one_call_at_a_time_and_none_when_closed(cluster: Client) -> None:
    slot, other = dask_slots(cluster, workers=2)
    running = slot.submit(time.sleep, 1)
    with pytest.raises(WorkerError, match=r"one call at a time, but DaskSlot\('dask-0'\) is busy"):
        slot.submit(time.sleep, 1)
    slot.kill()
    with pytest.raises(WorkerDied, match="was stopped"):
        running.result(timeout=60)
    slot.close()
    with pytest.raises(WorkerError, match="a closed slot takes no calls"):
        slot.submit(os.getpid)
    assert other.submit(max, 2, 3).result(timeout=60) == 3


def test_a_worker_killed_in_an_epoch_changes_nothing(
    cluster: Client, here: SearchResult, tmp_path: Path
) -> None:
    killer = threading.Thread(target=_kill_one_at_work, args=(cluster,))

    def begin(event: Event) -> None:
        if isinstance(event, EpochDone) and killer.ident is None:
            killer.start()

    events = _searched(cluster, tmp_path / "s", at=begin)
    killer.join()
    assert any(isinstance(event, Retried) for event in events)
    assert tiny.outcome(load_result(tmp_path / "s")) == tiny.outcome(here)


def test_a_worker_that_joins_late_takes_its_share(here: SearchResult, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as found,
        Client(found) as client,
    ):
        first, second = dask_slots(client, workers=2)
        one = first.submit(_wait_and_say)
        two = second.submit(os.getpid)
        assert not two.done()  # there is no worker for it yet
        found.scale(2)
        assert two.result(timeout=120) != one.result(timeout=120)
        _searched(client, tmp_path / "s")
    assert tiny.outcome(load_result(tmp_path / "s")) == tiny.outcome(here)


def _wait_and_say() -> int:
    time.sleep(5)
    return os.getpid()


# The scheduler -----------------------------------------------------------------------------------


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and one worker as processes of their own, as one starts them by hand."""
    file = tmp_path / "scheduler.json"
    command = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ]
    scheduler = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    worker = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            "--nthreads",
            "1",
            "--scheduler-file",
            str(file),
            "--no-dashboard",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        yield str(file), scheduler
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_a_scheduler_that_goes_ends_the_search_and_the_study_goes_on(
    apart: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    from distributed import Client

    file, scheduler = apart
    seen: list[Event] = []

    def kill_scheduler(event: Event) -> None:
        seen.append(event)
        if len([e for e in seen if isinstance(e, EpochDone)]) == 2:
            scheduler.kill()

    with Client(scheduler_file=file, timeout=5) as client:
        client.wait_for_workers(1, timeout=60)
        with pytest.raises(WorkerError, match="the Dask scheduler is gone"):
            _searched(client, tmp_path / "s", workers=1, at=kill_scheduler)
    assert sum(len(t.epochs) for t in load_result(tmp_path / "s").records) >= 2
    whole = search(**tiny.arguments(study=tmp_path / "whole"))
    resumed = search(**tiny.arguments(study=tmp_path / "s"))
    assert tiny.outcome(resumed) == tiny.outcome(whole)


def test_what_cannot_be_is_refused(cluster: Client) -> None:
    import dask

    with pytest.raises(ArgumentError, match="but got workers=0"):
        dask_slots(cluster, workers=0)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(WorkerError, match=r"a Dask scheduler must be at tcp:.* but: "),
    ):
        dask_slots("tcp://127.0.0.1:9")


def test_a_cluster_that_repeats_calls_is_warned_of() -> None:
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 3}),
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as found,
        Client(found) as client,
    ):
        with pytest.raises(ArgumentError, match="must have a worker, or `workers` must say how"):
            dask_slots(client)
        with pytest.warns(UserWarning, match="has allowed-failures=3"):
            assert len(dask_slots(client, workers=3)) == 3
