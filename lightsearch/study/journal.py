"""The journal on disk: Optuna's, written by one process, read by any, also by plain Optuna."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial

from lightsearch.errors import StudyError, WorkerError, escape_controls
from lightsearch.study.log import Lines, Log
from lightsearch.study.trial import OUTCOMES, Trial, candidate_from, epoch_from

NAME = "lightsearch"  # of a study whose folder has none, and of those of earlier versions
FILE = "journal.log"
CANDIDATE = "candidate"
EPOCH = "epoch-"
OUTCOME = "outcome"
REMEDY = (
    "Bring the file back, or give another `study` folder; leaderboard.csv there still has the rows"
)


class ReadOnlyJournal(BaseJournalBackend):
    """A journal file for Optuna's storage to read."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        if log_number_from != self._lines.values:
            self._lines.rewind()
        return islice(self._lines.read(), log_number_from - self._lines.values, None)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise NotImplementedError("this journal is read only")


class ResultsJournal(ReadOnlyJournal):
    """A journal file without what the sampler chose, which takes Optuna longest to read.

    Tables do not need it. They show the design and the epochs, which are attributes of their own.
    """

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        for log in super().read_logs(log_number_from):
            yield {k: v for k, v in log.items() if k not in ("distributions", "params")}


class Journal(ReadOnlyJournal):
    """The journal of a study that this process holds.

    Lines are written at once, but synced when it is asked for. Optuna's lock keeps them apart from
    the lines of others.
    """

    def __init__(self, folder: Path, check_held: Callable[[], None] = lambda: None) -> None:
        for stale in folder.glob(f"{FILE}.lock*"):  # what a kill left: the study is ours
            stale.unlink()
        self._log = Log(folder / FILE, REMEDY, check_held)
        super().__init__(self._log)
        self._lock = JournalFileOpenLock(str(folder / FILE))
        self._waiting: list[dict[str, Any]] | None = None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._waiting is not None:
            self._waiting += logs
            return
        self._lock.acquire()
        try:
            self._log.append(logs)
        finally:
            self._lock.release()

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
        """Return when all lines survive a power cut."""
        self._log.sync()

    def close(self) -> None:
        self._log.close()


def read_trial(frozen: FrozenTrial) -> Trial:
    """A trial from its record in the journal."""
    attributes = frozen.user_attrs
    epochs = tuple(epoch_from(attributes[k]) for k in sorted(attributes) if k.startswith(EPOCH))
    outcome, reason = attributes.get(OUTCOME, ["running", ""])
    if not frozen.state.is_finished():
        outcome, reason = "running", ""  # died before it was told: it is decided again
    if frozen.state.is_finished() and outcome == "running":
        raise ValueError(f"trial {frozen.number} is over, but has no outcome")
    if outcome not in OUTCOMES or not isinstance(reason, str):
        raise ValueError(f"{outcome!r} with the reason {reason!r} is no outcome")
    return Trial(candidate_from(attributes[CANDIDATE]), epochs, outcome, escape_controls(reason))


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a study, without its lock and without changing it.

    Raises `StudyError` if there is no study or its journal cannot be read.
    """
    journal = folder.resolve() / FILE
    if not journal.exists():
        raise StudyError(
            f"a study's folder must have a {FILE}, but {folder} has none: "
            "bring the file back, or give another `study` folder"
        )
    with readable(folder):
        storage = JournalStorage(ResultsJournal(Lines(journal, REMEDY)))
        study = find_study(storage)
        if study is None:  # it died, or is, before its first line
            return []
        found = storage.get_all_trials(study, deepcopy=False)
        return [read_trial(trial) for trial in found if CANDIDATE in trial.user_attrs]


def find_study(storage: JournalStorage) -> int | None:
    """Return Optuna's id of the journal's study, whatever its name; None if there is none yet."""
    studies = storage.get_all_studies()
    return storage.get_study_id_from_name(studies[0].study_name) if studies else None


@contextlib.contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Raise `StudyError` for whatever is raised on a damaged journal: Optuna has many kinds."""
    try:
        yield
    except (StudyError, WorkerError):
        raise
    except Exception as error:
        raise StudyError(
            f"the journal in {folder} must be readable, but it is damaged: "
            f"{error!r:.300}. {REMEDY}"
        ) from error
