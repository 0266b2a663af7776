"""Estimates by draws: Wilson's interval of a share, Knuth's estimate of a total."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction

from lightsearch.design.parts import Design
from lightsearch.space.sampling import Sampler

_Z = 1.959963984540054  # of a two-sided 95% interval


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """Return the 95% interval of a share from `hits` of `draws` (Wilson 1927)."""
    share, bend = hits / draws, _Z**2 / draws
    middle = (share + bend / 2) / (1 + bend)
    half = _Z / (1 + bend) * math.sqrt(share * (1 - share) / draws + bend / (4 * draws))
    return max(0.0, middle - half), min(1.0, middle + half)


def scale_share(total: int, hits: int, draws: int) -> tuple[int, tuple[int, int]]:
    """Return a share of `total`, and its interval. The total may be too large for a float."""
    low, high = wilson(hits, draws)
    return total * hits // draws, (int(total * Fraction(low)), math.ceil(total * Fraction(high)))


@dataclass(frozen=True, slots=True)
class WeightedDesign:
    """A valid design from a draw, and the number of assignments that it stands for."""

    weight: int
    params: int
    inside: bool
    design: Design
    record: tuple[tuple[str, int], ...]


def draw_weighted(
    sampler: Sampler, assignments: int | None, generator: random.Random
) -> WeightedDesign | None:
    sizes: list[int] = []

    def choose_and_count(path: str, options: tuple[object, ...]) -> int:
        sizes.append(len(options))
        return generator.randrange(len(options))

    draw = (
        sampler.draw_candidate(generator)
        if assignments is not None
        else sampler.judge(choose_and_count)
    )
    if draw.design is None or draw.cost is None:
        return None
    weight = math.prod(sizes) if assignments is None else assignments
    return WeightedDesign(
        weight, draw.cost.params, not draw.reason, draw.design, tuple(draw.decisions.items())
    )


def estimate_total(
    drawn: list[WeightedDesign], draws: int, assignments: int | None
) -> tuple[int, tuple[int, int]]:
    if assignments is not None:
        return scale_share(assignments, len(drawn), draws)
    weights = [one.weight for one in drawn]
    mean = sum(weights) // draws
    spread = draws * sum(weight**2 for weight in weights) - sum(weights) ** 2
    half = math.isqrt(int(Fraction(_Z**2) * spread) // draws**3)
    return mean, (max(0, mean - half), mean + half)
