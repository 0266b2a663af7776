"""Slots: each runs one call at a time, in a process of its own or wherever an executor does.

A worker that dies takes one call with it and nothing else: its future raises `WorkerDied`, the
slot starts a fresh worker at the next `submit`, the other slots do not notice.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Any, Protocol, TypeVar, cast

from lightsearch.errors import ArgumentError, WorkerError
from lightsearch.process import WorkerProcess, fate, not_started
from lightsearch.worker import pack

T = TypeVar("T")

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_PATIENCE = 10.0


class Slot(Protocol):
    """What runs one call at a time. Every method may be called from any thread.

    `submit` raises `WorkerError` on a slot that is busy or closed. From a future's callback the
    slot is free again.
    """

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Start `function(*args)`; the future never hangs, whatever becomes of the worker."""

    def kill(self) -> None:
        """Stop what runs, at once; the slot can be used again when this returns."""

    def close(self) -> None:
        """Stop what runs and let go of everything. A second time does nothing."""


class WorkerDied(WorkerError):
    """A worker process that ended in the middle of a call.

    Attributes: `name` (the slot's), `exitcode` (negative: the signal), `stopped` (whether `kill`
    or `close` asked for it).
    """

    def __init__(self, name: str, exitcode: int | None, stopped: bool = False) -> None:
        self.name = name
        self.exitcode = exitcode
        self.stopped = stopped
        how = "was stopped" if stopped else f"died in the middle of a call: {fate(exitcode)}"
        super().__init__(f"worker {name!r} {how}")

    def __reduce__(self) -> tuple[type[WorkerDied], tuple[str, int | None, bool]]:
        return WorkerDied, (self.name, self.exitcode, self.stopped)


