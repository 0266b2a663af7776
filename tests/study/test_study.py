"""The study's parts without training: pruning, proposals, the journal, the folder."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import re
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.trial import TrialState

from lightsearch import Budget, parse, parse_recipe
from lightsearch.design.parts import Space
from lightsearch.engines.engine import State
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.network.cost import Cost, cost
from lightsearch.searching.gate import count_options
from lightsearch.searching.proposals import Exhausted, Proposer
from lightsearch.searching.pruning import (
    HalvingPruner,
    PredictedPruner,
    RungPruner,
    TargetPruner,
    make_pruner,
)
from lightsearch.study.disk import load_state, save_state
from lightsearch.study.identity import Identity, default_folder
from lightsearch.study.journal import read_trials
from lightsearch.study.study import Study
from lightsearch.study.trial import Candidate, Counts, Trial, reaches, to_fraction, versions
from lightsearch.training.epoch_result import EpochResult

SPACE = parse(
    "conv(4|6|8|10|12|16) [conv(6|8) | separable(8|12|16|20)] maxpool "
    "separable(8|12|16|24)? gap linear(10)"
)
RECIPE = parse_recipe("recipe(lr=0.1|0.2)")
SHAPE = (1, 28, 28)


def _epoch(epoch: int, correct: int) -> EpochResult:
    return EpochResult(epoch, 0.5, 900, 1000, correct, correct, 1000, 0.1, 1.0)


def _candidate(number: int, **more: object) -> Candidate:
    fields = {
        "number": number,
        "design": f"conv({number + 1}) gap linear(10)",
        "recipe": "recipe()",
        "decisions": {"[0].out": number % 3},
        "options": {"[0].out": 3},
        "seed": number,
        "fingerprint": f"{number:016x}",
        "params": 100 + number,
        "macs": 1000,
        "activation_bytes": 400,
        "receptive_field": 3,
        "slot": 0,
        "start": 0,
        "work": 10,
        "counts": Counts(drawn=number + 1),
        "versions": versions(),
    }
    return Candidate(**{**fields, **more})  # type: ignore[arg-type]


def _identity(**more: object) -> Identity:
    fields = {
        "budget": Budget(params=8000),
        "epochs": 3,
        "target": to_fraction(0.9),
        "space": "s",
        "recipe": "r",
        "dataset": "digits",
        "checksum": "c",
        "sampler": "tpe",
        "pruner": "none",
        "workers": 1,
        "seed": 0,
        "device": "cpu",
    }
    return Identity(**{**fields, **more})  # type: ignore[arg-type]


def _nop() -> optuna.pruners.BasePruner:
    return optuna.pruners.NopPruner()


# Hits are exact ---------------------------------------------------------------------------------


def test_a_hit_is_compared_as_a_fraction() -> None:
    assert not 9940 / 10000 >= 99.4 / 100  # what floating point says
    assert reaches(EpochResult(1, 0, 0, 1, 9940, 0, 10000, 0, 0), to_fraction(0.994))
    assert not reaches(EpochResult(1, 0, 0, 1, 9939, 0, 10000, 0, 0), to_fraction(0.994))


# Pruning: a fake ask, report, tell --------------------------------------------------------------


def _pruned_at(
    pruner: optuna.pruners.BasePruner, before: list[list[float]], curve: list[float]
) -> int | None:
    """The epoch after which a trial with this curve is pruned, behind complete ones."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for values in before:
        trial = study.ask()
        for epoch, value in enumerate(values, 1):
            trial.report(value, epoch)
        study.tell(trial, values[-1])
    trial = study.ask()
    for epoch, value in enumerate(curve, 1):
        trial.report(value, epoch)
        if trial.should_prune():
            return epoch
    return None


RISING = [0.90, 0.93, 0.95, 0.96, 0.97]  # from epoch 3 on, two points to come


@pytest.mark.parametrize(
    ("target", "curve", "at"),
    [
        (0.97, [0.90, 0.91, 0.929, 0.95, 0.96], 3),  # 0.929 + 2 * 0.02 < 0.97
        (0.97, [0.90, 0.91, 0.931, 0.949, 0.96], 4),  # 0.949 + 2 * 0.01 < 0.97
        (0.97, [0.90, 0.91, 0.931, 0.951, 0.96], 5),  # nothing more is to come
        (0.97, [0.10, 0.20, 0.95, 0.96, 0.97], None),  # not before the warm-up
        (0.995, RISING, 3),
        (0.95, [0.90, 0.93, 0.95, 0.96, 0.97], None),
    ],
)
def test_the_target_pruner_asks_whether_the_target_can_be_reached(target, curve, at) -> None:
    assert _pruned_at(TargetPruner(target), [RISING] * 3, curve) == at


FALLING = [0.90, 0.97, 0.98, 0.96, 0.97]  # ends 0.01 above its last three epochs' lowest


