"""Triton kernels for the layers of tiny networks on a GPU. Imported only where Triton is.

cuDNN's kernels are made for many channels: with eight or so, most of their work is padding, and
its deterministic weight gradients take longer than the rest of a step. These are direct, in
float32 with fused multiply-adds. Tensors are contiguous `(N, C, H, W)`: neighbouring threads hold
neighbouring pixels of one channel, and each thread sums `CO` output channels for its pixels, so
that one load from the image serves `CO` sums.

Sums over a batch are made in two stages without atomics: each program writes its own, and a second
kernel adds these in a fixed order. So a step repeats to the bit.

`max_contiguous` says which dimension lies together in memory, for Triton to lay its threads along
it. Pixels beyond a row or a plane do not, but nothing follows from it: the alignment is unknown.

Triton compiles a kernel once for every set of its `constexpr` arguments. Sizes are ordinary
arguments, and not specialised on: a new design costs no compilation.
"""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
import triton
import triton.language as tl

_CONVOLVE = ("pixels", "plane", "width", "source_height", "source_width", "inner", "outer",
             "source_image", "image", "kernel", "up", "offset", "sign", "w_outer", "w_inner",
             "has_bias")


@triton.jit(do_not_specialize=_CONVOLVE)
def convolve(x, w, bias, y, pixels, plane, width, source_height, source_width, inner, outer,
             source_image, image, kernel, up, offset, sign, w_outer, w_inner, has_bias,
             DOWN: tl.constexpr, CO: tl.constexpr, BLOCK: tl.constexpr):
    """`y[o]` is the sum over `i` and taps of `w[o, i, tap]` times `x[i]` at the tap's place.

    The place is `(pixel * up + offset + sign * tap) / DOWN`, where that is whole: a convolution
    has `up` = stride and `DOWN` = 1; its gradient by the input has them the other way round.
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
    for tap_row in range(kernel):
        for tap_column in range(kernel):
            r = row + sign * tap_row
            c = column + sign * tap_column
            inside = (flat < pixels) & (r >= 0) & (c >= 0)
            if DOWN != 1:
                inside = inside & (r % DOWN == 0) & (c % DOWN == 0)
                r = r // DOWN
                c = c // DOWN
            inside = inside & (r < source_height) & (c < source_width)
            places = source + r * source_width + c
            factors = weights + tap_row * kernel + tap_column
            for i in tl.range(0, inner, loop_unroll_factor=4):
                factor = tl.load(factors + i * w_inner, mask=wanted, other=0.0)
                total += factor * tl.load(places + i * source_plane, mask=inside, other=0.0)
    channel += group * outer
    total += tl.load(bias + channel, mask=wanted & (has_bias != 0), other=0.0)
    places = tl.max_contiguous(y + number * image + channel * plane + pixel, (BLOCK, 1))
    tl.store(places, total, mask=wanted & (flat < pixels))


_CORRELATE = ("images", "chunk", "together", "tiles", "plane", "width", "source_height",
              "source_width", "inner", "outer", "kernel", "stride", "padding", "source_image",
              "image", "columns", "bias_column")


@triton.jit(do_not_specialize=_CORRELATE)
def correlate(x, dy, sums, images, chunk, together, tiles, plane, width, source_height,
              source_width, inner, outer, kernel, stride, padding, source_image, image, columns,
              bias_column, CO: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):
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
    tl.store(sums + row * columns + column, tl.sum(total, axis=2),
             mask=(column < columns) & (channel < outer))


@triton.jit(do_not_specialize=("rows", "count", "columns", "bias_column"))
def add_rows(sums, dw, db, rows, count, columns, bias_column,
             ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """The second stage of `correlate`: the sum of its rows, in order."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.arange(0, ROWS)
    total = tl.zeros((ROWS, BLOCK), tl.float32)
    for first in range(0, rows, ROWS):
        mask = ((row + first) < rows)[:, None] & (place < count)[None, :]
        total += tl.load(sums + (row + first)[:, None] * count + place[None, :], mask=mask,
                         other=0.0)
    value = tl.sum(total, axis=0)
    channel = place // columns
    column = place - channel * columns
    tl.store(dw + channel * bias_column + column, value,
             mask=(place < count) & (column < bias_column))
    tl.store(db + channel, value, mask=(place < count) & (column == bias_column))


# Batch norm, with the ReLU before or after it ---------------------------------------------------

