"""The outcomes of a layer on an input: the ways to decide its fields, by what they lead to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lightsearch.design.branches import AddBranches, Concat
from lightsearch.design.choice import Choice
from lightsearch.design.decoding import decode, enumerate_choices, fill_fields
from lightsearch.design.fields import integer
from lightsearch.design.layers import Conv, Linear, Separable
from lightsearch.design.parts import Layer, Seq
from lightsearch.errors import DesignError
from lightsearch.network.lowering import lower, register_cost
from lightsearch.network.operations import Local, Step
from lightsearch.network.passes import split_passes
from lightsearch.shapes import Shape
from lightsearch.space.program import Program, field_choices, has_opaque_body

Decisions: TypeAlias = tuple[tuple[str, int], ...]
"""Decisions: (name of a choice or the rest of its path, index of the option)."""

Bound: TypeAlias = tuple[tuple[str, int], ...]
"""The decisions of named choices, sorted by name."""

Loops: TypeAlias = tuple[tuple[int, str], ...]
"""The passes of each open loop and what they share, from the inner to the outer."""

_ANY_OPTION = -1  # the choice is made, and its option makes no difference


class TooLargeError(Exception):
    """The graph would have too many edges. Only `lightsearch.space` sees this error."""


@dataclass(frozen=True, slots=True, repr=False)
class _FixedShape(Layer):
    """A layer without parameters that has a given output shape. It replaces a residual's body."""

    channels: int = integer()
    height: int = integer()
    width: int = integer()


