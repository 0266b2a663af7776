"""The lowering of each layer kind, by its class. The built-in ones are in `lowering`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from lightsearch.checks import check_integer, check_kind
from lightsearch.design.decoding import layers_of
from lightsearch.design.fields import is_pair
from lightsearch.design.parts import Layer, Seq, Space, is_decided, kind_of
from lightsearch.errors import DesignError
from lightsearch.layer_warnings import call_layer
from lightsearch.network.op_costs import sum_costs
from lightsearch.network.operations import Custom, Local, Ops, Step
from lightsearch.shapes import Shape, check_features, elements, join_sides

L = TypeVar("L", bound=Layer)

Lowering: TypeAlias = Callable[[Any, Shape], Ops]
Costing: TypeAlias = Callable[[Any, Shape], Local]
_LOWERINGS: dict[type[Layer], Lowering] = {}
_COSTINGS: dict[type[Layer], Costing] = {}


def has_own_layers(space: Space) -> bool:
    """Whether a design of `space` may have a layer of a user's own."""
    return any(type(layer) in _COSTINGS for layer in layers_of(space))


def register_cost(cls: type[Layer], cost: Costing) -> None:
    """Set the cost of a user's own layer kind: `cost(layer, shape) -> Local`."""
    _COSTINGS[cls] = cost


def _check_local(name: str, local: Any) -> Local:
    """Return a user's own cost with Python's integers: NumPy's would go into files and wrap."""
    check_kind(f"cost of {name}", local, Local, "a Local")
    numbers: dict[str, Any] = {}
    for field in dataclasses.fields(local):
        if field.name in ("shape", "whole"):
            continue
        value, label = getattr(local, field.name), f"{field.name} of {name}"
        if field.name in ("extent", "stride", "padding") and is_pair(value):
            numbers[field.name] = join_sides(*(check_integer(label, n, 0, 2**62) for n in value))
        else:
            numbers[field.name] = check_integer(label, value, 0, 2**62)
    return Local(check_features(local.shape), whole=bool(local.whole), **numbers)


@functools.lru_cache(maxsize=131072)
def lower(layer: Layer, source: Shape) -> Step:
    """Return the operations of `layer` on an input of shape `source`, with their cost.

    Raises `DesignError` for a layer that does not fit its input or still has choices.
    """
    if not is_decided(layer):
        raise DesignError(
            f"a layer must have no choices left to be costed or built, but got {layer!r}"
        )
    kind = type(layer)
    if kind in _COSTINGS:
        with call_layer():
            local = _check_local(kind_of(kind), _COSTINGS[kind](layer, source))
        ops: Ops = ((kind_of(kind), Custom(layer, source)),)
        peak = local.peak or elements(source) + elements(local.shape)
        return Step(
            layer,
            ops,
            source,
            local.shape,
            local.params,
            local.macs,
            local.spans,
            local.whole,
            peak,
            local.kept or peak,
        )
    if kind not in _LOWERINGS:
        raise DesignError(f"the layer kind {kind_of(kind)!r} must be registered with its cost")
    return sum_costs(layer, _LOWERINGS[kind](layer, source), source)


def lower_all(design: Seq, source: Shape, path: str = "") -> tuple[Step, ...]:
    """Lower each layer of a design. A `DesignError` names the layer's place, such as `[3]`."""
    steps = []
    for index, layer in enumerate(design.parts):
        if not isinstance(layer, Layer):
            raise DesignError(
                f"a design must have no choices left, but got {layer!r} at {path}[{index}]"
            )
        try:
            step = lower(layer, source)
        except DesignError as error:
            raise DesignError(f"{error} at {path}[{index}]") from None
        steps.append(step)
        source = step.shape
    return tuple(steps)


def made_of(step: Step, ops: Ops) -> Step:
    """Return the same layer with other operations, whose output has the same shape."""
    return sum_costs(step.layer, ops, step.source)


def register_lowering(kind: type[L]) -> Callable[[Callable[[L, Shape], Ops]], Lowering]:
    """Set the function that lowers a built-in kind: `lowering(layer, shape) -> operations`."""

    def decorate(function: Callable[[L, Shape], Ops]) -> Lowering:
        _LOWERINGS[kind] = function
        return function

    return decorate
