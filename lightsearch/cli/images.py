"""The images that a command is about: a data set by name, a folder, a row's study, or a shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightsearch.checks import check_path
from lightsearch.cli.options import F, option
from lightsearch.data.catalogue import IMAGES, NAMES, TORCHVISION, find_name, images_file
from lightsearch.data.image_size import DEFAULT_SIZE, Size, check_size, parse_size
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.searching.settings import DEFAULTS
from lightsearch.shapes import Shape

if TYPE_CHECKING:
    import pandas as pd

    from lightsearch.data.dataset import DataSet

_KNOWN = (*NAMES, *TORCHVISION)

dataset_option = option(
    "dataset", f"Data set: {', '.join(IMAGES)}, or a folder of images by class."
)


def size_options(function: F) -> F:
    """`--size` and `--gray` of the images of a folder."""
    function = click.option("--gray", is_flag=True, help="Bring them to gray, too.")(function)
    return click.option(
        "--size",
        callback=_size,
        metavar="PIXELS",
        help=(
            "Side to which the images of a folder or of torchvision's sets are brought, or height "
            "x width, such as 60x80.  [default: 32]"
        ),
    )(function)


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> Size | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def shape_option(function: F) -> F:
    """`--shape` of the images, where they are no data set with a name."""
    return click.option(
        "--shape",
        callback=_shape,
        metavar="CxHxW",
        help=("Shape of the images, such as 3x32x32, where no data set says it."),
    )(function)


def _shape(context: click.Context, parameter: click.Parameter, value: str | None) -> Shape | None:
    if value is None:
        return None
    try:
        channels, height, width = map(int, value.split("x"))
    except ValueError:
        raise click.BadParameter(f"it must be like 1x28x28, but got {value}") from None
    return (channels, height, width)


def check_dataset(name: str) -> None:
    """Raise `ArgumentError` unless this is the name of a data set or a folder.

    The message offers what can be typed; a `DataSet` cannot.
    """
    if find_name(name) is None and not check_path("dataset", name).is_dir():
        raise ArgumentError(
            f"`dataset` must be one of {', '.join(_KNOWN)}, or a folder of images, but got "
            f"{quote(name)}{suggestion(name, _KNOWN)}"
        )


def check_sizes(dataset: str | None, size: Size | None, gray: bool) -> None:
    """Raise `UsageError` if images are to be resized and none are named."""
    if dataset is None and (size is not None or gray):
        raise click.UsageError("--size and --gray must be given with --dataset")


def open_images(dataset: str, data: str | None, size: Size | None, gray: bool) -> DataSet:
    """Return the data set of a name or a folder. Raises what `open_dataset` raises."""
    from lightsearch.data.image_files import open_dataset

    check_dataset(dataset)
    return open_dataset(dataset, data, size=size, gray=gray)


def images_of(
    dataset: str | None,
    shape: Shape | None,
    classes: int | None = None,
    *,
    size: Size | None = None,
    gray: bool = False,
) -> tuple[Shape, int]:
    """Image shape and classes, as given or as the data set's, of which no image is read.

    Raises `ArgumentError` if neither says them.
    """
    check_sizes(dataset, size, gray)
    name = dataset or str(DEFAULTS.dataset)
    spelled = find_name(name)
    if spelled in IMAGES:
        if size is not None:
            from lightsearch.data.image_files import check_own_size

            check_own_size(spelled, size)
        known = IMAGES[spelled]
        return shape or known[0], classes or known[1]
    if spelled is None and check_path("dataset", name).is_dir():
        from lightsearch.data.image_files import describe_folder

        known = describe_folder(name, size=size, gray=gray)
        return shape or known[0], classes or known[1]
    if spelled is not None and classes is not None:
        sides = check_size(DEFAULT_SIZE if size is None else size)
        return shape or (1 if gray else 3, *sides), classes
    if spelled is not None:
        raise ArgumentError(
            f"`classes` must be given for {spelled}, as in --classes 10: its images are not read"
        )
    raise ArgumentError(
        f"`dataset` must be one of {', '.join(IMAGES)}, or a folder of images, but got "
        f"{quote(name)}{suggestion(name, IMAGES)}; for other images give their "
        "--shape, and for a space --classes"
    )


def shape_of_row(row: pd.Series[Any], path: Path) -> Shape:
    """Return the shape of the images of a row, whose file is at `path`.

    One's own images are in the study's folder. Raises `ArgumentError` if they are not there.
    """
    name = str(row["dataset"])
    file = images_file(name, path.parent)
    if file is None:
        return IMAGES[name][0]
    if not file.is_file():
        raise ArgumentError(
            f"`shape` must be given (--shape, such as 3x32x32) for a row of {quote(name)}, since "
            f"its images are not beside {path}, as in its study"
        )
    from lightsearch.data.references import DataRef, fetch

    return fetch(DataRef(name, str(row["checksum"]), str(file))).shape
