"""What is expected of designs by their features, against a truth that the test has made up."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from collections.abc import Iterator

import pandas as pd
import pytest
from test_study import _candidate, _epoch, _identity

from lightsearch import Budget, Candidate, default_space, parse_recipe, search
from lightsearch.network.cost import cost
from lightsearch.space import Sampler
from lightsearch.study.expectations import FEWEST, LATEST, expect, list_choices, measure_choices
from lightsearch.study.means import tabulate_means
from lightsearch.study.trial import Trial

SHAPE, CLASSES, TOTAL = (1, 8, 8), 10, 10_000
SEED_SD = 0.1  # of the logarithm of the error, as on MNIST


def truth(params: int) -> float:
    """The logarithm of the error of a design: a line in the logarithm of its parameters."""
    return -5.1 - 0.8 * (math.log(params) - 7)


def correct(level: float) -> int:
    return round(TOTAL * (1 - math.exp(level)))


def run(level: float, *, length: int = 3) -> tuple:
    """A curve that ends at a level: half an e-fold above it, a tenth, and there."""
    return tuple(
        dataclasses.replace(_epoch(epoch, correct(level + above)), total=TOTAL)
        for epoch, above in zip(range(1, length + 1), (0.5, 0.1, 0.0), strict=False)
    )


def made_up(*, whole: int = 60, count: int = 60) -> Iterator[tuple[Trial, float]]:
    """Trials with their true accuracies. All but the first `whole` are pruned after one epoch."""
    sampler = Sampler(default_space(SHAPE, CLASSES), SHAPE, CLASSES, Budget(params=4000))
    generator = random.Random(0)
    for number in range(count):
        _, design = sampler.draw(generator)
        params = cost(design, SHAPE, CLASSES).params
        candidate = _candidate(number, design=str(design), params=params, fingerprint=str(number))
        level = truth(params) + generator.gauss(0, SEED_SD)
        curve = run(level, length=3 if number < whole else 1)
        outcome = "complete" if number < whole else "pruned"
        yield Trial(candidate, curve, outcome), 1 - math.exp(truth(params))  # type: ignore[arg-type]


def tabulate(trials: list[Trial], runs: dict | None = None) -> pd.DataFrame:
    return tabulate_means(trials, _identity(recipe="recipe()"), runs or {}, (SHAPE, CLASSES))


def error(table: pd.DataFrame, column: str, true: list[float]) -> float:
    """The root mean square error of a column, in points."""
    wrong = [100 * (row[column] - true[row["trial"]]) for _, row in table.iterrows()]
    return math.sqrt(statistics.fmean(one * one for one in wrong))


@pytest.mark.parametrize("whole", [60, 10])
def test_what_is_expected_is_nearer_to_the_truth_than_one_run(whole: int) -> None:
    trials, true = map(list, zip(*made_up(whole=whole), strict=True))
    table = tabulate(trials)
    assert len(table) == whole  # pruned ones have no row, but teach
    assert error(table, "shrunken", true) < 0.8 * error(table, "mean", true)
    plain = tabulate_means(trials, _identity(recipe="recipe()"), {})
    assert error(table, "shrunken", true) < 0.9 * error(plain, "shrunken", true)
    assert (
        "what a design's features predict, around which designs differ by"
        in table.attrs["protocol"]
    )
    assert "towards" in plain.attrs["protocol"] and "features" not in plain.attrs["protocol"]


def test_many_fresh_seeds_outweigh_what_was_expected() -> None:
    trials, true = map(list, zip(*made_up(), strict=True))
    best = max(range(60), key=lambda number: true[number])
    bad = math.log(1 - true[best]) + 1  # nothing of its features says so
    candidate = trials[best].candidate
    fresh = {(candidate.design, candidate.recipe): tuple(run(bad) for _ in range(20))}
    table = tabulate(trials, fresh).set_index("trial")
    row = table.loc[best]
    assert row["seeds"] == 21
    assert abs(row["shrunken"] - row["mean"]) < 0.2 * (true[best] - row["mean"])
    assert table.index[-1] == best != tabulate(trials)["trial"].iloc[-1]


def test_of_few_trials_nothing_is_expected() -> None:
    trials = [trial for trial, _ in made_up(count=FEWEST)]
    known = expect(trials, {}, 3, "recipe()", (SHAPE, CLASSES))
    assert set(known) == set(range(FEWEST))
    assert expect(trials[1:], {}, 3, "recipe()", (SHAPE, CLASSES)) == {}
    assert "features" not in tabulate(trials[1:]).attrs["protocol"]


def test_unknown_layers_and_diverged_trials_are_left_out() -> None:
    trials = [trial for trial, _ in made_up(count=12)]
    foreign = dataclasses.replace(trials[3].candidate, design="my_layer(8) gap linear(10)")
    trials[3] = dataclasses.replace(trials[3], candidate=foreign)
    last = dataclasses.replace(trials[4].epochs[-1], train_loss=math.nan)
    trials[4] = dataclasses.replace(trials[4], epochs=(*trials[4].epochs[:-1], last))
    known = expect(trials, {}, 3, "recipe()", (SHAPE, CLASSES))
    assert set(known) == set(range(12)) - {3, 4}
    table = tabulate(trials)
    assert len(table) == 12  # by their runs alone, as if nothing were expected
    assert "features" not in table.attrs["protocol"]
    assert expect(trials, {}, 3, "recipe(optimizer=mine)", (SHAPE, CLASSES)) == {}


def test_what_is_expected_of_easy_images_is_a_share() -> None:
    """The last trial is nearly always right, and more is expected of its features."""
    trials = [trial for trial, _ in made_up(count=12)]
    easy = [
        dataclasses.replace(one, epochs=run(-9 - 0.2 * number))
        for number, one in enumerate(trials)
    ]
    shares = tabulate(easy)["shrunken"]
    assert 0.99 < shares.min() and shares.max() <= 1


def test_a_search_that_completed_nothing_expects_nothing() -> None:
    trials = [trial for trial, _ in made_up(whole=0, count=12)]
    assert expect(trials, {3: [0.99]}, 3, "recipe()", (SHAPE, CLASSES)) == {}


def test_of_a_large_study_the_latest_and_the_whole_are_seen() -> None:
    one = next(made_up())[0]
    again: list[Candidate] = [
        dataclasses.replace(one.candidate, number=number) for number in range(LATEST + 5)
    ]
    trials = [Trial(candidate, one.epochs, "complete") for candidate in again]
    known = expect(trials, {2: [0.9]}, 3, "recipe()", (SHAPE, CLASSES))
    assert set(known) == {2, *range(5, LATEST + 5)}


def test_a_choice_of_the_recipe_is_a_feature_for_each_option_but_the_first() -> None:
    choices = list_choices(parse_recipe("recipe(lr=0.1|0.2|0.4,ema=0.9|0.99)"))
    assert sorted(choices.values()) == [2, 3]
    spent = cost("conv(8) gap linear(10)", SHAPE, CLASSES)
    (rate,) = (path for path, count in choices.items() if count == 3)
    plain = measure_choices(spent, {path: 0 for path in choices}, choices)
    other = measure_choices(spent, {**{path: 0 for path in choices}, rate: 2}, choices)
    assert len(plain) == len(measure_choices(spent, {}, {})) + 3
    assert sum(plain[-3:]) == 0 and sorted(other[-3:]) == [0, 0, 1]


def test_the_best_of_a_result_is_the_hit_of_which_most_is_expected(tmp_path) -> None:
    result = search(
        8000, 15, engine="surrogate", trials=12, study=tmp_path / "s", workers=1, quiet=True
    )
    hits = set(result.leaderboard["trial"])
    means = result.means()
    assert "features" in means.attrs["protocol"]
    first = next(trial for trial in means["trial"] if trial in hits)
    assert len(hits) > 3 and result.best is not None and result.best["trial"] == first
    assert result.leaderboard.loc[result.best.name, "trial"] == first  # its rank, as in others
    assert list(means["shrunken"]) == sorted(means["shrunken"], reverse=True)
