"""What tests of worker processes share: calls that last, programs, what the system shows."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from lightsearch.workers.process_slot import ProcessSlot

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
