"""The studies of a place, the latest of them, and the question of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lightsearch.checks import check_path
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.study.identity import STUDIES, Identity, read_identity

_WRITTEN = ("study.json", "journal.log", "confirmations/*/runs.jsonl")  # they say when


def find_studies(place: Path) -> list[Path]:
    """Return the folders of the studies at a place, the latest first.

    That is the place itself, if it is one; else folders in it, and those in its
    `lightsearch-studies`. The latest is the one that was written to last.
    """
    return sorted(_list_studies(place), key=changed_at, reverse=True)


def _list_studies(place: Path) -> Iterator[Path]:
    if is_study(place):  # shorter studies in it are its own
        yield place
        return
    for parent in (place, place / STUDIES):
        try:
            inside = sorted(parent.iterdir())
        except OSError:  # missing, or not ours to read
            continue
        yield from filter(is_study, inside)


def is_study(folder: Path) -> bool:
    """Say whether a folder is a study's."""
    try:
        return (folder / "study.json").is_file()
    except OSError:  # not ours to look into
        return False


def changed_at(study: Path) -> float:
    """Return when a study was last searched or confirmed, in seconds since 1970."""
    times = [file.stat().st_mtime for pattern in _WRITTEN for file in study.glob(pattern)]
    return max(times, default=0.0)


def find_latest(place: Path) -> Path:
    """Return the folder of the latest study at a place.

    Raises `ArgumentError` if there is none.
    """
    found = find_studies(place)
    if not found:
        raise ArgumentError(
            f"the study must be given, or be here or in {STUDIES}, but {place.absolute()} has none"
        )
    return found[0]


def find_study(study: str | Path) -> Path:
    """Return the folder of a study, which is given itself or by a file in it."""
    path = check_path("study", study)
    return path.parent if path.is_file() and is_study(path.parent) else path


def read_question(study: str | Path) -> tuple[Path, Identity]:
    """Return the folder of a study, as `find_study` does, and its question.

    Raises `StudyError` if there is no study.
    """
    folder = find_study(study)
    identity = read_identity(folder)
    if identity is None:
        raise StudyError(
            f"a study's folder must hold a study.json, but {folder} has none: a search prints "
            f"the folder of its study, {STUDIES}/... by default"
        )
    return folder, identity
