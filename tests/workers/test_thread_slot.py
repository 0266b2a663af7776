"""Threads as workers: what they share with the process, and what stops them."""

import operator
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest
import torch

from lightsearch import DEFAULT_RECIPE, Task, parse, parse_recipe
from lightsearch.data import DataRef, DataSet, load
from lightsearch.data.references import fetch, lend, share_in_process
from lightsearch.engines.native.library import available
from lightsearch.engines.resident import keep
from lightsearch.engines.stopping import current_flag
from lightsearch.errors import EngineError, WorkerError
from lightsearch.training.epoch import run_epoch, run_epochs
from lightsearch.workers import thread_slot
from lightsearch.workers.slot import WorkerDied, kill_all
from lightsearch.workers.thread_slot import ThreadSlot

ROOT = Path(__file__).resolve().parents[2]
needs_engine = pytest.mark.skipif(not available(), reason="the native engine is not compiled")


@pytest.fixture
def slot() -> Iterator[ThreadSlot]:
    with closing(ThreadSlot("one")) as slot:
        yield slot


def heeding(begun: threading.Event) -> None:
    """A call that runs until its flag is set."""
    begun.set()
    while True:
        current_flag().check()
        time.sleep(0.001)


def in_the_middle(slot: ThreadSlot) -> "Future[None]":
    begun = threading.Event()
    future = slot.submit(heeding, begun)
    assert begun.wait(10)
    return future


def digits(
    epochs: int = 1,
    text: str = "conv(8) maxpool gap linear(10)",
    recipe: str = "recipe(lr=0.05,batch=64)",
) -> Task:
    return Task(parse(text), parse_recipe(recipe), lend(load("digits")), epochs, 5, "native")


def other_digits(more: int) -> DataSet:
    """The digits but for one pixel: no cache has them."""
    whole = load("digits")
    images, labels = (tensor.clone() for tensor in whole.train)
    images[0, 0, 0, 0] = more + images[0, 0, 0, 0] % 200
    return DataSet("own", (images, labels), whole.test, whole.classes)


# Calls and what comes back


def test_value_comes_back_from_one_thread(slot: ThreadSlot) -> None:
    assert slot.submit(operator.add, 2, 3).result(10) == 5
    first, second = (slot.submit(threading.get_ident).result(10) for _ in range(2))
    assert first == second != threading.get_ident()
    assert slot.submit(os.getpid).result(10) == os.getpid()


def test_what_a_call_raises_is_raised(slot: ThreadSlot) -> None:
    with pytest.raises(ZeroDivisionError, match="division"):
        slot.submit(operator.truediv, 1, 0).result(10)
    with pytest.raises(WorkerError, match=r"'one': the call raised SystemExit\(3\)"):
        slot.submit(sys.exit, 3).result(10)
    assert slot.submit(int).result(10) == 0


def test_busy_and_closed_slots_take_no_call(slot: ThreadSlot) -> None:
    future = in_the_middle(slot)
    assert future.running() and not future.cancel()
    with pytest.raises(WorkerError, match=r"one call at a time, but ThreadSlot.* is busy"):
        slot.submit(int)
    slot.close()
    slot.close()
    with pytest.raises(WorkerDied, match="was stopped"):
        future.result(0)
    with pytest.raises(WorkerError, match=r"closed slot takes no calls: ThreadSlot\(name='one'\)"):
        slot.submit(int)
    slot.kill()


class _Engine:
    """What a thread keeps from epoch to epoch."""


def test_a_closed_slot_has_let_go_of_what_its_thread_kept(slot: ThreadSlot) -> None:
    kept = slot.submit(lambda: weakref.ref(keep("task", _Engine))).result(10)
    assert isinstance(kept(), _Engine)
    slot.close()
    assert kept() is None


def test_a_lost_gpu_ends_the_search_with_what_to_do(slot: ThreadSlot) -> None:
    def break_it() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    with pytest.raises(WorkerError, match=r"lost to this process: CUDA error: .* encountered\. "):
        slot.submit(break_it).result(10)


def test_callback_may_submit_the_next_call(slot: ThreadSlot) -> None:
    done: list[int] = []
    end = threading.Event()

    def more(future: "Future[int]") -> None:
        done.append(future.result())
        if len(done) == 5:
            end.set()
        else:
            slot.submit(operator.add, done[-1], 1).add_done_callback(more)

    slot.submit(int).add_done_callback(more)
    assert end.wait(10)
    assert done == [0, 1, 2, 3, 4]


def test_callback_may_kill_and_close(slot: ThreadSlot) -> None:
    second: list[Future[None]] = []
    end = threading.Event()

    def on_done(_: "Future[int]") -> None:
        begin = time.monotonic()
        second.append(slot.submit(heeding, threading.Event()))
        slot.kill()
        assert time.monotonic() - begin < 1  # it does not wait for itself
        slot.close()
        end.set()

    slot.submit(int).add_done_callback(on_done)
    assert end.wait(10)
    with pytest.raises(WorkerDied, match="was stopped"):
        second[0].result(10)


