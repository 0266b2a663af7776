"""The kernels of batch norm: in two stages each way, sums and what is made of them."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
import triton
import triton.language as tl

_NORM = ("images", "chunk", "together", "tiles", "plane", "channels")


@triton.jit
def _rectify(value, WANTED: tl.constexpr):
    """The ReLU of a value, if it is wanted."""
    if WANTED:
        value = tl.maximum(value, 0.0)
    return value


@triton.jit
def _find_part(channel, chunk, tiles, plane, channels, BLOCK: tl.constexpr):
    """A program's part of a channel: its first image; the image of each of its pixels, counted
    from that one; and where these pixels lie."""
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * chunk
    flat = tile * BLOCK + tl.arange(0, BLOCK)
    number = flat // plane
    return first, number, (number * channels + channel) * plane + flat - number * plane


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
    first, number, places = _find_part(channel, chunk, tiles, plane, channels, BLOCK)
    shift = _rectify(tl.load(x + channel * plane), BEFORE)
    one = tl.zeros((BLOCK,), tl.float32)
    two = tl.zeros((BLOCK,), tl.float32)
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        value = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        value = _rectify(value, BEFORE)
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


@triton.jit
def _keep_statistics(
    channel, mean, variance, inverse, count, running_mean, running_var, kept, momentum
):
    """Keep a channel's mean and 1 / deviation for the way back; move its running statistics."""
    tl.store(kept + 2 * channel, mean)
    tl.store(kept + 2 * channel + 1, inverse)
    old = tl.load(running_mean + channel)
    tl.store(running_mean + channel, old + momentum * (mean - old))
    old = tl.load(running_var + channel)
    unbiased = variance * (count / (count - 1.0))
    tl.store(running_var + channel, old + momentum * (unbiased - old))


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
    shift = _rectify(tl.load(x + channel * plane), BEFORE)
    count = (images * plane).to(tl.float32)
    one = one / count
    variance = tl.maximum(two / count - one * one, 0.0)
    mean = shift + one
    inverse = 1.0 / tl.sqrt(variance + eps)
    if tl.program_id(0) == 0:
        _keep_statistics(
            channel, mean, variance, inverse, count, running_mean, running_var, kept, momentum
        )
        if channel == 0:
            tl.store(counter, tl.load(counter) + 1)
    factor = inverse * tl.load(gamma + channel)
    plus = tl.load(beta + channel)
    first, number, places = _find_part(channel, chunk, tiles, plane, channels, BLOCK)
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        value = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        value = _rectify(value, BEFORE)
        value = (value - mean) * factor + plus
        value = _rectify(value, AFTER)
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
    first, number, places = _find_part(channel, chunk, tiles, plane, channels, BLOCK)
    mean = tl.load(kept + 2 * channel)
    inverse = tl.load(kept + 2 * channel + 1)
    factor = inverse * tl.load(gamma + channel)
    plus = tl.load(beta + channel)
    one = tl.zeros((BLOCK,), tl.float32)
    two = tl.zeros((BLOCK,), tl.float32)
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        value = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        slope = tl.load(dy + places + n * channels * plane, mask=mask, other=0.0)
        value = _rectify(value, BEFORE)
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
    first, number, places = _find_part(channel, chunk, tiles, plane, channels, BLOCK)
    for n in range(first, tl.minimum(first + chunk, images), together):
        mask = (number < together) & (number < images - n)
        given = tl.load(x + places + n * channels * plane, mask=mask, other=0.0)
        slope = tl.load(dy + places + n * channels * plane, mask=mask, other=0.0)
        value = _rectify(given, BEFORE)
        if AFTER:
            slope = tl.where((value - mean) * factor + plus > 0.0, slope, 0.0)
        slope = (slope - one - (value - mean) * inverse * two) * factor
        if BEFORE:
            slope = tl.where(given > 0.0, slope, 0.0)
        tl.store(dx + places + n * channels * plane, slope, mask=mask)
