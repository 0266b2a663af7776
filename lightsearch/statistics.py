"""Statistics of a design's accuracy over several seeds: bounds of the mean and of the hit rate.

Accuracies are stored as numbers of right images, so means are exact. A mean that equals the target
reaches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.special import betaincinv, stdtr, stdtrit

ERROR = 0.05  # probability of confirming a design that is not good enough
FEWEST = 3  # seeds before a design may be given up


@dataclass(frozen=True, slots=True)
class Sample:
    """The number of right images of `total`, for each seed.

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
        """The exact mean accuracy."""
        return Fraction(sum(self.correct), len(self.correct) * self.total)

    @property
    def sd(self) -> float:
        """The standard deviation of the accuracy (n - 1); NaN for a single seed."""
        count = len(self.correct)
        if count < 2:
            return math.nan
        squares = count * sum(c * c for c in self.correct) - sum(self.correct) ** 2  # exact
        return math.sqrt(squares / (count * (count - 1))) / self.total

    def hits(self, target: Fraction) -> int:
        """Return the number of seeds that reached the target."""
        return sum(Fraction(c, self.total) >= target for c in self.correct)

    def _margin(self, error: float) -> float:
        """Return the distance of the one-sided bound from the mean; infinite for a single seed."""
        count = len(self.correct)
        if count < 2:
            return math.inf
        return float(stdtrit(count - 1, 1 - error)) * self.sd / math.sqrt(count)

    def bound(self, error: float = ERROR) -> float:
        """Return the one-sided lower t bound of the mean, at confidence `1 - error`."""
        return float(self.mean) - self._margin(error)

    def above(self, target: Fraction, error: float = ERROR) -> bool:
        """Whether the lower bound of the mean is at or above the target."""
        return float(self.mean - target) >= self._margin(error)

    def below(self, target: Fraction, error: float = ERROR) -> bool:
        """Whether there are enough seeds and the upper t bound of the mean is below the target."""
        return len(self) >= FEWEST and float(target - self.mean) > self._margin(error)

    def p_value(self, target: Fraction) -> float:
        """Return the p value of the one-sided t test that the mean is at most the target."""
        count, above = len(self.correct), float(self.mean - target)
        if count < 2:
            return 1.0
        if self.sd == 0:
            return 0.0 if above >= 0 else 1.0
        return float(stdtr(count - 1, -above / self.sd * math.sqrt(count)))


def share_bound(hits: int, count: int, error: float = ERROR) -> float:
    """Return the one-sided lower bound of a share (Clopper and Pearson 1934).

    Its confidence is at least `1 - error`.
    """
    return float(betaincinv(hits, count - hits + 1, error)) if hits else 0.0


def holm(p_values: Sequence[float], error: float = ERROR) -> list[float]:
    """Return the level of each of several tests (Holm 1979).

    The probability of any wrong rejection is then at most `error`. The level of the smallest of m
    p values is `error / m`, the next is `error / (m - 1)`, and so on. The first p value above its
    level fails, and all larger ones get the same level.

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
