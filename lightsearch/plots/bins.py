"""Bins of designs by parameters: equally wide, or in equal ratios if the budget is a sliver."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

INSIDE = 4  # bins within the budget, at least
SLIVER = 0.12  # of the width of a linear axis: what is narrower is drawn on a logarithmic one


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts of designs, each of at least its edge and less than the next one's parameters."""

    edges: tuple[int, ...]
    counts: tuple[int, ...]
    logarithmic: bool

    def is_within(self, number: int, cap: int | None) -> bool:
        """Whether the designs of a bin are within the cap."""
        return cap is None or self.edges[number] <= cap

    def rate(self, draws: Iterable[tuple[int, bool]]) -> list[float]:
        """Return the share of the draws in each bin that are so; 0 where there are none."""
        sums = [[0, 0] for _ in self.counts]
        for params, so in draws:
            at = bisect_right(self.edges, params) - 1
            if 0 <= at < len(sums):
                sums[at][0] += so
                sums[at][1] += 1
        return [so / every if every else 0.0 for so, every in sums]


def make_bins(counts: tuple[tuple[int, int], ...], cap: int | None, most: int) -> Bins:
    """Count designs in about `most` bins. `counts` are of designs by parameters, in rising order.

    One bin ends at the cap, if any: none holds designs within it and others.
    """
    low, high = counts[0][0], counts[-1][0]
    logarithmic = low > 0 and _has_sliver(low, high, cap)
    pivot = low if cap is None else cap + 1
    edges = (_ratio_edges if logarithmic else _equal_edges)(low, high + 1, pivot, most)
    sums = [0] * (len(edges) - 1)
    for params, count in counts:
        sums[bisect_right(edges, params) - 1] += count
    return Bins(tuple(edges), tuple(sums), logarithmic)


def _has_sliver(low: int, high: int, cap: int | None) -> bool:
    """Whether the designs, or those within the cap, would be a sliver of a linear axis."""
    if cap is None or cap < low:
        return False
    return min(cap, high) - low < SLIVER * (max(cap, high) - low)


def _equal_edges(low: int, end: int, pivot: int, most: int) -> list[int]:
    wide = -(-(end - low) // most)
    if low < pivot < end:
        wide = min(wide, -(-(pivot - low) // INSIDE))
    wide = max(1, wide)
    start = pivot + (low - pivot) // wide * wide
    return list(range(start, end + wide, wide))


def _ratio_edges(low: int, end: int, pivot: int, most: int) -> list[int]:
    """Return whole numbers in about equal ratios, through the pivot. The axis reaches to it."""
    step = math.log(max(end, pivot) / low) / most
    if low < pivot < end:
        step = min(step, math.log(pivot / low) / INSIDE)
    first = math.floor(math.log(low / pivot) / step)
    last = math.ceil(math.log(end / pivot) / step)
    edges = {round(pivot * math.exp(step * number)) for number in range(first, last + 1)}
    inner = sorted(edge for edge in edges if low < edge < end)
    last_low = inner[-1] if inner else low
    last_end = max(end, last_low + round(last_low * math.expm1(step)))
    return [low, *inner, min(last_end, pivot) if pivot >= end else last_end]


def round_sizes(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round numbers from `low` to `high`, for a logarithmic axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    kept: list[float] = []
    for digits in (
        (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9),
        (1, 1.5, 2, 3, 5, 7),
        (1, 2, 5),
        (1, 3),
        (1,),
    ):
        kept = [
            digit * 10.0**power
            for power in range(first, last + 1)
            for digit in digits
            if low <= digit * 10.0**power <= high
        ]
        if len(kept) <= most:
            return kept
    return kept[:: -(-len(kept) // most)]  # every second power of ten, or every third
