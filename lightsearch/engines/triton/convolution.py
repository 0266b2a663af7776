"""Convolutions, their gradients, and small linear layers, which are 1x1 convolutions of one pixel.

Each thread sums some output channels for its pixels, so that one load from the image serves
several sums. `max_contiguous` says which dimension lies together in memory, for Triton to lay its
threads along it. Pixels beyond a row or a plane do not, but nothing follows from it: the alignment
is unknown.
"""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from lightsearch.engines.triton.tiles import Tile, ceil, fits, split
from lightsearch.network.modules import FlatLinear

LARGE = Tile(8, 0, 512, 4)  # of `_convolve`, if that makes enough programs
SMALL = Tile(4, 0, 256, 4)
APART = Tile(1, 0, 512, 4)  # one output channel a group
ENOUGH = 160  # programs: somewhat more than an H200 has multiprocessors
UNROLLED = (1, 3, 5)  # sizes of kernels
MANY = (Tile(8, 8, 128, 4), 1024)  # of `_correlate`, and about so many programs
FEW = (Tile(4, 16, 128, 4), 512)  # up to so many weights:
FEW_WEIGHTS = 400
CORRELATE_APART = (Tile(1, 16, 128, 4), 512)
ADD = Tile(0, 32, 32, 4)  # rows at once, and sums
LINEAR_INPUTS = 128  # of a linear layer, at most: more are cuBLAS's

_CONVOLVE = (
    "pixels",
    "plane",
    "width",
    "source_height",
    "source_width",
    "inner",
    "outer",
    "source_image",
    "image",
    "kernel",
    "up",
    "offset",
    "sign",
    "w_outer",
    "w_inner",
    "has_bias",
)


@triton.jit
def _place(row, column, height, width, DOWN: tl.constexpr):
    """Where a tap reads, counted from the start of its plane, and whether that is inside it."""
    inside = (row >= 0) & (column >= 0)
    if DOWN != 1:
        inside = inside & (row % DOWN == 0) & (column % DOWN == 0)
        row = row // DOWN
        column = column // DOWN
    return row * width + column, inside & (row < height) & (column < width)


