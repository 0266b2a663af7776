"""`pack`: a study as one archive, without anything of the machine that it ran on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from lightsearch.checks import check_free, check_path
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.study.contents import MOST_FILES, list_locked, list_members
from lightsearch.study.disk import lock
from lightsearch.study.identity import read_identity
from lightsearch.study.journal import OUTCOME
from lightsearch.study.listing import find_study
from lightsearch.study.warm_start import kind_of_source, read_warm_start

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of all files: when they were written says nothing
_ADDRESS = re.compile(r"\b\w+://[^\s'\",;)]+")
_PATH = re.compile(
    r"(?<![\w/\\:.])(?:[A-Za-z]:)?[/\\]+(?:[^\s/\\'\":,;()]+[/\\]+)*([^\s/\\'\":,;()]+)"
)


def pack(study: str | Path, archive: str | Path, *, force: bool = False) -> Path:
    """Write a study's folder as one ZIP file, to be opened elsewhere by `unpack`.

        pack("small", "small.zip")

    It has what the study is and what it needs to go on: trials, states, weights, confirmations,
    images of your own. Names of this machine are not in it: of the paths in `warm_start` and in
    the reasons of failed trials their last part is left. Reports and what else lies in the folder
    stay out. `force` replaces a file that is there.

    Raises `StudyError` if there is no study, or a process holds it, and `ArgumentError` if the
    archive cannot be written.
    """
    folder, path = find_study(study), check_path("archive", archive)
    check_free("archive", path, force=force)
    if read_identity(folder) is None:
        raise StudyError(f"a study's folder must hold a study.json, but {folder} has none")
    part = path.with_name(path.name + ".part")
    with contextlib.ExitStack() as held:
        for one in list_locked(folder):
            held.enter_context(lock(one))
        members = list(list_members(folder))
        if len(members) > MOST_FILES:
            raise StudyError(
                f"an archive must have at most {MOST_FILES:,} files, but {folder} has "
                f"{len(members):,}"
            )
        _write(part, path, {one.relative_to(folder).as_posix(): one for one in members})
    return path


def _write(part: Path, path: Path, members: Mapping[str, Path]) -> None:
    """Write files by their names in the archive, which takes its place once it is whole."""
    try:
        with zipfile.ZipFile(part, "w") as file:
            for name, member in members.items():
                _add(file, member, name)
        part.replace(path)
    except OSError as error:
        if error.filename in map(str, members.values()):
            raise StudyError(
                f"the files of a study must be readable, but {error.filename}: {error.strerror}"
            ) from error
        raise ArgumentError(
            f"`archive` must be a file that can be written, but {path}: {error}"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # of a folder that is no more
            part.unlink()


def _add(file: zipfile.ZipFile, path: Path, name: str) -> None:
    """Add a file, cleaned if it may name something of the machine."""
    about = zipfile.ZipInfo(name, LONG_AGO)
    about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    about.create_system = 3  # on every system alike
    clean = _CLEANERS.get(path.name)
    with file.open(about, "w", force_zip64=path.stat().st_size >= 1 << 31) as to:
        if clean is None:
            with path.open("rb") as source:
                shutil.copyfileobj(source, to)
            return
        for data in clean(path):
            to.write(data)


# What may name the machine -----------------------------------------------------------------------


def _clean_journal(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a journal, with the reasons of trials cleaned."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):  # torn by a kill
                return
            yield _clean_line(line) if f'"{OUTCOME}"'.encode() in line else line


def _clean_line(line: bytes) -> bytes:
    value = json.loads(line)
    told = value.get("user_attr", {}).get(OUTCOME)
    if not isinstance(told, list) or len(told) != 2 or clean_text(told[1]) == told[1]:
        return line
    told[1] = clean_text(told[1])
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def clean_text(text: str) -> str:
    """Return a text without addresses, the host's name, and the folders of paths.

    >>> clean_text("OSError: /home/me/a.py is missing, says tcp://10.0.0.3:8786")
    'OSError: a.py is missing, says (address)'
    """
    text = _PATH.sub(r"\1", _ADDRESS.sub("(address)", text))
    host = socket.gethostname()
    for name in (host, host.partition(".")[0]):
        if name:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "(host)", text)
    return text


def _clean_identity(path: Path) -> Iterable[bytes]:
    """The identity with sources of a warm start by their names, and what they held likewise."""
    identity = read_identity(path.parent)
    assert identity is not None
    known = rename_sources(identity.warm_start)
    if all(old == new for old, new in known.items()):
        return [path.read_bytes()]
    cleaned = dataclasses.replace(
        identity,
        warm_start=tuple(known.values()),
        warm_start_digest=_clean_start(path.parent, known).digest(),
    )
    return [(json.dumps(cleaned.to_json(), indent=1) + "\n").encode()]


def _clean_warm_start(path: Path) -> Iterable[bytes]:
    identity = read_identity(path.parent)
    assert identity is not None
    return [_clean_start(path.parent, rename_sources(identity.warm_start)).to_text().encode()]


def _clean_start(folder: Path, known: dict[str, str]) -> Any:
    """What a study began with, its sources by their new names."""
    identity = read_identity(folder)
    assert identity is not None
    start = read_warm_start(folder, identity.warm_start_digest)

    def left_out(text: str) -> str:
        for old in sorted(known, key=len, reverse=True):
            text = text.replace(old, known[old])
        return text

    return dataclasses.replace(
        start,
        first=tuple(
            dataclasses.replace(one, source=known.get(one.source, one.source))
            for one in start.first
        ),
        lessons=tuple(
            dataclasses.replace(one, source=known.get(one.source, one.source))
            for one in start.lessons
        ),
        left_out=tuple(map(left_out, start.left_out)),
    )


def rename_sources(sources: Sequence[str]) -> dict[str, str]:
    """Return sources of a warm start with the names that stand for them: of paths the last part.

    >>> rename_sources(("zoo", "/home/me/small", "../small", "./curves"))
    {'zoo': 'zoo', '/home/me/small': 'small', '../small': 'small-2', './curves': './curves'}
    """
    known: dict[str, str] = {}
    for source in sources:
        kind = kind_of_source(source)
        if kind not in ("csv", "study"):
            known[source] = source
            continue
        name = PurePosixPath(PureWindowsPath(source).as_posix()).name
        name = "study" if name in ("", "..") else name
        stem, suffix = (name[:-4], name[-4:]) if kind == "csv" else (name, "")
        number = 1
        while True:
            name = f"{stem}{'' if number == 1 else f'-{number}'}{suffix}"
            name = name if kind_of_source(name) == kind else f"./{name}"  # not what it looks like
            if name not in known.values():
                break
            number += 1
        known[source] = name
    return known


_CLEANERS: dict[str, Callable[[Path], Iterable[bytes]]] = {
    "journal.log": _clean_journal,
    "study.json": _clean_identity,
    "warm_start.json": _clean_warm_start,
}
