"""Data sets in memory, as uint8: by name through torchvision, the digits of scikit-learn, or own.

Names are found in the folder that is given, in `LIGHTSEARCH_DATA`, or in the user's cache folder;
else they are downloaded to the latter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lightsearch.checks import integer, kind, path
from lightsearch.errors import ArgumentError, DataError, suggestion
from lightsearch.holdout import Holdout, chosen_mask
from lightsearch.ops import Shape

Split: TypeAlias = tuple[Tensor, Tensor]
MAX_CLASSES = 200


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images and labels: uint8 of shape (N, C, H, W), and int64 of shape (N,) below `classes`."""

    name: str
    train: Split
    test: Split
    classes: int

    def __post_init__(self) -> None:
        integer("classes", self.classes, 1, MAX_CLASSES)
        for part, pair in (("train", self.train), ("test", self.test)):
            if not isinstance(pair, tuple) or [type(p) for p in pair] != [Tensor, Tensor]:
                raise ArgumentError(f"`{part}` must be a tensor of images and one of labels, but "
                                    f"got {_short(pair)}: see make_dataset")
            images, labels = pair
            if images.dtype != torch.uint8 or images.ndim != 4 or labels.dtype != torch.int64 \
                    or labels.shape != images.shape[:1] or not images.numel():
                raise ArgumentError(
                    "a DataSet must have uint8 images of shape (N, C, H, W) and int64 labels of "
                    f"shape (N,), but got {images.dtype} {tuple(images.shape)} and "
                    f"{labels.dtype} {tuple(labels.shape)}: see make_dataset")
            if images.shape[1:] != self.train[0].shape[1:]:
                raise ArgumentError("training and test images must have one shape, but got "
                                    f"{self.shape} and {tuple(images.shape[1:])}")
            if int(labels.min()) < 0 or int(labels.max()) >= self.classes:
                raise ArgumentError(f"{part} labels must be from 0 to {self.classes - 1}, but got "
                                    f"{int(labels.min())} to {int(labels.max())}")

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of an image."""
        channels, height, width = self.train[0].shape[1:]
        return (channels, height, width)

    @functools.cached_property
    def mean_std(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training images, by channel, on the scale 0 to 1."""
        counts = torch.zeros(self.shape[0], 256, dtype=torch.int64)
        for some in torch.split(self.train[0], 4096):  # a count takes eight bytes a pixel
            for channel, pixels in enumerate(some.transpose(0, 1).flatten(1)):
                counts[channel] += torch.bincount(pixels, minlength=256)
        levels = torch.arange(256, dtype=torch.float64) / 255
        share = counts.double() / counts.sum(1, keepdim=True)
        mean = (share * levels).sum(1)
        variance = (share * (levels - mean[:, None]) ** 2).sum(1)
        std = variance.sqrt().clamp(min=1e-3)  # an empty channel stays finite
        return (mean.float(), std.float())

    @functools.cached_property
    def checksum(self) -> str:
        """16 hexadecimal digits of the SHA-256 of images and labels."""
        digest = hashlib.sha256()
        for images, labels in (self.train, self.test):
            digest.update(repr(tuple(images.shape)).encode())
            for values in (images, labels):
                digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DataRef:
    """A data set by name and checksum: part of a task. `where` is only a hint to find it.

    With `holdout` it is the data set that `held_out` makes; the checksum stays the whole one's.
    """

    name: str
    checksum: str
    where: str = field(default="", compare=False)
    holdout: Holdout | None = None


def load(name: str, folder: str | Path | None = None) -> DataSet:
    """The data set `name`: mnist, fashion-mnist, kmnist, qmnist, qmnist-test50k (the 50,000 test
    images of QMNIST that are not MNIST's), emnist-balanced, emnist-digits, emnist-letters, or
    digits (8x8, comes with scikit-learn, needs no network).

    Raises `ArgumentError` for an unknown name and `DataError` where the files can be neither
    found nor downloaded.
    """
    if name not in NAMES:
        raise ArgumentError(f"`dataset` must be one of {', '.join(NAMES)}, or a DataSet, "
                            f"but got {name!r}{suggestion(name, NAMES)}")
    return _load(name, None if folder is None else str(path("folder", folder).resolve()),
                 os.environ.get("LIGHTSEARCH_DATA"))


