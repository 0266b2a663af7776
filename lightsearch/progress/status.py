"""How far a search is, from its events: one value that is replaced at each of them."""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass
from fractions import Fraction

from lightsearch.searching.events import Ended, EpochDone, Event, Planned, Started, Stopped
from lightsearch.searching.question import Question
from lightsearch.study.journal import read_trials
from lightsearch.study.trial import Counts, Trial, reached

LATEST = 50  # epochs by which the time left is estimated
NONE = Counts()


@dataclass(frozen=True, slots=True)
class Status:
    """How far a search is. Replaced at each event, so that a thread may draw it at any time."""

    question: Question
    planned: Planned | None = None
    counts: Counts = NONE
    running: tuple[Trial, ...] = ()
    best: Trial | None = None
    outcomes: tuple[str, ...] = ()  # of the trials that ended, here and before
    hits: frozenset[int] = frozenset()
    took: tuple[float, ...] = ()  # seconds of the latest epochs in their workers, and the plan's
    since: float = 0.0  # when the latest event came
    ends: float = float("inf")  # when the time limit is over

    @property
    def target(self) -> Fraction:
        """The accuracy that counts as a hit."""
        return self.question.identity.target

    @property
    def images(self) -> str:
        """What accuracies are of: the test images, or the ones held out (val)."""
        return "test" if self.question.holdout is None else "val"

    def tally(self, outcome: str) -> int:
        """How many trials ended that way."""
        return self.outcomes.count(outcome)

    def epochs_left(self) -> int:
        """Epochs still to be trained if nothing more is pruned."""
        assert self.planned is not None
        trials = max(self.planned.trials, self.planned.resumed) - len(self.outcomes)
        return max(0, trials * self.planned.epochs - sum(len(t.epochs) for t in self.running))

    def seconds_left(self, now: float) -> float | None:
        """About how long the rest takes at most, by the epochs trained here so far."""
        if self.planned is None or not self.took or not self.epochs_left():
            return None
        each = statistics.median(self.took) / self.planned.workers
        later = max(0, self.epochs_left() - len(self.running))  # epochs that do not run yet
        left = max(self.epochs_left() * each - (now - self.since), later * each)
        return max(0.0, min(left, self.ends - now))


def after(status: Status, event: Event) -> Status:
    """How far the search is after an event."""
    put = dataclasses.replace
    status = put(status, since=time.monotonic())
    if isinstance(event, Planned):
        limit = status.question.settings.timeout
        ends = float("inf") if limit is None else status.since + limit
        return _expecting(_known(put(status, planned=event, ends=ends)))
    if isinstance(event, Started):
        status = _counted(status, event.trial.candidate.counts)
        return put(status, running=_with(status.running, event.trial))
    if isinstance(event, EpochDone):
        status = put(status, running=_with(status.running, event.trial),
                     took=(*status.took, event.result.seconds)[-LATEST:])
        return _judged(status, event.trial)
    if isinstance(event, Ended):
        status = _counted(status, event.counts)
        return put(status, running=_without(status.running, event.trial),
                   outcomes=(*status.outcomes, event.trial.outcome))
    if isinstance(event, Stopped):
        return put(status, running=())
    return status


def _known(status: Status) -> Status:
    """With what an earlier call of the same study has trained."""
    assert status.planned is not None
    if status.planned.resumed:
        for trial in read_trials(status.planned.folder):
            status = _judged(_counted(status, trial.candidate.counts), trial)
            if trial.outcome == "running":
                running = _with(status.running, trial)
                status = dataclasses.replace(status, running=running)
            else:
                outcomes = (*status.outcomes, trial.outcome)
                status = dataclasses.replace(status, outcomes=outcomes)
    return status


def _expecting(status: Status) -> Status:
    """With the plan's time of an epoch, often enough to outweigh the first epochs of the workers,
    which take longer."""
    plan, left = status.planned, status.epochs_left()
    if plan is None or plan.seconds is None or not left:
        return status
    each = plan.seconds * plan.workers / left
    return dataclasses.replace(status, took=(each,) * (plan.workers + 1))


def _counted(status: Status, counts: Counts) -> Status:
    newer = counts.drawn >= status.counts.drawn
    return dataclasses.replace(status, counts=counts) if newer else status


def _judged(status: Status, trial: Trial) -> Status:
    """With the best trial and the hits, `trial` among them."""
    if trial.best is None:
        return status
    if status.best is None or status.best.best is None \
            or trial.best.correct > status.best.best.correct:
        status = dataclasses.replace(status, best=trial)
    if reached(trial.best, status.target):
        status = dataclasses.replace(status, hits=status.hits | {trial.number})
    return status


def _with(trials: tuple[Trial, ...], trial: Trial) -> tuple[Trial, ...]:
    return tuple(sorted((*_without(trials, trial), trial), key=lambda t: t.number))


def _without(trials: tuple[Trial, ...], trial: Trial) -> tuple[Trial, ...]:
    return tuple(t for t in trials if t.number != trial.number)
