"""Files of a report: written whole, and replaced only as they were written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightsearch.errors import ArgumentError
from lightsearch.study.disk import write_file
from lightsearch.study.signing import read_signed, sign


@dataclass(frozen=True, slots=True)
class Programs:
    """Files beside a report that train its design."""

    own: tuple[str, ...] = ()  # names of those that are the report's
    kept: tuple[str, ...] = ()  # names of those that somebody else wrote or changed
    gap: str = ""  # why there are none
    files: Mapping[Path, bytes] = field(default_factory=dict)  # those that are to be written


NO_PROGRAMS = Programs()


def check_own(path: Path, *, force: bool) -> None:
    """Raise `ArgumentError` if a report would replace another file, or one that was changed.

    `force` replaces any. A link is replaced, and what it leads to stays.
    """
    if force or path.is_symlink() or not path.exists():
        return
    if read_signed(path) is None:
        raise ArgumentError(
            f"a report must not replace what somebody wrote, but {path} was changed since it was "
            "written, or is no report: move it, or replace it with --force (force=True in Python)"
        )


def check_own_pictures(path: Path, pictures: Iterable[Path], *, force: bool) -> None:
    """Raise `ArgumentError` if a report would replace a picture that is not its own.

    It is if the report stands at `path` as it was written, and shows it.
    """
    if force:
        return
    own = (None if path.is_symlink() else read_signed(path)) or ""
    for picture in pictures:
        if os.path.lexists(picture) and f"/{picture.name})" not in own:
            raise ArgumentError(
                f"a report must not replace what somebody drew, but {picture} is there and no "
                f"picture of {path}: move it, or replace it with --force (force=True in Python)"
            )


def write_report_text(path: Path, text: str, beside: Mapping[Path, bytes] | None = None) -> Path:
    """Write a report with the line that `check_own` finds, and return its path.

    `beside` are its other files. They come after it: if this process is killed in between, the
    next call knows that it may write them. If one cannot be written, no new file is left.

    Raises `ArgumentError` if a file cannot be written.
    """
    made_folders: list[Path] = []
    made_files: list[Path] = []
    files = {path: sign(text, path.suffix.lower()), **(beside or {})}
    try:
        for file, content in files.items():
            try:
                made_folders += [folder for folder in file.parents if not folder.exists()][::-1]
                file.parent.mkdir(parents=True, exist_ok=True)
                made_files.append(file.with_name(file.name + ".part"))  # left by a failed write
                made_files += [] if os.path.lexists(file) else [file]
                write_file(file, content)
            except OSError as error:
                raise ArgumentError(
                    f"`out` must be a file that can be written, but {file}: {error}"
                ) from None
    except BaseException:
        _remove(made_files, made_folders)
        raise
    return path


def _remove(files: list[Path], folders: list[Path]) -> None:
    """Remove what a call has made. A folder that others have put files in stays."""
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