@functools.lru_cache(maxsize=4)
def _load(name: str, folder: str | None, environment: str | None) -> DataSet:
    if name == "digits":
        return _digits()
    dataset, _ = _found(name, folder, environment)
    if dataset is None and folder is None:
        dataset = _read(name, Path(cache_folder()), download=True)
    if dataset is None:
        raise DataError(_not_found(name, _roots(folder, environment), downloads=folder is None))
    return dataset


def found(name: str, folder: str | Path | None = None) -> tuple[DataSet | None, str]:
    """The data set of a name and the folder where it is, without downloading; None where not.

    Raises `DataError` where it is damaged.
    """
    if name == "digits":
        return load(name), "scikit-learn"
    return _found(name, None if folder is None else str(Path(folder).resolve()),
                  os.environ.get("LIGHTSEARCH_DATA"))


def _found(name: str, folder: str | None, environment: str | None) -> tuple[DataSet | None, str]:
    for root in _roots(folder, environment):
        dataset = _read(name, root, download=False)
        if dataset is not None:
            return dataset, str(root)
    return None, ""


def _roots(folder: str | None, environment: str | None) -> list[Path]:
    return [Path(f) for f in (folder, environment, cache_folder()) if f]


def cache_folder() -> str:
    """Where data sets are downloaded to, and shared between workers."""
    return str(Path(platformdirs.user_cache_dir("lightsearch")) / "data")


def _not_found(name: str, tried: list[Path], downloads: bool) -> str:
    places = ", ".join(map(str, tried))
    missed = " and could not be downloaded" if downloads else ""
    return (f"the data set {name!r} was not found in {places}{missed}. Either line works:\n"
            f"  lightsearch search --dataset {name} --data FOLDER     "
            f"(FOLDER as torchvision lays it out, with {_LAYOUT[name]}/raw inside)\n"
            "  lightsearch search --dataset digits --target 0.95     "
            "(8x8 digits that come with scikit-learn)")


# Through torchvision ----------------------------------------------------------------------------

_LAYOUT = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST",
           "qmnist": "QMNIST", "qmnist-test50k": "QMNIST", "emnist-balanced": "EMNIST",
           "emnist-digits": "EMNIST", "emnist-letters": "EMNIST"}
NAMES = (*_LAYOUT, "digits")


def _read(name: str, root: Path, download: bool) -> DataSet | None:
    """The data set as torchvision finds it under `root`; None where it does not."""
    from torchvision import datasets  # takes a second: only when it is needed

    more: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
    if name.startswith("emnist-"):
        more = tuple({**m, "split": name.removeprefix("emnist-")} for m in more)  # type: ignore
    if name.startswith("qmnist"):  # test10k are MNIST's test images, test50k all the others
        more = ({"what": "train"}, {"what": "test10k" if name == "qmnist" else "test50k"})
    maker: Callable[..., Any] = getattr(datasets, _LAYOUT[name])
    try:
        train, test = (maker(root=str(root), download=download, **m) for m in more)
    except (RuntimeError, OSError, HTTPException) as error:
        if download or "not found" in str(error).lower():
            return None
        raise DataError(f"the data set {name!r} in {root} must be whole, but reading it failed: "
                        f"{error}. Delete it there to have it downloaded again") from error
    except (ValueError, TypeError, KeyError, AssertionError) as error:
        raise DataError(f"the data set {name!r} in {root} must be whole, but a file of it is "
                        f"damaged: {error!r}. Delete it there to have it downloaded again"
                        ) from error
    return _dataset(_split(name, train), _split(name, test), name)


def _split(name: str, part: Any) -> Split:
    images, labels = part.data, torch.as_tensor(part.targets)
    if labels.ndim == 2:  # QMNIST: the class is the first of eight columns
        labels = labels[:, 0]
    if name == "emnist-letters":
        labels = labels - 1
    if name.startswith("emnist-"):  # the files hold the images on their side
        images = images.transpose(1, 2)
    return images[:, None].contiguous(), labels.long()


