"""The means of all runs: what counts, and the figures against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import pytest
from scipy import stats
from test_study import _candidate, _epoch, _identity

from lightsearch.statistics import Sample
from lightsearch.study.confirmations import Confirmation, Terms
from lightsearch.study.identity import Identity
from lightsearch.study.ledger import Ledger
from lightsearch.study.means import COLUMNS, Run, Runs, gather_runs, tabulate_means
from lightsearch.study.trial import Trial


def _run(*correct: int) -> Run:
    return tuple(_epoch(number, count) for number, count in enumerate(correct, 1))


def _trial(number: int, params: int, *correct: int, outcome: str = "complete") -> Trial:
    candidate = _candidate(number, params=params, design=f"d{number}")
    return Trial(candidate, _run(*correct), outcome)  # type: ignore[arg-type]


TRIALS = [
    _trial(0, 500, 880, 910, 920),
    _trial(1, 300, 850, 860, 900),
    _trial(2, 400, 850, 890, 880),
    _trial(3, 200, 901, 890, outcome="pruned"),
    _trial(4, 200, 901, outcome="running"),
]
RUNS: Runs = {
    ("d1", "recipe()"): (_run(900, 910, 910), _run(870, 880, 890)),
    ("d3", "recipe()"): (_run(900, 910, 910),),
    ("d2", "recipe(lr=9)"): (_run(999, 999, 999),),  # another recipe
    ("other", "recipe()"): (_run(999, 999, 999),),  # none of the study's
}


def test_a_table_by_hand() -> None:
    table = tabulate_means(TRIALS, _identity(), RUNS)
    assert tuple(table.columns) == COLUMNS
    assert list(table["trial"]) == [0, 3, 1, 2]  # 3 was pruned, but has a run with a fresh seed
    one = table[table["trial"] == 1].iloc[0]
    assert (one["seeds"], one["fresh_seeds"], one["hits"]) == (3, 2, 2)
    assert one["mean"] == pytest.approx(0.9) and one["search_accuracy"] == 0.9
    within = (0.0**2 + 0.01**2 + 0.01**2) / 2  # of 0.900, 0.910, 0.890 alone
    known = ((0.92, 1), (0.9, 3), (0.88, 1), (0.91, 1))
    grand = sum(n * m for m, n in known) / 6
    between = (sum(n * (m - grand) ** 2 for m, n in known) - 3 * within) / (6 - 12 / 6)
    assert between > 0
    weights = [1 / (between + within / n) for _, n in known]
    center = sum(w * m for w, (m, _) in zip(weights, known, strict=True)) / sum(weights)
    for _, row in table.iterrows():
        noise = within / row["seeds"]
        assert row["shrunken"] == pytest.approx(
            center + (row["mean"] - center) * between / (between + noise)
        )
        assert (row["low"], row["high"]) == pytest.approx(
            stats.t.interval(0.95, 2, row["mean"], noise**0.5)
        )
    assert table.attrs["images"] == "digits test"
    assert table.attrs["protocol"] == (
        f"standard deviation of a seed {100 * within**0.5:.3f} points (within designs, 2 degrees "
        f"of freedom); designs differ by {100 * between**0.5:.3f}, and means are shrunken towards "
        f"{100 * center:.3f}%"
    )
    pruned = table[table["trial"] == 3].iloc[0]
    assert (pruned["seeds"], pruned["fresh_seeds"]) == (1, 1)
    assert math.isnan(pruned["search_accuracy"])


def test_a_lucky_run_is_drawn_further_than_a_mean_of_many() -> None:
    trials = [_trial(0, 500, 0, 0, 920), _trial(1, 300, 0, 0, 915), _trial(2, 400, 0, 0, 880)]
    many = {("d1", "recipe()"): tuple(_run(0, 0, 915 + more) for more in (20, -20) * 5)}
    alone = tabulate_means(trials, _identity(), {})
    assert list(alone["trial"]) == [0, 1, 2]
    assert list(tabulate_means(trials, _identity(), many)["trial"]) == [1, 0, 2]


def test_hits_follow_the_studys_rule() -> None:
    for consistent, hits in ((None, 2), (1, 2), (2, 1), (3, 1)):
        table = tabulate_means(TRIALS, _identity(consistent=consistent), RUNS)
        assert table.set_index("trial").loc[1, "hits"] == hits


def test_without_a_second_seed_the_noise_is_assumed_from_the_images() -> None:
    table = tabulate_means(TRIALS[:3], _identity(), {})
    sd = 0.8 * (0.9 * 0.1 / 1000) ** 0.5
    row = table.loc[1]
    assert (row["low"], row["high"]) == pytest.approx(stats.norm.interval(0.95, 0.92, sd))
    assert "(assumed, since no design has two seeds)" in table.attrs["protocol"]
    share = 0.9943  # on MNIST it is what was measured, about 0.06 points
    assert 0.8 * (share * (1 - share) / 10_000) ** 0.5 == pytest.approx(0.0006, abs=1e-5)


def test_one_design_is_not_shrunken_and_none_is_an_empty_table() -> None:
    alone = tabulate_means(TRIALS[:1], _identity(), {})
    assert alone.loc[1, "shrunken"] == alone.loc[1, "mean"] == 0.92
    assert "not shrunken" in alone.attrs["protocol"]
    empty = tabulate_means([], _identity(), {})
    assert len(empty) == 0 and tuple(empty.columns) == COLUMNS


def test_an_interval_ends_at_all_images() -> None:
    trials = [_trial(0, 500, 0, 0, 999), _trial(1, 500, 0, 0, 1000), _trial(2, 500, 0, 0, 980)]
    table = tabulate_means(trials, _identity(), {})
    assert table["high"].max() == 1.0 and (table["low"] < table["mean"]).all()


def test_a_search_on_held_out_images_counts_with_fresh_seeds_alone() -> None:
    held = _identity(selected_on="val(10,seed=0)")
    table = tabulate_means(TRIALS, held, RUNS)
    assert list(table["trial"]) == [3, 1] and list(table["seeds"]) == [1, 2]
    assert table["search_accuracy"].isna().all()


# Which runs there are ---------------------------------------------------------------------------


def _family(tmp_path, name: str, identity: Identity, **terms: object) -> Ledger:
    fields = {
        "seeds": 3,
        "target": "0.9",
        "epochs": identity.epochs,
        "dataset": "digits",
        "checksum": "c",
        "on": name,
        "on_checksum": "c" if name == "test" else name,
    }
    asked = Terms(**{**fields, **terms})  # type: ignore[arg-type]
    key = ("d1", "recipe()")
    with Ledger.open(tmp_path, name, asked) as ledger:
        ledger.plan(key, (1, 2, 3), name)
        for seed, correct in ((1, 900), (2, 910)):
            for epoch in range(1, asked.epochs + 1):
                result = dataclasses.replace(
                    _epoch(epoch, correct), **({} if name == "test" else {"test_correct": 1})
                )
                ledger.commit(key, seed, {}, result)
        ledger.commit(key, 3, {}, _epoch(1, 990))  # begun
    found = Ledger.read(tmp_path / "confirmations" / name)
    assert found is not None
    return found


def test_runs_are_whole_of_the_same_training_and_counted_once(tmp_path) -> None:
    identity = _identity()
    own = _family(tmp_path, "test", identity)
    other = _family(tmp_path, "elsewhere", identity)
    (found,) = gather_runs([own, other], identity).values()
    assert [run[-1].correct for run in found] == [900, 910] and len(found[0]) == 3
    (alone,) = gather_runs([other], identity).values()
    assert [run[-1].correct for run in alone] == [
        900,
        910,
    ]  # of the own images, not `test_correct`
    shorter = _family(tmp_path, "shorter", identity, epochs=2)
    foreign = _family(tmp_path, "foreign", identity, checksum="d")
    assert gather_runs([shorter, foreign], identity) == {}


def test_the_mean_of_the_fresh_seeds_is_the_confirmations() -> None:
    sample = Sample((910, 890), 1000)
    one = Confirmation("d1", "recipe()", (1, 2), sample, Fraction(9, 10), "on", "running")
    runs = {("d1", "recipe()"): RUNS["d1", "recipe()"]}
    held = _identity(selected_on="val(10,seed=0)")
    assert tabulate_means(TRIALS, held, runs).loc[1, "mean"] == one.figures()["mean"]