register_cost(_FixedShape, lambda layer, shape: Local((layer.channels, layer.height, layer.width)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome of a layer, the same wherever in the space it stands."""

    bound: Bound  # the named choices that it decides
    shape: Shape
    params: int
    ways: tuple[Decisions, ...]


_Way: TypeAlias = tuple[Decisions, dict[str, int], Shape, int]


def ignores_channels(layer: Layer) -> bool:
    """Whether the output of a layer, and whether it fits, does not depend on its input's channels.

    Then its parameters are linear in them: so many for each channel, and so many more.
    """
    if type(layer) is Separable:  # its inner norm is of the input's channels: some may not fit
        norm: Any = layer.norm
        norms = norm.options if isinstance(norm, Choice) else (norm,)
        return not {"group", "layer"}.intersection(norms)
    return type(layer) is Linear or (type(layer) is Conv and layer.groups == 1)


@dataclass(frozen=True, slots=True)
class _Rule:
    """The ways to decide a layer on inputs of `channels`, and what each further channel costs."""

    channels: int
    ways: list[_Way]
    slopes: list[int]


class Outcomes:
    """Finds the outcomes of layers. Equal layers on equal inputs share theirs.

    Those of more than `most` parameters may be left out.
    """

    def __init__(self, program: Program, limit: int, most: float = math.inf) -> None:
        self.program, self.most = program, most
        self.tries_left = 4 * limit  # layers to try, which become fewer edges
        self.known: dict[Any, tuple[list[Outcome], Decisions]] = {}
        self.rules: dict[Any, _Rule] = {}

    def find(
        self,
        layer: Layer,
        source: Shape,
        body: tuple[Shape, ...] | None,
        bound: Bound,
        loops: Loops,
    ) -> tuple[list[Outcome], Decisions]:
        """Return the outcomes of a layer, and its free choices.

        `body` has the outputs of its bodies if they are decided already, `bound` what the choices
        with names in the layer are.
        """
        key = layer, source, body, bound, loops
        if key not in self.known:
            self.known[key] = self._find_outcomes(layer, source, body, dict(bound), loops)
        return self.known[key]

    def _find_outcomes(
        self,
        layer: Layer,
        source: Shape,
        body: tuple[Shape, ...] | None,
        bound: dict[str, int],
        loops: Loops,
    ) -> tuple[list[Outcome], Decisions]:
        if has_opaque_body(layer) and not self.program.shapeless:
            return _group_outcomes(self._try_opaque(layer, source, bound, loops)), ()
        tried, free, free_names = self._sort_choices(layer, bound)
        if self.program.shapeless or body is not None or loops or not ignores_channels(layer):
            ways = self._try_options(layer, source, body, bound, tried, loops)
        else:
            ways = self._apply_rule(layer, source, bound, tried)
        outcomes = _group_outcomes(
            (decisions, new | free_names, shape, params) for decisions, new, shape, params in ways
        )
        return outcomes, tuple(free)

    def _sort_choices(
        self,
        layer: Layer,
        bound: dict[str, int],
    ) -> tuple[dict[str, Choice], list[tuple[str, int]], dict[str, int]]:
        """Return the choices to try, the free ones by number of options, and the named free."""
        tried: dict[str, Choice] = {}
        free: dict[str, int] = {}
        free_names: dict[str, int] = {}
        for name, choice in field_choices(layer):
            key = choice.name or f".{name}"
            if choice.name in self.program.decisive or (
                choice.name is None and name not in self.program.free(layer)
            ):
                if key not in bound:
                    tried[key] = choice
            elif key not in bound:
                free[key] = len(choice.options)
                if choice.name:
                    free_names[key] = _ANY_OPTION
        return tried, list(free.items()), free_names

    def _try_options(
        self,
        layer: Layer,
        source: Shape,
        body: tuple[Shape, ...] | None,
        bound: dict[str, int],
        tried: dict[str, Choice],
        loops: Loops,
    ) -> Iterator[_Way]:
        fields = [(choice.name or f".{name}", choice) for name, choice in field_choices(layer)]
        bodies = tuple(Seq((_FixedShape(*shape),)) for shape in body or ())
        self._spend_tries(math.prod(len(choice.options) for choice in tried.values()))
        for indices in itertools.product(*(range(len(c.options)) for c in tried.values())):
            indices_by_key = dict(zip(tried, indices, strict=True))
            new = {key: index for key, index in indices_by_key.items() if key[0] != "."}
            decisions = tuple(indices_by_key.items())
            if self.program.shapeless:
                yield decisions, new, source, 0
                continue
            values = tuple(
                choice.options[max(0, indices_by_key.get(key, bound.get(key, 0)))]
                for key, choice in fields
            )
            try:
                step = lower(_fill(layer, bodies, values), source)
            except DesignError:
                continue
            yield decisions, new, step.shape, _count_params(step, loops)

    def _apply_rule(
        self, layer: Layer, source: Shape, bound: dict[str, int], tried: dict[str, Choice]
    ) -> Iterator[_Way]:
        """Yield what `_try_options` does for a layer that `ignores_channels`, without lowering it.

        Only the first input's channels are lowered, and one more for what each costs.
        """
        channels, height, width = source
        key = layer, height, width, tuple(bound.items())
        tries = math.prod(len(choice.options) for choice in tried.values())
        if key not in self.rules:
            self._spend_tries(tries)
            self.tries_left += 2 * tries  # of the two that follow: they count once
            ways, more = (
                list(self._try_options(layer, (count, height, width), None, bound, tried, ()))
                for count in (channels, channels + 1)
            )
            slopes = [after[3] - way[3] for way, after in zip(ways, more, strict=True)]
            self.rules[key] = _Rule(channels, ways, slopes)
        else:  # a way that is beyond the cap is left out at once
            self._spend_tries(tries if self.most == math.inf else tries // 10)
        rule = self.rules[key]
        further = channels - rule.channels
        for (decisions, new, shape, first), slope in zip(rule.ways, rule.slopes, strict=True):
            params = first + slope * further
            if params <= self.most:
                yield decisions, new, shape, params

    def _spend_tries(self, tries: int) -> None:
        self.tries_left -= tries
        if self.tries_left < 0:
            raise TooLargeError

    def _try_opaque(
        self, layer: Layer, source: Shape, bound: dict[str, int], loops: Loops
    ) -> Iterator[_Way]:
        """Yield every way to decide a layer that may use its body in any way."""

        def make(choose: Any) -> Any:
            try:
                return lower(decode(Seq((layer,)), choose).parts[0], source)
            except DesignError:
                return None

        for record, step in enumerate_choices(make):
            self._spend_tries(1)
            names = {key: index for key, index in record.items() if key[0] != "["}
            if step is None or any(bound.get(key, index) != index for key, index in names.items()):
                continue
            decisions = tuple(
                (key.removeprefix("[0]"), index)
                for key, index in record.items()
                if key not in bound
            )
            new = {key: index for key, index in names.items() if key not in bound}
            yield decisions, new, step.shape, _count_params(step, loops)


def _fill(layer: Layer, bodies: tuple[Seq, ...], values: tuple[Any, ...]) -> Layer:
    """Return a layer with the outputs of its bodies in their place, and its choices decided."""
    if isinstance(layer, AddBranches | Concat) and bodies:
        layer, bodies = replace(layer, first=bodies[0], second=bodies[1]), ()
    chosen = (*bodies, *values)
    return fill_fields(layer, chosen) if chosen else layer


def _count_params(step: Step, loops: Loops) -> int:
    """Return the parameters of a layer inside of loops, which go from the inner to the outer."""
    for passes, share in loops:
        (step,) = split_passes((step,), passes, share)
    return step.params


def _group_outcomes(ways: Iterable[_Way]) -> list[Outcome]:
    groups: dict[tuple[Bound, Shape, int], list[Decisions]] = {}
    for decisions, new, shape, params in ways:
        groups.setdefault((tuple(sorted(new.items())), shape, params), []).append(decisions)
    return [Outcome(*key, tuple(group)) for key, group in groups.items()]
