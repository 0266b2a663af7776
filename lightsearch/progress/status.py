"""The progress of a search: one value, replaced at each event."""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass
from fractions import Fraction

from lightsearch.searching.events import Ended, EpochDone, Event, Planned, Started, Stopped
from lightsearch.searching.question import Question
from lightsearch.study.trial import Counts, Trial

LATEST = 50  # epochs that the estimate of the time left uses
NONE = Counts()


@dataclass(frozen=True, slots=True)
class Status:
    """The progress of a search. It is frozen, so that a thread may draw it at any time."""

    question: Question
    planned: Planned | None = None
    counts: Counts = NONE
    running: tuple[Trial, ...] = ()
    best: Trial | None = None
    outcomes: tuple[str, ...] = ()  # of the trials that ended, here and before
    hits: frozenset[int] = frozenset()
    seconds: tuple[float, ...] = ()  # of the latest epochs in their workers, and the plan's
    since: float = 0.0  # when the latest event came
    ends: float = float("inf")  # when the time limit is over

    @property
    def target(self) -> Fraction:
        """The accuracy that counts as a hit."""
        return self.question.identity.target

    @property
    def images(self) -> str:
        """The images that accuracies are measured on: test, or val if some are held out."""
        return "test" if self.question.holdout is None else "val"

    def tally(self, outcome: str) -> int:
        """How many trials ended with this outcome."""
        return self.outcomes.count(outcome)

    def epochs_left(self) -> int:
        """How many epochs are left to train if no more trials are pruned."""
        assert self.planned is not None
        trials = max(self.planned.trials, self.planned.resumed) - len(self.outcomes)
        return max(0, trials * self.planned.epochs - sum(len(t.epochs) for t in self.running))

    def seconds_left(self, now: float) -> float | None:
        """An upper estimate from the epochs trained here so far; None if there is none."""
        if self.planned is None or not self.seconds or not self.epochs_left():
            return None
        each = statistics.median(self.seconds) / self.planned.workers
        later = max(0, self.epochs_left() - len(self.running))  # epochs that do not run yet
        left = max(self.epochs_left() * each - (now - self.since), later * each)
        return max(0.0, min(left, self.ends - now))


def after(status: Status, event: Event) -> Status:
    """Return the progress after an event."""
    put = dataclasses.replace
    status = put(status, since=time.monotonic())
    if isinstance(event, Planned):
        limit = status.question.settings.timeout
        ends = float("inf") if limit is None else status.since + limit
        return _with_estimate(_with_earlier_trials(put(status, planned=event, ends=ends)))
    if isinstance(event, Started):
        status = _with_counts(status, event.trial.candidate.counts)
        return put(status, running=_add(status.running, event.trial))
    if isinstance(event, EpochDone):
        status = put(
            status,
            running=_add(status.running, event.trial),
            seconds=(*status.seconds, event.result.seconds)[-LATEST:],
        )
        return _with_trial(status, event.trial)
    if isinstance(event, Ended):
        status = _with_counts(status, event.counts)
        return put(
            status,
            running=_remove(status.running, event.trial),
            outcomes=(*status.outcomes, event.trial.outcome),
        )
    if isinstance(event, Stopped):
        return put(status, running=())
    return status


def _with_earlier_trials(status: Status) -> Status:
    """Add the trials of earlier calls on the same study."""
    assert status.planned is not None
    if status.planned.resumed:
        for trial in status.planned.earlier:
            status = _with_trial(_with_counts(status, trial.candidate.counts), trial)
            if trial.outcome == "running":
                running = _add(status.running, trial)
                status = dataclasses.replace(status, running=running)
            else:
                outcomes = (*status.outcomes, trial.outcome)
                status = dataclasses.replace(status, outcomes=outcomes)
    return status


def _with_estimate(status: Status) -> Status:
    """Add the plan's time of an epoch, repeated so often that it outweighs the first epochs of
    the workers, which take longer."""
    plan, left = status.planned, status.epochs_left()
    if plan is None or plan.seconds is None or not left:
        return status
    each = plan.seconds * plan.workers / left
    return dataclasses.replace(status, seconds=(each,) * (plan.workers + 1))


def _with_counts(status: Status, counts: Counts) -> Status:
    newer = counts.drawn >= status.counts.drawn
    return dataclasses.replace(status, counts=counts) if newer else status


def _with_trial(status: Status, trial: Trial) -> Status:
    """Update the best trial and the hits with `trial`."""
    if trial.best is None:
        return status
    if (
        status.best is None
        or status.best.best is None
        or trial.best.correct > status.best.best.correct
    ):
        status = dataclasses.replace(status, best=trial)
    if status.question.identity.rule.is_hit(trial.epochs):
        status = dataclasses.replace(status, hits=status.hits | {trial.number})
    return status


def _add(trials: tuple[Trial, ...], trial: Trial) -> tuple[Trial, ...]:
    return tuple(sorted((*_remove(trials, trial), trial), key=lambda t: t.number))


def _remove(trials: tuple[Trial, ...], trial: Trial) -> tuple[Trial, ...]:
    return tuple(t for t in trials if t.number != trial.number)
