"""The trials of a study as Optuna has them: what is added to the journal, what the pruner sees.

Only public names of Optuna are used, most of them `BaseStorage`'s. What is relied on beyond its
documentation is in docs/decisions/optuna_names.md. Optuna's numbers and ids of trials may differ
from ours, since earlier versions left trials that were never begun.
"""

from __future__ import annotations

import bisect
import contextlib
import copy
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from lightsearch.study.journal import (
    CANDIDATE,
    EPOCH,
    NAME,
    OUTCOME,
    Journal,
    find_study,
    read_trial,
)
from lightsearch.study.optuna_tools import categorical, named, quiet
from lightsearch.study.trial import Candidate, Outcome, Trial, to_json
from lightsearch.training.epoch_result import EpochResult

JUDGED = 1000  # the latest trials that the pruner sees
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}  # else FAIL


class Record:
    """Optuna's study in a journal, made under a `name` if there is none yet."""

    def __init__(
        self, journal: Journal, pruner: optuna.pruners.BasePruner, name: str = NAME
    ) -> None:
        self._journal = journal
        self._storage = Storage(journal)
        self.study = _open_study(self._storage, pruner, name)
        self._study_id = self._storage.get_study_id_from_name(self.study.study_name)
        self._ids: dict[int, int] = {}  # Optuna's, of the trials that run, by our number
        self._over: list[FrozenTrial] = []  # by number
        self._numbers: list[int] = []  # theirs
        self._judged = Judged([], [])

    def read(self) -> list[Trial]:
        """The trials that the journal has. What was never begun is ended."""
        trials: list[Trial] = []
        for frozen in self._storage.get_all_trials(self._study_id, deepcopy=False):
            id_ = self._storage.get_trial_id_from_study_id_trial_number(
                self._study_id, frozen.number
            )
            if CANDIDATE not in frozen.user_attrs:
                self._end_unbegun(id_, frozen.state)
                continue
            trial = read_trial(frozen)
            assert trial.number == len(trials)
            trials.append(trial)
            if frozen.state.is_finished():
                self._over.append(frozen)
                self._numbers.append(trial.number)
                continue
            self._ids[trial.number] = id_
            if trial.epochs and trial.epochs[-1].epoch not in frozen.intermediate_values:
                self._report(id_, trial.epochs[-1])
        self._judged = self._judge_latest()
        return trials

    def _judge_latest(self) -> Judged:
        return Judged(self._over[-JUDGED:], self._numbers[-JUDGED:])

    def _end_unbegun(self, id_: int, state: TrialState) -> None:
        """End what an earlier version left as it died: nothing may run for ever."""
        if state == TrialState.WAITING:
            self._storage.set_trial_state_values(id_, TrialState.RUNNING)
        if not state.is_finished():
            self._storage.set_trial_state_values(id_, TrialState.FAIL)

    def begin(
        self, candidate: Candidate, options: Mapping[str, tuple[Any, ...]] = MappingProxyType({})
    ) -> None:
        """Add a trial by one line: Optuna's `ask` and `suggest` would write one each.

        Its parameters are the options that were chosen, as texts and numbers.
        """
        kinds = {
            path: named(tuple(map(_as_plain, options[path])))
            if path in options
            else categorical(count)
            for path, count in candidate.options.items()
        }
        self._ids[candidate.number] = self._storage.create_new_trial(
            self._study_id,
            FrozenTrial(
                number=-1,
                trial_id=-1,
                state=TrialState.RUNNING,
                value=None,
                values=None,
                datetime_start=datetime.now(),
                datetime_complete=None,
                params={
                    path: kind.choices[candidate.decisions[path]] for path, kind in kinds.items()
                },
                distributions=dict(kinds),
                user_attrs={"design": candidate.design, CANDIDATE: to_json(candidate)},
                system_attrs={},
                intermediate_values={},
            ),
        )

    def add_epoch(self, number: int, result: EpochResult) -> None:
        """Add an epoch to a trial that runs."""
        id_ = self._ids[number]
        with self._journal.together():
            self._storage.set_trial_user_attr(id_, f"{EPOCH}{result.epoch:04d}", to_json(result))
            self._report(id_, result)

    def _report(self, id_: int, result: EpochResult) -> None:
        self._storage.set_trial_intermediate_value(id_, result.epoch, result.accuracy)

    def should_prune(self, number: int) -> bool:
        """What the pruner says after the latest epoch of a trial."""
        id_ = self._ids[number]
        with self._storage.only(self._judged, list(self._ids.values())):
            return self.study.pruner.prune(self.study, self._storage.get_trial(id_))

    def end(self, before: Trial, outcome: Outcome, reason: str) -> None:
        """End a trial; its value is the last epoch's accuracy, unless it failed."""
        id_ = self._ids.pop(before.number)
        state = STATES.get(outcome, TrialState.FAIL)
        values = [e.accuracy for e in before.epochs[-1:]] if state != TrialState.FAIL else []
        with self._journal.together():
            self._storage.set_trial_user_attr(id_, OUTCOME, [outcome, reason])
            self._storage.set_trial_state_values(id_, state, values or None)
        place = bisect.bisect(self._numbers, before.number)
        self._numbers.insert(place, before.number)
        self._over.insert(place, self._storage.get_trial(id_))
        self._judged = self._judge_latest()


def _as_plain(option: Any) -> int | float | str:
    """An option as Optuna stores it: numbers and words as they are, layers in notation."""
    if isinstance(option, int | float) and not isinstance(option, bool):
        return option
    return str(option) or "nothing"


class Judged:
    """Trials that are over, by number. Every epoch asks for those in some states."""

    def __init__(self, trials: list[FrozenTrial], numbers: list[int]) -> None:
        self._trials, self._numbers = trials, numbers
        self._known: dict[tuple[TrialState, ...], list[FrozenTrial]] = {}

    def of(self, states: Container[TrialState]) -> list[FrozenTrial]:
        wanted = tuple(state for state in TrialState if state in states)
        if wanted not in self._known:
            self._known[wanted] = [trial for trial in self._trials if trial.state in wanted]
        return self._known[wanted].copy()

    def with_others(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """Return all of them and these, by number. To sort all would ask each for its number."""
        found, numbers = self._trials.copy(), self._numbers.copy()
        for trial in trials:
            place = bisect.bisect(numbers, trial.number)
            found.insert(place, trial)
            numbers.insert(place, trial.number)
        return found


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

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        over, running = self._shown
        if states is None:
            found = over.with_others([self.get_trial(id_) for id_ in running])
        else:
            found = over.of(states)
            if TrialState.RUNNING in states:
                found += [self.get_trial(id_) for id_ in running]
                found.sort(key=attrgetter("number"))
        return copy.deepcopy(found) if deepcopy else found


def _open_study(
    storage: JournalStorage, pruner: optuna.pruners.BasePruner, name: str
) -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=0)  # never asked
    with quiet():
        if find_study(storage) is None:
            optuna.create_study(study_name=name, direction="maximize", storage=storage)
        (known, *_) = storage.get_all_studies()
        return optuna.load_study(
            study_name=known.study_name, storage=storage, pruner=pruner, sampler=sampler
        )
