"""The journal on disk: Optuna's, written by one process, read by any, also by plain Optuna."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import os
from collections.abc import Container, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from lightsearch.errors import StudyError
from lightsearch.study.disk import cut_torn_line
from lightsearch.study.optuna_tools import quiet
from lightsearch.study.trial import OUTCOMES, Trial, candidate_from, epoch_from

NAME = "lightsearch"
CANDIDATE = "candidate"
EPOCH = "epoch-"
OUTCOME = "outcome"


class Journal(JournalFileBackend):
    """Optuna's journal file, whose lines are written at once but synced when told to be.

    Its own lines are not read from the file again, unless somebody else has written there too (a
    dashboard's notes).
    """

    def __init__(self, folder: Path) -> None:
        path = self._path = folder / "journal.log"
        cut_torn_line(path)
        for stale in folder.glob("journal.log.lock*"):  # what a kill left: the study is ours
            stale.unlink()
        self._owner = JournalFileOpenLock(str(path))
        self._waiting: list[dict[str, Any]] | None = None
        self._fresh: list[str] = []  # lines that were written and not read
        self._next = -1  # the number of the first one; -1: the file knows
        self._size = 0  # bytes of the file, as far as it is known
        super().__init__(str(path), lock_obj=self._owner)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        fresh, self._fresh = self._fresh, []
        known, self._next = self._next == log_number_from, -1  # until all are taken
        count = 0
        for log in map(json.loads, fresh) if known else super().read_logs(log_number_from):
            yield log
            count += 1
        self._next = log_number_from + count

    @functools.cached_property
    def _file(self) -> io.FileIO:
        return open(self._path, "ab", buffering=0, opener=_not_standard)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._waiting is not None:
            self._waiting += logs
            return
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        self._owner.acquire()
        try:
            if self._file.seek(0, os.SEEK_END) != self._size:
                self._next = -1
            left = memoryview("".join(lines).encode())
            while left:  # on a full disk a part is written before the error
                left = left[self._file.write(left):]
            self._size = self._file.tell()
        finally:
            self._owner.release()
        self._fresh += lines

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Lines that are written by one call of the system, so that a kill leaves all or none."""
        self._waiting = []
        try:
            yield
            logs, self._waiting = self._waiting, None
            self.append_logs(logs)
        finally:
            self._waiting = None

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()


def _not_standard(path: str, flags: int) -> int:
    """A descriptor that is no standard stream's, also where the program has none: what is printed
    would be lines of the journal."""
    found, low = os.open(path, flags, 0o666), []
    while found < 3:
        low.append(found)
        found = os.dup(found)
    for descriptor in low:
        os.close(descriptor)
    return found


class Judged:
    """Trials that are over, by number. Every epoch asks for those in some states."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        self._trials = trials
        self._known: dict[tuple[TrialState, ...], list[FrozenTrial]] = {}

    def of(self, states: Container[TrialState]) -> list[FrozenTrial]:
        wanted = tuple(state for state in TrialState if state in states)
        if wanted not in self._known:
            self._known[wanted] = [trial for trial in self._trials if trial.state in wanted]
        return self._known[wanted].copy()


class Storage(JournalStorage):
    """Optuna's, which can show some trials only: to list all of them takes longer with each."""

    _shown: tuple[Judged, Sequence[int]] | None = None

    @contextlib.contextmanager
    def only(self, over: Judged, running: Sequence[int]) -> Iterator[None]:
        """Show trials that are over, those that run, by id, and no others."""
        self._shown = over, running
        try:
            yield
        finally:
            self._shown = None

    def get_all_trials(self, study_id: int, deepcopy: bool = True,
                       states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        over, running = self._shown
        found = over.of(tuple(TrialState) if states is None else states)
        if states is None or TrialState.RUNNING in states:
            found += [self.get_trial(id_) for id_ in running]
            found.sort(key=lambda trial: trial.number)
        return copy.deepcopy(found) if deepcopy else found


def _storage(journal: Path) -> JournalStorage:
    lock = JournalFileOpenLock(str(journal))
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))


def read_trial(frozen: FrozenTrial) -> Trial:
    """A trial from its record in the journal."""
    attributes = frozen.user_attrs
    epochs = tuple(epoch_from(attributes[k]) for k in sorted(attributes) if k.startswith(EPOCH))
    outcome, reason = attributes.get(OUTCOME, ["running", ""])
    if not frozen.state.is_finished():
        outcome, reason = "running", ""  # died before it was told: it is decided again
    if outcome not in OUTCOMES or not isinstance(reason, str):
        raise ValueError(f"{outcome!r} with the reason {reason!r} is no outcome")
    return Trial(candidate_from(attributes[CANDIDATE]), epochs, outcome, reason)


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a study, without its lock and without changing it.

    Raises `StudyError` where there is no study or its journal cannot be read.
    """
    journal = folder.resolve() / "journal.log"
    if not journal.exists():
        raise StudyError(f"a study's folder must have a journal.log, but {folder} has none: "
                         "bring the file back, or give another `study` folder")
    with quiet(), readable(folder):
        storage = _storage(journal)
        if not storage.get_all_studies():  # it died, or is, before its first line
            return []
        found = optuna.load_study(study_name=NAME, storage=storage).get_trials(deepcopy=False)
        return [read_trial(t) for t in found if CANDIDATE in t.user_attrs]


@contextlib.contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Raise `StudyError` for whatever is raised on a damaged journal: Optuna has many kinds."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(f"the journal in {folder} must be readable, but it is damaged: "
                         f"{error!r:.300}. Bring the file back, or give another `study` folder; "
                         "leaderboard.csv there still has the rows") from error
