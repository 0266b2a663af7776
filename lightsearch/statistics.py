"""Statistics of accuracies over seeds: bounds of the mean and the hit rate, shrunken means.

Accuracies are stored as numbers of right images, so means are exact. A mean that equals the target
reaches it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

ERROR = 0.05  # probability of confirming a design that is not good enough
FEWEST = 3  # seeds before a design may be given up
# Standard deviation over seeds if no design has two, in parts of the binomial one: 0.06 points of
# 10,000 images near 99.4%. Measured there: 0.054 over 20 seeds of one network, 0.063 within five
# designs of ten seeds. On the digits it was 1.3 parts (docs/confirming.md).
BINOMIAL_PART = 0.8


def _special() -> Any:
    """Return scipy's functions. To import them takes longer than to read most studies."""
    from scipy import special

    return special


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
        return float(_special().stdtrit(count - 1, 1 - error)) * self.sd / math.sqrt(count)

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
        return float(_special().stdtr(count - 1, -above / self.sd * math.sqrt(count)))


def share_bound(hits: int, count: int, error: float = ERROR) -> float:
    """Return the one-sided lower bound of a share (Clopper and Pearson 1934).

    Its confidence is at least `1 - error`.
    """
    return float(_special().betaincinv(hits, count - hits + 1, error)) if hits else 0.0


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


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Several designs' means under normal noise: how far each is to be believed.

    Designs lie around `center` with the standard deviation `design_sd`, the runs of one design
    around its mean with `seed_sd`, which is known with `freedom` degrees of freedom (0: it is
    assumed).
    """

    center: float
    design_sd: float
    seed_sd: float
    freedom: int

    def at_least(self, part: float) -> Shrinkage:
        """Return it with a variance between designs of at least `part` times that of a seed."""
        least = math.sqrt(part) * self.seed_sd
        return dataclasses.replace(self, design_sd=max(self.design_sd, least))

    def shrink(self, mean: float, count: int) -> float:
        """The expectation of a design's true mean, given the mean of `count` runs."""
        between, noise = self.design_sd**2, self.seed_sd**2 / count
        if not noise or math.isinf(between):
            return mean
        return self.center + (mean - self.center) * between / (between + noise)

    def rank(self, mean: float, count: int) -> tuple[float, float]:
        """What designs are ranked by: the shrunken mean.

        If designs do not differ by more than their noise, all have the same one. Then it is what
        the order tends to as they differ less and less.
        """
        return self.shrink(mean, count), count * (mean - self.center)

    def interval(self, mean: float, count: int, error: float = ERROR) -> tuple[float, float]:
        """The two-sided interval of a true mean by its own `count` runs, not shrunken."""
        upper = 1 - error / 2
        special = _special()
        factor = special.stdtrit(self.freedom, upper) if self.freedom else special.ndtri(upper)
        half = float(factor) * self.seed_sd / math.sqrt(count)
        return mean - half, mean + half


def fit_shrinkage(groups: Sequence[Sequence[float]], seed_sd: float) -> Shrinkage:
    """Estimate what the runs of several designs have in common (empirical Bayes).

    Designs and seeds are normal (Efron and Morris 1975). The variances are those of a one-way
    analysis of variance with random designs and unequal numbers of runs (Searle 1971): over seeds
    it is pooled within designs, between designs it is what is left beyond the seeds, and at least
    0. `seed_sd` stands in if no design has two runs. The centre is the mean of the designs, each
    weighted by how well its own is known.

    >>> from lightsearch.statistics import fit_shrinkage
    >>> fit = fit_shrinkage([[0.990, 0.992], [0.994, 0.996]], 0.0006)
    >>> round(fit.center, 6), round(fit.seed_sd**2, 9), round(fit.design_sd**2, 9)
    (0.993, 2e-06, 7e-06)
    >>> round(fit.shrink(0.991, 2), 6)  # by 7 / (7 + 2 / 2)
    0.99125
    """
    sizes = [len(group) for group in groups]
    means = [math.fsum(group) / len(group) for group in groups]
    squares = math.fsum(
        (one - mean) ** 2 for group, mean in zip(groups, means, strict=True) for one in group
    )
    total, count = sum(sizes), len(sizes)
    freedom = total - count
    within = squares / freedom if freedom else seed_sd**2
    if count < 2:
        return Shrinkage(means[0] if means else math.nan, math.inf, math.sqrt(within), freedom)
    grand = _weighted_mean(means, sizes)
    spread = math.fsum(size * (m - grand) ** 2 for size, m in zip(sizes, means, strict=True))
    part = total - sum(size**2 for size in sizes) / total
    between = max(0.0, (spread - (count - 1) * within) / part)
    noises = [between + within / size for size in sizes]
    center = _weighted_mean(means, [1 / one if one else 1.0 for one in noises])
    return Shrinkage(center, math.sqrt(between), math.sqrt(within), freedom)


def assume_seed_sd(share: float, total: int) -> float:
    """The standard deviation over seeds near a mean accuracy, before two seeds are known."""
    return BINOMIAL_PART * math.sqrt(share * (1 - share) / total)


def _weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(w * v for w, v in zip(weights, values, strict=True)) / math.fsum(weights)


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """The mean of `count` values with its two-sided t interval from `low` to `high`.

    `p_value` is that of the two-sided t test that the mean is 0. The interval is NaN where t says
    nothing: for a single value, and for values that are all the same.
    """

    mean: float
    sd: float
    low: float
    high: float
    count: int
    p_value: float


def find_mean(values: Sequence[float], error: float = ERROR) -> MeanInterval:
    """Return the mean of values with its t interval of confidence `1 - error`.

    >>> from lightsearch.statistics import find_mean
    >>> found = find_mean([0.1, 0.2, 0.4, 0.3])
    >>> [round(one, 4) for one in (found.mean, found.low, found.high, found.p_value)]
    [0.25, 0.0446, 0.4554, 0.0305]
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return MeanInterval(mean, math.nan, math.nan, math.nan, count, math.nan)
    if min(values) == max(values):
        sure = math.nan if mean else 1.0
        return MeanInterval(mean, 0.0, math.nan, math.nan, count, sure)
    sd = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (count - 1))
    half = float(_special().stdtrit(count - 1, 1 - error / 2)) * sd / math.sqrt(count)
    p_value = 2 * float(_special().stdtr(count - 1, -abs(mean) / sd * math.sqrt(count)))
    return MeanInterval(mean, sd, mean - half, mean + half, count, p_value)
