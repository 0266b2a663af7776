"""The states and weights of a study's trials, written by threads of their own.

Many slots may be done at once, and the disk takes milliseconds for each file, so nothing here
makes the search wait that need not. Weights that are the best so far lie beside, staged, until
their epoch is committed. Then they get their name, or get it when the study is opened next.
"""

from __future__ import annotations

import contextlib
import csv
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from lightsearch.checks import read_regular
from lightsearch.engines.engine import State
from lightsearch.errors import WorkerError, explain_refusal
from lightsearch.study.disk import load_state, refuse_link, save_state, sync_names, writing
from lightsearch.study.trial import Trial
from lightsearch.training.epoch import take_evaluated
from lightsearch.training.epoch_result import EpochResult

T = TypeVar("T")

PLACES = ("states", "weights")
WRITERS = 16  # threads: the system syncs several files in the time of one
_STATE = re.compile(r"trial-\d+-epoch-\d+\.safetensors")
_WEIGHTS = re.compile(r"trial-\d{5,9}\.safetensors")
_STAGED = re.compile(r"trial-(\d+)-epoch-(\d+)\.part")
_HALF = re.compile(  # of files that are replaced at once: our own, and safetensors' .tmp*
    r"(study\.json|warm_start\.json|leaderboard\.csv|holder|data\.safetensors\.\d+|"
    r"trial-\d+[\w.-]*)\.part|\.tmp\w+"
)


