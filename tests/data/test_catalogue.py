"""The names of data sets, in the spellings in which users and torchvision have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from PIL import Image

from lightsearch.cli import main
from lightsearch.data import catalogue
from lightsearch.data.catalogue import NAMES, DataName
from lightsearch.data.image_files import open_dataset
from lightsearch.data.named import load


def test_the_names_for_editors_are_the_real_ones() -> None:
    assert get_args(DataName) == NAMES


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("MNIST", "mnist"),
        ("Digits", "digits"),
        ("FashionMNIST", "fashion-mnist"),
        ("fashion_mnist", "fashion-mnist"),
        ("Fashion MNIST", "fashion-mnist"),
        ("KMNIST", "kmnist"),
        ("QMNIST", "qmnist"),
        ("emnist_letters", "emnist-letters"),
        ("CIFAR-10", "cifar10"),
        ("OxfordIIITPet", "oxfordiiitpet"),
        (Path("digits"), "digits"),
        ("EMNIST", None),
        ("./mnist", None),
        ("mnist/", None),
        ("~/mnist", None),
        (3, None),
        ("", None),
    ],
)
def test_spellings_of_names(spelling: Any, name: str | None) -> None:
    assert catalogue.find_name(spelling) == name


def test_every_name_and_every_class_of_torchvision_is_found() -> None:
    for name in (*NAMES, *catalogue.TORCHVISION):
        assert catalogue.find_name(name) == name == catalogue.find_name(name.upper())
    for table in (catalogue.LAYOUT, catalogue.TORCHVISION):
        for name, reader in table.items():
            if reader not in ("EMNIST", "QMNIST"):  # several names each
                assert catalogue.find_name(reader) == name


@pytest.mark.parametrize("spelling", ["digits", "DIGITS", Path("digits"), "Digits"])
def test_a_data_set_in_every_spelling_has_one_name(spelling: Any) -> None:
    assert open_dataset(spelling).name == load(spelling).name == "digits"
    assert open_dataset(spelling).checksum == load("digits").checksum
    done = CliRunner().invoke(
        main, ["show", "conv(8) gap linear(10)", "--dataset", str(spelling), "--json"]
    )
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["doctor", "--dataset", str(spelling)])
    assert "digits" in done.output and "must be one of" not in done.output


def test_a_folder_in_the_working_directory_is_told_from_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("a", "b"):
        (tmp_path / "digits" / label).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), number).save(tmp_path / "digits" / label / f"{number}.png")
    assert open_dataset("digits").name == "digits"
    for given in ("./digits", Path("digits"), tmp_path / "digits"):
        assert open_dataset(given, size=8).name == "digits-8"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_dataset("~/digits", size=8).name == "digits-8"
