"""Warm starts: what is tried first, what is learned from, and that a study keeps both."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import RECIPE, SPACE, arguments, outcome

from lightsearch import api, parse, read, search, zoo
from lightsearch.cli import main
from lightsearch.errors import ArgumentError, LightsearchError, NotationError, StudyError
from lightsearch.report.facts import facts
from lightsearch.result import SearchResult
from lightsearch.searching.pool import POOL
from lightsearch.searching.sources import list_sources
from lightsearch.study.leaderboard import write
from lightsearch.study.warm_start import (
    FILE,
    First,
    Lesson,
    Run,
    WarmStart,
    explain_label,
    kind_of_source,
    label_sources,
    read_warm_start,
)
from lightsearch.surrogate.answers import true_accuracy
from lightsearch.surrogate.level_model import LevelModel, Observations
from lightsearch.workers.slot import InlineSlot

INSIDE = "conv(8) separable(12) maxpool gap linear(10)"  # of the tiny space
OUTSIDE = "conv(5) maxpool conv(7) gap linear(10)"


@pytest.fixture(autouse=True)
def with_blank_mnist(blank_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEARCH_DATA", str(blank_mnist))


@pytest.fixture(autouse=True, scope="module")
def inline():
    """Epochs run in this process, which saves a worker's start for each search."""
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "local_slots", lambda workers, **_: [InlineSlot() for _ in range(workers)])
    yield
    patch.undo()


