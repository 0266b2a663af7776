"""Objectives of the user's: what samplers are shown, what a study keeps, what comes of it."""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import made
import numpy as np
import optuna
import pytest
from tiny import arguments, outcome

from lightsearch import load_result, search
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.searching.objective import name_objective, show_trial
from lightsearch.study.identity import read_identity
from lightsearch.study.trial import Trial
from lightsearch.surrogate.forecast import level
from lightsearch.workers.slot import InlineSlot

PRICE = 1e-5  # of a MAC: the tiny search's designs have some 10,000


def cheap(trial: Trial) -> float:
    """The last accuracy, less a price for each MAC."""
    return trial.epochs[-1].accuracy - PRICE * trial.candidate.macs


def _search(folder: Path, **more: Any) -> Any:
    given = {"objective": cheap, "slots": [InlineSlot(), InlineSlot()], "workers": None, **more}
    return search(**arguments(study=folder, **given))


# What samplers are shown -------------------------------------------------------------------------


def test_samplers_are_shown_the_values_for_accuracies() -> None:
    trials = made.result(30).records
    for trial in trials:
        shown = show_trial(trial, cheap)
        assert (shown.candidate, shown.outcome) == (trial.candidate, trial.outcome)
        for one, same in zip(shown.epochs, trial.epochs, strict=True):
            if same.diverged:
                assert one is same
                continue
            value = same.accuracy - PRICE * trial.candidate.macs
            assert one.accuracy == pytest.approx(value, abs=1e-9)
            assert level(one.correct, one.total) == pytest.approx(math.log(1 - value), abs=1e-6)
    assert any(t.epochs[-1].diverged for t in trials)


def test_a_function_sees_the_trial_as_it_was_after_each_epoch() -> None:
    trial = made.result(1).records[0]
    seen: list[tuple[int, str]] = []

    def note(trial: Trial) -> float:
        seen.append((len(trial.epochs), trial.outcome))
        return 0.5

    whole = show_trial(trial, note)
    count = len(trial.epochs)
    assert seen == [*((n, "running") for n in range(1, count)), (count, trial.outcome)]
    seen.clear()
    assert show_trial(trial, note, whole.epochs) == whole
    assert seen == [(count, trial.outcome)]  # what is known is not asked again
    started = Trial(trial.candidate)
    assert show_trial(started, note) is started


@pytest.mark.parametrize("value", [1.5, math.inf, math.nan, "0.5", None, True])
def test_what_is_no_value_ends_the_search_with_the_rule(value: Any, tmp_path: Path) -> None:
    def bad(trial: Trial) -> float:
        return chosen[0]  # type: ignore[no-any-return]

    chosen = [0.5]
    name = name_objective(bad)
    assert name.startswith("test_what_is_no_value_ends_the_search_with_the_rule.<locals>.bad:")
    chosen[0] = value
    with pytest.raises(ArgumentError, match="`objective` must give a finite number of at most 1"):
        show_trial(made.result(1).records[0], bad)
    assert show_trial(made.result(1).records[0], lambda trial: np.float32(0.25)).best is not None


# What a study keeps ------------------------------------------------------------------------------


def _define(text: str, outside: dict[str, Any]) -> Callable[[Trial], float]:
    """A function of a file of its own."""
    name = f"<objective {text} {sorted(outside)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), outside)
    return outside["value"]


TEXT = "def value(trial):\n    return weigh(trial.epochs[-1].accuracy) - price\n"
WEIGH = "def value(x):\n    return 2 * x\n"


def test_a_name_tells_functions_apart_by_what_they_compute() -> None:
    def name(text: str = TEXT, weigh: str = WEIGH, **outside: Any) -> str:
        known = {"weigh": _define(weigh, {}), "price": 0.1, **outside}
        return name_objective(_define(text, known))

    first = name()
    assert first.startswith("value:") and len(first) == len("value:") + 12
    assert name() == first
    assert name(TEXT.replace("):\n", "):  # a comment\n\n")) == first
    others = [
        name(price=0.2),
        name(price=(0.1,)),
        name(TEXT.replace("- price", "+ price")),
        name(weigh=WEIGH.replace("2", "3")),
        name(weigh=WEIGH, text=TEXT.replace("(trial)", "(trial, more=1)")),
    ]
    assert len({first, *others}) == 6

    def priced(trial: Trial, price: float) -> float:
        return trial.epochs[-1].accuracy - price

    names = {name_objective(partial(priced, price=price)) for price in (0.1, 0.2)}
    assert len(names) == 2 and name_objective(None) == ""


