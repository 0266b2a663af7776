"""The files of a study that an archive of it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lightsearch.study.terms import FOLDER, LOOKS_FOLDER, SHORTER

MOST_FILES = 200_000  # of an archive
_SLUG = r"[\w-][\w.-]{0,59}"  # see `terms.slug`
_FAMILY = (
    rf"(?:{LOOKS_FOLDER}/)?{FOLDER}/{_SLUG}/"
    r"(?:terms\.json|runs\.jsonl|states/[0-9a-f]{12}--?\d{1,20}-\d{4,5}\.safetensors)"
)
_MEMBER = re.compile(
    r"(?:epochs-\d{1,5}/)?"
    r"(?:study\.json|journal\.log|warm_start\.json|data\.safetensors"
    r"|states/trial-\d{5,7}-epoch-\d{4,5}\.safetensors"
    r"|weights/trial-\d{5,7}(?:\.safetensors|-epoch-\d{4,5}\.part)"
    rf"|{_FAMILY})"
)


def is_member(name: str) -> bool:
    """Whether a relative path, with slashes, is one that a study's folder has.

    >>> [is_member(one) for one in ("study.json", "weights/trial-00002.safetensors")]
    [True, True]
    >>> [is_member(one) for one in ("holder", "/study.json", "weights/../study.json", "a.py")]
    [False, False, False, False]
    """
    return _MEMBER.fullmatch(name) is not None


def list_members(folder: Path) -> Iterator[Path]:
    """Yield the files of a study that go into an archive, by name."""
    for path in sorted(folder.rglob("*")):
        if is_member(path.relative_to(folder).as_posix()) and path.is_file():
            yield path


def list_locked(folder: Path) -> list[Path]:
    """Return the folders of a study that a process may hold: its own, and those within it."""
    studies = [folder, *sorted(folder.glob(SHORTER))]
    looks = [one / LOOKS_FOLDER for one in studies]
    return [*studies, *(one for one in looks if one.is_dir())]
