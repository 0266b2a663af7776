"""The kinds of values that settings take beside numbers, flags and paths: words, functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lightsearch.checks import check_kind
from lightsearch.errors import ArgumentError, quote
from lightsearch.searching.setting import Setting

WORDS = ("sampler", "pruner", "engine", "precision", "goal", "select_on")
_OWN = {"sampler": ", or an Optuna sampler", "pruner": ", or an Optuna pruner"}
_KINDS: dict[str, tuple[Any, str]] = {
    "slots": (Sequence, "a sequence of slots"),
    "objective": (Callable, "a function of a trial that is written with `def`"),
    "on_epoch": (Callable, "a function of a trial"),
    "on_trial": (Callable, "a function of a trial"),
}


def check_kinds(given: object, settings: Mapping[str, Setting]) -> None:
    """Raise `ArgumentError` for values of settings that are of another kind than these take.

    Which word one is, is checked where it is used. There an array would compare each of its values
    with the words, or have no truth value.
    """
    for name in WORDS:
        _check_word(name, getattr(given, name), settings[name].about.words)
    _check_directions(getattr(given, "directions", None), settings["directions"].about.words)
    if isinstance(getattr(given, "slots", None), str):  # a sequence, too
        raise ArgumentError("`slots` must be a sequence of slots, but got a text")
    for name, (kind, noun) in _KINDS.items():
        if getattr(given, name) is not None:
            check_kind(name, getattr(given, name), kind, noun)


def _check_word(name: str, value: object, words: Sequence[str]) -> None:
    is_own = name in _OWN and not hasattr(value, "dtype")
    if value is not None and not isinstance(value, str) and not is_own:
        raise ArgumentError(
            f"`{name}` must be one of {', '.join(words)}{_OWN.get(name, '')}, but got "
            f"{name}={quote(value)}"
        )


def _check_directions(value: object, words: Sequence[str]) -> None:
    is_table = hasattr(value, "dtype") and getattr(value, "ndim", 1) != 1
    if value is not None and (is_table or not isinstance(value, Iterable)):
        raise ArgumentError(
            f"`directions` must be of {' and '.join(words)}, but got directions={quote(value)}"
        )
