"""Files of a report: written whole, and replaced only as they were written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightsearch.checks import read_regular
from lightsearch.errors import ArgumentError
from lightsearch.study.disk import write_file

_MARK = "<!-- written by lightsearch, "  # the last line of a report, which no reader shows


def check_own(path: Path, *, force: bool) -> None:
    """Raise `ArgumentError` if a report would replace another file, or one that was changed.

    `force` replaces any. A link is replaced, and what it leads to stays.
    """
    if force or path.is_symlink() or not path.exists():
        return
    try:
        text, mark, digest = read_regular(path).decode().rpartition(_MARK)
    except (OSError, UnicodeDecodeError):
        text, mark, digest = "", "", ""
    if not mark or digest != _end(text):
        raise ArgumentError(
            f"a report must not replace what somebody wrote, but {path} was changed since it was "
            "written, or is no report: move it, or replace it with --force (force=True in Python)"
        )


def write_report_text(path: Path, text: str) -> Path:
    """Write a report with the line that `check_own` finds, and return its path.

    Raises `ArgumentError` if the file cannot be written.
    """
    return write_text(path, text + _MARK + _end(text))


def _end(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]} -->\n"


def write_text(path: Path, text: str) -> Path:
    """Write a file, and return its path. Raises `ArgumentError` if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())
    except OSError as error:
        raise ArgumentError(explain_unwritable(path, error)) from None
    return path


def explain_unwritable(path: Path, error: OSError) -> str:
    """Return the message of a file that cannot be written."""
    return f"`out` must be a file that can be written, but {path}: {error}"
