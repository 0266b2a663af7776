"""A search in rounds, all of one study: each ends with a design that is tested with fresh seeds.

A round ends with a whole run whose last epoch is good enough. That design is tested
(`goals.trying`), and the next round begins. With the goal "smallest", the cap on parameters is one
below the smallest design that has passed, at first the budget. With the goal "fastest", the rounds
end with the first design that passes (`goals.fastest` goes on with fewer epochs).

In the end what has passed has its last test: of the smallest, if it fails the next one, and so on.

The cap, and which designs are to be tested, follow from the trials and the fresh runs. So a
search that is killed goes on as it would have.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightsearch.confirming.sequential import is_promising
from lightsearch.errors import BudgetError
from lightsearch.goals.trying import Trying, key_of_trial, read_verdicts
from lightsearch.searching.events import Event, Planned, Stopped
from lightsearch.searching.question import Question
from lightsearch.searching.run import run_loop
from lightsearch.study.confirmations import Key
from lightsearch.study.journal import read_trials
from lightsearch.study.trial import HitRule, Trial
from lightsearch.workers.slot import Slot


@dataclass(frozen=True, slots=True)
class Standing:
    """Where such a search stands, by its trials and what fresh seeds have said so far."""

    trials: Sequence[Trial]
    verdicts: Mapping[Key, str]
    rule: HitRule
    budget: float  # on parameters
    ratchets: bool  # whether what passes brings the cap down; else it ends the search

    @property
    def passed(self) -> list[Trial]:
        """The trials whose designs have passed and were not given up since, smallest first."""
        return [t for t in self._by_size() if self.verdicts.get(key_of_trial(t)) == "passed"]

    @property
    def cap(self) -> float:
        """The most parameters that a design may have by now."""
        if not self.passed:
            return self.budget
        return self.passed[0].candidate.params - 1 if self.ratchets else 0

    @property
    def untested(self) -> list[Trial]:
        """The trials within the cap that are worth fresh seeds and not judged yet, smallest
        first."""
        return list(filter(self.is_untested_within(self.cap), self._by_size()))

    def is_untested_within(self, cap: float) -> Callable[[Trial], bool]:
        """Whether a trial is within a cap, worth fresh seeds, and not judged by them yet."""

        def ask(trial: Trial) -> bool:
            return (
                trial.candidate.params <= cap
                and is_worth_seeds(trial, self.rule)
                and self.verdicts.get(key_of_trial(trial), "running") == "running"
            )

        return ask

    def _by_size(self) -> list[Trial]:
        return sorted(self.trials, key=lambda trial: (trial.candidate.params, trial.number))


def is_worth_seeds(trial: Trial, rule: HitRule) -> bool:
    """Whether a trial is a hit whose last epoch promises a mean at the target."""
    if trial.outcome != "complete" or not rule.is_hit(trial.epochs):
        return False
    last = trial.epochs[-1]
    return is_promising(last.correct, last.total, rule.target)


def run_rounds(
    question: Question,
    slots: Sequence[Slot],
    stop: threading.Event,
    *,
    timed: bool = False,
    last_test: bool = True,
    others: Sequence[Path] = (),
) -> Generator[Event, None, None]:
    """Run such a search, or continue it, and yield its events. It ends as `run_loop` does.

    Last tests in the studies of `others` have their part in the levels.
    """
    timeout = question.settings.timeout
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    folders = (question.folder, *others)
    trying = Trying(question, slots, lambda: stop.is_set() or time.monotonic() > deadline, folders)
    last, planned = Stopped(""), False
    while True:
        if not planned or not trying.halt():
            for event in _run_round(question, slots, stop, deadline, timed=timed):
                if isinstance(event, Stopped):
                    last = event
                elif not (planned and isinstance(event, Planned)):
                    planned = True
                    yield event
        standing = read_standing(question)
        if stop.is_set():
            last = Stopped("stopped as asked; the same call continues it", True)
            break
        if standing.untested and not trying.halt():
            yield from trying.look(standing.untested[0])
            continue
        if standing.passed and not standing.ratchets:
            last = Stopped("a design has passed its test with fresh seeds")
        if not standing.passed or trying.is_confirmed(standing.passed[0]) or not last_test:
            break
        # as after the time limit of any search, what is best by then is confirmed
        yield from dataclasses.replace(trying, halt=stop.is_set).test_last(standing.passed[0])
    yield last


def read_standing(question: Question) -> Standing:
    """Where the search of a question stands on disk."""
    budget, ratchets = question.identity.budget.params, question.identity.goal == "smallest"
    begun = (question.folder / "journal.log").exists()
    trials = list(read_trials(question.folder)) if begun else []
    cap = math.inf if budget is None else budget
    return Standing(trials, read_verdicts(question.folder), question.identity.rule, cap, ratchets)


def _run_round(
    question: Question,
    slots: Sequence[Slot],
    stop: threading.Event,
    deadline: float,
    *,
    timed: bool,
) -> Iterator[Event]:
    """Search within the cap until a design is to be tested."""
    standing, left = read_standing(question), deadline - time.monotonic()
    cap, until = standing.cap, standing.is_untested_within(standing.cap)
    if not standing.ratchets and standing.passed:
        until = _always
    timeout = None if math.isinf(left) else max(1e-3, left)
    question = dataclasses.replace(
        question,
        settings=dataclasses.replace(question.settings, timeout=timeout),
        cap=int(cap) if standing.ratchets else None,
        until=until,
    )
    try:
        yield from run_loop(question, slots, stop, timed=timed)
    except BudgetError:
        if not (standing.ratchets and standing.passed):
            raise
        yield Stopped("no design of the space is smaller than the one that has passed")


def _always(trial: Trial) -> bool:
    return True
