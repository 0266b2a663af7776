"""What the native engine takes of a recipe, and how it mirrors images without a kernel for it."""

from __future__ import annotations

import functools
import threading
from typing import Any

import torch
from torch import Tensor

from lightsearch.data.dataset import DataSet, Split
from lightsearch.design.choice import Choice
from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import draw_flips
from lightsearch.errors import EngineError
from lightsearch.randomness import key

_KNOWN = {
    "fill": ("black",),
    "distill": (0,),
}  # the values that the engine has, of fields of which it lacks some


def is_known(recipe: Recipe) -> bool:
    """Whether the native engine trains by `recipe`, whatever its choices become."""
    return not recipe.own_steps() and all(
        value in known for name, known in _KNOWN.items() for value in _options(recipe, name)
    )


def _options(recipe: Recipe, name: str) -> tuple[Any, ...]:
    value = getattr(recipe, name)
    return value.options if isinstance(value, Choice) else (value,)


def training_images(data: DataSet, recipe: Recipe) -> Split:
    """Return the training images; if `recipe` flips, their mirror images follow them."""
    if not recipe.flip:
        return data.train
    with _MIRRORING:  # threads that train side by side share one copy
        return _with_mirror_images(data)


_MIRRORING = threading.Lock()


@functools.lru_cache(maxsize=1)
def _with_mirror_images(data: DataSet) -> Split:
    images, labels = data.train
    return torch.cat([images, images.flip(3)]), torch.cat([labels, labels])


def choose_images(images: Tensor, stream: int, data: DataSet, recipe: Recipe) -> Tensor:
    """Return the places of a batch's images among `training_images`, mirrored ones by chance."""
    if not recipe.flip:
        return images
    count = len(data.train[1])
    wrong = images[(images < 0) | (images >= count)]
    if len(wrong):  # which would be another image's mirror image
        raise EngineError(
            f"an index of a train image must be from 0 to {count - 1}, but got {int(wrong[0])}"
        )
    return images + count * draw_flips(recipe, key(stream, "flip"), len(images))
