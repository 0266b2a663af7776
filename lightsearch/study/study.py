"""The study on disk: Optuna's journal, written by this process alone, and the trials' states.

The order of commitment makes every moment safe to die at. A trial exists once its candidate is in
the journal; an epoch has happened once its result is in the journal, which is after its state was
written and synced (the state before is kept until then). Whatever is half done is done again, and
gives the same numbers.

Many slots may be done at once, and a sync takes milliseconds. So states and weights are written by
threads as epochs come in (`states`), and lines are written one by one but synced together, by such
a thread while others come in (`Study.sync`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna

from lightsearch.engines.engine import State
from lightsearch.errors import StudyError, escape_controls
from lightsearch.study.disk import lock, writing
from lightsearch.study.identity import Identity, check_identity
from lightsearch.study.journal import FILE, NAME, Journal, readable
from lightsearch.study.record import Record
from lightsearch.study.states import Files, count_trials, is_best
from lightsearch.study.trial import Candidate, Trial
from lightsearch.training.epoch_result import EpochResult

UNSYNCED = 0.1  # seconds that a line of the journal may wait for others to be synced with


class Study:
    """An open study: its trials in memory, and every change committed to the journal.

    Open it with `Study.open`, which holds the folder's lock meanwhile.
    """

    def __init__(self, folder: Path, pruner: optuna.pruners.BasePruner, journal: Journal) -> None:
        self.folder = folder
        self._files = Files(folder)
        self._journal = journal
        self._record = Record(journal, pruner, escape_controls(folder.name) or NAME)
        self._sure = True  # that `trials` are as the journal has them
        self._syncing: Future[None] | None = None
        self._synced = time.monotonic()
        self.trials = self._record.read()
        _check_whole(folder, len(self.trials))
        self._files.recover(self.trials)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        folder: Path,
        identity: Identity,
        pruner: optuna.pruners.BasePruner,
        kept: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[Study]:
        """The study of a folder, new or continued, locked until the block ends.

        `kept` are files that a new one begins with.

        Raises `StudyError` where the folder is in use, not writable, or holds another question.
        """
        with lock(folder) as check_held, contextlib.ExitStack() as opened:
            check_identity(folder, identity, kept)
            folder = folder.resolve()  # Optuna's lock spins for ever on some relative paths
            file = folder / FILE
            if not file.exists() or not file.stat().st_size:
                _check_whole(folder, 0)
            with readable(folder), writing(folder):
                journal = opened.enter_context(contextlib.closing(Journal(folder, check_held)))
                study = cls(folder, pruner, journal)
            try:
                yield study
            finally:
                study.close()

    # Committing ----------------------------------------------------------------------------

    def begin(
        self, candidate: Candidate, options: Mapping[str, tuple[Any, ...]] = MappingProxyType({})
    ) -> Trial:
        """Commit a new trial. Optuna's tools show the `options` of its decisions, if given."""
        assert candidate.number == len(self.trials)
        with writing(self.folder):
            self._record.begin(candidate, options)
        trial = Trial(candidate)
        self.trials.append(trial)
        if len(self.trials).bit_count() == 1:  # a power cut costs less than half of the trials
            with writing(self.folder):
                self._journal.sync()
        return trial

    def save_when_done(
        self, number: int, epoch: Future[tuple[State, EpochResult]]
    ) -> Future[tuple[State, EpochResult]]:
        """A trial's next epoch, done once its state is on disk too, and its weights if best."""
        return self._files.save_when_done(self.trials[number], epoch)

    def commit(self, number: int, result: EpochResult) -> Trial:
        """Commit an epoch that is `written`; weights that are the best get their name soon after.
        It holds after a power cut once `sync` was called, too."""
        before = self.trials[number]
        self._sure = False  # an error or a second Ctrl-C may come after the line
        with writing(self.folder):
            self._record.add_epoch(number, result)
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
        if not at_once and (
            time.monotonic() < self._synced + UNSYNCED
            or (self._syncing is not None and not self._syncing.done())
        ):
            return
        earlier, self._syncing = self._syncing, None
        if earlier is not None:
            earlier.result()
        self._synced = time.monotonic()
        now = self._files.prepare_sync(self._journal.sync)
        if at_once:
            now()
        else:
            self._syncing = self._files.later(now)

    def close(self) -> None:
        """Sync, and wait for what is being written."""
        try:
            self._files.wait_for_all_names()
            self.sync()
        finally:
            self._files.close(self.trials if self._sure else None)

    def should_prune(self, number: int) -> bool:
        """What the pruner says after the latest epoch of a trial."""
        return self._record.should_prune(number)

    def end(self, number: int, outcome: Any, reason: str = "") -> Trial:
        """Commit the end of a trial."""
        before = self.trials[number]
        self._files.wait_for_name(number)
        with writing(self.folder):
            self._record.end(before, outcome, reason)
        epochs = range(1, len(before.epochs) + 2)  # a kill may have left any of them
        self._files.drop(self._files.state_path(number, epoch) for epoch in epochs)
        trial = self.trials[number] = Trial(before.candidate, before.epochs, outcome, reason)
        return trial

    # States --------------------------------------------------------------------------------

    def state(self, number: int) -> tuple[State | None, int]:
        """The state to go on from, and how many epochs it has behind it.

        Where the last one is damaged it is the one before; the epochs after it run again.
        """
        return self._files.state(number, len(self.trials[number].epochs))


def _check_whole(folder: Path, trials: int) -> None:
    """Raise `StudyError` if the journal has lost most trials: to begin again would cost the rest.

    A power cut costs it less than half of those that have left weights (`Study.begin`).
    """
    known = count_trials(folder)
    if 2 * trials < known:
        raise StudyError(
            f"{folder / FILE} must have the study's trials, but it has {trials}, and weights and "
            f"leaderboard.csv there are of {known} or more: bring the file back, or give another "
            "`study` folder"
        )
