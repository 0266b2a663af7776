"""Each `Literal` has the words that the check of its argument takes, and no others."""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any, Literal, get_args, get_origin

import pytest

import lightsearch as ls
from lightsearch.comparing.steps import MEASURES, check_measure
from lightsearch.design.fields import specs
from lightsearch.design.parts import kinds
from lightsearch.engines.names import ENGINES, PRECISIONS
from lightsearch.errors import ArgumentError
from lightsearch.searching.settings import SETTINGS, SearchSettings
from lightsearch.study.board import check_order
from lightsearch.study.orders import ORDERS


def _words(hint: Any) -> set[str]:
    """The texts of all literals in a type."""
    if get_origin(hint) is Literal:
        return {word for word in get_args(hint) if isinstance(word, str)}
    return set[str]().union(*map(_words, get_args(hint)))


@pytest.mark.parametrize("kind", [*kinds().values(), ls.Recipe], ids=lambda kind: kind.__name__)
def test_fields_of_layers_and_recipes(kind: type) -> None:
    hints = typing.get_type_hints(kind)
    for spec in specs(kind):
        checked = {*spec.options, *([spec.auto] if spec.auto else [])}
        assert _words(hints[spec.name]) == checked, spec.name


def test_settings_of_a_search() -> None:
    hints = typing.get_type_hints(SearchSettings, {**vars(typing), **_names()})
    with_words = {name for name in SETTINGS if _words(hints[name])}
    assert with_words == {
        "select_on",
        "sampler",
        "pruner",
        "engine",
        "precision",
        "goal",
        "directions",
    }
    for name in with_words:
        assert _words(hints[name]) == set(SETTINGS[name].about.words), name


def _names() -> dict[str, Any]:
    """What annotations in quotes name, as far as it is not loaded with the settings."""
    found: dict[str, Any] = dict(vars(inspect.getmodule(SearchSettings)))
    for name in ("DataSet", "BaseSampler", "BasePruner", "Slot", "Trial", "Teacher", "Module"):
        found.setdefault(name, object)
    return found


@pytest.mark.parametrize(
    ("function", "name", "words"),
    [
        (ls.confirm, "engine", ENGINES),
        (ls.train, "engine", ENGINES),
        (ls.train, "precision", PRECISIONS),
        (ls.compare, "measure", MEASURES),
        (ls.Comparison.plot, "axis", ("epochs", "seconds")),
        (ls.SearchResult.ranked, "by", ORDERS),
        (ls.SearchResult.pareto, "by", ORDERS),
    ],
)
def test_arguments_of_functions(function: Any, name: str, words: Any) -> None:
    owner = inspect.unwrap(function)
    text = inspect.signature(owner).parameters[name].annotation
    assert _words(eval(text, dict(vars(inspect.getmodule(owner))))) == set(words)


def test_the_checks_take_these_words_alone() -> None:
    for word in MEASURES:
        assert check_measure(word) == word
    for word in ORDERS:
        assert check_order(word) is ORDERS[word]
    for check in (check_measure, check_order):
        with pytest.raises(ArgumentError, match=re.escape("must be one of ")):
            check("x")  # type: ignore[arg-type]
