"""The one reader of image files. The oracle is what a viewer shows, worked out by hand."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightsearch.data.image_reader import MAX_PIXELS, list_images, read_image
from lightsearch.errors import DataError

RAMP = np.tile(np.linspace(0, 255, 8).astype(np.uint8), (8, 1))
Save = Callable[[Path], None]


def _turned(path: Path) -> None:
    """Stored on its side, with the note that a viewer turns it to the right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(RAMP, 1).copy()).save(path, exif=exif)


def _palette(path: Path) -> None:
    """Indices run against the colours."""
    image = Image.fromarray(255 - RAMP, "L").convert("P")
    image.putpalette([255 - level for level in range(256) for _ in range(3)])
    image.save(path)


FORMS: dict[str, tuple[str, Save]] = {
    "8 bits": (".png", Image.fromarray(RAMP).save),
    "16 bits": (".png", Image.fromarray(RAMP.astype(np.uint16) * 257).save),
    "16 bits, TIFF": (".tif", Image.fromarray(RAMP.astype(np.uint16) * 257).save),
    "16 bits, PGM": (".pgm", Image.fromarray(RAMP.astype(np.uint16) * 257).save),
    "floats": (".tif", Image.fromarray(RAMP.astype(np.float32) / 255).save),
    "EXIF": (".png", _turned),
    "palette": (".png", _palette),
    "palette, GIF": (".gif", _palette),
    "CMYK": (".tif", Image.fromarray(RAMP).convert("RGB").convert("CMYK").save),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("gray", [True, False])
def test_every_form_of_one_image_gives_its_pixels(name: str, gray: bool, tmp_path: Path) -> None:
    suffix, save = FORMS[name]
    save(tmp_path / f"image{suffix}")
    found = np.asarray(read_image(tmp_path / f"image{suffix}", gray=gray))
    assert found.dtype == np.uint8
    assert np.array_equal(found, RAMP if gray else np.stack([RAMP] * 3, axis=-1))


def _rgba(path: Path) -> None:
    ink = np.zeros((8, 8, 4), dtype=np.uint8)
    ink[..., 3] = 255 - RAMP  # black ink that fades
    Image.fromarray(ink, "RGBA").save(path)


def _gray_alpha(path: Path) -> None:
    Image.fromarray(np.stack([0 * RAMP, 255 - RAMP], axis=-1), "LA").save(path)


def _clear_16_bits(path: Path) -> None:
    """Levels of 0 are transparent: only the first column is."""
    values = RAMP.astype(np.uint16) * 257
    values[:, 0] = 7
    Image.fromarray(values).save(path, transparency=7)


@pytest.mark.parametrize(
    ("save", "expected"),
    [
        (_rgba, RAMP),
        (_gray_alpha, RAMP),
        (_clear_16_bits, np.where(np.arange(8) == 0, 255, RAMP)),
    ],
)
def test_transparent_parts_are_white(save: Save, expected: np.ndarray, tmp_path: Path) -> None:
    save(tmp_path / "image.png")
    found = np.asarray(read_image(tmp_path / "image.png", gray=True)).astype(int)
    assert np.abs(found - expected).max() <= 1


def _png(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel, all black: small however large the image is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (1 + (width + 7) // 8)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8001, 13_000, 20_000])  # Pillow warns of the second, stops at it
def test_a_huge_image_is_refused_before_it_is_decoded(side: int, tmp_path: Path) -> None:
    assert side**2 > MAX_PIXELS
    (tmp_path / "huge.png").write_bytes(_png(side, side)[:2000])  # too short to be decoded
    with pytest.raises(DataError, match=r"huge\.png is not: .*pixels"):
        read_image(tmp_path / "huge.png", gray=True)


def test_pillows_warning_of_a_huge_image_does_not_print(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(_png(13_000, 13_000)[:2000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match="it has 13000x13000 pixels, at most 64,000,000 are"):
            read_image(tmp_path / "huge.png", gray=True)
    assert not caught


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".jpg"])
def test_endings_of_jpeg(suffix: str, tmp_path: Path) -> None:
    Image.new("L", (8, 8), 77).save(tmp_path / f"a{suffix}", format="JPEG")
    assert [path.name for path in list_images(tmp_path)] == [f"a{suffix}"]


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(RAMP, shift, 1)) for shift in range(3)]
    for name in ("moving.gif", "pages.tif", "moving.webp", "moving.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(DataError, match="more than one frame: save the one that is meant"):
            read_image(tmp_path / name, gray=True)
    frames[0].save(tmp_path / "still.gif", save_all=True)
    assert read_image(tmp_path / "still.gif", gray=True).size == (8, 8)


def test_the_preview_in_a_cameras_file_is_no_second_frame(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP).convert("RGB")
    image.save(
        tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[image.resize((4, 4))]
    )
    assert read_image(tmp_path / "photo.jpg", gray=False).size == (8, 8)


def _write_tiff(path: Path, data: bytes, width: int, bits: int, white: int, kind: int) -> None:
    """Write a gray TIFF of one row. Pillow writes few of these itself.

    `white` is its PhotometricInterpretation, and `kind` its SampleFormat.
    """
    fields = [(256, width), (257, 1), (258, bits), (259, 1), (262, white), (273, 122)]
    fields += [(278, 1), (279, len(data)), (339, kind)]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    path.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", 9) + rows + bytes(4) + data)


@pytest.mark.parametrize(("side", "refused"), [(256, False), (8000, False), (8001, True)])
def test_a_huge_tile_is_refused_before_it_is_decoded(
    side: int, refused: bool, tmp_path: Path
) -> None:
    data = zlib.compress(bytes(side * side), 9)
    at = 8 + 2 + 10 * 12 + 4
    fields = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1)]
    fields += [(322, side), (323, side), (324, at), (325, len(data))]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + rows + bytes(4)
    (tmp_path / "tiled.tif").write_bytes(head + data)
    if refused:
        with pytest.raises(DataError, match="its tiles have 8001x8001 pixels, at most 64,000,000"):
            read_image(tmp_path / "tiled.tif", gray=True)
    else:
        assert np.asarray(read_image(tmp_path / "tiled.tif", gray=True)).shape == (16, 16)


