"""Data sets: the real loading code on small files in torchvision's layout, and own tensors."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from idx_files import idx, write_mnist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torchvision import datasets

from lightsearch.data import catalogue, named, references
from lightsearch.data.catalogue import NAMES
from lightsearch.data.class_names import CLASS_NAMES
from lightsearch.data.dataset import DataSet, assemble, make_dataset
from lightsearch.data.holdout import Holdout, holdout_of
from lightsearch.data.idx import _read
from lightsearch.data.named import load
from lightsearch.data.references import DataRef, _fetch, fetch, lend, save, share, split_holdout
from lightsearch.errors import ArgumentError, DataError

REAL = os.environ.get("LIGHTSEARCH_DATA")
Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def some(count: int, classes: int, seed: int = 0, size: int = 28) -> Arrays:
    """Make random images, and labels that cycle through the classes."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, size, size), dtype=np.uint8), np.arange(count) % classes


def write_emnist(raw: Path, split: str, train: Arrays, test: Arrays) -> None:
    for part, (images, labels) in (("train", train), ("test", test)):
        idx(raw / f"emnist-{split}-{part}-images-idx3-ubyte", images)
        idx(raw / f"emnist-{split}-{part}-labels-idx1-ubyte", labels)


def write_qmnist(raw: Path, train: Arrays, test: Arrays) -> None:
    for part, (images, labels) in (("train", train), ("test", test)):
        columns = np.stack([labels, *[np.full(len(labels), 1000 + n) for n in range(7)]], 1)
        idx(raw / f"qmnist-{part}-images-idx3-ubyte", images)
        idx(raw / f"qmnist-{part}-labels-idx2-int", columns, kind=12)


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unset the environment variable, empty the cache folder, and block the network."""
    monkeypatch.delenv("LIGHTSEARCH_DATA", raising=False)
    monkeypatch.setattr(named, "cache_folder", lambda: str(tmp_path / "cache"))

    def refuse(self: Any) -> None:
        raise URLError("no network in tests")

    for maker in (datasets.MNIST, datasets.EMNIST, datasets.QMNIST):
        monkeypatch.setattr(maker, "download", refuse)


# The digits -------------------------------------------------------------------------------------


def test_digits_have_fixed_shapes_counts_and_checksum() -> None:
    digits = load("digits")
    assert digits.name == "digits"
    assert digits.classes == 10
    assert digits.shape == (1, 8, 8)
    for (images, labels), count in ((digits.train, 1437), (digits.test, 360)):
        assert images.shape == (count, 1, 8, 8)
        assert images.dtype == torch.uint8
        assert labels.shape == (count,)
        assert labels.dtype == torch.int64
    assert digits.checksum == "b63efdd1b04b8e02"  # every study of the digits stands on this
    assert load("digits") is digits


def test_digits_are_all_of_scikit_learns_and_each_once() -> None:
    digits = load("digits")
    pixels, labels = load_digits(return_X_y=True)
    images = torch.cat([digits.train[0], digits.test[0]]).flatten(1).double() / 255 * 16
    drawn = torch.cat([images, torch.cat([digits.train[1], digits.test[1]])[:, None]], 1)
    whole = torch.from_numpy(np.concatenate([pixels, labels[:, None]], 1))
    assert (drawn.round() - drawn).abs().max() < 0.04  # 255 is no multiple of 16
    assert sorted(map(tuple, drawn.round().tolist())) == sorted(map(tuple, whole.tolist()))


def test_the_split_of_the_digits_is_stratified() -> None:
    digits = load("digits")
    train, test = (torch.bincount(part[1], minlength=10) for part in (digits.train, digits.test))
    assert bool(((test - (train + test) * 360 / 1797).abs() < 1).all())


# Through torchvision ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")],
)
def test_mnist_and_similar_sets(tmp_path: Path, name: str, folder: str) -> None:
    train, test = some(30, 10, 1), some(20, 10, 2)
    write_mnist(tmp_path / folder / "raw", train, test)
    found = load(name, tmp_path)
    assert (found.name, found.classes, found.shape) == (name, 10, (1, 28, 28))
    for (images, labels), (expected, truth) in ((found.train, train), (found.test, test)):
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert np.array_equal(images[:, 0].numpy(), expected)
        assert np.array_equal(labels.numpy(), truth)


def test_the_class_is_the_first_column_of_qmnists_labels(tmp_path: Path) -> None:
    train, test = some(30, 10, 1), some(10_010, 10, 2)
    write_qmnist(tmp_path / "QMNIST" / "raw", train, test)
    found = load("qmnist", tmp_path)
    assert (found.classes, found.shape) == (10, (1, 28, 28))
    assert np.array_equal(found.train[0][:, 0].numpy(), train[0])
    assert np.array_equal(found.train[1].numpy(), train[1])
    assert len(found.test[0]) == 10_000  # those that match MNIST's test images
    assert np.array_equal(found.test[0][:, 0].numpy(), test[0][:10_000])
    assert np.array_equal(found.test[1].numpy(), test[1][:10_000])
    others = load("qmnist-test50k", tmp_path)  # all those that do not
    assert np.array_equal(others.test[0][:, 0].numpy(), test[0][10_000:])
    assert np.array_equal(others.test[1].numpy(), test[1][10_000:])
    assert references.overlap(others.test[0], found.test[0]) == 0


@pytest.mark.parametrize(
    ("split", "classes", "first"), [("balanced", 47, 0), ("digits", 10, 0), ("letters", 26, 1)]
)
def test_emnist_is_turned_upright_and_its_letters_count_from_zero(
    tmp_path: Path, split: str, classes: int, first: int
) -> None:
    train, test = some(2 * classes, classes, 1), some(classes, classes, 2)
    write_emnist(
        tmp_path / "EMNIST" / "raw",
        split,
        (train[0], train[1] + first),
        (test[0], test[1] + first),
    )
    found = load(f"emnist-{split}", tmp_path)
    assert (found.classes, found.shape) == (classes, (1, 28, 28))
    for (images, labels), (stored, truth) in ((found.train, train), (found.test, test)):
        assert np.array_equal(images[:, 0].numpy(), np.swapaxes(stored, 1, 2))
        assert np.array_equal(labels.numpy(), truth)
        assert images.is_contiguous()


def test_every_name_was_tried_above_and_has_torchvisions_folder() -> None:
    assert set(NAMES) == {
        "mnist",
        "fashion-mnist",
        "kmnist",
        "qmnist",
        "qmnist-test50k",
        "emnist-balanced",
        "emnist-digits",
        "emnist-letters",
        "digits",
    }
    for maker in (
        datasets.MNIST,
        datasets.FashionMNIST,
        datasets.KMNIST,
        datasets.QMNIST,
        datasets.EMNIST,
    ):
        # torchvision's folder is the class's name
        assert maker.__name__ in catalogue.LAYOUT.values()


@pytest.mark.skipif(
    REAL is None or not (Path(REAL) / "MNIST" / "raw").is_dir(),
    reason="LIGHTSEARCH_DATA names no folder with MNIST/raw",
)
def test_the_real_mnist() -> None:
    assert REAL is not None
    mnist = load("mnist", REAL)
    assert (mnist.classes, mnist.shape) == (10, (1, 28, 28))
    assert torch.bincount(mnist.train[1]).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert torch.bincount(mnist.test[1]).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    mean, std = mnist.mean_std
    assert float(mean) == pytest.approx(0.1307, abs=5e-5)
    assert float(std) == pytest.approx(0.3081, abs=5e-5)
    assert mnist.checksum == "e0130f111822ed58"


# Where they are looked for ----------------------------------------------------------------------


def test_the_folder_given_comes_before_the_environment_and_that_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "given", tmp_path / "environment", tmp_path / "cache"]
    monkeypatch.setenv("LIGHTSEARCH_DATA", str(places[1]))
    for seed, place in reversed(list(enumerate(places))):
        named._load.cache_clear()  # what was found is remembered
        write_mnist(place / "MNIST" / "raw", some(20, 10, seed), some(10, 10, seed + 9))
        found = load("mnist", data=places[0])  # the word of `search` and the shell
        assert np.array_equal(found.train[0][:, 0].numpy(), some(20, 10, seed)[0])


def test_a_relative_folder_is_one_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, place in enumerate(("a", "b")):
        write_mnist(
            tmp_path / place / "data" / "MNIST" / "raw", some(20, 10, seed), some(10, 10, 3)
        )
        monkeypatch.chdir(tmp_path / place)
        assert np.array_equal(load("mnist", "data").train[0][:, 0].numpy(), some(20, 10, seed)[0])


def test_a_missing_data_set_is_downloaded_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive(self: Any) -> None:
        write_mnist(Path(self.raw_folder), some(20, 10), some(10, 10))

    monkeypatch.setattr(datasets.MNIST, "download", arrive)
    assert len(load("mnist").train[0]) == 20
    assert (tmp_path / "cache" / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file()


@pytest.mark.parametrize(
    "failure",
    [
        URLError("unreachable"),
        RuntimeError("Error downloading"),
        PermissionError("read-only"),
        TimeoutError("slow"),
        IncompleteRead(b""),
        ValueError("what came is no such file"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_download_that_fails_gives_the_message_with_two_lines(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, tmp_path: Path
) -> None:
    def fail(self: Any) -> None:
        raise failure

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    with pytest.raises(
        DataError,
        match=r"'kmnist' was not found in .*cache and could not be "
        r"downloaded\. Either line works:\n",
    ):
        load("kmnist")


def test_nothing_is_downloaded_where_a_folder_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(datasets.MNIST, "download", lambda self: asked.append(self))
    with pytest.raises(DataError, match="was not found in") as caught:
        load("mnist", tmp_path / "empty")
    assert not asked
    assert "could not be downloaded" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist", "qmnist", "emnist-digits"])
def test_the_two_lines_of_the_message_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="Either line works") as caught:
        load(name, tmp_path / "empty")
    first, with_folder, with_digits = str(caught.value).splitlines()
    assert str(tmp_path / "empty") in first
    assert str(tmp_path / "cache") in first
    assert with_folder.split()[:6] == [
        "lightsearch",
        "search",
        "--dataset",
        name,
        "--data",
        "FOLDER",
    ]
    inside = with_folder.split("with ")[1].split(" inside")[0]
    train, test = some(20, 10), some(10, 10)
    if name == "qmnist":
        write_qmnist(tmp_path / "full" / inside, train, test)
    elif name == "emnist-digits":
        write_emnist(tmp_path / "full" / inside, "digits", train, test)
    else:
        write_mnist(tmp_path / "full" / inside, train, test)
    assert len(load(name, tmp_path / "full").train[0]) == 20
    assert with_digits.split()[:4] == ["lightsearch", "search", "--dataset", "digits"]
    assert load("digits", tmp_path / "empty").name == "digits"


def test_half_a_data_set_is_not_found(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, some(20, 10), some(10, 10))
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="'mnist' was not found in"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "EMNIST", "", "emnist-byclass"])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(
        ArgumentError,
        match=rf"^`name` must be one of mnist, .*, digits, but got name='{name}'"
        rf"(; did you mean|$)",
    ):
        load(name)


# Damaged files ----------------------------------------------------------------------------------

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "a web page": lambda whole: b"<!DOCTYPE html><html>404</html>",
    "random": lambda whole: np.random.default_rng(0).bytes(500),
    "still zipped": lambda whole: b"\x1f\x8b\x08\x08" + whole[4:],
    "cut": lambda whole: whole[:-7],
    "cut in the head": lambda whole: whole[:5],
    "head alone": lambda whole: whole[:16],
    "an unknown type": lambda whole: b"\x00\x00\x0a\x03" + whole[4:],
    "floats": lambda whole: b"\x00\x00\x0d\x03" + whole[4:],
    "too long a size": lambda whole: whole[:4] + b"\x7f\xff\xff\xff" + whole[8:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_damaged_file_is_a_data_error(tmp_path: Path, damage: str, file: str) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, some(20, 10), some(10, 10))
    (raw / file).write_bytes(DAMAGE[damage]((raw / file).read_bytes()))
    with pytest.raises(DataError, match="must be"):
        load("mnist", tmp_path)


def test_the_message_for_a_damaged_file_names_data_set_and_folder(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, some(20, 10), some(10, 10))
    (raw / "train-images-idx3-ubyte").write_bytes(b"garbage")
    with pytest.raises(
        DataError,
        match=r"the data set 'mnist' must be whole, but .*train-images-idx3-ubyte is damaged: "
        r"it does not begin as an IDX file",
    ) as caught:
        load("mnist", tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_in_a_files_place_is_a_data_error(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, some(20, 10), some(10, 10))
    (raw / "train-images-idx3-ubyte").unlink()
    (raw / "train-images-idx3-ubyte").mkdir()
    with pytest.raises(DataError, match="'mnist'"):
        load("mnist", tmp_path)


def test_labels_of_another_data_set_are_refused(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, some(20, 10), some(10, 10))
    idx(raw / "train-labels-idx1-ubyte", some(19, 10)[1])
    with pytest.raises(DataError, match=r"\(20, 28, 28\) images and \(19,\) labels"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_files_are_read_as_torchvision_reads_them(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    values = np.random.default_rng(1).integers(0, 100, (3, 4, 5)).astype(f">{kind}")
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[kind]
    path.write_bytes(bytes([0, 0, code, 3, *b"\0\0\0\3\0\0\0\4\0\0\0\5"]) + values.tobytes())
    theirs = datasets.mnist.read_sn3_pascalvincent_tensor(str(path))
    mine = _read("mnist", path)
    assert mine.shape == (3, 4, 5)
    assert np.array_equal(mine, theirs.numpy())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it does not begin as an IDX file"),
        (b"\0\0\x08", "it does not begin as an IDX file"),
        (b"\0\0\x07\1\0\0\0\1a", "it does not begin as an IDX file"),
        (b"\0\0\x08\3\0\0\0\1", "it ends too early"),
        (b"\0\0\x08\1\0\0\0\3ab", r"it has 2 numbers, not \(3,\)"),
        (b"\0\0\x0c\1\0\0\0\1abcde", r"it has 1\.25 numbers, not \(1,\)"),
        (b"\0\0\x08\1\xff\xff\xff\xff", r"it has 0 numbers, not \(-1,\)"),
    ],
)
def test_a_file_that_is_no_idx_file_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=rf"'kmnist' must be whole, but .*file is damaged: {why}"):
        _read("kmnist", tmp_path / "file")


# One's own --------------------------------------------------------------------------------------


def own(
    count: int = 12, channels: int = 3, height: int = 5, width: int = 7, classes: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, channels, height, width), generator=draw)
    return images.to(torch.uint8), torch.arange(count) % classes


def test_own_tensors_and_arrays() -> None:
    train, test = own(), own(6)
    made = make_dataset(train, test)
    assert (made.name, made.classes, made.shape) == ("own", 3, (3, 5, 7))
    assert torch.equal(made.train[0], train[0])
    assert torch.equal(made.test[1], test[1])
    arrays = make_dataset(
        (train[0].numpy(), train[1].numpy().astype(np.uint16)),
        (test[0].numpy(), test[1].tolist()),
        name="arrays",
    )
    assert arrays.name == "arrays"
    assert arrays.checksum == made.checksum


def test_images_without_a_channel_get_one() -> None:
    images, labels = own(channels=1)
    made = make_dataset((images[:, 0], labels), (images, labels))
    assert torch.equal(made.train[0], made.test[0])
    assert made.shape == (1, 5, 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats_are_rounded_to_255ths(dtype: torch.dtype) -> None:
    values = torch.tensor([0, 0.0019, 0.002, 0.5, 0.999, 1]).reshape(6, 1, 1, 1).to(dtype)
    labels = torch.arange(6) % 2
    made = make_dataset((values, labels), (values, labels))
    assert made.train[0].flatten().tolist() == [0, 0, 1, 128, 255, 255]


def test_a_float_round_trip_is_exact() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    labels = torch.arange(256) % 2
    made = make_dataset((levels.float() / 255, labels), (levels, labels))
    assert torch.equal(made.train[0], levels)


def test_arrays_of_any_layout() -> None:
    images, labels = (part.numpy() for part in own())
    frozen = images.copy()
    frozen.flags.writeable = False
    plain = make_dataset((images, labels), (images, labels))
    for other in (frozen, np.asfortranarray(images), images[::-1][::-1]):
        assert make_dataset((other, labels), (images, labels)).checksum == plain.checksum
    swapped = (images, labels.astype(">i8"))
    assert make_dataset(swapped, (images, labels)).checksum == plain.checksum
    turned = make_dataset((images[..., ::-1], labels), (images, labels))
    assert np.array_equal(turned.train[0].numpy(), images[..., ::-1])


def test_the_tensors_are_copied() -> None:
    images, labels = own()
    made = make_dataset((images, labels), (images, labels))
    before = made.train[0].clone()
    images.zero_()
    labels.zero_()
    assert torch.equal(made.train[0], before)
    assert int(made.train[1].max()) == 2


IMAGES, LABELS = own()
REFUSED: dict[str, tuple[Any, Any, str]] = {
    # training pair, test pair, message
    "too few dimensions": (
        (torch.zeros(4, 5), LABELS[:4]),
        None,
        r"^train images must be \(N, H, W\) or \(N, C, H, W\) with C of 1 or 3 and at most 96x96 "
        r"pixels, but got \(4, 5\)$",
    ),
    "too many": ((torch.zeros(4, 1, 1, 5, 5), LABELS[:4]), None, r"but got \(4, 1, 1, 5, 5\)$"),
    "two channels": ((IMAGES[:, :2], LABELS), None, r"C of 1 or 3 .*but got \(12, 2, 5, 7\)$"),
    "channels last": (
        (IMAGES.movedim(1, 3), LABELS),
        None,
        r"here \(12, 3, 5, 7\), but got \(12, 5, 7, 3\)$",
    ),
    "too tall": ((torch.zeros(2, 97, 4), LABELS[:2]), None, r"but got \(2, 1, 97, 4\)$"),
    "too wide": ((torch.zeros(2, 4, 97), LABELS[:2]), None, r"at most 96x96"),
    "no images": (
        (IMAGES[:0], LABELS[:0]),
        None,
        r"^train images must not be empty, but got \(0, 3, 5, 7\)$",
    ),
    "no pixels": ((torch.zeros(2, 0, 4), LABELS[:2]), None, "train images must not be empty"),
    "no test images": (None, (IMAGES[:0], LABELS[:0]), "^test images must not be empty"),
    "integers": (
        (IMAGES.long(), LABELS),
        None,
        r"^train images must be uint8 or floating point, but got torch.int64$",
    ),
    "booleans": ((IMAGES > 9, LABELS), None, "uint8 or floating point, but got torch.bool"),
    "0 to 255 in floats": (
        (IMAGES.float().clamp(2, 250), LABELS),
        None,
        r"^train images of floating point must be from 0 to 1, but got \d+ to 250$",
    ),
    "negative": ((IMAGES / 255 - 0.5, LABELS), None, r"from 0 to 1, but got -0\.5 to 0\.\d+$"),
    "not a number": ((IMAGES * float("nan"), LABELS), None, "from 0 to 1, but got nan to nan"),
    "fewer labels": (
        (IMAGES, LABELS[:11]),
        None,
        r"^train labels must be 12 integers, one an image, but got torch.int64 of "
        r"shape \(11,\)$",
    ),
    "one-hot labels": ((IMAGES, torch.eye(3)[LABELS].long()), None, r"of shape \(12, 3\)$"),
    "float labels": ((IMAGES, LABELS.float()), None, r"12 integers, .* torch.float32 of shape"),
    "complex labels": ((IMAGES, LABELS + 0j), None, r"12 integers, .* torch.complex64 of shape"),
    "negative labels": ((IMAGES, LABELS - 1), None, r"^train labels must be >= 0, but got -1$"),
    "negative test labels": (
        None,
        (IMAGES, LABELS - 2),
        r"^test labels must be >= 0, but got -2$",
    ),
    "ragged": (
        ([[1], [1, 2]], LABELS),
        None,
        "^train images must be a tensor or an array of numbers, but: expected sequence",
    ),
    "words": ((IMAGES, ["a"] * 12), None, "^train labels must be a tensor or an array of numbers"),
    "nothing": (None, (None, LABELS), "^test images must be a tensor or an array of numbers"),
    "objects": ((IMAGES, np.array([None] * 12)), None, "^train labels must be a tensor or an"),
    "two shapes": (
        None,
        (IMAGES[:, :, :4], LABELS),
        r"^training and test images must have one shape, but got \(3, 5, 7\) and "
        r"\(3, 4, 7\)$",
    ),
    "one class": (
        (IMAGES, LABELS * 0),
        None,
        r"^labels must name 2 to 200 classes, but got 1 in the training labels$",
    ),
    "201 classes": ((IMAGES, LABELS * 100), None, "2 to 200 classes, but got 201 in the training"),
    "a huge label": (
        (IMAGES, LABELS * 10**15),
        None,
        "2 to 200 classes, but got 2000000000000001",
    ),
    "a class without images": (
        (IMAGES, LABELS * 2),
        None,
        r"^every class must have a training image, but class 1 of 5 has none$",
    ),
    "a test class that was never trained": (
        None,
        (IMAGES, LABELS + 1),
        r"^test labels must be below 3, the number of training classes, but got 3$",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_images_and_labels_are_refused(case: str) -> None:
    train, test, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        make_dataset(train or (IMAGES, LABELS), test or (IMAGES, LABELS))


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_public_data_set_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^`name` must be none of .*got name='{name}'$"):
        make_dataset((IMAGES, LABELS), (IMAGES, LABELS), name=name)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\n", "\x1b", "=a"])
def test_a_name_has_no_control_characters(name: str) -> None:
    with pytest.raises(ArgumentError, match=r"^`name` must have no control characters, and no"):
        make_dataset((IMAGES, LABELS), (IMAGES, LABELS), name=name)


def test_the_largest_and_smallest_that_are_accepted() -> None:
    labels = torch.arange(200)
    made = make_dataset((torch.zeros(200, 96, 96), labels), (torch.zeros(200, 96, 96), labels))
    assert (made.classes, made.shape) == (200, (1, 96, 96))
    tiny = (torch.zeros(2, 1, 1), torch.arange(2))
    assert make_dataset(tiny, tiny).shape == (1, 1, 1)


# Mean, standard deviation, checksum -------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_pytorchs(channels: int) -> None:
    made = make_dataset(own(50, channels), own(6, channels))
    mean, std = made.mean_std
    pixels = made.train[0].double() / 255
    assert mean.shape == std.shape == (channels,)
    assert mean.dtype == std.dtype == torch.float32
    torch.testing.assert_close(mean, pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(std, pixels.std((0, 2, 3), unbiased=False).float())


def test_an_empty_channel_does_not_divide_by_zero() -> None:
    images, labels = own()
    images[:, 1] = 0
    mean, std = make_dataset((images, labels), (images, labels)).mean_std
    assert float(mean[1]) == 0
    assert float(std[1]) == pytest.approx(1e-3)


def test_the_checksum_is_of_shapes_images_and_labels() -> None:
    made = make_dataset(own(), own(6))
    digest = hashlib.sha256()
    for images, labels in (own(), own(6)):
        digest.update(str(tuple(images.shape)).encode())
        digest.update(images.numpy().tobytes() + labels.numpy().tobytes())
    assert made.checksum == digest.hexdigest()[:16]


def test_the_checksum_sees_every_change_but_the_name() -> None:
    images, labels = own()
    base = make_dataset((images, labels), own(6))
    assert make_dataset((images, labels), own(6), name="other").checksum == base.checksum
    pixel, label = images.clone(), labels.clone()
    pixel[3, 1, 2, 2] ^= 1
    label[3] = (label[3] + 1) % 3
    others = [
        make_dataset((pixel, labels), own(6)),
        make_dataset((images, label), own(6)),
        make_dataset((images, labels), own(9)),
        make_dataset(own(6), (images, labels)),
        make_dataset(
            (images.reshape(12, 3, 7, 5), labels), (own(6)[0].reshape(6, 3, 7, 5), own(6)[1])
        ),
    ]
    assert len({base.checksum, *(other.checksum for other in others)}) == 6


# References -------------------------------------------------------------------------------------


def save_reference(made: DataSet, path: Path) -> DataRef:
    """Save a data set. Return a reference to the file, as another process has it."""
    save(made, path)
    return DataRef(made.name, made.checksum, str(path))


def test_a_saved_data_set_comes_back(tmp_path: Path) -> None:
    made = make_dataset(own(30), own(6), name="mine")
    back = fetch(save_reference(made, tmp_path / "data.safetensors"))
    assert back is not made
    assert (back.name, back.classes, back.checksum) == ("mine", 3, made.checksum)
    for mine, theirs in zip((*made.train, *made.test), (*back.train, *back.test), strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)


def test_training_and_test_images_may_be_the_same_tensor(tmp_path: Path) -> None:
    """Safetensors refuses tensors that share memory."""
    pair = own(31)
    made = make_dataset(pair, pair)
    back = fetch(save_reference(made, tmp_path / "data.safetensors"))
    assert torch.equal(back.train[0], back.test[0])


def test_another_data_set_in_the_files_place_is_refused(tmp_path: Path) -> None:
    reference = save_reference(make_dataset(own(32), own(6)), tmp_path / "data.safetensors")
    other = make_dataset(own(33), own(6))
    save(other, tmp_path / "data.safetensors")
    with pytest.raises(
        DataError,
        match=rf"'own' must have the checksum {reference.checksum}, but "
        rf"the one found has {other.checksum}",
    ):
        fetch(reference)


def test_a_public_data_set_must_have_the_checksum_too(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match="'digits' must have the checksum 0000, but the one found has b63efdd1b04b8e02",
    ):
        fetch(DataRef("digits", "0000"))
    write_mnist(tmp_path / "MNIST" / "raw", some(20, 10), some(10, 10))
    checksum = load("mnist", tmp_path).checksum
    assert fetch(DataRef("mnist", checksum, str(tmp_path))).checksum == checksum


@pytest.mark.parametrize("damage", ["missing", "garbage", "empty", "other tensors"])
def test_an_unreadable_file_is_a_data_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "data.safetensors"
    if damage == "garbage":
        path.write_bytes(b"\xff" * 100)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other tensors":
        references.save_file({"x": torch.zeros(3)}, path)
    message = {"missing": r"images of the data set 'own' must be given.* and .*tensors has none"}
    otherwise = r"the data set 'own' must be readable at '.*', but: "
    with pytest.raises(DataError, match=message.get(damage, otherwise)):
        fetch(DataRef("own", f"never-{damage}", str(path)))


def test_a_lent_data_set_is_the_very_same() -> None:
    made = make_dataset(own(34), own(6))
    reference = lend(made)
    assert reference == DataRef("own", made.checksum)
    assert fetch(reference) is made


def test_the_place_is_no_part_of_a_references_identity() -> None:
    assert DataRef("own", "1", "here") == DataRef("own", "1", "there")
    assert hash(DataRef("own", "1", "here")) == hash(DataRef("own", "1"))
    assert DataRef("own", "1") != DataRef("own", "2")


def test_the_digits_can_be_fetched_by_threads_at_once() -> None:
    named._load.cache_clear()
    _fetch.cache_clear()
    reference, found = DataRef("digits", "b63efdd1b04b8e02"), []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(reference).checksum)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["b63efdd1b04b8e02"] * 4


@pytest.fixture
def shared_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Share the digits. Return the file, as a process that has not loaded them finds it."""
    monkeypatch.setattr(named, "cache_folder", lambda: str(tmp_path))
    monkeypatch.setattr(references, "_LENT", {})  # another test may have lent the digits
    share(load("digits"))
    (path,) = tmp_path.iterdir()
    named._load.cache_clear()
    _fetch.cache_clear()
    return path


