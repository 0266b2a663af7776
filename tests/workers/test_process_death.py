"""Process slots whose workers die, are killed, or cannot start; the oracle is the system."""

import contextlib
import ctypes
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from processes import (
    dead,
    in_the_middle,
    linux,
    posix,
    running,
    told,
    until,
)

from lightsearch.errors import WorkerError
from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.slot import WorkerDied


@pytest.fixture
def slot() -> Iterator[ProcessSlot]:
    with contextlib.closing(ProcessSlot(name="one")) as slot:
        yield slot


# Death


@posix
@pytest.mark.parametrize(
    ("end", "exitcode", "fate"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -9, "killed by SIGKILL"),
        (lambda: os._exit(3), 3, "exit status 3"),
        (lambda: os.abort(), -6, "killed by SIGABRT"),
        (lambda: os.closerange(3, 256), None, "exit status|killed by|it was lost"),
    ],
)
def test_worker_that_ends_itself(
    slot: ProcessSlot, end: Callable[[], None], exitcode: int | None, fate: str
) -> None:
    pid = slot.submit(os.getpid).result(30)
    with pytest.raises(WorkerDied, match=f"worker 'one' died in the middle.*({fate})") as caught:
        slot.submit(end).result(30)
    assert (caught.value.name, caught.value.stopped) == ("one", False)
    assert exitcode in (None, caught.value.exitcode)
    assert not running(pid)
    assert slot.submit(os.getpid).result(30) != pid


@posix
def test_segmentation_fault_shows_where(
    slot: ProcessSlot, capfd: pytest.CaptureFixture[str]
) -> None:
    def dereference_nothing() -> None:

        ctypes.string_at(0)

    with pytest.raises(WorkerDied, match="killed by SIGSEGV"):
        slot.submit(dereference_nothing).result(30)
    assert "dereference_nothing" in capfd.readouterr().err


@posix
def test_killed_from_outside_and_other_slots_go_on(slot: ProcessSlot, tmp_path: Path) -> None:
    other = ProcessSlot(name="other")
    try:
        going_on, other_pid = in_the_middle(other, tmp_path / "other")
        future, pid = in_the_middle(slot, tmp_path / "one")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="killed by SIGKILL"):
            future.result(10)
        assert slot.submit(os.getpid).result(30) != pid
        assert running(other_pid)
        assert not going_on.done()
    finally:
        other.close()
    assert not running(other_pid)


@linux
def test_death_while_idle_costs_no_call(slot: ProcessSlot) -> None:
    pid = slot.submit(os.getpid).result(30)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: dead(pid))
    assert slot.submit(os.getpid).result(30) != pid


@posix
def test_kill_takes_what_the_call_has_started(slot: ProcessSlot, tmp_path: Path) -> None:
    def with_children(path: str) -> None:
        import pathlib
        import time

        child = subprocess.Popen(["sleep", "60"])
        pathlib.Path(path + ".part").write_text(str(child.pid))
        pathlib.Path(path + ".part").rename(path)
        time.sleep(60)

    future = slot.submit(with_children, str(tmp_path / "child"))
    child = told(tmp_path / "child")
    slot.kill()
    with pytest.raises(WorkerDied, match="'one' was stopped"):
        future.result(0)
    assert until(lambda: not running(child), 2)


def test_kill_in_a_call(slot: ProcessSlot, tmp_path: Path) -> None:
    for turn in range(3):
        future, pid = in_the_middle(slot, tmp_path / str(turn))
        slot.kill()
        assert future.done()
        with pytest.raises(WorkerDied, match="worker 'one' was stopped") as caught:
            future.result()
        assert caught.value.stopped
        assert not running(pid)
        assert slot.submit(operator.add, 2, 2).result(30) == 4


def test_kill_at_any_moment_leaves_a_slot_that_works(slot: ProcessSlot) -> None:
    for delay in (0, 0.001, 0.01, 0.05, 0.1, 0.2):
        future = slot.submit(time.sleep, 60)
        time.sleep(delay)
        slot.kill()
        with pytest.raises(WorkerDied, match="was stopped"):
            future.result(0)
    for _ in range(20):  # around the end of a call: a value or `stopped`, never a stray death
        future = slot.submit(time.sleep, 0)
        slot.kill()
        error = future.exception(10)
        assert error is None or (isinstance(error, WorkerDied) and error.stopped)
    slot.kill()
    assert slot.submit(operator.add, 2, 2).result(30) == 4