class _Threads(ThreadPoolExecutor):
    """Threads of which one starts at once, so that a later call has one to run in.

    Raises `WorkerError` if it cannot start. A call that gets no further thread is in the queue
    nevertheless.
    """

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        try:
            super().submit(int).result()
        except RuntimeError as error:
            raise WorkerError(explain_refusal(error)) from error

    def submit(self, function: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        """Run a call in one of the threads."""
        done: Future[T] = Future()
        try:
            super().submit(_into, done, lambda: done.set_result(function(*args, **named)))
        except RuntimeError as error:
            if "start new thread" not in str(error):
                raise
        return done


class Files:
    """Of one study, which this process alone has open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in PLACES:
            (folder / name).mkdir(exist_ok=True)
        self._threads = _Threads(WRITERS, "lightsearch-files")
        self._names = _Threads(1, "lightsearch-names")  # one: they come in their order
        self._obsolete: list[Path] = []  # not needed any more once the journal is synced
        self._naming: dict[int, Future[None]] = {}  # of the latest best weights, by trial
        self._unsynced = threading.Event()  # a name in weights/ is not synced yet

    def state_path(self, number: int, epoch: int) -> Path:
        """Where the state after an epoch of a trial is."""
        return self.folder / "states" / f"trial-{number:05d}-epoch-{epoch:04d}.safetensors"

    def weights_path(self, number: int) -> Path:
        """Where the weights of a trial's best epoch are (averaged, where the recipe averages)."""
        return self.folder / "weights" / f"trial-{number:05d}.safetensors"

    def _staged(self, number: int, epoch: int) -> Path:
        """Where the weights of an epoch are until it is committed, if it is the best so far."""
        return self.folder / "weights" / f"trial-{number:05d}-epoch-{epoch:04d}.part"

    def recover(self, trials: Sequence[Trial]) -> None:
        """Do what was left by a kill: names that weights have earned, files that no one needs.

        Only files whose names are ours are deleted: the folder may have been somebody's before.
        """
        self._settle(trials)
        running = {f"trial-{t.number:05d}" for t in trials if t.outcome == "running"}
        for place in (self.folder, self.folder / "states", self.folder / "weights"):
            for path in place.iterdir():
                if _HALF.fullmatch(path.name):
                    path.unlink()
        for path in self.folder.glob("states/*"):  # left where a trial's end was the last moment
            if _STATE.fullmatch(path.name) and path.name.partition("-epoch-")[0] not in running:
                path.unlink()

    def _settle(self, trials: Sequence[Trial]) -> None:
        """Name the weights of committed epochs that are their trial's best; delete the others."""
        for path in self.folder.glob("weights/*.part"):
            found = _STAGED.fullmatch(path.name)
            if found is None:  # somebody else's
                continue
            number, epoch = (int(part) for part in found.groups())
            best = trials[number].best if 0 <= number < len(trials) else None
            if best is not None and best.epoch == epoch:
                path.replace(self.weights_path(number))
            else:
                path.unlink()

    def save_when_done(
        self, before: Trial, epoch: Future[tuple[State, EpochResult]]
    ) -> Future[tuple[State, EpochResult]]:
        """The next epoch of a trial, done once its state is on disk too, and its weights if
        best."""
        done: Future[tuple[State, EpochResult]] = Future()

        def write() -> None:
            state, result = epoch.result()
            with writing(self.folder):
                for name in PLACES:  # what is put there in mid-search must not lead elsewhere
                    refuse_link(self.folder / name)
                save_state(self.state_path(before.number, result.epoch), state)
                if is_best(before, result):
                    save_state(self._staged(before.number, result.epoch), take_evaluated(state))
            done.set_result((state, result))

        def handed(epoch: Future[tuple[State, EpochResult]]) -> None:
            if epoch.exception() is None:
                self._threads.submit(_into, done, write)
            else:
                done.set_exception(epoch.exception())

        epoch.add_done_callback(handed)
        return done

    def name_best(self, number: int, epoch: int) -> None:
        """Give the weights of a committed epoch the name of the trial's best ones, soon."""

        def name() -> None:
            with writing(self.folder):
                self._staged(number, epoch).replace(self.weights_path(number))
            self._unsynced.set()

        self._unsynced.set()  # for the staged one's, meanwhile
        self._naming[number] = self._names.submit(name)

    def wait_for_name(self, number: int) -> None:
        """Wait until a trial's best weights have their name."""
        naming = self._naming.pop(number, None)
        if naming is not None:
            naming.result()

    def wait_for_all_names(self) -> None:
        """Wait until all best weights have their names."""
        for number in list(self._naming):
            self.wait_for_name(number)

    def state(self, number: int, epochs: int) -> tuple[State | None, int]:
        """The latest whole state of a trial that has so many epochs, and its epoch, or 0."""
        for epoch in range(epochs, 0, -1):
            found = load_state(self.state_path(number, epoch))
            if found is not None:
                return found, epoch
        return None, 0

    def drop(self, paths: Iterable[Path]) -> None:
        """Delete files, once the journal is synced."""
        self._obsolete += paths

    def prepare_sync(self, journal: Callable[[], None]) -> Callable[[], None]:
        """What syncs the names of the weights, then the journal, both as they are now, and
        deletes what is not needed then. It may run in another thread.

        It raises `StudyError` where the disk does not take it.
        """
        obsolete, self._obsolete = self._obsolete, []

        def sync() -> None:
            with writing(self.folder):
                if self._unsynced.is_set():  # states are made again, weights are not
                    self._unsynced.clear()  # before: a name that comes meanwhile is for the next
                    sync_names(self.folder / "weights")
                journal()
            for path in obsolete:
                self._threads.submit(path.unlink, missing_ok=True)

        return sync

    def later(self, function: Callable[[], T]) -> Future[T]:
        """Run a function in one of the threads."""
        return self._threads.submit(function)

    def close(self, trials: Sequence[Trial] | None) -> None:
        """Wait for what is being written; leave nothing staged, where it is known what is in the
        journal."""
        self._threads.shutdown()
        self._names.shutdown()
        if trials is not None:
            with writing(self.folder):
                self._settle(trials)


def count_trials(folder: Path) -> int:
    """Return how many trials a study must have had, by the weights and the rows that it left."""
    numbers = [int(path.stem[6:]) for path in folder.glob("weights/trial-*") if _is_named(path)]
    with contextlib.suppress(OSError, ValueError, KeyError, csv.Error):
        rows = csv.DictReader(read_regular(folder / "leaderboard.csv").decode().splitlines())
        numbers += [int(found) for row in rows if (found := row["trial"] or "").isdecimal()]
    return max(numbers, default=-1) + 1


def _is_named(path: Path) -> bool:
    return _WEIGHTS.fullmatch(path.name) is not None


def is_best(before: Trial, result: EpochResult) -> bool:
    """Whether an epoch has more right images than each one before."""
    return before.best is None or result.correct > before.best.correct


def _into(done: Future[Any], function: Callable[[], None]) -> None:
    """Run a function whose error is a future's."""
    try:
        function()
    except BaseException as error:
        done.set_exception(error)
