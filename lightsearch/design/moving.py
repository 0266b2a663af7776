"""Layers that move values without weights: parts of the channels, their order, a border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightsearch.design.fields import integer, is_choice, set_fields, word
from lightsearch.design.layers import MAX_KERNEL
from lightsearch.design.parts import Layer, register_kind
from lightsearch.design.words import BORDERS, BorderName
from lightsearch.shapes import Sides


@dataclass(frozen=True, slots=True, repr=False)
class Split(Layer):
    """Part number `part`, from 0 on, `of` equal parts of the channels."""

    part: int = integer(low=0)
    of: int = integer(2)


@dataclass(frozen=True, slots=True, repr=False)
class Shuffle(Layer):
    """The channels of `groups` groups in turn (Zhang et al. 2018)."""

    groups: int = integer(2, short="g")


@dataclass(frozen=True, slots=True, repr=False)
class Widen(Layer):
    """More channels, to `out`: zeros before and after them, alike (the odd one after).

    In a branch of `add` it is the shortcut without weights of a ResNet's option A.
    """

    out: int = integer()


@dataclass(frozen=True, slots=True, repr=False)
class Pad(Layer):
    """A border: `before` pixels on top and on the left, `after` below and right.

    >>> from lightsearch import conv, cost, pad, seq
    >>> cost(seq(pad(0, after=1), conv(8, stride=2, padding=0)), (3, 96, 96)).shape
    (8, 48, 48)
    """

    before: Sides = integer(low=0, high=MAX_KERNEL, pair=True)
    after: Sides | Literal["before"] = integer(
        "before", short="a", low=0, high=MAX_KERNEL, auto="before", pair=True
    )
    mode: BorderName = word("zeros", BORDERS)

    def settle(self) -> None:
        if self.after == "before" and not is_choice(self.before):
            set_fields(self, after=self.before)
        if self.before == self.after == 0:
            set_fields(self, mode="zeros")


split = Split
shuffle = Shuffle
widen = Widen
pad = Pad

for _name, _kind in {"split": Split, "shuffle": Shuffle, "widen": Widen, "pad": Pad}.items():
    register_kind(_name, _kind)
