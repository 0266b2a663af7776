"""What a page does not have is said where it is missing; what was never trained has no figures."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import made
import pytest

from lightsearch import search
from lightsearch.formatting import SURROGATE_NOTE
from lightsearch.report import design_text, write_design, write_html, write_markdown, write_steps
from lightsearch.report.facts import facts
from lightsearch.report.tensorboard import write_events
from lightsearch.result import SearchResult
from lightsearch.study.board import COLUMNS
from lightsearch.study.trial import find_train_accuracy


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    folder = tmp_path_factory.mktemp("studies") / "answered"
    how: dict[str, Any] = {"engine": "surrogate", "budget": 8000, "epochs": 15, "target": 0.994}
    return search(**how, trials=12, workers=1, quiet=True, study=folder)


def _own(result: SearchResult) -> SearchResult:
    """A study in which the last trial has a layer that is not registered here."""
    *first, last = result.records
    design = "conv(8) residual([conv(8) scale(start=0.5)]) gap linear(10)"
    candidate = dataclasses.replace(last.candidate, design=design)
    changed = (*first, dataclasses.replace(last, candidate=candidate))
    return dataclasses.replace(result, records=changed)


# A layer that is not registered here ------------------------------------------------------------


def test_an_unknown_layer_is_named_in_each_section_that_it_leaves_out(tmp_path: Path) -> None:
    text = write_design(_own(made.result(2)), 1, tmp_path / "a.md").read_text("utf-8")
    parts = dict(re.findall(r"^## (.*?)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for head in ("Summary", "Receptive field", "Code", "Without lightsearch"):
        said = parts[head].strip()
        assert said.startswith("Left out: `scale` is no layer that is known here"), head
        assert "--import FILE.py" in said and "separable" not in said and len(said) < 160
    assert "- Layers: not compared, since `scale` is no layer" in parts["Analysis"]
    assert "epoch  1" in parts["Log"] and "_Layer" not in text


def test_steps_say_why_they_have_no_program(tmp_path: Path) -> None:
    text = write_steps(_own(made.result(1)), tmp_path / "steps.md").read_text("utf-8")
    assert "No script and no notebook: `scale` is no layer that is known here" in text
    assert "Code: [" not in text


def test_a_known_design_leaves_nothing_out(tmp_path: Path) -> None:
    text = write_design(made.result(2), 1, tmp_path / "a.md").read_text("utf-8")
    assert "Left out" not in text and "not compared" not in text
    assert text.count("\n## Summary\n\n```\n") == 1


# A study of the surrogate -----------------------------------------------------------------------


def test_a_page_of_the_surrogate_says_so_and_has_no_training_accuracy(
    surrogate: SearchResult, tmp_path: Path
) -> None:
    number = surrogate.records[-1].number
    pages = [
        write_design(surrogate, number, tmp_path / "design.md"),
        write_steps(surrogate, tmp_path / "steps.md"),
    ]
    for page in pages:
        text = page.read_text("utf-8")
        assert text.splitlines()[2] == SURROGATE_NOTE
        assert "0.00%" not in text and "rain accuracy" not in text and "Train minus" not in text
        assert "Each design was trained once" not in text
    text = pages[0].read_text("utf-8")
    log = [line for line in text.splitlines() if line.startswith("epoch ")]
    assert log and all("  train loss" in line and "  train  " not in line for line in log)
    assert SURROGATE_NOTE in " ".join(
        (tmp_path / f"train_design_{number}.py").read_text("utf-8").split()
    )
    for write, name in ((write_html, "r.html"), (write_markdown, "r.md")):
        assert SURROGATE_NOTE in write(surrogate, tmp_path / name).read_text("utf-8")


def test_a_result_of_the_surrogate_shows_that_nothing_is_trained(surrogate: SearchResult) -> None:
    assert SURROGATE_NOTE in repr(surrogate) and SURROGATE_NOTE in surrogate._repr_html_()
    trained = made.result(5)
    assert SURROGATE_NOTE not in repr(trained) and SURROGATE_NOTE not in design_text(trained, 0)


def test_a_trial_of_the_surrogate_has_no_column_of_training_accuracy(
    surrogate: SearchResult,
) -> None:
    trial = surrogate.records[0]
    page = trial._repr_html_()
    assert "training accuracy" not in page and "0.00%" not in page
    assert "nothing is trained" in page and "training loss" in page
    assert {find_train_accuracy(epoch) for epoch in trial.epochs} == {None}
    assert "training accuracy" in made.result(1).records[0]._repr_html_()


@pytest.mark.needs("tensorboard")
def test_event_files_have_only_the_accuracies_that_there_are(
    surrogate: SearchResult, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def tags(result: SearchResult, name: str) -> list[str]:
        write_events(result.records[:1], tmp_path / name)
        found = EventAccumulator(str(tmp_path / name / "trial-00000")).Reload()
        return sorted(tag for tag in found.Tags()["scalars"] if tag.startswith("accuracy"))

    assert tags(surrogate, "a") == ["accuracy/test", "accuracy/test_raw"]
    assert tags(made.result(1), "b") == ["accuracy/test", "accuracy/test_raw", "accuracy/train"]
    result = made.result(1)
    first = result.records[0]
    candidate = dataclasses.replace(first.candidate, selected_on="val(size=200,seed=0)")
    *rest, last = first.epochs
    epochs = (*rest, dataclasses.replace(last, test_correct=9, test_total=10))
    held = dataclasses.replace(first, candidate=candidate, epochs=epochs)
    assert tags(dataclasses.replace(result, records=(held,)), "c") == [
        *("accuracy/test", "accuracy/train", "accuracy/val", "accuracy/val_raw")
    ]


# The study's own page ---------------------------------------------------------------------------


def _settings(result: SearchResult) -> dict[str, str]:
    return dict(facts(result).settings)


def test_a_study_says_how_many_trials_each_way_of_proposing_made() -> None:
    result = made.result(5, sampler="TPESampler")
    assert _settings(result)["Proposals"] == "TPESampler, seed 0"  # as older studies have it
    by = ["uniform", "uniform", "TPESampler", "TPESampler", "TPESampler"]
    records = tuple(
        dataclasses.replace(t, candidate=dataclasses.replace(t.candidate, proposed_by=one))
        for t, one in zip(result.records, by, strict=True)
    )
    said = _settings(dataclasses.replace(result, records=records))["Proposals"]
    assert said == "TPESampler, seed 0: 2 uniform, 3 TPESampler"
    assert "proposed by uniform: " in repr(records[0])
    assert "proposed by TPESampler: " in records[4]._repr_html_()
    assert "proposed by" not in repr(result.records[0])


def test_a_study_says_what_trained_its_trials() -> None:
    result = made.result(3)
    assert _settings(result)["Engine"] == "native-v3 on cpu"
    empty = dataclasses.replace(result, records=())
    assert _settings(empty)["Engine"] == "native on cpu"  # what was asked for

    def taken_over(count: int) -> dict[str, str]:
        records = tuple(
            dataclasses.replace(
                t, epochs=tuple(dataclasses.replace(e, engine="torch") for e in t.epochs)
            )
            if t.number < count
            else t
            for t in result.records
        )
        return _settings(dataclasses.replace(result, records=records))

    assert taken_over(3)["Engine"] == "torch on cpu"
    assert taken_over(1)["Engine"] == "torch (1 trial), native-v3 (2 trials) on cpu"


@pytest.mark.parametrize("selected_on", ["test", "val(size=200,seed=0)"])
def test_the_leaderboard_has_the_heads_of_the_shells_table(
    selected_on: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell's own table is the oracle, also for the figures. Heads are the CSV's columns."""
    from lightsearch.cli.leaderboard import print_board
    from lightsearch.study.board import rank_hits

    result = made.result(30, selected_on=selected_on)
    print_board(rank_hits(result.records, result.identity))
    said = capsys.readouterr().out
    head, line = (re.split(r"\s{2,}", one.strip()) for one in _first_two(said))
    text = write_markdown(result, tmp_path / "a.md").read_text("utf-8")
    rows = [
        [cell.strip(" `") for cell in one.strip("|").split(" | ")]
        for one in text[text.index("| rank ") :].splitlines()
    ]
    assert rows[0] == head and {one.lower().replace(" ", "_") for one in head} <= {
        "rank",
        *COLUMNS,
    }
    assert ("test accuracy" in head) == (selected_on != "test")
    assert rows[2] == line
    page = write_html(result, tmp_path / "a.html").read_text("utf-8")
    heads = re.findall(r'<th class="n[^"]*" scope="col">([^<]*)</th>', page)
    assert heads[: len(head) - 1] == head[:-1]
    ordered = said.splitlines()[-1].partition(" by ")[2]
    assert f"By {ordered}." in text and f"By {ordered}." in page
    assert "<th>best accuracy</th>" in re.sub(r" style=\"[^\"]*\"", "", result._repr_html_())


def _first_two(text: str) -> list[str]:
    return text.splitlines()[:2]


def test_a_study_without_fresh_seeds_asks_for_no_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a tenth of a report of 300 trials, and are shown of fresh seeds alone."""

    def fail(_: SearchResult) -> None:
        raise AssertionError("the means were asked for")

    monkeypatch.setattr(SearchResult, "means", fail)
    assert facts(made.result(5)).means == ()
