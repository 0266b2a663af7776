"""Programs with process slots: real processes and real signals, and what is left of them."""

import contextlib
import operator
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from processes import (
    HOLD_THE_LOCK,
    SLEEP_AND_TELL,
    linux,
    posix,
    running,
    script,
    start,
    told,
    until,
)

from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.slot import WorkerDied


def children() -> list[int]:
    """The processes that this one has started, zombies too."""
    return [
        int(pid)
        for path in Path("/proc/self/task").glob("*/children")
        for pid in path.read_text().split()
    ]


@pytest.mark.slow
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
def test_program_without_a_main_guard_that_closes_nothing(way: str, tmp_path: Path) -> None:
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