def test_nothing_of_a_call_is_kept(slot: ThreadSlot) -> None:
    class Thing:
        pass

    given, made = Thing(), weakref.WeakSet[Thing]()

    def make(_: Thing) -> Thing:
        thing = Thing()
        made.add(thing)
        return thing

    seen = weakref.ref(given)
    future = slot.submit(make, given)
    assert isinstance(future.result(10), Thing)
    del future, given
    end = time.monotonic() + 5
    while (seen() is not None or len(made)) and time.monotonic() < end:
        time.sleep(0.01)
    assert seen() is None and not len(made)


# Stopping


def test_kill_in_a_call(slot: ThreadSlot) -> None:
    thread = slot.submit(threading.get_ident).result(10)
    for _ in range(3):
        future = in_the_middle(slot)
        slot.kill()
        assert future.done()
        with pytest.raises(WorkerDied, match="worker 'one' was stopped") as caught:
            future.result()
        assert caught.value.stopped
        assert slot.submit(threading.get_ident).result(10) == thread


def test_kill_at_any_moment_leaves_a_slot_that_works(slot: ThreadSlot) -> None:
    for _ in range(200):
        future = slot.submit(time.sleep, 0)
        slot.kill()
        error = future.exception(10)
        assert error is None or (isinstance(error, WorkerDied) and error.stopped)
    slot.kill()
    assert slot.submit(operator.add, 2, 2).result(10) == 4


def test_a_call_that_does_not_heed_its_flag_is_abandoned(
    slot: ThreadSlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_slot, "PATIENCE", 0.1)
    go_on = threading.Event()
    threads = threading.active_count()
    future = slot.submit(go_on.wait, 30)
    slot.kill()
    with pytest.raises(WorkerDied, match="was stopped"):
        future.result(0)
    assert slot.submit(operator.add, 2, 2).result(10) == 4
    go_on.set()
    slot.close()
    end = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= threads


@needs_engine
@pytest.mark.parametrize("batch", [64, 4096])
def test_a_native_epoch_is_stopped_within_two_seconds(slot: ThreadSlot, batch: int) -> None:
    task = digits(10_000, "conv(32) conv(32) gap linear(10)", f"recipe(lr=0.01,batch={batch})")
    future = slot.submit(run_epochs, task, None, 1, 10_000)
    time.sleep(2)
    assert not future.done()
    begin = time.monotonic()
    slot.kill()
    assert time.monotonic() - begin < 2
    with pytest.raises(WorkerDied, match="was stopped"):
        future.result(0)
    assert slot.submit(operator.add, 2, 2).result(10) == 4


# What is of the whole process


@needs_engine
def test_an_epoch_that_fails_in_the_library_fails_alone() -> None:
    bad = other_digits(1)
    task = Task(parse("conv(4) gap linear(10)"), DEFAULT_RECIPE, lend(bad), 1, 0, "native")
    bad.train[1][700] = 10
    with closing(ThreadSlot("bad")) as one, closing(ThreadSlot("good")) as other:
        failing, training = (
            one.submit(run_epoch, task, None, 1),
            other.submit(run_epoch, digits(), None, 1),
        )
        with pytest.raises(EngineError, match="from 0 to 9, but got 10"):
            failing.result(120)
        assert training.result(120)[1].total == 360
        assert one.submit(run_epoch, digits(), None, 1).result(120)[1].total == 360


def _settings() -> tuple[object, ...]:
    return (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.random.get_rng_state().tolist(),
    )


@needs_engine
def test_torchs_settings_and_generator_stay_the_callers(slot: ThreadSlot) -> None:
    torch.manual_seed(3)
    before = _settings()
    epochs = slot.submit(run_epochs, digits(20), None, 1, 20)
    while not epochs.done():
        assert _settings() == before
        time.sleep(0.001)  # PyTorch's calls in a busy loop can starve the other thread forever
    assert epochs.result()[1].epoch == 20


@needs_engine
@pytest.mark.parametrize("setting", ["float64", "threads", "no grad", "deterministic", "denormal"])
def test_an_epoch_does_not_depend_on_the_callers_settings(setting: str) -> None:
    """Each is of the whole process, or comes to a thread from its maker."""
    task = digits(
        2,
        "conv(8,dropout=0.1) maxpool se gap linear(10)",
        "recipe(adam,lr=0.01,batch=50,ema=0.9,rotation=10,erasing=0.3)",
    )
    expected = run_epochs(task, None, 1, 2)[0]
    threads = torch.get_num_threads()
    change: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "float64": (
            lambda: torch.set_default_dtype(torch.float64),
            lambda: torch.set_default_dtype(torch.float32),
        ),
        "threads": (
            lambda: torch.set_num_threads(threads + 2),
            lambda: torch.set_num_threads(threads),
        ),
        "no grad": (lambda: torch.set_grad_enabled(False), lambda: torch.set_grad_enabled(True)),
        "deterministic": (
            lambda: torch.use_deterministic_algorithms(True),
            lambda: torch.use_deterministic_algorithms(False),
        ),
        "denormal": (
            lambda: torch.set_flush_denormal(True),
            lambda: torch.set_flush_denormal(False),
        ),
    }
    begin, end = change[setting]
    begin()
    try:
        with closing(ThreadSlot()) as slot:  # its thread is made under the setting
            state = slot.submit(run_epochs, task, None, 1, 2).result(120)[0]
            least = slot.submit(lambda: float(torch.tensor(1e-40, dtype=torch.float32) * 1))
            assert least.result(10) > 0
    finally:
        end()
    assert {name: (t.dtype, t.shape) for name, t in state.items()} == {
        name: (t.dtype, t.shape) for name, t in expected.items()
    }
    assert all(torch.equal(state[name], expected[name]) for name in expected)


