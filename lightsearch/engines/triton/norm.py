"""Batch norm, with the ReLU before or after it."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from lightsearch.engines.triton.tiles import Tile, ceil, fits, split

TILE = Tile(0, 0, 512, 4)
PROGRAMS = 528  # about so many share a sum over a batch: four for each multiprocessor of an H200
ROWS = 128  # of a channel, at most

_NORM = ("images", "chunk", "together", "tiles", "plane", "channels")


@triton.jit(do_not_specialize=_NORM)
def norm_sums(
    x,
    sums,
    images,
    chunk,
    together,
    tiles,
    plane,
    channels,
    BEFORE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sums of a channel's values and of their squares, less the channel's first value.

    Without that shift, squares of values far from zero would lose the variance in rounding.
    """
    channel = tl.program_id(1)
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * chunk
    flat = tile * BLOCK + tl.arange(0, BLOCK)
    number = flat // plane
    places = x + (number * channels + channel) * plane + flat - number * plane
    shift = tl.load(x + channel * plane)
    if BEFORE:
        shift = tl.maximum(shift, 0.0)
    one = tl.zeros((BLOCK,), tl.float32)
    two = tl.zeros((BLOCK,), tl.float32)
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        value = tl.load(places + n * channels * plane, mask=mask, other=0.0)
        if BEFORE:
            value = tl.maximum(value, 0.0)
        value = tl.where(mask, value - shift, 0.0)
        one += value
        two += value * value
    row = (channel * tl.num_programs(0) + tl.program_id(0)) * 2
    tl.store(sums + row, tl.sum(one, axis=0))
    tl.store(sums + row + 1, tl.sum(two, axis=0))


@triton.jit(do_not_specialize=("rows",))
def _sum_pairs(sums, rows, ROWS: tl.constexpr):
    place = tl.arange(0, ROWS)
    one = tl.zeros((ROWS,), tl.float32)
    two = tl.zeros((ROWS,), tl.float32)
    for first in range(0, rows, ROWS):
        mask = place + first < rows
        one += tl.load(sums + (place + first) * 2, mask=mask, other=0.0)
        two += tl.load(sums + (place + first) * 2 + 1, mask=mask, other=0.0)
    return tl.sum(one, axis=0), tl.sum(two, axis=0)


