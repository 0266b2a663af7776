"""Epochs that go wrong, for workers: this module is imported there, so it imports little."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

from lightsearch.training.epoch import run_epochs as real


def first_time(mark: str) -> bool:
    """Whether nobody has been here before, workers that are gone included."""
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def stopped_once(mark: str, task: Any, state: Any, first: int, last: int) -> Any:
    """The worker hangs in the second epoch, as one does that is swapped out or in a dead lock."""
    if last == 2 and first_time(mark):
        os.kill(os.getpid(), signal.SIGSTOP)
    return real(task, state, first, last)


def starved(hungry: int, doomed: int, task: Any, state: Any, first: int, last: int) -> Any:
    """The trial with the seed `hungry` has no memory left, the one with `doomed` is killed, as
    the kernel kills what takes too much."""
    if task.seed == doomed:
        os.kill(os.getpid(), signal.SIGKILL)
    if task.seed != hungry:
        return real(task, state, first, last)
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), before[1]))
    try:
        return real(task, state, first, last), bytearray(128 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
