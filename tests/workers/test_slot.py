"""The slots that own no worker, and what they all share."""

import operator
import os
import pickle
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch

from lightsearch import slots as old_place
from lightsearch.design import Layer, integer, oneof
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError, WorkerError
from lightsearch.network.modules import register
from lightsearch.network.operations import Local
from lightsearch.notation.parser import parse
from lightsearch.workers.local import local_slots, trains_in_threads
from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.slot import ExecutorSlot, InlineSlot, Slot, WorkerDied, result_within
from lightsearch.workers.thread_slot import ThreadSlot


def test_executor_slot() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        go_on.wait(10)
        return 1

    with ThreadPoolExecutor(1) as pool:
        slot = ExecutorSlot(pool)
        first = slot.submit(work)
        assert begun.wait(10) and first.running()
        with pytest.raises(WorkerError, match=r"one call at a time, but ExecutorSlot.* is busy"):
            slot.submit(int)
        slot.kill()
        second = slot.submit(int)
        assert second.running()  # few executors say when a call has begun
        slot.kill()
        with pytest.raises(WorkerDied, match="was stopped"):
            second.result(10)
        go_on.set()
        assert first.result(10) == 1
        assert slot.submit(operator.add, 2, 3).result(10) == 5
        with pytest.raises(ZeroDivisionError, match="division"):
            slot.submit(operator.truediv, 1, 0).result(10)
        slot.close()
        slot.close()
        with pytest.raises(WorkerError, match="closed slot takes no calls: ExecutorSlot"):
            slot.submit(int)
        assert pool.submit(int).result(10) == 0


def test_inline_slot() -> None:
    slot: Slot = InlineSlot()
    assert slot.submit(os.getpid).result(0) == os.getpid()
    with pytest.raises(ZeroDivisionError, match="division"):
        slot.submit(operator.truediv, 1, 0).result(0)
    with pytest.raises(KeyboardInterrupt):
        slot.submit(signal.raise_signal, signal.SIGINT)
    slot.kill()
    slot.close()
    slot.close()
    with pytest.raises(WorkerError, match=r"closed slot takes no calls: InlineSlot\(\)"):
        slot.submit(int)


def test_a_result_is_waited_for_from_when_its_call_has_begun() -> None:
    future: Future[int] = Future()

    def later() -> None:
        time.sleep(0.5)
        future.set_running_or_notify_cancel()
        time.sleep(0.1)
        future.set_result(3)

    thread = threading.Thread(target=later)
    thread.start()
    assert result_within(future, 0.4) == 3
    thread.join()
    hanging: Future[int] = Future()
    hanging.set_running_or_notify_cancel()
    with pytest.raises(TimeoutError):
        result_within(hanging, 0.1)


def test_worker_died_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(WorkerDied("w", -9)))
    assert str(error) == "worker 'w' died in the middle of a call: killed by SIGKILL"
    assert (error.name, error.exitcode, error.stopped) == ("w", -9, False)


def test_local_slots() -> None:
    slots = local_slots(2)
    futures = [slot.submit(os.getpid) for slot in slots]
    assert len({future.result(30) for future in futures} - {os.getpid()}) == 2
    for slot in slots:
        slot.close()
    assert [type(slot) for slot in local_slots(2)] == [ProcessSlot] * 2
    assert [type(slot) for slot in local_slots(2, in_threads=True)] == [ThreadSlot] * 2
    assert [type(slot) for slot in local_slots(0)] == [InlineSlot]
    with pytest.raises(ArgumentError, match=r"from 0 to .*, but got workers=-1"):
        local_slots(-1)
    with pytest.raises(ArgumentError, match="`threads` must be an integer from 1"):
        local_slots(1, threads=0)


def test_each_worker_has_its_part_of_the_environment() -> None:
    slots = local_slots(2, environments=[{"CUDA_VISIBLE_DEVICES": "3"}, {}])
    seen = [slot.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(60) for slot in slots]
    assert seen == ["3", os.environ.get("CUDA_VISIBLE_DEVICES")]
    for slot in slots:
        slot.close()


@dataclass(frozen=True, slots=True, repr=False)
class Mine(Layer):
    size: int = integer(1)


@pytest.mark.usefixtures("registry")
def test_threads_train_what_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    register(
        "slot_test_mine",
        Mine,
        cost=lambda layer, shape: Local(shape),
        module=lambda layer, shape: torch.nn.Identity(),
    )
    plain = parse("conv(4|8) residual([conv(8)]) gap linear(10)")
    own = parse("conv(4) [conv(8) | residual([slot_test_mine])] gap linear(10)")
    assert trains_in_threads("native", "cpu", [plain], Recipe())
    assert not trains_in_threads("torch", "cpu", [plain], Recipe())
    assert not trains_in_threads("auto", "cpu", [plain], Recipe())
    assert not trains_in_threads("native", "cpu", [own], Recipe())
    assert not trains_in_threads("native", "cpu", [plain, own], Recipe())
    cut = Recipe(erasing=0.5, fill=oneof("black", "mean"))
    assert not trains_in_threads("native", "cpu", [plain], cut)
    assert trains_in_threads("native", "cpu", [plain], Recipe(flip=0.5, erasing=0.5))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert trains_in_threads("torch", "cuda", [plain], Recipe())
    assert not trains_in_threads("torch", "cuda", [own], Recipe())
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert not trains_in_threads("torch", "cuda", [plain], Recipe())
    assert trains_in_threads("torch", "cuda:1", [plain], Recipe())


def test_the_old_place_goes_on_working() -> None:
    assert old_place.local_slots is local_slots and old_place.ExecutorSlot is ExecutorSlot
    assert {"InlineSlot", "ProcessSlot", "Slot", "WorkerDied"} <= set(old_place.__all__)