@pytest.mark.parametrize(
    ("consistent", "curve", "at"),
    [
        (None, [0.90, 0.92, 0.94, 0.95, 0.96], 3),  # no rise from epoch 3 on: it had the best
        (3, [0.90, 0.92, 0.955, 0.97, 0.97], 3),  # epoch 3 counts, and is below already
        (2, [0.90, 0.92, 0.94, 0.96, 0.959], 3),  # the two last are no higher than epoch 3
        (3, [0.90, 0.92, 0.96, 0.959, 0.97], 4),
        (1, [0.90, 0.92, 0.96, 0.96, 0.959], 5),
        (3, [0.90, 0.92, 0.96, 0.96, 0.96], None),
    ],
)
def test_the_target_pruner_asks_for_what_is_a_hit(consistent, curve, at) -> None:
    pruner = make_pruner("target", to_fraction(0.96), 5, consistent)
    assert _pruned_at(pruner, [FALLING] * 3, curve) == at


def test_the_target_pruner_takes_the_rise_to_the_lowest_of_the_last_epochs() -> None:
    slow = [0.80, 0.81, 0.82, 0.96, 0.95]  # from epoch 3 to the lowest of the last two: 0.13
    for start, at in ((0.701, None), (0.699, 3)):
        curve = [0.1, 0.2, start, 0.97, 0.97]
        assert _pruned_at(TargetPruner(0.96, consistent=2), [slow] * 3, curve) == at


