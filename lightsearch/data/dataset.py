"""A data set in memory, as uint8, and the checks of images and labels."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lightsearch.checks import check_integer, check_kind, has_controls
from lightsearch.data.catalogue import FORMULAS, NAMES
from lightsearch.data.class_names import check_class_names, shorten_names
from lightsearch.errors import ArgumentError, DataError, quote
from lightsearch.presentation import Presented, Sheet
from lightsearch.shapes import Shape, format_shape, has_channels_last
from lightsearch.torch_modes import plain_thread

Split: TypeAlias = tuple[Tensor, Tensor]
MAX_CLASSES = 200


@dataclass(frozen=True, eq=False, repr=False)
class DataSet(Presented):
    """Images and labels: uint8 of shape (N, C, H, W), and int64 of shape (N,) below `classes`.

    `class_names` are in the order of the labels; there are none if they are not known. `val` has
    validation images, if the set has some apart from the others.
    """

    name: str
    train: Split
    test: Split
    classes: int
    class_names: tuple[str, ...] = ()
    val: Split | None = None

    def __post_init__(self) -> None:
        classes = check_integer("classes", self.classes, 1, MAX_CLASSES)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "class_names", check_class_names(self.class_names, classes))
        for part, pair in self.parts():
            if not isinstance(pair, tuple) or [type(p) for p in pair] != [Tensor, Tensor]:
                raise ArgumentError(
                    f"`{part}` must be a tensor of images and one of labels, but "
                    f"got {quote(pair)}: see make_dataset"
                )
            images, labels = pair
            if (
                images.dtype != torch.uint8
                or images.ndim != 4
                or labels.dtype != torch.int64
                or labels.shape != images.shape[:1]
                or not images.numel()
            ):
                raise ArgumentError(
                    "a DataSet must have uint8 images of shape (N, C, H, W) and int64 labels of "
                    f"shape (N,), but got {images.dtype} {tuple(images.shape)} and "
                    f"{labels.dtype} {tuple(labels.shape)}: see make_dataset"
                )
            if images.shape[1:] != self.train[0].shape[1:]:
                raise ArgumentError(
                    f"training and {part} images must have one shape, but got "
                    f"{self.shape} and {tuple(images.shape[1:])}"
                )
            if int(labels.min()) < 0 or int(labels.max()) >= self.classes:
                raise ArgumentError(
                    f"{part} labels must be from 0 to {self.classes - 1}, but got "
                    f"{int(labels.min())} to {int(labels.max())}"
                )

    def parts(self) -> Iterator[tuple[str, Split]]:
        """Yield the name, images and labels of each part: train, test, and val if it is there."""
        yield "train", self.train
        yield "test", self.test
        if self.val is not None:
            yield "val", self.val

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of an image."""
        channels, height, width = self.train[0].shape[1:]
        return (channels, height, width)

    def _sheet(self) -> Sheet:
        train, test = len(self.train[1]), len(self.test[1])
        val = "" if self.val is None else f", {len(self.val[1]):,} validation"
        return Sheet(
            f"DataSet {self.name}: {train:,} training{val} and {test:,} test images of "
            f"{format_shape(self.shape)}, {self.classes} classes",
            tuple([("classes", shorten_names(self.class_names))] if self.class_names else ()),
        )

    @functools.cached_property
    @plain_thread()
    def mean_std(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training images, by channel, on a scale of 0 to 1."""
        counts = torch.zeros(self.shape[0], 256, dtype=torch.int64)
        for chunk in torch.split(self.train[0], 4096):  # `bincount` needs eight bytes per pixel
            for channel, pixels in enumerate(chunk.transpose(0, 1).flatten(1)):
                counts[channel] += torch.bincount(pixels, minlength=256)
        levels = torch.arange(256, dtype=torch.float64) / 255
        share = counts.double() / counts.sum(1, keepdim=True)
        mean = (share * levels).sum(1)
        variance = (share * (levels - mean[:, None]) ** 2).sum(1)
        std = variance.sqrt().clamp(min=1e-3)  # no division by zero for a constant channel
        return (mean.float(), std.float())

    @functools.cached_property
    def checksum(self) -> str:
        """16 hexadecimal digits of the SHA-256 of images and labels."""
        digest = hashlib.sha256()
        for _, (images, labels) in self.parts():
            digest.update(repr(tuple(images.shape)).encode())
            for values in (images, labels):
                digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()[:16]


def make_dataset(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    name: str = "own",
    class_names: Sequence[str] = (),
    val: tuple[Any, Any] | None = None,
) -> DataSet:
    """Make a data set of your own from (images, labels) pairs of tensors or arrays.

    - Images: (N, H, W) or (N, C, H, W), C of 1 or 3, up to 96x96 pixels; uint8, or floating point
      from 0 to 1, which is rounded to 1/255.
    - Labels: integers from 0, at most 200 classes.
    - `class_names`: a name for each class, in the order of the labels. The study keeps them, and
      each exported file has them.
    - `val`: validation images and labels. A search then selects on them, unless `select_on` says
      otherwise, and leaves the test images for the end.

    All are copied. Raises `DataError` for images or labels that break these rules, and
    `ArgumentError` for a `name` that `load` knows, and for wrong `class_names`.
    """
    check_kind("name", name, str, "a string")
    if has_controls(name) or {"\n", "\t"} & set(name) or name[:1] in FORMULAS:
        raise ArgumentError(
            "`name` must have no control characters, and no sign at its start that a spreadsheet "
            f"would take for a formula, but got name={quote(name)}"
        )
    if name in NAMES:  # a worker would load the public data set instead
        raise ArgumentError(
            f"`name` must be none of {', '.join(NAMES)}, but got name={quote(name)}"
        )
    return assemble(train, test, name, class_names, val)


@plain_thread()
def assemble(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    name: str,
    class_names: Sequence[str] = (),
    val: tuple[Any, Any] | None = None,
) -> DataSet:
    """Make a data set as `make_dataset` does, under any name."""
    given = {"train": train, "test": test} | ({} if val is None else {"val": val})
    parts = {part: _check_split(part, *_check_pair(part, pair)) for part, pair in given.items()}
    shapes = {part: tuple(images.shape[1:]) for part, (images, _) in parts.items()}
    for part, shape in shapes.items():
        if shape != shapes["train"]:
            raise DataError(
                f"training and {part} images must have one shape, but got {shapes['train']} "
                f"and {shape}"
            )
    labels = parts["train"][1]
    classes = 1 + int(labels.max())
    if classes > MAX_CLASSES or classes < 2:
        raise DataError(
            f"labels must name 2 to {MAX_CLASSES} classes, but got {classes} "
            "in the training labels"
        )
    counts = torch.bincount(labels, minlength=classes)
    if int(counts.min()) == 0:
        raise DataError(
            "every class must have a training image, but class "
            f"{int(counts.argmin())} of {classes} has none"
        )
    for part, (_, others) in parts.items():
        if int(others.max()) >= classes:
            raise DataError(
                f"{part} labels must be below {classes}, the number of training classes, "
                f"but got {int(others.max())}"
            )
    names = check_class_names(class_names, classes)
    return DataSet(name, parts["train"], parts["test"], classes, names, parts.get("val"))


def _check_pair(part: str, given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(f"`{part}` must be a pair of images and labels, but got {quote(given)}")
    return given[0], given[1]


def _check_split(part: str, images: Any, labels: Any) -> Split:
    pixels, classes = _copy_tensor(part, "images", images), _copy_tensor(part, "labels", labels)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or max(pixels.shape[2:]) > 96:
        count, *form = pixels.shape
        is_last = len(form) == 3 and has_channels_last((form[0], form[1], form[2]))
        here = f", here {(count, form[2], *form[:2])}" if is_last else ""
        raise DataError(
            f"{part} images must be (N, H, W) or (N, C, H, W) with C of 1 or 3 and at "
            f"most 96x96 pixels{here}, but got {tuple(pixels.shape)}"
        )
    if len(pixels) == 0 or 0 in pixels.shape:
        raise DataError(f"{part} images must not be empty, but got {tuple(pixels.shape)}")
    if pixels.is_floating_point():
        if not bool(((pixels >= 0) & (pixels <= 1)).all()):
            raise DataError(
                f"{part} images of floating point must be from 0 to 1, but got "
                f"{float(pixels.min()):g} to {float(pixels.max()):g}"
            )
        pixels = (pixels * 255).round().to(torch.uint8)
    if pixels.dtype != torch.uint8:
        raise DataError(f"{part} images must be uint8 or floating point, but got {pixels.dtype}")
    if classes.shape != (len(pixels),) or classes.is_floating_point() or classes.is_complex():
        raise DataError(
            f"{part} labels must be {len(pixels)} integers, one an image, but got "
            f"{classes.dtype} of shape {tuple(classes.shape)}"
        )
    classes = classes.long()
    if int(classes.min()) < 0:
        raise DataError(f"{part} labels must be >= 0, but got {int(classes.min())}")
    return pixels, classes


def _copy_tensor(part: str, noun: str, values: Any) -> Tensor:
    """Return a copy, so that later changes of `values` cannot make the checksum wrong."""
    try:
        if isinstance(values, np.ndarray):  # with any strides and byte order
            values = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
        tensor = torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{part} {noun} must be a tensor or an array of numbers, but: {error}"
        ) from error
    return tensor.clone(memory_format=torch.contiguous_format)
