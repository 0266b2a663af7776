"""Convolutions, their gradients, and small linear layers: 1x1 convolutions of one pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lightsearch.engines.triton.convolution_kernels import add_rows, convolve, correlate
from lightsearch.engines.triton.tiles import Tile, ceil, fits, split
from lightsearch.network.leaf_modules import FlatLinear

LARGE = Tile(8, 0, 512, 4)  # of `convolve`, if that makes enough programs
SMALL = Tile(4, 0, 256, 4)
APART = Tile(1, 0, 512, 4)  # one output channel a group
ENOUGH = 160  # programs: somewhat more than an H200 has multiprocessors
UNROLLED = (1, 3, 5)  # sizes of kernels
MANY = (Tile(8, 8, 128, 4), 1024)  # of `correlate`, and about so many programs
FEW = (Tile(4, 16, 128, 4), 512)  # up to so many weights:
FEW_WEIGHTS = 400
CORRELATE_APART = (Tile(1, 16, 128, 4), 512)
ADD = Tile(0, 32, 32, 4)  # rows at once, and sums
LINEAR_INPUTS = 128  # of a linear layer, at most: more are cuBLAS's


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
    ) -> Tensor:
        ctx.set_materialize_grads(False)
        x, w = x.contiguous(), w.contiguous()
        ctx.save_for_backward(x, w)
        ctx.how = (bias is not None, stride, padding, groups)
        return convolution(x, w, bias, stride, padding, groups)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None) -> Any:
        if dy is None:
            return (None,) * 6
        x, w = ctx.saved_tensors
        biased, *how = ctx.how
        dy = dy.contiguous()
        dx = by_input(dy, w, x.shape, *how) if ctx.needs_input_grad[0] else None
        dw, db = by_weight(x, dy, w, biased, *how)
        return dx, dw, db, None, None, None


def convolution(
    x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
) -> Tensor:
    """As `torch.nn.functional.conv2d`, of square _"""
    outputs, inner, kernel, _ = w.shape
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
    y = x.new_empty(len(x), outputs, height, width)
    taps = kernel * kernel
    _launch(
        x,
        w,
        bias,
        y,
        groups,
        inner,
        outputs // groups,
        (kernel, stride, -padding, 1, inner * taps, taps),
        1,
    )
    return y


def by_input(
    dy: Tensor, w: Tensor, shape: torch.Size, stride: int, padding: int, groups: int
) -> Tensor:
    """The gradient by the input, of shape `shape`."""
    outputs, inner, kernel, _ = w.shape
    dx = dy.new_empty(shape)
    taps = kernel * kernel
    _launch(
        dy,
        w,
        None,
        dx,
        groups,
        outputs // groups,
        inner,
        (kernel, 1, padding, -1, taps, inner * taps),
        stride,
    )
    return dx


def _launch(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    y: Tensor,
    groups: int,
    inner: int,
    outer: int,
    how: tuple[int, ...],
    down: int,
) -> None:
    kernel = how[0]
    plane = y.shape[2] * y.shape[3]
    pixels = len(y) * plane
    tile = convolve_tile(pixels, outer, groups)
    grid = (ceil(pixels, tile.pixels), ceil(outer, tile.channels), groups)
    convolve[grid](
        x,
        w,
        w if bias is None else bias,
        y,
        pixels,
        plane,
        y.shape[3],
        x.shape[2],
        x.shape[3],
        inner,
        outer,
        x[0].numel(),
        y[0].numel(),
        *how,
        int(bias is not None),
        DOWN=down,
        TAPS=kernel if inner == 1 and kernel in UNROLLED else 0,
        CO=tile.channels,
        BLOCK=tile.pixels,
        num_warps=tile.warps,
    )


def convolve_tile(pixels: int, outer: int, groups: int) -> Tile:
    """The tile for so many pixels of a batch and outputs of each group."""
    if outer == 1:
        return APART
    programs = ceil(pixels, LARGE.pixels) * ceil(outer, LARGE.channels) * groups
    return LARGE if programs >= ENOUGH else SMALL


def correlate_tile(outer: int, weights: int) -> tuple[Tile, int]:
    """The tile, and the programs that share a batch, by the outputs and weights of a group."""
    if outer == 1:
        return CORRELATE_APART
    return FEW if weights <= FEW_WEIGHTS else MANY


def by_weight(
    x: Tensor, dy: Tensor, w: Tensor, biased: bool, stride: int, padding: int, groups: int
) -> tuple[Tensor, Tensor | None]:
    """The gradients by the weights and the bias."""
    outputs, inner, kernel, _ = w.shape
    outer = outputs // groups
    plane = dy.shape[2] * dy.shape[3]
    taps = inner * kernel * kernel
    columns = taps + int(biased)
    tile, programs = correlate_tile(outer, outer * columns)
    blocks = ceil(columns, tile.columns) * ceil(outer, tile.channels)
    parts = split(len(x), plane, tile.pixels, programs // (blocks * groups))
    sums = x.new_empty(parts.programs, outputs * columns)
    correlate[(parts.programs, blocks, groups)](
        x,
        dy,
        sums,
        len(x),
        *parts[1:],
        plane,
        dy.shape[3],
        x.shape[2],
        x.shape[3],
        inner,
        outer,
        kernel,
        stride,
        padding,
        x[0].numel(),
        dy[0].numel(),
        columns,
        taps,
        CO=tile.channels,
        COLUMNS=tile.columns,
        BLOCK=tile.pixels,
        num_warps=tile.warps,
    )
    return _add_sums(sums, w, biased)


def _add_sums(sums: Tensor, w: Tensor, biased: bool) -> tuple[Tensor, Tensor | None]:
    """The second stage: the gradients by what each program has summed."""
    rows, count = sums.shape
    columns = count // len(w)
    dw, db = torch.empty_like(w), w.new_empty(len(w)) if biased else None
    add_rows[(ceil(count, ADD.pixels),)](
        sums,
        dw,
        dw if db is None else db,
        rows,
        count,
        columns,
        columns - int(biased),
        ROWS=ADD.columns,
        BLOCK=ADD.pixels,
        num_warps=ADD.warps,
    )
    return dw, db


class TritonConv2d(nn.Conv2d):
    """`nn.Conv2d` with square kernels and zeros around; groups of any kind."""

    def forward(self, input: Tensor) -> Tensor:
        if not fits(input):
            return super().forward(input)
        result: Tensor = _Convolution.apply(
            input, self.weight, self.bias, self.stride[0], self.padding[0], self.groups
        )
        return result


class TritonFlatLinear(FlatLinear):
    """`FlatLinear` of few inputs."""

    def forward(self, input: Tensor) -> Tensor:
        if not fits(input) or self.in_features > LINEAR_INPUTS:
            return super().forward(input)
        result: Tensor = _Convolution.apply(
            input.reshape(len(input), self.in_features, 1, 1),
            self.weight.view(*self.weight.shape, 1, 1),
            self.bias,
            1,
            0,
            1,
        )
        return result
