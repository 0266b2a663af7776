"""What accuracies over several seeds say about a design: bounds of the mean and of the share.

Accuracies are kept as numbers of right images, so that means are exact and a mean that equals the
target is at the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.special import betaincinv, stdtr, stdtrit

ERROR = 0.05  # of calling something confirmed that is not
FEWEST = 3  # seeds before a design may be given up


@dataclass(frozen=True, slots=True)
class Sample:
    """The number of right images of `total`, by seed.

    >>> from lightsearch.statistics import Sample
    >>> sample = Sample((9941, 9946, 9944, 9949), 10_000)
    >>> float(sample.mean), round(sample.bound(), 5)
    (0.9945, 0.9941)
    """

    correct: tuple[int, ...]
    total: int

    def __len__(self) -> int:
        return len(self.correct)

    @property
    def mean(self) -> Fraction:
        """Mean accuracy, exactly."""
        return Fraction(sum(self.correct), len(self.correct) * self.total)

    @property
    def sd(self) -> float:
        """Standard deviation of the accuracy (n - 1); not a number for a single seed."""
        count = len(self.correct)
        if count < 2:
            return math.nan
        squares = count * sum(c * c for c in self.correct) - sum(self.correct) ** 2  # exact
        return math.sqrt(squares / (count * (count - 1))) / self.total

    def hits(self, target: Fraction) -> int:
        """How many seeds reached the target."""
        return sum(Fraction(c, self.total) >= target for c in self.correct)

    def _margin(self, error: float) -> float:
        """How far the one-sided bound is from the mean; infinite for a single seed."""
        count = len(self.correct)
        if count < 2:
            return math.inf
        return float(stdtrit(count - 1, 1 - error)) * self.sd / math.sqrt(count)

    def bound(self, error: float = ERROR) -> float:
        """The one-sided lower t bound of the mean, at confidence `1 - error`."""
        return float(self.mean) - self._margin(error)

    def above(self, target: Fraction, error: float = ERROR) -> bool:
        """Whether that bound is at or above the target."""
        return float(self.mean - target) >= self._margin(error)

    def below(self, target: Fraction, error: float = ERROR) -> bool:
        """Whether the one-sided upper t bound is below the target, for enough seeds."""
        return len(self) >= FEWEST and float(target - self.mean) > self._margin(error)

    def p_value(self, target: Fraction) -> float:
        """Of the one-sided t test that the mean is at most the target."""
        count, above = len(self.correct), float(self.mean - target)
        if count < 2:
            return 1.0
        if self.sd == 0:
            return 0.0 if above >= 0 else 1.0
        return float(stdtr(count - 1, -above / self.sd * math.sqrt(count)))


def share_bound(hits: int, count: int, error: float = ERROR) -> float:
    """The one-sided lower bound of a share at confidence `1 - error`.

    Clopper and Pearson 1934: never less sure than it says.
    """
    return float(betaincinv(hits, count - hits + 1, error)) if hits else 0.0


def holm(p_values: Sequence[float], error: float = ERROR) -> list[float]:
    """The level that each of several tests must meet, so that all of them together are wrong
    with a probability of at most `error` (Holm 1979).

    The smallest p value is held against `error / m`, the next against `error / (m - 1)`, and so
    on up to the first that fails, whose level is also that of all larger ones.

    >>> from lightsearch.statistics import holm
    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.016666666666666666, 0.025, 0.025, 0.0125]
    """
    levels = [0.0] * len(p_values)
    left, level = len(p_values), 0.0
    failed = False
    for index in sorted(range(len(p_values)), key=lambda i: p_values[i]):
        if not failed:
            level = error / left
            left -= 1
            failed = p_values[index] > level
        levels[index] = level
    return levels
