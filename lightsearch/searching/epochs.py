"""The epochs that run in the slots of a search: begin one, wait for one, take its result."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from lightsearch.engines.engine import State
from lightsearch.study.study import Study
from lightsearch.training.epoch import run_epochs
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task
from lightsearch.workers.slot import Slot

POLL = 0.2  # seconds between looks at whether to stop, while an epoch is waited for


@dataclass(slots=True)
class Training:
    """A trial in a slot, and its epoch that runs there, if one does."""

    number: int
    task: Task
    future: Future[tuple[State, EpochResult]] | None = None
    call: Future[tuple[State, EpochResult]] | None = None  # what the slot runs for it
    seconds: float = math.inf  # that the epoch may take
    limit: float = math.inf  # when it has taken too long, once it has begun
    deaths: int = 0  # of workers over this epoch

    def done(self) -> bool:
        return self.future is not None and self.future.done()

    def watch(self) -> None:
        """Start the epoch's time if a worker has begun it."""
        if self.limit == math.inf and self.call is not None and self.call.running():
            self.limit = time.monotonic() + self.seconds

    def late(self) -> bool:
        return time.monotonic() >= self.limit

    def take(self) -> tuple[State, EpochResult]:
        """The result of the epoch, which counts as handled from now on."""
        assert self.future is not None, f"no epoch of trial {self.number} runs"
        future, self.future = self.future, None
        return future.result()


class Epochs:
    """The trials in the slots, and their epochs. `timeout` is the seconds that one may take."""

    def __init__(self, slots: Sequence[Slot], study: Study, timeout: float) -> None:
        self._slots, self._study, self._timeout = slots, study, timeout
        self._training: dict[int, Training] = {}  # by slot

    def at(self, slot: int) -> Training:
        """The trial in a slot, which must have one."""
        return self._training[slot]

    def assign(self, slot: int, number: int, task: Task) -> None:
        """Put a trial into a slot."""
        self._training[slot] = Training(number, task)

    def free(self, slot: int) -> None:
        """Take the trial out of a slot."""
        del self._training[slot]

    def submit(self, slot: int, known: State | None = None) -> None:
        """Begin the next epoch of a slot's trial, from the state that is `known`, or else from
        what is on disk: then it is several epochs if states were lost."""
        training = self._training[slot]
        done = len(self._study.trials[training.number].epochs)
        state, first = known, done + 1
        if known is None:
            state, behind = self._study.state(training.number)
            first = behind + 1
        training.seconds, training.limit = (done + 2 - first) * self._timeout, math.inf
        training.call = self._slots[slot].submit(run_epochs, training.task, state, first, done + 1)
        training.future = self._study.save_when_done(training.number, training.call)

    def _watch(self) -> None:
        for training in self._training.values():
            training.watch()

    def running(self) -> list[int]:
        """The slots in which an epoch runs, or has ended and was not handled yet."""
        return [slot for slot, one in sorted(self._training.items()) if one.future is not None]

    def others_done(self, slot: int) -> bool:
        """Whether the epoch of another slot is done already, and can be synced with this one's."""
        return any(one.done() for other, one in self._training.items() if other != slot)

    def wait(self, slot: int, deadline: float) -> Iterator[None]:
        """Wait until a slot's epoch is done, or late, or the search's `deadline` is over.

        Yields now and then, so that the caller can look at what else has happened.
        """
        training = self._training[slot]
        assert training.future is not None, f"no epoch runs in slot {slot}"
        if not training.done():
            self._study.sync()
        while not training.done():
            self._watch()
            left = min(training.limit, deadline) - time.monotonic()
            if left <= 0:
                return
            wait([training.future], timeout=min(POLL, left))
            yield

    def first_done(self, deadline: float, stop: threading.Event) -> int | None:
        """The slot whose epoch is done first in fact; None if none runs.

        If an epoch is late, `deadline` is over or `stop` is set, it is the slot that has the least
        time left.
        """
        futures = {
            one.future: slot for slot, one in self._training.items() if one.future is not None
        }
        if not any(future.done() for future in futures):
            self._study.sync()
        while futures:
            self._watch()
            done = wait(futures, POLL, FIRST_COMPLETED).done
            if done:
                return next(slot for future, slot in futures.items() if future in done)
            late = min(futures.values(), key=lambda slot: self._training[slot].limit)
            limit = min(self._training[late].limit, deadline)
            if time.monotonic() >= limit or stop.is_set():
                return late
        return None
