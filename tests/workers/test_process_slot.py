"""Process slots: calls, what comes back, and the surroundings that calls find."""

import contextlib
import ctypes
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loky.process_executor import ProcessPoolExecutor
from processes import (
    linux,
)

from lightsearch.errors import WorkerError
from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.starter import Starter


@pytest.fixture
def slot() -> Iterator[ProcessSlot]:
    with contextlib.closing(ProcessSlot(name="one")) as slot:
        yield slot


# Calls and what comes back


def test_value_comes_back_from_another_process(slot: ProcessSlot) -> None:
    assert slot.submit(operator.add, 2, 3).result(30) == 5
    first, second = slot.submit(os.getpid).result(30), slot.submit(os.getpid).result(30)
    assert first == second != os.getpid()


def test_lambda_closure_and_local_class(slot: ProcessSlot) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    k = 7
    point = slot.submit(lambda p: Point(p.x * k), Point(6)).result(30)
    assert isinstance(point, Point)
    assert point.x == 42


def test_exception_has_the_remote_traceback(slot: ProcessSlot) -> None:
    def outer() -> None:
        def inner_name() -> None:
            raise KeyError("nowhere")

        inner_name()

    with pytest.raises(KeyError, match="nowhere") as caught:
        slot.submit(outer).result(30)
    (note,) = caught.value.__notes__
    assert note.startswith("In worker 'one':\nTraceback")
    assert "inner_name" in note
    assert "process.py" not in note
    assert slot.submit(int).result(30) == 0


def test_notes_of_the_exception_survive(slot: ProcessSlot) -> None:
    def fail() -> None:
        error = ValueError("x")
        error.add_note("mine")
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        slot.submit(fail).result(30)
    assert caught.value.__notes__[0] == "mine"
    assert len(caught.value.__notes__) == 2


def test_unpicklable_result(slot: ProcessSlot) -> None:
    with pytest.raises(WorkerError, match=r"'one': the result, a .*lock, cannot be pickled"):
        slot.submit(threading.Lock).result(30)
    assert slot.submit(int).result(30) == 0


