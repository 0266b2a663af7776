"""Data sets in memory, as uint8: by name through torchvision, the digits of scikit-learn, or own.

Names are found in the folder that is given, in `LIGHTSEARCH_DATA`, or in the user's cache folder;
else they are downloaded to the latter.
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

from lightsearch.checks import path
from lightsearch.data.catalogue import LAYOUT, NAMES
from lightsearch.data.dataset import DataSet, Split, assemble
from lightsearch.errors import ArgumentError, DataError, suggestion


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
            f"(FOLDER as torchvision lays it out, with {LAYOUT[name]}/raw inside)\n"
            "  lightsearch search --dataset digits --target 0.95     "
            "(8x8 digits that come with scikit-learn)")


# Through torchvision ----------------------------------------------------------------------------


def _read(name: str, root: Path, download: bool) -> DataSet | None:
    """The data set as torchvision finds it under `root`; None where it does not."""
    from torchvision import datasets  # takes a second: only when it is needed

    more: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
    if name.startswith("emnist-"):
        more = tuple({**m, "split": name.removeprefix("emnist-")} for m in more)  # type: ignore
    if name.startswith("qmnist"):  # test10k are MNIST's test images, test50k all the others
        more = ({"what": "train"}, {"what": "test10k" if name == "qmnist" else "test50k"})
    maker: Callable[..., Any] = getattr(datasets, LAYOUT[name])
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
    return assemble(_split(name, train), _split(name, test), name)


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
    return assemble((train_x, train_y.long()), (test_x, test_y.long()), "digits")
