"""The search: proposals, epochs in slots, pruning, the leaderboard.

Several trials run at once, but the study is the same whatever the timing. Each epoch has a known
amount of work, the W slots advance on a virtual clock by that work, and proposals and pruning see
only what is earlier on it: the conductor always handles the running epoch that ends first in
virtual time, waiting for it where it must. W takes part in the result and is recorded. A search
that need not be repeatable takes epochs as they come.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from fractions import Fraction

from lightsearch.cost import Cost
from lightsearch.errors import LightsearchError, WorkerError
from lightsearch.events import Ended, EpochDone, Event, Planned, Retried, Started, Stopped
from lightsearch.notation import parse, parse_recipe
from lightsearch.ops import elements
from lightsearch.question import Question
from lightsearch.randomness import key
from lightsearch.records import Candidate, Counts, Trial, exact, reached, versions
from lightsearch.slots import Slot, WorkerDied
from lightsearch.study import Exhausted, Proposal, Proposer, Study, make_pruner
from lightsearch.training import (
    EpochResult,
    State,
    Task,
    evaluated,
    run_epoch,
    seconds_per_epoch,
)

DEATHS = 3  # of workers over one epoch, before its trial is given up
FAILURES = 5  # of trials in a row, before the search is given up
# Multiplications that a written value costs about, by engine (docs/benchmarks.md).
MEMORY_WORK = {"torch": 500, "native": 40}


def conduct(question: Question, slots: Sequence[Slot]) -> Iterator[Event]:
    """Run a search, or go on with it, and yield what happens. Closing the generator stops it.

    The slots stay the caller's, to close. Raises `StudyError` for a folder that cannot be used,
    `BudgetError` for a budget that nothing meets, `WorkerError` where workers cannot work.
    """
    pruner = make_pruner(question.pruner, question.target, question.epochs)
    proposer = Proposer(question.space, question.recipe, shape=question.data.shape,
                        classes=question.data.classes, budget=question.budget,
                        sampler=question.sampler, seed=question.seed)
    with Study.open(question.folder, question.identity(), pruner) as study:
        run = _Run(question, proposer, study, slots)
        try:
            yield from run.go()
        finally:
            for slot in slots:
                slot.kill()


@dataclass(slots=True)
class _Lane:
    """A slot on the virtual clock, with the trial that it trains."""

    slot: Slot
    free: int = 0  # virtual time at which it last became free
    number: int | None = None
    ends: int = 0  # virtual time at which the running epoch ends
    future: Future[tuple[State, EpochResult]] | None = None
    deaths: int = 0


@dataclass(slots=True)
class _Run:
    question: Question
    proposer: Proposer
    study: Study
    slots: Sequence[Slot]
    lanes: list[_Lane] = field(default_factory=list)
    target: Fraction = Fraction(1)
    deadline: float = float("inf")
    counts: Counts = field(default_factory=Counts)
    finished: str = ""  # why nothing new is proposed any more
    failures: int = 0

    def go(self) -> Iterator[Event]:
        self.target = exact(self.question.target)
        self.lanes = [_Lane(slot) for slot in self.slots]
        started = time.monotonic()
        resumed = self._take_up()
        if self.study.trials:
            self.counts = self.study.trials[-1].candidate.counts
        yield self._plan(resumed)
        if self.question.timeout is not None:
            self.deadline = started + self.question.timeout
        for trial in resumed:
            yield Started(trial)
        yield from self._decide_last()
        for lane in self.lanes:
            self._suspend_if_enough(lane)
            if lane.number is not None:
                self._submit(lane)
        while True:
            yield from self._fill()
            busy = [lane for lane in self.lanes if lane.number is not None]
            if not busy:
                break
            lane = first(busy) if self.question.repeatable else self._first_come(busy)
            yield from self._handle(lane)
            if time.monotonic() > self.deadline:
                self.finished = f"the time limit of {self.question.timeout:g} seconds is over"
                break
        yield Stopped(self.finished or "all trials are done")

    def _first_come(self, busy: list[_Lane]) -> _Lane:
        """The slot whose epoch ended first in fact; the first of all where none does in time."""
        lanes = {lane.future: lane for lane in busy if lane.future is not None}
        done = wait(lanes, self._patience(), FIRST_COMPLETED).done
        return next((lane for future, lane in lanes.items() if future in done), busy[0])

    # Taking up what an earlier process left ------------------------------------------------

    def _take_up(self) -> list[Trial]:
        """Put unfinished trials back into their slots, with the clock as it was."""
        resumed = []
        for trial in self.study.trials:
            lane = self.lanes[trial.candidate.slot]
            done = trial.candidate.start + len(trial.epochs) * trial.candidate.work
            lane.free = max(lane.free, done)
            if trial.outcome == "running":
                lane.number, lane.ends = trial.number, done + trial.candidate.work
                resumed.append(trial)
        return resumed

    def _decide_last(self) -> Iterator[Event]:
        """Decide again about the latest epoch: the process may have died before it had."""
        lanes = [lane for lane in self.lanes if lane.number is not None
                 and self.study.trials[lane.number].epochs]
        if not self.question.repeatable:  # the latest on the clock need not be the latest
            for lane in lanes:
                yield from self._decide(lane)
        elif lanes:
            lane = max(lanes, key=lambda lane: lane.free)
            if lane.free == max(other.free for other in self.lanes):
                yield from self._decide(lane)

    def _plan(self, resumed: list[Trial]) -> Planned:
        question, survey = self.question, self.question.survey
        over = sum(t.outcome != "running" for t in self.study.trials)
        left = max(question.trials, len(self.study.trials)) - over
        epochs = left * question.epochs - sum(len(t.epochs) for t in resumed)
        seconds = None
        if epochs > 0 and not question.untimed:
            seconds = epochs * self._typical_seconds() / len(self.lanes)
        return Planned(question.folder, question.trials, question.epochs, len(self.lanes),
                       len(self.study.trials), survey.designs, survey.within, survey.exact,
                       seconds)

    def _typical_seconds(self) -> float:
        """Seconds an epoch of a typical candidate takes here: a few steps, timed in a slot."""
        proposals = [self.proposer.sample(index) for index in range(32)]
        works = sorted((self._work(p.cost), index) for index, p in enumerate(proposals))
        proposal = proposals[works[len(works) // 2][1]]
        task = self.question.task(proposal.design, proposal.recipe, seed=0)
        took: float = self.slots[0].submit(seconds_per_epoch, task).result()
        return took

    # Proposing -----------------------------------------------------------------------------

    def _fill(self) -> Iterator[Event]:
        """Give every free slot a new trial, the one that has been free longest first."""
        for lane in sorted(self.lanes, key=lambda lane: lane.free):
            if lane.number is not None:
                continue
            self._check_finished()
            if self.finished:
                return
            try:
                proposal, self.counts = self.proposer.propose(self.study.trials, self.counts)
            except Exhausted as error:
                self.finished = str(error)
                return
            trial = self.study.begin(self._candidate(proposal, lane))
            lane.number, lane.ends = trial.number, lane.free + trial.candidate.work
            yield Started(trial)
            self._submit(lane)

    def _check_finished(self) -> None:
        if len(self.study.trials) >= self.question.trials:
            self.finished = self.finished or f"all {self.question.trials} trials are done"
        if self._enough():
            self.finished = f"{self.question.stop_after_hits} designs reached the target"

    def _enough(self) -> bool:
        wanted = self.question.stop_after_hits
        return wanted is not None and wanted <= sum(self._hit(t) for t in self.study.trials)

    def _hit(self, trial: Trial) -> bool:
        return trial.first_hit(self.target) is not None

    def _suspend_if_enough(self, lane: _Lane) -> None:
        """With enough hits, only those train on to their last epoch; others stay resumable."""
        if lane.number is not None and self._enough() \
                and not self._hit(self.study.trials[lane.number]):
            lane.number = None

    def _candidate(self, proposal: Proposal, lane: _Lane) -> Candidate:
        question, spent = self.question, proposal.cost
        recipe = str(proposal.recipe)
        seed = key(question.seed, "trial", proposal.fingerprint, recipe) % 2**31
        return Candidate(
            number=len(self.study.trials), design=str(proposal.design), recipe=recipe,
            decisions=proposal.decisions, options=proposal.options, seed=seed,
            fingerprint=proposal.fingerprint, params=spent.params, macs=spent.macs,
            activation_bytes=spent.activation_bytes, receptive_field=spent.receptive_field,
            slot=self.lanes.index(lane), start=lane.free, work=self._work(spent),
            counts=self.counts, versions=versions(), dataset=question.data.name,
            checksum=question.data.checksum, selected_on=question.selected_on,
            epochs=question.epochs, device=question.device, engine=question.engine)

    def _work(self, spent: Cost) -> int:
        return work(spent, self.question.engine)

    # Training ------------------------------------------------------------------------------

    def _task(self, trial: Trial) -> Task:
        candidate = trial.candidate
        return self.question.task(parse(candidate.design), parse_recipe(candidate.recipe),
                                  candidate.seed)

    def _submit(self, lane: _Lane) -> None:
        assert lane.number is not None
        trial = self.study.trials[lane.number]
        state, done = self.study.state(lane.number)
        lane.future = lane.slot.submit(_epochs, self._task(trial), state, done + 1,
                                       len(trial.epochs) + 1)

    def _handle(self, lane: _Lane) -> Iterator[Event]:
        """Wait for a slot's epoch, commit it and decide how its trial goes on."""
        assert lane.number is not None and lane.future is not None
        trial = self.study.trials[lane.number]
        try:
            state, result = lane.future.result(timeout=self._patience())
        except TimeoutError as error:
            if lane.future.done():  # a layer of the user's raised it
                yield from self._end(lane, "failed", f"TimeoutError: {error}")
            return  # else the time limit of the search is over
        except WorkerDied as error:
            lane.deaths += 1
            if lane.deaths >= DEATHS:
                yield from self._end(lane, "failed", f"{error}, {lane.deaths} times in one epoch")
            else:
                yield Retried(trial, str(error))
                self._submit(lane)
            return
        except LightsearchError:
            raise
        except Exception as error:  # a layer of the user's, or memory: this trial's own
            yield from self._end(lane, "failed", f"{type(error).__name__}: {error}")
            return
        lane.deaths = 0
        hit_before = self._hit(trial)
        trial = self.study.commit(lane.number, state, evaluated(state), result)
        lane.free = lane.ends
        yield EpochDone(trial, result, not hit_before and reached(result, self.target))
        yield from self._decide(lane)
        if lane.number is not None:
            lane.ends += trial.candidate.work
            self._submit(lane)

    def _patience(self) -> float | None:
        if self.deadline == float("inf"):
            return None
        return max(0.0, self.deadline - time.monotonic())

    def _decide(self, lane: _Lane) -> Iterator[Event]:
        """End the trial of a slot, or let it go on, from its epochs so far."""
        assert lane.number is not None
        trial = self.study.trials[lane.number]
        if trial.epochs[-1].diverged:
            yield from self._end(lane, "diverged", "the training loss is not finite")
        elif len(trial.epochs) >= self.question.epochs:
            yield from self._end(lane, "complete")
        elif not self._hit(trial) and self.study.should_prune(lane.number):
            yield from self._end(lane, "pruned")
        else:
            self._suspend_if_enough(lane)

    def _end(self, lane: _Lane, outcome: str, reason: str = "") -> Iterator[Event]:
        assert lane.number is not None
        trial = self.study.end(lane.number, outcome, reason)
        lane.number, lane.deaths = None, 0
        self.failures = self.failures + 1 if outcome == "failed" else 0
        yield Ended(trial, self.counts)
        if self.failures >= FAILURES:
            raise WorkerError(f"{FAILURES} trials in a row failed; the last one: {reason}")


def first(busy: Sequence[_Lane]) -> _Lane:
    """The slot whose epoch ends first in virtual time; of equals the first slot."""
    return min(busy, key=lambda lane: lane.ends)


def work(spent: Cost, engine: str) -> int:
    """What an epoch of a design takes, in multiplications for one image: its time on the virtual
    clock. Only ratios matter."""
    return spent.macs + MEMORY_WORK[engine] * sum(elements(step.shape) for step in spent.steps)


def _epochs(task: Task, state: State | None, first: int, last: int) -> tuple[State, EpochResult]:
    """Run in a slot: the epoch `last`, and those before it whose state was lost."""
    for epoch in range(first, last + 1):
        state, result = run_epoch(task, state, epoch)
    assert state is not None
    return state, result
