"""Fresh seeds by halving: who gets how many, nothing twice, and no confirmation too many."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_confirm import COMMON, RECIPE, _epochs, inline, ran  # noqa: F401
from tiny import arguments

from lightsearch import confirm, load_result, search
from lightsearch.confirming import halving
from lightsearch.confirming import runs as retraining
from lightsearch.confirming.halving import halving_rounds, keep_best
from lightsearch.errors import StudyError
from lightsearch.study.confirmations import gather, judge
from lightsearch.study.ledger import read_confirmations
from lightsearch.training.epoch import run_epochs

DESIGNS = [
    "conv(12) maxpool separable(16) gap linear(10)",
    "conv(4) gap linear(10)",
    "conv(8) maxpool separable(12) gap linear(10)",
    "conv(6) maxpool separable(8) gap linear(10)",
    "conv(4) maxpool gap linear(10)",
]
HALVING = {**COMMON, "epochs": 1, "target": 0.02, "halving": True}


@pytest.mark.parametrize(
    ("designs", "seeds", "rounds"),
    [
        (9, 10, [(9, 1), (5, 3), (3, 5), (2, 10)]),
        (16, 10, [(16, 1), (8, 3), (4, 5), (2, 10)]),
        (5, 4, [(5, 1), (3, 2), (2, 4)]),
        (3, 10, [(3, 5), (2, 10)]),
        (2, 10, [(2, 10)]),
        (1, 3, [(1, 3)]),
        (40, 2, [(40, 1), (20, 1), (10, 1), (5, 1), (3, 1), (2, 2)]),
    ],
)
def test_rounds(designs: int, seeds: int, rounds: list[tuple[int, int]]) -> None:
    assert halving_rounds(designs, seeds) == rounds


@given(st.integers(1, 100), st.integers(2, 100))
def test_rounds_end_with_all_seeds_and_never_go_back(designs: int, seeds: int) -> None:
    counts, each = zip(*halving_rounds(designs, seeds), strict=True)
    assert counts[0] == designs and counts[-1] == min(designs, 2) and each[-1] == seeds
    assert list(counts) == sorted(set(counts), reverse=True)
    assert list(each) == sorted(each) and each[0] >= 1


def test_the_best_are_kept_by_all_their_runs() -> None:
    groups = [[0.990, 0.992], [0.997, 0.985], [0.993, 0.993], [0.999]]
    assert keep_best(groups, [0, 1, 2], 2, 10_000) == [2, 0]
    assert keep_best(groups, [0, 1, 2], 9, 10_000) == [2, 0, 1]
    alike = [[0.99, 0.98], [0.985, 0.986], [0.99]]  # no more apart than their seeds
    assert keep_best(alike, [0, 1, 2], 1, 10_000) == [2]


def test_each_round_trains_what_it_says(tmp_path: Path, ran) -> None:  # noqa: F811
    table = confirm(DESIGNS, 4, study=tmp_path, **HALVING).set_index("design")
    assert sorted(table["n"]) == [1, 1, 2, 4, 4] and len(ran) == 12
    dropped = table[table["confirmation"] == "dropped"]
    assert sorted(dropped["n"]) == [1, 1, 2] and not dropped["confirmed"].any()
    assert (table["planned"] == 4).all()
    whole = confirm(DESIGNS, 4, study=tmp_path / "all", **{**HALVING, "halving": False})
    every = {row["design"]: row["accuracies"].split() for _, row in whole.iterrows()}
    for design, row in table.iterrows():  # the first of the same seeds
        assert row["accuracies"].split() == every[design][: row["n"]]
    first = {design: float(accuracies[0]) for design, accuracies in every.items()}
    left = sorted(DESIGNS, key=lambda d: -first[d])[:3]  # of one run each
    assert {design for design, row in table.iterrows() if row["n"] > 1} == set(left)
    two = sorted(left, key=lambda d: -sum(map(float, every[d][:2])))[:2]
    assert {design for design, row in table.iterrows() if row["n"] == 4} == set(two)
    kept = read_confirmations(tmp_path)
    assert {d: kept[d, RECIPE].outcome for d in dropped.index} == dict.fromkeys(
        dropped.index, "dropped"
    )


def test_all_seeds_for_all_goes_on_from_there(tmp_path: Path, ran) -> None:  # noqa: F811
    confirm(DESIGNS, 4, study=tmp_path, **HALVING)
    ran.clear()
    plain = {**HALVING, "halving": False}
    found = confirm(DESIGNS, 4, study=tmp_path, **plain)
    assert len(ran) == 20 - 12 and (found["n"] == 4).all()
    assert not (found["confirmation"] == "dropped").any()
    pd.testing.assert_frame_equal(found, confirm(DESIGNS, 4, **plain))


def test_interrupted_at_any_epoch_it_ends_the_same(tmp_path: Path, monkeypatch) -> None:
    expected = confirm(DESIGNS, 4, study=tmp_path / "whole", **{**HALVING, "workers": 1})
    lines = _epochs(tmp_path / "whole")
    for stop in (1, 5, 6, 8, 9, 12):
        done = []

        def failing(task, state, epoch, last, done=done, stop=stop):
            done.append(task.seed)
            if len(done) == stop:
                raise KeyboardInterrupt
            return run_epochs(task, state, epoch, last)

        folder = tmp_path / str(stop)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(retraining, "run_epochs", failing)
            confirm(DESIGNS, 4, study=folder, **{**HALVING, "workers": 1})
        resumed = confirm(DESIGNS, 4, study=folder, **{**HALVING, "workers": 1})
        pd.testing.assert_frame_equal(resumed, expected)
        assert len(_epochs(folder)) == len(lines) == 12


def test_a_killed_rounds_choice_looks_at_nothing_later(tmp_path: Path, monkeypatch) -> None:
    """With all seeds of all designs there, each round still chooses by its own seeds."""
    expected = confirm(DESIGNS, 4, study=tmp_path / "whole", **HALVING)
    chosen = []
    keep = halving.keep_best
    monkeypatch.setattr(
        halving, "keep_best", lambda *given: chosen.append(keep(*given)) or chosen[-1]
    )
    confirm(DESIGNS, 4, study=tmp_path / "again", **HALVING)
    first = list(chosen)
    confirm(DESIGNS, 4, study=tmp_path / "s", **{**HALVING, "halving": False})
    chosen.clear()
    confirm(DESIGNS, 4, study=tmp_path / "s", **HALVING)
    assert chosen == first and len(first) == 2
    assert set(expected[expected["n"] == 4]["design"]) == {DESIGNS[i] for i in first[-1]}


def test_the_searchs_own_run_counts_if_it_is_of_the_same_images(tmp_path: Path) -> None:
    given = arguments(
        study=tmp_path / "s", epochs=1, target=0.05, recipe=RECIPE, trials=3, pruner="none"
    )
    seen = []
    keep = halving.keep_best
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            halving, "keep_best", lambda groups, *more: seen.append(groups) or keep(groups, *more)
        )
        result = search(**given, confirm=4, confirm_top=3, confirm_halving=True)
    (groups,) = seen
    by_accuracy = result.ranked("accuracy")["last_accuracy"]
    assert len(by_accuracy) == 3 and [len(group) for group in groups] == [3, 3, 3]
    own = [group[0] for group in groups]
    assert sorted(own) == pytest.approx(sorted(by_accuracy))
    assert sorted(one.outcome == "dropped" for one in result.confirmations.values()) == [
        False,
        False,
        True,
    ]
    assert sorted(load_result(tmp_path / "s").means()["fresh_seeds"]) == [2, 4, 4]


def test_what_is_printed_says_who_gets_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confirm(DESIGNS[:3], 2, study=tmp_path, **{**HALVING, "quiet": False})
    text = capsys.readouterr().out
    assert text.startswith("Confirming 3 designs with up to 2 fresh seeds each, ")
    assert "by halving; designs left, with so many seeds each: 3 with 1, 2 with 2\n" in text
    assert "dropped, 1 of 2 seeds on digits test" in text


@pytest.mark.parametrize(
    "line", ['{"dropped": 1}', '{"design": "a", "recipe": "b", "dropped": 1}']
)
def test_a_note_of_no_design_is_damage(tmp_path: Path, line: str) -> None:
    confirm(DESIGNS[:1], 2, study=tmp_path, **HALVING)
    with (tmp_path / "confirmations/test/runs.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StudyError, match=r"runs\.jsonl must have designs and their epochs"):
        read_confirmations(tmp_path)


def test_what_halving_confirms_all_seeds_for_all_would_confirm_too() -> None:
    """So its error is at most that of a confirmation without it."""
    generator, target, total = random.Random(5), Fraction(994, 1000), 10_000
    found = whole = 0
    for _ in range(300):
        runs = [[round(generator.gauss(9943, 6)) for _ in range(6)] for _ in range(6)]
        left, given = list(range(6)), [0] * 6
        for keep, count in halving_rounds(6, 6):
            if any(given):
                shown = [[run / total for run in runs[i][: given[i]]] for i in range(6)]
                left = keep_best(shown, left, keep, total)
            for index in left:
                given[index] = count

        def outcomes(counts: list[int], runs: list[list[int]] = runs) -> set[int]:
            family = []
            for index, (all_runs, count) in enumerate(zip(runs, counts, strict=True)):
                correct = [*all_runs[:count], *[None] * (6 - count)]
                family.append(gather((str(index), ""), tuple(range(6)), correct, total, target))
            return {i for i, one in enumerate(judge(family)) if one.confirmed}

        halved, all_of_them = outcomes(given), outcomes([6] * 6)
        assert halved <= all_of_them
        found, whole = found + len(halved), whole + len(all_of_them)
    assert 0 < found < whole
