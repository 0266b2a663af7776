"""The gate: decisions become a proposal only if their design is valid and within the budget."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightsearch.design.decoding import Choose, decode, replay
from lightsearch.design.encoding import encode
from lightsearch.design.parts import Design, Space
from lightsearch.design.recipe import Recipe
from lightsearch.errors import BudgetError, DesignError
from lightsearch.network.cost import Budget, Cost, cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.shapes import Shape
from lightsearch.space import Sampler
from lightsearch.space.guiding import Draw

NEAR = (0.88, 0.75, 0.5, 0.25)  # shares of the cap on parameters: the first that a space reaches
NEAR_SMALLEST = (0.75, 0.5, 0.25)  # where the fewest parameters are looked for
CHEAPEST_OF = 2  # draws near the cap, of which `"model"` takes the one with the fewest MACs
CHEAP_FROM = 16  # pixels a side: with 28 it helps, with 8 it does not
NEAR_TRIES = 2000  # draws, where another cap rejects some


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate within the budget that was not trained before."""

    design: Design
    recipe: Recipe
    decisions: dict[str, int]
    cost: Cost
    options: dict[str, tuple[Any, ...]]  # what each decision was between
    by: str  # what made it, such as `mutation` or `near-cap`
    fingerprint: str = ""  # of the network; "" until it is needed


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate without a proposal. `reason` is invalid, over_budget or too_small."""

    reason: str
    decisions: dict[str, int]
    options: dict[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Gate:
    """What every candidate passes, of one study."""

    space: Space
    recipe: Recipe
    shape: Shape
    classes: int
    budget: Budget

    def make(self, choose: Choose, by: str, *, least: int = 0) -> Proposal | Rejected:
        """Return the proposal that `choose` picks, or why there is none.

        A design of less than `least` parameters is too small.
        """
        decisions: dict[str, int] = {}
        options: dict[str, tuple[Any, ...]] = {}
        note = _note(choose, decisions, options)
        try:
            design, recipe = decode(self.space, note), decode(self.recipe, note)
            spent = cost(design, self.shape, self.classes)
        except DesignError:
            return Rejected("invalid", decisions, options)
        if self.budget.exceeded(spent):
            return Rejected("over_budget", decisions, options)
        if spent.params < least:
            return Rejected("too_small", decisions, options)
        return Proposal(design, recipe, decisions, spent, options, by)

    def read(self, design: Design, recipe: Recipe | None, by: str, otherwise: Choose) -> Proposal:
        """Return the proposal of a design that was given, within the budget or not.

        A design outside of the space has no decisions. Without a recipe, or with one outside of
        the recipe space, `otherwise` picks the recipe.
        """
        decisions: dict[str, int] = {}
        options: dict[str, tuple[Any, ...]] = {}
        found = encode(self.space, design)
        if found is not None:
            decode(self.space, _note(replay(found), decisions, options))
        chosen = None if recipe is None else encode(self.recipe, recipe)
        choose = otherwise if chosen is None else replay(chosen)
        decided = decode(self.recipe, _note(choose, decisions, options))
        spent = cost(design, self.shape, self.classes)
        return Proposal(design, decided, decisions, spent, options, by)

    def name(self, proposal: Proposal) -> Proposal:
        """Return the proposal with its fingerprint."""
        return dataclasses.replace(proposal, fingerprint=fingerprint(proposal.design, self.shape))


def count_options(options: Mapping[str, tuple[Any, ...]]) -> dict[str, int]:
    """Return how many options each decision had."""
    return {path: len(of) for path, of in options.items()}


def draw_near_cap(uniform: Sampler, shares: Sequence[float] = NEAR) -> tuple[Sampler, int]:
    """Return a sampler of designs near the cap on parameters, and the fewest that they have.

    That is the first of `shares` of the cap, or the next where a space has no such designs, or few
    that are within the other caps. Without a cap on parameters it is `uniform` and 0.
    """
    cap = uniform.budget.params or 0
    for share in shares if cap else ():
        least = -int(-share * cap // 1)
        try:
            near = Sampler(
                uniform.space,
                uniform.shape,
                uniform.classes,
                uniform.budget,
                least=least,
                tries=NEAR_TRIES,
            )
            near.draw(random.Random(0))
        except BudgetError:
            continue
        return near, least
    return uniform, 0


def draw_cheapest(sampler: Sampler, generator: random.Random, count: int) -> dict[str, int]:
    """Return the decisions of the one of `count` draws that needs the fewest MACs.

    A design with as many parameters and fewer MACs has them where the resolution is lower. Near a
    cap such designs of the default space do better on MNIST, and they train sooner; on images of
    8x8 pixels they do not (docs/benchmarks/search.md).
    """
    if count == 1:
        return sampler.draw_decisions(generator)
    draws = [sampler.find(generator) for _ in range(count)]
    return min(draws, key=lambda draw: _count_macs(sampler, draw)).decisions


def _count_macs(sampler: Sampler, draw: Draw) -> int:
    assert draw.design is not None
    known = draw.cost or cost(draw.design, sampler.shape, sampler.classes)
    return known.macs


def _note(
    choose: Choose, decisions: dict[str, int], options: dict[str, tuple[Any, ...]]
) -> Choose:
    """Return a `choose` that writes down its decisions, and what each was between."""

    def note(path: str, of: tuple[Any, ...]) -> int:
        options[path] = of
        decisions[path] = choose(path, of)
        return decisions[path]

    return note


def follow(decisions: Mapping[str, int], generator: random.Random) -> Choose:
    """Return a `choose` that follows `decisions`, and draws those that they lack."""

    def choose(path: str, options: tuple[Any, ...]) -> int:
        index = decisions.get(path)
        if index is not None and index < len(options):
            return index
        return generator.randrange(len(options))

    return choose
