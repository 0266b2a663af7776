"""What the library is given: its structs, filled from a plan, a data set, a recipe, batches."""

from __future__ import annotations

import ctypes
import math
import weakref

from torch import Tensor

from lightsearch.data.dataset import DataSet, Split
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import Batch
from lightsearch.engines.native.interface import Augmentation, Images, Op, Step, Value
from lightsearch.engines.native.plan import Plan
from lightsearch.randomness import key

STREAMS = ("affine", "brightness", "contrast", "erasing")  # of augmentation


def fill_step(batch: Batch) -> Step:
    """Return the step on a batch."""
    return Step(
        images=len(batch.images),
        rate=batch.rate,
        towards=batch.towards,
        dropout_stream=batch.dropout_stream,
        **_streams(batch.augment_stream),
    )


class ImageSet(Images):
    """The struct, with the tensors that it points into: they must live as long."""

    tensors: tuple[Tensor, ...]


def fill_images(split: Split, data: DataSet) -> ImageSet:
    """Return the images of one split of a data set, `train` or `test`."""
    pixels, labels = (tensor.contiguous() for tensor in split)
    mean, deviation = (tensor.double().contiguous() for tensor in data.mean_std)
    channels, height, width = data.shape
    found = ImageSet(
        pixels=pixels.data_ptr(),
        labels=labels.data_ptr(),
        count=len(labels),
        channels=channels,
        height=height,
        width=width,
        mean=mean.data_ptr(),
        deviation=deviation.data_ptr(),
    )
    found.tensors = (pixels, labels, mean, deviation)
    return found


def fill_augmentation(recipe: Recipe, stream: int) -> Augmentation:
    """Return how a recipe augments images, drawn from `stream`."""
    return Augmentation(
        rotation=math.radians(recipe.rotation),
        shear=math.radians(recipe.shear),
        scale=recipe.scale,
        shift=recipe.shift,
        brightness=recipe.brightness,
        contrast=recipe.contrast,
        erasing=recipe.erasing,
        **_streams(stream),
    )


def _streams(stream: int) -> dict[str, int]:
    """Return the streams of each kind of augmentation, by the names of the structs' fields."""
    return {f"{name}_stream": key(stream, name) for name in STREAMS}


class Network:
    """Owns a network of the library; a call returns its address."""

    def __init__(self, build: ctypes.CDLL, address: int) -> None:
        self.address = address
        # When the interpreter ends, a thread may still run in the network: it is not freed then.
        weakref.finalize(self, build.network_free, address).atexit = False

    def __call__(self) -> int:
        return self.address


def make_network(build: ctypes.CDLL, plan: Plan, batch: int) -> Network:
    """Make a network of the library for at most `batch` images.

    Raises `MemoryError` if there is not enough memory.
    """
    values = (Value * len(plan.values))(*plan.values)
    ops = (Op * len(plan.ops))(*plan.ops)
    address = build.network_make(
        values, len(values), ops, len(ops), batch, plan.input, plan.scores
    )
    if address is None:
        raise MemoryError(f"there is not enough memory to train on batches of {batch} images")
    return Network(build, address)
