"""Blocks that stand for sequences of the other layers, whose widths follow from their input."""

from __future__ import annotations

from dataclasses import dataclass

from lightsearch.design.fields import integer, word
from lightsearch.design.layers import MAX_KERNEL
from lightsearch.design.parts import Layer, register_kind
from lightsearch.design.words import ACTIVATIONS, ActivationName
from lightsearch.shapes import Sides


@dataclass(frozen=True, slots=True, repr=False)
class Inverted(Layer):
    """An inverted residual (Sandler et al. 2018): wider by `expand`, depthwise, then to `out`.

    It adds its input if the shape stays. An expansion by 1 has no first convolution.

    >>> from lightsearch import conv, cost, depthwise, inverted, residual, seq
    >>> body = [conv(48, kernel=1, act="relu6"), depthwise(act="relu6")]
    >>> spelled = residual([*body, conv(8, kernel=1, act="none")])
    >>> cost(seq(inverted(8)), (8, 9, 9)).params == cost(seq(spelled), (8, 9, 9)).params
    True
    """

    out: int = integer()
    expand: int = integer(6, short="e")
    kernel: Sides = integer(3, short="k", high=MAX_KERNEL, pair=True)
    stride: Sides = integer(1, short="s", high=MAX_KERNEL, pair=True)
    act: ActivationName = word("relu6", ACTIVATIONS)


@dataclass(frozen=True, slots=True, repr=False)
class Ghost(Layer):
    """A ghost module (Han et al. 2020): half of `out` channels, and a depthwise copy of them."""

    out: int = integer()
    kernel: Sides = integer(3, short="k", high=MAX_KERNEL, pair=True)
    act: ActivationName = word("relu", ACTIVATIONS)


inverted = Inverted
ghost = Ghost

register_kind("inverted", Inverted)
register_kind("ghost", Ghost)