_NORM = ("images", "chunk", "together", "tiles", "plane", "channels")


@triton.jit(do_not_specialize=_NORM)
def norm_sums(x, sums, images, chunk, together, tiles, plane, channels,
              BEFORE: tl.constexpr, BLOCK: tl.constexpr):
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
def norm_apply(x, y, sums, gamma, beta, running_mean, running_var, counter, kept, momentum, eps,
               images, chunk, together, tiles, plane, channels,
               BEFORE: tl.constexpr, AFTER: tl.constexpr, ROWS: tl.constexpr,
               BLOCK: tl.constexpr):
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
def norm_back_sums(x, dy, sums, gamma, beta, kept, images, chunk, together, tiles, plane,
                   channels, BEFORE: tl.constexpr, AFTER: tl.constexpr, BLOCK: tl.constexpr):
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
def norm_back_apply(x, dy, dx, sums, gamma, beta, kept, d_gamma, d_beta, images, chunk, together,
                    tiles, plane, channels, BEFORE: tl.constexpr, AFTER: tl.constexpr,
                    ROWS: tl.constexpr, BLOCK: tl.constexpr):
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


# Images -----------------------------------------------------------------------------------------


@triton.jit
def _uniform(key, place):
    """`randomness.uniform` at one place of the stream: SplitMix64."""
    z = (place + 1).to(tl.uint64) * 0x9E3779B97F4A7C15 + key
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z = z ^ (z >> 31)
    return (z >> 40).to(tl.float32) * 5.9604644775390625e-08


@triton.jit
def _pixel(source, r, c, height, width, mask):
    inside = mask & (r >= 0) & (r < height) & (c >= 0) & (c < width)
    return tl.load(source + r * width + c, mask=inside, other=0).to(tl.float32) * (1.0 / 255.0)


@triton.jit(do_not_specialize=("count", "channels", "height", "width"),
            do_not_specialize_on_alignment=("key", "batch"))
def warp(images, batch, key, y, mean, deviation, rotation, shear, scale, shift, count, channels,
         height, width, NORMAL: tl.constexpr, BLOCK: tl.constexpr):
    """`augment`'s affine map of images taken by index, and their normalisation if NORMAL."""
    image = tl.program_id(0)
    stream = tl.load(key).to(tl.uint64)
    angle = (2.0 * _uniform(stream, image) - 1.0) * rotation
    lean = (2.0 * _uniform(stream, image + count) - 1.0) * shear
    slant = tl.sin(lean) / tl.cos(lean)
    zoom = 1.0 / (1.0 + (2.0 * _uniform(stream, image + 2 * count) - 1.0) * scale)
    right = 2.0 * shift * (2.0 * _uniform(stream, image + 3 * count) - 1.0)
    down = 2.0 * shift * (2.0 * _uniform(stream, image + 4 * count) - 1.0)
    cos = tl.cos(angle) * zoom
    sin = tl.sin(angle) * zoom
    tall = height.to(tl.float32)
    wide = width.to(tl.float32)
    ratio = tall / wide
    flat = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = flat < height * width
    row = flat // width
    v = (2.0 * row.to(tl.float32) + 1.0) / tall - 1.0
    u = (2.0 * (flat - row * width).to(tl.float32) + 1.0) / wide - 1.0
    across = (cos * u + (cos * slant - sin) * ratio * v + right + 1.0) * (wide * 0.5) - 0.5
    along = (sin / ratio * u + (sin * slant + cos) * v + down + 1.0) * (tall * 0.5) - 0.5
    left = tl.floor(across)
    top = tl.floor(along)
    b = across - left
    a = along - top
    r = top.to(tl.int32)
    c = left.to(tl.int32)
    number = tl.load(batch + image)
    for channel in range(channels):
        source = images + (number * channels + channel) * height * width
        value = (_pixel(source, r, c, height, width, mask) * (1.0 - a) * (1.0 - b)
                 + _pixel(source, r, c + 1, height, width, mask) * (1.0 - a) * b
                 + _pixel(source, r + 1, c, height, width, mask) * a * (1.0 - b)
                 + _pixel(source, r + 1, c + 1, height, width, mask) * a * b)
        if NORMAL:
            value = (value - tl.load(mean + channel)) / tl.load(deviation + channel)
        place = (image * channels + channel) * height * width + flat
        tl.store(y + place, value, mask=mask)
