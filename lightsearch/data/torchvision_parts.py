"""The training and the test images of torchvision's classification sets, as arrays."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lightsearch.data.class_names import check_class_names
from lightsearch.data.image_reader import fit_image, flatten
from lightsearch.errors import ArgumentError, DataError

Array = np.ndarray[Any, Any]


def list_part_arguments(maker: Any) -> list[dict[str, Any]]:
    """Return the arguments for the training part and the test part, or for the only part."""
    takes = inspect.signature(maker).parameters
    if "train" in takes:
        return [{"train": True}, {"train": False}]
    if "split" in takes:
        return [
            {"split": "train"},
            {
                "split": "val"
                if maker.__name__ in ("Imagenette", "CLEVRClassification")
                else "test"
            },
        ]
    return [{}]


def read_part(
    maker: Any,
    part: dict[str, Any],
    root: Path,
    download: bool,
    size: tuple[int, int],
    gray: bool,
) -> tuple[tuple[Array, Array], Any]:
    """Return the images and labels of a part, and what torchvision calls the classes."""
    more = {"download": download} if "download" in inspect.signature(maker).parameters else {}
    try:
        samples: Iterable[tuple[Any, int]] = maker(root=str(root), **part, **more)
        pairs = [
            (fit_image(flatten(image, gray=gray), size), int(label)) for image, label in samples
        ]
    except Exception as error:  # torchvision's readers raise many kinds
        raise DataError(
            f"torchvision's {maker.__name__} must be readable in {root} or "
            f"downloadable, but: {error}"
        ) from error
    images, labels = zip(*pairs, strict=True)
    names = getattr(samples, "classes", getattr(samples, "categories", None))
    return (np.stack(images), np.array(labels)), names


def take_names(said: Any, classes: int) -> tuple[str, ...]:
    """Return torchvision's names of the classes, or none if they are not one for each.

    Imagenette has several for each.
    """
    names = [one[0] if isinstance(one, tuple) and one else one for one in said or ()]
    try:
        return check_class_names(names, classes)
    except ArgumentError:
        return ()