class ProcessSlot:
    """A slot with a Python process of its own, which starts at the first `submit`.

    >>> from contextlib import closing
    >>> from lightsearch.slots import ProcessSlot
    >>> with closing(ProcessSlot()) as slot:
    ...     slot.submit(lambda x: x + 1, 41).result()
    42

    Works without a `__main__` guard, in a notebook and from `python -c`: functions and classes of
    the user's `__main__` travel by value (cloudpickle), everything else by name, and the worker
    has the `sys.path` and the working directory of the parent. `threads` is what OpenMP, BLAS and
    torch may use there; `env` is laid over the environment. With `forked` the worker has torch
    from the start and, on Linux, shares it with others (`lightsearch.forking`); give it where
    calls need torch. Prints of a call go to `sys.stderr`.
    An exception of the call is raised by the future, with the worker's traceback as a note; what
    cannot be pickled, and a worker that cannot start, give a `WorkerError`.
    """

    def __init__(
        self, threads: int = 1, env: Mapping[str, str] | None = None, name: str = "worker", *,
        forked: bool = False
    ) -> None:
        if threads < 1:
            raise ArgumentError(f"`threads` must be at least 1, but got threads={threads}")
        self._name = name
        self._threads = threads
        self._forked = forked
        self._env = dict.fromkeys(_THREAD_VARIABLES, str(threads)) | dict(env or {})
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._job: _Job | None = None
        self._worker: WorkerProcess | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._owner = os.getpid()

    def __repr__(self) -> str:
        return f"ProcessSlot(threads={self._threads}, name={self._name!r})"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Start a call; never waits for the worker. Arguments are copied before it returns."""
        job = _Job(_packed(function, args))
        with self._lock:
            check_free(repr(self), closed=self._closed, busy=self._job is not None)
            if self._thread is None:
                self._start_thread()
            self._job = job
            self._jobs.put(job)
        return cast("Future[T]", job.future)

    def kill(self) -> None:
        """Stop the call that runs, if any: its future raises `WorkerDied` with `stopped` set."""
        with self._lock:
            job = self._job
            self._stop()
        if job is not None and threading.current_thread() is not self._thread:
            wait([job.future], timeout=_PATIENCE)

    def close(self) -> None:
        """Stop what runs, end the process, and wait until both are gone."""
        if os.getpid() != self._owner:  # a forked copy of the parent: the worker is not ours
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stop()
            self._jobs.put(None)
        atexit.unregister(self.close)
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE)

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stopped = True
            if self._worker is not None:
                self._worker.kill()

    def _start_thread(self) -> None:
        # A daemon, so that a forgotten slot cannot keep the interpreter from ending; `close` at
        # exit comes before daemon threads are frozen.
        atexit.register(self.close)
        thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        thread.start()
        self._thread = thread

    def _serve(self) -> None:
        # A loop without local variables: a result must not live until the next one comes.
        while self._take(self._jobs.get()):
            pass

    def _take(self, job: _Job | None) -> bool:
        if job is None:
            self._retire()
            return False
        value: Any = None
        error: Exception | None = None
        try:
            value = self._run(job)
        except Exception as raised:
            error = raised
        with self._lock:
            self._job = None  # before the future's callbacks: they may submit the next call
        if error is None:
            job.future.set_result(value)
        else:
            job.future.set_exception(error)
        return True

    def _run(self, job: _Job) -> Any:
        try:
            worker = self._ready(job)
            reply = worker.call(job.payload)
        except (EOFError, OSError):
            raise self._obituary(job) from None
        except BaseException:  # out of memory in the middle of a frame: nothing is in step
            self._retire()
            raise
        try:
            return _opened(self._name, reply)
        except RuntimeError as error:
            if str(error).startswith("CUDA error"):  # that process can never use its GPU again
                self._retire()
            raise

    def _ready(self, job: _Job) -> WorkerProcess:
        """The worker, started where there is none or where it died while nothing ran."""
        with self._lock:
            worker = self._worker
            if worker is not None and worker.alive():
                return worker
        try:
            return self._start(job, self._forked)
        except EOFError:
            worker = self._worker
            if worker is None or not worker.never_was():
                raise
        return self._start(job, forked=False)

    def _start(self, job: _Job, forked: bool) -> WorkerProcess:
        self._retire()
        with self._lock:  # so that `kill` finds either no worker or one that it can kill
            if job.stopped:
                raise EOFError
            worker = self._worker = WorkerProcess(self._name, self._threads, self._env,
                                                  forked=forked)
        worker.greet()
        return worker

    def _obituary(self, job: _Job) -> WorkerError:
        worker = self._worker
        exitcode = self._retire()
        if job.stopped or worker is None:
            return WorkerDied(self._name, exitcode, stopped=True)
        said = worker.tail.rstrip()
        if not worker.started:
            return not_started(self._name, f"{fate(exitcode)}\n{said}".rstrip())
        error = WorkerDied(self._name, exitcode)
        if said:
            error.add_note(f"The end of what worker {self._name!r} wrote:\n{said}")
        return error

    def _retire(self) -> int | None:
        with self._lock:
            worker, self._worker = self._worker, None
        return None if worker is None else worker.end()


class ExecutorSlot:
    """A slot over any `concurrent.futures.Executor`: a thread pool, loky, one Dask worker.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from lightsearch.slots import ExecutorSlot
    >>> with ThreadPoolExecutor(1) as pool:
    ...     ExecutorSlot(pool).submit(max, 2, 3).result()
    3

    The executor is not ours: `close` leaves it running, and what a dead worker raises is its own
    error (`BrokenProcessPool`, Dask's `KilledWorker`). A call that has begun cannot be stopped:
    `kill` cancels one that has not, and lets go of one that has. With an epoch as the call, that
    costs an epoch's time and nothing else, for it changes nothing but its own result.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._future: Future[Any] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"ExecutorSlot({self._executor!r})"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Hand the call to the executor."""
        with self._lock:
            busy = self._future is not None and not self._future.done()
            check_free(repr(self), closed=self._closed, busy=busy)
            future = self._executor.submit(function, *args)
            self._future = future
        return future

    def kill(self) -> None:
        """Cancel the call if it has not begun, else let go of it."""
        with self._lock:
            future, self._future = self._future, None
        if future is not None:
            future.cancel()

    def close(self) -> None:
        """Let go of the executor, which goes on."""
        self.kill()
        self._closed = True


class InlineSlot:
    """A slot that runs each call in this process, before `submit` returns: for debugging.

    >>> from lightsearch.slots import InlineSlot
    >>> InlineSlot().submit(max, 2, 3).result()
    3
    """

    def __init__(self) -> None:
        self._closed = False

    def __repr__(self) -> str:
        return "InlineSlot()"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Run the call; the future is done. `KeyboardInterrupt` comes out of here."""
        check_free(repr(self), closed=self._closed, busy=False)
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def kill(self) -> None:
        """Nothing runs when this can be called."""

    def close(self) -> None:
        """No call can follow."""
        self._closed = True


def local_slots(workers: int, threads: int = 1,
                environments: Sequence[Mapping[str, str]] = ()) -> list[Slot]:
    """Slots on this machine: `workers` processes, or this very process where `workers` is 0.

    `environments`, if given, has what is laid over the environment of each.

    >>> from lightsearch.slots import local_slots
    >>> local_slots(2)
    [ProcessSlot(threads=1, name='worker-0'), ProcessSlot(threads=1, name='worker-1')]
    """
    if not isinstance(workers, int) or workers < 0:
        raise ArgumentError(f"`workers` must be an integer >= 0, but got workers={workers!r}")
    if workers == 0:
        return [InlineSlot()]
    laid_over = environments or [{}] * workers
    return [ProcessSlot(threads, env, name=f"worker-{index}", forked=not env)
            for index, env in zip(range(workers), laid_over, strict=True)]


class _Job:
    """A call on its way. Its future is running from the start: it cannot be cancelled."""

    def __init__(self, payload: memoryview) -> None:
        self.payload = payload
        self.stopped = False
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()


def _packed(function: Callable[..., Any], args: tuple[Any, ...]) -> memoryview:
    try:
        return pack((function, args))
    except Exception as error:
        what = getattr(function, "__qualname__", repr(function))
        raise WorkerError(
            f"a call's function and arguments must be picklable, but {what} gave "
            f"{type(error).__name__}: {error}"
        ) from error


def _opened(name: str, reply: bytearray) -> Any:
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


def check_free(slot: str, *, closed: bool, busy: bool) -> None:
    """Raise `WorkerError` unless a slot can take a call."""
    if closed:
        raise WorkerError(f"a closed slot takes no calls: {slot}")
    if busy:
        raise WorkerError(f"a slot runs one call at a time, but {slot} is busy")
