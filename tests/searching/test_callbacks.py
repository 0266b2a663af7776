"""Functions of the caller's: when they are called, with what, and what their errors leave."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tiny import arguments, outcome

from lightsearch import iter_search, load_result, search
from lightsearch.errors import ArgumentError
from lightsearch.result import SearchResult
from lightsearch.study.history import order_epochs
from lightsearch.study.journal import read_trials
from lightsearch.study.trial import Trial
from lightsearch.workers.slot import InlineSlot


class CountingSlot(InlineSlot):
    """Counts the epochs that it computes."""

    computed = 0

    def submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        type(self).computed += 1
        return super().submit(function, *given)


def _search(folder: Path, **more: Any) -> SearchResult:
    CountingSlot.computed = 0
    slots = [CountingSlot(), CountingSlot()]
    return search(**arguments(study=folder, workers=None, slots=slots, **more))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return _search(tmp_path_factory.mktemp("studies") / "finished")


class Told:
    """Notes what it is told, and that it is on disk by then; fails at the `last` call."""

    def __init__(self, folder: Path, last: int | None = None) -> None:
        self.folder, self.last = folder, last
        self.calls: list[tuple[str, int, int, str]] = []

    def on_epoch(self, trial: Trial) -> None:
        assert read_trials(self.folder)[trial.number] == trial
        self._note("epoch", trial)

    def on_trial(self, trial: Trial) -> None:
        known = read_trials(self.folder)[trial.number]
        assert known == trial and known.outcome != "running"
        self._note("trial", trial)

    def _note(self, what: str, trial: Trial) -> None:
        where = (os.getpid(), threading.current_thread())
        assert where == (os.getpid(), threading.main_thread())
        self.calls.append((what, trial.number, len(trial.epochs), trial.outcome))
        if len(self.calls) == self.last:
            raise RuntimeError("the disk of the log is full")


def _expected(result: SearchResult) -> list[tuple[str, int, int, str]]:
    """What is told of a finished study, by its records."""
    calls = []
    for trial, index in order_epochs(result.records):
        calls.append(("epoch", trial.number, index + 1, "running"))
        if index + 1 == len(trial.epochs):
            calls.append(("trial", trial.number, index + 1, trial.outcome))
    return calls


def test_they_are_told_of_every_epoch_and_trial_in_the_order_of_the_study(
    finished: SearchResult, tmp_path: Path
) -> None:
    told = Told(tmp_path)
    result = _search(tmp_path, on_epoch=told.on_epoch, on_trial=told.on_trial)
    assert told.calls == _expected(result) and len(told.calls) > 8
    assert outcome(result) == outcome(finished) and result.identity == finished.identity


@pytest.mark.parametrize("last", [1, 4, 6, 11])
def test_an_error_ends_the_search_and_nothing_computed_is_lost(
    last: int, finished: SearchResult, tmp_path: Path
) -> None:
    told = Told(tmp_path, last)
    with pytest.raises(RuntimeError, match="the disk of the log is full") as caught:
        _search(tmp_path, on_epoch=told.on_epoch, on_trial=told.on_trial)
    what, number, epochs, _ = told.calls[-1]
    (note,) = caught.value.__notes__
    assert note.startswith(f"raised by `on_{what}` for trial {number} after epoch {epochs}; ")
    assert str(tmp_path) in note
    assert len(told.calls) == last  # nothing is told after it
    committed = sum(len(trial.epochs) for trial in load_result(tmp_path).records)
    assert committed == CountingSlot.computed
    assert not (tmp_path / "holder").exists()
    again = Told(tmp_path)
    result = _search(tmp_path, on_epoch=again.on_epoch, on_trial=again.on_trial)
    assert outcome(result) == outcome(finished)
    assert committed + CountingSlot.computed == sum(len(t.epochs) for t in result.records)
    tail = _expected(result)[-len(again.calls) :]
    assert sorted(again.calls) == sorted(tail)  # what is on disk is not told again


def test_an_interrupt_in_one_is_no_error_of_it(finished: SearchResult, tmp_path: Path) -> None:
    def interrupt(trial: Trial) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path, on_epoch=interrupt)
    assert outcome(_search(tmp_path)) == outcome(finished)


def test_the_generator_takes_them_too(tmp_path: Path) -> None:
    given = arguments(
        study=tmp_path, trials=2, on_trial=lambda trial: numbers.append(trial.number)
    )
    del given["quiet"]
    numbers: list[int] = []
    assert [trial.number for trial in iter_search(**given)] == numbers == [0, 1]


@pytest.mark.parametrize("name", ["on_epoch", "on_trial"])
def test_what_cannot_be_called_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"`{name}` must be a function of a trial, but got"):
        search(**arguments(**{name: "print"}))
