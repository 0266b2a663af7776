"""Names of folders that a system makes: recycle bins, previews, snapshots, lost clusters."""

from __future__ import annotations

import re

_NAMES = {
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "@Recently-Snapshot",
    "@Recycle",
    "@eaDir",
    "@tmp",
    "Network Trash Folder",
    "RECYCLER",
    "System Volume Information",
    "Temporary Items",
    "__MACOSX",
    "lost+found",
}
_FOUND = re.compile(r"found\.\d+", re.IGNORECASE)  # of a check of a disk
_PREVIEWS = {"thumbnails", "thumbs"}


def is_visible(name: str) -> bool:
    """Whether a folder is the user's: not hidden, and none that a system makes."""
    return not name.startswith(".") and name not in _NAMES and not _FOUND.fullmatch(name)


def is_visible_in_class(name: str) -> bool:
    """Whether a folder inside of a class is the user's.

    A class may be called thumbs, # or @. Inside of a class such names are a system's.
    """
    return (
        is_visible(name) and not name.startswith(("#", "@")) and name.casefold() not in _PREVIEWS
    )
