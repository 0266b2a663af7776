"""Layers of two branches, which both get the input: their sum, or one behind the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightsearch.design.fields import body, word
from lightsearch.design.parts import Layer, kind_of, register_kind
from lightsearch.design.words import ACTIVATIONS, ActivationName
from lightsearch.errors import DesignError


class Branching(Layer):
    """Base of the layers of two branches. An empty branch is the input itself."""

    __slots__ = ()

    def settle(self) -> None:
        if not any(getattr(self, name).parts for name in ("first", "second")):
            name = kind_of(type(self))
            raise DesignError(f"{name}: `first` or `second` must have a layer, but got none")


@dataclass(frozen=True, slots=True, repr=False)
class AddBranches(Branching):
    """The sum of two branches, then an optional activation. An empty branch is the input.

    A ResNet's block with stride 2, and batch norm on its shortcut (He et al. 2016, option B):

    >>> from lightsearch import add, conv, cost, seq
    >>> body = [conv(16, stride=2), conv(16, act="none")]
    >>> block = add(body, conv(16, kernel=1, stride=2, act="none"), act="relu")
    >>> cost(seq(block), (8, 7, 7)).shape
    (16, 4, 4)
    """

    first: Any = body()
    second: Any = body(bare=True)
    act: ActivationName = word("none", ACTIVATIONS)


@dataclass(frozen=True, slots=True, repr=False)
class Concat(Branching):
    """The channels of the first branch, then those of the second. An empty branch is the input.

    >>> from lightsearch import concat, conv, depthwise, seq
    >>> str(seq(conv(8), concat([], depthwise())))  # a ghost module (Han et al. 2020)
    'conv(8) concat([],[depthwise])'
    """

    first: Any = body()
    second: Any = body(bare=True)


add = AddBranches
concat = Concat

register_kind("add", AddBranches)
register_kind("concat", Concat)
