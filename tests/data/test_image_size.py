"""Sizes of images: what is taken for one, and what reading does with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lightsearch import default_space, folder_dataset, survey
from lightsearch.cli import main
from lightsearch.data.image_files import open_dataset
from lightsearch.errors import ArgumentError
from lightsearch.shapes import Shape


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Images of 30x40 pixels (height, width) with a white frame of ten pixels, by class."""
    pixels = np.full((30, 40, 3), 255, dtype=np.uint8)
    pixels[10:20, 10:30] = 7
    for name in ("elm", "oak"):
        (tmp_path / "leaves" / name).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(pixels).save(tmp_path / "leaves" / name / f"{number}.png")
    return tmp_path / "leaves"


def test_the_whole_image_is_kept_in_its_own_proportions(leaves: Path) -> None:
    whole = folder_dataset(leaves, size=(30, 40))
    assert (whole.name, whole.shape) == ("leaves-30x40", (3, 30, 40))
    expected = np.asarray(Image.open(leaves / "elm" / "0.png")).transpose(2, 0, 1)
    assert np.array_equal(whole.train[0][0].numpy(), expected)
    half = folder_dataset(leaves, size=(15, 20))
    with Image.open(leaves / "elm" / "0.png") as image:
        small = np.asarray(image.resize((20, 15), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(half.train[0][0].numpy(), small)


def test_height_comes_first(leaves: Path) -> None:
    tall = folder_dataset(leaves, size=[40, 30], gray=True)
    assert (tall.name, tall.shape) == ("leaves-40x30-gray", (1, 40, 30))
    square = folder_dataset(leaves, size=(np.int64(28), 28))
    assert (square.name, square.shape) == ("leaves-28", (3, 28, 28))


@pytest.mark.parametrize(
    "size",
    [3, 97, 8.5, True, "60x80", None, (60,), (60, 80, 3), (3, 80), (60, 97), (60.5, 80), ()],
)
def test_a_wrong_size_is_named(leaves: Path, size: Any) -> None:
    rule = r"`size` must be an integer from 4 to 96, or two of them, \(height, width\), but got"
    with pytest.raises(ArgumentError, match=rf"{rule} size=\S"):
        folder_dataset(leaves, size=size)


@pytest.mark.parametrize("size", ["60x", "x80", "60x80x3", "60*80", "-60x80", "6_0", "1e1", ""])
def test_a_wrong_size_at_the_shell_is_named(size: str) -> None:
    said = CliRunner().invoke(main, ["search", "--dataset", "nowhere", "--size", size])
    assert said.exit_code == 2
    assert f"it must be like 28 or 60x80, height x width, but got {size}" in said.stderr


def test_a_size_out_of_range_at_the_shell(leaves: Path) -> None:
    said = CliRunner().invoke(main, ["search", "--dataset", str(leaves), "--size", "60x800"])
    assert said.exit_code == 2 and "(height, width), but got size=(60, 800)" in said.stderr


def test_a_named_set_has_its_own_size() -> None:
    assert open_dataset("digits", size=8).shape == open_dataset("digits").shape == (1, 8, 8)
    with pytest.raises(ArgumentError, match=r"but digits has 8x8 pixels and got size=\(8, 9\)"):
        open_dataset("digits", size=(8, 9))


@pytest.mark.parametrize("shape", [(1, 4, 96), (3, 96, 8), (3, 28, 96), (1, 4, 4)])
def test_the_default_space_fits_long_images(shape: Shape) -> None:
    assert survey(default_space(shape, 3), shape, 3).smallest_params < 1000