def test_close_in_a_call(slot: ProcessSlot, tmp_path: Path) -> None:
    future, pid = in_the_middle(slot, tmp_path / "pid")
    slot.close()
    slot.close()
    with pytest.raises(WorkerDied, match="was stopped"):
        future.result(0)
    assert not running(pid)
    with pytest.raises(WorkerError, match=r"closed slot takes no calls: ProcessSlot\(threads=1"):
        slot.submit(int)
    slot.kill()


def test_busy_slot_takes_no_second_call(slot: ProcessSlot) -> None:
    future = slot.submit(time.sleep, 60)
    with pytest.raises(WorkerError, match=r"one call at a time, but ProcessSlot.* is busy"):
        slot.submit(int)
    assert not future.cancel()
    slot.kill()


def test_callback_may_submit_the_next_call(slot: ProcessSlot) -> None:
    done: list[int] = []
    end = threading.Event()

    def more(future: Future[int]) -> None:
        done.append(future.result())
        if len(done) == 5:
            end.set()
        else:
            slot.submit(operator.add, done[-1], 1).add_done_callback(more)

    slot.submit(int).add_done_callback(more)
    assert end.wait(30)
    assert done == [0, 1, 2, 3, 4]


def test_callback_may_kill_and_close(slot: ProcessSlot) -> None:
    second: list[Future[None]] = []
    end = threading.Event()

    def on_done(_: Future[int]) -> None:
        second.append(slot.submit(time.sleep, 60))
        slot.kill()
        slot.close()
        end.set()

    slot.submit(int).add_done_callback(on_done)
    assert end.wait(30)
    with pytest.raises(WorkerDied, match="was stopped"):
        second[0].result(10)


def test_worker_that_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lightsearch.py").write_text("import not_a_module_at_all")
    slot = ProcessSlot(name="lame")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(WorkerError, match="'lame' could not start: exit status 1") as caught:
            slot.submit(int).result(30)
        assert not isinstance(caught.value, WorkerDied)
    assert "No module named 'not_a_module_at_all'" in "".join(capfd.readouterr())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "python"))
        with pytest.raises(WorkerError, match=r"'lame' could not start: "):
            slot.submit(int).result(30)
    assert slot.submit(int).result(30) == 0
    slot.close()


def test_a_call_is_running_once_its_worker_is_ready(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(1.5)")
    with contextlib.closing(ProcessSlot(env={"PYTHONPATH": str(tmp_path)})) as slot:
        begin = time.monotonic()
        future = slot.submit(time.sleep, 60)
        assert until(future.running, 60)
        assert time.monotonic() - begin > 1.5
        slot.kill()


def test_worker_that_grows_is_kept(slot: ProcessSlot) -> None:
    """loky takes growth for a leak, a second after its last look, and replaces the worker."""

    def grow() -> int:
        sys.kept = bytearray(os.urandom(1) * (400 << 20))  # type: ignore[attr-defined]
        time.sleep(1.2)
        return os.getpid()

    pid = slot.submit(os.getpid).result(60)
    assert slot.submit(grow).result(60) == pid
    assert slot.submit(os.getpid).result(60) == pid


def test_what_is_printed_before_the_start_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('a greeting', flush=True)")
    slot = ProcessSlot(env={"PYTHONPATH": str(tmp_path)})
    try:
        assert slot.submit(operator.add, 1, 2).result(30) == 3
    finally:
        slot.close()


# GPUs and the environment


def _broken(message: str) -> int:
    raise RuntimeError(message)


def test_a_worker_whose_gpu_is_lost_to_it_is_replaced() -> None:
    with contextlib.closing(ProcessSlot()) as slot:
        first = slot.submit(os.getpid).result(60)
        with pytest.raises(RuntimeError, match="out of memory"):
            slot.submit(_broken, "CUDA out of memory. Tried to allocate 20.00 MiB").result(60)
        assert slot.submit(os.getpid).result(60) == first
        with pytest.raises(RuntimeError, match="illegal memory access"):
            slot.submit(_broken, "CUDA error: an illegal memory access").result(60)
        assert slot.submit(os.getpid).result(60) != first
