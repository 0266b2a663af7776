"""Which folders of a data set are its classes, and which are its training and test parts."""

from __future__ import annotations

import re
from pathlib import Path

from lightsearch.data.image_reader import list_folders, list_images
from lightsearch.errors import DataError

_END = r"[-_ ]?(set|split|data|images|imgs)?"
_ROLES = {
    "train": re.compile(rf"(train|training|trn){_END}", re.IGNORECASE),
    "test": re.compile(rf"(test|testing|tst|eval|evaluation){_END}", re.IGNORECASE),
    "val": re.compile(rf"(val|valid|validation|dev){_END}", re.IGNORECASE),
}
_LAYOUTS = (
    "A folder of images must have a folder for each class, or a train and a test folder (or a "
    "val folder) that have one for each class"
)


def find_parts(root: Path) -> tuple[Path, Path] | None:
    """Return the folders of the training and the test images, or None if there are only classes.

    A folder is a part by its name, such as train, Training or test_set, and if it has folders
    inside: a class may be called train too. Without a test folder, a validation folder is it.

    Raises `DataError` for parts that cannot be made out.
    """
    folders = list_folders(root)
    named = {path: role for path in folders if (role := _role(path))}
    if not named:
        _refuse_parts_in_classes(root, folders)
        return None
    if not any(list_folders(path) for path in named) and not _is_split(folders, named):
        return None
    by_role: dict[str, list[Path]] = {}
    for path, role in named.items():
        by_role.setdefault(role, []).append(path)
    doubled = [paths for paths in by_role.values() if len(paths) > 1]
    tests = by_role.get("test") or by_role.get("val")
    if doubled or "train" not in by_role or not tests:
        names = ", ".join(path.name for path in folders)
        raise DataError(f"{_LAYOUTS}, but {root} has {names}")
    parts = (by_role["train"][0], tests[0])
    for part in parts:
        if not list_folders(part):
            raise DataError(f"{_LAYOUTS}, but {part} has no folders")
    return parts


def list_classes(folder: Path) -> list[str]:
    """Return the names of the class folders. Raises `DataError` if there are fewer than two."""
    names = [path.name for path in list_folders(folder)]
    if len(names) < 2:
        raise DataError(
            f"a folder of images must have a folder for each of two classes or more, "
            f"but {folder} has {len(names)}"
        )
    return names


def _role(path: Path) -> str | None:
    return next((role for role, name in _ROLES.items() if name.fullmatch(path.name)), None)


def _is_split(folders: list[Path], named: dict[Path, str]) -> bool:
    """Whether the folders are parts and nothing else, so that they cannot be classes."""
    return len(named) == len(folders) and len(set(named.values())) > 1


def _refuse_parts_in_classes(root: Path, classes: list[Path]) -> None:
    """Refuse `oak/train/1.png`: its parts would be mixed without a word."""
    if len(classes) > 1 and all(
        (inside := list_folders(path))
        and all(map(_role, inside))
        and not any(file.parent == path for file in list_images(path))
        for path in classes
    ):
        names = ", ".join(path.name for path in list_folders(classes[0]))
        raise DataError(f"{_LAYOUTS}, but {root} has {names} inside of {classes[0].name}")
