"""The search: proposals, epochs in slots, pruning, the leaderboard.

Several trials run at once, but the study is the same whatever the timing. Each epoch has a known
amount of work, the W slots advance on a virtual clock by that work, and proposals and pruning see
only what is earlier on it: the conductor always handles the running epoch that ends first in
virtual time, waiting for it where it must. W takes part in the result and is recorded. A search
that need not be repeatable takes epochs as they come.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import State
from lightsearch.errors import LightsearchError, WorkerError
from lightsearch.network.cost import Cost
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key
from lightsearch.searching.events import (
    Ended,
    EpochDone,
    Event,
    Planned,
    Retried,
    Started,
    Stopped,
    Stopping,
)
from lightsearch.searching.proposals import Exhausted, Proposal, Proposer
from lightsearch.searching.pruning import make_pruner
from lightsearch.searching.settings import Question
from lightsearch.shapes import elements
from lightsearch.slots import Slot, WorkerDied
from lightsearch.study.study import Study
from lightsearch.study.trial import Candidate, Counts, Trial, exact, reached, versions
from lightsearch.training.epoch import run_epochs, seconds_per_epoch
from lightsearch.training.task import EpochResult, Task

DEATHS = 3  # of workers over one epoch, before its trial is given up
POLL = 0.2  # seconds between looks at whether to stop, while an epoch is waited for
FAILURES = 5  # of trials in a row, before the search is given up

# Multiplications that a written value costs about, by engine (docs/benchmarks.md).
MEMORY_WORK = {"torch": 500, "native": 40}


def conduct(question: Question, slots: Sequence[Slot],
            stop: threading.Event | None = None) -> Iterator[Event]:
    """Run a search, or go on with it, and yield what happens. Closing the generator stops it.

    Once `stop` is set, it finishes the epochs that run and begins no others, but those that come
    before them on the virtual clock. The slots stay the caller's, to close.

    Raises `StudyError` for a folder that cannot be used, `BudgetError` for a budget that nothing
    meets, `WorkerError` where workers cannot work.
    """
    pruner = make_pruner(question.pruner, question.target, question.epochs)
    proposer = Proposer(question.space, question.recipe, shape=question.data.shape,
                        classes=question.data.classes, budget=question.budget,
                        sampler=question.sampler, seed=question.seed)
    with Study.open(question.folder, question.identity(), pruner) as study:
        run = _Run(question, proposer, study, slots, stop or threading.Event())
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
    task: Task | None = None
    ends: int = 0  # virtual time at which the running epoch ends
    future: Future[tuple[State, EpochResult]] | None = None
    limit: float = math.inf  # when the running epoch has taken too long
    deaths: int = 0


@dataclass(slots=True)
class _Run:
    question: Question
    proposer: Proposer
    study: Study
    slots: Sequence[Slot]
    stop: threading.Event
    lanes: list[_Lane] = field(default_factory=list)
    target: Fraction = Fraction(1)
    deadline: float = math.inf
    horizon: float = math.inf  # virtual time that is not passed any more, once asked to stop
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
            yield from self._heed()
            yield from self._fill()
            busy = [lane for lane in self.lanes if lane.number is not None]
            if not busy:
                break
            lane = first(busy) if self.question.repeatable else self._first_come(busy)
            if lane.ends > self.horizon:
                break
            yield from self._handle(lane)
            if time.monotonic() > self.deadline:
                self.finished = f"the time limit of {self.question.timeout:g} seconds is over"
                break
        asked = self.horizon < math.inf and bool(busy)
        yield Stopped("it was asked to stop, and the same call continues it" if asked
                      else self.finished or "all trials are done", asked)

    def _first_come(self, busy: list[_Lane]) -> _Lane:
        """The slot whose epoch ended first in fact, or the one to wait for now: where its time,
        or that of the search, is over, or where the search is to stop."""
        lanes = {lane.future: lane for lane in busy if lane.future is not None}
        if not any(future.done() for future in lanes):
            self.study.sync()
        while lanes:
            done = wait(lanes, POLL, FIRST_COMPLETED).done
            if done:
                return next(lane for future, lane in lanes.items() if future in done)
            late = min(lanes.values(), key=lambda lane: lane.limit)
            if time.monotonic() >= min(late.limit, self.deadline) or self.stop.is_set():
                return late
        return busy[0]

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
                lane.task = self._task(trial)
                resumed.append(trial)
        return resumed

    def _decide_last(self) -> Iterator[Event]:
        """Decide again about the latest epoch: the process may have died before it had.

        No other: about those before it, it was decided by what was known then. Where several
        ended at one virtual time, they were committed in the order of their slots.
        """
        if not self.question.repeatable:  # the latest on the clock need not be the latest
            for lane in self.lanes:
                if lane.number is not None and self.study.trials[lane.number].epochs:
                    yield from self._decide(lane)
            return
        lane = max(reversed(self.lanes), key=lambda lane: lane.free)
        if lane.number is not None and self.study.trials[lane.number].epochs:
            yield from self._decide(lane)

    def _plan(self, resumed: list[Trial]) -> Planned:
        question, survey = self.question, self.question.survey
        over = sum(t.outcome != "running" for t in self.study.trials)
        left = max(question.trials, len(self.study.trials)) - over
        epochs = left * question.epochs - sum(len(t.epochs) for t in resumed)
        each = self._typical_seconds() if epochs > 0 and not question.untimed else None
        seconds = None if each is None else epochs * each / len(self.lanes)
        return Planned(question.folder, question.trials, question.epochs, len(self.lanes),
                       len(self.study.trials), survey.designs, survey.within, survey.exact,
                       seconds)

    def _typical_seconds(self) -> float | None:
        """Seconds an epoch of a typical candidate takes here: a few steps, timed in a slot.

        None where that goes wrong: it is an estimate, and the trials will say what is the matter.
        """
        proposals = [self.proposer.sample(index) for index in range(32)]
        works = sorted((self._work(p.cost), index) for index, p in enumerate(proposals))
        proposal = proposals[works[len(works) // 2][1]]
        task = self.question.task(proposal.design, proposal.recipe, seed=0)
        try:
            return self.slots[0].submit(seconds_per_epoch, task).result(
                timeout=self.question.epoch_timeout)
        except WorkerDied:
            return None
        except LightsearchError:
            raise
        except Exception:  # a layer of the user's, or memory, or time
            self.slots[0].kill()
            return None

    # Proposing -----------------------------------------------------------------------------

    def _fill(self) -> Iterator[Event]:
        """Give every free slot a new trial, the one that has been free longest first."""
        free = [lane for lane in self.lanes if lane.number is None and lane.free <= self.horizon]
        for lane in sorted(free, key=lambda lane: lane.free):
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
            lane.task = self._task(trial)
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
        return self.question.task(*_parsed(candidate.design, candidate.recipe), candidate.seed)

    def _submit(self, lane: _Lane, known: State | None = None) -> None:
        """Begin a slot's next epoch, from the state that is `known` or from what is on disk."""
        assert lane.number is not None
        lane.future = None
        if lane.ends > self.horizon:
            return
        trial = self.study.trials[lane.number]
        state, done = (known, len(trial.epochs)) if known else self.study.state(lane.number)
        epochs = len(trial.epochs) + 1 - done  # more than one where states were lost
        lane.limit = time.monotonic() + epochs * self.question.epoch_timeout
        lane.future = self.study.written(lane.number, lane.slot.submit(
            run_epochs, lane.task, state, done + 1, len(trial.epochs) + 1))

    def _handle(self, lane: _Lane) -> Iterator[Event]:
        """Wait for a slot's epoch, commit it and decide how its trial goes on."""
        assert lane.number is not None and lane.future is not None
        trial = self.study.trials[lane.number]
        yield from self._wait(lane)
        if not lane.future.done():
            if time.monotonic() >= lane.limit:
                lane.slot.kill()
                yield from self._again(lane, "an epoch must take at most `epoch_timeout`="
                                             f"{self.question.epoch_timeout:g} seconds")
            return  # else the time limit of the search is over
        try:
            state, result = lane.future.result()
        except WorkerDied as error:
            yield from self._again(lane, str(error))
            return
        except LightsearchError:
            raise
        except Exception as error:  # a layer of the user's, or memory: this trial's own
            yield from self._end(lane, "failed", f"{type(error).__name__}: {error}")
            return
        lane.deaths = 0
        hit_before = self._hit(trial)
        trial = self.study.commit(lane.number, result)
        self.study.sync(at_once=not self._more())
        lane.free = lane.ends
        yield EpochDone(trial, result, not hit_before and reached(result, self.target))
        yield from self._decide(lane)
        if lane.number is not None:
            lane.ends += trial.candidate.work
            self._submit(lane, state)

    def _more(self) -> bool:
        """Whether another slot's epoch is done already, and may be committed with this one's."""
        done = (lane for lane in self.lanes if lane.future is not None and lane.future.done())
        return len(list(itertools.islice(done, 2))) > 1

    def _wait(self, lane: _Lane) -> Iterator[Event]:
        """Wait until a slot's epoch is done, or has taken too long, or the search has."""
        assert lane.future is not None
        if not lane.future.done():
            self.study.sync()
        while not lane.future.done():
            left = min(lane.limit, self.deadline) - time.monotonic()
            if left <= 0:
                return
            wait([lane.future], timeout=min(POLL, left))
            yield from self._heed()

    def _heed(self) -> Iterator[Event]:
        """Once asked to stop: no further on the virtual clock than the epochs that run."""
        if self.stop.is_set() and self.horizon == math.inf:
            running = [lane.ends for lane in self.lanes if lane.future is not None
                       and lane.number is not None]
            self.horizon = max(running, default=-1)
            yield Stopping(len(running))

    def _again(self, lane: _Lane, reason: str) -> Iterator[Event]:
        """Run a slot's epoch again after its worker died, unless that goes on and on."""
        assert lane.number is not None
        lane.deaths += 1
        if lane.deaths >= DEATHS:
            yield from self._end(lane, "failed", f"{reason}, {lane.deaths} times in one epoch")
        else:
            yield Retried(self.study.trials[lane.number], reason)
            self._submit(lane)

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
        lane.number, lane.future, lane.deaths = None, None, 0
        self.failures = self.failures + 1 if outcome == "failed" else 0
        yield Ended(trial, self.counts)
        if self.failures >= FAILURES:
            raise WorkerError(f"{FAILURES} trials in a row failed; the last one: {reason}. With "
                              "this mended, the same call continues the study; `lightsearch "
                              "train DESIGN` shows it with one design and no worker")


def first(busy: Sequence[_Lane]) -> _Lane:
    """The slot whose epoch ends first in virtual time; of equals the first slot."""
    return min(busy, key=lambda lane: lane.ends)


def work(spent: Cost, engine: str) -> int:
    """What an epoch of a design takes, in multiplications for one image: its time on the virtual
    clock. Only ratios matter."""
    return spent.macs + MEMORY_WORK[engine] * sum(elements(step.shape) for step in spent.steps)


@lru_cache(1024)  # each epoch of a trial asks
def _parsed(design: str, recipe: str) -> tuple[Design, Recipe]:
    return parse(design), parse_recipe(recipe)
