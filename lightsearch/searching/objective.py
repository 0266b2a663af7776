"""An objective of the user's: what proposals are to make large, in place of the accuracy.

It is a function of a trial as it stands after an epoch. Samplers are shown trials whose accuracies
are its values, so that each of them works as it does otherwise. A value is at most 1, as an
accuracy is: one less the value is what samplers take for the error.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from lightsearch.checks import to_number
from lightsearch.errors import ArgumentError
from lightsearch.naming import name_function
from lightsearch.study.trial import Trial
from lightsearch.training.epoch_result import EpochResult

Objective = Callable[[Trial], float]
PARTS = 10**9  # a value is shown as so many images of these


def show_trial(trial: Trial, objective: Objective, known: Sequence[EpochResult] = ()) -> Trial:
    """Return a trial with the values of an objective in place of its accuracies.

    For an epoch before the last, the function sees the trial as it was then, while it ran. The
    first epochs are taken from `known`, if they are there. Epochs that diverged stay.
    """
    epochs: list[EpochResult] = list(known[: max(0, len(trial.epochs) - 1)])
    for end in range(len(epochs) + 1, len(trial.epochs) + 1):
        last = trial.epochs[end - 1]
        if not last.diverged:
            whole = end == len(trial.epochs)
            seen = trial if whole else Trial(trial.candidate, trial.epochs[:end])
            right = round(PARTS * judge(objective, seen))
            last = dataclasses.replace(last, correct=right, total=PARTS)
        epochs.append(last)
    return dataclasses.replace(trial, epochs=tuple(epochs)) if epochs else trial


def judge(objective: Objective, trial: Trial) -> float:
    """Return the value of an objective for a trial.

    Raises `ArgumentError` if it is no finite number of at most 1.
    """
    value = to_number(objective(trial))
    if value is None or not math.isfinite(value) or value > 1:
        raise ArgumentError(
            "`objective` must give a finite number of at most 1, as an accuracy is, but gave "
            f"{value!r} for trial {trial.number} after epoch {len(trial.epochs)}"
        )
    return value


def name_objective(function: Callable[[Trial], Any] | None) -> str:
    """Return the name of a function with a digest of what it computes; "" for None.

    Raises `ArgumentError` for what is no `def`, and for values that a text does not tell.
    """
    return "" if function is None else name_function("objective", function, "a trial")
