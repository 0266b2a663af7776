"""Data sets by name, read through torchvision, and the digits of scikit-learn.

`load` looks into the folder that it is given, into `LIGHTSEARCH_DATA` and into the user's cache
folder. It downloads a missing data set to the cache folder, unless it was given a folder.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch

from lightsearch.checks import check_path
from lightsearch.data.catalogue import LAYOUT, NAMES, find_name
from lightsearch.data.class_names import CLASS_NAMES
from lightsearch.data.dataset import DataSet, Split, assemble
from lightsearch.errors import ArgumentError, DataError, suggestion


def load(name: str, folder: str | Path | None = None) -> DataSet:
    """Load a data set by its name.

    Names: mnist, fashion-mnist, kmnist, qmnist, qmnist-test50k (the 50,000 test images of QMNIST
    that are not MNIST's), emnist-balanced, emnist-digits, emnist-letters, and digits (8x8, part
    of scikit-learn, needs no network).

    Raises `ArgumentError` for an unknown name, and `DataError` if the files can be neither found
    nor downloaded.
    """
    known = find_name(name)
    if known not in NAMES:
        raise ArgumentError(
            f"`dataset` must be one of {', '.join(NAMES)}, or a DataSet, "
            f"but got {name!r}{suggestion(name, NAMES)}"
        )
    return _load(
        known,
        None if folder is None else str(check_path("folder", folder).resolve()),
        os.environ.get("LIGHTSEARCH_DATA"),
    )


@functools.lru_cache(maxsize=4)
def _load(name: str, folder: str | None, environment: str | None) -> DataSet:
    if name == "digits":
        return _read_digits()
    dataset, _ = _find(name, folder, environment)
    if dataset is None and folder is None:
        dataset = _read(name, Path(cache_folder()), download=True)
    if dataset is None:
        folders = _list_folders(folder, environment)
        raise DataError(_format_missing(name, folders, downloads=folder is None))
    return dataset


def find(name: str, folder: str | Path | None = None) -> tuple[DataSet | None, str]:
    """Return a data set and its folder, or None and "" if it is not on this machine.

    Raises `DataError` if it is damaged.
    """
    if name == "digits":
        return load(name), "scikit-learn"
    return _find(
        name,
        None if folder is None else str(check_path("folder", folder).resolve()),
        os.environ.get("LIGHTSEARCH_DATA"),
    )


def _find(name: str, folder: str | None, environment: str | None) -> tuple[DataSet | None, str]:
    for root in _list_folders(folder, environment):
        dataset = _read(name, root, download=False)
        if dataset is not None:
            return dataset, str(root)
    return None, ""


def _list_folders(folder: str | None, environment: str | None) -> list[Path]:
    return [check_path("LIGHTSEARCH_DATA", f) for f in (folder, environment, cache_folder()) if f]


def cache_folder() -> str:
    """Return the folder for downloads, and for data sets that workers share."""
    return str(Path(platformdirs.user_cache_dir("lightsearch")) / "data")


def _format_missing(name: str, folders: list[Path], downloads: bool) -> str:
    places = ", ".join(map(str, folders))
    failure = " and could not be downloaded" if downloads else ""
    return (
        f"the data set {name!r} was not found in {places}{failure}. Either line works:\n"
        f"  lightsearch search --dataset {name} --data FOLDER     "
        f"(FOLDER as torchvision lays it out, with {LAYOUT[name]}/raw inside)\n"
        "  lightsearch search --dataset digits --target 0.95     "
        "(8x8 digits that come with scikit-learn)"
    )


# Through torchvision ----------------------------------------------------------------------------


def _read(name: str, root: Path, download: bool) -> DataSet | None:
    """Return the data set that torchvision finds under `root`, or None."""
    from torchvision import datasets  # here, since this import takes a second

    arguments: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
    if name.startswith("emnist-"):
        split = name.removeprefix("emnist-")
        arguments = tuple({**m, "split": split} for m in arguments)  # type: ignore
    if name.startswith("qmnist"):  # test10k are MNIST's test images, test50k all the others
        arguments = ({"what": "train"}, {"what": "test10k" if name == "qmnist" else "test50k"})
    maker: Callable[..., Any] = getattr(datasets, LAYOUT[name])
    try:
        train, test = (maker(root=str(root), download=download, **m) for m in arguments)
    except (RuntimeError, OSError, HTTPException) as error:
        if download or "not found" in str(error).lower():
            return None
        raise DataError(
            f"the data set {name!r} in {root} must be whole, but reading it failed: "
            f"{error}. Delete it there to have it downloaded again"
        ) from error
    except (ValueError, TypeError, KeyError, AssertionError) as error:
        raise DataError(
            f"the data set {name!r} in {root} must be whole, but a file of it is "
            f"damaged: {error!r}. Delete it there to have it downloaded again"
        ) from error
    return assemble(_split(name, train), _split(name, test), name, CLASS_NAMES[name])


def _split(name: str, part: Any) -> Split:
    images, labels = part.data, torch.as_tensor(part.targets)
    if labels.ndim == 2:  # QMNIST: the class is the first of eight columns
        labels = labels[:, 0]
    if name == "emnist-letters":
        labels = labels - 1
    if name.startswith("emnist-"):  # the images in the files are transposed
        images = images.transpose(1, 2)
    return images[:, None].contiguous(), labels.long()


def _read_digits() -> DataSet:
    """Return the 1,797 digits of scikit-learn, 8x8, in a fixed stratified split: 1,437 and 360."""
    from sklearn.datasets import load_digits  # here, since this import takes a second
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    parts = train_test_split(pixels, labels, test_size=360, stratify=labels, random_state=0)
    train_x, test_x, train_y, test_y = (torch.from_numpy(np.ascontiguousarray(p)) for p in parts)
    pairs = (train_x, train_y.long()), (test_x, test_y.long())
    return assemble(*pairs, "digits", CLASS_NAMES["digits"])
