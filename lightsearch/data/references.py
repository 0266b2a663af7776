"""References to data sets: part of a task, followed by workers, checked by checksum."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lightsearch.data import named
from lightsearch.data.catalogue import NAMES
from lightsearch.data.dataset import DataSet
from lightsearch.data.holdout import Holdout, chosen_mask
from lightsearch.errors import ArgumentError, DataError


@dataclass(frozen=True, slots=True)
class DataRef:
    """A data set by name and checksum: part of a task. `where` is only a hint to find it.

    With `holdout` it is the data set that `held_out` makes; the checksum stays the whole one's.
    """

    name: str
    checksum: str
    where: str = field(default="", compare=False)
    holdout: Holdout | None = None


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
    return Path(named.cache_folder()) / f"{name}-{checksum}.safetensors"


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


@contextlib.contextmanager
def lent(dataset: DataSet) -> Iterator[None]:
    """Have `fetch` find this very data set meanwhile, so that threads need no second copy."""
    known = dataset.checksum in _LENT
    lend(dataset)
    try:
        yield
    finally:
        if not known:
            del _LENT[dataset.checksum]


def fetch(ref: DataRef) -> DataSet:
    """The data set that a reference names, checked against its checksum.

    Raises `DataError` where it is not found or has changed, or has too few images to hold out.
    """
    with _FETCHING:  # two threads at once would make two copies
        return _fetch(ref)


_FETCHING = threading.RLock()


@functools.lru_cache(maxsize=4)
def _fetch(ref: DataRef) -> DataSet:
    if ref.holdout is not None:
        return held_out(fetch(dataclasses.replace(ref, holdout=None)), ref.holdout)
    if ref.checksum in _LENT:
        return _LENT[ref.checksum]
    if ref.name in NAMES:
        with contextlib.suppress(DataError):  # not shared here, or damaged
            dataset = _mapped(ref.name, _shared(ref.name, ref.checksum))
            if dataset.checksum == ref.checksum:
                return dataset
        dataset = named.load(ref.name, ref.where or None)
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


def tested_on(ref: DataRef, other: DataRef) -> DataSet:
    """The training images of one reference with the test images of another.

    Raises `DataError` where their shapes or classes differ.
    """
    with _FETCHING:
        return _tested_on(ref, other)


@functools.lru_cache(maxsize=4)
def _tested_on(ref: DataRef, other: DataRef) -> DataSet:
    trained, tested = fetch(ref), fetch(other)
    if trained.shape != tested.shape or int(tested.test[1].max()) >= trained.classes:
        raise DataError(f"images to test on must be as those trained on, {trained.shape} of "
                        f"{trained.classes} classes, but {tested.name!r} has {tested.shape} of "
                        f"{tested.classes} classes")
    return DataSet(tested.name, trained.train, tested.test, trained.classes)
