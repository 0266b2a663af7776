"""Pools: windows without weights. Their sizes are in pixels: one number, or (height, width)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightsearch.design.fields import integer, is_choice, set_fields, word
from lightsearch.design.layers import MAX_KERNEL
from lightsearch.design.parts import Layer, register_kind
from lightsearch.design.words import POOLS, PoolName
from lightsearch.errors import DesignError
from lightsearch.shapes import Sides, both


class _PoolingLayer(Layer):
    __slots__ = ()

    def settle(self) -> None:
        kernel, stride = getattr(self, "kernel"), getattr(self, "stride")  # noqa: B009
        padding = getattr(self, "padding")  # noqa: B009
        if stride == "kernel" and not is_choice(kernel):
            set_fields(self, stride=kernel)
        if is_choice(kernel) or is_choice(padding):
            return
        if any(2 * pad > side for pad, side in zip(both(padding), both(kernel), strict=True)):
            raise DesignError(
                "`padding` must be at most half the kernel, "
                f"but got padding={padding} with kernel={kernel}"
            )


@dataclass(frozen=True, slots=True, repr=False)
class MaxPool(_PoolingLayer):
    """Max pooling. The stride defaults to the kernel. Output sizes are rounded down."""

    kernel: Sides = integer(2, short="k", high=MAX_KERNEL, pair=True)
    stride: Sides | Literal["kernel"] = integer(
        "kernel", short="s", high=MAX_KERNEL, auto="kernel", pair=True
    )
    padding: Sides = integer(0, short="p", low=0, high=MAX_KERNEL, pair=True)


@dataclass(frozen=True, slots=True, repr=False)
class AvgPool(_PoolingLayer):
    """Average pooling. The stride defaults to the kernel. Padded zeros count in the average."""

    kernel: Sides = integer(2, short="k", high=MAX_KERNEL, pair=True)
    stride: Sides | Literal["kernel"] = integer(
        "kernel", short="s", high=MAX_KERNEL, auto="kernel", pair=True
    )
    padding: Sides = integer(0, short="p", low=0, high=MAX_KERNEL, pair=True)


@dataclass(frozen=True, slots=True, repr=False)
class Gap(Layer):
    """Global average pooling, to one pixel per channel."""


@dataclass(frozen=True, slots=True, repr=False)
class Adaptive(Layer):
    """Pooling to `size` pixels whatever the input's size, as `nn.AdaptiveAvgPool2d` does.

    >>> from lightsearch import adaptive, conv, cost, seq
    >>> [cost(seq(conv(8), adaptive((4, 2))), (1, *size)).shape for size in ((28, 28), (9, 30))]
    [(8, 4, 2), (8, 4, 2)]
    """

    size: Sides = integer(high=MAX_KERNEL, pair=True)
    by: PoolName = word("average", POOLS)


maxpool = MaxPool
avgpool = AvgPool
gap = Gap
adaptive = Adaptive

register_kind("maxpool", MaxPool)
register_kind("avgpool", AvgPool)
register_kind("gap", Gap)
register_kind("adaptive", Adaptive)
