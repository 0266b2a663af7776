"""Files that take their places whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lightsearch.errors import ArgumentError


@contextlib.contextmanager
def placing(name: str, path: Path) -> Iterator[Path]:
    """Give a path to write to, in a folder for the time being. Its files take their places beside
    `path` at the end; after an error they are gone, and what stood there stays.

    Raises `ArgumentError`, which calls the path `name`, where the system refuses to write.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            yield Path(folder) / path.name
            for file in Path(folder).iterdir():
                with file.open("r+b") as whole:  # a power cut leaves the old file or the new one
                    os.fsync(whole.fileno())
                file.replace(path.parent / file.name)
    except OSError as error:
        raise ArgumentError(
            f"`{name}` must be a file that can be written, but {path}: {error}"
        ) from None
