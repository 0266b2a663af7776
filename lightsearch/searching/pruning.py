"""Pruning: which trials to stop, from their test accuracy after each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from lightsearch.checks import check_integer, check_number, to_number
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.searching.words import PRUNERS
from lightsearch.surrogate.forecast import Line, fit_line
from lightsearch.surrogate.table import IMAGES

FIRST_WHOLE = 1  # trials that `rungs` trains whole
LEAST_ERROR = 5e-5  # that has a logarithm of its own: half an image of 10,000


def _check_not_negative(name: str, value: Any) -> int | float:
    """Return a number of Python, from one that may be of NumPy."""
    number = to_number(value)
    if number is None or not number >= 0:
        raise ArgumentError(f"`{name}` must be >= 0, but got {name}={quote(value)}")
    return number


def _check_count(name: str, value: Any, low: int = 1) -> int:
    """Return a count as an `int` of Python, from one that may be of NumPy."""
    return check_integer(name, value, low, 10**9)


def _check_consistent(value: Any) -> int | None:
    return None if value is None else _check_count("consistent", value)


class TargetPruner(optuna.pruners.BasePruner):
    """Stop a trial that no finished trial's progress would bring to the target.

    At each epoch it takes the largest rise that any complete trial made from that epoch to its
    best one, widens it by `slack` (1.0: as much again), and prunes where even that would
    leave the accuracy below the target. It prunes nothing before `warmup` epochs, nor before
    `startup` trials are complete. Unlike a median it has no quota: where every design is good,
    every design is trained.

    If the last `consistent` epochs must all reach the target, the rise is taken to the lowest of
    those instead of to the best epoch.
    """

    def __init__(
        self,
        target: float,
        *,
        warmup: int = 3,
        startup: int = 3,
        slack: float = 1.0,
        consistent: int | None = None,
    ) -> None:
        self.target = check_number("target", target, 0.0, 1.0)
        self.warmup = _check_not_negative("warmup", warmup)
        self.startup = _check_not_negative("startup", startup)
        self.slack = _check_not_negative("slack", slack)
        self.consistent = _check_consistent(consistent)
        self._known: tuple[Any, ...] | None = None
        self._found: dict[int, tuple[int, float]] = {}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < self.warmup:
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        count, rise = self._rises(study, complete).get(step, (0, 0.0))
        if count < self.startup:
            return False
        return trial.intermediate_values[step] + rise * (1 + self.slack) < self.target

    def _rises(
        self, study: optuna.Study, complete: list[FrozenTrial]
    ) -> dict[int, tuple[int, float]]:
        """By epoch, how many trials had it, and the largest rise from there on. Every epoch of
        every slot asks."""
        known = (study, *_extent(complete))
        if self._known != known:
            self._known, self._found = known, {}
            for trial in complete:
                values = trial.intermediate_values
                end = _decisive(values, self.consistent)
                for step, value in values.items():
                    count, rise = self._found.get(step, (0, 0.0))
                    self._found[step] = count + 1, max(rise, end - value)
        return self._found


class PredictedPruner(optuna.pruners.BasePruner):
    """Stop a trial whose predicted best accuracy stays below the target even if it is lucky.

    The prediction is a line from the epoch to the best one, from the complete trials and from the
    rise of other designs' curves (`surrogate.forecast`). A trial stops if the prediction, better
    by `errors` times its standard error, is below the target. Those curves are of 10,000 images:
    with fewer `images` the counts are less certain, by the binomial variance. With `consistent`,
    the lowest of so many last epochs is predicted in place of the best one. Of the epochs the last
    `clean` ones are without augmentation, and raise those curves most that are low. Nothing stops
    before a fifth of the `epochs`, nor before three trials are complete.
    """

    def __init__(
        self,
        target: float,
        epochs: int,
        *,
        errors: float = 1.96,
        consistent: int | None = None,
        images: int = IMAGES,
        clean: int = 0,
    ) -> None:
        self.target = check_number("target", target, 0.0, 1.0)
        self.epochs = _check_count("epochs", epochs)
        self.clean = _check_count("clean", clean, 0)
        self.errors = _check_not_negative("errors", errors)
        self.consistent = _check_consistent(consistent)
        self._share = max(0.0, 1 / _check_count("images", images) - 1 / IMAGES)
        self._known: tuple[Any, ...] | None = None
        self._lines: dict[int, Line | None] = {}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < first_rung(self.epochs):
            return False
        line = self._line(study, step)
        if line is None:
            return False
        predicted = line.predict(_level(trial.intermediate_values[step]))
        error = math.sqrt(line.spread**2 + self._share / math.exp(predicted))
        return predicted - self.errors * error > _level(self.target)

    def _line(self, study: optuna.Study, step: int) -> Line | None:
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = (study, *_extent(complete))
        if self._known != known:
            self._known, self._lines = known, {}
        if step not in self._lines:
            curves = [t.intermediate_values for t in complete if step in t.intermediate_values]
            now = np.array([_level(curve[step]) for curve in curves])
            best = np.array([_level(_decisive(curve, self.consistent)) for curve in curves])
            before = self.clean > 0 and step <= self.epochs - self.clean
            self._lines[step] = fit_line(now, best, step / self.epochs, clean=before)
        return self._lines[step]


class RungPruner(optuna.pruners.BasePruner):
    """After a fifteenth of the `epochs`, go on with the best fifteenth of the trials that came as
    far; after a fifth, with the best half.

    It is successive halving with two early rungs (ASHA, Li et al. 2018), of which the first is
    strict. So most designs cost one epoch, as in Egele et al. 2023. `shares` are those that go on,
    and the first `first` trials are trained whole.
    """

    def __init__(
        self, epochs: int, shares: tuple[float, float] = (1 / 15, 1 / 2), first: int = FIRST_WHOLE
    ) -> None:
        epochs = _check_count("epochs", epochs)
        if not isinstance(shares, Sequence) or len(shares) != 2:
            raise ArgumentError(f"`shares` must be two numbers, but got shares={quote(shares)}")
        rungs = max(1, round(epochs / 15)), first_rung(epochs)
        early, late = (check_number("shares", share, 0.0, 1.0) for share in shares)
        self.shares = dict(zip(rungs, (early, late), strict=True))  # the late one if they coincide
        self.first = _check_count("first", first, 0)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step not in self.shares:
            return False
        values = _sort_values(study, step)
        if len(values) <= self.first:
            return False
        count = max(1, int(len(values) * self.shares[step]))
        return trial.intermediate_values[step] < values[count - 1]


def first_rung(epochs: int) -> int:
    """Return the epoch after which trials are judged: a fifth of all, at least one."""
    return max(1, round(epochs / 5))


def _sort_values(study: optuna.Study, step: int) -> list[float]:
    """The accuracies of all trials that came as far as an epoch, best first."""
    trials = study.get_trials(deepcopy=False)
    values = [value for t in trials if (value := t.intermediate_values.get(step)) is not None]
    return sorted(values, reverse=True)


def _decisive(values: dict[int, float], consistent: int | None) -> float:
    """The accuracy by which a complete trial is a hit or not."""
    if consistent is None:
        return max(values.values(), default=0.0)
    return min((values[step] for step in sorted(values)[-consistent:]), default=0.0)


def _level(accuracy: float) -> float:
    return math.log(max(1 - accuracy, LEAST_ERROR))


def _extent(complete: list[FrozenTrial]) -> tuple[int, ...]:
    """What changes when a trial is added: their number, and the numbers at both ends."""
    return (len(complete), complete[0].number, complete[-1].number) if complete else (0,)


class HalvingPruner(optuna.pruners.BasePruner):
    """Successive halving (ASHA, Li et al. 2018): at epochs `first`, 2 `first`, 4 `first` and so
    on, go on with the better half of the trials that have come as far.

    It decides as Optuna's `SuccessiveHalvingPruner` does with a reduction factor of 2, where every
    epoch is reported and asked about. Optuna's notes in the study what it has decided, so that
    after a kill between its note and the decision it would decide otherwise; this one notes
    nothing.
    """

    def __init__(self, first: int) -> None:
        self.first = _check_count("first", first)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        times, rest = divmod(step, self.first)
        if rest or not times or times & (times - 1):  # not a power of two
            return False
        values = _sort_values(study, step)
        return trial.intermediate_values[step] < values[max(1, len(values) // 2) - 1]


def make_pruner(
    pruner: Any,
    target: Fraction,
    epochs: int,
    consistent: int | None = None,
    images: int = IMAGES,
    clean: int = 0,
) -> optuna.pruners.BasePruner:
    """The pruner of a name, or a user's own Optuna pruner as it is. `images` select, and the last
    `clean` epochs are without augmentation."""
    if isinstance(pruner, optuna.pruners.BasePruner):
        return pruner
    if pruner == "predicted":
        return PredictedPruner(
            float(target), epochs, consistent=consistent, images=images, clean=clean
        )
    if pruner == "rungs":
        return RungPruner(epochs)
    if pruner == "target":
        return TargetPruner(float(target), consistent=consistent)
    if pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3)
    if pruner == "halving":
        return HalvingPruner(min(3, epochs))
    if pruner == "none":
        return optuna.pruners.NopPruner()
    raise ArgumentError(
        f"`pruner` must be one of {', '.join(PRUNERS)}, or an Optuna pruner, "
        f"but got {quote(pruner)}{suggestion(pruner, PRUNERS)}"
    )
