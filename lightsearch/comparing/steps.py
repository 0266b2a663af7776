"""How good a study's answer was after each of its epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.notation.parser import parse
from lightsearch.result import SearchResult
from lightsearch.study.history import order_epochs
from lightsearch.study.trial import Trial
from lightsearch.surrogate.answers import true_accuracy

Floats: TypeAlias = "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Steps:
    """A study's measure after each epoch (NaN before it has one), and the seconds up to then."""

    values: Floats
    seconds: Floats

    @property
    def first(self) -> int:
        """After how many epochs the measure is there; beyond the last where it never is."""
        known = np.flatnonzero(~np.isnan(self.values))
        return int(known[0]) + 1 if len(known) else len(self.values) + 1

    def at_second(self, seconds: Floats) -> Floats:
        """Return the measure at moments, in seconds of training."""
        done = np.searchsorted(self.seconds, seconds, side="right")
        return np.concatenate([[np.nan], self.values])[done]


def take_steps(result: SearchResult, measure: Measure) -> Steps:
    """Follow a study's epochs in the order of its search.

    Seconds are those of training, of all trials together.
    """
    find = _MEASURES[check_measure(measure)]
    order = order_epochs(result.records)
    values = find(order, result.identity.epochs)
    seconds = np.cumsum([trial.epochs[index].seconds for trial, index in order])
    return Steps(np.array(values, dtype=float), seconds.astype(float))


def check_measure(measure: Measure) -> Measure:
    """Return `measure`. Raises `ArgumentError` if there is no such measure."""
    if not isinstance(measure, str) or measure not in _MEASURES:
        raise ArgumentError(
            f"`measure` must be one of {', '.join(_MEASURES)}, but got "
            f"{quote(measure)}{suggestion(measure, _MEASURES)}"
        )
    return measure


def check_has_measure(result: SearchResult, measure: Measure) -> None:
    """Raise `ArgumentError` if a study cannot have a measure."""
    identity = result.identity
    if measure == "test" and identity.selected_on == "test":
        raise ArgumentError(
            "with measure='test', studies must select on images that were held out, but "
            f"{result.folder} has select_on='test': its best accuracy is of images that picked it"
        )
    if measure == "true" and identity.engine != "surrogate":
        raise ArgumentError(
            "with measure='true', studies must have engine='surrogate', which knows a design's "
            f"true mean, but {result.folder} has engine={identity.engine!r}"
        )


Order: TypeAlias = list[tuple[Trial, int]]


def _follow_best(order: Order, epochs: int) -> list[float]:
    """The best accuracy of any epoch so far, on the images that select."""
    best, found = 0.0, []
    for trial, index in order:
        best = max(best, trial.epochs[index].accuracy)
        found.append(best)
    return found


def _follow_pick(judge: Callable[[Trial], float | None]) -> Callable[[Order, int], list[float]]:
    """What is known of the design that would be taken: of the whole trials so far, that with the
    best last epoch on the images that select."""

    def follow(order: Order, epochs: int) -> list[float]:
        picked, known, found = -1, np.nan, []
        for trial, index in order:
            last = trial.epochs[index]
            if index == epochs - 1 and trial.outcome == "complete" and last.correct > picked:
                judged = judge(trial)
                picked, known = last.correct, np.nan if judged is None else judged
            found.append(known)
        return found

    return follow


Measure: TypeAlias = Literal["best", "test", "true"]
_MEASURES: dict[Measure, Callable[[Order, int], list[float]]] = {
    "best": _follow_best,
    "test": _follow_pick(lambda trial: trial.epochs[-1].test_accuracy),
    "true": _follow_pick(lambda trial: true_accuracy(parse(trial.candidate.design))),
}
MEASURES = tuple(_MEASURES)
