"""Which folders of a data set are its classes, and which are its training and test parts."""

from __future__ import annotations

import re
from pathlib import Path

from lightsearch.data.image_reader import list_folders, list_images
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

    Raises `DataError` for parts that cannot be made out.
    """
    folders = list_folders(root)
    named = {path: role for path in folders if (role := _role(path))}
    if not named:
        _refuse_parts_in_classes(root, folders)
        _refuse_unknown_parts(root, folders)
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
    parts = {"train": by_role["train"][0], "test": tests[0]}
    if "test" in by_role and "val" in by_role:
        parts["val"] = by_role["val"][0]
    for part in parts.values():
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


def _refuse_unknown_parts(root: Path, folders: list[Path]) -> None:
    """Refuse `a/cat`, `a/dog`, `b/cat`, `b/dog`: the parts would be taken for the classes."""
    inside = [{path.name for path in list_folders(folder)} for folder in folders]
    alike = len(folders) > 1 and len(inside[0]) > 1 and all(one == inside[0] for one in inside)
    if alike and not any(file.parent in folders for file in list_images(root)):
        names = " and ".join(path.name for path in folders[:3])
        shown = ", ".join(sorted(inside[0])[:3])
        raise DataError(
            f"{_LAYOUTS}, but in {root} {names} have the same folders, such as {shown}. If they "
            "are parts, call them train and test; if they are classes, put their images into them"
        )
