"""The plot of choices: their names, and shares that stay on an axis of shares."""

from __future__ import annotations

import dataclasses
import random

import made
import pytest

from lightsearch import decode, parse
from lightsearch.design.decoding import chooser, record_decisions
from lightsearch.plots.choices import NAME, choices, decision_name
from lightsearch.result import SearchResult
from lightsearch.study.importances import Importances


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("recipe.lr", "recipe: lr"),
        ("recipe.batch_size", "recipe: batch size"),
        ("order", "order"),
        ("out", "out"),
        ("[0].act", "activation of conv, block 1"),
        ("[1].first[0].out", "width of conv, block 2, first branch"),
        ("[1].second[0].out", "width of conv, block 2, second branch, layer 1"),
        ("[1].second[1].kernel", "kernel of conv, block 2, second branch, layer 2"),
        ("[1].nothing[0]", "[1].nothing[0]"),
    ],
)
def test_a_decision_has_words(path: str, said: str) -> None:
    space = parse(
        "conv(8,act=relu|gelu) add([conv(4|8)],[conv(4|8) conv(8,k=1|3)]) gap linear(10)"
    )
    assert decision_name(space, path) == said


def _drawn(text: str) -> tuple[SearchResult, Importances]:
    """A study of a space, and the importances of all its decisions: those of chance are larger."""
    paths: dict[str, int] = {"recipe.lr": 0, "recipe.batch_size": 0}
    for number in range(30):
        decode(parse(text), record_decisions(chooser(random.Random(number)), paths))
    shares = {path: 1 / len(paths) for path in paths}
    chance = {path: 0.3 + 0.5 * number for number, path in enumerate(paths)}
    few = made.result(5)
    identity = dataclasses.replace(few.identity, space=text)
    return dataclasses.replace(few, identity=identity), Importances(shares, chance, 1, 16)


SPACES = (
    "conv(2|3) gap linear(10)",
    "conv(4|6,k=3|5) maxpool [conv(6) | [separable(8|12) gate?] | inverted(8)] "
    "add([conv(8|12,k=1)],[conv(8|12)])? gap linear(10)",
    "conv(8|10) [conv(8|10) separable(8|12)]*(1|2|3) residual([conv(8|9)]*(1|2),project) "
    "gap linear(10)",
)


@pytest.mark.parametrize("text", SPACES)
def test_no_name_is_cut_and_none_is_of_a_sequence(text: str) -> None:
    ax = choices(*_drawn(text), None, 40)
    names = [one.get_text().replace("\n", " ") for one in ax.get_yticklabels()]
    assert len(names) == len(set(names)) and {"recipe: lr", "recipe: batch size"} <= set(names)
    for name in names:
        assert "..." not in name and "seq" not in name and not name.endswith(", ")
        assert len(name) <= NAME


@pytest.mark.parametrize("text", SPACES)
def test_shares_and_the_marks_of_chance_are_within_100_percent(text: str) -> None:
    result, found = _drawn(text)
    ax = choices(result, found, None, 40)
    low, high = ax.get_xlim()
    assert low == 0 and high <= 1
    marks = {
        line.get_marker(): [float(x) for x in line.get_xdata()]
        for line in ax.lines
        if line.get_marker() in ("|", ">")
    }
    assert all(0 <= x <= high for xs in marks.values() for x in xs)
    assert len(marks["|"]) == sum(by <= 1 for by in found.chance.values())
    assert marks[">"] == [1.0] * sum(by > 1 for by in found.chance.values())
    legend = [one.get_text() for one in ax.get_legend().get_texts()]
    assert "the same, beyond 100%" in legend


def test_a_picture_without_large_chance_has_no_arrow() -> None:
    """Relative: the same study, with all of chance a tenth as large."""
    result, found = _drawn(SPACES[0])
    less = dataclasses.replace(found, chance={k: v / 10 for k, v in found.chance.items()})
    more, fewer = choices(result, found, None, 40), choices(result, less, None, 40)
    assert fewer.get_xlim()[1] < more.get_xlim()[1]
    assert not [line for line in fewer.lines if line.get_marker() == ">"]
