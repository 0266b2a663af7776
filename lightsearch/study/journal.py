"""The study on disk: Optuna's journal, written by this process alone, and the trials' states.

The order of commitment makes every moment safe to die at. A trial exists once its candidate is in
the journal; an epoch has happened once its result is in the journal, which is after its state was
written and synced (the state before is kept until then). Whatever is half done is done again, and
gives the same numbers.

Many slots may be done at once, and a sync takes milliseconds. So states and weights are written by
threads as epochs come in (`files`), and lines are written one by one but synced together, by such
a thread while others come in (`Study.sync`).
"""

from __future__ import annotations

import bisect
import contextlib
import copy
import functools
import io
import json
import os
import time
from collections.abc import Container, Generator, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from lightsearch.errors import StudyError
from lightsearch.records import (
    OUTCOMES,
    Candidate,
    Trial,
    candidate_from,
    epoch_from,
    to_json,
)
from lightsearch.study.files import Files, is_best
from lightsearch.study.folder import Identity, check_identity, cut_torn_line, locked, writing
from lightsearch.study.proposals import categorical
from lightsearch.study.quiet import quiet
from lightsearch.training import EpochResult, State

NAME = "lightsearch"
_CANDIDATE = "candidate"
_EPOCH = "epoch-"
_OUTCOME = "outcome"
JUDGED = 1000  # the latest trials that the pruner sees
UNSYNCED = 0.1  # seconds that a line of the journal may wait for others to be synced with


class Study:
    """An open study: its trials in memory, and every change committed to the journal.

    Open it with `Study.open`, which holds the folder's lock meanwhile.
    """

    def __init__(self, folder: Path, pruner: optuna.pruners.BasePruner,
                 journal: _Journal) -> None:
        self.folder = folder
        self._files = Files(folder)
        self._journal = journal
        self._storage = _Storage(journal)
        self._optuna = _opened(self._storage, pruner)
        self._sure = True  # that `trials` are as the journal has them
        self._syncing: Future[None] | None = None
        self._synced = time.monotonic()
        self.trials: list[Trial] = []
        self._live: dict[int, optuna.Trial] = {}
        self._over: list[FrozenTrial] = []  # by number
        for frozen in self._optuna.get_trials(deepcopy=False):
            self._restore(frozen)
        self._judged = _Judged(self._over[-JUDGED:])
        self._files.take_up(self.trials)

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path, identity: Identity,
             pruner: optuna.pruners.BasePruner) -> Iterator[Study]:
        """The study of a folder, new or continued, locked until the block ends.

        Raises `StudyError` where the folder is in use, not writable, or holds another question.
        """
        with locked(folder), contextlib.ExitStack() as opened:
            check_identity(folder, identity)
            folder = folder.resolve()  # Optuna's lock spins for ever on some relative paths
            with _readable(folder), writing(folder):
                journal = opened.enter_context(contextlib.closing(_Journal(folder)))
                study = cls(folder, pruner, journal)
            try:
                yield study
            finally:
                study.close()

    # Reading back --------------------------------------------------------------------------

    def _restore(self, frozen: FrozenTrial) -> None:
        if _CANDIDATE not in frozen.user_attrs:  # died while it was being written
            with quiet():
                if frozen.state == TrialState.WAITING:
                    self._optuna.ask()  # takes this one
                if not frozen.state.is_finished():
                    self._optuna.tell(frozen.number, state=TrialState.FAIL)
            return
        trial = read_trial(frozen)
        assert trial.number == len(self.trials)
        self.trials.append(trial)
        if frozen.state.is_finished():
            self._over.append(frozen)
        else:
            live = self._live[trial.number] = optuna.Trial(self._optuna, frozen._trial_id)
            if trial.epochs and trial.epochs[-1].epoch not in frozen.intermediate_values:
                live.report(trial.epochs[-1].accuracy, trial.epochs[-1].epoch)

    # Committing ----------------------------------------------------------------------------

    def begin(self, candidate: Candidate) -> Trial:
        """Commit a new trial."""
        kinds: dict[str, BaseDistribution] = {
            path: categorical(count) for path, count in candidate.options.items()}
        with quiet(), writing(self.folder):
            # one line of the journal: ask and suggest would write and sync one each
            id_ = self._storage.create_new_trial(self._optuna._study_id, FrozenTrial(
                number=-1, trial_id=-1, state=TrialState.RUNNING, value=None, values=None,
                datetime_start=datetime.now(), datetime_complete=None,
                params={path: candidate.decisions[path] for path in kinds}, distributions=kinds,
                user_attrs={"design": candidate.design, _CANDIDATE: to_json(candidate)},
                system_attrs={}, intermediate_values={}))
            live = optuna.Trial(self._optuna, id_)
        trial = Trial(candidate)
        assert trial.number == len(self.trials)
        self.trials.append(trial)
        self._live[trial.number] = live
        return trial

    def written(self, number: int,
                epoch: Future[tuple[State, EpochResult]]) -> Future[tuple[State, EpochResult]]:
        """A trial's next epoch, done once its state is on disk too, and its weights if best."""
        return self._files.written(self.trials[number], epoch)

    def commit(self, number: int, result: EpochResult) -> Trial:
        """Commit an epoch that is `written`; weights that are the best get their name soon after.
        It holds after a power cut once `sync` was called, too."""
        before, live = self.trials[number], self._live[number]
        self._sure = False  # an error or a second Ctrl-C may come after the line
        with writing(self.folder), self._journal.together():
            live.set_user_attr(f"{_EPOCH}{result.epoch:04d}", to_json(result))
            live.report(result.accuracy, result.epoch)
        if is_best(before, result):
            self._files.name_best(number, result.epoch)
        if result.epoch > 2:
            self._files.drop([self._files.state_path(number, result.epoch - 2)])
        trial = self.trials[number] = Trial(before.candidate, (*before.epochs, result))
        self._sure = True
        return trial

    def sync(self, *, at_once: bool = True) -> None:
        """See to it that all that is committed survives a power cut; by and by, if not at once.

        Raises `StudyError` where the disk does not take it, or has not taken it the last time.
        """
        if not at_once and (time.monotonic() < self._synced + UNSYNCED
                            or (self._syncing is not None and not self._syncing.done())):
            return
        earlier, self._syncing = self._syncing, None
        if earlier is not None:
            earlier.result()
        self._synced = time.monotonic()
        now = self._files.syncing(self._journal.sync)
        if at_once:
            now()
        else:
            self._syncing = self._files.later(now)

    def close(self) -> None:
        """Sync, and wait for what is being written."""
        try:
            self._files.all_named()
            self.sync()
        finally:
            self._files.close(self.trials if self._sure else None)

    def should_prune(self, number: int) -> bool:
        """What the pruner says after the latest epoch of a trial."""
        with self._storage.only(self._judged,
                                [live._trial_id for live in self._live.values()]):
            return self._live[number].should_prune()

    def end(self, number: int, outcome: Any, reason: str = "") -> Trial:
        """Commit the end of a trial; what is told to Optuna is the last epoch's accuracy."""
        before = self.trials[number]
        self._files.named(number)
        live = self._live.pop(number)
        state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        with quiet(), writing(self.folder), self._journal.together():
            live.set_user_attr(_OUTCOME, [outcome, reason])
            if outcome == "complete":
                self._optuna.tell(live, before.epochs[-1].accuracy)
            else:
                self._optuna.tell(live, state=state.get(outcome, TrialState.FAIL))
        frozen = self._storage.get_trial(live._trial_id)
        bisect.insort(self._over, frozen, key=lambda trial: trial.number)
        self._judged = _Judged(self._over[-JUDGED:])
        self._files.drop(self.folder.glob(f"states/trial-{number:05d}-*"))
        trial = self.trials[number] = Trial(before.candidate, before.epochs, outcome, reason)
        return trial

    # States --------------------------------------------------------------------------------

    def state(self, number: int) -> tuple[State | None, int]:
        """The state to go on from, and how many epochs it has behind it.

        Where the last one is damaged it is the one before; the epochs after it run again.
        """
        return self._files.state(number, len(self.trials[number].epochs))


