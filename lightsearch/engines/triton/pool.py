"""Max pooling without overlap."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from lightsearch.engines.triton.tiles import Tile, ceil, fits

TILE = Tile(0, 0, 256, 4)
SIZES = (2, 3, 4)


@triton.jit
def _best(x, corner, width, mask, K: tl.constexpr):
    """A window's largest value and its place, the first of equal ones; a NaN is the largest."""
    best = tl.load(x + corner, mask=mask, other=0.0)
    place = corner * 0
    for tap in tl.static_range(1, K * K):
        value = tl.load(x + corner + (tap // K) * width + tap % K, mask=mask, other=0.0)
        more = (value > best) | (value != value)
        best = tl.where(more, value, best)
        place = tl.where(more, tap, place)
    return best, place


_SIZES = ("values", "plane", "width", "source_plane", "source_width")


@triton.jit(do_not_specialize=_SIZES)
def _pool(
    x, y, values, plane, width, source_plane, source_width, K: tl.constexpr, BLOCK: tl.constexpr
):
    flat = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = flat < values
    number = flat // plane
    pixel = flat - number * plane
    corner = (pixel // width) * K * source_width + (pixel % width) * K
    best, _ = _best(x, number * source_plane + corner, source_width, mask, K)
    tl.store(y + flat, best, mask=mask)


@triton.jit(do_not_specialize=_SIZES)
def _pool_back(
    x,
    dy,
    dx,
    values,
    plane,
    width,
    source_plane,
    source_width,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each pixel of the source looks whether it is its window's largest."""
    flat = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    number = flat // source_plane
    pixel = flat - number * source_plane
    row = pixel // source_width
    column = pixel - row * source_width
    above = row // K
    left = column // K
    pooled = (flat < values) & (above < plane // width) & (left < width)
    corner = number * source_plane + above * K * source_width + left * K
    _, place = _best(x, corner, source_width, pooled, K)
    mine = place == (row - above * K) * K + column - left * K
    slope = tl.load(dy + number * plane + above * width + left, mask=pooled & mine, other=0.0)
    tl.store(dx + flat, slope, mask=flat < values)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        ctx.size = size
        y = x.new_empty(*x.shape[:2], x.shape[2] // size, x.shape[3] // size)
        _pool[(ceil(y.numel(), TILE.pixels),)](
            x, y, y.numel(), *_sizes(x, y), K=size, BLOCK=TILE.pixels, num_warps=TILE.warps
        )
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        dx = torch.empty_like(x)
        _pool_back[(ceil(x.numel(), TILE.pixels),)](
            x,
            dy.contiguous(),
            dx,
            x.numel(),
            *_sizes(x, dy),
            K=ctx.size,
            BLOCK=TILE.pixels,
            num_warps=TILE.warps,
        )
        return dx, None


def _sizes(x: Tensor, y: Tensor) -> tuple[int, int, int, int]:
    return y.shape[2] * y.shape[3], y.shape[3], x.shape[2] * x.shape[3], x.shape[3]


class TritonMaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d` of windows that do not overlap."""

    def forward(self, input: Tensor) -> Tensor:
        known = self.stride == self.kernel_size and self.padding == 0
        if not known or self.kernel_size not in SIZES or not fits(input):
            return super().forward(input)
        result: Tensor = _MaxPool.apply(input, self.kernel_size)
        return result
