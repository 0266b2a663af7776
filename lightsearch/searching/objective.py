"""An objective of the user's: what proposals are to make large, in place of the accuracy.

It is a function of a trial as it stands after an epoch. Samplers are shown trials whose accuracies
are its values, so that each of them works as it does otherwise. A value is at most 1, as an
accuracy is: one less the value is what samplers take for the error.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from tokenize import TokenError
from types import FunctionType, ModuleType
from typing import Any

from lightsearch.checks import to_number
from lightsearch.errors import ArgumentError
from lightsearch.study.trial import Trial
from lightsearch.training.task import EpochResult

Objective = Callable[[Trial], float]
DIGITS = 12  # of the digest
PARTS = 10**9  # a value is shown as so many images of these
PLAIN = (bool, int, float, str, type(None))


def show_trial(trial: Trial, objective: Objective, known: Sequence[EpochResult] = ()) -> Trial:
    """Return a trial with the values of an objective in place of its accuracies.

    For an epoch before the last, the function sees the trial as it was then, while it ran. The
    first epochs are taken from `known`, if they are there. Epochs that diverged stay.
    """
    epochs: list[EpochResult] = list(known[: max(0, len(trial.epochs) - 1)])
    for end in range(len(epochs) + 1, len(trial.epochs) + 1):
        last = trial.epochs[end - 1]
        if not last.diverged:
            whole = end == len(trial.epochs)
            seen = trial if whole else Trial(trial.candidate, trial.epochs[:end])
            right = round(PARTS * judge(objective, seen))
            last = dataclasses.replace(last, correct=right, total=PARTS)
        epochs.append(last)
    return dataclasses.replace(trial, epochs=tuple(epochs)) if epochs else trial


def judge(objective: Objective, trial: Trial) -> float:
    """Return the value of an objective for a trial.

    Raises `ArgumentError` if it is no finite number of at most 1.
    """
    value = to_number(objective(trial))
    if value is None or not math.isfinite(value) or value > 1:
        raise ArgumentError(
            "`objective` must give a finite number of at most 1, as an accuracy is, but gave "
            f"{value!r} for trial {trial.number} after epoch {len(trial.epochs)}"
        )
    return value


# Its name in the identity ------------------------------------------------------------------------


def name_objective(function: Callable[[Trial], Any] | None) -> str:
    """Return the name of a function with a digest of what it computes; "" for None.

    The digest is of its source without comments, its defaults, and the values that it uses from
    outside. Of other functions that it uses it has their source, but not what those use.

    Raises `ArgumentError` for what is no `def`, and for values that a text does not tell.
    """
    if function is None:
        return ""
    inner, given = function, []
    while isinstance(inner, partial):
        given.append(_text("arguments", [*inner.args, dict(inner.keywords)]))
        inner = inner.func
    if not isinstance(inner, FunctionType) or inner.__name__ == "<lambda>":
        raise ArgumentError(
            "`objective` must be a function of a trial that is written with `def`, so that the "
            f"study can name it, but got {function!r:.100}"
        )
    parts = [*given, *_describe(inner)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:DIGITS]
    return f"{inner.__qualname__}:{digest}"


def _describe(function: FunctionType) -> Iterator[str]:
    yield _source(function)
    yield _text("defaults", [*(function.__defaults__ or ()), function.__kwdefaults__ or {}])
    outside = inspect.getclosurevars(function)
    for name, value in sorted({**outside.globals, **outside.nonlocals}.items()):
        yield f"{name}={_text(name, value)}"


def _source(function: FunctionType) -> str:
    """The source of a function, without comments."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, TokenError, IndexError):
        tree = ast.Module([], [])
    found = tree.body[0] if tree.body else None
    if not isinstance(found, ast.FunctionDef) or found.name != function.__name__:
        raise ArgumentError(
            "`objective` must have its source in a file or a notebook, so that the study can name "
            f"it, but that of {function.__qualname__} cannot be read"
        )
    return ast.unparse(tree)


def _text(name: str, value: Any) -> str:
    """A value as text that tells it from others."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(_text(name, one) for one in value)})"
    if isinstance(value, Mapping):
        return _text(name, [item for item in sorted(value.items())])
    if isinstance(value, FunctionType):
        return _source(value)
    if isinstance(value, ModuleType | type) or inspect.isbuiltin(value):
        return str(value.__name__)
    raise ArgumentError(
        "`objective` must depend on numbers, texts and functions alone, so that the study can "
        f"name it, but it uses {name}={value!r:.100}"
    )
