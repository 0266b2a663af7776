"""How many designs a space has, and how many are within a budget: exact, or with an interval."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction

from lightsearch.checks import integer, kind
from lightsearch.design.decoding import decode, replay
from lightsearch.design.parts import Design, Seq, Space
from lightsearch.errors import BudgetError, DesignError
from lightsearch.network.cost import Budget, Cost
from lightsearch.shapes import Shape, check_shape
from lightsearch.space.graph import Graph
from lightsearch.space.polynomials import affordable, polynomial
from lightsearch.space.sampling import (
    LIMIT,
    Sampler,
    check_feasible,
    graph_of,
    smallest,
    structure_of,
    unfit,
)

_Z = 1.959963984540054  # of a two-sided 95% interval


@dataclass(frozen=True, slots=True)
class Survey:
    """What a space holds. Designs are counted as assignments of their active decisions.

    - `designs`: how many are valid: every layer fits, the output has one value a class.
    - `within`: how many of them are within the budget.
    - `exact`: whether both are exact integers. If not, `method` says how they were estimated, and
      `designs_interval` and `interval` are 95% intervals of the one that is estimated.
    - `counts`: (parameters, number of designs), in rising order; `beyond` more designs have more
      parameters than it shows.
    - `smallest`, `smallest_params`, `decisions`: the design with the fewest parameters (of those
      that were drawn, where `designs` is estimated) and its record.
    - `assignments`: valid or not; None where it is too large to count.
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
        """(fewest parameters, most parameters, designs) of `bins` equally wide classes.

        What is `beyond` the counts is in none of them.
        """
        integer("bins", bins, 1, 10**6)
        low, high = self.counts[0][0], self.counts[-1][0]
        wide = max(1, math.ceil((high - low + 1) / bins))
        sums = [0] * math.ceil((high - low + 1) / wide)
        for params, count in self.counts:
            sums[(params - low) // wide] += count
        return tuple((low + wide * k, low + wide * (k + 1) - 1, count)
                     for k, count in enumerate(sums))


def survey(space: Space, shape: Shape = (1, 28, 28), classes: int | None = 10,
           budget: Budget | None = None, *, limit: int = LIMIT, draws: int = 2000,
           seed: int = 0) -> Survey:
    """Count the designs of `space` on inputs of `shape`, and those within `budget`.

    >>> from lightsearch import Budget, conv, gap, linear, oneof, seq
    >>> from lightsearch.space import survey
    >>> found = survey(seq(conv(oneof(8, 16, 99)), gap(), linear(10)), budget=Budget(params=400))
    >>> found.designs, found.within, str(found.smallest), found.smallest_params
    (3, 2, 'conv(8) gap linear(10)', 178)

    Parameters are counted exactly, by dynamic programming over (position, shape, parameters), as
    long as its graph has at most `limit` edges and its tables can be afforded. Otherwise, and for
    caps on MACs and activation bytes, `draws` uniform draws give an estimate with the 95%
    interval of Wilson (1927); where not even uniform draws are possible, Knuth's estimator (1975)
    with a normal interval.

    Raises `DesignError` where no design of the space is valid, `BudgetError` where none is within
    the budget.
    """
    for name, value, least in (("limit", limit, 0), ("draws", draws, 1)):
        integer(name, value, least, 10**12)
    integer("seed", seed, -2**63, 2**63 - 1)
    kind("space", space, Seq, "a sequence of layers (`parse` reads notation)")
    check_shape(shape)
    if classes is not None:
        integer("classes", classes, 1, 10**9)
    kind("budget", budget, Budget | None, "a Budget")
    asked = budget or Budget()
    graph = graph_of(space, shape, classes, limit)
    structure = structure_of(space, limit)
    assignments = None if structure is None else structure.total
    sampler = Sampler(space, shape, classes, asked, limit=limit)
    if graph is None:
        return _estimated(sampler, assignments, draws, random.Random(seed))
    check_feasible(graph, space, shape, classes, asked)
    counts = polynomial(graph, _affordable_cap(graph))
    within, interval = _within(sampler, draws, random.Random(seed))
    record = smallest(graph)
    return Survey(
        designs=graph.total, within=within, exact=interval is None,
        method="exact" if interval is None else
        f"within: Wilson's 95% interval from {draws} uniform draws",
        designs_interval=None, interval=interval, counts=tuple(counts),
        beyond=graph.total - sum(count for _, count in counts),
        smallest=decode(space, replay(record)), smallest_params=graph.low[graph.start],
        decisions=tuple(record.items()), assignments=assignments, budget=asked)


def _affordable_cap(graph: Graph) -> int:
    """The largest parameter count up to which the histogram can be afforded."""
    low, high = graph.low[graph.start], graph.high[graph.start]
    if affordable(graph, high):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if affordable(graph, middle) else (low, middle - 1)
    return low


def _within(sampler: Sampler, draws: int, generator: random.Random,
            ) -> tuple[int, tuple[int, int] | None]:
    """How many are within the budget, with an interval where that is an estimate."""
    total = sampler.total
    assert total is not None
    if not sampler.checked:
        return total, None
    if total <= draws:
        return _all(sampler, total), None
    hits = sum(not sampler.candidate(generator)[3] for _ in range(draws))
    return _scaled(total, hits, draws)


def _all(sampler: Sampler, total: int) -> int:
    """So few that each can be looked at."""
    judged = [sampler.member(number) for number in range(total)]
    hits = sum(not reason for *_, reason in judged)
    if not hits:
        _, design, price, name = min(judged, key=lambda one: _over(one[2], sampler.budget))
        raise BudgetError(f"no design of this space is within {sampler.budget!r}: the nearest is "
                          f"`{design}` with {name}={getattr(price, name)}")
    return hits


def _over(price: Cost | None, budget: Budget) -> float:
    """How many times a cost exceeds its budget, at the cap that it exceeds most."""
    caps = {name: getattr(budget, name) for name in ("params", "macs", "activation_bytes")}
    return max(float(getattr(price, name) / cap) for name, cap in caps.items() if cap is not None)


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """The 95% interval of a share of which `hits` of `draws` were seen (Wilson 1927)."""
    share, bend = hits / draws, _Z**2 / draws
    middle = (share + bend / 2) / (1 + bend)
    half = _Z / (1 + bend) * math.sqrt(share * (1 - share) / draws + bend / (4 * draws))
    return max(0.0, middle - half), min(1.0, middle + half)


def _scaled(total: int, hits: int, draws: int) -> tuple[int, tuple[int, int]]:
    """A share of a total that may be too large for a float, with its interval."""
    low, high = wilson(hits, draws)
    return total * hits // draws, (int(total * Fraction(low)), math.ceil(total * Fraction(high)))


# Where the space is too large for its graph -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A valid design that was drawn, and how many assignments it stands for."""

    weight: int
    params: int
    inside: bool
    design: Design
    record: tuple[tuple[str, int], ...]


def _estimated(sampler: Sampler, assignments: int | None, draws: int,
               generator: random.Random) -> Survey:
    drawn = [found for _ in range(draws)
             if (found := _one(sampler, assignments, generator)) is not None]
    if not drawn:
        raise DesignError(f"at least one design of a space must fit, but none of {draws} random "
                          f"ones does: for example, "
                          f"{unfit(sampler.space, sampler.shape, sampler.classes)}")
    designs, designs_interval = _share(drawn, draws, assignments)
    within, interval = _share([one for one in drawn if one.inside], draws, assignments)
    counts: dict[int, int] = {}
    for one in drawn:
        counts[one.params] = counts.get(one.params, 0) + one.weight
    least = min(drawn, key=lambda one: one.params)
    method = "Knuth's estimator with normal" if assignments is None else "Wilson's"
    kind = "random" if assignments is None else "uniform"
    return Survey(designs, within, False, f"{method} 95% intervals from {draws} {kind} draws",
                  designs_interval, interval,
                  tuple((params, weight // draws) for params, weight in sorted(counts.items())),
                  0, least.design, least.params, least.record, assignments, sampler.budget)


def _one(sampler: Sampler, assignments: int | None, generator: random.Random) -> _Drawn | None:
    sizes: list[int] = []

    def counted(path: str, options: tuple[object, ...]) -> int:
        sizes.append(len(options))
        return generator.randrange(len(options))

    record, design, price, reason = (sampler.candidate(generator) if assignments is not None
                                     else sampler.judged(counted))
    if design is None or price is None:
        return None
    weight = math.prod(sizes) if assignments is None else assignments
    return _Drawn(weight, price.params, not reason, design, tuple(record.items()))


def _share(drawn: list[_Drawn], draws: int, assignments: int | None,
           ) -> tuple[int, tuple[int, int]]:
    if assignments is not None:
        return _scaled(assignments, len(drawn), draws)
    weights = [one.weight for one in drawn]
    mean = sum(weights) // draws
    spread = draws * sum(weight**2 for weight in weights) - sum(weights)**2
    half = math.isqrt(int(Fraction(_Z**2) * spread) // draws**3)
    return mean, (max(0, mean - half), mean + half)
