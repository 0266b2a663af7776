"""Hits of a study, tried with fresh seeds: a sequential test for each, a last one for the winner.

The sequential tests (`confirming.sequential`) say what the search goes on from. Their runs are in
the folder `looks` of the study. The last test has `FINAL` other seeds, and is a confirmation like
those of `confirm`: at its end the lower t bound of the mean must be at the target. The first
design that comes so far is tested at half of the 5% that may be wrong, the next one, if that
fails, at a quarter, and so on. So the probability that any design is confirmed whose mean is below
the target is at most 5%, however many are tried, and whatever was looked at before: the seeds are
fresh, and the levels sum up to it. Bounds are t bounds: they assume normal noise, of any size.

All of it follows from the study's trials and these runs, so that it goes on after a kill.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightsearch.confirming.request import Pick, fresh_seeds
from lightsearch.confirming.runs import Job, left_of, retrain_all
from lightsearch.confirming.sequential import LOOKS, Verdict, judge_looks
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.searching.events import Judged
from lightsearch.searching.question import Question
from lightsearch.statistics import ERROR
from lightsearch.study.confirmations import Confirmation, Key, Terms
from lightsearch.study.ledger import Ledger, read_families
from lightsearch.study.terms import LOOKS_FOLDER
from lightsearch.study.trial import Trial, versions
from lightsearch.workers.slot import Slot

FINAL = 20  # fresh seeds of the last test
GIVEN_UP = ("futile", "not confirmed")


@dataclasses.dataclass(frozen=True, slots=True)
class Trying:
    """Fresh seeds for a question's hits, trained in `slots` until `halt` says so."""

    question: Question
    slots: Sequence[Slot]
    halt: Callable[[], bool]
    folders: Sequence[Path]  # of all studies whose last tests share the levels

    def is_confirmed(self, trial: Trial) -> bool:
        """Whether a trial's design has held in its last test."""
        found = read_finals(self.question.folder).get(key_of_trial(trial))
        return found is not None and found.confirmed

    def look(self, trial: Trial) -> Iterator[Judged]:
        """Train fresh seeds of a trial's design until its sequential test is over."""
        pick = self._pick(trial)
        terms = _terms(self.question, LOOKS)
        with self._ledger(self.question.folder / LOOKS_FOLDER, terms) as ledger:
            seeds = fresh_seeds(pick, FINAL + LOOKS)[FINAL:]
            self._plan(ledger, pick, seeds)
            for _ in retrain_all(self._batches(pick, ledger), ledger, self.slots, self.halt):
                pass
            verdict = judge_ledger(ledger, pick.key)
            if verdict != "running":
                yield _judged(trial, ledger, pick, passed=verdict == "passed", last=False)

    def test_last(self, trial: Trial) -> Iterator[Judged]:
        """Test a trial's design with the last seeds, at the level that is its turn's."""
        pick, tried = self._pick(trial), read_finals(self.question.folder)
        turn = sum(len(read_finals(folder)) for folder in self.folders) + 1
        with self._ledger(self.question.folder, _terms(self.question, FINAL)) as ledger:
            if pick.key not in tried:
                level = ERROR / 2**turn
                self._plan(ledger, pick, fresh_seeds(pick, FINAL), level=level)
            batches = [left_of(pick.task, ledger)]
            for _ in retrain_all(batches, ledger, self.slots, self.halt):
                pass
            found = {(one.design, one.recipe): one for one in ledger.confirmations()}[pick.key]
            if found.outcome != "running":
                yield _judged(trial, ledger, pick, passed=found.confirmed, last=True)

    def _batches(self, pick: Pick, ledger: Ledger) -> Iterator[list[Job]]:
        """As many seeds as there are slots, again and again. The verdict looks at them one by one,
        so that it does not depend on the slots."""
        count = 0
        while judge_ledger(ledger, pick.key) == "running":
            count += len(self.slots)
            yield left_of(pick.task, ledger, count)

    def _plan(self, ledger: Ledger, pick: Pick, seeds: tuple[int, ...], **about: Any) -> None:
        selected = "" if self.question.holdout is None else "not "
        on = f"{self.question.data.name} test, {selected}selected on"
        device, teacher = self.question.identity.device, str(pick.task.teacher or "")
        about |= {"device": device, "versions": versions()}
        ledger.plan(pick.key, seeds, on, teacher=teacher, **about)

    @contextlib.contextmanager
    def _ledger(self, root: Path, terms: Terms) -> Iterator[Ledger]:
        root.mkdir(exist_ok=True)
        with Ledger.open(root, terms.on, terms) as ledger:
            yield ledger

    def _pick(self, trial: Trial) -> Pick:
        """The design of a trial, to be trained on all training images."""
        candidate = trial.candidate
        task = self.question.task(
            parse(candidate.design), parse_recipe(candidate.recipe), candidate.seed
        )
        data = dataclasses.replace(task.data, holdout=None)
        task = dataclasses.replace(task, data=data, tested_on=None)
        return Pick(task, candidate.params, candidate.fingerprint)


def key_of_trial(trial: Trial) -> Key:
    """What the fresh runs of a trial's design are kept under."""
    return trial.candidate.design, trial.candidate.recipe


def judge_ledger(ledger: Ledger, key: Key) -> Verdict:
    """What the runs of a ledger of looks say of a design."""
    found = ledger.judge_alone(key)
    verdict = judge_looks(found.sample.correct, found.sample.total, found.target)
    return "failed" if verdict == "running" and found.outcome == "futile" else verdict


def read_finals(folder: Path) -> dict[Key, Confirmation]:
    """The last tests of a study, of those designs that came so far."""
    found = [one for ledger in read_families(folder) for one in ledger.confirmations()]
    return {(one.design, one.recipe): one for one in found if one.level is not None}


def read_verdicts(folder: Path) -> dict[Key, Verdict]:
    """What the fresh runs of a study so far say of each design that has any."""
    ledgers = read_families(folder / LOOKS_FOLDER)
    found = {key: judge_ledger(ledger, key) for ledger in ledgers for key in ledger.runs}
    given_up = (key for key, one in read_finals(folder).items() if one.outcome in GIVEN_UP)
    return found | dict.fromkeys(given_up, "failed")


def _terms(question: Question, seeds: int) -> Terms:
    one = question.identity
    return Terms(
        seeds, str(one.target), one.epochs, one.dataset, one.checksum, "test", one.checksum
    )


def _judged(trial: Trial, ledger: Ledger, pick: Pick, *, passed: bool, last: bool) -> Judged:
    sample = ledger.judge_alone(pick.key).sample
    mean = float(sample.mean) if len(sample) else math.nan
    return Judged(trial, len(sample), mean, passed, last)
