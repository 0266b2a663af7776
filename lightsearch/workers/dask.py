"""Slots on a Dask cluster: one call at a time on one of its workers, whichever lives and is free.

The scheduler, the network and the machines are Dask's; what runs is the same pure function as
here. An epoch whose worker is lost is run again elsewhere, and gives the same numbers.
"""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lightsearch.checks import check_integer
from lightsearch.errors import ArgumentError, WorkerError, quote
from lightsearch.workers.slot import Call, Slot, WorkerDied, check_free, start_thread

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

POLL = 0.5  # seconds between looks at whether the worker of a call still lives, for all slots
FETCH = 10.0  # seconds for a value to come before the same is asked: it may have died holding it
_START = "`dask scheduler` starts one, and `dask worker ADDRESS --nthreads 1` its workers"
_CONTINUE = "Once there are workers, the same call continues the study"
PATIENCE = 300.0  # seconds that a call waits for a worker, where none is left


def dask_slots(client: Client | str, workers: int | None = None) -> list[Slot]:
    """Slots on the cluster of a `distributed.Client`, or of a scheduler's address.

        from dask.distributed import Client
        search(..., slots=dask_slots(Client("tcp://head:8786")))

    `workers` is how many trials run at once, and is part of what a study's result depends on; by
    default the workers that the cluster has now. Start workers with one thread each. A slot is
    not bound to a worker: one that dies is replaced by any that is free, or joins later.

    Workers need this package, and the data set where `load` finds it, or the study's folder at
    the same path. With `allowed-failures` above 0 on the scheduler Dask itself would repeat a call
    that has killed its worker; a warning says so.

    Raises `ArgumentError` for a cluster without workers, and `WorkerError` where there is no
    scheduler.
    """
    if workers is not None:
        workers = check_integer("workers", workers, 1, 10**5)
    if not isinstance(client, str) and not hasattr(client, "nthreads"):
        raise ArgumentError(
            "`client` must be a distributed.Client, or a scheduler's address, but got "
            f"client={quote(client)}"
        )
    scheduler = _client(client)
    try:
        found = len(_alive(scheduler))
        allowed = scheduler.run_on_scheduler(_allowed_failures)
    except (OSError, TimeoutError) as error:
        raise WorkerError(f"the Dask scheduler must answer, but: {error}. {_START}") from error
    if not (workers or found):
        raise ArgumentError(
            "a Dask cluster must have a worker, or `workers` must say how many it "
            "will have, but it has none yet"
        )
    if allowed:
        warnings.warn(
            f"the Dask scheduler has allowed-failures={allowed}, so it gives a call "
            "that killed its worker to others too; set "
            "`distributed.scheduler.allowed-failures` to 0",
            stacklevel=2,
        )
    pool = _Pool(scheduler)
    return [DaskSlot(pool, f"dask-{index}") for index in range(workers or found)]


def _client(client: Client | str) -> Any:
    from distributed import Client

    if not isinstance(client, str):
        return client
    try:
        return Client(client)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise WorkerError(
            f"a Dask scheduler must be at {client}, but: {error}. {_START}"
        ) from error


def _allowed_failures(dask_scheduler: Any) -> int:
    return int(dask_scheduler.allowed_failures)


def _alive(client: Any) -> set[str]:
    return set(client.nthreads())  # asked of the scheduler; `scheduler_info` is a shared cache


class _Pool:
    """The workers of a cluster, and which of them are taken."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._asking = threading.Lock()
        self._alive: set[str] = set()
        self._until = 0.0  # when `_alive` is too old

    def alive(self) -> set[str]:
        """Addresses of the workers. Raises `WorkerError` where the scheduler is gone.

        The answer names every worker and every slot asks, so they share one for `POLL` seconds.
        """
        if self.client.status != "running":
            raise WorkerError(
                f"the Dask scheduler is gone: its client is {self.client.status}. {_CONTINUE}"
            )
        with self._asking:
            if time.monotonic() >= self._until:
                try:
                    self._alive = _alive(self.client)
                except (OSError, TimeoutError) as error:
                    raise WorkerError(
                        f"the Dask scheduler is gone: {error}. {_CONTINUE}"
                    ) from error
                self._until = time.monotonic() + POLL
            return set(self._alive)

    def ask_again(self) -> None:
        """Forget the answer: a worker is known to be gone."""
        self._until = 0.0

    def take(self, preferred: str, stopped: Callable[[], bool]) -> str:
        """A free worker, `preferred` if it lives; waits for one. Raises `WorkerError`."""
        until = time.monotonic() + PATIENCE
        while not stopped():
            free = self.alive()
            with self._lock:
                free -= self._taken
                if free:
                    address = preferred if preferred in free else min(free)
                    self._taken.add(address)
                    return address
            if time.monotonic() > until:
                raise WorkerError(f"no Dask worker was free for {PATIENCE:g} seconds. {_CONTINUE}")
            time.sleep(POLL)
        return ""

    def give_back(self, address: str) -> None:
        with self._lock:
            self._taken.discard(address)


class DaskSlot:
    """A slot on whichever worker of a cluster is free; see `dask_slots`."""

    def __init__(self, pool: _Pool, name: str) -> None:
        self._pool, self._name = pool, name
        self._lock = threading.Lock()
        self._call: _Call | None = None
        self._address = ""
        self._closed = False

    def __repr__(self) -> str:
        return f"DaskSlot({self._name!r})"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Start a call; never waits for a worker."""
        with self._lock:
            check_free(repr(self), closed=self._closed, busy=self._call is not None)
            call = _Call(function, args)
            start_thread(
                threading.Thread(target=self._run, args=(call,), name=self._name, daemon=True)
            )
            self._call = call
        return cast("Future[T]", call.future)

    def kill(self) -> None:
        """Let go of the call. Dask cannot stop one that has begun: its worker ends it, unheard,
        and begins the next one then."""
        with self._lock:
            call, self._call = self._call, None
        if call is not None:
            call.stopped.set()

    def close(self) -> None:
        """Let go of everything; the cluster goes on."""
        self.kill()
        self._closed = True

    def _run(self, call: _Call) -> None:
        value: Any = None
        error: Exception | None = None
        try:
            value = self._ran(call)
        except Exception as raised:
            error = raised
        with self._lock:
            if self._call is call:
                self._call = None  # before the future's callbacks: they may submit the next one
        if error is None:
            call.future.set_result(value)
        else:
            call.future.set_exception(error)

    def _ran(self, call: _Call) -> Any:
        from distributed import CancelledError, KilledWorker, wait

        address = self._address = self._pool.take(self._address, call.stopped.is_set)
        if not address:
            raise WorkerDied(self._name, None, stopped=True)
        call.future.set_running_or_notify_cancel()
        future = self._pool.client.submit(
            call.function,
            *call.args,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    wait(future, timeout=POLL)  # type: ignore[no-untyped-call]
                if call.stopped.is_set():
                    raise WorkerDied(self._name, None, stopped=True)
                if future.done() and future.status != "finished":
                    return future.result()  # raises what the call raised, or how its worker died
                if future.done():
                    with contextlib.suppress(TimeoutError):
                        return future.result(timeout=FETCH)
                if address not in self._pool.alive():
                    raise WorkerDied(self._name, None)
        except (KilledWorker, CancelledError):
            self._pool.ask_again()
            raise WorkerDied(self._name, None) from None
        finally:
            if not future.done():
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    future.cancel()
            self._pool.give_back(address)


class _Call:
    """A call on its way."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args
        self.stopped = threading.Event()
        self.future: Call[Any] = Call()
