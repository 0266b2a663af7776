"""Which folders of a data set are its classes, and which are its training and test parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from lightsearch.data.image_reader import (
    SUFFIXES,
    has_images,
    is_image,
    list_folders,
    list_unread,
)
from lightsearch.data.system_folders import is_visible_in_class
from lightsearch.errors import DataError

_END = r"(set|split|data|images|imgs|dir)?"
_ROLES = {
    "train": re.compile(rf"(train|training|trn|tr){_END}"),
    "test": re.compile(rf"(test|testing|tst|te|eval|evaluation|holdout){_END}"),
    "val": re.compile(rf"(val|valid|validation|validate|dev){_END}"),
}
_PLAIN = re.compile(
    "|".join(["set|split|data|images|imgs|dir", *(one.pattern for one in _ROLES.values())])
)
_IMAGES = {"image", "images", "imgs"}
_MASKS = {"annotations", "groundtruth", "gt", "label", "labels", "mask", "masks"}
_LAYOUTS = (
    "A folder of images must have a folder for each class, or a train and a test folder (or a "
    "val folder) that have one for each class"
)


def find_parts(root: Path) -> dict[str, Path] | None:
    """Return the folders of the parts, or None if there are only classes.

    Those are `train`, `test`, and `val` if there is one beside a test folder.

    A folder is a part by a word of its name, as in Training, test_set, seg_train or val2017, and
    if it has folders inside: a class may be called train too. Without a test folder, a validation
    folder is it.

    Raises `DataError` for parts that cannot be made out, and for images beside them.
    """
    folders = list_folders(root)
    named = {path: role for path in folders if (role := _role(path))}
    if not named:
        _refuse_parts_in_classes(root, folders)
        _refuse_unknown_parts(root, folders)
        return None
    if not any(_list_inside(path) for path in named) and not _is_split(folders, named):
        _refuse_unknown_parts(root, folders)
        return None
    by_role: dict[str, list[Path]] = {}
    for path, role in named.items():
        by_role.setdefault(role, []).append(path)
    doubled = [paths for paths in by_role.values() if len(paths) > 1]
    tests = by_role.get("test") or by_role.get("val")
    if doubled or "train" not in by_role or not tests:
        names = ", ".join(path.name for path in folders)
        raise DataError(f"{_LAYOUTS}, but {root} has {names}")
    parts = {"train": by_role["train"][0], "test": tests[0]}
    if "test" in by_role and "val" in by_role:
        parts["val"] = by_role["val"][0]
    others = [path.name for path in folders if path not in named and has_images(path)]
    if others:
        raise DataError(
            f"{_LAYOUTS}, but {root} has images in {', '.join(others)} too: move them elsewhere"
        )
    for part in parts.values():
        if not list_folders(part):
            raise DataError(f"{_LAYOUTS}, but {part} has no folders")
    return parts


def list_classes(folder: Path) -> list[str]:
    """Return the names of the class folders.

    Raises `DataError` if there are fewer than two, if they hold images and their masks, or if
    images lie beside them.
    """
    folders = list_folders(folder)
    if len(folders) < 2:
        raise DataError(
            f"a folder of images must have a folder for each of two classes or more, "
            f"but {folder} has {len(folders)}"
        )
    plain = {"".join(_words(path)): path.name for path in folders}
    pair = [plain[min(found)] for kind in (_IMAGES, _MASKS) if (found := kind & plain.keys())]
    if len(pair) == 2:
        raise DataError(
            f"a folder of images must have a folder for each class, but {folder} has "
            f"{' and '.join(pair)}, as for detection or segmentation: sort the images by class, "
            "or call these folders otherwise if they are classes"
        )
    _refuse_loose(folder)
    return [path.name for path in folders]


def check_parts(parts: dict[str, Path], classes: list[str]) -> None:
    """Raise `DataError` if a part has a class that the training part has not, or loose images."""
    for part, path in parts.items():
        if part != "train":
            _refuse_loose(path)
        unknown = {one.name for one in list_folders(path)} - set(classes)
        if unknown:
            raise DataError(
                f"{part} classes must be among the training ones, but {path} has "
                f"{', '.join(sorted(unknown))} too"
            )


def check_formats(root: Path, folders: Iterable[Path], *, in_class: bool = False) -> None:
    """Raise `DataError` if folders have images that are not read: they would be missed."""
    files = [
        file
        for folder in folders
        if folder.is_dir()
        for file in list_unread(folder, in_class=in_class)
    ]
    if files:
        counts = Counter(file.suffix.lower() for file in files).most_common()
        raise DataError(
            f"images must end in {', '.join(SUFFIXES)}, but {root} has "
            f"{', '.join(f'{count} {suffix}' for suffix, count in counts)}, the first is "
            f"{files[0]}: convert them, or move them elsewhere"
        )


def _role(path: Path) -> str | None:
    """The part that one word of a folder's name says it is; None if none or several do."""
    words = _words(path)
    roles = {role for role, name in _ROLES.items() if any(map(name.fullmatch, words))}
    return roles.pop() if len(roles) == 1 else None


def _words(path: Path) -> list[str]:
    return re.findall(r"[^\W\d_]+", path.name.lower())


def _is_split(folders: list[Path], named: dict[Path, str]) -> bool:
    """Whether the folders are parts and nothing else, so that they cannot be classes, as steam
    train and test tube may be."""
    plain = all(_PLAIN.fullmatch(word) for path in folders for word in _words(path))
    return plain and len(named) == len(folders) and len(set(named.values())) > 1


def _list_inside(folder: Path) -> list[Path]:
    """Return the folders in what may be a class, without those that a system makes there."""
    return [path for path in list_folders(folder) if is_visible_in_class(path.name)]


def _has_own_images(folder: Path) -> bool:
    """Whether images are in a folder itself, as in a class."""
    return any(is_image(path) and not path.is_dir() for path in folder.iterdir())


def _refuse_loose(folder: Path) -> None:
    """Refuse images beside the class folders: they would be missed."""
    loose = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    )
    if loose:
        raise DataError(
            f"images must be in the folder of their class, but {folder} has {len(loose):,} beside "
            f"those folders, the first is {loose[0].name}: move them"
        )


def _refuse_parts_in_classes(root: Path, classes: list[Path]) -> None:
    """Refuse `oak/train/1.png`: its parts would be mixed without a word."""
    if len(classes) > 1 and all(
        (inside := _list_inside(path)) and all(map(_role, inside)) and not _has_own_images(path)
        for path in classes
    ):
        names = ", ".join(path.name for path in _list_inside(classes[0]))
        raise DataError(f"{_LAYOUTS}, but {root} has {names} inside of {classes[0].name}")


def _refuse_unknown_parts(root: Path, folders: list[Path]) -> None:
    """Refuse `a/cat`, `a/dog`, `b/cat`: the parts would be taken for the classes.

    Test images may be of some classes only. So two folders are parts if they have two folders or
    more in common, and half of those of one of them. Classes may all have one called images.
    """
    inside = {
        folder: {path.name for path in _list_inside(folder) if has_images(path)}
        for folder in folders
        if not _has_own_images(folder)
    }
    for (one, names), (other, more) in combinations(inside.items(), 2):
        common = sorted(names & more)
        if len(common) > 1 and 2 * len(common) >= min(len(names), len(more)):
            raise DataError(
                f"{_LAYOUTS}, but in {root} {one.name} and {other.name} have the same folders, "
                f"such as {', '.join(common[:3])}. If they are parts, call them train and test; "
                "if they are classes, put their images into them"
            )
