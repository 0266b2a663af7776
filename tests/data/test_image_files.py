"""Data sets from image files: real files, read by Pillow and torchvision."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets
from torchvision.datasets import ImageFolder

from lightsearch.data.catalogue import TORCHVISION
from lightsearch.data.image_files import folder_dataset, open_dataset, torchvision_dataset
from lightsearch.errors import ArgumentError, DataError


def draw(path: Path, shade: int, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> None:
    """Write an image of one colour. PNG keeps it exact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade if mode == "L" else (shade, 0, 255)).save(path)


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Make a folder of two classes in train and test. Each image has its own shade."""
    for part, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(("elm", "oak")):
            for number in range(count):
                draw(tmp_path / "leaves" / part / name / f"{number}.png", 100 * label + number)
    return tmp_path / "leaves"


def test_a_folder_by_class_is_read_as_torchvision_reads_it(leaves: Path) -> None:
    made = folder_dataset(leaves, size=12)
    assert (made.name, made.classes, made.shape) == ("leaves-12", 2, (3, 12, 12))
    for part, (images, labels) in (("train", made.train), ("test", made.test)):
        expected = ImageFolder(str(leaves / part))
        assert labels.tolist() == expected.targets
        for mine, (theirs, _) in zip(images, expected, strict=True):
            assert np.array_equal(mine.permute(1, 2, 0).numpy(), np.asarray(theirs))


def test_val_serves_as_test(leaves: Path) -> None:
    (leaves / "test").rename(leaves / "val")
    assert len(folder_dataset(leaves).test[1]) == 4


def test_gray_and_size(leaves: Path) -> None:
    draw(leaves / "train" / "oak" / "wide.png", 200, (40, 12), "L")
    made = folder_dataset(leaves, size=6, gray=True)
    assert made.shape == (1, 6, 6)
    assert made.name == "leaves-6-gray"
    assert int(made.train[0][-1].max()) == int(made.train[0][-1].min()) == 200


def test_the_middle_of_a_wide_image_is_kept(leaves: Path) -> None:
    stripes = np.zeros((8, 24), dtype=np.uint8)
    stripes[:, 8:16] = 255
    Image.fromarray(stripes).save(leaves / "train" / "elm" / "0.png")
    made = folder_dataset(leaves, size=8, gray=True)
    assert bool((made.train[0][0] == 255).all())


def test_without_parts_each_class_is_split(tmp_path: Path) -> None:
    for label, count in (("a", 20), ("b", 10)):
        for number in range(count):
            draw(tmp_path / label / f"{number}.png", number)
    made = folder_dataset(tmp_path, size=12, test=0.2, seed=3, name="mine")
    assert torch.bincount(made.train[1]).tolist() == [16, 8]
    assert torch.bincount(made.test[1]).tolist() == [4, 2]
    assert folder_dataset(tmp_path, size=12, seed=3, name="mine").checksum == made.checksum
    assert folder_dataset(tmp_path, size=12, seed=4, name="mine").checksum != made.checksum
    shades = sorted(int(image[0, 0, 0]) for image in torch.cat([made.train[0], made.test[0]]))
    assert shades == sorted([*range(20), *range(10)])  # each image once


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 20])
def test_a_file_that_is_no_image_is_named(leaves: Path, content: bytes) -> None:
    (leaves / "train" / "oak" / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"must be readable, but .*oak.broken\.png is not"):
        folder_dataset(leaves)


def test_a_truncated_image_is_named(leaves: Path) -> None:
    path = leaves / "train" / "oak" / "0.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"oak.0\.png is not"):
        folder_dataset(leaves)


def test_folders_that_are_no_data_set(tmp_path: Path, leaves: Path) -> None:
    with pytest.raises(DataError, match=r"must exist, but .*nowhere does not"):
        folder_dataset(tmp_path / "nowhere")
    (tmp_path / "empty" / "one").mkdir(parents=True)
    with pytest.raises(DataError, match=r"two classes or more, but .*empty has 1"):
        folder_dataset(tmp_path / "empty")
    (tmp_path / "empty" / "two").mkdir()
    with pytest.raises(DataError, match=r"must have some, but .*empty has none that end in"):
        folder_dataset(tmp_path / "empty")
    draw(leaves / "test" / "pine" / "0.png", 1)
    with pytest.raises(DataError, match=r"must be among the training ones, but .*test has pine"):
        folder_dataset(leaves)
    for label in ("a", "b"):
        draw(tmp_path / "few" / label / "0.png", 1)
    with pytest.raises(DataError, match="images enough to hold some out"):
        folder_dataset(tmp_path / "few")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 3}, "`size` must be an integer from 4 to 96, or two of them, .* but got size=3"),
        ({"size": 97}, "got size=97"),
        ({"size": 8.5}, r"got size=8\.5"),
        ({"gray": 1}, "`gray` must be True or False, but got gray=1"),
        ({"test": 0}, "`test` must be above 0 and below 1, but got test=0"),
        ({"test": 1.0}, r"got test=1\.0"),
    ],
)
def test_arguments_out_of_range(leaves: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        folder_dataset(leaves, **arguments)


# Layouts ----------------------------------------------------------------------------------------


def draw_classes(folder: Path, *names: str, count: int = 5) -> None:
    for label, name in enumerate(names):
        for number in range(count):
            draw(folder / name / f"{number}.png", 40 * label + number)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("training", "testing"),
        ("Train", "Valid"),
        ("TRAINING", "validation"),
        ("train_set", "test-set"),
        ("trainset", "testset"),
        ("train_images", "test_images"),
        ("train", "eval"),
        ("train", "dev"),
        ("seg_train", "seg_test"),
        ("images_train", "images_test"),
        ("train2017", "val2017"),
        ("train.1", "test.1"),
        ("01-training", "02-validation"),
        ("x_train", "x_test"),
        ("tr", "te"),
        ("train_dir", "holdout"),
    ],
)
def test_usual_spellings_of_the_parts(tmp_path: Path, train: str, test: str) -> None:
    draw_classes(tmp_path / train, "x", "y", "z")
    draw_classes(tmp_path / test, "x", "y", "z", count=2)
    made = folder_dataset(tmp_path, size=8)
    assert (made.classes, len(made.train[1]), len(made.test[1])) == (3, 15, 6)


def test_a_validation_folder_beside_a_test_folder_has_the_validation_images(
    tmp_path: Path,
) -> None:
    for part, count in (("train", 5), ("validation", 4), ("test", 2)):
        draw_classes(tmp_path / part, "x", "y", count=count)
    made = folder_dataset(tmp_path, size=8)
    assert {part: len(labels) for part, (_, labels) in made.parts()} == {
        "train": 10,
        "test": 4,
        "val": 8,
    }
    assert "10 training, 8 validation and 4 test images" in repr(made)
    draw_classes(tmp_path / "validation", "z")
    with pytest.raises(DataError, match=r"val classes must be among the training.*validation has"):
        folder_dataset(tmp_path, size=8)


def test_a_class_may_be_called_as_a_part(tmp_path: Path) -> None:
    draw_classes(tmp_path / "one", "bus", "train", "car")
    draw_classes(tmp_path / "two", "steam train", "test tube")
    assert folder_dataset(tmp_path / "one", size=8).classes == 3
    assert folder_dataset(tmp_path / "two", size=8).class_names == ("steam train", "test tube")


def test_classes_may_have_folders(tmp_path: Path) -> None:
    draw_classes(tmp_path / "oak", "front", "back")
    draw_classes(tmp_path / "elm", "front")
    assert folder_dataset(tmp_path, size=8).class_names == ("elm", "oak")


@pytest.mark.parametrize("inside", [[["images"], ["images"]], [["21", "22"], ["22", "23", "24"]]])
def test_classes_may_have_a_folder_in_common(tmp_path: Path, inside: list[list[str]]) -> None:
    for name, folders in zip(("elm", "oak"), inside, strict=True):
        draw_classes(tmp_path / name, *folders)
    assert folder_dataset(tmp_path, size=8).class_names == ("elm", "oak")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "test"), r"a train and a test folder .*, but \S+train has no folders$"),
        (("train/x", "train/y"), r"but \S+ has train$"),
        (("test/x", "test/y"), r"but \S+ has test$"),
        (("train/x", "train/y", "other/x", "other/y"), "has other, train$"),
        (
            ("train/x", "train/y", "test/x", "extra", "unlabeled/z"),
            r"but \S+ has images in extra, unlabeled too: move them elsewhere$",
        ),
        (("train/x", "train/y", "training/x", "test/x"), "has test, train, training$"),
        (("oak/train", "oak/test", "elm/train", "elm/test"), "has test, train inside of elm"),
        (("train_set", "test-set"), r"but \S+train_set has no folders$"),
        (("prueba/x", "prueba/y", "otra/x", "otra/y"), "otra and prueba have the same folders"),
        (("mytrain/x", "mytrain/y", "mytrain/z", "mytest/x", "mytest/y"), "such as x, y. If they"),
        (
            ("learn/x", "learn/y", "check/x", "check/y", "check/z", "elm"),
            "check and learn have the same",
        ),
        (("learn/x", "learn/y", "train"), None),
        (("oak/a", "oak/b", "oak/c", "elm/c", "elm/d", "elm/e"), None),
        (("oak", "oak/front", "elm", "elm/front"), None),
        (
            ("train/images", "train/labels", "test/images", "test/labels"),
            r"a folder for each class, but \S+train has images and labels, as for detection",
        ),
        (("Images", "Ground_Truth"), "has Images and Ground_Truth, as for detection or segm"),
    ],
)
def test_layouts_that_cannot_be_made_out(
    tmp_path: Path, folders: tuple[str, ...], message: str | None
) -> None:
    draw_classes(tmp_path, *folders)
    if message is None:  # it can be made out
        assert folder_dataset(tmp_path, size=8).classes == 2
    else:
        with pytest.raises(DataError, match=message):
            folder_dataset(tmp_path, size=8)


def test_what_has_no_images_may_stand_beside_the_parts(leaves: Path) -> None:
    (leaves / "docs").mkdir()
    (leaves / "docs" / "notes.txt").write_text("on the trees")
    draw(leaves / ".cache" / "0.png", 1)
    draw(leaves / "@eaDir" / "0.png", 1)
    assert folder_dataset(leaves, size=8).class_names == ("elm", "oak")


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    draw_classes(tmp_path, "a", "b")
    (tmp_path / "c").mkdir()  # the last one: labels alone would not miss it
    (tmp_path / "c" / "notes.txt").write_text("to come")
    with pytest.raises(DataError, match=r"must have some, but .*c has none that end in"):
        folder_dataset(tmp_path, size=8)


def test_images_in_formats_that_are_not_read_are_counted(leaves: Path) -> None:
    for name in ("labels.csv", "notes.txt", "._0.heic"):
        (leaves / "train" / "oak" / name).write_bytes(b"no image")
    assert len(folder_dataset(leaves, size=8).train[1]) == 8
    for name in ("train/oak/b.HEIC", "test/elm/deep/a.heic", "train/oak/c.avif"):
        (leaves / name).parent.mkdir(exist_ok=True)
        (leaves / name).write_bytes(b"of a phone")
    with pytest.raises(
        DataError,
        match=r"^images must end in \.jpg, .*\.webp, but \S+leaves has 2 \.heic, 1 \.avif, the "
        r"first is \S+train.oak.b\.HEIC: convert them, or move them elsewhere$",
    ):
        folder_dataset(leaves, size=8)


@pytest.mark.parametrize("place", ["test", "train"])
def test_images_beside_the_classes_are_refused(leaves: Path, place: str) -> None:
    for name in (".hidden.png", "labels.csv", "icon.ico"):
        (leaves / place / name).write_bytes(b"no image")
    folder_dataset(leaves, size=8)
    for name in ("b.PNG", "a.jpg"):
        (leaves / place / name).write_bytes(b"an image")
    message = rf"must be in the folder of their class, but \S+{place} has 2 beside.*is a\.jpg"
    with pytest.raises(DataError, match=message):
        folder_dataset(leaves, size=8)
    with pytest.raises(DataError, match=message):
        folder_dataset(leaves / place, size=8)


SYSTEM = (
    ".ipynb_checkpoints __MACOSX @eaDir deep/.thumbs #recycle @Recycle #snapshot @tmp "
    "$RECYCLE.BIN @Recently-Snapshot FOUND.000 found.012 RECYCLER lost+found"
).split()


@pytest.mark.parametrize(
    "hidden",
    [*SYSTEM, "Network Trash Folder", "Temporary Items", "System Volume Information"],
)
def test_hidden_files_and_folders_are_left_out(tmp_path: Path, hidden: str) -> None:
    draw_classes(tmp_path, "a", "b")
    for label in "ab":
        draw(tmp_path / label / hidden / "0.png", 9)
        (tmp_path / label / "._0.png").write_bytes(b"a resource fork")
    draw_classes(tmp_path, hidden.split("/")[-1])  # beside the classes too
    made = folder_dataset(tmp_path, size=8)
    assert (made.classes, len(made.train[1]) + len(made.test[1])) == (2, 10)


@pytest.mark.parametrize("name", ["thumbs", "Thumbnails", "THUMBS", "#", "@home", "#Recycle"])
def test_a_class_may_be_called_as_what_is_left_out_inside_of_one(
    tmp_path: Path, name: str
) -> None:
    draw_classes(tmp_path, "a", name)
    for label in ("a", name):
        draw(tmp_path / label / name / "0.png", 9)
        draw(tmp_path / label / f"{name}.png", 9)  # a file of that name is the user's
    made = folder_dataset(tmp_path, size=8)
    assert set(made.class_names) == {"a", name}
    assert len(made.train[1]) + len(made.test[1]) == 12


def test_suffixes_in_capitals_and_folders_named_as_images(tmp_path: Path) -> None:
    draw_classes(tmp_path, "a", "b")
    for label in "ab":
        draw(tmp_path / label / "x.PNG", 9)
        draw(tmp_path / label / "folder.png" / "y.png", 9)
    made = folder_dataset(tmp_path, size=8)
    assert len(made.train[1]) + len(made.test[1]) == 14


# Torchvision ------------------------------------------------------------------------------------


def test_every_name_is_a_set_of_torchvision() -> None:
    for name, kind in TORCHVISION.items():
        assert name == kind.lower()
        assert issubclass(getattr(datasets, kind), datasets.VisionDataset)


def test_usps_has_a_training_and_a_test_part(tmp_path: Path) -> None:
    for name, count in (("usps.bz2", 30), ("usps.t.bz2", 20)):
        rows = "".join(
            f"{1 + n % 10} "
            + " ".join(f"{k + 1}:{(n * k % 200) / 100 - 1:.2f}" for k in range(256))
            + "\n"
            for n in range(count)
        )
        (tmp_path / name).write_bytes(bz2.compress(rows.encode()))
    made = torchvision_dataset("USPS", tmp_path, size=16, gray=True, download=False)
    theirs = datasets.USPS(str(tmp_path), train=True)
    assert (made.name, made.classes, made.shape) == ("usps-16-gray", 10, (1, 16, 16))
    assert len(made.test[1]) == 20
    assert np.array_equal(made.train[0][:, 0].numpy(), theirs.data)
    assert made.train[1].tolist() == theirs.targets


def test_imagenette_has_a_val_part(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for wnid in datasets.Imagenette._WNID_TO_CLASS:
            draw(tmp_path / "imagenette2" / part / wnid / "a.png", 7, (30, 20))
            (tmp_path / "imagenette2" / part / wnid / "a.png").rename(
                tmp_path / "imagenette2" / part / wnid / "a.JPEG"
            )
    made = torchvision_dataset("imagenette", tmp_path, size=10, download=False)
    assert (made.classes, made.shape, len(made.test[1])) == (10, (3, 10, 10), 10)


def test_a_set_without_test_images_is_split(tmp_path: Path) -> None:
    for label in ("Forest", "River"):
        for number in range(10):
            draw(tmp_path / "eurosat" / "2750" / label / f"{number}.png", number)
    made = torchvision_dataset("EuroSAT", data=tmp_path, size=12, download=False)
    assert (len(made.train[1]), len(made.test[1])) == (16, 4)


def test_what_torchvision_cannot_find_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"torchvision's CIFAR10 must be readable in .*, but: "):
        torchvision_dataset("cifar10", tmp_path, download=False)

    def refuse(self: Any) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr(datasets.CIFAR10, "download", refuse)
    with pytest.raises(DataError, match="no network in tests"):
        torchvision_dataset("cifar10", tmp_path)


# By name or folder ------------------------------------------------------------------------------


def test_open_dataset_takes_names_and_folders(leaves: Path, tmp_path: Path) -> None:
    assert open_dataset("digits").name == "digits"
    assert open_dataset(leaves, size=8).shape == (3, 8, 8)
    assert open_dataset(str(leaves), gray=True).shape == (1, 32, 32)
    with pytest.raises(
        ArgumentError,
        match="a folder of images, or a DataSet, but got 'cifar11'; did you mean 'cifar10'",
    ):
        open_dataset("cifar11")
    with pytest.raises(ArgumentError, match=r"`name` must be one of .*; did you mean 'svhn'"):
        torchvision_dataset("SVNH")


def test_a_folder_named_like_a_public_set_gets_a_name_of_its_own(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for number in range(5):
            draw(tmp_path / "mnist" / label / f"{number}.png", number)
    assert folder_dataset(tmp_path / "mnist", size=8).name == "mnist-8"
    (tmp_path / "mnist").rename(tmp_path / "cifar10")  # scripts would read torchvision's cifar10-8
    assert folder_dataset(tmp_path / "cifar10", size=8).name == "cifar10-folder-8"


def test_a_folders_line_feeds_and_tabs_are_escaped_in_the_name(tmp_path: Path) -> None:
    draw_classes(tmp_path / "two\nlines\tof", "a", "b")
    assert folder_dataset(tmp_path / "two\nlines\tof", size=8).name == r"two\nlines\tof-8"
