"""Whether a space has any design that fits, and any within the cap on parameters."""

from __future__ import annotations

import random

from lightsearch.design.decoding import chooser, decode, replay
from lightsearch.design.parts import Space
from lightsearch.errors import BudgetError, DesignError
from lightsearch.network.cost import Budget, cost
from lightsearch.shapes import Shape
from lightsearch.space.graph import Graph
from lightsearch.space.numbering import smallest_assignment


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
