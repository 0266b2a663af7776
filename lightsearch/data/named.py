"""Data sets by name: those of torchvision's MNIST and its relatives, and scikit-learn's digits.

`load` looks into the folder that it is given, into `LIGHTSEARCH_DATA` and into the user's cache
folder. It downloads a missing data set to the cache folder, unless it was given a folder.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from lightsearch.checks import check_path
from lightsearch.data.catalogue import LAYOUT, NAMES, DataName, find_name
from lightsearch.data.class_names import CLASS_NAMES
from lightsearch.data.idx import Pair, read_parts
from lightsearch.errors import ArgumentError, DataError, quote, suggestion

if TYPE_CHECKING:
    from lightsearch.data.dataset import DataSet


def load(name: DataName | str, data: str | Path | None = None) -> DataSet:
    """Load a data set by its name. `data` is the folder that has it, as in `search`.

    Names: mnist, fashion-mnist, kmnist, qmnist, qmnist-test50k (the 50,000 test images of QMNIST
    that are not MNIST's), emnist-balanced, emnist-digits, emnist-letters, and digits (8x8, part
    of scikit-learn, needs no network).

    Raises `ArgumentError` for an unknown name, and `DataError` if the files can be neither found
    nor downloaded.
    """
    known = find_name(name)
    if known not in NAMES:
        raise ArgumentError(
            f"`name` must be one of {', '.join(NAMES)}, but got "
            f"name={quote(name)}{suggestion(name, NAMES)}"
        )
    return _load(
        known,
        None if data is None else str(check_path("data", data).resolve()),
        os.environ.get("LIGHTSEARCH_DATA"),
    )


@functools.lru_cache(maxsize=4)
def _load(name: str, folder: str | None, environment: str | None) -> DataSet:
    from lightsearch.data.dataset import assemble  # here, since it loads torch

    parts, _ = _find(name, folder, environment)
    if parts is None and folder is None:
        _download(name, Path(cache_folder()))
        parts = read_parts(name, Path(cache_folder()))
    if parts is None:
        folders = _list_folders(folder, environment)
        raise DataError(_format_missing(name, folders, downloads=folder is None))
    return assemble(*parts, name, CLASS_NAMES[name])


def find(name: str, data: str | Path | None = None) -> tuple[tuple[Pair, Pair] | None, str]:
    """Return a data set's images and their folder, or None and "" if they are not on this machine.

    They are arrays, read without torch. Raises `DataError` if they are damaged.
    """
    return _find(
        name,
        None if data is None else str(check_path("data", data).resolve()),
        os.environ.get("LIGHTSEARCH_DATA"),
    )


def _find(
    name: str, folder: str | None, environment: str | None
) -> tuple[tuple[Pair, Pair] | None, str]:
    if name == "digits":
        return _read_digits(), "scikit-learn"
    for root in _list_folders(folder, environment):
        parts = read_parts(name, root)
        if parts is not None:
            return parts, str(root)
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


_FAILURES = (RuntimeError, OSError, HTTPException, ValueError, TypeError, KeyError, AssertionError)


def _download(name: str, root: Path) -> None:
    """Let torchvision put the files of a data set under `root`.

    Its failures, also those of its own reader, are passed over: the files are read here, and what
    is missing or damaged is told then.
    """
    from torchvision import datasets  # here, since this import takes seconds

    arguments: dict[str, Any] = {}
    if name.startswith("emnist-"):
        arguments["split"] = name.removeprefix("emnist-")
    maker: Callable[..., Any] = getattr(datasets, LAYOUT[name])
    for train in (True, False):
        with contextlib.suppress(*_FAILURES):
            maker(root=str(root), train=train, download=True, **arguments)


def _read_digits() -> tuple[Pair, Pair]:
    """Return the 1,797 digits of scikit-learn, 8x8, in a fixed stratified split: 1,437 and 360."""
    from sklearn.datasets import load_digits  # here, since this import takes a second
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    parts = train_test_split(pixels, labels, test_size=360, stratify=labels, random_state=0)
    train_x, test_x, train_y, test_y = parts
    return (train_x, train_y), (test_x, test_y)
