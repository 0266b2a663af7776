"""A study in steps: which trials they are, and what is said of each."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import made
import pytest
from click.testing import CliRunner
from tiny import arguments

from lightsearch import search
from lightsearch.cli import main
from lightsearch.errors import ArgumentError
from lightsearch.formatting import percent
from lightsearch.report import write_steps
from lightsearch.report.steps import pick_steps


def test_steps_are_ever_better_and_end_with_the_best(tmp_path: Path) -> None:
    result = made.result(40)
    steps = pick_steps(result)
    assert len(steps) == 3 and steps[0].number == 0
    right = [t.best.correct for t in steps]
    assert right == sorted(set(right))
    assert right[-1] == max(t.best.correct for t in result.records)
    text = write_steps(result, tmp_path / "steps.md").read_text()
    assert text.count("**Target**") == text.count("**Analysis**") == 3
    first, better, final = text.split("\n## Step ")[1:4]
    assert "a first design that trains, with at most 8,000 parameters" in first
    assert f"more than the {percent(steps[0].best.accuracy)} of the step before" in better
    assert "99.40% of the test images of mnist within 15 epochs" in final
    gain = 100 * (right[2] - right[1]) / made.TOTAL
    assert f"the step before, #{steps[1].number} " in final and f"{gain:+.2f} points" in final
    for step in steps:
        name = f"train_design_{step.number}"
        assert f"]({name}.py)" in text and (tmp_path / f"{name}.ipynb").is_file()


def test_a_study_may_have_fewer_steps_or_none(tmp_path: Path) -> None:
    result = made.result(30)
    one = dataclasses.replace(result, records=result.records[:1])
    assert len(pick_steps(one)) == 1
    text = write_steps(one, tmp_path / "steps.md").read_text()
    assert "there is nothing to compare it with" in text and "## Step 2" not in text
    leaders = pick_steps(result)
    two = dataclasses.replace(result, records=(leaders[0], leaders[-1]))
    assert pick_steps(two) == (leaders[0], leaders[-1])
    with pytest.raises(ArgumentError, match="a study with a trained design"):
        write_steps(dataclasses.replace(result, records=()), tmp_path / "none.md")


def test_the_command_writes_the_steps(tmp_path: Path) -> None:
    result = search(**arguments(study=tmp_path / "s", trials=2, epochs=2, target=0.2))
    done = CliRunner().invoke(main, ["report", str(result.folder), "--steps"])
    assert done.exit_code == 0 and done.output.strip() == str(result.folder / "steps.md")
    for name in re.findall(r"\]\((\S+)\)", (result.folder / "steps.md").read_text()):
        assert (result.folder / name).is_file()
