"""How to train a trial of a study again, to the accuracies that its record has."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lightsearch.data.catalogue import IMAGES
from lightsearch.engines.names import PRECISIONS
from lightsearch.errors import NotationError
from lightsearch.network.lowering import has_own_layers
from lightsearch.notation.parser import parse
from lightsearch.report.result import SearchResult
from lightsearch.study.trial import Trial

FILE, TEACHER = "FILE.py", "TEACHER"  # what only the user knows


@dataclass(frozen=True, slots=True)
class Again:
    """What trains a trial again: lines of a language, and what must be known to run them."""

    language: str
    code: str
    notes: tuple[str, ...]


def train_again(trial: Trial, result: SearchResult, page: Path | None = None) -> Again:
    """Return what trains a trial again to the same accuracies.

    It is a line for the shell, by the leaderboard's row if the trial is a hit. One that is no hit
    and was tested on held-out images, or on images of the user's own, only Python trains alike.
    Paths are relative to the folder of `page`, the file that says it, if they can be.
    """
    board, identity = result.leaderboard, result.identity
    ranks = board.index[board["trial"] == trial.number]
    notes = tuple(_list_notes(trial, result))
    if len(ranks):
        table = shlex.quote(_find_path(result.folder / "leaderboard.csv", page))
        line = f"lightsearch train --row {ranks[0]} --leaderboard {table}"
        moves = "The rank is that of the leaderboard when this page was written."
        notes = (moves, *_say_folder(page), *notes)
    elif identity.selected_on == "test" and identity.dataset in IMAGES:
        line = _train_design(trial, result)
        notes = notes if _find_file(trial, result) is None else (*_say_folder(page), *notes)
    else:
        notes = (*_say_folder(page), *notes)
        return Again("python", _train_in_python(trial, result, page), notes)
    return Again("sh", line + _name_own(trial, result, page), notes)


def _train_design(trial: Trial, result: SearchResult) -> str:
    """Return the line of a design by itself, with all that its training depends on."""
    candidate, identity = trial.candidate, result.identity
    engine, _, end = trial.epochs[-1].engine.partition("-")  # what trained it, not what was asked
    precision = f" --precision {end}" if end in PRECISIONS else ""  # float32 has no label
    return (
        f"lightsearch train {shlex.quote(candidate.design)} --recipe "
        f"{shlex.quote(candidate.recipe)} --epochs {identity.epochs} --seed {candidate.seed} "
        f"--dataset {identity.dataset} --device {identity.device} --engine {engine}{precision}"
    )


def _train_in_python(trial: Trial, result: SearchResult, page: Path | None) -> str:
    study = _find_path(result.folder, page)
    teacher = _needs_teacher(trial)
    find = "find_teacher, " if teacher else ""
    given = f", teacher=find_teacher({TEACHER!r})" if teacher else ""
    return (
        f"from lightsearch import {find}load_result, rebuild, train\n\n"
        f"row = load_result({study!r}).trials.loc[{trial.number}]\n"
        f"for epoch in train(rebuild(row{given})):\n"
        "    print(epoch.epoch, epoch.accuracy)"
    )


def _list_notes(trial: Trial, result: SearchResult) -> Iterable[str]:
    """Yield what must be known of a training that is done again."""
    own = _list_own(trial, result)
    if own and _find_file(trial, result) is None:
        yield f"Import the file that registers {own} first; at the shell it is {FILE}."
    if _needs_teacher(trial):
        yield f"{TEACHER} is the network that it learned from ({result.identity.teacher})."
    if result.identity.engine == "surrogate":
        yield "This asks the surrogate again; with --engine auto it is trained."
    epochs = len(trial.epochs)
    if epochs < result.identity.epochs and not result.identity.rule.is_hit(trial.epochs):
        yield f"The record ends at epoch {epochs}; this goes on to {result.identity.epochs}."


def _say_folder(page: Path | None) -> tuple[str, ...]:
    return ("Run it in the folder of this page.",) if page is not None else ()


def _name_own(trial: Trial, result: SearchResult, page: Path | None) -> str:
    """Return the options of the shell that name what is the user's own."""
    options = f" --teacher {TEACHER}" if _needs_teacher(trial) else ""
    if _list_own(trial, result):
        file = _find_file(trial, result)
        found = FILE if file is None else shlex.quote(_find_path(file, page))
        options += f" --import {found}"
    return options


def _needs_teacher(trial: Trial) -> bool:
    return "distill=" in trial.candidate.recipe


def _list_own(trial: Trial, result: SearchResult) -> str:
    """Return which parts of a training are registered by the user, or "" if none is."""
    steps = result.identity.own_steps
    parts = [_name_steps(steps)] if steps else []
    try:
        own = has_own_layers(parse(trial.candidate.design))
    except NotationError:  # not registered here
        own = True
    return " and ".join([*(["its own layers"] if own else []), *parts])


def _name_steps(steps: str) -> str:
    """Return a study's own steps without the digests of their source."""
    return ", ".join(f"the {one.partition(':')[0]}" for one in steps.split(", "))


def _find_file(trial: Trial, result: SearchResult) -> Path | None:
    """Return the file that registers the layers of a design, if `--import` can take it.

    Not if steps of the recipe are the user's own too, which may be in another file.
    """
    if result.identity.own_steps:
        return None
    try:
        design = parse(trial.candidate.design)
    except NotationError:
        return None
    names = {type(part).__module__ for part in design}
    names = {name for name in names if name.partition(".")[0] != "lightsearch"}
    if len(names) != 1 or "__main__" in names or "." in next(iter(names)):
        return None
    file = getattr(sys.modules.get(names.pop()), "__file__", None)
    return Path(file) if file else None


def _find_path(path: Path, page: Path | None) -> str:
    """Return a path as it is from the folder of a page, or as it is here without one."""
    if page is None:
        return str(path)
    try:
        return os.path.relpath(path.resolve(), page.parent.resolve())
    except ValueError:  # another drive of Windows
        return str(path.resolve())
