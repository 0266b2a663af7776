"""Norms and activations as layers of their own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lightsearch.design.fields import integer, is_choice, real, set_fields, word
from lightsearch.design.layers import GROUPS, settle_norm
from lightsearch.design.parts import Layer, register_kind
from lightsearch.design.words import (
    ACTIVATIONS,
    AFFINES,
    NORMS,
    ActivationName,
    AffineName,
    NormName,
)

SLOPE = 0.01  # of a leaky ReLU, by default


@dataclass(frozen=True, slots=True, repr=False)
class Norm(Layer):
    """A norm: `batch`, `group` (Wu and He 2018) or `layer`, which is `group` with one group.

    `affine` is what it learns: `both` a gain and a shift a channel, the `shift` alone, or `none`.

    >>> from lightsearch import cost, norm, seq
    >>> [cost(seq(norm("group", affine=affine)), (8, 5, 5)).params for affine in ("both", "none")]
    [16, 0]
    """

    by: NormName = word("batch", NORMS)
    groups: int = integer(GROUPS, short="g")
    affine: AffineName = word("both", AFFINES)

    def settle(self) -> None:
        settle_norm(self, self.by, "groups")


@dataclass(frozen=True, slots=True, repr=False)
class Act(Layer):
    """An activation. `slope` is that of `leakyrelu` below zero; `prelu` learns one a channel.

    >>> from lightsearch import act, seq
    >>> str(seq(act("tanh"), act("leakyrelu", slope=0.2)))
    'act(tanh) act(leakyrelu,slope=0.2)'
    """

    function: ActivationName = word(dataclasses.MISSING, ACTIVATIONS)
    slope: float = real(SLOPE, high=1e6)

    def settle(self) -> None:
        if self.function != "leakyrelu" and not is_choice(self.function):
            set_fields(self, slope=SLOPE)


norm = Norm
act = Act

register_kind("norm", Norm)
register_kind("act", Act)
