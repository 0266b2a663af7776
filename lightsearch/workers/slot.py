"""What every slot keeps to, and the two simplest kinds: in this very thread, and an executor.

A slot runs one call at a time. A worker that dies takes one call with it and nothing else: the
call's future raises `WorkerDied`, the next `submit` finds a fresh worker, and the other slots do
not notice.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any, Protocol, TypeVar

from lightsearch.errors import WorkerError, explain_refusal

T = TypeVar("T")

LOOK = 0.05  # seconds between looks at whether a call has begun


class Slot(Protocol):
    """Runs one call at a time. Every method may be called from any thread.

    `submit` raises `WorkerError` on a slot that is busy or closed. A future is `running` once its
    call has begun in a worker that is ready; from its callback the slot is free again.
    """

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Start `function(*args)`; the future never hangs, whatever becomes of the worker."""

    def kill(self) -> None:
        """Stop what runs, at once; the slot can be used again when this returns."""

    def close(self) -> None:
        """Stop what runs and release everything. A second time does nothing."""


class WorkerDied(WorkerError):
    """A worker that ended in the middle of a call.

    Attributes: `name` (the slot's), `exitcode` (negative: the signal), `stopped` (whether `kill`
    or `close` asked for it).
    """

    def __init__(self, name: str, exitcode: int | None, stopped: bool = False) -> None:
        self.name = name
        self.exitcode = exitcode
        self.stopped = stopped
        how = (
            "was stopped"
            if stopped
            else f"died in the middle of a call: {describe_exit(exitcode)}"
        )
        super().__init__(f"worker {name!r} {how}")

    def __reduce__(self) -> tuple[type[WorkerDied], tuple[str, int | None, bool]]:
        return WorkerDied, (self.name, self.exitcode, self.stopped)


class Call(Future[T]):
    """The future of a call, pending until its worker has begun it. Only `kill` stops it."""

    def cancel(self) -> bool:
        """Nothing is cancelled."""
        return False


def describe_exit(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is None:
        return "it was lost"
    if exitcode >= 0:
        return f"exit status {exitcode}"
    try:
        return f"killed by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"killed by signal {-exitcode}"


def check_free(slot: str, *, closed: bool, busy: bool) -> None:
    """Raise `WorkerError` unless a slot can take a call."""
    if closed:
        raise WorkerError(f"a closed slot takes no calls: {slot}")
    if busy:
        raise WorkerError(f"a slot runs one call at a time, but {slot} is busy")


def result_within(call: Future[T], seconds: float) -> T:
    """The result of a call, which may take so many seconds from when it has begun.

    Raises `TimeoutError`, and whatever the call raises.
    """
    while not (call.running() or call.done()):
        time.sleep(LOOK)
    return call.result(timeout=seconds)


def start_thread(thread: threading.Thread) -> None:
    """Start a thread. Raises `WorkerError` if the system has none left."""
    try:
        thread.start()
    except RuntimeError as error:
        raise WorkerError(explain_refusal(error)) from error


def check_threads(count: int) -> None:
    """Raise `WorkerError` unless the system lets so many threads run at once.

    OpenMP ends the process where it gets none, with a line of its own and no exception.
    """
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=over.wait, daemon=True)
            start_thread(thread)
            started.append(thread)
    finally:
        over.set()
        for thread in started:
            thread.join()


def kill_all(slots: Iterable[Slot]) -> None:
    """Kill what runs in any of the slots, in the time that one takes if threads can start."""
    threads = []
    for slot in slots:
        thread = threading.Thread(target=slot.kill)
        try:
            thread.start()
        except RuntimeError:
            slot.kill()
        else:
            threads.append(thread)
    for thread in threads:
        thread.join()


class InlineSlot:
    """A slot that runs each call in this thread, before `submit` returns: for debugging.

    >>> from lightsearch.workers.slot import InlineSlot
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


class ExecutorSlot:
    """A slot over any `concurrent.futures.Executor`: a thread pool, loky, one Dask worker.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from lightsearch.workers.slot import ExecutorSlot
    >>> with ThreadPoolExecutor(1) as pool:
    ...     ExecutorSlot(pool).submit(max, 2, 3).result()
    3

    The executor is not ours: `close` leaves it running, and what a dead worker raises is its own
    error (`BrokenProcessPool`, Dask's `KilledWorker`). A call that has begun cannot be stopped:
    `kill` cancels one that has not, and abandons one that has. With an epoch as the call, that
    costs an epoch's time and nothing else, for it changes nothing but its own result. Few
    executors say when a call has begun, so here it counts as running from `submit` on.
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
            future: Future[T] = self._executor.submit(function, *args)
            self._future = future
        call: Future[T] = Future()
        call.set_running_or_notify_cancel()
        future.add_done_callback(lambda done: copy_outcome(done, call))
        return call

    def kill(self) -> None:
        """Cancel the call if it has not begun, else abandon it."""
        with self._lock:
            future, self._future = self._future, None
        if future is not None:
            future.cancel()

    def close(self) -> None:
        """Let go of the executor, which goes on."""
        self.kill()
        self._closed = True


def copy_outcome(done: Future[T], to: Future[T]) -> None:
    """Give a future the result, or the error, of one that is done."""
    if done.cancelled():
        to.set_exception(WorkerDied("executor", None, stopped=True))
    elif error := done.exception():
        to.set_exception(error)
    else:
        to.set_result(done.result())


class AtExit:
    """Closes the slots of one kind that are still open when the interpreter ends.

    It happens before Python waits for threads that are not daemons, as those of executors. What
    is registered last runs first, so a kind registers once its executor's own end is registered.
    `then` is called when all are closed.
    """

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._then = then
        self._lock = threading.Lock()
        self._process: int | None = None

    def add(self, slot: Slot) -> None:
        """Close `slot` at the end, unless it is gone or closed by then."""
        with self._lock:
            self._open.add(slot)
            if self._process is None:
                self._process = os.getpid()
                getattr(threading, "_register_atexit", atexit.register)(self._close)

    def _close(self) -> None:
        if os.getpid() == self._process:  # else a forked copy, whose slots are the parent's
            for slot in list(self._open):
                slot.close()
            self._then()
