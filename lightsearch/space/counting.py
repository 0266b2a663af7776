"""The number of designs of a space, and of those within a budget: exact, or with an interval."""

from __future__ import annotations

import random
from dataclasses import dataclass

from lightsearch.checks import check_integer, check_kind
from lightsearch.design.decoding import decode, replay
from lightsearch.design.parts import Design, Seq, Space
from lightsearch.errors import BudgetError, DesignError
from lightsearch.formatting import caps_text
from lightsearch.network.cost import Budget
from lightsearch.notation.reading import read_design
from lightsearch.shapes import Shape, check_shape
from lightsearch.space.caps import read_budget
from lightsearch.space.estimating import draw_weighted, estimate_total, scale_share
from lightsearch.space.feasibility import check_feasible, explain_misfit
from lightsearch.space.graph import Graph, Narrow
from lightsearch.space.guiding import Draw, Guide
from lightsearch.space.numbering import find_largest, smallest_assignment
from lightsearch.space.polynomials import count_by_params, find_affordable_cap
from lightsearch.space.sampling import (
    LIMIT,
    Sampler,
    try_graph,
    try_narrow,
    try_structure,
)
from lightsearch.space.surveys import Survey

DRAWS = 2000
FREE_DECISIONS = 30  # of a design; with more of them there are fewer draws
FEWEST_DRAWS = 100


def survey(
    space: Space | str,
    shape: Shape = (1, 28, 28),
    classes: int | None = 10,
    budget: int | Budget | None = None,
    *,
    limit: int = LIMIT,
    draws: int | None = None,
    seed: int = 0,
) -> Survey:
    """Count the designs of `space` on inputs of `shape`, and those within `budget`.

    >>> from lightsearch import conv, gap, linear, oneof, seq
    >>> from lightsearch.space import survey
    >>> result = survey(seq(conv(oneof(8, 16, 99)), gap(), linear(10)), budget=400)
    >>> result.designs, result.within, str(result.smallest), result.smallest_params
    (3, 2, 'conv(8) gap linear(10)', 178)

    Dynamic programming over (position, shape, parameters) gives an exact count by parameters, as
    long as the graph, or its part within `budget.params`, has at most `limit` edges, and the
    outline of a part half as many steps, and the tables are not too large. Of a part, `counts`
    ends at the cap. Otherwise, and for caps on MACs and activation bytes, `draws` uniform draws
    give an estimate with the 95% interval of Wilson (1927). By default they are 2,000, or fewer
    for designs of more than thirty decisions, which take long to check, but at least 100. If even
    uniform draws are too costly, Knuth's estimator (1975) gives one with a normal interval.

    Raises `DesignError` if no design of the space is valid, and `BudgetError` if none is within
    the budget.
    """
    limit = check_integer("limit", limit, 0, 10**12)
    if draws is not None:
        draws = check_integer("draws", draws, 1, 10**12)
    seed = check_integer("seed", seed, -(2**63), 2**63 - 1)
    space = read_design(space)
    check_kind("space", space, Seq, "a sequence of layers or its notation")
    shape = check_shape(shape)
    if classes is not None:
        classes = check_integer("classes", classes, 1, 10**9)
    caps = read_budget(budget)
    graph = try_graph(space, shape, classes, limit)
    narrow = None
    if graph is None and caps.params is not None:
        narrow = try_narrow(space, shape, classes, limit, caps.params)
        graph = None if narrow is None else narrow.graph
    structure = try_structure(space, limit)
    assignments = None if structure is None else structure.total
    sampler = Sampler(space, shape, classes, caps, limit=limit)
    generator = random.Random(seed)
    if draws is None:
        draws = _choose_draws(sampler)
        sampler.tries = min(sampler.tries, draws)
    if graph is None:
        return _estimate(sampler, assignments, draws, generator)
    check_feasible(graph, space, shape, classes, caps)
    return _count(graph, narrow, sampler, assignments, draws, generator)


