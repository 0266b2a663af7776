"""A sequential test over fresh seeds: is a design's mean above the target? It ends early.

It is Wald's sequential probability ratio test (1945) of two means: the target, and one standard
deviation of a seed above it. After each seed it looks at the sum of what the accuracies are above
the middle of the two.

- A design whose mean is at most the target passes with a probability of at most `WRONG_PASS`.
- One whose mean is a standard deviation above it, or more, fails with about `WRONG_FAIL`.
- Between the two it may do either.

That holds for normal noise with the standard deviation that is assumed. So what passes is a good
guess, and no claim: `goals.trying` tests it again with other seeds, by a t test that assumes none.
A wrong pass brings the cap of a search down for nothing, where a wrong failure costs one design of
many: so the first is to be rarer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal, TypeAlias

from lightsearch.statistics import assume_seed_sd

WRONG_PASS, WRONG_FAIL = 0.01, 0.2
LOOKS = 20  # seeds at most; then the mean decides

Verdict: TypeAlias = Literal["running", "passed", "failed"]


def judge_looks(correct: Iterable[int], total: int, target: Fraction) -> Verdict:
    """What the right images of `total`, seed by seed, say of a design.

    >>> from fractions import Fraction
    >>> from lightsearch.confirming.sequential import judge_looks
    >>> target = Fraction("0.994")
    >>> runs = [9950, 9954, 9951, 9952, 9949]
    >>> judge_looks(runs[:2], 10_000, target), judge_looks(runs, 10_000, target)
    ('running', 'passed')
    >>> judge_looks([9936, 9938], 10_000, target)
    'failed'
    """
    aim, sd = float(target), seed_sd(target, total)
    above, seeds = 0.0, 0
    for one in correct:
        above, seeds = above + (one / total - aim) / sd - 0.5, seeds + 1
        if above >= math.log((1 - WRONG_FAIL) / WRONG_PASS):
            return "passed"
        if above <= math.log(WRONG_FAIL / (1 - WRONG_PASS)):
            return "failed"
    if seeds < LOOKS:
        return "running"
    return "passed" if above >= 0 else "failed"


def seed_sd(target: Fraction, total: int) -> float:
    """The standard deviation over seeds that is assumed near a target.

    A target of 1 is treated as if half an image were wrong.
    """
    return assume_seed_sd(min(float(target), 1 - 0.5 / total), total)


def is_promising(correct: int, total: int, target: Fraction) -> bool:
    """Whether the last epoch of one run is a standard deviation above the target, or more.

    Such a design is worth fresh seeds. Searches that asked for less or for more came to larger
    designs (docs/goals.md).
    """
    return correct / total >= min(1.0, float(target) + seed_sd(target, total))
