"""Uniform draws from the designs of a space that are within a budget.

A random `choose` takes each option equally often, so it favours options that lead to few designs.
The sampler gives each assignment of active decisions within the budget the same probability: the
tables number the assignments, and it draws a number.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable

from lightsearch.checks import check_integer
from lightsearch.design.decoding import chooser, decode, record_decisions, replay
from lightsearch.design.parts import Design, Space
from lightsearch.errors import ArgumentError, BudgetError, DesignError, quote
from lightsearch.formatting import caps_text
from lightsearch.network.cost import Budget, cost
from lightsearch.shapes import Shape, check_shape
from lightsearch.space.caps import read_budget
from lightsearch.space.feasibility import check_feasible
from lightsearch.space.graph import Graph, Narrow, build_graph, build_narrow
from lightsearch.space.guiding import Draw, Guide
from lightsearch.space.numbering import (
    Numbering,
    find_largest,
    number_assignments,
)
from lightsearch.space.outcomes import TooLargeError
from lightsearch.space.program import compile_space

LIMIT = 300_000
"""The most edges of a graph by default: about 10 seconds, half a GB (measured)."""

TRIES = 1000
"""The most candidates that are rejected before a draw is guided: about 0.3 seconds (measured).

If one candidate in a hundred is within the budget, one draw in 23,000 is guided."""

FEW = 50
"""The candidates of a guided draw, if a probe of `TRIES` candidates was in vain."""


@functools.lru_cache(maxsize=4)
def try_graph(space: Space, shape: Shape, classes: int | None, limit: int) -> Graph | None:
    """Return the graph of a space, or None if it would have more than `limit` edges."""
    try:
        return build_graph(compile_space(space), shape, classes, limit)
    except TooLargeError:
        return None


@functools.lru_cache(maxsize=1)
def try_narrow(
    space: Space, shape: Shape, classes: int | None, limit: int, cap: int
) -> Narrow | None:
    """Return the part of a graph within a cap on parameters, or None if that is too large, too."""
    try:
        return build_narrow(compile_space(space), shape, classes, limit, cap)
    except TooLargeError:
        return None


@functools.lru_cache(maxsize=4)
def try_structure(space: Space, limit: int) -> Graph | None:
    """Return the graph of a space as if every layer fitted everywhere, or None as above."""
    try:
        return build_graph(compile_space(space, shapeless=True), (1, 1, 1), None, limit)
    except TooLargeError:
        return None


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

    With `least`, all have at least that many parameters, and those near the cap can be had alone:

    >>> near = Sampler(space, budget=Budget(params=400), least=300)
    >>> near.total, str(near.draw(random.Random(0))[1])
    (1, 'conv(16) gap linear(10)')

    `total` is the number of assignments that it draws from. It rejects those that exceed another
    cap of the budget, or that the tables do not exclude, so the draws stay uniform. `valid` and
    `within_params` say whether the tables hold only designs that fit, and only designs with
    `least` to `budget.params` parameters.

    - Tables by parameters number just the assignments in between: count(cap) - count(least - 1).
    - If those would be too large, they count in units of several parameters, and a few of the
      draws, just outside, are rejected.
    - If the graph of shapes is too large, its part within `budget.params` is taken. If that is too
      large as well, every assignment of the space's structure is numbered, and all that do not fit
      or have other parameters are rejected.
    - If even the structure is too large, `total` is None, and each decision is drawn alone, which
      is not uniform.
    - If none of `tries` candidates in a row is within the budget, mutations lead the nearest of
      them there (`lightsearch.space.guiding`), which is not uniform either.

    Raises `DesignError` if no design of the space is valid, and `BudgetError` if none is within
    the budget, or none of those has `least` parameters.
    """

    def __init__(
        self,
        space: Space,
        shape: Shape = (1, 28, 28),
        classes: int | None = 10,
        budget: int | Budget | None = None,
        *,
        least: int = 0,
        limit: int = LIMIT,
        tries: int = TRIES,
    ) -> None:
        self.tries = check_integer("tries", tries, 1, 10**12)
        self.space, self.shape = space, check_shape(shape)
        self.classes = None if classes is None else check_integer("classes", classes, 1, 10**9)
        self.budget = read_budget(budget)
        cap = self.budget.params
        self.least = check_integer("least", least, 0, 10**12)
        if cap is not None and least > cap:
            raise ArgumentError(
                f"`least` must be at most the cap on parameters, but got least={least} with "
                f"{quote(self.budget)}"
            )
        self.numbering, self.within_params = self._number_candidates(limit)
        self.checked = not (
            self.valid
            and self.within_params
            and self.budget.macs is None
            and self.budget.activation_bytes is None
            and self.budget.min_receptive_field is None
        )

    def _number_candidates(self, limit: int) -> tuple[Numbering | None, bool]:
        graph = try_graph(self.space, self.shape, self.classes, limit)
        if graph is None and self.budget.params is not None:
            cap = self.budget.params
            narrow = try_narrow(self.space, self.shape, self.classes, limit, cap)
            graph = None if narrow is None else narrow.graph
        self.valid = graph is not None
        if graph is not None:
            check_feasible(graph, self.space, self.shape, self.classes, self.budget)
            numbering, exact = number_assignments(graph, self.budget.params, self.least)
            if not numbering.total:
                raise BudgetError(self._explain_empty(graph))
            return numbering, exact
        structure = try_structure(self.space, limit)
        return (None if structure is None else number_assignments(structure)[0]), False

    def _explain_empty(self, graph: Graph) -> str:
        """Say that no design has `least` parameters, and name the nearest below."""
        cap = graph.high[graph.start] if self.budget.params is None else self.budget.params
        rule = f"at least {self.least}" if cap < self.least else f"{self.least} to {cap}"
        message = f"no design of this space has {rule} parameters"
        within, exact = number_assignments(graph, cap)
        if not exact:
            return message
        record, params = find_largest(within)
        return f"{message}: the largest is `{decode(self.space, replay(record))}` with {params}"

    @property
    def total(self) -> int | None:
        return None if self.numbering is None else self.numbering.total

    def draw(self, generator: random.Random) -> tuple[dict[str, int], Design]:
        """Draw one design. Return its record of decisions and the design.

        Raises `BudgetError` if `tries` candidates in a row are not within the budget, nor any
        mutation of the nearest of them.
        """
        draw = self.find(generator)
        assert draw.design is not None
        return draw.decisions, draw.design

    def draw_decisions(self, generator: random.Random) -> dict[str, int]:
        """Draw the decisions of the design that `draw` would.

        Where every assignment is within the budget, no design is made.
        """
        if self.checked or self.numbering is None:
            return self.draw(generator)[0]
        return self.numbering.decisions(generator.randrange(self.numbering.total))

    def find(self, generator: random.Random) -> Draw:
        """Draw one design as `draw` does. Return it with its cost if that had to be checked."""
        rejected: list[Draw] = []
        while len(rejected) < self.tries:
            draw = self.draw_candidate(generator)
            if draw.design is not None and not draw.reason:
                return draw
            rejected.append(draw)
            if len(rejected) == FEW and self._hopeless:
                break
        starts = [draw for draw in rejected if draw.cost is not None]
        if len(rejected) < self.tries:
            rejected += self._hopeless
            starts = starts or [draw for draw in rejected if draw.cost is not None]
        end = f"for example {rejected[0].reason}"
        if starts:
            guide = Guide(self.judge, self.budget, self.least)
            nearest = guide.lead(starts, generator)
            if not nearest.reason:
                return nearest
            end = f"the nearest that was found is {guide.explain(nearest)}"
        reasons = Counter(draw.reason if draw.cost else "do not fit" for draw in rejected)
        raise BudgetError(
            f"a design must have {self._describe_bounds()}, but none of {len(rejected)} random "
            "ones does: "
            + ", ".join(f"{count} {_describe_reason(label)}" for label, count in reasons.items())
            + f"; {end}"
        )

    @functools.cached_property
    def _hopeless(self) -> list[Draw]:
        """The draws of a probe of `tries` candidates, if all are rejected, or else an empty list.

        The seed is fixed, so that a draw depends on its generator, not on the draws before it.
        """
        generator, probe = random.Random(0), list[Draw]()
        while len(probe) < self.tries:
            probe.append(self.draw_candidate(generator))
            if not probe[-1].reason:
                return []
        return probe

    def _describe_bounds(self) -> str:
        caps = caps_text(self.budget)
        bounds = [f"at most {caps}"] if caps else []
        if self.least:
            bounds.append(f"at least {self.least:,} parameters")
        return " and ".join(bounds) or "an output for each class"

    def draw_candidate(self, generator: random.Random) -> Draw:
        """Draw one candidate, which may have to be rejected."""
        if self.numbering is None:
            return self.judge(chooser(generator))
        return self.get_candidate(generator.randrange(self.numbering.total))

    def get_candidate(self, number: int) -> Draw:
        """Return candidate `number` of `total`. Each candidate has one number."""
        assert self.numbering is not None
        return self.judge(replay(self.numbering.decisions(number)))

    def judge(self, choose: Callable[[str, tuple[object, ...]], int]) -> Draw:
        """Return the design that `choose` picks, with its cost and the reason to reject it."""
        record: dict[str, int] = {}
        try:
            design = decode(self.space, record_decisions(choose, record))
            price = cost(design, self.shape, self.classes) if self.checked else None
        except DesignError as error:
            return Draw(record, None, None, str(error))
        reason = (price and self.budget.exceeded(price)) or ""
        if price and not reason and price.params < self.least:
            reason = "least"
        return Draw(record, design, price, reason)


def _describe_reason(label: str) -> str:
    if label == "do not fit":
        return label
    if label == "min_receptive_field":
        return "have too small a receptive field"
    return "have too few parameters" if label == "least" else f"exceed {label}"
