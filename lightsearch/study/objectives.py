"""Objectives of several values: their directions, in Optuna's words, and their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from lightsearch.checks import to_number
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.study.orders import DIRECTIONS, Direction
from lightsearch.study.trial import Trial

Objectives: TypeAlias = Callable[[Trial], Sequence[float]]


def check_directions(directions: Sequence[str]) -> tuple[Direction, ...]:
    """Return directions as they were given. Raises `ArgumentError` unless they are two or more."""
    given: list[Direction] = []
    for one in (directions,) if isinstance(directions, str) else directions:
        known = [word for word in DIRECTIONS if word == one]
        given += known
        if not known:
            raise ArgumentError(
                f"`directions` must be of {' and '.join(DIRECTIONS)}, but got {quote(one)}"
                f"{suggestion(one, DIRECTIONS)}"
            )
    if len(given) < 2:
        raise ArgumentError(
            f"`directions` must be two or more, one for each value, but got {given!r}"
        )
    return tuple(given)


def judge_all(objective: Objectives, trial: Trial, count: int) -> tuple[float, ...]:
    """Return the `count` values of an objective for a trial.

    Raises `ArgumentError` unless they are so many finite numbers.
    """
    found = objective(trial)
    numbers = [to_number(one) for one in found] if isinstance(found, Sequence) else []
    values = tuple(one for one in numbers if one is not None and math.isfinite(one))
    if len(values) != count or len(numbers) != count:
        raise ArgumentError(
            f"`objective` must give {count} finite numbers, one for each of `directions`, but "
            f"gave {found!r:.100} for trial {trial.number}"
        )
    return values