def test_a_strip_is_cut_off_at_the_images_height(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    _write_tiff(path, LEVELS.astype("u1").tobytes(), 256, 8, 1, 1)
    rows = struct.pack("<HHII", 278, 4, 1, 1)
    path.write_bytes(path.read_bytes().replace(rows, struct.pack("<HHII", 278, 4, 1, 2**32 - 1)))
    assert np.array_equal(np.asarray(read_image(path, gray=True))[0], LEVELS)


LEVELS = np.arange(256)


@pytest.mark.parametrize(
    ("data", "bits", "kind"),
    [
        (LEVELS.astype("u1"), 8, 1),
        ((LEVELS * 257).astype("<u2"), 16, 1),
        ((LEVELS / 255).astype("<f4"), 32, 3),
    ],
)
@pytest.mark.parametrize("white", [0, 1])
def test_a_tiff_says_if_0_is_white(
    data: np.ndarray, bits: int, kind: int, white: int, tmp_path: Path
) -> None:
    _write_tiff(tmp_path / "a.tif", data.tobytes(), 256, bits, white, kind)
    found = np.asarray(read_image(tmp_path / "a.tif", gray=True))
    assert np.array_equal(found[0], LEVELS if white == 1 else LEVELS[::-1])


def test_white_has_all_of_12_bits(tmp_path: Path) -> None:
    _write_tiff(tmp_path / "a.tif", bytes.fromhex("000fff"), 2, 12, 1, 1)
    assert np.asarray(read_image(tmp_path / "a.tif", gray=True)).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("dtype", "bits", "kind"), [("<i4", 32, 2), ("<u4", 32, 1), ("<i2", 16, 2)]
)
def test_integers_whose_white_is_unknown_are_refused(
    dtype: str, bits: int, kind: int, tmp_path: Path
) -> None:
    _write_tiff(tmp_path / "a.tif", LEVELS.astype(dtype).tobytes(), 256, bits, 1, kind)
    with pytest.raises(
        DataError, match=r"a\.tif is not: its pixels must be of up to 16 bits with"
    ):
        read_image(tmp_path / "a.tif", gray=True)


@pytest.mark.parametrize("values", [[-0.5, 1.0], [0.0, 255.0], [0.0, float("nan")]])
def test_floats_of_another_range_are_refused(values: list[float], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], dtype=np.float32)).save(tmp_path / "floats.tif")
    with pytest.raises(
        DataError, match=r"floats\.tif is not: its pixels must be from 0 to 1, but"
    ):
        read_image(tmp_path / "floats.tif", gray=True)


CONTENTS = {
    "AVIF": b"\x00\x00\x00\x20ftypavif" + bytes(200),
    "DDS": b"DDS \x7c\x00\x00\x00" + b"\xff" * 200,
    "BLP": b"BLP2" + b"\x01" * 200,
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
    "text": b"no image",
    "nothing": b"",
    "a torn PNG": _png(8, 8)[:43],
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_under_an_images_name_is_an_image_or_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(CONTENTS[name])
    with pytest.raises(DataError, match=r"an image must be readable, but .*image\.png is not"):
        read_image(tmp_path / "image.png", gray=True)


READ = "BMP, GIF, JPEG, PNG, PPM, TIFF and WEBP are read"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (CONTENTS["AVIF"], "AVIF"),
        (CONTENTS["DDS"], "DDS"),
        (CONTENTS["BLP"], "BLP"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\n\5\1\x08", "PCX"),
        (b"%PDF-1.4", "PDF"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"no image", "damaged, or of another format"),
    ],
)
def test_another_format_is_named(data: bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_image(path, gray=True)
    text = f"an image must be readable, but {path} is not: it is {named}, and {READ}"
    assert str(caught.value) == text


def test_what_the_system_says_names_the_path_once(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    for name, said in (("empty", "it is empty"), ("none", "No such file or directory")):
        path = tmp_path / f"{name}.png"
        with pytest.raises(DataError, match=f"^an image must .* {path} is not: {said}$"):
            read_image(path, gray=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    for path in list_images(tmp_path):
        with pytest.raises(DataError, match="it is no regular file"):
            read_image(path, gray=True)
