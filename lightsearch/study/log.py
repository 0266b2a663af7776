"""Files that grow by lines of JSON: the journal of a study, the runs of its confirmations.

A line counts once its newline is there. A kill or a power cut may tear the last line, so the file
is cut back to its last whole line before more is written. Blank lines are skipped.
"""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lightsearch.errors import StudyError

TAIL = 256  # last bytes by which it is seen that a file was written over
BLOCK = 1 << 16  # bytes read at once to find the last whole line


class Lines:
    """The lines of a file, read on from where reading ended.

    `remedy` ends each error: what the user can do about a damaged file.
    """

    def __init__(self, path: Path, remedy: str) -> None:
        self.path, self.remedy = path, remedy
        self.rewind()

    def rewind(self) -> None:
        """Begin at the first line again."""
        self.values = 0  # lines that held something
        self.number = 0  # of the latest line in the file
        self._offset = 0  # bytes

    def read(self) -> Iterator[dict[str, Any]]:
        """The objects of the lines that were added since, without a line that is being written.

        Raises `StudyError` with the line's number if a line holds no JSON object.
        """
        with open(self.path, "rb", opener=_regular) as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield from self._take(line)

    def _take(self, line: bytes) -> Iterator[dict[str, Any]]:
        """Go past the next line; its object, unless it is blank."""
        value = None if line.isspace() else self._parse(line)
        self.number += 1
        self._offset += len(line)
        if value is not None:
            self.values += 1
            yield value

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError(f"{value!r:.60} is no object")
        except (ValueError, RecursionError) as error:
            raise StudyError(
                f"{self.path} must have a JSON object a line, but line "
                f"{self.number + 1} is damaged: {error}. {self.remedy}"
            ) from None
        return value


class Log(Lines):
    """Lines that this process adds to a file. What it wrote is read from memory, unless somebody
    else has added lines too (a dashboard's notes). `check_held` raises if the file is not this
    process's any more.
    """

    def __init__(
        self, path: Path, remedy: str, check_held: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(path, remedy)
        self._check_held = check_held
        self._file = open(path, "a+b", buffering=0, opener=_regular)
        self._own: deque[bytes] = deque()  # added and not read yet
        self._behind = True  # the file has more to read than those
        self._size = self._cut_torn_line()
        self._tail = self._read_tail()
        self._time = os.fstat(self._file.fileno()).st_mtime_ns

    def rewind(self) -> None:
        super().rewind()
        self._behind = True

    def read(self) -> Iterator[dict[str, Any]]:
        """What was added since. What others add is seen with the next `append`."""
        if self._behind:
            self._own.clear()
            yield from super().read()
            self._behind = False
        while self._own:
            yield from self._take(self._own.popleft())

    def append(self, values: Iterable[dict[str, Any]]) -> None:
        """Add lines by one call of the system, so that a kill leaves all of them or none.

        Raises `StudyError` if the path is not the file any more that was opened.
        """
        lines = [json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values]
        self._check_held()
        self._look_for_others()
        left = memoryview(b"".join(lines))
        while left:  # on a full disk a part is written before the error
            left = left[self._file.write(left) :]
        self._size += sum(map(len, lines))
        self._tail = (self._tail + b"".join(lines))[-TAIL:]
        self._time = os.fstat(self._file.fileno()).st_mtime_ns
        self._own += lines

    def sync(self) -> None:
        """Return when what was appended survives a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _look_for_others(self) -> None:
        """See what others did to the file. Lines written to a file that was replaced are lost."""
        here = os.fstat(self._file.fileno())
        try:
            same = os.path.samestat(here, self.path.lstat())
        except FileNotFoundError:
            same = False
        cut = here.st_size < self._size
        over = here.st_mtime_ns != self._time and self._read_tail() != self._tail
        if not same or cut or over:
            did = "cut" if cut else "written over"
            if not same:
                did = "replaced" if os.path.lexists(self.path) else "deleted"
            raise StudyError(
                f"{self.path} must not be changed by others while it is written to, "
                f"but it was {did}. Nothing more was written. {self.remedy}"
            )
        if here.st_size > self._size:
            self._behind = True
            self._size = self._cut_torn_line()
            self._tail = self._read_tail()

    def _read_tail(self) -> bytes:
        """Return the last bytes of what is known of the file."""
        self._file.seek(max(0, self._size - TAIL))
        return self._file.read(min(TAIL, self._size)) or b""

    def _cut_torn_line(self) -> int:
        """Cut the file after its last whole line that holds something. Blank lines are cut too:
        plain Optuna cannot read past them. Returns the size that is left."""
        size = self._file.seek(0, os.SEEK_END)
        length, end = BLOCK, 0
        while not end:
            start = self._file.seek(max(0, size - length))
            whole = _whole(self._file.read())
            end = start + whole if whole else 0
            if not start:
                break
            length *= 2
        end = max(end, self._offset)  # what was read is left alone
        if end != size:
            self._file.truncate(end)
            self.sync()
        return end


def _whole(data: bytes) -> int:
    """The length of whole lines, without blank ones at their end."""
    lines = data[: data.rfind(b"\n") + 1]
    held = len(lines.rstrip())
    return lines.find(b"\n", held) + 1 if held else 0


def _regular(path: str, flags: int) -> int:
    """Open a file that is no pipe or device: to read those may take for ever.

    The descriptor is no standard stream's, also in a program that has none: what it prints would
    be lines.
    """
    found, low = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666), []
    while found < 3:
        low.append(found)
        found = os.dup(found)
    for descriptor in low:
        os.close(descriptor)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise StudyError(f"{path} must be a regular file, but it is a folder, a pipe or a device")
    return found
