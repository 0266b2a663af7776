"""The studies of a place, and the latest of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lightsearch.errors import ArgumentError
from lightsearch.study.identity import STUDIES

_WRITTEN = ("study.json", "journal.log", "confirmations/*/runs.jsonl")  # they say when


def find_studies(place: Path) -> list[Path]:
    """Return the folders of the studies at a place, the latest first.

    These are the place itself, folders in it, and those in its `lightsearch-studies`. The latest
    is the one that was written to last.
    """
    return sorted(_list_studies(place), key=changed_at, reverse=True)


def _list_studies(place: Path) -> Iterator[Path]:
    if _is_study(place):
        yield place
    for parent in (place, place / STUDIES):
        try:
            inside = sorted(parent.iterdir())
        except OSError:  # missing, or not ours to read
            continue
        yield from filter(_is_study, inside)


def _is_study(folder: Path) -> bool:
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
