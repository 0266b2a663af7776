"""What a study relies on in Optuna beyond its documentation: docs/decisions/optuna_names.md.

A release of Optuna that does otherwise fails here, by the name of what it changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial
from test_study import _candidate, _epoch

import lightsearch
from lightsearch.searching.optuna_sampler import seen_trial
from lightsearch.study.journal import NAME, Journal
from lightsearch.study.record import Record
from lightsearch.study.trial import Trial

ROOT = Path(lightsearch.__file__).parent


class _Noted(BaseJournalBackend):
    """Lines in memory, and what the storage asks for."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.asked: list[int] = []
        self.hidden = False

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        self.asked.append(log_number_from)
        return iter([] if self.hidden else self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += logs


def _storage() -> tuple[_Noted, JournalStorage, int]:
    backend = _Noted()
    storage = JournalStorage(backend)
    study = optuna.create_study(study_name=NAME, direction="maximize", storage=storage)
    return backend, storage, storage.get_study_id_from_name(study.study_name)


def _running() -> FrozenTrial:
    return create_trial(state=TrialState.RUNNING)


def test_no_private_name_of_optuna_is_used() -> None:
    """Of all files that import it; a private name of ours is asked of `self` or `cls` alone."""
    found = []
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        if "optuna" not in imported:
            continue
        found += [
            f"{path.name}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.endswith("__")
            and ast.unparse(node.value) not in ("self", "cls")
        ]
        found += [
            f"{path.name}: {node.module}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith("optuna")
            and "._" in f"{node.module}.{'.'.join(alias.name for alias in node.names)}"
        ]
    assert found == []


def test_a_journal_storage_reads_on_from_the_lines_that_it_has_read() -> None:
    """`ReadOnlyJournal.read_logs` keeps the place of one reader."""
    backend, storage, study = _storage()
    for _ in range(3):
        storage.create_new_trial(study, _running())
    storage.get_all_trials(study)
    assert backend.asked == sorted(backend.asked)
    assert backend.asked[-1] == len(backend.lines) == 4
    assert set(backend.asked) == {0, 1, 2, 3, 4}


def test_a_trial_is_read_without_what_the_sampler_chose() -> None:
    """`ResultsJournal` leaves out these two entries of the line that begins a trial."""
    backend, storage, study = _storage()
    template = create_trial(
        state=TrialState.RUNNING,
        params={"width": 1},
        distributions={"width": optuna.distributions.CategoricalDistribution([0, 1])},
        user_attrs={"candidate": {"number": 0}},
    )
    id_ = storage.create_new_trial(study, template)
    storage.set_trial_state_values(id_, TrialState.COMPLETE, [0.5])
    (begin,) = (line for line in backend.lines if "params" in line)
    assert {"distributions", "params"} <= begin.keys()
    del begin["distributions"], begin["params"]
    (trial,) = JournalStorage(backend).get_all_trials(study)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.5])
    assert (trial.user_attrs, trial.params) == (template.user_attrs, {})


def test_lines_may_come_after_the_call_that_adds_them_for_attributes_reports_and_ends() -> None:
    """`Journal.together` keeps them back until they are written by one call of the system."""
    backend, storage, study = _storage()
    id_ = storage.create_new_trial(study, _running())
    backend.hidden = True
    storage.set_trial_user_attr(id_, "epoch-0001", {})
    storage.set_trial_intermediate_value(id_, 1, 0.5)
    storage.set_trial_state_values(id_, TrialState.COMPLETE, [0.5])
    backend.hidden = False
    found = storage.get_trial(id_)
    assert (found.state, found.value, found.user_attrs, found.intermediate_values) == (
        TrialState.COMPLETE,
        0.5,
        {"epoch-0001": {}},
        {1: 0.5},
    )


def test_a_trial_with_its_decisions_is_one_line() -> None:
    """`Record.begin`: a trial is begun whole or not at all."""
    backend, storage, study = _storage()
    before = len(backend.lines)
    id_ = storage.create_new_trial(
        study,
        create_trial(
            state=TrialState.RUNNING,
            params={"a": 1},
            user_attrs={"candidate": {}},
            distributions={"a": optuna.distributions.CategoricalDistribution(range(3))},
        ),
    )
    assert len(backend.lines) == before + 1
    assert storage.get_trial_id_from_study_id_trial_number(study, 0) == id_
    assert storage.get_trial(id_).state == TrialState.RUNNING


def test_a_study_asks_its_storage_for_trials() -> None:
    """`Storage.only` shows a pruner some of them."""
    asked = []

    class Storage(JournalStorage):
        def get_all_trials(
            self, study_id: int, deepcopy: bool = True, states: Any = None
        ) -> list[FrozenTrial]:
            asked.append((study_id, deepcopy, states))
            return super().get_all_trials(study_id, deepcopy, states)

    storage = Storage(_Noted())
    study = optuna.create_study(storage=storage, study_name=NAME)
    study.get_trials(deepcopy=False)
    study.get_trials(states=(TrialState.RUNNING,))
    assert study.trials == []
    id_ = storage.get_study_id_from_name(NAME)
    assert asked[-3:] == [
        (id_, False, None),
        (id_, True, (TrialState.RUNNING,)),
        (id_, True, None),
    ]


def test_a_storage_in_memory_copies_a_trial_that_it_is_given() -> None:
    """`seen_trial` makes one that may be given to many storages, of which each numbers its own."""
    seen = seen_trial(Trial(_candidate(5), (_epoch(1, 900),), "complete"))
    for before in range(2):
        storage: BaseStorage = InMemoryStorage()
        study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], NAME)
        for _ in range(before):
            storage.create_new_trial(study, _running())
        found = storage.get_trial(storage.create_new_trial(study, seen))
        assert (found.number, found.value, found.params) == (before, 0.9, seen.params)
        assert found.params is seen.params  # not copied: that took a third of a proposal's time
    assert seen.number == -1


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("complete", TrialState.COMPLETE),
        ("pruned", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
        ("diverged", TrialState.FAIL),
    ],
)
@pytest.mark.parametrize("epochs", [0, 2])
def test_a_trial_ends_as_optuna_would_end_it(
    tmp_path: Path, outcome: Any, state: TrialState, epochs: int
) -> None:
    """`Record.end` writes what `Study.tell` would: of a pruned trial the last value."""
    if not epochs and outcome == "complete":
        return
    results = tuple(_epoch(epoch, 100 * epoch) for epoch in range(1, epochs + 1))
    plain = optuna.create_study(direction="maximize").ask()
    for result in results:
        plain.report(result.accuracy, result.epoch)
    plain.study.tell(plain, results[-1].accuracy if outcome == "complete" else None, state)

    (tmp_path / "s").mkdir()
    journal = Journal(tmp_path / "s")
    record = Record(journal, optuna.pruners.NopPruner())
    record.begin(_candidate(0))
    for result in results:
        record.add_epoch(0, result)
    record.end(Trial(_candidate(0), results), outcome, "")
    journal.close()
    path = str(tmp_path / "s" / "journal.log")
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    (found,) = optuna.load_study(study_name=None, storage=storage).trials
    (expected,) = plain.study.trials
    assert (found.state, found.values, found.intermediate_values) == (
        expected.state,
        expected.values,
        expected.intermediate_values,
    )
    assert found.datetime_complete is not None
