"""Predict classes of image files with an exported network, whose metadata describe its input.

A file is read as for training: `read_image` turns it upright, puts it on white and makes it grey
or RGB. Then it is inverted, if a grey network was trained on the other background (see `predict`),
resized, scaled to 0 to 1, and normalised.

Public data sets show signs on a plain background. For them an image is padded with the colour of
its border and averaged by area, or interpolated bilinearly to more pixels. For other data sets it
is cut about the middle and resized bilinearly, as `folder_dataset` does, and it is not inverted
unless asked for: the classes may differ in their background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lightsearch.checks import check_path
from lightsearch.data.catalogue import NAMES
from lightsearch.data.folder_layout import check_formats
from lightsearch.data.image_reader import SUFFIXES, list_images, read_image
from lightsearch.errors import ArgumentError, ExportError
from lightsearch.exporting.reading import ExportedNet, open_net
from lightsearch.shapes import Shape
from lightsearch.torch_modes import plain_modes

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted class of an image, and the softmax probability of each class, from 0 to 1.

    `name` is that of the class, or "" if the network does not know it.
    """

    path: Path
    label: int
    probabilities: tuple[float, ...]
    inverted: bool
    name: str = ""

    @property
    def probability(self) -> float:
        """The probability of the predicted class."""
        return self.probabilities[self.label]


@plain_modes()
def predict(
    net: str | Path, images: str | Path, *, invert: bool | None = None
) -> list[Prediction]:
    """Predict the class of an image file, or of each one in a folder and its subfolders.

        for one in predict("net.onnx", "digits/"):
            print(one.path, one.label, one.name, one.probability)

    `net` is a `.onnx`, `.pt2` or `.safetensors` that lightsearch exported. It knows how bright the
    border of its training images was. With `invert=None`, a grey image for a network of a public
    data set is inverted if its border is bright and theirs dark, or the other way round: for
    example a digit on white paper, for a network that learned white digits on black. True and
    False apply to all images.

    The probabilities are those of a softmax over the scores. They are not calibrated.

    Raises `ArgumentError` for missing files, `DataError` for an image that cannot be read, or a
    folder that also has images of formats that are not read, `ExportError` for scores that are not
    finite, and what `open_net` raises.
    """
    network = open_net(net)
    inputs = [_prepare(path, network, invert) for path in _files(check_path("images", images))]
    predictions, names = [], network.class_names
    for path, pixels, inverted in inputs:
        scores = network.scores(network.normalise(pixels[None]))
        if not scores.isfinite().all():
            raise ExportError(
                f"the scores of a network must be finite, but those of {net} for {path} are not: "
                "its weights, or the mean and std of its metadata, are damaged"
            )
        shares = torch.softmax(scores[0].double(), 0)
        label = int(shares.argmax())
        name = names[label] if label < len(names) else ""
        predictions.append(Prediction(path, label, tuple(shares.tolist()), inverted, name))
    return predictions


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        there = f"{path} is neither" if path.exists() else f"there is no {path}"
        raise ArgumentError(f"`images` must be an image or a folder of images, but {there}")
    check_formats(path, [path])
    files = list_images(path)
    if not files:
        raise ArgumentError(
            f"`images` must be a folder with images ({', '.join(SUFFIXES)}), but {path} has none"
        )
    return files


def _prepare(path: Path, network: ExportedNet, invert: bool | None) -> tuple[Path, Tensor, bool]:
    """Return `path`, its pixels from 0 to 1 in the network's shape, and if they are inverted."""
    channels, *_ = network.shape
    image = read_image(path, gray=channels == 1)
    edge = np.concatenate(list(_edges(np.asarray(image))))
    inverted, is_public = bool(invert), network.metadata["dataset"] in NAMES
    if invert is None and channels == 1 and is_public:
        background = float(network.metadata["background"])
        inverted = bool(edge.mean() / 255 > 0.5) != (background > 0.5)
    if inverted:
        from PIL import ImageOps

        image, edge = ImageOps.invert(image), 255 - edge
    border = np.median(edge, axis=0) if is_public else None
    pixels = np.asarray(_resize(image, border, network.shape))
    tensor = torch.from_numpy(pixels.copy()).to(torch.float32) / 255
    return path, tensor[None] if channels == 1 else tensor.movedim(-1, 0), inverted


def _edges(pixels: Array) -> Iterator[Array]:
    yield from (pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1])


def _resize(image: Image, border: Array | None, shape: Shape) -> Image:
    """Resize an image to `shape`: padded with the colour `border`, or cut if that is None."""
    from PIL import Image, ImageOps

    _, height, width = shape
    if image.size == (width, height):
        return image
    if border is None:
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    shrinks = image.width > width or image.height > height
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return ImageOps.pad(image, (width, height), method, color=int(border))