class _Journal(JournalFileBackend):
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


class _Judged:
    """Trials that are over, by number. Every epoch asks for those in some states."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        self._trials = trials
        self._known: dict[tuple[TrialState, ...], list[FrozenTrial]] = {}

    def of(self, states: Container[TrialState]) -> list[FrozenTrial]:
        wanted = tuple(state for state in TrialState if state in states)
        if wanted not in self._known:
            self._known[wanted] = [trial for trial in self._trials if trial.state in wanted]
        return self._known[wanted].copy()


class _Storage(JournalStorage):
    """Optuna's, which can show some trials only: to list all of them takes longer with each."""

    _shown: tuple[_Judged, Sequence[int]] | None = None

    @contextlib.contextmanager
    def only(self, over: _Judged, running: Sequence[int]) -> Iterator[None]:
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


def _opened(storage: JournalStorage, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """Optuna's study in a journal, made where there is none yet."""
    sampler = optuna.samplers.RandomSampler(seed=0)  # never asked: trials are enqueued
    with quiet():
        if any(s.study_name == NAME for s in storage.get_all_studies()):
            return optuna.load_study(study_name=NAME, storage=storage, pruner=pruner,
                                     sampler=sampler)
        return optuna.create_study(study_name=NAME, direction="maximize", storage=storage,
                                   pruner=pruner, sampler=sampler)


def read_trial(frozen: FrozenTrial) -> Trial:
    """A trial from its record in the journal."""
    attributes = frozen.user_attrs
    epochs = tuple(epoch_from(attributes[k]) for k in sorted(attributes) if k.startswith(_EPOCH))
    outcome, reason = attributes.get(_OUTCOME, ["running", ""])
    if not frozen.state.is_finished():
        outcome, reason = "running", ""  # died before it was told: it is decided again
    if outcome not in OUTCOMES or not isinstance(reason, str):
        raise ValueError(f"{outcome!r} with the reason {reason!r} is no outcome")
    return Trial(candidate_from(attributes[_CANDIDATE]), epochs, outcome, reason)


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a study, without its lock and without changing it.

    Raises `StudyError` where there is no study or its journal cannot be read.
    """
    journal = folder.resolve() / "journal.log"
    if not journal.exists():
        raise StudyError(f"a study's folder must have a journal.log, but {folder} has none: "
                         "bring the file back, or give another `study` folder")
    with quiet(), _readable(folder):
        storage = _storage(journal)
        if not storage.get_all_studies():  # it died, or is, before its first line
            return []
        found = optuna.load_study(study_name=NAME, storage=storage).get_trials(deepcopy=False)
        return [read_trial(t) for t in found if _CANDIDATE in t.user_attrs]


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Raise `StudyError` for whatever is raised on a damaged journal: Optuna has many kinds."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(f"the journal in {folder} must be readable, but it is damaged: "
                         f"{error!r:.300}. Bring the file back, or give another `study` folder; "
                         "leaderboard.csv there still has the rows") from error
