"""Objectives of several values: what Optuna's samplers are told, and the front that is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made
import optuna
import pytest
from optuna.trial import TrialState
from tiny import arguments, outcome

from lightsearch import search
from lightsearch.errors import ArgumentError
from lightsearch.searching.optuna_sampler import seen_trial
from lightsearch.study.identity import read_identity
from lightsearch.study.trial import Trial
from lightsearch.workers.slot import InlineSlot

DIRECTIONS = ("maximize", "minimize")


def both(trial: Trial) -> tuple[float, float]:
    """The last accuracy, and the parameters."""
    return trial.epochs[-1].accuracy, float(trial.candidate.params)


def _search(folder: Path, **more: Any) -> Any:
    given = {
        "objective": both,
        "directions": DIRECTIONS,
        "sampler": "tpe",
        "pruner": "none",
        "slots": [InlineSlot(), InlineSlot()],
        "workers": None,
        "trials": 12,
        "epochs": 2,
        **more,
    }
    return search(**arguments(study=folder, **given))


def test_a_sampler_is_told_the_values_of_complete_trials_alone() -> None:
    for trial in made.result(30).records:
        seen = seen_trial(trial, both)
        if trial.outcome == "complete":
            assert seen.state == TrialState.COMPLETE and seen.values == list(both(trial))
        else:
            assert seen.state in (TrialState.FAIL, TrialState.RUNNING) and seen.values is None
        assert seen.params == trial.candidate.decisions


class Asked(optuna.samplers.NSGAIISampler):
    """Notes the directions and the values of the studies that it is asked in."""

    def __init__(self) -> None:
        super().__init__(seed=0, population_size=4)
        self.told: list[list[list[float]]] = []

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        assert [one.name.lower() for one in study.directions] == list(DIRECTIONS)
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self.told.append([one.values for one in done])
        return super().infer_relative_search_space(study, trial)


def test_the_front_is_that_of_optuna(tmp_path: Path) -> None:
    """Optuna's own `best_trials`, over the values of the same trials."""
    sampler = Asked()
    result = _search(tmp_path / "s", sampler=sampler)
    assert sampler.told and all(len(values) == 2 for values in sampler.told[-1])
    judge = optuna.create_study(directions=DIRECTIONS)
    complete = [trial for trial in result.records if trial.outcome == "complete"]
    assert len(complete) == 12
    for trial in complete:
        judge.add_trial(optuna.create_trial(values=both(trial), params={}, distributions={}))
    front = result.pareto(both)
    assert sorted(front.index) == sorted(
        complete[one.number].candidate.number for one in judge.best_trials
    )
    values = front[["objective_0", "objective_1"]].to_numpy().tolist()
    assert values == [list(both(result.records[trial])) for trial in front.index]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("sampler", ["tpe", "uniform", "near-cap"])
def test_an_interrupted_study_goes_on_as_it_would_have(sampler: str, tmp_path: Path) -> None:
    calls: list[Trial] = []

    def interrupt(trial: Trial) -> None:
        calls.append(trial)
        if len(calls) == 10:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        _search(tmp_path / "s", sampler=sampler, on_trial=interrupt)
    result = _search(tmp_path / "s", sampler=sampler)
    assert outcome(result) == outcome(_search(tmp_path / "whole", sampler=sampler))
    identity = read_identity(tmp_path / "s")
    assert identity is not None and identity.directions == DIRECTIONS


def test_the_directions_of_a_front_can_be_others(tmp_path: Path) -> None:
    result = _search(tmp_path / "s", sampler="uniform", objective=None, directions=None)
    params = [trial.candidate.params for trial in result.records]

    def size(trial: Trial) -> tuple[int, int]:
        return trial.candidate.params, -trial.candidate.params

    largest = result.pareto(size, directions=("maximize", "minimize"))
    assert list(largest["params"]) == [max(params)] * params.count(max(params))
    assert len(result.pareto(size, directions=("maximize", "maximize"))) == len(params)
    with pytest.raises(ArgumentError, match="`directions` must be two or more"):
        result.pareto(size)
    with pytest.raises(ArgumentError, match="`by` must be orders, or one function alone"):
        result.pareto(size, "params", directions=DIRECTIONS)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"directions": ("maximize", "up")},
            "`directions` must be of maximize.*'up'",
        ),
        ({"directions": ("maximize",)}, "`directions` must be two or more"),
        ({"directions": "maximize"}, "`directions` must be two or more"),
        ({"objective": None}, "`directions` must be given with an `objective`"),
        ({"sampler": None}, "`sampler` must be one of tpe, near-cap, uniform, random, or"),
        ({"sampler": "model"}, "with `directions`, but got 'model'"),
        ({"pruner": "median"}, "`pruner` must be 'none' with `directions`"),
        ({"pruner": None}, "`pruner` must be 'none' with `directions`"),
    ],
)
def test_what_does_not_go_with_several_is_refused(
    more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        _search(tmp_path / "s", **more)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("value", [0.5, (0.5,), (0.5, float("nan")), (0.5, "many"), "ab", None])
def test_other_values_end_the_search_with_the_rule(value: Any, tmp_path: Path) -> None:
    def odd(trial: Trial) -> Any:
        return value

    with pytest.raises(ArgumentError, match="`objective` must give 2 finite numbers"):
        _search(tmp_path / "s", objective=odd)


def test_a_study_goes_on_with_the_same_directions_only(tmp_path: Path) -> None:
    _search(tmp_path / "s", trials=1)
    with pytest.raises(Exception, match=r"directions=\['maximize', 'minimize'\] there"):
        _search(tmp_path / "s", trials=1, directions=("maximize", "maximize"))