def _read_digits() -> DataSet:
    return assemble(*named._read_digits(), "digits", CLASS_NAMES["digits"])


def test_a_worker_maps_what_its_parent_shared(
    shared_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _read_digits()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # cannot be read from its source
    found = fetch(DataRef("digits", expected.checksum))
    for mine, theirs in zip(
        (*expected.train, *expected.test), (*found.train, *found.test), strict=True
    ):
        assert torch.equal(mine, theirs)
    assert found.classes == 10
    if sys.platform == "linux":
        assert str(shared_digits) in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("damage", ["garbage", "a pixel", "missing"])
def test_a_damaged_shared_file_is_passed_over(shared_digits: Path, damage: str) -> None:
    content = bytearray(shared_digits.read_bytes())
    content[-1] ^= 1
    shared_digits.write_bytes(content if damage == "a pixel" else b"\xff" * 100)
    if damage == "missing":
        shared_digits.unlink()
    reference = DataRef(
        "digits", assemble(*named._read_digits(), "digits", CLASS_NAMES["digits"]).checksum
    )
    assert fetch(reference).checksum == reference.checksum
    _fetch.cache_clear()


def test_own_images_are_not_shared_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "cache_folder", lambda: str(tmp_path))
    share(make_dataset(own(35), own(6)))
    assert not list(tmp_path.iterdir())


