"""The virtual clock: it says in which order epochs count, whatever the order in which they end.

Several trials train at once, one in each slot. Each epoch has a known amount of work, which is its
time on the virtual clock. The search handles epochs in the order in which they end on this clock.
So proposals and pruning see the same trials on every machine, and a study can be repeated and
resumed.

>>> clock = VirtualClock.of(2).begin(0, work=5).begin(1, work=3)
>>> clock.next_slot()
1
>>> clock = clock.advance(1)  # the epoch in slot 1 is over at time 3, the next one ends at 6
>>> clock.next_slot(), clock.end(1)
(0, 6)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from lightsearch.network.cost import Cost
from lightsearch.shapes import elements

# A written value costs about as much as so many multiplications, by engine.
MEMORY_WORK = {"torch": 500, "native": 40, "surrogate": 40}


def epoch_work(cost: Cost, engine: str) -> int:
    """Work of one epoch of a design, in multiplications for one image. Only ratios matter."""
    values = sum(elements(step.shape) for step in cost.steps)
    return cost.macs + MEMORY_WORK[engine] * values


@dataclass(frozen=True, slots=True)
class Lane:
    """A slot on the clock: when its last epoch ended, and the work of an epoch of its trial."""

    time: int = 0
    work: int | None = None  # None if the slot has no trial


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """The lanes of all slots. Every method returns a value and changes nothing.

    `horizon` is the time that no epoch may pass any more: infinite until `stop`.
    """

    lanes: tuple[Lane, ...]
    horizon: float = math.inf

    @classmethod
    def of(cls, slots: int) -> VirtualClock:
        """A clock at time 0 with so many free slots."""
        return cls((Lane(),) * slots)

    # Change -------------------------------------------------------------------------------------

    def at(self, slot: int, time: int) -> VirtualClock:
        """The clock with a slot's last epoch at `time`, or later if it was later already."""
        lane = self.lanes[slot]
        return self._with(slot, dataclasses.replace(lane, time=max(lane.time, time)))

    def begin(self, slot: int, work: int) -> VirtualClock:
        """Give a slot a trial, each of whose epochs takes `work`."""
        return self._with(slot, dataclasses.replace(self.lanes[slot], work=work))

    def advance(self, slot: int) -> VirtualClock:
        """Move a slot to the end of its running epoch. Its trial keeps it."""
        lane = self.lanes[slot]
        return self._with(slot, dataclasses.replace(lane, time=self.end(slot)))

    def release(self, slot: int) -> VirtualClock:
        """Take the trial out of a slot."""
        return self._with(slot, dataclasses.replace(self.lanes[slot], work=None))

    def stop(self, running: Iterable[int]) -> VirtualClock:
        """Let no epoch begin that ends after all those that run now, in the slots `running`."""
        horizon = max((self.end(slot) for slot in running), default=-1)
        return dataclasses.replace(self, horizon=horizon)

    def _with(self, slot: int, lane: Lane) -> VirtualClock:
        lanes = (*self.lanes[:slot], lane, *self.lanes[slot + 1 :])
        return dataclasses.replace(self, lanes=lanes)

    # Read ---------------------------------------------------------------------------------------

    def end(self, slot: int) -> int:
        """The time at which a slot's running epoch ends."""
        lane = self.lanes[slot]
        assert lane.work is not None, f"slot {slot} has no trial"
        return lane.time + lane.work

    def allows(self, slot: int) -> bool:
        """Whether a slot's running epoch ends within the horizon."""
        return self.end(slot) <= self.horizon

    def busy(self) -> list[int]:
        """The slots that have a trial."""
        return [slot for slot, lane in enumerate(self.lanes) if lane.work is not None]

    def free(self) -> list[int]:
        """The slots that may take a new trial: the one that has been free longest first."""
        free = [
            slot
            for slot, lane in enumerate(self.lanes)
            if lane.work is None and lane.time <= self.horizon
        ]
        return sorted(free, key=lambda slot: self.lanes[slot].time)

    def next_slot(self) -> int | None:
        """The slot whose epoch ends first, of equals the first slot; None if all are free."""
        return min(self.busy(), key=self.end, default=None)

    def latest_slot(self) -> int:
        """The slot whose last epoch ended last, of equals the last slot."""
        return max(reversed(range(len(self.lanes))), key=lambda slot: self.lanes[slot].time)

    @property
    def stopping(self) -> bool:
        return self.horizon < math.inf
