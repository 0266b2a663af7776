"""Slots on a Ray cluster: one call at a time, as a task of one CPU that Ray places.

Ray's workers are processes that it starts itself. A call that is stopped takes its process with
it. An epoch whose worker is lost is run again elsewhere, and gives the same numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from lightsearch.checks import check_integer
from lightsearch.errors import ArgumentError, WorkerError
from lightsearch.workers.slot import Slot, WorkerDied, check_free

T = TypeVar("T")


def ray_slots(workers: int | None = None) -> list[Slot]:
    """Slots on the Ray cluster that this program is connected to.

        import ray
        ray.init("auto")                    # or ray.init(), for this machine alone
        search(..., slots=ray_slots())

    `workers` is how many trials run at once, and is part of what a study's result depends on; by
    default the CPUs that the cluster has now. Each trial takes one CPU; GPUs are not asked for.
    Workers need this package, and the data set where `load` finds it, or the study's folder at
    the same path.

    Ray does not say when a call has begun, so a call's time includes its wait for a free CPU.

    Raises `ArgumentError` before `ray.init`, and for a cluster without CPUs.
    """
    if workers is not None:
        workers = check_integer("workers", workers, 1, 10**5)
    import ray

    if not ray.is_initialized():
        raise ArgumentError("Ray must be connected before its slots are made: call `ray.init()`")
    workers = workers or int(ray.cluster_resources().get("CPU", 0))
    if not workers:
        raise ArgumentError(
            "a Ray cluster must have a CPU, or `workers` must say how many it will have, but it "
            "has none yet"
        )
    task = ray.remote(num_cpus=1, max_retries=0)(_answer)
    return [RaySlot(task, f"ray-{index}") for index in range(workers)]


def _answer(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    return function(*args)


class RaySlot:
    """A slot that is a task on any of a cluster's workers; see `ray_slots`."""

    def __init__(self, task: Any, name: str) -> None:
        self._task, self._name = task, name
        self._lock = threading.Lock()
        self._call: _Call | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"RaySlot({self._name!r})"

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Hand the call to Ray; never waits for a worker."""
        with self._lock:
            check_free(repr(self), closed=self._closed, busy=self._call is not None)
            try:
                call = _Call(self._task.remote(function, args))
            except (OSError, RuntimeError) as error:
                raise WorkerError(f"the Ray cluster must take a call, but: {error}") from error
            self._call = call
        call.reference.future().add_done_callback(lambda done: self._end(call, done))
        return call.future

    def kill(self) -> None:
        """Stop the call, with the process that runs it."""
        import ray

        with self._lock:
            call, self._call = self._call, None
        if call is not None:
            call.stopped = True
            ray.cancel(call.reference, force=True)

    def close(self) -> None:
        """Let go of everything; the cluster goes on."""
        self.kill()
        self._closed = True

    def _end(self, call: _Call, done: Future[Any]) -> None:
        from ray.exceptions import RayError, RayTaskError

        with self._lock:
            if self._call is call:
                self._call = None  # before the future's callbacks: they may submit the next one
        error = done.exception()
        if isinstance(error, RayTaskError):
            error = error.cause or error  # what the call raised, without Ray's wrapper
        elif isinstance(error, RayError):
            error = WorkerDied(self._name, None, stopped=call.stopped)
        if error is None:
            call.future.set_result(done.result())
        else:
            call.future.set_exception(error)


class _Call:
    """A call on its way: Ray's reference to its value, and our future of it."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference
        self.stopped = False
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()
