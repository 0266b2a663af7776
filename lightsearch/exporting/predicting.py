"""Classes of image files by an exported network, which says how images must be prepared.

An image is brought to the network's form like this, in this order: turned as its camera noted;
a transparent background made white; grey or RGB, as the network's channels are; inverted, where
a grey network was trained on the other background (below); brought to the network's form, for
the data sets with a name of their own (signs on a plain ground) by padding with the colour of its
border and averaging areas (bilinear interpolation to more pixels), for others as `folder_dataset`
does it, cut about the middle and bilinear; scaled to 0 to 1; normalised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lightsearch.checks import path as checked
from lightsearch.data.catalogue import NAMES
from lightsearch.errors import ArgumentError, DataError
from lightsearch.exporting.reading import Opened, open_net
from lightsearch.shapes import Shape

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The class of an image, and how sure the network is of each: softmax, from 0 to 1."""

    path: Path
    label: int
    probabilities: tuple[float, ...]
    inverted: bool

    @property
    def probability(self) -> float:
        """That of the class."""
        return self.probabilities[self.label]


def predict(net: str | Path, images: str | Path, *,
            invert: bool | None = None) -> list[Prediction]:
    """The classes of an image file, or of all image files in a folder and those below it.

        for one in predict("net.onnx", "digits/"):
            print(one.path, one.label, one.probability)

    `net` is a `.onnx`, `.pt2` or `.safetensors` that lightsearch exported. A network for grey
    images knows how bright the border of its training images was, and `invert=None` inverts an
    image whose own border is on the other side of the middle: a digit on white paper, for a
    network that learned white digits on black. True and False decide it for all images.

    The probabilities are those of a softmax over the scores; they are not calibrated.

    Raises `ArgumentError` for files that are not there, `DataError` for an image that cannot be
    read, and what `open_net` raises.
    """
    opened = open_net(net)
    prepared = [_prepared(path, opened, invert) for path in _files(checked("images", images))]
    predictions = []
    for path, pixels, inverted in prepared:
        scores = opened.scores(opened.normalised(pixels[None]))
        shares = torch.softmax(scores[0].double(), 0)
        predictions.append(Prediction(path, int(shares.argmax()), tuple(shares.tolist()),
                                      inverted))
    return predictions


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ArgumentError(f"`images` must be an image or a folder of images, but got {path}")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not found:
        raise ArgumentError(f"`images` must be a folder with images ({', '.join(SUFFIXES)}), but "
                            f"{path} has none")
    return found


def _prepared(path: Path, opened: Opened, invert: bool | None) -> tuple[Path, Tensor, bool]:
    """Pixels from 0 to 1 in the network's form, and whether they were inverted."""
    channels, *_ = opened.shape
    image = _read(path, channels)
    edge = np.concatenate(list(_edges(np.asarray(image))))
    inverted = bool(invert)
    if invert is None and channels == 1:
        background = float(opened.metadata["background"])
        inverted = bool(edge.mean() / 255 > 0.5) != (background > 0.5)
    if inverted:
        from PIL import ImageOps

        image, edge = ImageOps.invert(image), 255 - edge
    whole = opened.metadata["dataset"] in NAMES
    pixels = np.asarray(_fitted(image, np.median(edge, axis=0) if whole else None, opened.shape))
    tensor = torch.from_numpy(pixels.copy()).to(torch.float32) / 255
    return path, tensor[None] if channels == 1 else tensor.movedim(-1, 0), inverted


def _read(path: Path, channels: int) -> Image:
    """The image, upright, on white, in 8 bits, grey or RGB."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"an image must be readable, but {path} is not: {error}") from None
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _edges(pixels: Array) -> Iterator[Array]:
    yield from (pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1])


def _fitted(image: Image, edge: Array | None, shape: Shape) -> Image:
    """The image in the size of `shape`: padded in the colour `edge` where there is one, else
    cut."""
    from PIL import Image, ImageOps

    _, height, width = shape
    if image.size == (width, height):
        return image
    if edge is None:
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    shrinks = image.width > width or image.height > height
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return ImageOps.pad(image, (width, height), method, color=int(edge))
