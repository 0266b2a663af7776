"""Texts whose last line says that they stand as lightsearch wrote them, by a digest.

A file that is signed so may be replaced. One that somebody has changed since may not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightsearch.checks import read_regular

COMMENTS = {  # how a comment begins and ends
    ".py": ("# ", ""),
    ".c": ("/* ", " */"),
    ".h": ("/* ", " */"),
    ".md": ("<!-- ", " -->"),
    ".html": ("<!-- ", " -->"),
}
_MARK = "written by lightsearch, "


def sign(text: str, suffix: str) -> bytes:
    """Return a text with its last line, as UTF-8. What is no UTF-8 in names is escaped."""
    opening, closing = COMMENTS[suffix]
    if text and not text.endswith("\n"):
        text += "\n"
    return _encode(f"{text}{opening}{_MARK}{_digest(text)}{closing}\n")


def is_signed(path: Path) -> bool:
    """Whether a file is as `sign` gave it. Line ends may have become those of another system."""
    opening, closing = COMMENTS[path.suffix.lower()]
    try:
        text = read_regular(path).decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return False
    text, mark, end = text.rpartition(f"{opening}{_MARK}")
    return bool(mark) and end == f"{_digest(text)}{closing}\n"


def _digest(text: str) -> str:
    return hashlib.sha256(_encode(text)).hexdigest()[:16]


def _encode(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
