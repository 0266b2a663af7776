"""Augment a batch: a pure function of the images, the recipe and a key.

Each image has its own random draw. Pixels from outside the image are black (0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from lightsearch.design.recipe import Recipe
from lightsearch.randomness import key, uniform

Streams: TypeAlias = "int | Mapping[str, Tensor]"
"""The key of a batch, or the keys that follow from it for each of `purposes`, as tensors."""


def purposes(recipe: Recipe) -> tuple[str, ...]:
    """Return what `recipe` draws for. Each purpose has its own stream: `key(stream, purpose)`."""
    affine = recipe.rotation or recipe.shear or recipe.scale or recipe.shift
    strengths = {
        "flip": recipe.flip,
        "affine": affine,
        "brightness": recipe.brightness,
        "contrast": recipe.contrast,
        "erasing": recipe.erasing,
    }
    return tuple(purpose for purpose, strength in strengths.items() if strength)


def augment(images: Tensor, recipe: Recipe, stream: Streams, mean: Tensor | None = None) -> Tensor:
    """Transform `images`, float in [0, 1] of shape (N, C, H, W), as `recipe` says.

    The order is: flip, one affine map (rotation, shear, scale, shift; bilinear), brightness,
    contrast, erasing. What the recipe leaves out changes nothing and draws nothing. `mean`, of
    shape (C, 1, 1), is that of all training images: `fill=mean` takes it.
    """
    drawn = purposes(recipe)
    if "flip" in drawn:
        mirrored = draw_flips(recipe, _key(stream, "flip"), len(images), images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if "affine" in drawn:
        grid = F.affine_grid(
            _inverse_maps(images, recipe, stream), list(images.shape), align_corners=False
        )
        images = F.grid_sample(
            images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
    return augment_values(images, recipe, stream, mean)


def augment_values(images: Tensor, recipe: Recipe, stream: Streams, mean: Tensor | None) -> Tensor:
    """What `augment` does after the affine map."""
    drawn = purposes(recipe)
    if "brightness" in drawn:
        factors = _factors(images, recipe.brightness, _key(stream, "brightness"))
        images = (images * factors).clamp(0, 1)
    if "contrast" in drawn:
        factors = _factors(images, recipe.contrast, _key(stream, "contrast"))
        gray = images.mean((1, 2, 3), keepdim=True)
        images = (images * factors + gray * (1 - factors)).clamp(0, 1)
    if "erasing" in drawn:
        kept = _erasing_mask(images, recipe.erasing, _key(stream, "erasing"))
        if recipe.fill == "black":
            return images * kept
        filling = images.mean((2, 3), keepdim=True) if recipe.fill == "own" else mean
        assert filling is not None, "`fill=mean` needs the mean of the training images"
        images = torch.where(kept > 0, images, filling)
    return images


def draw_flips(
    recipe: Recipe, stream: int | Tensor, count: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Return which of `count` images are mirrored, as booleans."""
    return uniform(stream, count, device=device) < recipe.flip


def _key(stream: Streams, purpose: str) -> int | Tensor:
    return key(stream, purpose) if isinstance(stream, int) else stream[purpose]


def _inverse_maps(images: Tensor, recipe: Recipe, stream: Streams) -> Tensor:
    """Return (N, 2, 3): maps from output to input, in the [-1, 1] coordinates of `affine_grid`."""
    count, _, height, width = images.shape
    draw = 2 * uniform(_key(stream, "affine"), 5, count, device=images.device) - 1
    angle = draw[0] * math.radians(recipe.rotation)
    slant = torch.tan(draw[1] * math.radians(recipe.shear))
    zoom = 1 / (1 + draw[2] * recipe.scale)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift_x, shift_y = 2 * recipe.shift * draw[3], 2 * recipe.shift * draw[4]
    ratio = height / width
    top = torch.stack([cos, (cos * slant - sin) * ratio, shift_x], 1)
    bottom = torch.stack([sin / ratio, sin * slant + cos, shift_y], 1)
    return torch.stack([top, bottom], 1)


def _factors(images: Tensor, strength: float, stream: int | Tensor) -> Tensor:
    draw = uniform(stream, len(images), 1, 1, 1, device=images.device)
    return 1 + strength * (2 * draw - 1)


def _erasing_mask(images: Tensor, probability: float, stream: int | Tensor) -> Tensor:
    """Return a mask (N, 1, H, W) of ones, with a rectangle of zeros in a share of the images.

    As in Zhong et al. 2017: area 2 to 15% of the image, aspect ratio 0.3 to 3.3 (log-uniform).
    """
    count, _, height, width = images.shape
    hit, area, aspect, y, x = uniform(stream, 5, count, 1, device=images.device)
    area = (0.02 + 0.13 * area) * height * width
    aspect = torch.exp((2 * aspect - 1) * math.log(3.3))
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top, left = (y * (height - tall + 1)).floor(), (x * (width - wide + 1)).floor()
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= top) & (rows < top + tall)
    in_columns = (columns >= left) & (columns < left + wide)
    erased = in_rows[:, :, None] & in_columns[:, None, :] & (hit < probability)[:, :, None]
    mask: Tensor = (~erased)[:, None].to(images.dtype)
    return mask
