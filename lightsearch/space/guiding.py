"""Guided draws, for budgets that next to no uniform draw meets.

A descent mutates one of the nearest of some uniform draws until it is within the budget. Then a
walk mutates it further within the budget, so that other draws end at other designs. This is not
uniform, but depends on the generator alone.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from lightsearch.design.decoding import Choose
from lightsearch.design.parts import Design
from lightsearch.formatting import caps_text
from lightsearch.network.cost import Budget, Cost

STARTS = 5  # of the nearest draws, which a descent starts from in turn
PATIENCE = 1200  # mutations in a row without progress: about 0.4 seconds (measured)
WALK = 60  # mutations within the budget, twice as many as the default space has decisions

ADVICE = {
    "params": "narrower or fewer layers",
    "macs": "a smaller image, a stride of 2 or a pooling earlier in the space, or narrower layers",
    "activation_bytes": "a smaller image, a stride of 2 or a pooling earlier in the space, or "
    "narrower layers before it",
    "min_receptive_field": "more layers, larger kernels, a dilation, or a pooling earlier in the "
    "space",
    "least": "wider or more layers",
}
"""What brings a design nearer to a cap."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw before rejection: its record, design and cost, and the reason to reject it.

    `reason` is "" for none, the name of the cap that the design exceeds, "least" for too few
    parameters, or why it does not fit.
    `cost` is None if nothing had to be checked, or if the design does not fit.
    """

    decisions: dict[str, int]
    design: Design | None
    cost: Cost | None
    reason: str


@dataclass(frozen=True, slots=True)
class Guide:
    """Leads draws into a budget. `judge` makes the draw of decisions, with its cost."""

    judge: Callable[[Choose], Draw]
    budget: Budget
    least: int

    def measure_distance(self, draw: Draw) -> float:
        """Return how far a draw is outside: the sum of the logarithms of its excesses."""
        if draw.cost is None:
            return math.inf
        ratios = list(self.budget.ratios(draw.cost).values())
        if self.least:
            ratios.append(self.least / max(1, draw.cost.params))
        return sum(max(0.0, math.log(ratio)) for ratio in ratios if ratio > 0)

    def lead(self, draws: list[Draw], generator: random.Random) -> Draw:
        """Return a draw within the budget, or else the nearest that the descents found."""
        ends: list[Draw] = []
        for draw in heapq.nsmallest(STARTS, draws, key=self.measure_distance):
            ends.append(self.descend(draw, generator))
            if not ends[-1].reason:
                return self.walk(ends[-1], generator)
        return min(ends, key=self.measure_distance)

    def descend(self, draw: Draw, generator: random.Random) -> Draw:
        """Return the nearest draw that mutations find, perhaps one within the budget."""
        distance, idle = self.measure_distance(draw), 0
        while distance > 0 and idle < PATIENCE:
            mutant = self.judge(mutate(draw.decisions, generator))
            other = self.measure_distance(mutant)
            idle = 0 if other < distance else idle + 1
            if other <= distance:
                draw, distance = mutant, other
        return draw

    def walk(self, draw: Draw, generator: random.Random) -> Draw:
        """Return a draw that some mutations within the budget lead to."""
        for _ in range(WALK):
            mutant = self.judge(mutate(draw.decisions, generator))
            if mutant.design is not None and not mutant.reason:
                draw = mutant
        return draw

    def explain(self, draw: Draw) -> str:
        """Name a draw that is outside, its excess, and what brings designs nearer to the caps."""
        assert draw.cost is not None
        over = list(self.budget.list_exceeded(draw.cost))
        values = [
            f"a receptive field of {draw.cost.receptive_field:,}"
            if name == "min_receptive_field"
            else caps_text(Budget(**{name: getattr(draw.cost, name)}))
            for name in over
        ]
        if draw.cost.params < self.least:
            over.append("least")
            values.append(f"{draw.cost.params:,} parameters")
        advice = "; ".join(dict.fromkeys(ADVICE[name] for name in over))
        return f"`{draw.design}` with {' and '.join(values)}. What helps: {advice}"


def mutate(decisions: dict[str, int], generator: random.Random) -> Choose:
    """Return a `choose` that draws one or two of the decisions anew, and those that are new."""
    count = min(len(decisions), generator.choice((1, 2)))
    changed = set(generator.sample(list(decisions), count))

    def choose(path: str, options: tuple[object, ...]) -> int:
        index = None if path in changed else decisions.get(path)
        if index is None or index >= len(options):
            return generator.randrange(len(options))
        return index

    return choose