def _choose_draws(sampler: Sampler) -> int:
    """Return as many draws as take a few seconds to check."""
    decisions = len(sampler.draw_candidate(random.Random(0)).decisions)
    return min(DRAWS, max(FEWEST_DRAWS, DRAWS * FREE_DECISIONS // max(1, decisions)))


def _count(
    graph: Graph,
    narrow: Narrow | None,
    sampler: Sampler,
    assignments: int | None,
    draws: int,
    generator: random.Random,
) -> Survey:
    inside = _count_within(sampler, draws, generator)
    cap, total = find_affordable_cap(graph, sampler.budget.params), graph.total
    if narrow is not None:  # what is beyond is only counted
        cap, total = min(cap, narrow.cap), narrow.total
    counts = count_by_params(graph, cap)
    record = smallest_assignment(graph)
    return Survey(
        designs=total,
        within=inside.count,
        exact=inside.interval is None,
        method=inside.method,
        designs_interval=None,
        interval=inside.interval,
        counts=tuple(counts),
        beyond=total - sum(count for _, count in counts),
        smallest=decode(sampler.space, replay(record)),
        smallest_params=graph.low[graph.start],
        decisions=tuple(record.items()),
        largest=inside.largest,
        largest_params=inside.largest_params,
        guided=inside.largest is None,
        assignments=assignments,
        budget=sampler.budget,
    )


@dataclass(frozen=True, slots=True)
class _Within:
    """The number of designs within the budget, its interval, how it is known, and the largest."""

    count: int
    interval: tuple[int, int] | None
    method: str
    largest: Design | None
    largest_params: int | None


def _count_within(sampler: Sampler, draws: int, generator: random.Random) -> _Within:
    """Count the designs within the budget, or estimate their number.

    Raises `BudgetError` if no draw is within the budget, not even a guided one.
    """
    total = sampler.total
    assert total is not None and sampler.numbering is not None
    if not sampler.checked:
        record, params = find_largest(sampler.numbering)
        return _Within(total, None, "exact", decode(sampler.space, replay(record)), params)
    if total <= draws:
        hits = _check_all(sampler, total)
        return _Within(len(hits), None, "exact", *_find_largest_draw(hits))
    candidates = (sampler.draw_candidate(generator) for _ in range(draws))
    hits = [draw for draw in candidates if not draw.reason]
    within, (low, high) = scale_share(total, len(hits), draws)
    method = f"within: Wilson's 95% interval from {draws} uniform draws"
    if not hits:
        sampler.find(generator)  # raises `BudgetError` if that fails too
        method += ": none of them is within, a guided draw is"
        return _Within(1, (1, high), method, None, None)
    return _Within(within, (low, high), method, *_find_largest_draw(hits))


def _find_largest_draw(hits: list[Draw]) -> tuple[Design | None, int]:
    """Return the design with the most parameters, and its parameters."""
    params = [draw.cost.params if draw.cost else 0 for draw in hits]
    return hits[params.index(max(params))].design, max(params)


def _check_all(sampler: Sampler, total: int) -> list[Draw]:
    """Return the candidates within the budget, of all `total`."""
    candidates = [sampler.get_candidate(number) for number in range(total)]
    hits = [candidate for candidate in candidates if not candidate.reason]
    if not hits:
        guide = Guide(sampler.judge, sampler.budget, sampler.least)
        nearest = min(candidates, key=guide.measure_distance)
        raise BudgetError(
            f"no design of this space has at most {caps_text(sampler.budget)}: the nearest is "
            f"{guide.explain(nearest)}"
        )
    return hits


def _estimate(
    sampler: Sampler, assignments: int | None, draws: int, generator: random.Random
) -> Survey:
    drawn = [
        one
        for _ in range(draws)
        if (one := draw_weighted(sampler, assignments, generator)) is not None
    ]
    if not drawn:
        raise DesignError(
            f"at least one design of a space must fit, but none of {draws} random "
            f"ones does: for example, "
            f"{explain_misfit(sampler.space, sampler.shape, sampler.classes)}"
        )
    designs, designs_interval = estimate_total(drawn, draws, assignments)
    inside = [one for one in drawn if one.inside]
    within, interval = estimate_total(inside, draws, assignments)
    if not inside:
        sampler.find(generator)  # raises `BudgetError` if a guided draw fails, too
        within, interval = 1, (1, max(1, interval[1]))
    counts: dict[int, int] = {}
    for one in drawn:
        counts[one.params] = counts.get(one.params, 0) + one.weight
    smallest = min(drawn, key=lambda one: one.params)
    largest = max(inside, key=lambda one: one.params, default=None)
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
        largest.design if largest else None,
        largest.params if largest else None,
        largest is None,
        assignments,
        sampler.budget,
    )
