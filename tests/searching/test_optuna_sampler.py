"""A sampler in memory draws what it draws in a study that Optuna's documentation would have."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import random
import warnings
from typing import Any

import made
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from lightsearch import decode, default_space, parse
from lightsearch.design.decoding import Choose, chooser, record_decisions
from lightsearch.design.parts import Space
from lightsearch.errors import DesignError
from lightsearch.searching.optuna_sampler import OptunaSampler, seen_trial, tpe_sampler
from lightsearch.study.optuna_tools import categorical
from lightsearch.study.trial import Trial

NESTED = parse(
    "[conv(8|16|24)*(1|2) | separable(8|12,act=relu|gelu) maxpool?]*(1|2|3) "
    "conv(4|6)? gap linear(10)"
)


def _optuna(trials: list[Trial], seed: int) -> optuna.Study:
    """Optuna's study and sampler, by Optuna's documented functions alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        state = {"complete": TrialState.COMPLETE, "running": TrialState.RUNNING}.get(
            trial.outcome, TrialState.PRUNED
        )
        study.add_trial(
            create_trial(
                state=state,
                params=dict(trial.candidate.decisions),
                distributions={k: categorical(n) for k, n in trial.candidate.options.items()},
                value=trial.epochs[-1].accuracy if trial.outcome == "complete" else None,
                intermediate_values={e.epoch: e.accuracy for e in trial.epochs},
            )
        )
    return study


def _trials(space: Space, count: int, seed: int) -> list[Trial]:
    """Complete, pruned, diverged and running trials of a space, with made-up curves."""
    generator = random.Random(seed)
    found = []
    for trial in made.result(count, seed=seed).records:
        decisions: dict[str, int] = {}
        options: dict[str, int] = {}
        _decoded(space, record_decisions(_note_choices(chooser(generator), options), decisions))
        candidate = dataclasses.replace(trial.candidate, decisions=decisions, options=options)
        outcome = "running" if generator.random() < 0.1 else trial.outcome
        found.append(Trial(candidate, trial.epochs, outcome))
    return found


def _note_choices(choose: Choose, options: dict[str, int]) -> Choose:
    def noted(path: str, of: tuple[Any, ...]) -> int:
        options[path] = len(of)
        return choose(path, of)

    return noted


def _decoded(space: Space, choose: Choose) -> None:
    with contextlib.suppress(DesignError):
        decode(space, choose)


@pytest.mark.parametrize("space", [default_space(), NESTED], ids=["default", "nested"])
@pytest.mark.parametrize("count", [0, 1, 9, 40])
@pytest.mark.parametrize("seed", range(2))
def test_tpe_draws_what_it_draws_in_a_plain_study(space: Space, count: int, seed: int) -> None:
    """Candidates in a row, which are too large, a duplicate, or do not fit."""
    trials = _trials(space, count, seed)
    study = _optuna(trials, seed)
    sampler = OptunaSampler(tpe_sampler(seed), [seen_trial(trial) for trial in trials])
    for verdict in ("over_budget", "duplicate", "over_budget", "invalid"):
        asked = study.ask()
        expected: dict[str, int] = {}
        _decoded(
            space,
            record_decisions(
                lambda path, of, asked=asked: asked.suggest_categorical(path, range(len(of))),
                expected,
            ),
        )
        drawn: dict[str, int] = {}
        options: dict[str, int] = {}
        _decoded(space, record_decisions(_note_choices(sampler.ask(), options), drawn))
        assert drawn == expected
        if verdict == "duplicate":
            study.tell(asked, state=TrialState.FAIL)
        else:
            study.tell(asked, 0.0)
        sampler.tell(verdict, drawn, options)


class _Warner(optuna.samplers.RandomSampler):
    """Warns for each decision, as CmaEsSampler does for those that are no numbers."""

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        optuna.logging.get_logger("optuna.warner").warning("%s is sampled independently", name)
        return super().sample_independent(study, trial, name, distribution)


def test_a_warning_for_each_decision_is_one_line() -> None:
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    keeper, logger = Keeper(), logging.getLogger("optuna")
    logger.addHandler(keeper)
    try:
        for _ in range(2):
            asked = OptunaSampler(_Warner(seed=0), [])
            choose = asked.ask()
            for number in range(20):
                assert choose(f"[{number}]", ("a", "b", "c")) in (0, 1, 2)
    finally:
        logger.removeHandler(keeper)
    assert lines == ["[0] is sampled independently"]
    assert not keeper.filters


@pytest.mark.parametrize(
    ("sampler", "alone"),
    [
        (optuna.samplers.CmaEsSampler(seed=0), True),  # no decision is a number
        (optuna.samplers.RandomSampler(seed=0), False),
        (optuna.samplers.TPESampler(seed=0), False),  # its own way, without a relative one
        (optuna.samplers.TPESampler(seed=0, multivariate=True, n_startup_trials=0), False),
    ],
)
def test_decisions_of_the_independent_sampler_are_known(
    sampler: optuna.samplers.BaseSampler, alone: bool
) -> None:
    asked = OptunaSampler(sampler, [])
    for number in range(3):
        choose = asked.ask()
        decision = choose("[0]", ("a", "b", "c"))
        assert asked.drew_alone is alone
        asked.tell("over_budget" if number else "duplicate", {"[0]": decision}, {"[0]": 3})