# Held out ---------------------------------------------------------------------------------------


def _rows(*parts: tuple[torch.Tensor, torch.Tensor]) -> list[tuple[bytes, int]]:
    return [
        (image.numpy().tobytes(), int(label))
        for images, labels in parts
        for image, label in zip(images, labels, strict=True)
    ]


@pytest.mark.parametrize("size", [10, 239, 700])
def test_held_out_images_are_stratified_and_leave_training(size: int) -> None:
    digits = load("digits")
    found = split_holdout(digits, Holdout(size, seed=4))
    assert len(found.test[1]) == size
    assert sorted(_rows(found.train, found.test)) == sorted(_rows(digits.train))
    whole = np.bincount(digits.train[1].numpy(), minlength=10)
    held = np.bincount(found.test[1].numpy(), minlength=10)
    theirs = train_test_split(
        digits.train[1].numpy(), test_size=size, random_state=0, stratify=digits.train[1].numpy()
    )[1]
    assert np.abs(held - whole * size / whole.sum()).max() < 1
    assert np.abs(held - np.bincount(theirs, minlength=10)).max() <= 1  # scikit-learn's counts
    again, other = (split_holdout(digits, Holdout(size, seed)) for seed in (4, 5))
    assert _rows(again.test) == _rows(found.test) != _rows(other.test)