def _digits() -> DataSet:
    """The 1,797 digits of scikit-learn, 8x8: a fixed stratified split of 1,437 and 360."""
    from sklearn.datasets import load_digits  # takes a second: only when it is needed
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    parts = train_test_split(pixels, labels, test_size=360, stratify=labels, random_state=0)
    train_x, test_x, train_y, test_y = (torch.from_numpy(np.ascontiguousarray(p)) for p in parts)
    return _dataset((train_x, train_y.long()), (test_x, test_y.long()), "digits")


# One's own --------------------------------------------------------------------------------------


def make_dataset(train: tuple[Any, Any], test: tuple[Any, Any], *, name: str = "own") -> DataSet:
    """A data set of one's own from (images, labels) pairs of tensors or arrays.

    Images: (N, H, W) or (N, C, H, W), C of 1 or 3, up to 96x96; uint8, or floating point from 0
    to 1, which is rounded to 1/255. Labels: integers from 0, at most 200 classes. Both are copied.

    Raises `DataError` for what does not fit, and `ArgumentError` for a `name` that `load` knows.
    """
    kind("name", name, str, "a string")
    if name in NAMES:  # a worker would look for the public data set
        raise ArgumentError(f"`name` must be none of {', '.join(NAMES)}, but got name={name!r}")
    return _dataset(train, test, name)


def _dataset(train: tuple[Any, Any], test: tuple[Any, Any], name: str) -> DataSet:
    pairs = [_checked(part, *_pair(part, given))
             for part, given in (("train", train), ("test", test))]
    shapes = [tuple(images.shape[1:]) for images, _ in pairs]
    if shapes[0] != shapes[1]:
        raise DataError(f"training and test images must have one shape, but got {shapes[0]} "
                        f"and {shapes[1]}")
    classes = 1 + int(pairs[0][1].max())
    if classes > MAX_CLASSES or classes < 2:
        raise DataError(f"labels must name 2 to {MAX_CLASSES} classes, but got {classes} "
                        "in the training labels")
    counts = torch.bincount(pairs[0][1], minlength=classes)
    if int(counts.min()) == 0:
        raise DataError("every class must have a training image, but class "
                        f"{int(counts.argmin())} of {classes} has none")
    if int(pairs[1][1].max()) >= classes:
        raise DataError(f"test labels must be below {classes}, the number of training classes, "
                        f"but got {int(pairs[1][1].max())}")
    return DataSet(name, pairs[0], pairs[1], classes)


def _pair(part: str, given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(f"`{part}` must be a pair of images and labels, but got {_short(given)}")
    return given[0], given[1]


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _checked(part: str, images: Any, labels: Any) -> Split:
    pixels, classes = _tensor(part, "images", images), _tensor(part, "labels", labels)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or max(pixels.shape[2:]) > 96:
        raise DataError(f"{part} images must be (N, H, W) or (N, C, H, W) with C of 1 or 3 and at "
                        f"most 96x96 pixels, but got {tuple(pixels.shape)}")
    if len(pixels) == 0 or 0 in pixels.shape:
        raise DataError(f"{part} images must not be empty, but got {tuple(pixels.shape)}")
    if pixels.is_floating_point():
        if not bool(((pixels >= 0) & (pixels <= 1)).all()):
            raise DataError(f"{part} images of floating point must be from 0 to 1, but got "
                            f"{float(pixels.min()):g} to {float(pixels.max()):g}")
        pixels = (pixels * 255).round().to(torch.uint8)
    if pixels.dtype != torch.uint8:
        raise DataError(f"{part} images must be uint8 or floating point, but got {pixels.dtype}")
    if classes.shape != (len(pixels),) or classes.is_floating_point() or classes.is_complex():
        raise DataError(f"{part} labels must be {len(pixels)} integers, one an image, but got "
                        f"{classes.dtype} of shape {tuple(classes.shape)}")
    classes = classes.long()
    if int(classes.min()) < 0:
        raise DataError(f"{part} labels must be >= 0, but got {int(classes.min())}")
    return pixels, classes


def _tensor(part: str, noun: str, values: Any) -> Tensor:
    """A tensor of its own, so that nobody changes it under a checksum."""
    try:
        if isinstance(values, np.ndarray):  # with any strides and byte order
            values = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
        found = torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{part} {noun} must be a tensor or an array of numbers, but: "
                        f"{error}") from error
    return found.clone(memory_format=torch.contiguous_format)


