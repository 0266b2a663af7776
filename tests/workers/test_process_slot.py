"""Slots with real processes and real signals; the oracle is what the operating system shows."""

import contextlib
import ctypes
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightsearch.errors import WorkerError
from lightsearch.workers.local import local_slots
from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.slot import WorkerDied

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc, prctl and glibc")

SLEEP_AND_TELL = """
def sleep_and_tell(path):
    import os, time
    with open(path + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)
    time.sleep(60)
"""
HOLD_THE_LOCK = """
def sleep_and_tell(path):
    import os, re
    with open(path + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)
    re.match("(a+)+$", "a" * 60 + "b")  # never gives up the interpreter's lock
"""


@pytest.fixture
def slot() -> Iterator[ProcessSlot]:
    with contextlib.closing(ProcessSlot(name="one")) as slot:
        yield slot


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return not Path("/proc/self").exists()


def dead(pid: int) -> bool:
    """Whether a process is dead with all its threads, reaped or not."""
    tasks = Path(f"/proc/{pid}/task")
    return not running(pid) and (not tasks.exists() or len(list(tasks.iterdir())) == 1)


def told(path: Path) -> int:
    assert until(path.exists, 30), "the call never began"
    return int(path.read_text())


def in_the_middle(slot: ProcessSlot, path: Path) -> tuple[Future[None], int]:
    """A call that has begun and would last a minute, and its process."""
    space: dict[str, Callable[[str], None]] = {}
    exec(SLEEP_AND_TELL, space)
    future = slot.submit(space["sleep_and_tell"], str(path))
    return future, told(path)


def script(text: str, path: Path, *args: str) -> "subprocess.Popen[str]":
    path.write_text(text)
    return start([str(path), *args], cwd=path.parent)


def start(args: list[str], cwd: Path, text: str | None = None) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    if text is not None:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
    return process


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
    torch = pytest.importorskip("torch")
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
def test_segmentation_fault_shows_where(slot: ProcessSlot,
                                        capfd: pytest.CaptureFixture[str]) -> None:
    def dereference_nothing() -> None:
        import ctypes

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
        import subprocess
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


def test_worker_died_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(WorkerDied("w", -9)))
    assert str(error) == "worker 'w' died in the middle of a call: killed by SIGKILL"
    assert (error.name, error.exitcode, error.stopped) == ("w", -9, False)


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


def children() -> list[int]:
    """The processes that this one has started, zombies too."""
    return [int(pid) for path in Path("/proc/self/task").glob("*/children")
            for pid in path.read_text().split()]


@linux
def test_nothing_is_left_after_close() -> None:
    def left() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    with contextlib.closing(ProcessSlot()) as slot:  # what starts workers stays, loky's trackers
        slot.submit(int).result(60)
    before, trackers = left(), set(children())
    for turn in range(20):
        slot = ProcessSlot()
        assert slot.submit(operator.add, turn, 1).result(30) == turn + 1
        if turn % 4 == 1:
            slot.submit(time.sleep, 60)
        elif turn % 4 == 2:
            with pytest.raises(WorkerDied, match="exit status 1"):
                slot.submit(os._exit, 1).result(30)
        elif turn % 4 == 3:
            slot.submit(time.sleep, 60)
            slot.kill()
            slot.submit(int).result(30)
        slot.close()
    assert until(lambda: all(now <= then for now, then in zip(left(), before, strict=True)))
    assert set(children()) <= trackers


# Programs that use slots

PROGRAM = """
from lightsearch.workers.process_slot import ProcessSlot
print("imported as", __name__)
K = 3
class Thing:
    def __init__(self, x): self.x = x
class Refusal(Exception): pass
def helper(x): return x * K
def work(thing):
    if thing.x < 0: raise Refusal(thing.x)
    return Thing(helper(thing.x))
slot = ProcessSlot()
got = slot.submit(work, Thing(5)).result()
assert type(got) is Thing
try:
    slot.submit(work, Thing(-1)).result()
except Refusal as refusal:
    print("refused", refusal)
print("got", got.x)
"""


@pytest.mark.parametrize("way", ["script", "-c", "stdin"])
def test_program_without_a_main_guard_that_closes_nothing(way: str,
                                                          tmp_path: Path) -> None:
    if way == "script":
        process = script(PROGRAM, tmp_path / "program.py")
    elif way == "-c":
        process = start(["-c", PROGRAM], tmp_path)
    else:
        process = start(["-"], tmp_path, PROGRAM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["imported as __main__", "refused -1", "got 15"]


LONG = """
import sys, threading, time
from lightsearch.workers.process_slot import ProcessSlot
slot = ProcessSlot()
future = slot.submit(sleep_and_tell, sys.argv[1])
"""


@posix
@pytest.mark.parametrize(
    "work", [SLEEP_AND_TELL, pytest.param(HOLD_THE_LOCK, marks=linux)], ids=["sleep", "lock"]
)
def test_worker_goes_when_its_parent_is_killed(work: str, tmp_path: Path) -> None:
    program = work + LONG + "future.result()"
    parent = script(program, tmp_path / "program.py", str(tmp_path / "pid"))
    worker = told(tmp_path / "pid")
    assert running(worker)
    parent.kill()
    parent.communicate()
    assert until(lambda: not running(worker), 2)


@posix
def test_end_of_a_program_in_the_middle_of_a_call(tmp_path: Path) -> None:
    program = (
        SLEEP_AND_TELL
        + LONG
        + """
import os
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
"""
    )
    process = script(program, tmp_path / "program.py", str(tmp_path / "pid"))
    worker = told(tmp_path / "pid")
    begin = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert (process.returncode, err) == (0, "")
    assert not running(worker)


@posix
def test_interrupt_of_the_group_reaches_the_parent_only(tmp_path: Path) -> None:
    program = """
import os, sys, time
from lightsearch.workers.process_slot import ProcessSlot
def work(path):
    open(path, "w").close()
    time.sleep(1)
    return "whole"
slot = ProcessSlot()
future = slot.submit(work, sys.argv[1])
try:
    future.result()
except KeyboardInterrupt:
    print("interrupted", future.result())
def to_itself():
    os.kill(os.getpid(), 2)
    return "unmoved"
print(slot.submit(to_itself).result())
slot.close()
"""
    process = script(program, tmp_path / "program.py", str(tmp_path / "begun"))
    assert until((tmp_path / "begun").exists, 30)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out.split(), err) == (["interrupted", "whole", "unmoved"], "")


@posix
def test_forked_copy_of_the_parent_leaves_the_worker_alone(tmp_path: Path) -> None:
    program = """
import os, sys, time
from lightsearch.workers.process_slot import ProcessSlot
slot = ProcessSlot()
first = slot.submit(os.getpid).result()
future = slot.submit(time.sleep, 1)
child = os.fork()
if child == 0:
    slot.close()
    sys.exit()
os.waitpid(child, 0)
future.result()
assert slot.submit(os.getpid).result() == first
"""
    process = script(program, tmp_path / "program.py")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


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


def test_each_worker_has_its_part_of_the_environment() -> None:
    slots = local_slots(2, environments=[{"CUDA_VISIBLE_DEVICES": "3"}, {}])
    seen = [slot.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(60) for slot in slots]
    assert seen == ["3", os.environ.get("CUDA_VISIBLE_DEVICES")]
    for slot in slots:
        slot.close()