@pytest.fixture(scope="module")
def other(inline, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A study with another budget and other epochs."""
    folder = tmp_path_factory.mktemp("studies") / "other"
    return search(**arguments(study=folder, budget=1200, epochs=2, target=0.1, trials=6))


def _search(folder: Path, **more: Any) -> SearchResult:
    return search(**arguments(study=folder, epochs=1, target=0.1, **more))


def _surrogate(folder: Path, **more: Any) -> SearchResult:
    """A search on MNIST, which takes no training."""
    given = {"engine": "surrogate", "workers": 1, "trials": 6, "quiet": True, **more}
    return search(study=folder, **given)


def _origins(result: SearchResult) -> list[str]:
    return [trial.candidate.proposed_by for trial in result.records]


# Sources -----------------------------------------------------------------------------------------


def test_sources_have_one_form() -> None:
    assert list_sources(None) == ()
    assert list_sources("zoo") == list_sources(["zoo", "zoo"]) == ("zoo",)
    assert list_sources(parse(INSIDE)) == list_sources(f" {INSIDE}  ") == (INSIDE,)
    given = [Path("zoo"), Path("a/b.csv"), Path("study(1)"), "a/study(1)", "curves"]
    texts = list_sources(given)
    assert texts == ("./zoo", "a/b.csv", "./study(1)", "a/study(1)", "curves")
    kinds = [kind_of_source(text) for text in texts]
    assert kinds == ["study", "csv", "study", "study", "curves"]


@pytest.mark.parametrize("given", [3, "", " ", [3], {"zoo"}, [["zoo"]], True])
def test_what_is_no_source_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match="`warm_start` must be designs, their notation, paths"):
        list_sources(given)


def test_notation_that_is_wrong_is_shown() -> None:
    with pytest.raises(NotationError, match=r"cnv\(8\)"):
        list_sources("cnv(8) gap linear(10)")


def test_labels_and_what_they_mean() -> None:
    sources = [INSIDE, "a/best.csv", "zoo", "runs/small, old", "curves", OUTSIDE]
    label = label_sources(sources)
    assert label == "2 designs, best.csv, zoo, study small  old, curves"
    text = explain_label(label, "val(size=9,seed=0)")
    assert "it knew other designs' val results (study small  old, curves)" in text
    assert "tried others first (2 designs, best.csv, zoo)" in text
    assert explain_label(label_sources([])) == ""


# Designs to try first ----------------------------------------------------------------------------


def test_designs_are_tried_first_in_their_order(tmp_path: Path) -> None:
    result = _search(tmp_path / "s", warm_start=[OUTSIDE, parse(INSIDE), OUTSIDE], trials=3)
    assert [t.candidate.design for t in result.records[:2]] == [OUTSIDE, INSIDE]
    assert _origins(result)[:2] == ["warm start"] * 2 and _origins(result)[2] != "warm start"
    outside, inside = (trial.candidate for trial in result.records[:2])
    assert set(outside.decisions) == {"recipe.lr"}
    assert set(inside.decisions) > {"[0].out", "recipe.lr"}
    assert set(inside.decisions) == set(inside.options)
    assert list(result.leaderboard["warm_start"].unique()) == ["2 designs"]
    assert list(result.trials["warm_start"].unique()) == ["2 designs"]


@pytest.mark.parametrize("sampler", ["model", "near-cap", "uniform", "evolution", "tpe"])
def test_any_sampler_goes_on_from_designs_of_no_space(tmp_path: Path, sampler: str) -> None:
    designs = [OUTSIDE, INSIDE, *(f"conv({n}) gap linear(10)" for n in range(20, 27))]
    result = _search(tmp_path / "s", warm_start=designs, sampler=sampler, trials=12)
    assert _origins(result)[:9] == ["warm start"] * 9
    assert len({(t.candidate.fingerprint, t.candidate.recipe) for t in result.records}) == 12
    assert all(t.candidate.params <= 900 for t in result.records)


def test_only_designs_of_no_space_leave_nothing_to_mutate(tmp_path: Path) -> None:
    designs = [f"conv({n}) gap linear(10)" for n in range(20, 28)]
    for sampler in ("model", "evolution"):
        result = _search(tmp_path / sampler, warm_start=designs, sampler=sampler, trials=9)
        assert _origins(result)[8] not in ("mutation", "crossing", "warm start")


def test_a_study_with_designs_is_the_same_again_and_when_interrupted(tmp_path: Path) -> None:
    given = {"warm_start": [OUTSIDE, INSIDE], "sampler": "evolution"}
    whole = _search(tmp_path / "whole", trials=5, **given)
    _search(tmp_path / "parts", trials=1, **given)
    assert outcome(_search(tmp_path / "parts", trials=5, **given)) == outcome(whole)


@pytest.mark.parametrize(
    ("design", "trouble"),
    [
        ("conv(90) conv(90) gap linear(10)", "over the budget"),
        ("conv(4,k=9,p=0) gap linear(10)", "not for 1x8x8 images of 10 classes"),
        ("conv(4) gap linear(9)", "not for 1x8x8 images of 10 classes"),
        ("conv(4|5) gap linear(10)", "must have no choices"),
    ],
)
def test_a_design_that_does_not_fit_is_refused(tmp_path: Path, design: str, trouble: str) -> None:
    with pytest.raises(ArgumentError, match=trouble):
        _search(tmp_path / "s", warm_start=[INSIDE, design])
    assert not (tmp_path / "s").exists()


def test_rows_of_a_table_are_tried_with_their_recipe(other: SearchResult, tmp_path: Path) -> None:
    table = tmp_path / "best.csv"
    write(other.leaderboard, table)
    rows = read(table)
    assert (rows["params"] > 900).any() and (rows["params"] <= 900).any()
    result = _search(tmp_path / "s", warm_start=table, trials=2)
    fitting = rows[rows["params"] <= 900].head(2)
    tried = [(t.candidate.design, t.candidate.recipe) for t in result.records]
    assert tried[: len(fitting)] == list(zip(fitting["design"], fitting["recipe"], strict=True))
    assert result.leaderboard["warm_start"].iloc[0] == "best.csv"


@pytest.mark.parametrize("form", [{}, {"sep": ";", "encoding": "utf-16"}])  # as spreadsheets save
def test_the_table_of_all_trials_will_do_too(
    other: SearchResult, tmp_path: Path, form: dict[str, Any]
) -> None:
    table = tmp_path / "trials.csv"
    other.trials.to_csv(table, **form)
    result = _search(tmp_path / "s", budget=1200, warm_start=str(table), trials=1)
    assert result.records[0].candidate.design == other.records[0].candidate.design


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("a,b\n1,2\n", "must have a column design and rows"),
        ("design\n", "must have a column design and rows"),
        (f"design\n{INSIDE}\nconv(\n", "row 2 of"),
        ("design\nconv(4|5) gap linear(10)\n", "row 1 of .* it has choices"),
        (f'design,recipe\n{INSIDE},"recipe(lr=-1)"\n', "row 1 of"),
        ("design\nconv(90) conv(90) gap linear(10)\n", "1 of 1 designs of t.csv are left out"),
    ],
)
def test_a_table_that_holds_none_is_refused(tmp_path: Path, text: Any, message: str) -> None:
    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        _search(tmp_path / "s", warm_start=tmp_path / "t.csv")


def test_what_is_left_out_stands_in_the_plan(tmp_path: Path, capsys) -> None:
    result = _surrogate(tmp_path / "s", warm_start="zoo", trials=1, quiet=False)
    printed = capsys.readouterr().out
    assert "designs of zoo are left out: over the budget" in printed
    fitting = [entry for entry in zoo.values() if entry.params <= 8000]
    assert f"{len(fitting)} designs to try first" in printed
    assert printed.count("Warm start: it tried designs first") == 2  # the plan and the summary
    assert result.records[0].candidate.params <= 8000
    assert _origins(result) == ["warm start"]


# Results to learn from ---------------------------------------------------------------------------


def test_the_first_proposals_follow_from_the_lessons(tmp_path: Path) -> None:
    """By the surrogate's own means. It is fitted to the same table, so that the difference is
    larger than a real one."""
    cold = _surrogate(tmp_path / "cold")
    warm = _surrogate(tmp_path / "warm", warm_start="curves")
    assert set(_origins(cold)) == {"near-cap"} and set(_origins(warm)) & {"mutation", "crossing"}
    means = [
        statistics.mean(true_accuracy(parse(t.candidate.design)) for t in result.records)
        for result in (cold, warm)
    ]
    assert means[1] > means[0] + 0.0003
    table = {run.design for run in _kept(tmp_path / "warm").lessons[0].runs}
    assert "warm start" not in _origins(warm)  # the table's are only learned from; a mutation may
    assert {t.candidate.design for t in warm.records} - table  # be one of them


def _kept(folder: Path) -> WarmStart:
    identity = json.loads((folder / "study.json").read_text())
    return read_warm_start(folder, identity["warm_start_digest"])


def test_another_study_teaches_whatever_its_budget_and_epochs(
    other: SearchResult, tmp_path: Path
) -> None:
    result = _search(tmp_path / "s", warm_start=other.folder, trials=3)
    assert result.records[0].candidate.counts.drawn >= POOL  # the model is asked at once
    (lesson,) = _kept(tmp_path / "s").lessons
    assert (lesson.epochs, lesson.images, len(lesson.runs)) == (2, 360, 6)
    assert {t.outcome for t in other.records} & {"complete"}
    assert lesson.runs[0].correct == tuple(e.correct for e in other.records[0].epochs)
    assert result.leaderboard["warm_start"].iloc[0] == "study other"
    same = _search(tmp_path / "t", warm_start=str(other.folder), trials=3)
    assert outcome(same) == outcome(result)


def test_a_study_goes_on_without_its_sources(other: SearchResult, tmp_path: Path) -> None:
    source = tmp_path / "source"
    search(**arguments(study=source, budget=1200, epochs=2, target=0.1, trials=3))
    whole = _search(tmp_path / "whole", warm_start=source, trials=4)
    _search(tmp_path / "parts", warm_start=source, trials=2)
    search(**arguments(study=source, budget=1200, epochs=2, target=0.1, trials=5))  # it grew
    assert (
        outcome(_search(tmp_path / "parts", warm_start=source, trials=3)) == (outcome(whole)[:3])
    )
    source.rename(tmp_path / "elsewhere")
    assert outcome(_search(tmp_path / "parts", warm_start=source, trials=4)) == outcome(whole)


def test_what_was_kept_must_be_as_it_was(other: SearchResult, tmp_path: Path) -> None:
    given = {"warm_start": other.folder, "trials": 1}
    _search(tmp_path / "s", **given)
    kept = tmp_path / "s" / FILE
    text = kept.read_text()
    kept.write_text(text.replace("[", "[ ", 1))
    with pytest.raises(StudyError, match=f"must have its {FILE} with the digest"):
        _search(tmp_path / "s", **given)
    kept.unlink()
    with pytest.raises(StudyError, match=f"must have its {FILE} with the digest"):
        _search(tmp_path / "s", **given)
    kept.write_text(text)
    assert len(_search(tmp_path / "s", **given).records) == 1


def test_another_warm_start_is_another_question(other: SearchResult, tmp_path: Path) -> None:
    _search(tmp_path / "s", warm_start=INSIDE, trials=1)
    for warm_start in (None, OUTSIDE, other.folder):
        with pytest.raises(StudyError, match=r"warm_start=.* there, .* asked for"):
            _search(tmp_path / "s", warm_start=warm_start, trials=1)


def test_a_study_without_one_keeps_nothing(other: SearchResult) -> None:
    assert not (other.folder / FILE).exists()
    assert "warm_start" not in (other.folder / "study.json").read_text()
    assert set(other.trials["warm_start"]) == {""}
    assert "Warm start" not in dict(facts(other).settings)


@pytest.mark.parametrize("sampler", ["near-cap", "evolution", "tpe"])
def test_only_the_model_learns(other: SearchResult, tmp_path: Path, sampler: str) -> None:
    with pytest.raises(ArgumentError, match="unless sampler='model', which alone learns"):
        _search(tmp_path / "s", warm_start=other.folder, sampler=sampler)


def test_a_study_on_other_images_teaches_nothing(other: SearchResult, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"selected_on='test', and this search 'val\("):
        _search(tmp_path / "s", warm_start=other.folder, select_on="val")
    with pytest.raises(ArgumentError, match="dataset='digits', and this search 'mnist'"):
        _surrogate(tmp_path / "m", warm_start=other.folder)
    with pytest.raises(ArgumentError, match="there is no study in"):
        _search(tmp_path / "s", warm_start=tmp_path)
    _surrogate(tmp_path / "made-up", trials=1)
    with pytest.raises(ArgumentError, match=r"engine='surrogate', and this search '\w+'"):
        search(8000, warm_start=tmp_path / "made-up", study=tmp_path / "s", trials=1)
    with pytest.raises(ArgumentError, match="10,000 test images of mnist, of which the table"):
        _search(tmp_path / "s", warm_start="curves")
    with pytest.raises(ArgumentError, match=r"and selects on val\("):
        search(8000, warm_start="curves", study=tmp_path / "s", select_on="val")


def test_a_study_without_an_epoch_teaches_nothing(tmp_path: Path, other: SearchResult) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("study.json", "journal.log"):
        (tmp_path / "empty" / name).write_bytes(
            (other.folder / name).read_bytes() if name == "study.json" else b""
        )
    with pytest.raises(ArgumentError, match="must have a trial with an epoch"):
        _search(tmp_path / "s", warm_start=tmp_path / "empty")


# What it says ------------------------------------------------------------------------------------


def test_every_table_says_what_was_known(tmp_path: Path, capsys) -> None:
    result = _surrogate(tmp_path / "s", warm_start=["curves", "zoo"], trials=2, quiet=False)
    sentence = "Warm start: it knew other designs' test results (curves), and tried others first"
    assert capsys.readouterr().out.count(sentence) == 2
    shown = CliRunner().invoke(main, ["leaderboard", str(result.folder), "--all"]).output
    assert sentence in shown
    assert set(read(result.folder / "leaderboard.csv")["warm_start"]) <= {"zoo, curves"}
    made = facts(result)
    assert dict(made.settings)["Warm start"] == "zoo, curves"
    assert any(line.startswith(sentence) for line in made.protocol)
    row = json.loads(
        CliRunner().invoke(main, ["leaderboard", str(result.folder), "--all", "--json"]).output
    )[0]
    assert row["warm_start"] == "zoo, curves"


def test_the_command_line_takes_several(tmp_path: Path) -> None:
    line = ["search", "--budget", "900", "--epochs", "1", "--target", "0.1", "--dataset", "digits"]
    line += ["--space", SPACE, "--recipe", RECIPE, "--trials", "2", "--workers", "1", "--quiet"]
    line += ["--warm-start", OUTSIDE, "--warm-start", INSIDE, "--study", str(tmp_path / "s")]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "tried designs first that were chosen before it began (2 designs)" in done.output
    wrong = CliRunner().invoke(main, [*line[:-2], "--warm-start", "nowhere"])
    assert wrong.exit_code == 2 and "there is no study in nowhere" in wrong.output


# The file and the model --------------------------------------------------------------------------


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    whole = WarmStart(
        (First(INSIDE, RECIPE, "a.csv"),),
        (Lesson("curves", 15, 10_000, (Run(OUTSIDE, RECIPE, (9000, 9900)),)),),
        ("one",),
    )
    (tmp_path / FILE).write_text(whole.to_text())
    assert read_warm_start(tmp_path, whole.digest()) == whole
    assert (WarmStart().to_text(), WarmStart().digest()) == ("", "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"first": 3}', "null", "{}"])
def test_a_file_with_the_right_digest_may_still_be_wrong(tmp_path: Path, text: str) -> None:
    from lightsearch.study import warm_start

    (tmp_path / FILE).write_text(text)
    with pytest.raises(LightsearchError, match=f"must have its {FILE}"):
        read_warm_start(tmp_path, warm_start._digest(text) or "0")


def test_groups_teach_by_their_differences_alone() -> None:
    """The same line in two groups, one of them far off, as after fewer epochs."""
    generator = np.random.Generator(np.random.PCG64(0))
    features = generator.standard_normal((60, 3))
    levels = features @ np.array([0.1, -0.2, 0.0]) + 0.01 * generator.standard_normal(60)
    groups = np.repeat([0, 1], 30)
    levels[groups == 1] += 2.0
    features[groups == 1] += 1.0
    seen = Observations(levels, np.ones(60))
    steps = np.eye(3)
    apart, mixed = LevelModel(features, seen, groups), LevelModel(features, seen)
    slopes, wrong = (m.predict(steps) - m.predict(np.zeros((1, 3))) for m in (apart, mixed))
    assert slopes == pytest.approx([0.1, -0.2, 0.0], abs=0.01)
    assert wrong != pytest.approx([0.1, -0.2, 0.0], abs=0.1)


def test_a_table_in_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert list_sources("~/best.csv") == (str(tmp_path / "best.csv"),)
    assert list_sources(["best.csv", "~/s"]) == ("best.csv", str(tmp_path / "s"))
