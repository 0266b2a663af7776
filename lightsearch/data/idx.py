"""The files of MNIST and its relatives, as torchvision lays them out, read by numpy alone.

torchvision downloads them. To import it takes longer than to read them, and each search begins
with that; `lightsearch doctor` reads them without torch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lightsearch.checks import read_regular
from lightsearch.data.catalogue import LAYOUT
from lightsearch.errors import DataError

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Pair: TypeAlias = tuple[Array, Array]  # images and labels

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_OF_MNIST = 10_000  # the test images of QMNIST that are MNIST's; 50,000 others follow


def read_parts(name: str, root: Path) -> tuple[Pair, Pair] | None:
    """Return the training and the test images of a data set, with labels; None if a file lacks.

    Images are (N, 28, 28) and upright, labels count from 0. Raises `DataError` for a damaged file.
    """
    folder = root / LAYOUT[name] / "raw"
    files = [[folder / file for file in pair] for pair in _list_files(name)]
    if not all(file.is_file() for pair in files for file in pair):
        return None
    train, test = ((_read(name, images), _read(name, labels)) for images, labels in files)
    for (images, labels), pair in zip((train, test), files, strict=True):
        if images.ndim != 3 or len(images) != len(labels):
            raise _damage(name, pair[0], f"{images.shape} images and {labels.shape} labels")
    if name.startswith("qmnist"):
        kept = slice(_OF_MNIST) if name == "qmnist" else slice(_OF_MNIST, None)
        test = test[0][kept], test[1][kept]
    return _turn(name, *train), _turn(name, *test)


def _list_files(name: str) -> list[list[str]]:
    """Return the names of the files of images and labels, for training and for testing."""
    stems, labels = ["train", "t10k"], "labels-idx1-ubyte"
    if name.startswith("qmnist"):
        stems, labels = ["qmnist-train", "qmnist-test"], "labels-idx2-int"
    elif name.startswith("emnist-"):
        stems = [f"{name}-train", f"{name}-test"]
    return [[f"{stem}-images-idx3-ubyte", f"{stem}-{labels}"] for stem in stems]


def _turn(name: str, images: Array, labels: Array) -> Pair:
    if labels.ndim == 2:  # QMNIST: the class is the first of eight columns
        labels = labels[:, 0]
    if name == "emnist-letters":
        labels = labels.astype(np.int64) - 1
    if name.startswith("emnist-"):  # the images in the files are transposed
        images = images.swapaxes(1, 2)
    return images, labels


def _read(name: str, path: Path) -> Array:
    """Read one file: two zero bytes, the type, the dimensions, and the numbers, big-endian.

    The format is that of http://yann.lecun.com/exdb/mnist.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        raise _damage(name, path, str(error)) from error
    kind = _TYPES.get(content[2] if content[:2] == b"\0\0" and len(content) > 3 else 0)
    if kind is None:
        raise _damage(name, path, "it does not begin as an IDX file")
    head = 4 + 4 * content[3]
    if len(content) < head:
        raise _damage(name, path, "it ends too early")
    sizes = np.frombuffer(content, ">i4", content[3], 4)
    numbers = (len(content) - head) / np.dtype(kind).itemsize
    if numbers != math.prod(map(int, sizes)):
        raise _damage(name, path, f"it has {numbers:g} numbers, not {tuple(map(int, sizes))}")
    return np.frombuffer(content, kind, offset=head).reshape(sizes)


def _damage(name: str, path: Path, why: str) -> DataError:
    return DataError(
        f"the data set {name!r} must be whole, but {path} is damaged: {why}. Delete it there to "
        "have it downloaded again"
    )