def test_exception_that_cannot_be_pickled_or_unpickled(slot: ProcessSlot) -> None:
    class Two(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")

    def loses() -> None:
        raise Two(1, 2)

    def locks() -> None:
        raise ValueError("held", threading.Lock())

    for function, what in ((loses, "Two: 1 and 2"), (locks, "ValueError: .'held'")):
        with pytest.raises(WorkerError, match=rf"cannot be pickled: .*{what}") as caught:
            slot.submit(function).result(30)
        assert f"in {function.__name__}" in caught.value.__notes__[0]


def test_result_that_cannot_be_unpickled(slot: ProcessSlot) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return int, ("x",)

    with pytest.raises(WorkerError, match="reply of worker 'one' could not be unpickled: ValueE"):
        slot.submit(Bad).result(30)
    assert slot.submit(int).result(30) == 0


def test_arguments_that_cannot_be_pickled_or_unpickled(slot: ProcessSlot) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return int, ("x",)

    with pytest.raises(WorkerError, match=r"must be picklable, but id gave TypeError: .*lock"):
        slot.submit(id, threading.Lock())
    with pytest.raises(WorkerError, match=r"the call could not be unpickled .*: ValueError"):
        slot.submit(id, Bad()).result(30)
    assert slot.submit(int).result(30) == 0


def test_sys_exit_in_a_call_ends_nothing(slot: ProcessSlot) -> None:
    pid = slot.submit(os.getpid).result(30)
    with pytest.raises(WorkerError, match="the call raised SystemExit: 3"):
        slot.submit(sys.exit, 3).result(30)
    assert slot.submit(os.getpid).result(30) == pid


def test_prints_go_to_stderr(slot: ProcessSlot, capfd: pytest.CaptureFixture[str]) -> None:
    def noisy() -> int:
        print("hello from print")
        os.write(1, b"raw bytes on descriptor 1\n")
        os.system("echo from a child")
        print("unfinished", end="")
        return len(sys.stdin.read())

    assert slot.submit(noisy).result(30) == 0
    assert slot.submit(operator.add, 1, 1).result(30) == 2
    slot.close()
    out, err = capfd.readouterr()
    assert out == ""
    for said in ("hello from print", "raw bytes on descriptor 1", "from a child", "unfinished"):
        assert said in err


def test_large_values_go_through(slot: ProcessSlot) -> None:
    payload = os.urandom(1 << 20) * 50
    assert slot.submit(operator.add, payload, b"!").result(60) == payload + b"!"


def test_torch_in_the_worker() -> None:
    import torch

    # One worker for both, for loading torch takes seconds. `threads` holds even against `env`.
    slot = ProcessSlot(threads=1, env={"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"})
    try:
        assert slot.submit(lambda: "torch" in sys.modules).result(30) is False
        assert slot.submit(torch.get_num_threads).result(120) == 1
        _tensors_come_back_as_they_were(slot, torch)
    finally:
        slot.close()


def _tensors_come_back_as_they_were(slot: ProcessSlot, torch: ModuleType) -> None:
    # Contiguous, and channels last by its strides: convolutions choose their way by those.
    depthwise = torch.randn(36).as_strided((4, 1, 3, 3), (9, 1, 3, 1))
    assert depthwise.is_contiguous()
    state = {
        "float": torch.randn(3, 4),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "bfloat16": torch.randn(5).bfloat16(),
        "bool": torch.tensor([True, False]),
        "int": torch.arange(6).reshape(2, 3),
        "complex": torch.tensor([1 + 2j]).conj(),
        "empty": torch.empty(0, 3),
        "transposed": torch.randn(3, 4).t(),
        "depthwise": depthwise,
        "part": torch.randn(10)[3:5],
        "nan": torch.tensor([float("nan"), -0.0]),
        "grad": torch.ones(2, requires_grad=True),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }
    back: dict[str, Any] = slot.submit(lambda x: x, state).result(30)
    assert list(back) == list(state)
    for name, tensor in state.items():
        got = back[name]
        assert type(got) is type(tensor), name
        assert (got.dtype, got.stride()) == (tensor.dtype, tensor.stride()), name
        assert got.requires_grad == tensor.requires_grad, name
        torch.testing.assert_close(got, tensor, rtol=0, atol=0, equal_nan=True)
    assert back["float"].data_ptr() % 64 == 0
    back["float"].add_(1)  # memory of its own, that may be written
    twice = slot.submit(lambda x: x, [state["int"]] * 2).result(30)
    assert twice[0] is twice[1]


# The worker's surroundings


def test_threads_and_environment_are_set_before_torch_is_loaded() -> None:
    slot = ProcessSlot(threads=2, env={"LIGHTSEARCH_TEST": "x", "MKL_NUM_THREADS": "1"})
    try:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LIGHTSEARCH_TEST")
        seen = slot.submit(lambda: [os.environ[name] for name in names]).result(30)
        assert seen == ["2", "1", "x"]
    finally:
        slot.close()


def test_path_directory_and_main_are_the_parents(
    slot: ProcessSlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import only_here  # type: ignore[import-not-found]

    assert slot.submit(only_here.twice, 4).result(30) == 8
    assert slot.submit(os.getcwd).result(30) == str(tmp_path)


@linux
def test_freed_memory_is_kept(slot: ProcessSlot) -> None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("needs glibc 2.33")

    def mapped_blocks(size: int) -> int:
        import ctypes

        class Info(ctypes.Structure):
            _fields_ = tuple((f"f{i}", ctypes.c_size_t) for i in range(10))

        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.mallinfo2.restype = ctypes.c_void_p, Info
        before = libc.mallinfo2().f3
        libc.malloc(ctypes.c_size_t(size))
        return int(libc.mallinfo2().f3 - before)

    assert slot.submit(mapped_blocks, 16 << 20).result(30) == 0
    assert slot.submit(mapped_blocks, 64 << 20).result(30) == 1


def test_a_starter_that_cannot_start_is_one_error_and_the_slot_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("lightsearch.workers.starter._STARTER", Starter())
    with contextlib.closing(ProcessSlot()) as slot:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(WorkerError, match=r"the system refuses it"):
                slot.submit(max, 1, 2)
        assert slot.submit(max, 1, 2).result(timeout=120) == 2


def _masked() -> None:
    """What loky does where a pipe cannot be made, which its tidying up hides."""
    try:
        raise OSError(24, "Too many open files")
    finally:
        raise UnboundLocalError("cannot access local variable 'child_r'")


def _plain() -> None:
    try:
        raise KeyError("an earlier one, which was dealt with")
    except KeyError:
        raise OSError(24, "Too many open files") from None


@pytest.mark.parametrize("fail", [_masked, _plain])
def test_what_the_system_refused_is_named_and_the_slot_goes_on(
    monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None]
) -> None:
    with contextlib.closing(ProcessSlot(name="one")) as slot:
        with monkeypatch.context() as patch:
            patch.setattr(ProcessPoolExecutor, "_adjust_process_count", lambda _: fail())
            with pytest.raises(WorkerError, match=r"could not start: \[Errno 24\] Too many"):
                slot.submit(max, 1, 2).result(60)
        assert slot.submit(max, 1, 2).result(timeout=120) == 2


@pytest.mark.parametrize("error", [OSError("first"), UnboundLocalError("first")])
def test_an_error_that_hides_no_other_is_named_itself(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("lightsearch.workers.process_slot.ProcessPoolExecutor", refuse)
    with (
        contextlib.closing(ProcessSlot(name="one")) as slot,
        pytest.raises(WorkerError, match="'one' could not start: first"),
    ):
        slot.submit(max, 1, 2).result(60)
