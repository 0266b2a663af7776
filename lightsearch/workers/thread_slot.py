"""A slot that is a thread of this process: for the native engine, and for PyTorch on one GPU.

The native engine trains outside of Python's lock, so threads use as many cores as processes do. On
a GPU threads replay graphs side by side, where processes would take turns.
They have nothing to start, and share the images and the libraries in memory. A thread cannot be
killed, so `kill` sets the flag that engines look at (`lightsearch.engines.stopping`).
"""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import torch

from lightsearch.engines.resident import forget
from lightsearch.engines.stopping import EpochStopped, StopFlag, heed
from lightsearch.errors import WorkerError
from lightsearch.workers.slot import AtExit, Call, WorkerDied, check_free, start_thread

T = TypeVar("T")

PATIENCE = 1.0  # seconds for a call to heed its flag, before its thread is abandoned
LEAVE = 10.0  # seconds that the end of the program waits for threads that were abandoned
_THREADS: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _wait_for_threads() -> None:
    """Let abandoned threads end before the interpreter does, if they do soon.

    Python up to 3.13 ends a thread that comes back from PyTorch meanwhile in a way that aborts the
    whole process: "terminate called without an active exception".
    """
    end = time.monotonic() + LEAVE
    for thread in list(_THREADS):
        thread.join(max(0.0, end - time.monotonic()))


_AT_EXIT = AtExit(_wait_for_threads)


class ThreadSlot:
    """A slot with a thread of its own, which starts at the first `submit`.

    >>> from contextlib import closing
    >>> from lightsearch.workers.thread_slot import ThreadSlot
    >>> with closing(ThreadSlot()) as slot:
    ...     slot.submit(lambda x: x + 1, 41).result()
    42

    Calls get their arguments as they are, not copies. One that does not look at its flag is left
    to end by itself when it is killed; the next call has a fresh thread.
    """

    def __init__(self, name: str = "worker") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._job: _Job | None = None
        self._jobs: queue.SimpleQueue[_Job | None] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._owner = os.getpid()

    def __repr__(self) -> str:
        return f"ThreadSlot(name={self._name!r})"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Start a call."""
        job = _Job(function, args)
        with self._lock:
            check_free(repr(self), closed=self._closed, busy=self._job is not None)
            if self._jobs is None:
                self._jobs = self._start()
            self._job = job
            self._jobs.put(job)
        return cast("Call[T]", job.future)

    def kill(self) -> None:
        """Stop the call that runs, if any: its future raises `WorkerDied` with `stopped` set."""
        with self._lock:
            job = self._job
        if job is None:
            return
        job.flag.set()
        here = threading.current_thread()
        if job.thread is here:
            return  # the call itself asks for it
        # The callback of the call before runs in the slot's own thread, so nothing ends meanwhile.
        if here is self._thread or not job.over.wait(PATIENCE):
            self._abandon(job)

    def close(self) -> None:
        """Stop what runs and end the thread."""
        if os.getpid() != self._owner:  # a forked copy of the process has no such thread
            return
        self._closed = True
        self.kill()
        with self._lock:
            thread = self._thread if self._jobs is not None else None
            if self._jobs is not None:
                self._jobs.put(None)
                self._jobs = None
        # What it keeps on a GPU must be gone before the interpreter ends: CUDA aborts otherwise.
        if thread is not None and thread is not threading.current_thread():
            thread.join(PATIENCE)

    def _abandon(self, job: _Job) -> None:
        with self._lock:
            if self._job is not job:
                return  # it has just ended
            self._job = None
            if self._jobs is not None:
                self._jobs.put(None)  # its thread ends with the call
                self._jobs = None
        job.future.set_exception(WorkerDied(self._name, None, stopped=True))

    def _start(self) -> queue.SimpleQueue[_Job | None]:
        jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        _AT_EXIT.add(self)
        # A daemon, so that a call that never ends cannot keep the interpreter from ending.
        thread = threading.Thread(target=self._serve, args=(jobs,), name=self._name, daemon=True)
        start_thread(thread)
        _THREADS.add(thread)
        self._thread = thread
        return jobs

    def _serve(self, jobs: queue.SimpleQueue[_Job | None]) -> None:
        # A thread takes over how its maker rounds the smallest numbers, on which bits depend.
        torch.set_flush_denormal(False)
        # A loop without local variables: a result must not live until the next one comes.
        while self._take(jobs.get()):
            pass
        forget()

    def _take(self, job: _Job | None) -> bool:
        if job is None:
            return False
        value: Any = None
        error: Exception | None = None
        with self._lock:
            if self._job is not job:  # abandoned before it began
                return True
            job.thread = threading.current_thread()
            job.future.set_running_or_notify_cancel()
        try:
            value = self._run(job)
        except Exception as raised:
            error = raised
        with self._lock:
            abandoned = self._job is not job
            if not abandoned:
                self._job = None  # before the future's callbacks: they may submit the next call
        if not abandoned and error is None:
            job.future.set_result(value)
        elif not abandoned:
            job.future.set_exception(error)
        job.over.set()
        return not abandoned

    def _run(self, job: _Job) -> Any:
        try:
            with heed(job.flag):
                job.flag.check()
                return job.function(*job.args)
        except EpochStopped:
            raise WorkerDied(self._name, None, stopped=True) from None
        except Exception as error:
            if str(error).startswith("CUDA error"):  # no thread of this process can use it again
                raise WorkerError(
                    f"the GPU is lost to this process: {str(error).splitlines()[0]}. The "
                    "same call again goes on from the last epochs. If it happens again, give a "
                    "search `slots=local_slots(4)`: processes, which are replaced, not threads"
                ) from error
            raise
        except BaseException as error:  # `SystemExit` would end the thread and hang the future
            raise WorkerError(f"worker {self._name!r}: the call raised {error!r}") from error


class _Job:
    """A call on its way."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args
        self.flag = StopFlag()
        self.future: Call[Any] = Call()
        self.thread: threading.Thread | None = None
        self.over = threading.Event()
