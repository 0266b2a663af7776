"""Read image files, in one way for training and for `predict`.

An image is turned upright as its camera noted, put on white if it is transparent, and brought to
8 bits. Files are a stranger's: only regular files are opened, only formats that are named here are
decoded, and an image that would take much memory is refused before that.
"""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightsearch.data.system_folders import is_visible, is_visible_in_class
from lightsearch.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES = (*_JPEG, ".png", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
UNREAD = tuple(  # also images, but in formats that are not decoded here
    ".heic .heif .avif .tga .dds .blp .psd .svg .raw .cr2 .nef .arw .dng .jxl .jp2 .j2k .eps .ico "
    ".icns .pcx .exr .hdr".split()
)
MAX_PIXELS = 64_000_000  # 8000 x 8000: 1.2 GB at most while it is decoded, of a TIFF of floats
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_BITS, _PHOTOMETRIC, _TILE_WIDTH, _TILE_HEIGHT = 258, 262, 322, 323  # tags of TIFF
_CONTENT = {  # how files begin that are often under an image's name
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "DDS": rb"DDS ",
    "BLP": rb"BLP[12]",
    "ICO": rb"\x00\x00\x01\x00",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\x00\x00\x00\x0cJXL ",
    "PCX": rb"\n[\x00\x02-\x05]\x01",
    "PSD": rb"8BPS",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS",
    "a web page": rb"(?i)\s*<(!doctype )?html",
}


def list_folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, by name."""
    return sorted(p for p in folder.iterdir() if is_visible(p.name) and p.is_dir())


def list_images(folder: Path, *, in_class: bool = False) -> list[Path]:
    """Return the visible image files in a folder and its visible subfolders, by path.

    With `in_class`, the folder is one of a class.
    """
    return sorted(_walk(folder, SUFFIXES, in_class))


def list_unread(folder: Path, *, in_class: bool = False) -> list[Path]:
    """Return the visible files, as in `list_images`, whose suffixes are of images not read."""
    return sorted(_walk(folder, UNREAD, in_class))


def is_image(path: Path) -> bool:
    """Whether a visible file's suffix is of images, which may be of formats not read."""
    return path.suffix.lower() in (*SUFFIXES, *UNREAD) and not path.name.startswith(".")


def has_images(folder: Path) -> bool:
    """Whether a folder or a visible subfolder has images, which may be of formats not read."""
    return next(_walk(folder, (*SUFFIXES, *UNREAD), False), None) is not None


def _walk(folder: Path, suffixes: tuple[str, ...], in_class: bool) -> Iterator[Path]:
    is_users = is_visible_in_class if in_class else is_visible
    for path in folder.rglob("*"):
        if (
            path.suffix.lower() in suffixes
            and not path.name.startswith(".")
            and all(map(is_users, path.relative_to(folder).parts[:-1]))
            and not path.is_dir()
        ):
            yield path


def read_image(path: Path, *, gray: bool) -> Image:
    """Return the image in a file, upright, on white, in 8 bits, gray or RGB.

    Raises `DataError` if it cannot be read, has more than one frame or more than `MAX_PIXELS`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise ValueError("it is no regular file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's, on what the file may have
            with Image.open(path, formats=_FORMATS) as file:
                return flatten(file, gray=gray)
    except UnidentifiedImageError:  # whose text is the path again
        said: object = _name_content(path)
    except Exception as error:  # Pillow's decoders raise many kinds on damage
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
    raise DataError(f"an image must be readable, but {path} is not: {said}")


def _name_content(path: Path) -> str:
    """Return what is wrong with a file that Pillow does not know, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(40)
    if not head:
        return "it is empty"
    named = (name for name, begin in _CONTENT.items() if re.match(begin, head, re.DOTALL))
    found = next(named, "damaged, or of another format")
    return f"it is {found}, and {', '.join(_FORMATS[:-1])} and {_FORMATS[-1]} are read"


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
    tags = getattr(image, "tag_v2", {})  # the copy below has lost them
    _check_tile(tags)
    image = ImageOps.exif_transpose(image)
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        image = _scale(image, tags)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB").convert("L") if gray else image.convert("RGB")


def fit_image(image: Image, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return a gray or RGB image of Pillow as uint8 of shape (C, *size)."""
    from PIL import Image, ImageOps

    height, width = size
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_tile(tags: Mapping[int, Any]) -> None:
    """Raise `ValueError` for a TIFF whose tiles are huge: of one, all is decoded, however small
    the image is. Its strips are cut off at the image's height."""
    width, height = tags.get(_TILE_WIDTH), tags.get(_TILE_HEIGHT)
    if isinstance(width, int) and isinstance(height, int) and width * height > MAX_PIXELS:
        raise ValueError(
            f"its tiles have {width}x{height} pixels, at most {MAX_PIXELS:,} are read"
        )


def _scale(image: Image, tags: Mapping[int, Any]) -> Image:
    """Return an image of 12 or 16 bits, or of floats from 0 to 1, in 8 bits.

    `tags` are those of a TIFF. Other formats have none: Pillow brings their pixels to 16 bits.
    """
    from PIL import Image

    if tags and image.mode == "I":  # white may be 255, 65535 or any other
        raise ValueError(
            "its pixels must be of up to 16 bits without a sign, or floats from 0 to 1, but are "
            "integers of 32 bits or with a sign: save it in 8 or 16 bits"
        )
    values: np.ndarray[Any, Any] = np.asarray(image)
    bits, *_ = tags.get(_BITS, (16,))
    top = 1 if image.mode == "F" else 2**bits - 1
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):  # also if it is no number
        raise ValueError(f"its pixels must be from 0 to {top}, but are from {low:g} to {high:g}")
    levels = np.rint(values * np.float32(255 / top)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:  # 0 is white, and Pillow turns only up to 8 bits
        levels = 255 - levels
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        levels[values == clear] = 255
    return Image.fromarray(levels)
