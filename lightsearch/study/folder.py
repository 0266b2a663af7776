"""The folder of a study: its lock, its identity, and files that are whole or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import filelock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lightsearch.errors import StudyError
from lightsearch.records import typed
from lightsearch.training import State

FORMAT = 1  # of the folder; a reader refuses a newer one


@dataclass(frozen=True, slots=True)
class Identity:
    """The question that a study answers. Going on with it needs the same in every field."""

    budget: dict[str, int | None]
    epochs: int
    target: str
    space: str
    recipe: str
    dataset: str
    checksum: str
    sampler: str
    pruner: str
    workers: int
    seed: int
    device: str
    engine: str = "torch"
    selected_on: str = "test"
    repeatable: bool = True
    format: int = FORMAT
    precision: str = "float32"

    def digest(self) -> str:
        """Six hexadecimal digits that tell questions apart. Workers and engine are left out: a
        study goes on with those it was started with, unless told otherwise."""
        fields = {k: v for k, v in dataclasses.asdict(self).items()
                  if k not in ("workers", "engine", "repeatable")
                  and (k, v) != ("precision", "float32")}
        text = json.dumps(fields, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:6]


def default_folder(identity: Identity) -> Path:
    """Where a study goes unless told otherwise: under the working directory, by its question."""
    caps = "-".join(f"{name[0]}{cap}" for name, cap in identity.budget.items() if cap)
    name = f"{identity.dataset}-{caps}-e{identity.epochs}-{identity.digest()}"
    return Path("lightsearch-studies") / name


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the study for this process alone; the lock of a dead process is free.

    Raises `StudyError` naming the process that holds it, or that the folder cannot be written.
    """
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder / "lock", timeout=0)
            lock.acquire()
    except filelock.Timeout:
        holder = _text(folder / "holder") or "another process"
        raise StudyError(f"a study must be run by one process at a time, but {folder} is held by "
                         f"{holder}. Wait for it or stop it; `lightsearch leaderboard` reads it "
                         "meanwhile") from None
    try:
        with writing(folder):
            write_text(folder / "holder", f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        (folder / "holder").unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise `StudyError` where the system refuses to write: no room, no right, no such disk."""
    try:
        yield
    except filelock.Timeout:
        raise
    except (OSError, SafetensorError) as error:
        raise StudyError(f"the study's folder must be writable and have room, but {folder} is "
                         f"not: {error}. Nothing that was committed is lost: the same call "
                         "continues once it is") from error


def check_identity(folder: Path, identity: Identity) -> None:
    """Write the identity of a new study, or compare it with the one found.

    Raises `StudyError` naming every difference.
    """
    known = read_identity(folder)
    if known is None:
        text = json.dumps(dataclasses.asdict(identity), indent=1)
        with writing(folder):
            write_text(folder / "study.json", text + "\n")
        return
    asked, found = dataclasses.asdict(identity), dataclasses.asdict(known)
    differences = [f"{name}={found[name]!r} there, {asked[name]!r} asked for"
                   for name in asked if asked[name] != found[name]]
    if differences:
        raise StudyError(f"a study must be continued with the question it was started with, but "
                         f"in {folder} it is: {'; '.join(differences)}. Give another `study` "
                         "folder to ask anew")


def read_identity(folder: Path) -> Identity | None:
    """The identity of the study in a folder; None where there is no study yet."""
    try:
        text = (folder / "study.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if (folder / "journal.log").exists():
            raise StudyError(f"a study must have its study.json, but {folder} has only a "
                             "journal: bring the file back, or give another `study` folder"
                             ) from None
        return None
    except OSError as error:
        raise StudyError(f"the study in {folder} must be readable, but: {error}. Mend its rights, "
                         "or give another `study` folder") from None
    try:
        data = json.loads(text)
        if data.get("format", 0) > FORMAT:
            raise StudyError(f"the study in {folder} was written by a newer lightsearch (format "
                             f"{data['format']}, this one reads up to {FORMAT}): update this one")
        identity = typed(Identity(**data))
        Fraction(identity.target)
        return identity
    except (ValueError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise StudyError(f"{folder / 'study.json'} must hold a study's identity, but it does not: "
                         f"{error}. Bring the file back, or give another `study` folder"
                         ) from None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


# Whole files ------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Replace a file at once: readers see the old text or the new one, never a part."""
    with _replacing(path) as part:
        part.write_text(text)
    sync_names(path.parent)


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
    yield part
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def save_state(path: Path, state: State, metadata: dict[str, str] | None = None) -> None:
    """Write a state or weights at once, its content synced.

    Its name is not (`sync_names` does that): a power cut may bring back the folder without it,
    and one epoch runs again.
    """
    with _replacing(path) as part:
        save_file(state, part, metadata)


def load_state(path: Path) -> State | None:
    """A state as written; None where there is none, or it is damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return None


def cut_torn_line(journal: Path) -> None:
    """Cut a journal back to its last newline: a power cut may have torn the last line, and the
    next write would then run on into it."""
    try:
        data = journal.read_bytes()
    except FileNotFoundError:
        return
    end = data.rfind(b"\n") + 1
    if end != len(data):
        with journal.open("r+b") as file:
            file.truncate(end)
            file.flush()
            os.fsync(file.fileno())


def plain(value: Any) -> str:
    """How an argument that may be a user's own object is written into an identity."""
    return value if isinstance(value, str) else type(value).__name__
