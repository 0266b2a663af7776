"""The number of designs of a space, and of those within a budget: exact, or with an interval."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from lightsearch.checks import check_integer, check_kind
from lightsearch.design.decoding import decode, replay
from lightsearch.design.parts import Design, Seq, Space
from lightsearch.errors import BudgetError, DesignError
from lightsearch.formatting import caps_text, format_large
from lightsearch.network.cost import Budget
from lightsearch.notation.parser import read_design
from lightsearch.presentation import Presented, Sheet
from lightsearch.shapes import Shape, check_shape
from lightsearch.space.estimating import draw_weighted, estimate_total, scale_share
from lightsearch.space.graph import Graph
from lightsearch.space.guiding import Draw, Guide
from lightsearch.space.numbering import find_largest, smallest_assignment
from lightsearch.space.polynomials import count_by_params, find_affordable_cap
from lightsearch.space.sampling import (
    LIMIT,
    Sampler,
    check_feasible,
    explain_misfit,
    try_graph,
    try_structure,
)

SHORT = 0.5
"""The share of the cap on parameters below which a space is said to fall short of it.

On MNIST at 8,000 parameters none of six designs with less than half of them reached 99.4, and 12
of 22 with more did (docs/benchmarks/search.md): there a larger space is what helps most."""

DRAWS = 2000
FREE_DECISIONS = 30  # of a design; with more of them there are fewer draws
FEWEST_DRAWS = 100


@dataclass(frozen=True, slots=True, repr=False)
class Survey(Presented):
    """The number of designs of a space. A design counts as an assignment of active decisions.

    - `designs`: the number of valid designs: every layer fits, the output has one value a class.
    - `within`: the number of valid designs within the budget.
    - `exact`: whether both are exact. If not, `method` names the estimator, and
      `designs_interval` and `interval` are 95% intervals of what is estimated.
    - `counts`: (parameters, number of designs), in rising order.
    - `beyond`: the number of designs with more parameters than `counts` shows.
    - `smallest`, `smallest_params`, `decisions`: the design with the fewest parameters, and its
      record. If `designs` is an estimate, it is the smallest design drawn.
    - `largest`, `largest_params`: the design with the most parameters of those within the budget,
      or of those drawn if `within` is an estimate; None if no draw was within.
    - `guided`: whether no uniform draw was within the budget, so that a search's draws are guided
      there (`Sampler`). Then `interval` says more than `within`, which is 1.
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
    largest: Design | None
    largest_params: int | None
    guided: bool
    assignments: int | None
    budget: Budget

    @property
    def falls_short(self) -> bool:
        """Whether the largest design within the budget has less than half of the parameters."""
        cap = self.budget.params
        return (
            cap is not None
            and self.largest_params is not None
            and self.largest_params < SHORT * cap
        )

    def _sheet(self) -> Sheet:
        about = "" if self.exact else "about "
        caps = caps_text(self.budget)
        lines = [
            ("designs", f"{about}{format_large(self.designs)}"),
            ("within", self.describe_within() + (f", of at most {caps}" if caps else "")),
            ("smallest", f"{self.smallest_params:,} parameters: {self.smallest}"),
        ]
        if self.largest is not None:
            lines.append(("largest", f"{self.largest_params:,} parameters: {self.largest}"))
        if not self.exact:
            lines.append(("method", self.method))
        classes = ((f"{a:,} - {b:,}", format_large(n)) for a, b, n in self.histogram(10))
        return Sheet("Survey of a space", tuple(lines), ("params", "designs"), tuple(classes))

    def describe_within(self) -> str:
        """Return the number of designs within the budget for people, or its interval if guided."""
        if self.guided and self.interval is not None:
            low, high = (format_large(count) for count in self.interval)
            return f"{low} to {high} (draws are guided)"
        return format_large(self.within)

    def explain_shortfall(self) -> str:
        """Say that the space falls short of the cap on parameters, and what helps; else ""."""
        if not self.falls_short:
            return ""
        drawn = "" if self.exact else "drawn "
        caps = self.budget.macs or self.budget.activation_bytes
        helps = ", or looser caps on MACs and activations," if caps else ""
        return (
            f"the largest design {drawn}within the budget has {self.largest_params:,} parameters, "
            f"less than half of the {self.budget.params:,} allowed: a space with wider or more "
            f"layers{helps} would use them"
        )

    def histogram(self, bins: int = 20) -> tuple[tuple[int, int, int], ...]:
        """Return (fewest parameters, most parameters, designs) of `bins` equally wide classes.

        The designs `beyond` the counts are in none of them.
        """
        bins = check_integer("bins", bins, 1, 10**6)
        low, high = self.counts[0][0], self.counts[-1][0]
        width = max(1, math.ceil((high - low + 1) / bins))
        sums = [0] * math.ceil((high - low + 1) / width)
        for params, count in self.counts:
            sums[(params - low) // width] += count
        return tuple(
            (low + width * k, low + width * (k + 1) - 1, count) for k, count in enumerate(sums)
        )


def survey(
    space: Space | str,
    shape: Shape = (1, 28, 28),
    classes: int | None = 10,
    budget: Budget | None = None,
    *,
    limit: int = LIMIT,
    draws: int | None = None,
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
    interval of Wilson (1927). By default they are 2,000, or fewer for designs of more than thirty
    decisions, which take long to check, but at least 100. If even uniform draws are too costly,
    Knuth's estimator (1975) gives one with a normal interval.

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
    check_kind("budget", budget, Budget | None, "a Budget")
    caps = budget or Budget()
    graph = try_graph(space, shape, classes, limit)
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
    return _count(graph, sampler, assignments, draws, generator)


def _choose_draws(sampler: Sampler) -> int:
    """Return as many draws as take a few seconds to check."""
    decisions = len(sampler.draw_candidate(random.Random(0)).decisions)
    return min(DRAWS, max(FEWEST_DRAWS, DRAWS * FREE_DECISIONS // max(1, decisions)))


def _count(
    graph: Graph, sampler: Sampler, assignments: int | None, draws: int, generator: random.Random
) -> Survey:
    inside = _count_within(sampler, draws, generator)
    counts = count_by_params(graph, find_affordable_cap(graph, sampler.budget.params))
    record = smallest_assignment(graph)
    return Survey(
        designs=graph.total,
        within=inside.count,
        exact=inside.interval is None,
        method=inside.method,
        designs_interval=None,
        interval=inside.interval,
        counts=tuple(counts),
        beyond=graph.total - sum(count for _, count in counts),
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