@needs_engine
def test_threads_train_to_the_same_bits_as_one_alone() -> None:
    tasks = [
        digits(3, text, recipe)
        for text, recipe in (
            ("conv(8) maxpool gap linear(10)", "recipe(lr=0.05,batch=32,ema=0.9)"),
            ("conv(6,dropout=0.2) se gap linear(10)", "recipe(adamw,lr=0.01,batch=50,decay=0.1)"),
            ("separable(8) avgpool gap linear(10)", "recipe(lr=0.02,batch=17,rotation=20)"),
            (
                "residual([conv(8)],project) gap linear(10)",
                "recipe(adam,lr=0.01,batch=99,ema=0.5)",
            ),
        )
    ]
    alone = [run_epochs(task, None, 1, 3)[0] for task in tasks]
    slots = [ThreadSlot(str(index)) for index in range(4)]
    for _ in range(3):
        futures = [
            slot.submit(run_epochs, task, None, 1, 3)
            for slot, task in zip(slots, tasks, strict=True)
        ]
        for future, expected in zip(futures, alone, strict=True):
            state = future.result(300)[0]
            assert all(torch.equal(state[name], expected[name]) for name in expected | state)
    for slot in slots:
        slot.close()


def test_images_are_not_copied(slot: ThreadSlot) -> None:
    copy = other_digits(2)
    with share_in_process(copy):
        reference = DataRef(copy.name, copy.checksum)
        assert slot.submit(fetch, reference).result(10) is copy


# Programs that end in the middle of an epoch

PROGRAM = """
import sys, time
from lightsearch import Task, parse, parse_recipe
from lightsearch.data import load
from lightsearch.data.references import lend
from lightsearch.training.epoch import run_epochs
from lightsearch.workers.thread_slot import ThreadSlot
task = Task(parse("conv(32) conv(32) gap linear(10)"), parse_recipe("recipe(lr=0.01,batch=4096)"),
            lend(load("digits")), 10_000, 0, "native")
slots = [ThreadSlot(str(index)) for index in range(3)]
futures = [slot.submit(run_epochs, task, None, 1, 10_000) for slot in slots]
time.sleep(1.5)
print("leaves", all(f.running() for f in futures))
"""


@needs_engine
@pytest.mark.parametrize(
    "way",
    [
        pytest.param("it closes nothing", marks=pytest.mark.slow),
        pytest.param("it raises", marks=pytest.mark.slow),
        "a call hangs",
    ],
)
def test_a_program_may_end_in_the_middle_of_native_code(way: str) -> None:
    more = {
        "it closes nothing": "",
        "it raises": "1 / 0",
        "a call hangs": "ThreadSlot().submit(time.sleep, 600); time.sleep(0.1)",
    }[way]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + more],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "leaves True\n"
    assert done.returncode == (1 if way == "it raises" else 0), done.stderr
    if way != "it raises":
        assert done.stderr == ""


def test_a_program_ends_whole_while_an_abandoned_call_is_in_pytorch() -> None:
    """The process aborted if it came back while Python ended."""
    program = """
import time, torch
from lightsearch.workers.thread_slot import ThreadSlot
def multiply(seconds):
    x, end = torch.ones(700, 700), time.monotonic() + seconds
    while time.monotonic() < end:
        x @ x
slot = ThreadSlot()
future = slot.submit(multiply, 3)
time.sleep(0.5)
slot.close()
print(future.exception())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    expected = (0, "worker 'worker' was stopped\n", "")
    assert (done.returncode, done.stdout, done.stderr) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_copy_of_the_process_ends_without_the_threads() -> None:
    program = """
import os, sys, threading
from lightsearch.workers.thread_slot import ThreadSlot
slot = ThreadSlot()
stay = threading.Event()
future = slot.submit(stay.wait, 20)
child = os.fork()
if child == 0:
    slot.close()
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stay.set()
assert future.result() is True
assert slot.submit(int).result() == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_thread_that_cannot_start_is_one_error_and_the_slot_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with closing(ThreadSlot()) as slot:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(WorkerError, match=r"the system refuses it .*ulimit -u"):
                slot.submit(max, 1, 2)
            kill_all([slot])  # without threads, one after the other
        assert slot.submit(max, 1, 2).result(timeout=60) == 2
