"""The images of a batch, moved as augmentation says."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightsearch.design.recipe import Recipe
from lightsearch.engines.triton.tiles import Tile, ceil

TILE = Tile(0, 0, 256, 4)


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


@triton.jit
def _between(source, r, c, a, b, height, width, mask):
    """The pixel at `(r + a, c + b)`, between four: bilinear."""
    return (
        _pixel(source, r, c, height, width, mask) * (1.0 - a) * (1.0 - b)
        + _pixel(source, r, c + 1, height, width, mask) * (1.0 - a) * b
        + _pixel(source, r + 1, c, height, width, mask) * a * (1.0 - b)
        + _pixel(source, r + 1, c + 1, height, width, mask) * a * b
    )


@triton.jit
def _draw(stream, image, count, rotation, shear, scale, shift):
    """An image's angle, slant, zoom and shift to the right and down."""
    angle = (2.0 * _uniform(stream, image) - 1.0) * rotation
    lean = (2.0 * _uniform(stream, image + count) - 1.0) * shear
    slant = tl.sin(lean) / tl.cos(lean)
    zoom = 1.0 / (1.0 + (2.0 * _uniform(stream, image + 2 * count) - 1.0) * scale)
    right = 2.0 * shift * (2.0 * _uniform(stream, image + 3 * count) - 1.0)
    down = 2.0 * shift * (2.0 * _uniform(stream, image + 4 * count) - 1.0)
    return angle, slant, zoom, right, down


@triton.jit(
    do_not_specialize=("count", "channels", "height", "width"),
    do_not_specialize_on_alignment=("key", "batch"),
)
def _warp(
    images,
    batch,
    key,
    y,
    mean,
    deviation,
    rotation,
    shear,
    scale,
    shift,
    count,
    channels,
    height,
    width,
    NORMAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """`augment`'s affine map of images taken by index, and their normalisation if NORMAL."""
    image = tl.program_id(0)
    stream = tl.load(key).to(tl.uint64)
    angle, slant, zoom, right, down = _draw(stream, image, count, rotation, shear, scale, shift)
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
        value = _between(source, r, c, a, b, height, width, mask)
        if NORMAL:
            value = (value - tl.load(mean + channel)) / tl.load(deviation + channel)
        place = (image * channels + channel) * height * width + flat
        tl.store(y + place, value, mask=mask)


def warp(
    images: Tensor,
    batch: Tensor,
    key: Tensor,
    recipe: Recipe,
    normal: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """`augment`'s affine map of the images (bytes) at `batch`, as floats in [0, 1].

    `normal` is a mean and a deviation for each channel, to subtract and to divide by.
    """
    count = len(batch)
    _, channels, height, width = images.shape
    y = torch.empty(count, channels, height, width, device=images.device)
    mean, deviation = (y, y) if normal is None else normal
    _warp[(count, ceil(height * width, TILE.pixels))](
        images,
        batch,
        key,
        y,
        mean,
        deviation,
        math.radians(recipe.rotation),
        math.radians(recipe.shear),
        float(recipe.scale),
        float(recipe.shift),
        count,
        channels,
        height,
        width,
        NORMAL=normal is not None,
        BLOCK=TILE.pixels,
        num_warps=TILE.warps,
    )
    return y
