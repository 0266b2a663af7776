"""The thread that starts worker processes, for as long as this process lives."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable

from lightsearch.workers.slot import start_thread


class Starter:
    """The thread that starts all workers of this process.

    It lives as long as the process does, since Linux kills a worker with the thread that made it
    (`process.begin`). Ctrl-C is held back in it, and so in a worker until that ignores it: a
    terminal's Ctrl-C reaches the whole process group.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = False

    def do(self, task: Callable[[], None]) -> None:
        """Run `task` soon."""
        with self._lock:
            if not self._started:
                start_thread(
                    threading.Thread(target=self._serve, name="lightsearch-starter", daemon=True)
                )
                self._started = True
        self._tasks.put(task)

    def _serve(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while True:
            with contextlib.suppress(Exception):  # a slot's, of which its future knows
                self._tasks.get()()


_STARTER = Starter()


def start_soon(task: Callable[[], None]) -> None:
    """Run `task`, which starts a worker, in the thread that starts all of this process."""
    _STARTER.do(task)


def _after_fork() -> None:
    global _STARTER
    _STARTER = Starter()  # the copy has no such thread


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
