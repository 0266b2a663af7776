"""Uniform draws from the designs of a space that are within a budget.

A random `choose` takes each option as often as another, so designs behind narrow passages are
drawn far too often. Here each assignment of active decisions within the budget is drawn with the
same probability: assignments are numbered through the tables, and a number is drawn.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

from lightsearch.design.decoding import chooser, decode, recording, replay
from lightsearch.design.parts import Design, Space
from lightsearch.errors import ArgumentError, BudgetError, DesignError
from lightsearch.network.cost import Budget, Cost, cost
from lightsearch.shapes import Shape
from lightsearch.space.graph import Graph, explored
from lightsearch.space.polynomials import within
from lightsearch.space.program import compiled
from lightsearch.space.transitions import TooLargeError

LIMIT = 300_000
"""Edges of the largest graph that is made by default: about 10 seconds, half a GB (measured)."""


@functools.lru_cache(maxsize=4)
def graph_of(space: Space, shape: Shape, classes: int | None, limit: int) -> Graph | None:
    """The graph of a space, or None where it would have more than `limit` edges."""
    try:
        return explored(compiled(space), shape, classes, limit)
    except TooLargeError:
        return None


@functools.lru_cache(maxsize=4)
def structure_of(space: Space, limit: int) -> Graph | None:
    """The graph of a space as if every layer fitted everywhere."""
    try:
        return explored(compiled(space, shapeless=True), (1, 1, 1), None, limit)
    except TooLargeError:
        return None


@dataclass(frozen=True, slots=True)
class Numbered:
    """Assignments by number, from 0 to `total - 1`: the paths of a graph within its room."""

    graph: Graph
    count: Callable[[int, int], int]
    room: int

    @property
    def total(self) -> int:
        return self.count(self.graph.start, self.room) if self.graph.start >= 0 else 0

    def decisions(self, number: int) -> dict[str, int]:
        """Assignment `number`."""
        graph, count, room, node = self.graph, self.count, self.room, 0
        found: dict[str, int] = {}
        while graph.edges[node]:
            for edge in graph.edges[node]:
                each = count(graph.classes[edge.target], room - edge.params)
                if number < each * edge.count:
                    break
                number -= each * edge.count
            way, number = divmod(number, each)
            found.update(edge.decisions(graph.paths[node], way))
            node, room = edge.target, room - edge.params
        return found


def numbered(graph: Graph, params: int | None) -> tuple[Numbered, bool]:
    """The assignments within `params` and True; or all and False, where that is too much."""
    if params is None or graph.start < 0 or params >= graph.high[graph.start]:
        return Numbered(graph, lambda number, room: graph.totals[number], 0), True
    tables = within(graph, params)
    if tables is None:
        return Numbered(graph, lambda number, room: graph.totals[number], 0), False
    return Numbered(graph, tables.count, params), True


def smallest(graph: Graph) -> dict[str, int]:
    """The assignment with the fewest parameters, the first of them."""
    node = 0
    found: dict[str, int] = {}
    while graph.edges[node]:
        edge = min(graph.edges[node], key=lambda e: e.params + graph.low[graph.classes[e.target]])
        found.update(edge.decisions(graph.paths[node], 0))
        node = edge.target
    return found


class Sampler:
    """Draws designs of a space that are within a budget, each with the same probability.

    >>> import random
    >>> from lightsearch import Budget, conv, gap, linear, oneof, seq
    >>> from lightsearch.space import Sampler
    >>> space = seq(conv(oneof(8, 16, 99)), gap(), linear(10))
    >>> sampler = Sampler(space, budget=Budget(params=400))
    >>> sampler.total
    2
    >>> decisions, design = sampler.draw(random.Random(0))
    >>> sorted({str(sampler.draw(random.Random(n))[1]) for n in range(20)})
    ['conv(16) gap linear(10)', 'conv(8) gap linear(10)']

    `total` is the number of assignments that are drawn from; those that exceed another cap of the
    budget, or are not counted exactly, are drawn and rejected. `valid` and `within_params` say
    whether only designs that fit, and only ones within `budget.params`, are drawn at all. Where
    even the structure of the space is too large for tables, `total` is None and decisions are
    drawn one by one: not uniformly.

    Raises `DesignError` where no design of the space is valid, `BudgetError` where none is within
    the budget.
    """

    def __init__(self, space: Space, shape: Shape = (1, 28, 28), classes: int | None = 10,
                 budget: Budget | None = None, *, limit: int = LIMIT, tries: int = 10_000) -> None:
        if tries < 1:
            raise ArgumentError(f"`tries` must be >= 1, but got tries={tries}")
        self.space, self.shape, self.classes, self.tries = space, shape, classes, tries
        self.budget = budget or Budget()
        self._source, self.within_params = self._sourced(limit)
        self.checked = not (self.valid and self.within_params and self.budget.macs is None
                             and self.budget.activation_bytes is None)

    def _sourced(self, limit: int) -> tuple[Numbered | None, bool]:
        graph = graph_of(self.space, self.shape, self.classes, limit)
        self.valid = graph is not None
        if graph is not None:
            check_feasible(graph, self.space, self.shape, self.classes, self.budget)
            return numbered(graph, self.budget.params)
        structure = structure_of(self.space, limit)
        return (None if structure is None else numbered(structure, None)[0]), False

    @property
    def total(self) -> int | None:
        return None if self._source is None else self._source.total

    def draw(self, generator: random.Random) -> tuple[dict[str, int], Design]:
        """The record of decisions and the design of one draw.

        Raises `BudgetError` where `tries` candidates in a row are not within the budget.
        """
        reasons: dict[str, int] = {}
        example = ""
        for _ in range(self.tries):
            record, design, price, reason = self.candidate(generator)
            if design is not None and not reason:
                return record, design
            label = reason if price is not None else "do not fit"
            reasons[label] = reasons.get(label, 0) + 1
            example = f"`{design}` has {_told(price)}" if price is not None else example or reason
        raise BudgetError(
            f"a design must be within {self.budget!r}, but none of {self.tries} random ones is: "
            + ", ".join(f"{count} {label}" if label == "do not fit" else f"{count} exceed {label}"
                        for label, count in reasons.items())
            + f"; for example {example}")

    def candidate(self, generator: random.Random,
                  ) -> tuple[dict[str, int], Design | None, Cost | None, str]:
        """One draw before rejection: its record, design and cost, and why it is rejected.

        The reason is "" for none, the name of the cap it exceeds, or why it does not fit. There is
        no cost where nothing had to be checked, or the design does not fit.
        """
        if self._source is None:
            return self.judged(chooser(generator))
        return self.member(generator.randrange(self._source.total))

    def member(self, number: int) -> tuple[dict[str, int], Design | None, Cost | None, str]:
        """Candidate `number` of `total`, as `candidate` gives it: each has one number."""
        assert self._source is not None
        return self.judged(replay(self._source.decisions(number)))

    def judged(self, choose: Callable[[str, tuple[object, ...]], int],
                ) -> tuple[dict[str, int], Design | None, Cost | None, str]:
        """The design that `choose` gives, as `candidate` gives one."""
        record: dict[str, int] = {}
        try:
            design = decode(self.space, recording(choose, record))
            price = cost(design, self.shape, self.classes) if self.checked else None
        except DesignError as error:
            return record, None, None, str(error)
        return record, design, price, (price and self.budget.exceeded(price)) or ""


def _told(price: Cost) -> str:
    return (f"{price.params} parameters, {price.macs} MACs and {price.activation_bytes} bytes of "
            "activations")


def check_feasible(graph: Graph, space: Space, shape: Shape, classes: int | None,
                   budget: Budget) -> None:
    """Raise `DesignError` if no design is valid, `BudgetError` if none has so few parameters."""
    if graph.total == 0:
        raise DesignError(f"at least one design of a space must fit, but none does: for example, "
                          f"{unfit(space, shape, classes)}")
    least = graph.low[graph.start]
    if budget.params is not None and budget.params < least:
        design = decode(space, replay(smallest(graph)))
        raise BudgetError(f"no design of this space has at most {budget.params} parameters: "
                          f"the smallest is `{design}` with {least}")


def unfit(space: Space, shape: Shape, classes: int | None) -> str:
    """Why a random design of a space does not fit."""
    try:
        design = decode(space, chooser(random.Random(0)))
        cost(design, shape, classes)
    except DesignError as error:
        return str(error)
    return "none was found"
