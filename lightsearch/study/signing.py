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
}
_OTHER = COMMENTS[".md"]  # a report may have any name, or none
_MARK = "written by lightsearch, "


def sign(text: str, suffix: str) -> bytes:
    """Return a text with its last line, for a file with this suffix."""
    opening, closing = COMMENTS.get(suffix, _OTHER)
    if text and not text.endswith("\n"):
        text += "\n"
    return encode(f"{text}{opening}{_MARK}{_digest(text)}{closing}\n")


def read_signed(path: Path) -> str | None:
    """Return the text of a file that is as `sign` gave it; None for any other.

    Line ends may have become those of another system.
    """
    opening, closing = COMMENTS.get(path.suffix.lower(), _OTHER)
    try:
        text = read_regular(path).decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return None
    text, mark, end = text.rpartition(f"{opening}{_MARK}")
    return text if mark and end == f"{_digest(text)}{closing}\n" else None


def encode(text: str) -> bytes:
    """Return a text as UTF-8. The name of a folder may have bytes that are none: as escapes."""
    return text.encode(errors="backslashreplace")


def _digest(text: str) -> str:
    return hashlib.sha256(encode(text)).hexdigest()[:16]
