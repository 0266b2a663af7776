"""References to data sets. A task holds one, a worker fetches it, and a checksum checks it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lightsearch.checks import check_regular
from lightsearch.data import named
from lightsearch.data.catalogue import NAMES
from lightsearch.data.class_names import CLASS_NAMES, read_class_names, write_class_names
from lightsearch.data.dataset import DataSet
from lightsearch.data.holdout import Holdout, make_holdout_mask
from lightsearch.errors import ArgumentError, DataError
from lightsearch.torch_modes import plain_thread


@dataclass(frozen=True, slots=True)
class DataRef:
    """A data set by name and checksum. `where` only helps to find it.

    With `holdout` it stands for the data set that `held_out` makes. The checksum is that of the
    full data set.
    """

    name: str
    checksum: str
    where: str = field(default="", compare=False)
    holdout: Holdout | None = None


def save(dataset: DataSet, path: Path) -> None:
    """Write a data set as safetensors, for workers and for resuming."""
    tensors = {
        f"{part}.{kind}": tensor
        for part, pair in dataset.parts()
        for kind, tensor in zip(("images", "labels"), pair, strict=True)
    }
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # it may have another name elsewhere
    metadata = {"name": dataset.name}
    if dataset.class_names:
        metadata["class_names"] = write_class_names(dataset.class_names)
    save_file(tensors, part, metadata=metadata)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)  # atomic, so no reader sees half a file


def share(dataset: DataSet) -> None:
    """Write a public data set to the user's cache folder, so that workers can map it.

    The workers of a machine then share one copy, and load neither the original files nor
    torchvision.
    """
    path = _get_shared_path(dataset.name, dataset.checksum)
    if dataset.name in NAMES and not path.exists():
        with contextlib.suppress(OSError, SafetensorError):  # workers then read the originals
            path.parent.mkdir(parents=True, exist_ok=True)
            save(dataset, path)


def _get_shared_path(name: str, checksum: str) -> Path:
    return Path(named.cache_folder()) / f"{name}-{checksum}.safetensors"


def _map_file(name: str, path: Path) -> DataSet:
    """Map a data set from a file, in memory that processes share. The caller checks its sum."""
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            names = (file.metadata() or {}).get("class_names", "")  # of older files: none
            parts = ["train", "test"] + ["val"] * ("val.images" in file.keys())
            train, test, *val = (
                (file.get_tensor(f"{part}.images"), file.get_tensor(f"{part}.labels"))
                for part in parts
            )
        classes = 1 + int(train[1].max())
        known = CLASS_NAMES.get(name) or read_class_names(names, classes)
        return DataSet(name, train, test, classes, known, val[0] if val else None)
    except (OSError, KeyError, RuntimeError, SafetensorError, ArgumentError) as error:
        raise DataError(
            f"the data set {name!r} must be readable at {str(path)!r}, but: {error}"
        ) from error


_LENT: dict[str, DataSet] = {}


def lend(dataset: DataSet) -> DataRef:
    """Return a reference to a data set that stays in this process."""
    known = _LENT.get(dataset.checksum)
    if known is not None and known.class_names != dataset.class_names:
        _fetch.cache_clear()
    _LENT[dataset.checksum] = dataset
    return DataRef(dataset.name, dataset.checksum)


@contextlib.contextmanager
def share_in_process(dataset: DataSet) -> Iterator[None]:
    """Let `fetch` return this very data set meanwhile, so that threads need no second copy."""
    known = dataset.checksum in _LENT
    lend(dataset)
    try:
        yield
    finally:
        if not known:
            del _LENT[dataset.checksum]


@plain_thread()
def fetch(ref: DataRef) -> DataSet:
    """Return the data set of a reference, after a check of its checksum.

    Raises `DataError` if it is missing, has changed, or has too few images to hold out.
    """
    with _FETCHING:  # two threads at once would make two copies
        return _fetch(ref, ref.where)


_FETCHING = threading.RLock()


@functools.lru_cache(maxsize=4)
def _fetch(ref: DataRef, where: str) -> DataSet:
    """Fetch as `fetch` does. `where` is in the key of the cache: its file has the class names."""
    if ref.holdout is not None:
        return split_holdout(fetch(dataclasses.replace(ref, holdout=None)), ref.holdout)
    if ref.checksum in _LENT:
        return _LENT[ref.checksum]
    if ref.name in NAMES:
        with contextlib.suppress(DataError):  # not shared here, or damaged
            dataset = _map_file(ref.name, _get_shared_path(ref.name, ref.checksum))
            if dataset.checksum == ref.checksum:
                return dataset
        dataset = named.load(ref.name, ref.where or None)
    elif not Path(ref.where).exists() or Path(ref.where).is_dir():
        looked = f", and {ref.where} has none" if ref.where else ""
        raise DataError(
            f"the images of the data set {ref.name!r} must be given, by its study's folder "
            f"(`data`, --data) or as a DataSet (`dataset`), but were not{looked}"
        )
    else:
        dataset = _map_file(ref.name, Path(ref.where))
    if dataset.checksum != ref.checksum:
        raise DataError(
            f"the data set {ref.name!r} must have the checksum {ref.checksum}, but "
            f"the one found has {dataset.checksum}: give the folder of the one that "
            "was trained on"
        )
    return dataset


# Evaluation on other images ---------------------------------------------------------------------


@plain_thread()
def split_holdout(dataset: DataSet, holdout: Holdout) -> DataSet:
    """Return the data set with its validation images as its test images.

    Raises `DataError` if a class would have no image on one side, or if the set must have as many
    validation images of its own and has not.
    """
    if holdout.seed is None:
        own = 0 if dataset.val is None else len(dataset.val[1])
        if dataset.val is None or own != holdout.size:
            raise DataError(
                f"the data set {dataset.name!r} must have {holdout.size} validation images, "
                f"but has {own}"
            )
        known = dataset.class_names
        return DataSet(dataset.name, dataset.train, dataset.val, dataset.classes, known)
    images, labels = dataset.train
    is_held = make_holdout_mask(labels, dataset.classes, holdout.size, holdout.seed)
    train, test = ((images[mask], labels[mask]) for mask in (~is_held, is_held))
    return DataSet(dataset.name, train, test, dataset.classes, dataset.class_names)


def overlap(images: Tensor, *others: Tensor) -> int:
    """Return how many of `images` are also in `others`, pixel for pixel."""
    known = {row.tobytes() for other in others for row in other.contiguous().numpy()}
    return sum(row.tobytes() in known for row in images.contiguous().numpy())


def tested_on(ref: DataRef, other: DataRef) -> DataSet:
    """Return the training images of one reference with the test images of another.

    Raises `DataError` if their shapes or classes differ.
    """
    with _FETCHING:
        return _tested_on(ref, other)


@functools.lru_cache(maxsize=4)
def _tested_on(ref: DataRef, other: DataRef) -> DataSet:
    trained, tested = fetch(ref), fetch(other)
    if trained.shape != tested.shape or int(tested.test[1].max()) >= trained.classes:
        raise DataError(
            f"images to test on must be as those trained on, {trained.shape} of "
            f"{trained.classes} classes, but {tested.name!r} has {tested.shape} of "
            f"{tested.classes} classes"
        )
    return DataSet(tested.name, trained.train, tested.test, trained.classes, trained.class_names)
