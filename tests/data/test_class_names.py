"""Names of classes: where they come from, and how each text is escaped."""

from __future__ import annotations

import ast
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import datasets

from lightsearch import folder_dataset, load, make_dataset
from lightsearch.data.catalogue import LAYOUT
from lightsearch.data.class_names import (
    CLASS_NAMES,
    quote_c,
    quote_python,
    read_class_names,
    write_class_names,
)
from lightsearch.data.holdout import Holdout
from lightsearch.data.image_files import torchvision_dataset
from lightsearch.data.references import DataRef, fetch, lend, save, split_holdout
from lightsearch.errors import ArgumentError, DataError

ODD = (
    "plain",
    'quo"ted',
    "it's",
    "back\\slash",
    "line\nfeed",
    "tab\t",
    "\x1b[2J",
    "\x07bell",
    "caf\u00e9",
    "\u6728",
    "\U0001f341",
    "\u202eturned",
    os.fsdecode(b"not utf\xff8"),
    "*/ end",
    "??/ tri",
    "=1+1",
    " spaces ",
    "$x$ {y} %s",
    "\ud800",
)


def make(names: Any, count: int = 3, seed: int = 0) -> Any:
    labels = np.arange(12 * count) % count
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 6, 6), dtype=np.uint8)
    return make_dataset((images, labels), (images, labels), class_names=names)


@pytest.mark.parametrize("name", LAYOUT)
def test_named_sets_have_torchvisions_names(name: str) -> None:
    maker = getattr(datasets, LAYOUT[name])
    split = name.removeprefix("emnist-")
    known = maker.classes_split_dict[split] if "emnist-" in name else maker.classes
    assert CLASS_NAMES[name] == tuple(one for one in known if one != "N/A")


def test_digits_have_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    assert load("digits").class_names == tuple(map(str, load_digits().target_names))


def test_folders_give_their_names(tmp_path: Path) -> None:
    names = ["a b", "caf\u00e9", "it's"]
    if sys.platform == "linux":
        names += ["line\nfeed", 'quo"ted', os.fsdecode(b"x\xff")]
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("L", (6, 6), number).save(tmp_path / name / f"{number}.png")
    made = folder_dataset(tmp_path, size=6, gray=True)
    assert made.class_names == tuple(sorted(names)) and made.classes == len(names)
    for name in names:
        (tmp_path / "parts" / "train").mkdir(parents=True, exist_ok=True)
        (tmp_path / name).rename(tmp_path / "parts" / "train" / name)
    (tmp_path / "parts" / "test").symlink_to(tmp_path / "parts" / "train")
    again = folder_dataset(tmp_path / "parts", size=6, gray=True)
    assert again.class_names == made.class_names


def test_sets_of_torchvision_give_theirs(tmp_path: Path) -> None:
    for label in ("Forest", "River"):
        for number in range(10):
            path = tmp_path / "eurosat" / "2750" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (number, 0, 0)).save(path)
    made = torchvision_dataset("EuroSAT", tmp_path, size=12, download=False)
    assert made.class_names == ("Forest", "River")


def test_names_of_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision reads them from a file of the set; no sum is looked at here."""
    words = "airplane automobile bird cat deer dog frog horse ship truck".split()
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    batch = {"data": np.zeros((10, 3072), np.uint8), "labels": list(range(10))}
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": words}))
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *_: True)
    made = torchvision_dataset("cifar10", tmp_path, download=False)
    assert made.class_names == tuple(words)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("abc", "must be a sequence of texts, but got class_names='abc'"),
        (3, "must be a sequence of texts, but got class_names=3"),
        (("a", "b"), "must be as many as there are classes, 3, but got 2"),
        (("a", "b", "a"), "must be different, but got 'a' twice"),
        (("a", "b", 3), "must be texts of 1 to 255 characters without NUL, but got 3"),
        (("a", "b", ""), "must be texts of 1 to 255 characters without NUL, but got ''"),
        (("a", "b", "c\0"), r"must be texts of 1 to 255 characters without NUL, but got 'c\\x00'"),
        (("a", "b", "c" * 256), "must be texts of 1 to 255 characters"),
    ],
)
def test_wrong_names(names: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"`class_names` {message}"):
        make(names)


def test_any_sequence_of_texts_will_do() -> None:
    assert make(np.array(["x", "y", "z"])).class_names == ("x", "y", "z")
    assert make(["x", "y", "z"]).class_names == ("x", "y", "z")
    assert make(()).class_names == ()


def test_names_are_kept_in_the_file_and_through_a_holdout(tmp_path: Path) -> None:
    made = make(ODD, len(ODD))
    save(made, tmp_path / "data.safetensors")
    where = str(tmp_path / "data.safetensors")
    assert fetch(DataRef("own", made.checksum, where)).class_names == ODD
    assert split_holdout(made, Holdout(len(ODD) * 2)).class_names == ODD


def test_a_file_from_before_there_were_names_is_read(tmp_path: Path) -> None:
    made = make(("x", "y", "z"), seed=2)
    save(made, tmp_path / "new.safetensors")
    tensors = load_file(tmp_path / "new.safetensors")
    save_file(tensors, tmp_path / "old.safetensors", metadata={"name": "own"})
    old = DataRef("own", made.checksum, str(tmp_path / "old.safetensors"))
    new = DataRef("own", made.checksum, str(tmp_path / "new.safetensors"))
    assert fetch(old).class_names == () and fetch(new).class_names == ("x", "y", "z")


def test_the_names_that_were_given_last_hold() -> None:
    first, second = make(("x", "y", "z")), make(("u", "v", "w"))
    assert first.checksum == second.checksum
    assert fetch(lend(first)).class_names == ("x", "y", "z")
    assert fetch(lend(second)).class_names == ("u", "v", "w")


@pytest.mark.parametrize("text", ["[1]", "{", "3", '["x","y"]', "[" * 9999, '["x","x","y"]'])
def test_a_file_with_wrong_names_is_refused(text: str, tmp_path: Path) -> None:
    made = make(("x", "y", "z"), seed=1)
    save(made, tmp_path / "good.safetensors")
    bad = tmp_path / "bad.safetensors"
    save_file(load_file(tmp_path / "good.safetensors"), bad, metadata={"class_names": text})
    with pytest.raises(DataError, match=r"must be readable at .*`class_names` must be"):
        fetch(DataRef("own", made.checksum, str(bad)))


def test_odd_names_as_json_python_and_c() -> None:
    text = write_class_names(ODD)
    assert text.isascii() and text.isprintable()
    assert tuple(json.loads(text)) == read_class_names(text, len(ODD)) == ODD
    for name in ODD:
        literal = quote_python(name)
        assert ast.literal_eval(literal) == name and literal.isprintable()
        in_c = quote_c(name)
        assert in_c.isascii() and in_c.isprintable() and "??" not in in_c
        data = name.encode("utf-8", "surrogatepass" if name == "\ud800" else "surrogateescape")
        assert ast.literal_eval(f"b{in_c}") == data  # Python reads octal escapes as C does


def test_a_data_set_shows_its_names_on_one_line() -> None:
    shown = repr(make(ODD, len(ODD))).splitlines()
    assert len(shown) == 2 and shown[1].strip().startswith("classes  plain, quo")
    assert shown[1].isprintable()