def test_the_target_pruner_waits_for_complete_trials() -> None:
    hopeless = [0.1] * 5
    assert _pruned_at(TargetPruner(0.97), [RISING] * 2, hopeless) is None
    assert _pruned_at(TargetPruner(0.97), [RISING] * 3, hopeless) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"target": 0.0}, "`target` must be a number above 0"),
        ({"target": 1.5}, r"at most 1, but got target=1\.5"),
        ({"target": 0.9, "warmup": -1}, "`warmup` must be >= 0, but got warmup=-1"),
        ({"target": 0.9, "slack": -0.1}, "`slack` must be >= 0"),
    ],
)
def test_the_target_pruner_validates(bad, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        TargetPruner(**bad)


def test_pruners_by_name_and_a_users_own() -> None:
    own = optuna.pruners.PercentilePruner(25.0)
    assert make_pruner(own, 0.9, 15) is own
    names = {
        "predicted": PredictedPruner,
        "rungs": RungPruner,
        "target": TargetPruner,
        "median": optuna.pruners.MedianPruner,
        "halving": HalvingPruner,
        "none": optuna.pruners.NopPruner,
    }
    for name, kind in names.items():
        assert type(make_pruner(name, 0.9, 15)) is kind
    with pytest.raises(ArgumentError, match="`pruner` must be one of predicted"):
        make_pruner("best", 0.9, 15)


def _study_of(curves: list[list[float]], pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """A study whose trials are complete, with these accuracies by epoch."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for curve in curves:
        values = dict(enumerate(curve, 1))
        study.add_trial(optuna.trial.create_trial(value=curve[-1], intermediate_values=values))
    return study


def _is_pruned(study: optuna.Study, curve: list[float]) -> bool:
    trial = study.ask()
    for epoch, accuracy in enumerate(curve, 1):
        trial.report(accuracy, epoch)
    return trial.should_prune()


CURVES = [[0.95, 0.97, 0.98 + n / 1000, *[0.99 + n / 1000] * 12] for n in range(4)]


def test_a_trial_stops_whose_lucky_end_is_below_the_target() -> None:
    study = _study_of(CURVES, PredictedPruner(0.994, 15))
    assert _is_pruned(study, [0.9, 0.92, 0.93])
    assert not _is_pruned(study, [0.9, 0.92, 0.984])
    assert not _is_pruned(study, [0.9, 0.92])  # before a fifth of the epochs
    assert not _is_pruned(_study_of(CURVES[:2], PredictedPruner(0.994, 15)), [0.9, 0.92, 0.93])
    assert not _is_pruned(_study_of(CURVES, PredictedPruner(0.9, 15)), [0.9, 0.92, 0.93])
    # of few images the counts are less certain
    doubtful = [0.95, 0.97, 0.974]
    assert _is_pruned(_study_of(CURVES, PredictedPruner(0.996, 15)), doubtful)
    assert not _is_pruned(_study_of(CURVES, PredictedPruner(0.996, 15, images=100)), doubtful)
    # it must hold in the last epochs: one good epoch does not count
    peaks = [[0.95, 0.97, 0.98, 0.995, *[0.98] * 11] for _ in range(4)]
    assert not _is_pruned(_study_of(peaks, PredictedPruner(0.994, 15)), [0.95, 0.97, 0.98])
    lasting = PredictedPruner(0.994, 15, consistent=3)
    assert _is_pruned(_study_of(peaks, lasting), [0.95, 0.97, 0.98])


@pytest.mark.parametrize(("clean", "stops"), [(0, True), (4, False)])
def test_clean_epochs_raise_what_is_low(clean: int, stops: bool) -> None:
    curves = [
        [0.97, 0.98, *[0.9940 + n / 1e4] * 9, *[0.9950 + n / 1e4] * 4] for n in (0, 1, -1, 0)
    ]
    study = _study_of(curves, PredictedPruner(0.994, 15, clean=clean))
    assert _is_pruned(study, [0.97, 0.98, *[0.9915] * 7]) is stops
    assert _is_pruned(
        study, [0.97, 0.98, *[0.9915] * 10]
    )  # they have begun, and it is still there
    assert not _is_pruned(study, [0.97, 0.98, *[0.9935] * 7])


def test_the_best_go_on_after_each_rung() -> None:
    curves = [[0.5 + n / 100, 0.7, 0.90 + n / 100, 0.99] for n in range(29)]
    study = _study_of(curves, RungPruner(15))
    assert _is_pruned(study, [0.769])  # the third of thirty, of which two go on
    assert not _is_pruned(study, [0.77])
    assert _is_pruned(study, [0.78, 0.7, 1.03])  # below half of those that came as far
    assert not _is_pruned(study, [0.78, 0.7, 1.05])
    assert not _is_pruned(study, [0.78, 0.1])  # between
    assert not _is_pruned(study, [0.78, 0.7, 1.05, 0.1])  # and after
    assert _is_pruned(_study_of(curves[:5], RungPruner(15)), [0.539])  # at least the best one
    assert not _is_pruned(_study_of(curves[:5], RungPruner(15)), [0.54])
    thirds = RungPruner(15, (1 / 3, 1 / 3))
    assert not _is_pruned(_study_of(curves[:5], thirds), [0.535])
    assert _is_pruned(_study_of(curves[:5], thirds), [0.525])
    assert not _is_pruned(_study_of([], RungPruner(15)), [0.1])  # the first trial
    assert _is_pruned(_study_of(curves[:1], RungPruner(15)), [0.1])
    assert not _is_pruned(_study_of(curves[:2], RungPruner(15, first=3)), [0.1])
    assert RungPruner(30).shares == {2: 1 / 15, 6: 1 / 2}
    assert RungPruner(4).shares == {1: 1 / 2}


@pytest.mark.parametrize("first", [1, 2, 3])
def test_halving_decides_as_optunas_does_and_leaves_no_note(first: int) -> None:
    pruners = (
        HalvingPruner(first),
        optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=2),
    )
    generator = random.Random(first)
    curves = [[generator.randrange(8) / 8 for _ in range(13)] for _ in range(60)]
    ends, studies = [], [optuna.create_study(direction="maximize", pruner=p) for p in pruners]
    for study in studies:
        running = [study.ask() for _ in range(3)]
        for number in range(len(curves)):  # three at a time
            trial, *running = [*running, study.ask()]
            ends.append((number, _end_of(study, trial, curves[number])))
    assert ends[:60] == ends[60:]
    assert {end for _, end in ends} >= {first, 2 * first, 13}
    assert all(not t.system_attrs for t in studies[0].trials)


def _end_of(study: optuna.Study, trial: optuna.Trial, curve: list[float]) -> int:
    for epoch, value in enumerate(curve, 1):
        trial.report(value, epoch)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, curve[-1])
    return len(curve)


# Proposals --------------------------------------------------------------------------------------


WIDE = parse(
    "conv(4|6|8|12) [conv(6|8|12) | separable(8|12|16)]? maxpool [conv(6|8|12) | "
    "separable(8|12|16|24)] [conv(6|8|12) | separable(8|12|16|24)]? gap linear(10)"
)


def _proposer(
    sampler: object = "tpe",
    params: int = 900,
    seed: int = 1,
    space: Space = SPACE,
    workers: int = 1,
    startup: int | None = None,
) -> Proposer:
    return Proposer(
        space,
        RECIPE,
        shape=SHAPE,
        classes=10,
        budget=Budget(params=params),
        sampler=sampler,
        seed=seed,
        startup=startup,
        epochs=1,
        workers=workers,
    )


def _search(
    proposer: Proposer, count: int, score: Callable[[Cost], int] = lambda spent: spent.params
) -> list[Trial]:
    """Proposals with made-up results: by default the more parameters, the better."""
    trials: list[Trial] = []
    counts = Counts()
    for number in range(count):
        made, counts = proposer.propose(trials, counts)
        candidate = _candidate(
            number,
            design=str(made.design),
            recipe=str(made.recipe),
            decisions=made.decisions,
            options=count_options(made.options),
            fingerprint=made.fingerprint,
            params=made.cost.params,
            macs=made.cost.macs,
            counts=counts,
            proposed_by=made.by,
        )
        trials.append(Trial(candidate, (_epoch(1, score(made.cost)),), "complete"))
    return trials


SAMPLERS = ["model", "near-cap", "uniform", "random", "evolution", "tpe"]


@pytest.mark.parametrize("sampler", [*SAMPLERS, optuna.samplers.RandomSampler(seed=1)])
def test_proposals_are_within_the_budget_and_never_twice(sampler) -> None:
    trials = _search(_proposer(sampler), 25)
    assert all(cost(parse(t.candidate.design), SHAPE, 10).params <= 900 for t in trials)
    assert len({(t.candidate.fingerprint, t.candidate.recipe) for t in trials}) == 25
    counts = trials[-1].candidate.counts
    rejected = counts.over_budget + counts.invalid + counts.duplicate + counts.too_small
    if sampler == "model":  # whose pools have more candidates than it takes
        assert counts.drawn > 25 + rejected
    else:
        assert counts.drawn == 25 + rejected


@pytest.mark.parametrize("sampler", ["model", "evolution", "tpe"])
def test_a_proposal_depends_on_seed_and_history_alone(sampler: str) -> None:
    first, second = _search(_proposer(sampler), 14), _search(_proposer(sampler), 14)
    assert [t.candidate.design for t in first] == [t.candidate.design for t in second]
    again, _ = _proposer(sampler).propose(first[:11], Counts())
    assert str(again.design) == first[11].candidate.design
    other = _search(_proposer(sampler, seed=2), 14)
    assert [t.candidate.design for t in first] != [t.candidate.design for t in other]


@pytest.mark.parametrize("sampler", ["model", "near-cap", "evolution"])
def test_designs_near_the_cap_come_first(sampler: str) -> None:
    trials = _search(_proposer(sampler, 3000, space=WIDE), 20)
    assert all(0.88 * 3000 <= t.candidate.params <= 3000 for t in trials)
    assert [t.candidate.proposed_by for t in trials[:8]] == ["near-cap"] * 8
    later = {t.candidate.proposed_by for t in trials[8:]}
    expected = {"near-cap": {"near-cap"}, "evolution": {"mutation"}}
    assert later <= expected.get(sampler, {"mutation", "crossing", "near-cap"})


@pytest.mark.parametrize("startup", [0, 3, None])
@pytest.mark.parametrize("sampler", ["tpe", "evolution", optuna.samplers.RandomSampler(seed=1)])
def test_a_sampler_is_asked_after_the_startup(sampler: Any, startup: int | None) -> None:
    trials = _search(_proposer(sampler, 3000, space=WIDE, startup=startup), 10)
    drawn = [t.candidate.proposed_by in ("near-cap", "uniform") for t in trials]
    first = 8 if startup is None else startup
    # with no trial to vary, evolution draws, and says so
    assert drawn[max(first, 1) :] == [False] * (10 - max(first, 1)) and all(drawn[:first])
    if startup == 0:
        said = trials[0].candidate.proposed_by
        assert said == {
            "tpe": "tpe",
            "evolution": "near-cap, since evolution found nothing new",
        }.get(sampler if isinstance(sampler, str) else "", "RandomSampler")


@pytest.mark.needs("cmaes")
def test_cma_es_is_named_as_what_made_a_trial_and_warns_once() -> None:
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    keeper, logger = Keeper(), logging.getLogger("optuna")
    logger.addHandler(keeper)
    try:
        trials = _search(_proposer(optuna.samplers.CmaEsSampler(seed=1), 3000, startup=2), 8)
    finally:
        logger.removeHandler(keeper)
    assert [t.candidate.proposed_by for t in trials] == ["uniform"] * 2 + [
        "CmaEsSampler, its independent sampler"
    ] * 6
    assert len(lines) <= 1 and len(set(lines)) == len(lines)


def test_a_space_far_below_the_cap_is_drawn_from_as_a_whole() -> None:
    trials = _search(_proposer("near-cap", 10**6), 12)
    assert {t.candidate.proposed_by for t in trials} == {"uniform"}


@pytest.mark.parametrize("sampler", ["model", "evolution"])
def test_what_was_trained_teaches(sampler: str) -> None:
    """Made-up results: the more MACs, the better."""
    early, late = [], []
    for seed in range(4):
        found = _search(_proposer(sampler, 3000, seed, WIDE), 24, lambda spent: spent.macs // 1500)
        macs = [t.candidate.macs for t in found]
        early += macs[:8]
        late += macs[16:]
    assert statistics.mean(late) > 1.1 * statistics.mean(early)


def test_many_workers_share_the_model_of_a_block_of_trials() -> None:
    """What runs, and what ended since the last whole block, changes no model."""

    def propose(trials: list[Trial]) -> str:
        made, _ = _proposer("model", 3000, space=WIDE, workers=128).propose(trials, Counts())
        return str(made.design)

    proposer = _proposer("model", 3000, space=WIDE, workers=128)
    trials = _search(proposer, 120, lambda spent: spent.macs // 1500)
    model, _ = proposer._learner.learn(trials[:100]) or (None, [])
    assert model is not None and (proposer._learner.learn(trials) or [])[0] is model
    for number in (60, 110):
        assert propose(trials[:number]) == trials[number].candidate.design
    running = [dataclasses.replace(trial, outcome="running") for trial in trials[100:119]]
    assert propose([*trials[:100], *running]) == propose(trials[:119])
    waiting = [*trials[:99], dataclasses.replace(trials[99], outcome="running")]
    shorter, _ = proposer._learner.learn(waiting) or (None, [])
    assert shorter is not model
    assert (proposer._learner.learn(trials[:50]) or [])[0] is shorter


def test_tpe_learns_where_random_does_not() -> None:
    late = {
        s: sum(
            t.candidate.params
            for seed in range(4)
            for t in _search(_proposer(s, seed=seed), 24)[12:]
        )
        / 48
        for s in ("tpe", "random")
    }
    assert late["tpe"] > late["random"]


def test_tpe_is_asked_after_eight_uniform_draws_and_not_before() -> None:
    """Its own number of draws at random would come on top: of it, nothing is to be seen."""
    differ = 0
    for seed in range(4):
        trials = _search(_proposer(seed=seed), 8)
        uniform = _search(_proposer("random", seed=seed), 8)
        assert [t.candidate.design for t in trials] == [t.candidate.design for t in uniform]
        turned = [
            Trial(t.candidate, (_epoch(1, 1000 - t.candidate.params),), "complete") for t in trials
        ]
        made, other = (
            _proposer(seed=seed).propose(history, Counts())[0] for history in (trials, turned)
        )
        differ += made.decisions != other.decisions
    assert differ  # the ninth depends on what was trained


@pytest.mark.slow
def test_what_is_near_the_cap_is_not_all_there_is() -> None:
    names = [t.candidate.proposed_by for t in _search(_proposer("near-cap", 600), 60)]
    assert len(names) == 60
    assert names[0] == "near-cap" and names[-1] == "uniform, since nothing near the cap is new"


def test_an_exhausted_space_ends() -> None:
    proposer = Proposer(
        parse("conv(4|6) gap linear(10)"),
        parse_recipe("recipe(lr=0.1)"),
        shape=SHAPE,
        classes=10,
        budget=Budget(params=900),
        sampler="tpe",
        seed=0,
        epochs=1,
    )
    trials = _search(proposer, 2)
    with pytest.raises(Exhausted, match="trained already"):
        proposer.propose(trials, Counts())


# The journal ------------------------------------------------------------------------------------


STATE = {"model.w": torch.arange(6.0)}


def _commit(study: Study, number: int, epoch: int, correct: int) -> None:
    done: Future[tuple[State, EpochResult]] = Future()
    done.set_result((STATE, _epoch(epoch, correct)))
    study.save_when_done(number, done).result()
    study.commit(number, _epoch(epoch, correct))


def test_what_is_committed_is_read_back(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        for number in range(3):
            study.begin(_candidate(number))
        _commit(study, 0, 1, 800)
        _commit(study, 0, 2, 700)
        study.end(0, "complete")
        _commit(study, 1, 1, 500)
        study.end(1, "pruned")
        _commit(study, 2, 1, 600)
        kept = list(study.trials)
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        assert study.trials == kept
        assert [t.outcome for t in study.trials] == ["complete", "pruned", "running"]
        state, epochs = study.state(2)
        assert epochs == 1 and state is not None
        assert torch.equal(state["model.w"], STATE["model.w"])
        _commit(study, 2, 2, 650)  # goes on
        study.end(2, "complete")
    assert read_trials(tmp_path / "s")[2].epochs == (_epoch(1, 600), _epoch(2, 650))
    assert not list((tmp_path / "s" / "states").iterdir())
    assert sorted(p.name for p in (tmp_path / "s" / "weights").iterdir()) == [
        f"trial-0000{n}.safetensors" for n in range(3)
    ]


def test_a_journal_cut_at_any_byte_opens_and_loses_only_what_was_cut(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        for number in range(2):
            study.begin(_candidate(number))
            for epoch in (1, 2):
                _commit(study, number, epoch, 100 * epoch)
        study.end(0, "complete")
    journal = tmp_path / "s" / "journal.log"
    whole = journal.read_bytes()
    expected = read_trials(tmp_path / "s")
    for cut in range(len(whole), 300, -97):
        journal.write_bytes(whole[:cut])
        if not read_trials(tmp_path / "s"):  # both have weights: to begin anew would cost them
            with (
                pytest.raises(
                    StudyError, match=r"it has 0, and weights .* are of 2 or more: bring"
                ),
                Study.open(tmp_path / "s", _identity(), _nop()),
            ):
                pass
            continue
        with Study.open(tmp_path / "s", _identity(), _nop()) as study:
            found = list(study.trials)
            for trial, full in zip(found, expected, strict=False):
                assert trial.epochs == full.epochs[: len(trial.epochs)]
            study.begin(_candidate(len(found)))  # the next write is whole again
        assert len(read_trials(tmp_path / "s")) == len(found) + 1


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("left", ["weights", "leaderboard.csv"])
def test_a_study_whose_journal_is_gone_is_not_begun_anew(tmp_path: Path, change, left) -> None:
    """It would replace leaderboard.csv, which errors say still has the rows."""
    folder = tmp_path / "s"
    with Study.open(folder, _identity(), _nop()) as study:
        study.begin(_candidate(0))
        _commit(study, 0, 1, 900)
    if left == "leaderboard.csv":
        shutil.rmtree(folder / "weights")
        (folder / left).write_text("rank,trial,design\nmine\n1,0,x\n2")  # a note, a torn line
    before = sorted(path.name for path in folder.rglob("*"))
    change(folder / "journal.log")
    with (
        pytest.raises(StudyError, match=r"must have the study's trials, but it has 0"),
        Study.open(folder, _identity(), _nop()),
    ):
        pass
    after = sorted(path.name for path in folder.rglob("*"))
    assert set(before) - set(after) <= {"journal.log"}


def test_a_trial_is_begun_whole_or_not_at_all(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        empty = (tmp_path / "s" / "journal.log").stat().st_size
        study.begin(_candidate(0))
    journal = tmp_path / "s" / "journal.log"
    whole = journal.read_bytes()
    assert whole[empty:].count(b"\n") == 1
    for cut in (empty, empty + 1, (empty + len(whole)) // 2, len(whole) - 1):
        journal.write_bytes(whole[:cut])
        with Study.open(tmp_path / "s", _identity(), _nop()) as study:
            assert study.trials == []
            study.begin(_candidate(0))
            assert [t.state for t in study._record.study.trials] == [TrialState.RUNNING]


def test_a_journal_before_its_first_line_has_no_trials_yet(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()):
        pass
    (tmp_path / "s" / "journal.log").write_bytes(b"")
    assert read_trials(tmp_path / "s") == []
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
    assert len(read_trials(tmp_path / "s")) == 1


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    """By us, by Optuna's lock and by safetensors, which writes beside and renames."""
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
        _commit(study, 0, 1, 100)
    kept = {path for path in (tmp_path / "s").rglob("*") if path.is_file()}
    for name in (
        "journal.log.lock",
        "journal.log.lock1f.rename",
        "weights/.tmpAb",
        ".tmpAb",
        "states/.tmpAb",
        "weights/trial-00000.safetensors.best.part",
        "study.json.part",
        "states/trial-00007-epoch-0001.safetensors",
    ):
        (tmp_path / "s" / name).write_text("")
    with Study.open(tmp_path / "s", _identity(), _nop()):
        pass
    assert {path for path in (tmp_path / "s").rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize("asked", [False, True])
def test_what_earlier_versions_left_half_begun_is_no_trial(tmp_path: Path, asked: bool) -> None:
    """They wrote a trial in many lines: nothing of it is left running for ever."""
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study._record.study.enqueue_trial({})
        if asked:
            study._record.study.ask()
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        assert study.trials == []
        study.begin(_candidate(0))
        states = [t.state for t in study._record.study.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING]


def test_what_is_synced_before_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []  # what, and how long the journal was then
    real, file_ = os.fsync, tmp_path / "journal.log"

    def noted(file: int) -> None:
        real(file)
        synced.append((Path(f"/proc/self/fd/{file}").readlink().name, file_.stat().st_size))

    with Study.open(tmp_path, _identity(), _nop()) as study:
        study.begin(_candidate(0))
        study.sync()
        before = file_.stat().st_size
        monkeypatch.setattr(os, "fsync", noted)
        _commit(study, 0, 1, 9000)
        study.sync(at_once=False)  # too early: others may come
        assert synced == [
            ("trial-00000-epoch-0001.safetensors.part", before),
            ("trial-00000-epoch-0001.part.part", before),
        ]
        study.sync()
        after = file_.stat().st_size
        assert synced[2:] == [("weights", after), ("journal.log", after)] and after > before


def test_weights_whose_epoch_was_committed_get_their_name_after_a_kill(tmp_path: Path) -> None:
    """As if killed between the line and the name; of an epoch without a line there is nothing."""
    folder, best = tmp_path / "s", {"w": torch.arange(3.0)}
    with Study.open(folder, _identity(), _nop()) as study:
        for number in range(2):
            study.begin(_candidate(number))
            _commit(study, number, 1, 100)
            _commit(study, number, 2, 200)
        named = [study._files.weights_path(number) for number in range(2)]
    before = named[1].read_bytes()
    for name in ("trial-00000-epoch-0002", "trial-00001-epoch-0003", "trial-00007-epoch-0001"):
        save_state(folder / "weights" / f"{name}.part", best)
    with Study.open(folder, _identity(), _nop()):
        found = load_state(named[0])
        assert found is not None and torch.equal(found["w"], best["w"])
        assert named[1].read_bytes() == before
        assert sorted((folder / "weights").iterdir()) == named


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_weights_of_an_epoch_that_may_be_committed_are_kept(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is there, the call that wrote it did not return: a second Ctrl-C, or a full disk
    in the middle of two lines."""
    folder, journal_ = tmp_path / "s", tmp_path / "s" / "journal.log"

    def broken(logs: list[dict[str, object]]) -> None:
        with journal_.open("a") as file:
            file.write(json.dumps(logs[0], separators=(",", ":")) + "\n")
        raise error("in between")

    with (
        pytest.raises((KeyboardInterrupt, StudyError)),
        Study.open(folder, _identity(), _nop()) as study,
    ):
        study.begin(_candidate(0))
        _commit(study, 0, 1, 100)
        before = study._files.weights_path(0)
        real = study._journal.append_logs
        monkeypatch.setattr(
            study._journal,
            "append_logs",
            lambda logs: (
                broken(logs) if "epoch-0002" in str(logs) and len(logs) > 1 else real(logs)
            ),
        )
        _commit(study, 0, 2, 200)
    old = before.stat().st_ino
    with Study.open(folder, _identity(), _nop()) as study:
        assert [e.epoch for e in study.trials[0].epochs] == [1, 2]
        assert before.stat().st_ino != old
        assert not list(folder.glob("weights/*.part"))


def test_the_best_weights_of_a_trial_that_is_over_have_their_name(tmp_path: Path) -> None:
    with Study.open(tmp_path, _identity(), _nop()) as study:
        study.begin(_candidate(0))
        real = study._files._names.submit
        study._files._names.submit = (  # type: ignore[method-assign]
            lambda name: real(lambda: (time.sleep(0.2), name()))
        )
        _commit(study, 0, 1, 100)
        assert not study._files.weights_path(0).exists()
        study.end(0, "complete")
        assert study._files.weights_path(0).exists()


def test_a_sync_by_and_by_is_by_another_thread_and_its_error_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: list[str] = []

    def failing() -> None:
        by.append(threading.current_thread().name)
        raise OSError("no such disk")

    with (
        pytest.raises(StudyError, match="no such disk"),
        Study.open(tmp_path, _identity(), _nop()) as study,
    ):
        study.begin(_candidate(0))
        study.sync()
        monkeypatch.setattr("lightsearch.study.study.UNSYNCED", 0.0)
        monkeypatch.setattr(study._journal, "sync", failing)
        study.sync(at_once=False)  # returns, whatever becomes of it
        while study._syncing is None or not study._syncing.done():
            time.sleep(0.01)
        assert [name.partition("_")[0] for name in by] == ["lightsearch-files"]
        study.sync(at_once=False)
    assert by[1:] == ["MainThread"]  # tried once more at the end


class _Looking(optuna.pruners.BasePruner):
    """Notes the trials that it is shown."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        self.seen.append([t.number for t in study.get_trials(deepcopy=False)])
        self.seen.append([t.number for t in study.get_trials(states=(TrialState.RUNNING,))])
        return False


def test_a_pruner_sees_the_latest_trials_that_are_over_and_all_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightsearch.study.record.JUDGED", 2)
    looking = _Looking()
    with Study.open(tmp_path, _identity(), looking) as study:
        for number in range(5):
            study.begin(_candidate(number))
            _commit(study, number, 1, 900)
            if number != 3:
                study.end(number, "complete")
        study.should_prune(3)
    with Study.open(tmp_path, _identity(), looking) as study:  # as they were, when read back
        study.should_prune(3)
    assert looking.seen == [[2, 3, 4], [3]] * 2


def test_what_others_write_to_the_journal_is_read_too(tmp_path: Path) -> None:
    """A dashboard's notes, say: the lines after them keep their places."""
    with Study.open(tmp_path, _identity(), _nop()) as study:
        study.begin(_candidate(0))
        path = str(tmp_path / "journal.log")
        other = optuna.load_study(
            study_name=None,
            storage=JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))),
        )
        other.set_user_attr("note", "good")
        _commit(study, 0, 1, 900)
        assert study._record.study.user_attrs == {"note": "good"}
        study.begin(_candidate(1))
        _commit(study, 1, 1, 910)
        study.end(1, "complete")
    assert [
        (t.number, t.outcome, [e.correct for e in t.epochs]) for t in read_trials(tmp_path)
    ] == [(0, "running", [900]), (1, "complete", [910])]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "deleted"),
        (lambda path: os.truncate(path, 100), "cut"),
        (
            lambda path: path.write_bytes(path.rename(path.with_name("old")).read_bytes()),
            "replaced",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:200] + b" " * 9999 + b"\n"),
            "written over",
        ),
        (
            lambda path: path.symlink_to(path.rename(path.with_name("old"))),
            "replaced",
        ),
    ],
)
def test_a_journal_that_is_changed_under_a_search_ends_it_at_the_next_epoch(
    tmp_path: Path, change, said
) -> None:
    """By an editor, a backup, a folder that is kept in step: later epochs would be lost."""
    folder = tmp_path / "s"
    with (
        pytest.raises(
            StudyError,
            match=f"journal.log must not be changed.*it was {said}.*Bring the file back",
        ),
        Study.open(folder, _identity(), _nop()) as study,
    ):
        study.begin(_candidate(0))
        _commit(study, 0, 1, 100)
        change(folder / "journal.log")
        _commit(study, 0, 2, 200)
    if said == "replaced" and not (folder / "journal.log").is_symlink():  # by what it was
        with Study.open(folder, _identity(), _nop()) as study:
            assert [e.epoch for e in study.trials[0].epochs] == [1]
            assert study.state(0)[1] == 1
            _commit(study, 0, 2, 200)