def save(dataset: DataSet, path: Path) -> None:
    """Write a data set as safetensors, for workers and for resuming."""
    tensors = {"train.images": dataset.train[0], "train.labels": dataset.train[1],
               "test.images": dataset.test[0], "test.labels": dataset.test[1]}
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(tensors, part, metadata={"name": dataset.name})
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)  # whole, or not there


def share(dataset: DataSet) -> None:
    """Write a public data set to the user's cache folder, for workers of this machine to map:
    they hold it once between them, and read neither its own files nor torchvision."""
    path = _shared(dataset.name, dataset.checksum)
    if dataset.name in NAMES and not path.exists():
        with contextlib.suppress(OSError, SafetensorError):  # else they read what is there
            path.parent.mkdir(parents=True, exist_ok=True)
            save(dataset, path)


def _shared(name: str, checksum: str) -> Path:
    return Path(cache_folder()) / f"{name}-{checksum}.safetensors"


def _mapped(name: str, path: Path) -> DataSet:
    """A data set from a file, in memory that processes share. Its checksum is still to be seen."""
    try:
        tensors = load_file(path)
        train, test = ((tensors[f"{part}.images"], tensors[f"{part}.labels"])
                       for part in ("train", "test"))
        return DataSet(name, train, test, 1 + int(train[1].max()))
    except (OSError, KeyError, RuntimeError, SafetensorError, ArgumentError) as error:
        raise DataError(f"the data set {name!r} must be readable at {str(path)!r}, but: "
                        f"{error}") from error


_LENT: dict[str, DataSet] = {}


def lend(dataset: DataSet) -> DataRef:
    """A reference to a data set that stays in this process."""
    _LENT[dataset.checksum] = dataset
    return DataRef(dataset.name, dataset.checksum)


@functools.lru_cache(maxsize=4)
def fetch(ref: DataRef) -> DataSet:
    """The data set that a reference names, checked against its checksum.

    Raises `DataError` where it is not found or has changed, or has too few images to hold out.
    """
    if ref.holdout is not None:
        return held_out(fetch(dataclasses.replace(ref, holdout=None)), ref.holdout)
    if ref.checksum in _LENT:
        return _LENT[ref.checksum]
    if ref.name in NAMES:
        with contextlib.suppress(DataError):  # not shared here, or damaged
            dataset = _mapped(ref.name, _shared(ref.name, ref.checksum))
            if dataset.checksum == ref.checksum:
                return dataset
        dataset = load(ref.name, ref.where or None)
    else:
        dataset = _mapped(ref.name, Path(ref.where))
    if dataset.checksum != ref.checksum:
        raise DataError(f"the data set {ref.name!r} must have the checksum {ref.checksum}, but "
                        f"the one found has {dataset.checksum}: give the folder of the one that "
                        "was trained on")
    return dataset


# Other images to evaluate on --------------------------------------------------------------------


def held_out(dataset: DataSet, holdout: Holdout) -> DataSet:
    """The data set without `holdout` in its training images, and with it as its test images.

    Raises `DataError` where a class would have no image left on one side.
    """
    images, labels = dataset.train
    chosen = chosen_mask(labels, dataset.classes, holdout)
    rest, held = ((images[mask], labels[mask]) for mask in (~chosen, chosen))
    return DataSet(dataset.name, rest, held, dataset.classes)


def overlap(images: Tensor, *others: Tensor) -> int:
    """How many of `images` are, pixel for pixel, among the `others`."""
    known = {row.tobytes() for other in others for row in other.contiguous().numpy()}
    return sum(row.tobytes() in known for row in images.contiguous().numpy())


@functools.lru_cache(maxsize=4)
def tested_on(ref: DataRef, other: DataRef) -> DataSet:
    """The training images of one reference with the test images of another.

    Raises `DataError` where their shapes or classes differ.
    """
    trained, tested = fetch(ref), fetch(other)
    if trained.shape != tested.shape or int(tested.test[1].max()) >= trained.classes:
        raise DataError(f"images to test on must be as those trained on, {trained.shape} of "
                        f"{trained.classes} classes, but {tested.name!r} has {tested.shape} of "
                        f"{tested.classes} classes")
    return DataSet(tested.name, trained.train, tested.test, trained.classes)