class _Callable:
    def __call__(self, trial: Trial) -> float:
        return 0.5


def _of_arrays(trial: Trial) -> float:
    return float(ARRAY[0])


ARRAY = np.array([0.5])


def _elsewhere(file: str) -> Callable[[Trial], float]:
    """A function whose source is not where it says."""
    known: dict[str, Any] = {}
    exec(compile("\n" * 20 + TEXT, file, "exec"), known)
    return known["value"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda trial: 0.5, "written with `def`"),
        (_Callable(), "written with `def`"),
        (len, "written with `def`"),
        (0.5, "must be a function of a trial"),
        (_elsewhere("<nowhere>"), "source in a file or a notebook, .* of value cannot be read"),
        (_elsewhere(__file__), "source in a file or a notebook"),
        (_elsewhere(str(Path(made.__file__).parents[2] / "README.md")), "source in a file"),
        (_of_arrays, r"numbers, texts and functions alone, .* ARRAY=array"),
    ],
)
def test_what_a_study_cannot_name_is_refused(function: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"`objective` must .*{message}|{message}"):
        _search(tmp_path, objective=function)
    assert not list(tmp_path.iterdir())


def test_a_study_goes_on_with_the_same_objective_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _search(tmp_path, trials=1)
    identity = read_identity(tmp_path)
    assert identity is not None and identity.objective == name_objective(cheap)
    for other in (None, partial(cheap)):
        with pytest.raises(StudyError, match=rf"objective='{identity.objective}' there"):
            _search(tmp_path, objective=other, trials=2)
    monkeypatch.setitem(globals(), "PRICE", 2e-5)
    with pytest.raises(StudyError, match="objective='cheap:"):
        _search(tmp_path, trials=2)
    assert load_result(tmp_path).identity == identity


@pytest.mark.parametrize(
    ("more", "got"),
    [({"goal": "smallest"}, "goal='smallest'"), ({"warm_start": "before"}, "warm_start='before'")],
)
def test_what_looks_for_something_else_is_refused(
    more: dict[str, Any], got: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=f"`objective` must be given with .* but got {got}"):
        _search(tmp_path, **more)


# What comes of it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler",
    ["model", "tpe", lambda: optuna.samplers.TPESampler(seed=1)],
    ids=["model", "tpe", "TPESampler"],
)
def test_an_interrupted_study_goes_on_as_it_would_have(sampler: Any, tmp_path: Path) -> None:
    def ask() -> Any:
        return sampler if isinstance(sampler, str) else sampler()

    given = {"trials": 12, "epochs": 2, "target": 0.3, "pruner": "none"}
    calls: list[Trial] = []

    def interrupt(trial: Trial) -> None:
        calls.append(trial)
        if len(calls) == 10:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        _search(tmp_path / "s", sampler=ask(), on_trial=interrupt, **given)
    result = _search(tmp_path / "s", sampler=ask(), **given)
    if isinstance(sampler, str):  # an object of Optuna's has a state of its own
        assert outcome(result) == outcome(_search(tmp_path / "whole", sampler=ask(), **given))
    else:
        assert len(result.records) == 12


def test_the_leaderboard_by_the_objective(tmp_path: Path) -> None:
    result = _search(tmp_path, target=0.2, trials=6)
    board = result.ranked(by=cheap)
    assert len(board) > 2 and list(board.index) == list(range(1, len(board) + 1))
    values = [cheap(result.records[trial]) for trial in board["trial"]]
    assert list(board["objective"]) == values == sorted(values, reverse=True)
    assert set(board["trial"]) == set(result.leaderboard["trial"])


@pytest.mark.parametrize("sampler", ["model", pytest.param("tpe", marks=pytest.mark.slow)])
def test_the_search_finds_what_the_objective_values(
    sampler: str, blank_mnist: Path, tmp_path: Path
) -> None:
    """With a price per MAC, the later half of the proposals has fewer MACs."""
    given = dict(
        budget=8000,
        epochs=15,
        engine="surrogate",
        trials=24,
        workers=1,
        sampler=sampler,
        pruner="none",
        data=blank_mnist,
        quiet=True,
    )

    def priced(trial: Trial) -> float:
        return trial.epochs[-1].accuracy - 1e-7 * trial.candidate.macs

    macs = {}
    for name, objective in (("without", None), ("with", priced)):
        found = search(study=tmp_path / name, objective=objective, **given)
        macs[name] = np.mean([t.candidate.macs for t in found.records[12:]])
    assert macs["with"] < 0.8 * macs["without"], macs