@pytest.mark.parametrize("blank", ["\n", " \t\n\n", "\r\n"])
def test_blank_lines_of_the_journal_are_skipped(tmp_path: Path, blank: str) -> None:
    """An editor's, or a network file system's. At the end they are cut, since plain Optuna cannot
    read past them."""
    folder, path = tmp_path / "s", tmp_path / "s" / "journal.log"
    for number in range(3):
        with Study.open(folder, _identity(), _nop()) as study:
            assert len(study.trials) == number
            study.begin(_candidate(number))
        with path.open("a", newline="") as file:
            file.write(blank)
        assert len(read_trials(folder)) == number + 1
    with Study.open(folder, _identity(), _nop()):
        backend = JournalFileBackend(str(path))
        plain = optuna.load_study(study_name=None, storage=JournalStorage(backend))
        assert len(plain.trials) == 3
    first, rest = path.read_text().split("\n", 1)
    path.write_text(f"{first}\n{blank}{rest}", newline="")
    with Study.open(folder, _identity(), _nop()) as study:
        assert len(study.trials) == 3
        study.begin(_candidate(3))
    assert len(read_trials(folder)) == 4


@pytest.mark.timeout(60)
def test_a_journal_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    with Study.open(tmp_path, _identity(), _nop()):
        pass
    (tmp_path / "journal.log").unlink()
    os.mkfifo(tmp_path / "journal.log")
    with pytest.raises(StudyError, match="must be a regular file"):
        read_trials(tmp_path)
    with (
        pytest.raises(StudyError, match="must be a regular file"),
        Study.open(tmp_path, _identity(), _nop()),
    ):
        pass


