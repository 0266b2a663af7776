"""The lines of a page that train its design again: they give the record's own accuracies."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import shlex
from pathlib import Path
from typing import Any

import made
import pytest
from at_shell import run
from click.testing import CliRunner
from own_layer import LAYERS
from tiny import arguments

from lightsearch import load_result, search
from lightsearch.cli import main
from lightsearch.report import again, design_text, write_design
from lightsearch.result import SearchResult
from lightsearch.study.trial import Trial

OWN = "conv(8) scale(start=0.5) maxpool conv(8) gap linear(10)"


def _line(text: str) -> str:
    return re.search(r"^lightsearch train .*$", text, re.MULTILINE).group()


def _with(result: SearchResult, number: int = 0, **more: Any) -> SearchResult:
    """A study whose trial of a number has another design, recipe, ..."""
    records = list(result.records)
    trial = records[number]
    records[number] = dataclasses.replace(
        trial, candidate=dataclasses.replace(trial.candidate, **more)
    )
    return dataclasses.replace(result, records=tuple(records))


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A study that selects on held-out images, with hits and misses."""
    folder = tmp_path_factory.mktemp("studies") / "held out"
    more = {"select_on": "val", "val_size": 200, "epochs": 3, "target": 0.5, "trials": 5}
    return search(**arguments(study=folder, **more))


def _split(result: SearchResult) -> tuple[Trial, Trial]:
    """A trial that is a hit, and one that is none."""
    is_hit = result.identity.rule.is_hit
    hit = next(t for t in result.records if is_hit(t.epochs))
    return hit, next(t for t in result.records if not is_hit(t.epochs))


def test_a_hit_on_held_out_images_is_trained_again_by_its_row(
    held_out: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The design by itself would train on the held-out images too."""
    hit, _ = _split(held_out)
    page = write_design(held_out, hit.number, tmp_path / "docs" / "a page.md")
    line = _line(page.read_text("utf-8"))
    assert "Run it in the folder of this page." in page.read_text("utf-8")
    table = shlex.split(line)[-1]
    assert not Path(table).is_absolute()
    monkeypatch.chdir(page.parent)
    done = CliRunner().invoke(main, shlex.split(line)[1:])
    assert done.exit_code == 0 and "the same as the row" in done.output


@pytest.mark.parametrize("place", [".", ".."])
def test_a_miss_on_held_out_images_is_trained_again_by_python(
    held_out: SearchResult, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, miss = _split(held_out)
    path = (held_out.folder / place).resolve() / f"design-{miss.number}.md"
    text = write_design(held_out, miss.number, path).read_text("utf-8")
    assert "lightsearch train" not in text
    monkeypatch.chdir(path.parent)
    end = text[text.index("## To train it again") :]
    code = re.search(r"```python\n(.*?)```", end, re.DOTALL).group(1)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "again", "exec"), {})
    seen = [line.split() for line in out.getvalue().splitlines()]
    known = [[str(e.epoch), str(e.accuracy)] for e in miss.epochs]
    assert seen[: len(known)] == known


def test_the_images_that_selected_have_their_name_in_the_log(held_out: SearchResult) -> None:
    hit, _ = _split(held_out)
    text = design_text(held_out, hit.number)
    lines = [line for line in text.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 3 and all("/200)" in line for line in lines)
    assert all(re.search(r"  val +\d", line) for line in lines)
    tested = [line for line in lines if re.search(r"  test +\d", line)]
    assert tested == lines[-1:]  # the test images are evaluated after the last epoch alone
    assert "test  " not in lines[0] and "- Test accuracy after the last epoch: " in text


def test_a_miss_has_all_that_its_training_depends_on(tmp_path: Path) -> None:
    more = {"engine": "torch", "precision": "bf16", "epochs": 2, "trials": 1, "target": 0.99}
    result = search(**arguments(study=tmp_path / "bf16", **more))
    line = _line(design_text(result, 0))
    assert "--engine torch --precision bf16" in line and "--device cpu" in line
    done = CliRunner().invoke(main, [*shlex.split(line)[1:], "--json"])
    assert done.exit_code == 0, done.output
    for epoch in load_result(result.folder).records[0].epochs:
        assert f'"correct": {epoch.correct}' in done.output


def test_a_miss_is_trained_by_what_trained_it() -> None:
    result = made.result(1, target="0.9999")
    assert "--engine native" in _line(design_text(result, 0))
    trial = result.records[0]
    epochs = tuple(dataclasses.replace(e, engine="torch-triton") for e in trial.epochs)
    taken = dataclasses.replace(result, records=(dataclasses.replace(trial, epochs=epochs),))
    line = _line(design_text(taken, 0))
    assert line.endswith("--engine torch") and "--precision" not in line


def test_what_only_the_user_knows_is_named() -> None:
    """A layer that is not registered here, and a teacher, whose file is not recorded."""
    result = made.result(1, target="0.9999", own_steps="optimizer rms:123", teacher="7407: 9 p")
    text = design_text(_with(result, design=OWN, recipe="recipe(distill=0.5)"), 0)
    assert _line(text).endswith(" --teacher TEACHER --import FILE.py")
    assert "registers its own layers and the optimizer rms first; at the shell it is FILE" in text
    assert "TEACHER is the network that it learned from (7407: 9 p)." in text
    assert "--import" not in _line(design_text(made.result(1, target="0.9999"), 0))


def test_the_file_of_a_layer_is_named_from_the_folder_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "_find_file", lambda *_: tmp_path / "my_layers.py")
    result = _with(made.result(1, target="0.9999"), design=OWN)
    text = write_design(result, 0, tmp_path / "docs" / "a.md").read_text("utf-8")
    assert _line(text).endswith(" --engine native --import ../my_layers.py")
    assert "Run it in the folder of this page." in text and "FILE.py first" not in text


def test_a_pruned_trial_says_where_its_record_ends() -> None:
    many = made.result(40)
    trial = next(t for t in many.records if t.outcome == "pruned")
    text = design_text(many, trial.number)
    assert f"The record ends at epoch {len(trial.epochs)}; this goes on to 15." in text


def test_a_layer_of_ones_own_is_imported_and_its_row_trained_the_same(tmp_path: Path) -> None:
    (tmp_path / "my_layers.py").write_text(LAYERS)
    line = "search --dataset digits --epochs 1 --trials 1 --target 0.05 --study scaled --seed 1"
    how = "--select-on val --engine torch --precision bf16 --workers 1 --import my_layers.py"
    run(tmp_path, *line.split(), *how.split(), "--space", OWN)
    report = "report scaled --row 1 --out docs/row.md --import my_layers.py"
    run(tmp_path, *report.split())
    found = _line((tmp_path / "docs/row.md").read_text("utf-8"))
    assert found == (
        "lightsearch train --row 1 --leaderboard ../scaled/leaderboard.csv --import "
        "../my_layers.py"
    )
    done = run(tmp_path / "docs", *shlex.split(found)[1:])
    assert "the same as the row" in done.stdout
