"""`unpack`: the archive of a study as a folder. What a stranger packed is refused or harmless."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from lightsearch.checks import check_free, check_integer, check_path, check_regular
from lightsearch.errors import StudyError
from lightsearch.study.contents import MOST_FILES, is_member
from lightsearch.study.disk import writing
from lightsearch.study.identity import read_identity
from lightsearch.study.journal import read_trials
from lightsearch.study.leaderboard import refresh

MOST_BYTES = 8 << 30
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack(archive: str | Path, folder: str | Path, *, most_bytes: int = MOST_BYTES) -> Path:
    """Make a study's folder of an archive that `pack` wrote. Returns the folder, which is new.

        unpack("small.zip", "small")
        search(..., study="small")

    Files that no study has, links, and names that lead elsewhere are refused, and so is what has
    more than `most_bytes` in all. Nothing in an archive is run. The folder is there once all of
    it is.

    Raises `StudyError` for an archive that is none or is damaged.
    """
    path, target = check_path("archive", archive), check_path("folder", folder)
    most_bytes = check_integer("most_bytes", most_bytes, 1, 1 << 62)
    check_free("folder", target, force=False)
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    with _readable(path):
        check_regular(path)
        with zipfile.ZipFile(path) as file:
            members = _check_members(file.infolist(), path, most_bytes)
            try:
                with writing(target.parent):
                    part.mkdir(parents=True)
                for member in members:
                    _extract(file, member, part / member.filename)
                if read_identity(part) is None:
                    raise StudyError(f"an archive must have a study.json, but {path} has none")
                if (part / "journal.log").exists():  # else it died before its first line
                    read_trials(part)
                    refresh(part)
                with writing(target.parent):
                    part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def _check_members(
    members: list[zipfile.ZipInfo], path: Path, most_bytes: int
) -> list[zipfile.ZipInfo]:
    """Return the members of an archive, all of which are files of a study."""
    if len(members) > MOST_FILES:
        raise StudyError(
            f"an archive must have at most {MOST_FILES:,} files, but {path} has {len(members):,}"
        )
    size = sum(member.file_size for member in members)
    if size > most_bytes:
        raise StudyError(
            f"an archive must have at most {most_bytes:,} bytes unpacked, but {path} has "
            f"{size:,}: allow more by `most_bytes` (--most-bytes) if you trust it"
        )
    seen: set[str] = set()
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        wrong = (
            "is a link or no regular file"
            if kind not in (0, stat.S_IFREG)
            else "is no file of a study"
            if not is_member(member.filename)
            else "is there twice"
            if member.filename.casefold() in seen
            else "is encrypted"
            if member.flag_bits & 1
            else "is compressed in another way"
            if member.compress_type not in _METHODS
            else ""
        )
        if wrong:
            raise StudyError(
                f"an archive must have the files of a study alone, but in {path} "
                f"{member.filename!r:.100} {wrong}"
            )
        seen.add(member.filename.casefold())
    return members


def _extract(file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Write a member: zipfile reads no more than it is said to have, and checks its sum."""
    with file.open(member) as source, writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as to:
            shutil.copyfileobj(source, to)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise `StudyError` for whatever is raised on a file that is no archive, or a damaged one."""
    try:
        yield
    except (
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise StudyError(
            f"an archive must be a file that `lightsearch pack` wrote, but {path} cannot be read: "
            f"{error}"
        ) from None