def test_a_reference_to_held_out_images_is_the_same_data_set() -> None:
    digits = load("digits")
    ref = DataRef("digits", digits.checksum, holdout=Holdout(200, 1))
    found = fetch(ref)
    assert _rows(found.test) == _rows(split_holdout(digits, Holdout(200, 1)).test)
    tested = references.tested_on(ref, DataRef("digits", digits.checksum))
    assert _rows(tested.test) == _rows(digits.test)
    assert _rows(tested.train) == _rows(found.train)  # normalised by what it was trained on
    assert torch.equal(tested.mean_std[0], found.mean_std[0])


@pytest.mark.parametrize("size", [5, 1430, 1437])
def test_too_few_or_too_many_held_out_images_are_refused(size: int) -> None:
    with pytest.raises(DataError, match=f"`val_size` must leave images of every class.*{size} of"):
        split_holdout(load("digits"), Holdout(size))


def test_a_holdout_is_written_and_read() -> None:
    for holdout in (Holdout(5000, 0), Holdout(1, -7), Holdout(500, None)):
        assert holdout_of(str(holdout)) == holdout
    assert holdout_of("test") is None
    for text in ("val", "val(size=-1,seed=0)", "nan", "val(size=1,seed=0) ", "val(size=1,)"):
        with pytest.raises(ArgumentError, match="`selected_on` must be test, or like val"):
            holdout_of(text)


