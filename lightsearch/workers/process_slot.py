"""A slot that is a process of its own, started by loky: for epochs that PyTorch trains.

PyTorch holds Python's lock for much of a small network's step and has settings that are of a
whole process, so its epochs run in processes. loky brings what that needs: calls travel by
cloudpickle, no `__main__` guard is wanted, and the death of a worker is noticed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import cloudpickle
from loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from lightsearch.checks import check_integer
from lightsearch.errors import WorkerError
from lightsearch.workers import process
from lightsearch.workers.slot import (
    AtExit,
    Call,
    WorkerDied,
    check_free,
    check_threads,
    describe_exit,
)
from lightsearch.workers.starter import start_soon

T = TypeVar("T")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
ROOM = 12  # processes and threads of a worker, here and there, with loky's own
# loky replaces a worker that has grown by 300 MB, which images or a context on a GPU take.
_KEEP_GROWN = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
_EXITCODE = re.compile(r"\((-?\d+)\)\}")  # as in loky's `{SIGKILL(-9)}`
_AT_EXIT = AtExit()


class ProcessSlot:
    """A slot with a Python process of its own, which starts at the first `submit`.

    >>> from contextlib import closing
    >>> from lightsearch.workers.process_slot import ProcessSlot
    >>> with closing(ProcessSlot()) as slot:
    ...     slot.submit(lambda x: x + 1, 41).result()
    42

    Works without a `__main__` guard, in a notebook and from `python -c`: functions and classes of
    the user's `__main__` travel by value, everything else by name, and the worker has the
    `sys.path` and the working directory of the parent. `threads` is what OpenMP, BLAS and torch
    may use there; `env` is laid over the environment. Prints of a call go to standard error.
    What a call raises is raised by the future, with the worker's traceback as a note; what cannot
    be pickled, and a worker that cannot start, give a `WorkerError`.
    """

    def __init__(
        self, threads: int = 1, env: Mapping[str, str] | None = None, name: str = "worker"
    ) -> None:
        threads = check_integer("threads", threads, 1, 10**6)
        self._name = name
        self._threads = threads
        self._env = dict.fromkeys(THREAD_VARIABLES, str(threads)) | _KEEP_GROWN | dict(env or {})
        self._lock = threading.RLock()
        self._job: _Job | None = None
        self._executor: ProcessPoolExecutor | None = None
        self._closed = False
        self._owner = os.getpid()

    def __repr__(self) -> str:
        return f"ProcessSlot(threads={self._threads}, name={self._name!r})"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Start a call; never waits for the worker. Arguments are copied before it returns."""
        job = _Job(_pack_call(function, args))
        with self._lock:
            check_free(repr(self), closed=self._closed, busy=self._job is not None)
            self._job = job
            executor = self._executor
        if executor is not None and _alive(executor):
            with contextlib.suppress(RuntimeError):  # it has just died, or was killed
                self._hand_over(job, executor)
                return cast("Call[T]", job.future)
        try:
            start_soon(lambda: self._start(job))
        except WorkerError:  # no thread can start: the slot is free for another try
            with self._lock:
                self._job = None
            raise
        return cast("Call[T]", job.future)

    def kill(self) -> None:
        """Stop the call that runs, if any: its future raises `WorkerDied` with `stopped` set."""
        with self._lock:
            job = self._job
            if job is None:
                return
            job.stopped = True
        self._discard()
        self._settle(job)

    def close(self) -> None:
        """Stop what runs and end the process."""
        if os.getpid() != self._owner:  # a forked copy of the parent: the worker is not ours
            return
        self._closed = True
        self.kill()
        self._discard()

    # A call's way ----------------------------------------------------------------------------

    def _start(self, job: _Job) -> None:
        """Start a worker for a call, which gets it once it is ready."""
        try:
            self._discard()
            check_threads(ROOM)
            with self._lock:  # so that `kill` finds either no worker or one that it can kill
                if job.settled:
                    return
                executor = self._executor = ProcessPoolExecutor(
                    1,
                    initializer=process.begin,
                    initargs=(os.getpid(), self._threads),
                    env=self._env,
                )
                ready = executor.submit(process.prepare, job.payload)
            _AT_EXIT.add(self)
        except Exception as error:  # no processes, or no descriptors, are to be had
            with contextlib.suppress(Exception):  # of what has not begun
                self._discard()
            self._settle(job, error=_explain_start(self._name, str(_find_cause(error))))
            return
        ready.add_done_callback(lambda done: self._ready(job, executor, done))

    def _ready(self, job: _Job, executor: ProcessPoolExecutor, done: Future[None]) -> None:
        error = done.exception()
        if error is None:
            try:
                return self._hand_over(job, executor)
            except Exception as raised:
                error = raised
        self._discard(executor)
        how = (
            describe_exit(_exitcode(error)) if isinstance(error, BrokenProcessPool) else str(error)
        )
        self._settle(job, error=_explain_start(self._name, how))

    def _hand_over(self, job: _Job, executor: ProcessPoolExecutor) -> None:
        call = executor.submit(process.answer, job.payload)
        with self._lock:
            if not job.settled:
                job.future.set_running_or_notify_cancel()
        call.add_done_callback(lambda done: self._done(job, executor, done))

    def _done(self, job: _Job, executor: ProcessPoolExecutor, done: Future[bytes]) -> None:
        error = done.exception()
        if error is not None:
            self._discard(executor)
            if isinstance(error, BrokenProcessPool):
                error = WorkerDied(self._name, _exitcode(error))
            return self._settle(job, error=error)
        try:
            value = _open_reply(self._name, done.result())
        except Exception as raised:
            if str(raised).startswith("CUDA error"):  # that process cannot use its GPU any more
                self._discard(executor)
            return self._settle(job, error=raised)
        self._settle(job, value)

    def _settle(self, job: _Job, value: Any = None, error: BaseException | None = None) -> None:
        with self._lock:
            if job.settled:
                return
            job.settled = True
            self._job = None  # before the future's callbacks: they may submit the next call
            if not job.future.running():
                job.future.set_running_or_notify_cancel()
        if job.stopped:
            error = WorkerDied(self._name, None, stopped=True)
        if error is None:
            job.future.set_result(value)
        else:
            job.future.set_exception(error)

    def _discard(self, executor: ProcessPoolExecutor | None = None) -> None:
        """End the worker, if it is still this one; wait until it is gone."""
        with self._lock:
            if executor is not None and executor is not self._executor:
                return
            executor, self._executor = self._executor, None
        if executor is not None:
            # A future's callback runs in the thread that manages the worker, which cannot wait
            # for itself.
            own = threading.current_thread() is executor._executor_manager_thread
            workers = list((executor._processes or {}).values())
            try:
                executor.shutdown(wait=not own, kill_workers=True)
            except RuntimeError:  # that thread could not start, so nobody ends the workers
                for worker in workers:
                    worker.kill()


