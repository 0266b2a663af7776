"""Where the curve of a trial will end, predicted from its epochs so far.

All is in *levels*: the logarithm of the error, in which the seed's noise is about as large for
good designs as for bad ones. The level at the last epoch is a line in the level at an earlier one.
The trials that this study has completed give the line its place; its slope and its error come from
them and from the table of curves (`lightsearch.surrogate`). Epochs of the table count as shares
of a training. Only these two figures, of how curves of other designs rise, are known beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightsearch.surrogate.table import EPOCHS, IMAGES, read_runs

Array: TypeAlias = NDArray[np.float64]
PRIOR = 10.0  # complete trials that the table of curves counts as
# Clean last epochs raise low curves a little more than high ones; the table has none. Measured on
# pairs of runs: docs/benchmarks/defaults.md
CLEAN_SLOPE = 0.85
FEWEST = 3  # complete trials without which nothing is predicted


def level(correct: float, total: int) -> float:
    """Return the logarithm of the error, from 0 to 1. Half an image stands for none."""
    return math.log(max(total - correct, 0.5) / total)


@dataclass(frozen=True, slots=True)
class Line:
    """`last = center_last + slope * (now - center_now)`, with an error of `spread`."""

    center_now: float
    center_last: float
    slope: float
    spread: float

    def predict(self, now: float) -> float:
        return self.center_last + self.slope * (now - self.center_now)


def fit_line(now: Array, last: Array, share: float, *, clean: bool = False) -> Line | None:
    """Return the line from an epoch, at `share` of the training, to the last one.

    `now` and `last` are the levels of the complete trials. None if these are too few. If `clean`,
    images are without augmentation later on, and not yet.
    """
    if len(now) < FEWEST:
        return None
    prior = table_line(max(1, round(share * EPOCHS)))
    x, y = now - now.mean(), last - last.mean()
    # the table counts as PRIOR trials whose levels spread as those of this study do
    mass = PRIOR * max(float(x.var()), 1e-6)
    known = prior.slope * (CLEAN_SLOPE if clean else 1.0)
    slope = float((x @ y + mass * known) / (x @ x + mass))
    left = y - slope * x
    spread = np.sqrt((left @ left + PRIOR * prior.spread**2) / (len(x) - 1 + PRIOR))
    return Line(float(now.mean()), float(last.mean()), slope, float(spread))


@cache
def table_line(epoch: int) -> Line:
    """Return the line from `epoch` of the table of curves to its last epoch.

    It is fitted within the groups of designs that were drawn alike, such as near one cap.
    """
    groups: dict[str, list[tuple[float, float]]] = {}
    for run in read_runs():
        pair = level(run.averaged[epoch - 1], IMAGES), level(run.averaged[-1], IMAGES)
        groups.setdefault(run.drawn, []).append(pair)
    parts = [np.array(group) for group in groups.values() if len(group) > 1]
    pairs = np.concatenate([part - part.mean(axis=0) for part in parts])
    freedom = sum(len(part) - 1 for part in parts)
    x, y = pairs.T
    slope = float(x @ y / (x @ x))
    left = y - slope * x
    return Line(0.0, 0.0, slope, float(np.sqrt(left @ left / max(1, freedom - 1))))
