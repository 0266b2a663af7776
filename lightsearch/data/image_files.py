"""Data sets from image files: folders by class, and torchvision's classification sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightsearch.checks import check_flag, check_integer, check_kind, check_path, to_number
from lightsearch.data.catalogue import FORMULAS, IMAGES, NAMES, TORCHVISION, find_name
from lightsearch.data.dataset import DataSet, make_dataset
from lightsearch.data.folder_layout import check_formats, check_parts, find_parts, list_classes
from lightsearch.data.image_reader import SUFFIXES, fit_image, list_images, read_image
from lightsearch.data.image_size import DEFAULT_SIZE, Size, check_size, format_size
from lightsearch.data.named import cache_folder, load
from lightsearch.data.torchvision_parts import list_part_arguments, read_part, take_names
from lightsearch.errors import ArgumentError, DataError, escape_controls, quote, suggestion
from lightsearch.shapes import Shape

Array = np.ndarray[Any, Any]


def open_dataset(
    what: str | Path,
    data: str | Path | None = None,
    *,
    size: Size | None = None,
    gray: bool = False,
) -> DataSet:
    """Return the data set of a name, or of a folder of images, as `search` accepts them.

    `data` is the folder of a named set, or the folder to download it to. `size` and `gray` are
    for folders and torchvision's sets, as in `folder_dataset`; the others have their own size.

    Names may be spelled as torchvision does, in capitals and with other dashes. A name stands for
    the data set, also if there is a folder of that name: for the folder give `./mnist`, or a
    `Path`.

    Raises `ArgumentError` for an unknown name or another size than a set's own, and `DataError`
    as the readers do.
    """
    check_nameable(what)
    path = check_path("dataset", what)
    name = None if isinstance(what, os.PathLike) and path.is_dir() else find_name(what)
    if name in NAMES:
        check_own_size(name, size)
        return load(name, data)
    size = DEFAULT_SIZE if size is None else size
    if name is not None:
        return torchvision_dataset(name, data, size=size, gray=gray)
    if path.is_dir():
        return folder_dataset(path, size=size, gray=gray)
    known = (*NAMES, *TORCHVISION)
    raise ArgumentError(
        f"`dataset` must be one of {', '.join(known)}, a folder of images, or a "
        f"DataSet, but got {quote(str(what))}{suggestion(what, known)}"
    )


def check_nameable(what: object) -> None:
    """Raise `ArgumentError` for what names no data set, such as the images themselves."""
    if not isinstance(what, str | os.PathLike):
        raise ArgumentError(
            "`dataset` must be the name of a data set, a folder of images, or a DataSet, but got "
            f"dataset={quote(what)}: `make_dataset` makes a DataSet of tensors or arrays"
        )


def folder_dataset(
    folder: str | Path,
    *,
    size: Size = DEFAULT_SIZE,
    gray: bool = False,
    test: float = 0.2,
    seed: int = 0,
    name: str | None = None,
) -> DataSet:
    """Read a data set from a folder that has a folder of image files for each class.

        leaves/train/oak/1.png  leaves/train/elm/7.jpg  ...  leaves/test/oak/2.png  ...

    Classes are numbered in the order of their names, the `class_names`. `train` and `test` may be
    spelled as usual (`Training`, `test_set`, ...). A folder `val` beside them has the validation
    images, which a search selects on. Without `test`, `val` is the test images. If the folder
    holds the classes itself, a random share
    `test` of each class, drawn with `seed`, becomes the test images. Hidden files are left out.

    Images are turned upright as the camera noted, put on white if they are transparent, brought
    to 8 bits, converted to gray or RGB, cropped about the middle to the proportions of `size`, and
    resized to it: `28`, or `(60, 80)`, which is (height, width); each side has from 4 to 96
    pixels. `predict` reads files in the same way.

    Raises `ArgumentError` for a value out of range, and `DataError` for another layout, a class
    without images, images beside the classes or in a format that is not read, or a file that is
    not an image or has more than one frame.
    """
    sides = check_size(size)
    _check(gray, test, seed)
    root = check_path("folder", folder)
    if not root.is_dir():
        raise DataError(f"a folder of images must exist, but {root} does not")
    title = name or f"{_name(root.resolve())}-{format_size(sides)}{'-gray' if gray else ''}"
    parts = find_parts(root)
    if parts is None:
        classes = list_classes(root)
        check_formats(root, [root / one for one in classes], in_class=True)
        pair = _read_classes(root, classes, sides, gray)
        return _split(pair, test, seed, title, classes)
    classes = list_classes(parts["train"])
    check_parts(parts, classes)
    folders = [path / one for path in parts.values() for one in classes]
    check_formats(root, folders, in_class=True)
    read = {
        part: _read_classes(path, classes, sides, gray, some=part != "train")
        for part, path in parts.items()
    }
    return make_dataset(**read, name=title, class_names=classes)


def describe_folder(
    folder: str | Path, *, size: Size | None = None, gray: bool = False
) -> tuple[Shape, int]:
    """Return the shape and the classes that `folder_dataset` gives, before any image is read."""
    sides = check_size(DEFAULT_SIZE if size is None else size)
    root = check_path("folder", folder)
    parts = find_parts(root)
    classes = list_classes(root if parts is None else parts["train"])
    return (1 if gray else 3, *sides), len(classes)


def torchvision_dataset(
    name: str,
    data: str | Path | None = None,
    *,
    size: Size = DEFAULT_SIZE,
    gray: bool = False,
    test: float = 0.2,
    seed: int = 0,
    download: bool = True,
) -> DataSet:
    """Read a classification set of torchvision by its name, such as "CIFAR10" or "gtsrb".

    The set is read from the folder `data`, or downloaded to it: by default the user's cache
    folder. Images of `size` pixels stay as they are; others are cropped and resized as in
    `folder_dataset`. A set without test images is split as there.

    Raises `ArgumentError` for an unknown name, and `DataError` if the set can be neither read nor
    downloaded.
    """
    sides = check_size(size)
    _check(gray, test, seed)
    check_kind("name", name, str, "a name")
    known = find_name(name)
    if known not in TORCHVISION:
        raise ArgumentError(
            f"`name` must be one of {', '.join(TORCHVISION)}, "
            f"but got {quote(name)}{suggestion(name.lower(), TORCHVISION)}"
        )
    from torchvision import datasets  # here, since this import takes a second

    maker = getattr(datasets, TORCHVISION[known])
    title = f"{known}-{format_size(sides)}{'-gray' if gray else ''}"
    root = check_path("data", data or cache_folder())
    names: tuple[str, ...] = ()
    parts = []
    for part in list_part_arguments(maker):
        pair, said = read_part(maker, part, root, download, sides, gray)
        parts.append(pair)
        names = names or take_names(said, 1 + int(pair[1].max()))
    if len(parts) == 1:
        return _split(parts[0], test, seed, title, names)
    return make_dataset(parts[0], parts[1], name=title, class_names=names)


def _name(folder: Path) -> str:
    """Return the name of a folder without what a data set's must not have.

    A set of torchvision is found again by its name, so a folder that has it gets another.
    """
    plain = escape_controls(folder.name).replace("\n", r"\n").replace("\t", r"\t")
    name = plain.lstrip("".join(FORMULAS))
    return f"{name}-folder" if name in TORCHVISION else name


def check_own_size(name: str, size: Size | None) -> None:
    """Raise `ArgumentError` for another size than the own one of a named set."""
    _, *own = IMAGES[name][0]
    if size is not None and check_size(size) != tuple(own):
        raise ArgumentError(
            "`size` must be given for folders and for torchvision's sets that are resized, but "
            f"{name} has {own[0]}x{own[1]} pixels and got size={quote(size)}"
        )


def _check(gray: bool, test: float, seed: int) -> None:
    check_integer("seed", seed, 0, 2**32 - 1)
    check_flag("gray", gray)
    share = to_number(test)
    if share is None or not 0 < share < 1:
        raise ArgumentError(f"`test` must be above 0 and below 1, but got test={quote(test)}")


def _read_classes(
    folder: Path, classes: list[str], size: tuple[int, int], gray: bool, *, some: bool = False
) -> tuple[Array, Array]:
    """Read the images of each class; with `some`, a class may have none."""
    files = [list_images(folder / name, in_class=True) for name in classes]
    empty = [folder / name for name, found in zip(classes, files, strict=True) if not found]
    if len(empty) == len(classes) or (empty and not some):
        place = empty[0] if any(files) else folder
        raise DataError(
            f"a folder of images must have some, but {place} has none that end in "
            f"{', '.join(SUFFIXES)}"
        )
    images = [fit_image(read_image(file, gray=gray), size) for found in files for file in found]
    return np.stack(images), np.repeat(np.arange(len(classes)), [len(found) for found in files])


def _split(
    pair: tuple[Array, Array], test: float, seed: int, name: str, class_names: Sequence[str]
) -> DataSet:
    """Make a random share of each class the test images."""
    from sklearn.model_selection import train_test_split

    images, labels = pair
    try:
        train_x, test_x, train_y, test_y = train_test_split(
            images, labels, test_size=test, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise DataError(
            f"each class must have images enough to hold some out, but: {error}"
        ) from error
    return make_dataset((train_x, train_y), (test_x, test_y), name=name, class_names=class_names)
