"""Found networks as teachers: they know what images they take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lightsearch as ls
from lightsearch.engines.teacher import check_fit
from lightsearch.errors import ArgumentError


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teachers") / "study"
    ls.search(
        900, 1, target=0.05, dataset="digits", space="conv(6|8) gap linear(10)", trials=2,
        workers=1, quiet=True, study=folder,
    )  # fmt: skip
    return folder


def test_a_found_network_names_the_images_that_it_takes(study: Path, tmp_path: Path) -> None:
    path = ls.export(study, tmp_path / "net.safetensors").path
    for teacher in (
        ls.find_teacher(study),
        ls.find_teacher(path),
        ls.find_teacher(study, row=(1, 2)),
        ls.make_teacher([ls.find_teacher(path), ls.find_teacher(study)]),
    ):
        assert teacher.shape == (1, 8, 8)
        check_fit(teacher, (1, 8, 8), 10)
        check_fit(teacher, (1, 12, 12), 10)  # which its convolutions take, too
        with pytest.raises(ArgumentError, match=r"of 3x8x8, but it takes 1x8x8$"):
            check_fit(teacher, (3, 8, 8), 10)


def test_what_a_module_takes_is_not_known(study: Path) -> None:
    module = ls.build("conv(4) gap linear(10)", (2, 8, 8))
    mixed = ls.make_teacher([ls.find_teacher(study), ls.make_teacher(module)])
    for teacher in (ls.make_teacher(module), mixed):
        assert teacher.shape is None
        with pytest.raises(ArgumentError, match=r"of 3x8x8, but it raised RuntimeError"):
            check_fit(teacher, (3, 8, 8), 10)


def test_a_search_names_them(study: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8)).astype("uint8")
    pair = (images, np.arange(40) % 10)
    colours = ls.make_dataset(pair, pair, name="colours")
    with pytest.raises(ArgumentError, match=r"of 3x8x8, but it takes 1x8x8$"):
        ls.search(
            900, 1, target=0.05, dataset=colours, trials=1, quiet=True, study=tmp_path / "s",
            recipe="recipe(distill=0.5)", teacher=ls.find_teacher(study),
        )  # fmt: skip