@triton.jit(do_not_specialize=_CONVOLVE)
def _convolve(
    x,
    w,
    bias,
    y,
    pixels,
    plane,
    width,
    source_height,
    source_width,
    inner,
    outer,
    source_image,
    image,
    kernel,
    up,
    offset,
    sign,
    w_outer,
    w_inner,
    has_bias,
    DOWN: tl.constexpr,
    TAPS: tl.constexpr,
    CO: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """`y[o]` is the sum over `i` and taps of `w[o, i, tap]` times `x[i]` at the tap's place.

    The place is `(pixel * up + offset + sign * tap) / DOWN`, where that is whole: a convolution
    has `up` = stride and `DOWN` = 1; its gradient by the input has them the other way round.
    `TAPS` is the kernel's size if there is one `i`: all loads are then under way together.
    """
    group = tl.program_id(2)
    flat = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]
    number = flat // plane
    pixel = flat - number * plane
    row = (pixel // width) * up + offset
    column = (pixel % width) * up + offset
    channel = tl.program_id(1) * CO + tl.arange(0, CO)[None, :]
    wanted = channel < outer
    source_plane = source_height * source_width
    weights = w + group * outer * inner * kernel * kernel + channel * w_outer
    source = x + number * source_image + group * inner * source_plane
    total = tl.zeros((BLOCK, CO), tl.float32)
    if TAPS:
        for tap in tl.static_range(TAPS * TAPS):
            place, inside = _place(
                row + sign * (tap // TAPS),
                column + sign * (tap % TAPS),
                source_height,
                source_width,
                DOWN,
            )
            factor = tl.load(weights + tap, mask=wanted, other=0.0)
            inside = inside & (flat < pixels)
            total += factor * tl.load(source + place, mask=inside, other=0.0)
    else:
        for tap_row in range(kernel):
            for tap_column in range(kernel):
                place, inside = _place(
                    row + sign * tap_row,
                    column + sign * tap_column,
                    source_height,
                    source_width,
                    DOWN,
                )
                inside = inside & (flat < pixels)
                places = source + place
                factors = weights + tap_row * kernel + tap_column
                for i in tl.range(0, inner, loop_unroll_factor=4):
                    factor = tl.load(factors + i * w_inner, mask=wanted, other=0.0)
                    total += factor * tl.load(places + i * source_plane, mask=inside, other=0.0)
    channel += group * outer
    total += tl.load(bias + channel, mask=wanted & (has_bias != 0), other=0.0)
    places = tl.max_contiguous(y + number * image + channel * plane + pixel, (BLOCK, 1))
    tl.store(places, total, mask=wanted & (flat < pixels))


_CORRELATE = (
    "images",
    "chunk",
    "together",
    "tiles",
    "plane",
    "width",
    "source_height",
    "source_width",
    "inner",
    "outer",
    "kernel",
    "stride",
    "padding",
    "source_image",
    "image",
    "columns",
    "bias_column",
)


@triton.jit(do_not_specialize=_CORRELATE)
def _correlate(
    x,
    dy,
    sums,
    images,
    chunk,
    together,
    tiles,
    plane,
    width,
    source_height,
    source_width,
    inner,
    outer,
    kernel,
    stride,
    padding,
    source_image,
    image,
    columns,
    bias_column,
    CO: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sums of `dy[o]` times what each of `o`'s weights was multiplied by: their gradients.

    A column is an input channel and a tap, counted as in the weights; `bias_column`, if it is one
    of `columns`, is multiplied by one. A program has some columns, some output channels and a
    part of the pixels: a tile of the plane (or of `together` whole planes) in `chunk` images.
    """
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * chunk
    group = tl.program_id(2)
    blocks = (outer + CO - 1) // CO
    flat = tile * BLOCK + tl.arange(0, BLOCK)[None, None, :]
    number = flat // plane
    pixel = flat - number * plane
    column = (tl.program_id(1) // blocks) * COLUMNS + tl.arange(0, COLUMNS)[:, None, None]
    area = kernel * kernel
    i = column // area
    tap = column - i * area
    r = (pixel // width) * stride - padding + tap // kernel
    c = (pixel % width) * stride - padding + tap % kernel
    inside = (number < together) & (column < bias_column) & (r >= 0) & (c >= 0)
    inside = inside & (r < source_height) & (c < source_width)
    one = tl.where((column == bias_column) & (flat >= 0), 1.0, 0.0)
    source_plane = source_height * source_width
    places = (group * inner + i) * source_plane + r * source_width + c + number * source_image
    channel = (tl.program_id(1) % blocks) * CO + tl.arange(0, CO)[None, :, None]
    known = (number < together) & (channel < outer)
    channel += group * outer
    values = channel * plane + pixel + number * image
    total = tl.zeros((COLUMNS, CO, BLOCK), tl.float32)
    for n in range(first, tl.minimum(first + chunk, images), together):
        there = number < images - n
        at = tl.max_contiguous(dy + n * image + values, (1, 1, BLOCK))
        factor = tl.load(at, mask=known & there, other=0.0)
        at = tl.max_contiguous(x + n * source_image + places, (1, 1, BLOCK))
        total += factor * tl.load(at, mask=inside & there, other=one)
    column = (tl.program_id(1) // blocks) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
    channel = (tl.program_id(1) % blocks) * CO + tl.arange(0, CO)[None, :]
    row = tl.program_id(0) * (tl.num_programs(2) * outer) + group * outer + channel
    tl.store(
        sums + row * columns + column,
        tl.sum(total, axis=2),
        mask=(column < columns) & (channel < outer),
    )


@triton.jit(do_not_specialize=("rows", "count", "columns", "bias_column"))
def _add_rows(
    sums, dw, db, rows, count, columns, bias_column, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    """The second stage of `correlate`: the sum of its rows, in order."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.arange(0, ROWS)
    total = tl.zeros((ROWS, BLOCK), tl.float32)
    for first in range(0, rows, ROWS):
        mask = ((row + first) < rows)[:, None] & (place < count)[None, :]
        total += tl.load(
            sums + (row + first)[:, None] * count + place[None, :], mask=mask, other=0.0
        )
    value = tl.sum(total, axis=0)
    channel = place // columns
    column = place - channel * columns
    tl.store(
        dw + channel * bias_column + column, value, mask=(place < count) & (column < bias_column)
    )
    tl.store(db + channel, value, mask=(place < count) & (column == bias_column))


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
    _convolve[grid](
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
    _correlate[(parts.programs, blocks, groups)](
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
    dw, db = torch.empty_like(w), w.new_empty(outputs) if biased else None
    _add_rows[(ceil(outputs * columns, ADD.pixels),)](
        sums,
        dw,
        dw if db is None else db,
        parts.programs,
        outputs * columns,
        columns,
        taps,
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