@triton.jit(do_not_specialize=_NORM)
def norm_apply(
    x,
    y,
    sums,
    gamma,
    beta,
    running_mean,
    running_var,
    counter,
    kept,
    momentum,
    eps,
    images,
    chunk,
    together,
    tiles,
    plane,
    channels,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Batch norm by the sums of `norm_sums`. One program a channel moves the running statistics
    and keeps mean and 1 / deviation for the way back."""
    channel = tl.program_id(1)
    rows = tl.num_programs(0)
    one, two = _sum_pairs(sums + channel * rows * 2, rows, ROWS)
    shift = tl.load(x + channel * plane)
    if BEFORE:
        shift = tl.maximum(shift, 0.0)
    count = (images * plane).to(tl.float32)
    one = one / count
    variance = tl.maximum(two / count - one * one, 0.0)
    mean = shift + one
    inverse = 1.0 / tl.sqrt(variance + eps)
    if tl.program_id(0) == 0:
        tl.store(kept + 2 * channel, mean)
        tl.store(kept + 2 * channel + 1, inverse)
        old = tl.load(running_mean + channel)
        tl.store(running_mean + channel, old + momentum * (mean - old))
        old = tl.load(running_var + channel)
        unbiased = variance * (count / (count - 1.0))
        tl.store(running_var + channel, old + momentum * (unbiased - old))
        if channel == 0:
            tl.store(counter, tl.load(counter) + 1)
    factor = inverse * tl.load(gamma + channel)
    plus = tl.load(beta + channel)
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * chunk
    flat = tile * BLOCK + tl.arange(0, BLOCK)
    number = flat // plane
    places = (number * channels + channel) * plane + flat - number * plane
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        value = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        if BEFORE:
            value = tl.maximum(value, 0.0)
        value = (value - mean) * factor + plus
        if AFTER:
            value = tl.maximum(value, 0.0)
        tl.store(y + places + n * channels * plane, value, mask=mask)


@triton.jit(do_not_specialize=_NORM)
def norm_back_sums(
    x,
    dy,
    sums,
    gamma,
    beta,
    kept,
    images,
    chunk,
    together,
    tiles,
    plane,
    channels,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sums of a channel's gradient and of its product with the normal values."""
    channel = tl.program_id(1)
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * chunk
    mean = tl.load(kept + 2 * channel)
    inverse = tl.load(kept + 2 * channel + 1)
    factor = inverse * tl.load(gamma + channel)
    plus = tl.load(beta + channel)
    flat = tile * BLOCK + tl.arange(0, BLOCK)
    number = flat // plane
    places = (number * channels + channel) * plane + flat - number * plane
    one = tl.zeros((BLOCK,), tl.float32)
    two = tl.zeros((BLOCK,), tl.float32)
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        value = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        slope = tl.load(dy + places + n * channels * plane, mask=mask, other=0.0)
        if BEFORE:
            value = tl.maximum(value, 0.0)
        if AFTER:
            slope = tl.where((value - mean) * factor + plus > 0.0, slope, 0.0)
        one += slope
        two += slope * ((value - mean) * inverse)
    row = (channel * tl.num_programs(0) + tl.program_id(0)) * 2
    tl.store(sums + row, tl.sum(one, axis=0))
    tl.store(sums + row + 1, tl.sum(two, axis=0))


@triton.jit(do_not_specialize=_NORM)
def norm_back_apply(
    x,
    dy,
    dx,
    sums,
    gamma,
    beta,
    kept,
    d_gamma,
    d_beta,
    images,
    chunk,
    together,
    tiles,
    plane,
    channels,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradients of batch norm by the sums of `norm_back_sums`."""
    channel = tl.program_id(1)
    rows = tl.num_programs(0)
    one, two = _sum_pairs(sums + channel * rows * 2, rows, ROWS)
    if tl.program_id(0) == 0:
        tl.store(d_beta + channel, one)
        tl.store(d_gamma + channel, two)
    mean = tl.load(kept + 2 * channel)
    inverse = tl.load(kept + 2 * channel + 1)
    factor = inverse * tl.load(gamma + channel)
    plus = tl.load(beta + channel)
    count = (images * plane).to(tl.float32)
    one = one / count
    two = two / count
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * chunk
    flat = tile * BLOCK + tl.arange(0, BLOCK)
    number = flat // plane
    places = (number * channels + channel) * plane + flat - number * plane
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        given = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        slope = tl.load(dy + places + n * channels * plane, mask=mask, other=0.0)
        value = given
        if BEFORE:
            value = tl.maximum(value, 0.0)
        if AFTER:
            slope = tl.where((value - mean) * factor + plus > 0.0, slope, 0.0)
        slope = (slope - one - (value - mean) * inverse * two) * factor
        if BEFORE:
            slope = tl.where(given > 0.0, slope, 0.0)
        tl.store(dx + places + n * channels * plane, slope, mask=mask)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        norm: nn.BatchNorm2d,
        before: bool,
        after: bool,
    ) -> Tensor:
        ctx.set_materialize_grads(False)
        x = x.contiguous()
        y, kept = normalise(x, gamma, beta, norm, before, after)
        ctx.save_for_backward(x, gamma, beta, kept)
        ctx.how = (before, after)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None) -> Any:
        if dy is None:
            return (None,) * 6
        x, gamma, beta, kept = ctx.saved_tensors
        before, after = ctx.how
        found = normalise_back(x, gamma, beta, kept, dy.contiguous(), before, after)
        return (*found, None, None, None)


def _norm_split(x: Tensor) -> tuple[tuple[int, int], tuple[int, ...], Tensor]:
    images, channels, height, width = x.shape
    parts = split(images, height * width, TILE.pixels, min(ROWS, ceil(PROGRAMS, channels)))
    sizes = (images, *parts[1:], height * width, channels)
    return (parts.programs, channels), sizes, x.new_empty(channels, parts.programs, 2)


def normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d, before: bool, after: bool
) -> tuple[Tensor, Tensor]:
    """Batch norm in training; and each channel's mean and 1 / deviation."""
    grid, sizes, sums = _norm_split(x)
    how = {"BEFORE": before, "BLOCK": TILE.pixels, "num_warps": TILE.warps}
    y, kept = torch.empty_like(x), x.new_empty(x.shape[1], 2)
    norm_sums[grid](x, sums, *sizes, **how)
    norm_apply[grid](
        x,
        y,
        sums,
        gamma,
        beta,
        norm.running_mean,
        norm.running_var,
        norm.num_batches_tracked,
        kept,
        norm.momentum,
        norm.eps,
        *sizes,
        AFTER=after,
        ROWS=ROWS,
        **how,
    )
    return y, kept


def normalise_back(
    x: Tensor, gamma: Tensor, beta: Tensor, kept: Tensor, dy: Tensor, before: bool, after: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by input, weight and bias."""
    grid, sizes, sums = _norm_split(x)
    how = {"BEFORE": before, "AFTER": after, "BLOCK": TILE.pixels, "num_warps": TILE.warps}
    dx, d_gamma, d_beta = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(beta)
    norm_back_sums[grid](x, dy, sums, gamma, beta, kept, *sizes, **how)
    norm_back_apply[grid](
        x, dy, dx, sums, gamma, beta, kept, d_gamma, d_beta, *sizes, ROWS=ROWS, **how
    )
    return dx, d_gamma, d_beta


class TritonBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, with the ReLU before or after it if there is one."""

    before = after = False

    def forward(self, input: Tensor) -> Tensor:
        values = math.prod(input.shape) // input.shape[1]
        if self.training and fits(input) and values > 1:
            result: Tensor = _Norm.apply(
                input, self.weight, self.bias, self, self.before, self.after
            )
            return result
        output = super().forward(torch.relu(input) if self.before else input)
        return torch.relu(output) if self.after else output
