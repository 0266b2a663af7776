"""The number of designs of a space, and of those within a budget: exact, or with an interval."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction

from lightsearch.checks import check_integer, check_kind
from lightsearch.design.decoding import decode, replay
from lightsearch.design.parts import Design, Seq, Space
from lightsearch.errors import BudgetError, DesignError
from lightsearch.formatting import caps_text
from lightsearch.network.cost import Budget
from lightsearch.shapes import Shape, check_shape
from lightsearch.space.graph import Graph
from lightsearch.space.guiding import Guide
from lightsearch.space.numbering import smallest_assignment
from lightsearch.space.polynomials import count_by_params, is_affordable
from lightsearch.space.sampling import (
    LIMIT,
    Sampler,
    check_feasible,
    explain_misfit,
    try_graph,
    try_structure,
)

_Z = 1.959963984540054  # of a two-sided 95% interval


@dataclass(frozen=True, slots=True)
class Survey:
    """The number of designs of a space. A design counts as an assignment of active decisions.

    - `designs`: the number of valid designs: every layer fits, the output has one value a class.
    - `within`: the number of valid designs within the budget.
    - `exact`: whether both are exact. If not, `method` names the estimator, and
      `designs_interval` and `interval` are 95% intervals of what is estimated.
    - `counts`: (parameters, number of designs), in rising order.
    - `beyond`: the number of designs with more parameters than `counts` shows.
    - `smallest`, `smallest_params`, `decisions`: the design with the fewest parameters, and its
      record. If `designs` is an estimate, it is the smallest design drawn.
    - `assignments`: the number of assignments, valid or not; None if there are too many to count.
    """

    designs: int
    within: int
    exact: bool
    method: str
    designs_interval: tuple[int, int] | None
    interval: tuple[int, int] | None
    counts: tuple[tuple[int, int], ...]
    beyond: int
    smallest: Design
    smallest_params: int
    decisions: tuple[tuple[str, int], ...]
    assignments: int | None
    budget: Budget

    def histogram(self, bins: int = 20) -> tuple[tuple[int, int, int], ...]:
        """Return (fewest parameters, most parameters, designs) of `bins` equally wide classes.

        The designs `beyond` the counts are in none of them.
        """
        check_integer("bins", bins, 1, 10**6)
        low, high = self.counts[0][0], self.counts[-1][0]
        width = max(1, math.ceil((high - low + 1) / bins))
        sums = [0] * math.ceil((high - low + 1) / width)
        for params, count in self.counts:
            sums[(params - low) // width] += count
        return tuple(
            (low + width * k, low + width * (k + 1) - 1, count) for k, count in enumerate(sums)
        )


def survey(
    space: Space,
    shape: Shape = (1, 28, 28),
    classes: int | None = 10,
    budget: Budget | None = None,
    *,
    limit: int = LIMIT,
    draws: int = 2000,
    seed: int = 0,
) -> Survey:
    """Count the designs of `space` on inputs of `shape`, and those within `budget`.

    >>> from lightsearch import Budget, conv, gap, linear, oneof, seq
    >>> from lightsearch.space import survey
    >>> result = survey(seq(conv(oneof(8, 16, 99)), gap(), linear(10)), budget=Budget(params=400))
    >>> result.designs, result.within, str(result.smallest), result.smallest_params
    (3, 2, 'conv(8) gap linear(10)', 178)

    Dynamic programming over (position, shape, parameters) gives an exact count by parameters, as
    long as the graph has at most `limit` edges and the tables are not too large. Otherwise, and
    for caps on MACs and activation bytes, `draws` uniform draws give an estimate with the 95%
    interval of Wilson (1927). If even uniform draws are too costly, Knuth's estimator (1975) gives
    one with a normal interval.

    Raises `DesignError` if no design of the space is valid, and `BudgetError` if none is within
    the budget.
    """
    for name, value, least in (("limit", limit, 0), ("draws", draws, 1)):
        check_integer(name, value, least, 10**12)
    check_integer("seed", seed, -(2**63), 2**63 - 1)
    check_kind("space", space, Seq, "a sequence of layers (`parse` reads notation)")
    check_shape(shape)
    if classes is not None:
        check_integer("classes", classes, 1, 10**9)
    check_kind("budget", budget, Budget | None, "a Budget")
    caps = budget or Budget()
    graph = try_graph(space, shape, classes, limit)
    structure = try_structure(space, limit)
    assignments = None if structure is None else structure.total
    sampler = Sampler(space, shape, classes, caps, limit=limit)
    if graph is None:
        return _estimate(sampler, assignments, draws, random.Random(seed))
    check_feasible(graph, space, shape, classes, caps)
    counts = count_by_params(graph, _find_affordable_cap(graph))
    within, interval, method = _count_within(sampler, draws, random.Random(seed))
    record = smallest_assignment(graph)
    return Survey(
        designs=graph.total,
        within=within,
        exact=interval is None,
        method=method,
        designs_interval=None,
        interval=interval,
        counts=tuple(counts),
        beyond=graph.total - sum(count for _, count in counts),
        smallest=decode(space, replay(record)),
        smallest_params=graph.low[graph.start],
        decisions=tuple(record.items()),
        assignments=assignments,
        budget=caps,
    )


def _find_affordable_cap(graph: Graph) -> int:
    """Return the largest number of parameters up to which the histogram is affordable."""
    low, high = graph.low[graph.start], graph.high[graph.start]
    if is_affordable(graph, high):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_affordable(graph, middle) else (low, middle - 1)
    return low


def _count_within(
    sampler: Sampler, draws: int, generator: random.Random
) -> tuple[int, tuple[int, int] | None, str]:
    """Return the number of designs within the budget, an interval if that is estimated, and how.

    Raises `BudgetError` if no draw is within the budget, not even a guided one.
    """
    total = sampler.total
    assert total is not None
    if not sampler.checked:
        return total, None, "exact"
    if total <= draws:
        return _check_all(sampler, total), None, "exact"
    hits = sum(not sampler.draw_candidate(generator).reason for _ in range(draws))
    within, (low, high) = _scale_share(total, hits, draws)
    method = f"within: Wilson's 95% interval from {draws} uniform draws"
    if hits:
        return within, (low, high), method
    sampler.draw(generator)
    return 1, (1, high), f"{method}: none of them is within, a guided draw is"


def _check_all(sampler: Sampler, total: int) -> int:
    """Return the number of designs within the budget, by checking all `total` of them."""
    candidates = [sampler.get_candidate(number) for number in range(total)]
    hits = sum(not candidate.reason for candidate in candidates)
    if not hits:
        guide = Guide(sampler.judge, sampler.budget, sampler.least)
        nearest = min(candidates, key=guide.measure_distance)
        raise BudgetError(
            f"no design of this space has at most {caps_text(sampler.budget)}: the nearest is "
            f"{guide.explain(nearest)}"
        )
    return hits


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """Return the 95% interval of a share from `hits` of `draws` (Wilson 1927)."""
    share, bend = hits / draws, _Z**2 / draws
    middle = (share + bend / 2) / (1 + bend)
    half = _Z / (1 + bend) * math.sqrt(share * (1 - share) / draws + bend / (4 * draws))
    return max(0.0, middle - half), min(1.0, middle + half)


def _scale_share(total: int, hits: int, draws: int) -> tuple[int, tuple[int, int]]:
    """Return a share of `total`, and its interval. The total may be too large for a float."""
    low, high = wilson(hits, draws)
    return total * hits // draws, (int(total * Fraction(low)), math.ceil(total * Fraction(high)))


# Spaces that are too large for a graph ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _WeightedDesign:
    """A valid design from a draw, and the number of assignments that it stands for."""

    weight: int
    params: int
    inside: bool
    design: Design
    record: tuple[tuple[str, int], ...]


def _estimate(
    sampler: Sampler, assignments: int | None, draws: int, generator: random.Random
) -> Survey:
    drawn = [
        one
        for _ in range(draws)
        if (one := _draw_one(sampler, assignments, generator)) is not None
    ]
    if not drawn:
        raise DesignError(
            f"at least one design of a space must fit, but none of {draws} random "
            f"ones does: for example, "
            f"{explain_misfit(sampler.space, sampler.shape, sampler.classes)}"
        )
    designs, designs_interval = _estimate_total(drawn, draws, assignments)
    within, interval = _estimate_total([one for one in drawn if one.inside], draws, assignments)
    counts: dict[int, int] = {}
    for one in drawn:
        counts[one.params] = counts.get(one.params, 0) + one.weight
    smallest = min(drawn, key=lambda one: one.params)
    method = "Knuth's estimator with normal" if assignments is None else "Wilson's"
    kind = "random" if assignments is None else "uniform"
    return Survey(
        designs,
        within,
        False,
        f"{method} 95% intervals from {draws} {kind} draws",
        designs_interval,
        interval,
        tuple((params, weight // draws) for params, weight in sorted(counts.items())),
        0,
        smallest.design,
        smallest.params,
        smallest.record,
        assignments,
        sampler.budget,
    )


def _draw_one(
    sampler: Sampler, assignments: int | None, generator: random.Random
) -> _WeightedDesign | None:
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
    return _WeightedDesign(
        weight, draw.cost.params, not draw.reason, draw.design, tuple(draw.decisions.items())
    )


def _estimate_total(
    drawn: list[_WeightedDesign], draws: int, assignments: int | None
) -> tuple[int, tuple[int, int]]:
    if assignments is not None:
        return _scale_share(assignments, len(drawn), draws)
    weights = [one.weight for one in drawn]
    mean = sum(weights) // draws
    spread = draws * sum(weight**2 for weight in weights) - sum(weights) ** 2
    half = math.isqrt(int(Fraction(_Z**2) * spread) // draws**3)
    return mean, (max(0, mean - half), mean + half)
