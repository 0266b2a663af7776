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
    "x_height",
    "x_width",
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
def _locate(flat, plane, width, up, offset):
    """Return a pixel's image, its place in the plane, and the row and column of its first tap."""
    number = flat // plane
    pixel = flat - number * plane
    row = (pixel // width) * up + offset
    column = (pixel % width) * up + offset
    return number, pixel, row, column


@triton.jit
def _place(row, column, height, width, DOWN: tl.constexpr):
    """Where a tap reads, counted from the start of its plane, and whether that is inside it."""
    inside = (row >= 0) & (column >= 0)
    if DOWN != 1:
        inside = inside & (row % DOWN == 0) & (column % DOWN == 0)
        row = row // DOWN
        column = column // DOWN
    return row * width + column, inside & (row < height) & (column < width)


@triton.jit
def _add_taps(
    total,
    x,
    w,
    row,
    column,
    sign,
    height,
    width,
    flat,
    pixels,
    wanted,
    DOWN: tl.constexpr,
    TAPS: tl.constexpr,
):
    """Add the products with the only input channel to `total`."""
    for tap in tl.static_range(TAPS * TAPS):
        r = row + sign * (tap // TAPS)
        c = column + sign * (tap % TAPS)
        place, inside = _place(r, c, height, width, DOWN)
        factor = tl.load(w + tap, mask=wanted, other=0.0)
        inside = inside & (flat < pixels)
        total += factor * tl.load(x + place, mask=inside, other=0.0)
    return total


@triton.jit
def _add_channels(
    total,
    x,
    w,
    row,
    column,
    sign,
    height,
    width,
    known,
    wanted,
    inner,
    kernel,
    w_inner,
    DOWN: tl.constexpr,
):
    """Add the products with all input channels to `total`."""
    for tap_row in range(kernel):
        for tap_column in range(kernel):
            r = row + sign * tap_row
            c = column + sign * tap_column
            place, inside = _place(r, c, height, width, DOWN)
            inside = inside & known
            places = x + place
            factors = w + tap_row * kernel + tap_column
            for i in tl.range(0, inner, loop_unroll_factor=4):
                factor = tl.load(factors + i * w_inner, mask=wanted, other=0.0)
                value = tl.load(places + i * (height * width), mask=inside, other=0.0)
                total += factor * value
    return total


@triton.jit(do_not_specialize=_CONVOLVE)
def convolve(
    x,
    w,
    bias,
    y,
    pixels,
    plane,
    width,
    x_height,
    x_width,
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
    number, pixel, r, c = _locate(flat, plane, width, up, offset)
    channel = tl.program_id(1) * CO + tl.arange(0, CO)[None, :]
    wanted = channel < outer
    x_plane = x_height * x_width
    w = w + group * outer * inner * kernel * kernel + channel * w_outer
    x = x + number * source_image + group * inner * x_plane
    total = tl.zeros((BLOCK, CO), tl.float32)
    if TAPS:
        total = _add_taps(
            total, x, w, r, c, sign, x_height, x_width, flat, pixels, wanted, DOWN, TAPS
        )
    else:
        known = flat < pixels
        total = _add_channels(
            total, x, w, r, c, sign, x_height, x_width, known, wanted, inner, kernel, w_inner, DOWN
        )
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
    "x_height",
    "x_width",
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


@triton.jit
def _find_column(column, r, c, first, height, width, kernel):
    """Where a column reads among the channels from `first` on, and whether inside a plane."""
    area = kernel * kernel
    i = column // area
    tap = column - i * area
    place, inside = _place(r + tap // kernel, c + tap % kernel, height, width, 1)
    return (first + i) * (height * width) + place, inside


@triton.jit
def _store_sums(sums, total, blocks, outer, columns, CO: tl.constexpr, COLUMNS: tl.constexpr):
    """Store what a program has summed in its own row."""
    column = (tl.program_id(1) // blocks) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
    channel = (tl.program_id(1) % blocks) * CO + tl.arange(0, CO)[None, :]
    group = tl.program_id(2)
    row = tl.program_id(0) * (tl.num_programs(2) * outer) + group * outer + channel
    mask = (column < columns) & (channel < outer)
    tl.store(sums + row * columns + column, total, mask=mask)


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
    x_height,
    x_width,
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
    number, pixel, r, c = _locate(flat, plane, width, stride, -padding)
    column = (tl.program_id(1) // blocks) * COLUMNS + tl.arange(0, COLUMNS)[:, None, None]
    places, inside = _find_column(column, r, c, group * inner, x_height, x_width, kernel)
    places += number * source_image
    inside = inside & (number < together) & (column < bias_column)
    one = tl.where((column == bias_column) & (flat >= 0), 1.0, 0.0)
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
    _store_sums(sums, tl.sum(total, axis=2), blocks, outer, columns, CO, COLUMNS)


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
