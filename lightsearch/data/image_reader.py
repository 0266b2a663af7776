"""Read image files, in one way for training and for `predict`.

An image is turned upright as its camera noted, put on white if it is transparent, and brought to
8 bits. Files are a stranger's: only regular files are opened, only formats that are named here are
decoded, and an image that would take much memory is refused before that.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightsearch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES = (*_JPEG, ".png", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 64_000_000  # 8000 x 8000: a gigabyte at most while it is decoded
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_SYSTEM = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


def is_visible(name: str) -> bool:
    """Whether a file or folder is the user's: not hidden, and none that a system puts there."""
    return not name.startswith(".") and name not in _SYSTEM


def list_folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, by name."""
    return sorted(p for p in folder.iterdir() if is_visible(p.name) and p.is_dir())


def list_images(folder: Path) -> list[Path]:
    """Return the visible image files in a folder and its visible subfolders, by path."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if (
            path.suffix.lower() in SUFFIXES
            and all(map(is_visible, path.relative_to(folder).parts))
            and not path.is_dir()
        ):
            yield path


def read_image(path: Path, *, gray: bool) -> Image:
    """Return the image in a file, upright, on white, in 8 bits, gray or RGB.

    Raises `DataError` if it cannot be read, has more than one frame or more than `MAX_PIXELS`.
    """
    from PIL import Image

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise ValueError("it is no regular file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's, on what the file may have
            with Image.open(path, formats=_FORMATS) as file:
                return flatten(file, gray=gray)
    except Exception as error:  # Pillow's decoders raise many kinds on damage
        raise DataError(f"an image must be readable, but {path} is not: {error}") from None


def flatten(image: Image, *, gray: bool) -> Image:
    """Return an image upright, on white, in 8 bits, gray or RGB.

    Raises `ValueError` for one that cannot be brought to that form.
    """
    from PIL import Image, ImageOps

    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"it has {image.width}x{image.height} pixels, at most {MAX_PIXELS:,} are read"
        )
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO has a preview too
        raise ValueError("it has more than one frame: save the one that is meant as a file")
    image = ImageOps.exif_transpose(image)
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        image = _scale(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB").convert("L") if gray else image.convert("RGB")


def _scale(image: Image) -> Image:
    """Return an image of 16 bits, from 0 to 65535, or of floats from 0 to 1, in 8 bits."""
    from PIL import Image

    values: np.ndarray[Any, Any] = np.asarray(image)
    top = 1 if image.mode == "F" else 65535
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):  # also if it is no number
        raise ValueError(f"its pixels must be from 0 to {top}, but are from {low:g} to {high:g}")
    levels = np.rint(values * np.float32(255 / top)).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        levels[values == clear] = 255
    return Image.fromarray(levels)
