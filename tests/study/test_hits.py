"""What counts as a hit: any epoch at the target, or the last ones all. All that asks agrees."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import made
import pytest
from test_study import _epoch, _identity

import lightsearch
from lightsearch.errors import StudyError
from lightsearch.report.design import design_text
from lightsearch.report.facts import facts
from lightsearch.study.identity import check_identity, read_identity
from lightsearch.study.trial import HitRule

TARGET = Fraction(9, 10)


@pytest.mark.parametrize(
    ("correct", "consistent", "epoch"),
    [
        ([880, 900, 890, 900], None, 2),
        ([880, 899, 890, 899], None, None),
        ([880, 900, 890, 900], 1, 4),
        ([880, 900, 890, 900], 2, None),
        ([880, 900, 905, 900], 2, 4),
        ([880, 900, 905, 900], 3, 4),
        ([880, 900, 905, 900], 4, None),
        ([900, 900, 905, 900], 4, 4),
        ([900, 900, 905], 3, None),  # of four epochs: not over
        ([900, 900, 905], None, 1),
        ([], 1, None),
        ([], None, None),
    ],
)
def test_a_hit_by_any_epoch_or_by_the_last_ones(correct, consistent, epoch) -> None:
    rule = HitRule(TARGET, 4, consistent)
    epochs = [_epoch(number, count) for number, count in enumerate(correct, 1)]
    assert rule.hit_epoch(epochs) == epoch
    assert rule.is_hit(epochs) is (epoch is not None)


def test_all_that_count_hits_count_the_same() -> None:
    many = made.result(150, target="0.994")
    counts = []
    for consistent in (None, 1, 3, 5):
        identity = dataclasses.replace(many.identity, consistent=consistent)
        result = dataclasses.replace(many, identity=identity)
        expected = [
            trial.number
            for trial in result.records
            if any(e.correct >= 9940 for e in trial.epochs)
            and (
                consistent is None
                or (
                    len(trial.epochs) == 15
                    and min(e.correct for e in trial.epochs[-consistent:]) >= 9940
                )
            )
        ]
        board, said = result.leaderboard, facts(result)
        assert sorted(board["trial"]) == expected
        assert said.summary.startswith(f"{len(expected)} of ")
        text = {name: (count, what) for name, count, what in said.trials}["hits"]
        assert text == (str(len(expected)), f"reached 99.40% {identity.rule}")
        for picture in (result.plot.pareto(), result.plot.curves()):
            labels = [str(t.get_text()) for t in picture.get_legend().get_texts()]
            assert any(label.startswith("hit") for label in labels)
        assert f"hit ({len(expected)})" in [
            str(t.get_text()) for t in result.plot.pareto().get_legend().get_texts()
        ]
        title = result.plot.progress().get_title(loc="left")
        assert f"and {len(expected)} hits, " in title
        if consistent is not None:
            assert set(board["first_hit_epoch"]) == {15} and set(board["consistent"]) == {
                consistent
            }
            miss = next(
                t
                for t in result.records
                if t.number not in expected and any(e.correct >= 9940 for e in t.epochs)
            )
            assert f"but not {identity.rule}: it is no hit." in design_text(result, miss.number)
            hit = design_text(result, expected[0])
            assert f"It reached the target {identity.rule}, and in " in hit
        counts.append(len(expected))
    assert counts == sorted(counts, reverse=True) and counts[-1] > 0 and len(set(counts)) > 2


def test_the_rule_is_asked_and_nothing_else() -> None:
    """Files that compare with the target by themselves would miss `consistent`."""
    root = Path(lightsearch.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("first_hit", "reaches")
    }
    assert users == {"study/trial.py", "report/design.py"}  # that counts epochs at the target


# The identity -----------------------------------------------------------------------------------


def test_a_study_without_it_is_named_and_written_as_before(tmp_path: Path) -> None:
    identity = _identity()
    check_identity(tmp_path, identity)
    fields = json.loads((tmp_path / "study.json").read_text())
    assert "consistent" not in fields
    asked = {
        name: value
        for name, value in fields.items()
        if name not in ("workers", "engine", "repeatable", "precision")
    }
    text = json.dumps(asked, sort_keys=True)
    assert identity.digest() == hashlib.sha256(text.encode()).hexdigest()[:6]
    assert _identity(consistent=2).digest() != identity.digest()
    assert read_identity(tmp_path) == identity


@pytest.mark.parametrize(("there", "asked"), [(None, 2), (2, None), (2, 3)])
def test_another_rule_is_another_question(tmp_path: Path, there, asked) -> None:
    check_identity(tmp_path, _identity(consistent=there))
    assert read_identity(tmp_path) == _identity(consistent=there)
    check_identity(tmp_path, _identity(consistent=there))
    with pytest.raises(
        StudyError, match=f"consistent={there} there, {asked} asked for. Give another"
    ):
        check_identity(tmp_path, _identity(consistent=asked))


@pytest.mark.parametrize("bad", [0, -1, 4, "2", 1.5])
def test_a_rule_that_cannot_be_is_refused(tmp_path: Path, bad) -> None:
    check_identity(tmp_path, _identity(consistent=2))
    path = tmp_path / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "consistent": bad}))
    with pytest.raises(StudyError, match=r"must hold a study's identity.*consistent must be"):
        read_identity(tmp_path)
