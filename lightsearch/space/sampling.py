"""Uniform draws from the designs of a space that are within a budget.

A random `choose` takes each option equally often, so it favours options that lead to few designs.
The sampler gives each assignment of active decisions within the budget the same probability: the
tables number the assignments, and it draws a number.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

from lightsearch.design.decoding import chooser, decode, record_decisions, replay
from lightsearch.design.parts import Design, Space
from lightsearch.errors import ArgumentError, BudgetError, DesignError
from lightsearch.network.cost import Budget, Cost, cost
from lightsearch.shapes import Shape
from lightsearch.space.graph import Graph, build_graph
from lightsearch.space.polynomials import tabulate
from lightsearch.space.program import compile_space
from lightsearch.space.transitions import TooLargeError

LIMIT = 300_000
"""The most edges of a graph by default: about 10 seconds, half a GB (measured)."""


@functools.lru_cache(maxsize=4)
def try_graph(space: Space, shape: Shape, classes: int | None, limit: int) -> Graph | None:
    """Return the graph of a space, or None if it would have more than `limit` edges."""
    try:
        return build_graph(compile_space(space), shape, classes, limit)
    except TooLargeError:
        return None


@functools.lru_cache(maxsize=4)
def try_structure(space: Space, limit: int) -> Graph | None:
    """Return the graph of a space as if every layer fitted everywhere, or None as above."""
    try:
        return build_graph(compile_space(space, shapeless=True), (1, 1, 1), None, limit)
    except TooLargeError:
        return None


@dataclass(frozen=True, slots=True)
class Numbering:
    """Numbers the assignments from 0 to `total - 1`: the paths of a graph within its room.

    `count(class, room)` returns the number of paths of a class to the end within `room`
    parameters.
    """

    graph: Graph
    count: Callable[[int, int], int]
    room: int

    @property
    def total(self) -> int:
        return self.count(self.graph.start, self.room) if self.graph.start >= 0 else 0

    def decisions(self, number: int) -> dict[str, int]:
        """Return assignment `number`."""
        graph, count, room, node = self.graph, self.count, self.room, 0
        record: dict[str, int] = {}
        while graph.edges[node]:
            for edge in graph.edges[node]:
                each = count(graph.classes[edge.target], room - edge.params)
                if number < each * edge.count:
                    break
                number -= each * edge.count
            way, number = divmod(number, each)
            record.update(edge.decisions(graph.paths[node], way))
            node, room = edge.target, room - edge.params
        return record


def number_assignments(graph: Graph, params: int | None) -> tuple[Numbering, bool]:
    """Return the assignments within `params` and True.

    If their tables would be too large, return all assignments and False.
    """
    if params is None or graph.start < 0 or params >= graph.high[graph.start]:
        return Numbering(graph, lambda number, room: graph.totals[number], 0), True
    tables = tabulate(graph, params)
    if tables is None:
        return Numbering(graph, lambda number, room: graph.totals[number], 0), False
    return Numbering(graph, tables.count, params), True


def smallest_assignment(graph: Graph) -> dict[str, int]:
    """Return the first assignment with the fewest parameters."""
    node = 0
    record: dict[str, int] = {}
    while graph.edges[node]:
        edge = min(graph.edges[node], key=lambda e: e.params + graph.low[graph.classes[e.target]])
        record.update(edge.decisions(graph.paths[node], 0))
        node = edge.target
    return record


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw before rejection: its record, design and cost, and the reason to reject it.

    `reason` is "" for none, the name of the cap that the design exceeds, or why it does not fit.
    `cost` is None if nothing had to be checked, or if the design does not fit.
    """

    decisions: dict[str, int]
    design: Design | None
    cost: Cost | None
    reason: str