def test_states_of_a_trial_that_ended_as_it_was_killed_are_cleared_away(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        for number in range(2):
            study.begin(_candidate(number))
            _commit(study, number, 1, 100)
        kept = study._files.state_path(0, 1)
        state = kept.read_bytes()
        study.end(0, "complete")
    kept.write_bytes(state)  # as if killed before the last line of `end`
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        assert [p.name for p in (tmp_path / "s" / "states").iterdir()] == [
            study._files.state_path(1, 1).name
        ]


def test_a_damaged_state_goes_back_one_epoch(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
        _commit(study, 0, 1, 100)
        _commit(study, 0, 2, 200)
        newest = study._files.state_path(0, 2)
        newest.write_bytes(newest.read_bytes()[:20])
        assert study.state(0)[1] == 1
        study._files.state_path(0, 1).unlink()
        assert study.state(0) == (None, 0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("study.json", "{", "must hold a study's identity"),
        ("study.json", "[]", "must hold a study's identity"),
        ("study.json", '{"format": 99}', "written by a newer lightsearch"),
        ("journal.log", '{"op_code": 99}\n', "damaged"),
        ("journal.log", "garbage\n{}\n", "damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
    path = tmp_path / "s" / name
    path.write_text(text if name == "study.json" else path.read_text() + text)
    with pytest.raises(StudyError, match=message), Study.open(tmp_path / "s", _identity(), _nop()):
        pass


@pytest.mark.parametrize(
    ("was", "became", "field"),
    [
        ('"params":[0-9]+', '"params":"few"', "params must be int, but is 'few'"),
        (
            '"decisions":{[^}]*}',
            '"decisions":[]',
            r"decisions must be dict\[str, int\], but is \[\]",
        ),
        ('"design":"[^"]*","recipe"', '"design":1,"recipe"', "design must be str, but is 1"),
        ('"train_loss":[0-9.]+', '"train_loss":null', "train_loss must be float, but is None"),
    ],
)
def test_a_record_with_values_of_another_kind_is_refused(
    tmp_path: Path, was: str, became: str, field: str
) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
        _commit(study, 0, 1, 900)
    journal_ = tmp_path / "s" / "journal.log"
    text, count = re.subn(was, became, journal_.read_text())
    assert count
    journal_.write_text(text)
    with pytest.raises(StudyError, match=field):
        read_trials(tmp_path / "s")


def test_another_question_is_refused_naming_every_difference(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()):
        pass
    with (
        pytest.raises(StudyError, match="epochs=3 there, 4 asked for; target='9/10' there"),
        Study.open(tmp_path / "s", _identity(epochs=4, target=to_fraction(0.8)), _nop()),
    ):
        pass


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        Study.open(tmp_path / "s", _identity(), _nop()),
        pytest.raises(StudyError, match=r"held by process [0-9]+ on "),
        Study.open(tmp_path / "s", _identity(), _nop()),
    ):
        pass


@pytest.mark.parametrize("name", ["../../up", "/tmp/away", "a\0b", "..", "c:\\x", "x" * 500])
def test_no_name_of_a_data_set_leads_out_of_the_default_folder(name: str) -> None:
    folder = default_folder(dataclasses.replace(_identity(), dataset=name))
    assert folder.parent == Path("lightsearch-studies") and "\0" not in str(folder)
    assert not folder.name.startswith(".") and len(folder.name) < 150
    assert not set("/\\:") & set(folder.name)


def test_the_default_folder_tells_questions_apart() -> None:
    first = default_folder(_identity())
    assert first.parent == Path("lightsearch-studies")
    assert first.name.startswith("digits-p8000-e3-")
    assert default_folder(_identity(workers=7)) == first
    assert "min_receptive_field" not in _identity().to_json()["budget"]  # as in older studies
    wide = _identity(budget=Budget(params=8000, min_receptive_field=45))
    assert "-p8000-r45-" in str(default_folder(wide))
    assert wide.to_json()["budget"]["min_receptive_field"] == 45
    assert default_folder(_identity(seed=1)) != first


def test_a_state_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_state(path, STATE)
    found = load_state(path)
    assert found is not None and torch.equal(found["model.w"], STATE["model.w"])
    assert load_state(tmp_path / "none") is None
    path.write_bytes(b"garbage")
    assert load_state(path) is None
    assert not list(tmp_path.glob("*.part"))


def test_identity_is_plain_json(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", _identity(), _nop()):
        pass
    assert json.loads((tmp_path / "s" / "study.json").read_text())["epochs"] == 3