class _Job:
    """A call on its way."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.stopped = False  # asked to
        self.settled = False  # its outcome is known
        self.future: Call[Any] = Call()


def _alive(executor: ProcessPoolExecutor) -> bool:
    """Whether an executor's worker lives; loky itself may notice a little later."""
    return all(worker.is_alive() for worker in list(executor._processes.values()))


def _pack_call(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        return cast(bytes, cloudpickle.dumps((function, args)))
    except Exception as error:
        what = getattr(function, "__qualname__", repr(function))
        raise WorkerError(
            f"a call's function and arguments must be picklable, but {what} gave "
            f"{type(error).__name__}: {error}"
        ) from error


def _open_reply(name: str, reply: bytes) -> Any:
    """The value of a reply, or what the call raised."""
    try:
        kind, content, *more = pickle.loads(reply)
        if kind == "raised":
            content = pickle.loads(content)
    except Exception as error:
        raise WorkerError(
            f"a reply of worker {name!r} could not be unpickled: {type(error).__name__}: {error}"
        ) from error
    if kind == "returned":
        return content
    failure = content if kind == "raised" else WorkerError(f"worker {name!r}: {content}")
    failure.add_note(f"In worker {name!r}:\n{more[0]}")
    raise failure


def _exitcode(error: BaseException) -> int | None:
    """How loky says that a worker ended, if it does."""
    found = _EXITCODE.search(str(error))
    return int(found.group(1)) if found else None


def _find_cause(error: BaseException) -> BaseException:
    """What the system refused, where loky fails in tidying up after it and so hides it."""
    return (isinstance(error, UnboundLocalError) and error.__context__) or error


def _explain_start(name: str, why: str) -> WorkerError:
    return WorkerError(
        f"worker {name!r} could not start: {why}\n`lightsearch doctor` looks for the cause"
    )
