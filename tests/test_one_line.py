"""What a user does in one line of Python: train a design, count it, write a report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import made
import pytest

import lightsearch as ls
from lightsearch.data.references import lend
from lightsearch.errors import ArgumentError, NotationError
from lightsearch.searching.settings import DEFAULTS
from lightsearch.training import one_line

TEXT = "conv(8) maxpool separable(16) gap linear(10)"
DESIGN = ls.parse(TEXT)
PAGE = (Path(__file__).parents[1] / "docs/reference.md").read_text()


@pytest.mark.parametrize("design", [TEXT, DESIGN])
def test_a_design_trains_in_one_line(design: Any) -> None:
    epochs = list(ls.train(design, dataset="digits", epochs=2, seed=3, recipe="recipe(lr=0.1)"))
    task = ls.Task(DESIGN, ls.Recipe(lr=0.1), lend(ls.load("digits")), 2, 3)
    same = list(ls.train(task))
    assert [e.correct for e in epochs] == [e.correct for e in same]
    assert [e.epoch for e in epochs] == [1, 2]


def test_ones_own_images_train_in_one_line() -> None:
    (epoch,) = ls.train(TEXT, dataset=ls.load("digits"), epochs=1, engine="torch", device="cpu")
    assert epoch.engine == "torch"


def test_its_defaults_are_those_of_a_search() -> None:
    assert one_line.DATASET == DEFAULTS.dataset
    assert one_line.EPOCHS == DEFAULTS.epochs
    assert one_line.SEED == DEFAULTS.seed
    assert one_line.make_task(TEXT, dataset="digits").recipe == ls.DEFAULT_RECIPE


def test_what_is_wrong_is_said_at_the_call_before_an_epoch_is_asked_for() -> None:
    with pytest.raises(NotationError, match="expected"):
        ls.train("conv(8", dataset="digits")
    with pytest.raises(ArgumentError, match="`dataset` must be one of"):
        ls.train(TEXT, dataset="digit")
    with pytest.raises(ArgumentError, match="`epochs` must be an integer from 1"):
        ls.train(TEXT, dataset="digits", epochs=0)
    with pytest.raises(ArgumentError, match="`epochs` must be given with a design, not with a T"):
        ls.train(one_line.make_task(TEXT, dataset="digits"), epochs=3)
    with pytest.raises(ArgumentError, match="`task` must be a design, its notation, or a Task"):
        ls.train(8)  # type: ignore[arg-type]


def test_notation_does_for_a_design() -> None:
    assert ls.cost(TEXT) == ls.cost(DESIGN)
    assert str(ls.build(TEXT)) == str(ls.build(DESIGN))
    assert ls.summary(TEXT) == ls.summary(DESIGN)
    assert ls.fingerprint(TEXT, (1, 28, 28)) == ls.fingerprint(DESIGN, (1, 28, 28))
    assert ls.to_source(TEXT) == ls.to_source(DESIGN)
    assert ls.survey("conv(8|16) gap linear(10)").designs == 2
    title = ls.plot_design(TEXT).get_title(loc="left")
    assert title.startswith("490 parameters")


def test_a_report_in_one_line(tmp_path: Path) -> None:
    result = made.result(0)
    page = ls.write_report(result, tmp_path / "page.html")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert ls.write_report(result, tmp_path / "page.md").read_text().startswith("# Study made")
    with pytest.raises(ArgumentError, match="`path` must be a new file"):
        ls.write_report(result, page)
    ls.write_report(result, page, force=True)
    with pytest.raises(ArgumentError, match="`study` must be a result of a search"):
        ls.write_report(3)  # type: ignore[arg-type]


def test_the_reference_page_has_the_public_names_and_they_are_at_the_top() -> None:
    listed = set(re.findall(r"^::: lightsearch[\w.]*\.(\w+)$", PAGE, re.MULTILINE))
    named = {getattr(getattr(ls, name), "__qualname__", name): name for name in ls.__all__}
    errors = {said for said in named if said.endswith("Error")}  # all of that module
    assert listed - {"errors"} == set(named) - errors
    headed = set(re.findall(r"^      heading: (.+)$", PAGE, re.MULTILINE))
    assert headed == {"Space, Design"} | {name for said, name in named.items() if said != name} - {
        "Space",
        "Design",
    }