def test_validation_images_take_the_place_of_the_test_images(tmp_path: Path) -> None:
    digits = load("digits")
    images, labels = digits.train
    made = make_dataset(
        (images[200:], labels[200:]), digits.test, val=(images[:200], labels[:200])
    )
    plain = make_dataset((images[200:], labels[200:]), digits.test)
    assert made.checksum != plain.checksum
    save(made, tmp_path / "own.safetensors")
    ref = DataRef("own", made.checksum, str(tmp_path / "own.safetensors"), Holdout(200, None))
    found = fetch(ref)
    assert _rows(found.test) == _rows((images[:200], labels[:200]))
    assert _rows(found.train) == _rows(made.train)
    for other, count in ((plain, 0), (made, 200)):
        with pytest.raises(DataError, match=f"must have 199 validation images, but has {count}"):
            split_holdout(other, Holdout(199, None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": 3}, "`val` must be a pair of images and labels, but got 3"),
        ({"val": (torch.zeros(2, 9, 8), [0, 1])}, "training and val images must have one shape"),
        ({"val": (torch.zeros(2, 8, 8), [0, 10])}, "val labels must be below 10, the number"),
    ],
)
def test_wrong_validation_images_are_refused(change: dict[str, Any], message: str) -> None:
    digits = load("digits")
    with pytest.raises(DataError, match=message):
        make_dataset(digits.train, digits.test, **change)
