"""Files of a study that are whole or not there, and the lock of its folder."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
from safetensors import SafetensorError

from lightsearch.checks import read_regular
from lightsearch.engines.engine import State
from lightsearch.errors import StudyError
from lightsearch.study.terms import FOLDER, LOOKS_FOLDER, SHORTER

FILES = (
    "lock",
    "holder",
    "study.json",
    "journal.log",
    "warm_start.json",
    "data.safetensors",
    "leaderboard.csv",
)
FOLDERS = ("states", "weights", FOLDER, LOOKS_FOLDER)  # of a study


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[Callable[[], None]]:
    """Hold the study for this process alone; the lock of a dead process is free.

    Gives a function that raises `StudyError` if the lock's file was replaced or deleted since:
    then another process may hold the study too.

    Raises `StudyError` naming the process that holds it, that the folder cannot be written, or a
    link in it.
    """
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_links(folder)
            lock = filelock.FileLock(folder / "lock", timeout=0)
            lock.acquire()
            held = (folder / "lock").stat()
    except filelock.Timeout:
        holder = _text(folder / "holder") or "another process"
        raise StudyError(
            f"a study must be run by one process at a time, but {folder} is held by "
            f"{holder}. Wait for it or stop it; `lightsearch leaderboard` reads it "
            "meanwhile"
        ) from None
    try:
        with writing(folder):
            write_text(folder / "holder", f"process {os.getpid()} on {socket.gethostname()}\n")
        yield functools.partial(_check_held, folder / "lock", held)
    finally:
        (folder / "holder").unlink(missing_ok=True)
        lock.release()


def _check_held(path: Path, held: os.stat_result) -> None:
    try:
        same = os.path.samestat(held, path.lstat())
    except FileNotFoundError:
        same = False
    if not same:
        raise StudyError(
            f"{path} must be left alone while its study is written to, but it was replaced or "
            "deleted. Nothing more was written. The same call continues the study"
        )


def _refuse_links(folder: Path) -> None:
    """Refuse a study with links in it: what is deleted or written there would be elsewhere."""
    inside = [folder / name for name in FILES]
    for place in (*(folder / name for name in FOLDERS), *folder.glob(SHORTER)):
        inside.append(place)
        for root, folders, files in os.walk(place):
            inside += [Path(root, name) for name in (*folders, *files)]
    for path in inside:
        refuse_link(path)


def refuse_link(path: Path) -> None:
    """Raise `StudyError` if a path of a study is a link."""
    if path.is_symlink():
        raise StudyError(
            f"a study's folder must hold no links, but {path} is one: put the file or folder "
            "itself there"
        )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise `StudyError` where the system refuses to write: no room, no right, no such disk."""
    was_there = folder.is_dir()
    try:
        yield
    except filelock.Timeout:
        raise
    except (OSError, SafetensorError) as error:
        gone = was_there or isinstance(error, FileNotFoundError)  # also before this write
        if gone and not folder.exists():
            raise StudyError(
                f"the study's folder must stay while it is written to, but {folder} was moved or "
                "deleted. Nothing more was written. If it is back, the same call continues"
            ) from error
        raise StudyError(
            f"the study's folder must be writable and have room, but {folder} is "
            f"not: {error}. Nothing that was committed is lost: the same call "
            "continues once it is"
        ) from error


def _text(path: Path) -> str | None:
    try:
        return read_regular(path).decode().strip()
    except (OSError, UnicodeDecodeError):
        return None


# Whole files ------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Replace a file at once: readers see the old text or the new one, never a part."""
    write_file(path, text.encode())
    sync_names(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """The same for bytes, without syncing the name. A link is replaced, not followed."""
    with _replacing(path) as part:
        part.write_bytes(content)


def sync_names(folder: Path) -> None:
    """See to it that a power cut does not bring back the names that a folder had before."""
    with contextlib.suppress(OSError):  # not every system lets a folder be synced
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # it may have another name elsewhere
    yield part
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def save_state(path: Path, state: State, metadata: dict[str, str] | None = None) -> None:
    """Write a state or weights at once, its content synced.

    Its name is not (`sync_names` does that): a power cut may bring back the folder without it,
    and one epoch runs again.
    """
    from safetensors.torch import save_file  # here, since it loads torch

    with _replacing(path) as part:
        save_file(state, part, metadata)


def load_state(path: Path) -> State | None:
    """A state as written; None where there is none, or it is damaged."""
    from safetensors.torch import load  # here, since it loads torch

    try:
        return load(read_regular(path))  # by its bytes: the name of a folder may be no UTF-8
    except (OSError, SafetensorError):
        return None