class Sampler:
    """Draws designs of a space that are within a budget, all with the same probability.

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

    `total` is the number of assignments that it draws from. It rejects those that exceed another
    cap of the budget, or that the tables do not exclude. `valid` and `within_params` say whether
    the tables hold only designs that fit, and only designs within `budget.params`. If even the
    structure of the space is too large for tables, `total` is None, and each decision is drawn
    alone, which is not uniform.

    Raises `DesignError` if no design of the space is valid, and `BudgetError` if none is within
    the budget.
    """

    def __init__(
        self,
        space: Space,
        shape: Shape = (1, 28, 28),
        classes: int | None = 10,
        budget: Budget | None = None,
        *,
        limit: int = LIMIT,
        tries: int = 10_000,
    ) -> None:
        if tries < 1:
            raise ArgumentError(f"`tries` must be >= 1, but got tries={tries}")
        self.space, self.shape, self.classes, self.tries = space, shape, classes, tries
        self.budget = budget or Budget()
        self._source, self.within_params = self._number_candidates(limit)
        self.checked = not (
            self.valid
            and self.within_params
            and self.budget.macs is None
            and self.budget.activation_bytes is None
        )

    def _number_candidates(self, limit: int) -> tuple[Numbering | None, bool]:
        graph = try_graph(self.space, self.shape, self.classes, limit)
        self.valid = graph is not None
        if graph is not None:
            check_feasible(graph, self.space, self.shape, self.classes, self.budget)
            return number_assignments(graph, self.budget.params)
        structure = try_structure(self.space, limit)
        return (None if structure is None else number_assignments(structure, None)[0]), False

    @property
    def total(self) -> int | None:
        return None if self._source is None else self._source.total

    def draw(self, generator: random.Random) -> tuple[dict[str, int], Design]:
        """Draw one design. Return its record of decisions and the design.

        Raises `BudgetError` if `tries` candidates in a row are not within the budget.
        """
        reasons: dict[str, int] = {}
        example = ""
        for _ in range(self.tries):
            draw = self.draw_candidate(generator)
            if draw.design is not None and not draw.reason:
                return draw.decisions, draw.design
            label = draw.reason if draw.cost is not None else "do not fit"
            reasons[label] = reasons.get(label, 0) + 1
            example = (
                f"`{draw.design}` has {_format_cost(draw.cost)}"
                if draw.cost is not None
                else example or draw.reason
            )
        raise BudgetError(
            f"a design must be within {self.budget!r}, but none of {self.tries} random ones is: "
            + ", ".join(
                f"{count} {label}" if label == "do not fit" else f"{count} exceed {label}"
                for label, count in reasons.items()
            )
            + f"; for example {example}"
        )

    def draw_candidate(self, generator: random.Random) -> Draw:
        """Draw one candidate, which may have to be rejected."""
        if self._source is None:
            return self.judge(chooser(generator))
        return self.get_candidate(generator.randrange(self._source.total))

    def get_candidate(self, number: int) -> Draw:
        """Return candidate `number` of `total`. Each candidate has one number."""
        assert self._source is not None
        return self.judge(replay(self._source.decisions(number)))

    def judge(self, choose: Callable[[str, tuple[object, ...]], int]) -> Draw:
        """Return the design that `choose` picks, with its cost and the reason to reject it."""
        record: dict[str, int] = {}
        try:
            design = decode(self.space, record_decisions(choose, record))
            price = cost(design, self.shape, self.classes) if self.checked else None
        except DesignError as error:
            return Draw(record, None, None, str(error))
        return Draw(record, design, price, (price and self.budget.exceeded(price)) or "")


def _format_cost(price: Cost) -> str:
    return (
        f"{price.params} parameters, {price.macs} MACs and {price.activation_bytes} bytes of "
        "activations"
    )


def check_feasible(
    graph: Graph, space: Space, shape: Shape, classes: int | None, budget: Budget
) -> None:
    """Raise `DesignError` if no design is valid, `BudgetError` if all have too many parameters."""
    if graph.total == 0:
        raise DesignError(
            f"at least one design of a space must fit, but none does: for example, "
            f"{explain_misfit(space, shape, classes)}"
        )
    least = graph.low[graph.start]
    if budget.params is not None and budget.params < least:
        design = decode(space, replay(smallest_assignment(graph)))
        raise BudgetError(
            f"no design of this space has at most {budget.params} parameters: "
            f"the smallest is `{design}` with {least}"
        )


def explain_misfit(space: Space, shape: Shape, classes: int | None) -> str:
    """Return the reason why a random design of a space does not fit."""
    try:
        design = decode(space, chooser(random.Random(0)))
        cost(design, shape, classes)
    except DesignError as error:
        return str(error)
    return "none was found"
