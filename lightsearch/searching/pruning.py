"""Pruning: which trials to stop, from their test accuracy after each epoch."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lightsearch.checks import check_number
from lightsearch.errors import ArgumentError, suggestion
from lightsearch.searching.settings import PRUNERS


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
        check_number("target", target, 0.0, 1.0)
        for name, value in (("warmup", warmup), ("startup", startup), ("slack", slack)):
            if not isinstance(value, int | float) or not value >= 0:
                raise ArgumentError(f"`{name}` must be >= 0, but got {name}={value!r}")
        self.target, self.warmup, self.startup, self.slack = target, warmup, startup, slack
        self.consistent = consistent
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
        ends = (complete[0].number, complete[-1].number) if complete else ()
        known = (study, len(complete), ends)  # by number: what is new changes one of these
        if self._known != known:
            self._known, self._found = known, {}
            for trial in complete:
                values = trial.intermediate_values
                end = self._decisive(values)
                for step, value in values.items():
                    count, rise = self._found.get(step, (0, 0.0))
                    self._found[step] = count + 1, max(rise, end - value)
        return self._found

    def _decisive(self, values: dict[int, float]) -> float:
        """The accuracy by which a complete trial is a hit or not."""
        if self.consistent is None:
            return max(values.values(), default=0.0)
        return min((values[step] for step in sorted(values)[-self.consistent :]), default=0.0)


class HalvingPruner(optuna.pruners.BasePruner):
    """Successive halving (ASHA, Li et al. 2018): at epochs `first`, 2 `first`, 4 `first` and so
    on, go on with the better half of the trials that have come as far.

    It decides as Optuna's `SuccessiveHalvingPruner` does with a reduction factor of 2, where every
    epoch is reported and asked about. Optuna's notes in the study what it has decided, so that
    after a kill between its note and the decision it would decide otherwise; this one notes
    nothing.
    """

    def __init__(self, first: int) -> None:
        self.first = first

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        times, rest = divmod(step, self.first)
        if rest or not times or times & (times - 1):  # not a power of two
            return False
        values = sorted(
            (
                t.intermediate_values[step]
                for t in study.get_trials(deepcopy=False)
                if step in t.intermediate_values
            ),
            reverse=True,
        )
        return trial.intermediate_values[step] < values[max(1, len(values) // 2) - 1]


def make_pruner(
    pruner: Any, target: Fraction, epochs: int, consistent: int | None = None
) -> optuna.pruners.BasePruner:
    """The pruner of a name, or a user's own Optuna pruner as it is."""
    if isinstance(pruner, optuna.pruners.BasePruner):
        return pruner
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
        f"but got {pruner!r}{suggestion(pruner, PRUNERS)}"
    )
