"""The loop of a search: proposals, epochs in slots, pruning, commitment.

Several trials train at once, yet the study does not depend on timing. The loop always handles the
epoch that ends first on the virtual clock (`clock`), and waits for it if need be. The number of
slots takes part in the result and is recorded. A search that need not be repeatable handles epochs
as they come.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lightsearch.engines.engine import State
from lightsearch.errors import LightsearchError, WorkerError
from lightsearch.searching.candidates import make_candidate, read_task
from lightsearch.searching.clock import VirtualClock
from lightsearch.searching.epochs import Epochs
from lightsearch.searching.events import (
    Ended,
    EpochDone,
    Event,
    Retried,
    Started,
    Stopped,
    Stopping,
)
from lightsearch.searching.planning import make_plan
from lightsearch.searching.proposals import Exhausted, Proposer
from lightsearch.searching.question import Question
from lightsearch.study.study import Study
from lightsearch.study.trial import Counts, HitRule, Trial
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task
from lightsearch.workers.slot import Slot, WorkerDied

DEATHS = 3  # of workers over one epoch, before its trial is given up
FAILURES = 5  # of trials in a row, before the search is given up
OVER_CAP = "the cap on parameters came down"


@dataclass(slots=True)
class SearchLoop:
    """One run of the loop. Slots are known by their index."""

    question: Question
    proposer: Proposer
    study: Study
    slots: Sequence[Slot]
    stop: threading.Event
    timed: bool = False  # whether the plan says how long all takes
    clock: VirtualClock = field(init=False)
    epochs: Epochs = field(init=False)
    rule: HitRule = field(init=False)
    counts: Counts = field(default_factory=Counts)
    deadline: float = math.inf
    finished: str = ""  # why nothing new is proposed any more
    failures: int = 0

    def __post_init__(self) -> None:
        self.clock = VirtualClock.of(len(self.slots))
        self.epochs = Epochs(self.slots, self.study, self.question.settings.epoch_timeout)
        self.rule = self.question.identity.rule

    def run(self) -> Iterator[Event]:
        """All events, from `Planned` to `Stopped`."""
        started = time.monotonic()
        resumed = self._resume()
        yield make_plan(
            self.question, self.proposer, self.study.trials, self.slots, timed=self.timed
        )
        timeout = self.question.settings.timeout
        if timeout is not None:
            self.deadline = started + timeout
        for trial in resumed:
            yield Started(trial)
        yield from self._end_over_cap()
        yield from self._decide_again()
        for slot in self.clock.busy():
            self._suspend_if_enough(slot)
        for slot in self.clock.busy():
            self._submit(slot)
        while True:
            yield from self._heed_stop()
            if self._is_over():
                break
            yield from self._fill()
            following = self._next_slot()
            if following is None or not self.clock.allows(following):
                break
            yield from self._handle(following)
            if time.monotonic() > self.deadline:
                self.finished = f"the time limit of {timeout:g} seconds is over"
                break
        asked = self.clock.stopping and bool(self.clock.busy())
        yield Stopped(
            "stopped as asked; the same call continues it"
            if asked
            else self.finished or "all trials are done",
            asked,
        )

    def _next_slot(self) -> int | None:
        """The slot whose epoch is handled next; None if no slot has a trial."""
        if self.question.identity.repeatable or not self.clock.busy():
            return self.clock.next_slot()
        first = self.epochs.first_done(self.deadline, self.stop)
        return self.clock.busy()[0] if first is None else first

    def _heed_stop(self) -> Iterator[Event]:
        """Once asked to stop: no further on the virtual clock than the epochs that run."""
        if self.stop.is_set() and not self.clock.stopping:
            running = self.epochs.running()
            self.clock = self.clock.stop(running)
            yield Stopping(len(running))

    def _trial(self, slot: int) -> Trial:
        return self.study.trials[self.epochs.at(slot).number]

    # Continuing what an earlier process left ----------------------------------------------------

    def _resume(self) -> list[Trial]:
        """Put unfinished trials back into their slots, with the clock as it was."""
        resumed = []
        for trial in self.study.trials:
            candidate = trial.candidate
            over = candidate.start + len(trial.epochs) * candidate.work
            self.clock = self.clock.at(candidate.slot, over)
            self.counts = candidate.counts
            if trial.outcome == "running":
                self._occupy(candidate.slot, trial, read_task(self.question, candidate))
                resumed.append(trial)
        return resumed

    def _occupy(self, slot: int, trial: Trial, task: Task) -> None:
        self.clock = self.clock.begin(slot, trial.candidate.work)
        self.epochs.assign(slot, trial.number, task)

    def _end_over_cap(self) -> Iterator[Event]:
        """End the trials over the question's cap, if it has come down since they began."""
        cap = math.inf if self.question.cap is None else self.question.cap
        for slot in self.clock.busy():
            if self._trial(slot).candidate.params > cap:
                yield from self._end(slot, "pruned", OVER_CAP)

    def _decide_again(self) -> Iterator[Event]:
        """Decide again about the latest epoch: the process may have died before it had.

        Earlier epochs were decided by what was known then, and are left alone. Epochs that ended
        at one virtual time were committed in the order of their slots. Without repeatability, the
        latest on the clock need not be the latest, so all are decided again.
        """
        latest = [self.clock.latest_slot()]
        for slot in latest if self.question.identity.repeatable else self.clock.busy():
            if slot in self.clock.busy() and self._trial(slot).epochs:
                yield from self._decide(slot)

    # Proposing ----------------------------------------------------------------------------------

    def _fill(self) -> Iterator[Event]:
        """Give every free slot a new trial, the one that has been free longest first."""
        for slot in self.clock.free():
            self._check_finished()
            if self.finished:
                return
            try:
                proposal, self.counts = self.proposer.propose(self.study.trials, self.counts)
            except Exhausted as error:
                self.finished = str(error)
                return
            candidate = make_candidate(
                self.question,
                proposal,
                self.counts,
                number=len(self.study.trials),
                slot=slot,
                start=self.clock.lanes[slot].time,
            )
            trial = self.study.begin(candidate, proposal.options)
            task = self.question.task(proposal.design, proposal.recipe, candidate.seed)
            self._occupy(slot, trial, task)
            yield Started(trial)
            self._submit(slot)

    def _is_over(self) -> bool:
        """Whether there is a trial that the question waits for. Epochs that run then are dropped:
        a search that was killed here would not know of them."""
        until = self.question.until
        if until is None or not any(map(until, self.study.trials)):
            return False
        self.finished = "a design is to be tested"
        return True

    def _check_finished(self) -> None:
        settings = self.question.settings
        if len(self.study.trials) >= settings.trials:
            self.finished = self.finished or _say_done(settings.trials)
        if self._enough():
            self.finished = f"{settings.stop_after_hits} designs reached the target"

    def _enough(self) -> bool:
        wanted = self.question.settings.stop_after_hits
        return wanted is not None and wanted <= sum(map(self._hit, self.study.trials))

    def _hit(self, trial: Trial) -> bool:
        return self.rule.is_hit(trial.epochs)

    def _suspend_if_enough(self, slot: int) -> None:
        """With enough hits, only those train on to their last epoch. Others can be resumed."""
        if self._enough() and not self._hit(self._trial(slot)):
            self._free(slot)

    def _free(self, slot: int) -> None:
        self.clock = self.clock.release(slot)
        self.epochs.free(slot)

    # Training -----------------------------------------------------------------------------------

    def _submit(self, slot: int, known: State | None = None) -> None:
        if self.clock.allows(slot):
            self.epochs.submit(slot, known)

    def _handle(self, slot: int) -> Iterator[Event]:
        """Wait for a slot's epoch, commit it and decide how its trial goes on."""
        training = self.epochs.at(slot)
        for _ in self.epochs.wait(slot, self.deadline):
            yield from self._heed_stop()
        if not training.done():
            if training.late():
                self.slots[slot].kill()
                yield from self._retry(
                    slot,
                    "an epoch must take at most `epoch_timeout`="
                    f"{self.question.settings.epoch_timeout:g} seconds",
                )
            return  # else the time limit of the search is over
        try:
            state, result = training.take()
        except WorkerDied as error:
            yield from self._retry(slot, str(error))
        except LightsearchError:
            raise
        except Exception as error:  # a layer of the user's, or memory: this trial's own
            yield from self._end(slot, "failed", f"{type(error).__name__}: {error}")
        else:
            yield from self._commit(slot, result)
            if slot in self.clock.busy():
                self._submit(slot, state)

    def _commit(self, slot: int, result: EpochResult) -> Iterator[Event]:
        training, before = self.epochs.at(slot), self._trial(slot)
        training.deaths = 0
        trial = self.study.commit(training.number, result)
        self.study.sync(at_once=not self.epochs.others_done(slot))
        self.clock = self.clock.advance(slot)
        hit = self._hit(trial) and not self._hit(before)
        yield EpochDone(trial, result, hit)
        yield from self._decide(slot)

    def _retry(self, slot: int, reason: str) -> Iterator[Event]:
        """Run a slot's epoch again after its worker died, unless that goes on and on."""
        training = self.epochs.at(slot)
        training.deaths, training.future = training.deaths + 1, None
        if training.deaths >= DEATHS:
            yield from self._end(slot, "failed", f"{reason}, {training.deaths} times in one epoch")
        else:
            yield Retried(self._trial(slot), reason)
            self._submit(slot)

    # Deciding -----------------------------------------------------------------------------------

    def _decide(self, slot: int) -> Iterator[Event]:
        """End the trial of a slot, or let it go on, from its epochs so far."""
        trial = self._trial(slot)
        if trial.epochs[-1].diverged:
            yield from self._end(slot, "diverged", "the training loss is not finite")
        elif len(trial.epochs) >= self.question.identity.epochs:
            yield from self._end(slot, "complete")
        elif not self._hit(trial) and self.study.should_prune(trial.number):
            yield from self._end(slot, "pruned")
        else:
            self._suspend_if_enough(slot)

    def _end(self, slot: int, outcome: str, reason: str = "") -> Iterator[Event]:
        trial = self.study.end(self.epochs.at(slot).number, outcome, reason)
        self._free(slot)
        self.failures = self.failures + 1 if outcome == "failed" else 0
        yield Ended(trial, self.counts)
        if self.failures >= FAILURES:
            raise WorkerError(
                f"{FAILURES} trials in a row failed; the last one: {reason}. With "
                "this mended, the same call continues the study; `lightsearch "
                "train DESIGN` shows it with one design and no worker"
            )


def _say_done(trials: int) -> str:
    return f"all {trials:,} trials are done" if trials > 1 else "its one trial is done"
