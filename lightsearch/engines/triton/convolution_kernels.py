"""The kernels of convolutions: a convolution, its gradient by the input, and by the weights.

Each thread sums some output channels for its pixels, so that one load from the image serves
several sums. `max_contiguous` says which dimension lies together in memory, for Triton to lay its
threads along it. Pixels beyond a row or a plane do not, but nothing follows from it: the alignment
is unknown.
"""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
import triton
import triton.language as tl

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
def convolve(
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
            r = row + sign * (tap // TAPS)
            c = column + sign * (tap % TAPS)
            place, inside = _place(r, c, source_height, source_width, DOWN)
            factor = tl.load(weights + tap, mask=wanted, other=0.0)
            inside = inside & (flat < pixels)
            total += factor * tl.load(source + place, mask=inside, other=0.0)
    else:
        for tap_row in range(kernel):
            for tap_column in range(kernel):
                r = row + sign * tap_row
                c = column + sign * tap_column
                place, inside = _place(r, c, source_height, source_width, DOWN)
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
def correlate(
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
def add_rows(
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
