"""The sources of a warm start: what `warm_start` names, read once when a study begins."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightsearch.checks import check_path
from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design, Seq, is_decided
from lightsearch.errors import ArgumentError, DesignError, NotationError, quote
from lightsearch.network.cost import cost
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.searching.pool import Seen
from lightsearch.shapes import format_shape
from lightsearch.study.csv_file import read_table, unquote_cell
from lightsearch.study.identity import Identity, read_identity
from lightsearch.study.journal import read_trials
from lightsearch.study.warm_start import (
    First,
    Kind,
    Lesson,
    Run,
    WarmStart,
    kind_of_source,
    label_sources,
    read_warm_start,
)
from lightsearch.surrogate.table import DATASET, EPOCHS, IMAGES, read_runs
from lightsearch.zoo import zoo

TAUGHT: tuple[Kind, ...] = ("study", "curves")  # sources that are only learned from
RULE = (
    "`warm_start` must be designs, their notation, paths of CSV files with a column design, "
    "folders of studies, zoo or curves, one or a sequence of them"
)


def list_sources(given: Any) -> tuple[str, ...]:
    """Return the sources as texts, each once: a design in notation, a path as it was given."""
    if given is None:
        return ()
    several = [given] if isinstance(given, str | os.PathLike | Seq) else given
    if not isinstance(several, list | tuple):
        raise ArgumentError(f"{RULE}, but got {quote(given)}")
    return tuple(dict.fromkeys(_name_source(one) for one in several))


def _name_source(one: Any) -> str:
    if isinstance(one, Seq):
        return str(one)
    if isinstance(one, os.PathLike):
        path = str(check_path("warm_start", one))
        # a file of this name that looks like a word or like notation is still a path
        return path if kind_of_source(path) in ("csv", "study") else f".{os.sep}{path}"
    if not isinstance(one, str) or not one.strip():
        raise ArgumentError(f"{RULE}, but got {quote(one)}")
    kind = kind_of_source(one)
    if kind == "design":
        return str(parse(one))
    if kind in ("csv", "study"):
        expanded = str(check_path("warm_start", one))
        return expanded if one.startswith("~") else one
    return one


def open_warm_start(identity: Identity, folder: Path, data: DataSet) -> WarmStart:
    """Return what a study begins with, or began with if there is one in `folder`.

    Raises `ArgumentError` for a source that does not exist or does not go with the study.
    """
    known = read_identity(folder)
    if known is not None and known.warm_start == identity.warm_start:
        return read_warm_start(folder, known.warm_start_digest)
    taught = [one for one in identity.warm_start if kind_of_source(one) in TAUGHT]
    if taught and identity.sampler != "model":
        raise ArgumentError(
            "`warm_start` must be designs to try first (notation, a CSV, zoo) unless "
            f"sampler='model', which alone learns from others, but got {taught[0]!r} with "
            f"sampler={identity.sampler!r}"
        )
    return _Reader(identity, data).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the sources of a study that is about to begin."""

    identity: Identity
    data: DataSet

    def read(self) -> WarmStart:
        first: list[First] = []
        lessons: list[Lesson] = []
        left_out: list[str] = []
        for source in self.identity.warm_start:
            kind = kind_of_source(source)
            if kind == "curves":
                lessons.append(self._read_curves())
            elif kind == "study":
                lessons.append(self._read_study(source))
            elif kind == "design":
                first.append(self._check_design(source))
            else:
                rows = list(_read_csv(source) if kind == "csv" else _read_zoo())
                fitting, lines = self._choose_fitting(source, rows)
                first += fitting
                left_out += lines
        return WarmStart(tuple(dict.fromkeys(first)), tuple(lessons), tuple(left_out))

    # Designs to try first --------------------------------------------------------------------

    def _trouble(self, design: Design) -> str:
        """Why a design cannot be tried in this study, or ""."""
        shape, classes = self.data.shape, self.data.classes
        try:
            spent = cost(design, shape, classes)
        except DesignError:
            return f"not for {format_shape(shape)} images of {classes} classes"
        return "over the budget" if self.identity.budget.exceeded(spent) else ""

    def _check_design(self, text: str) -> First:
        design = parse(text)
        if not is_decided(design):
            raise ArgumentError(f"a design of `warm_start` must have no choices, but got {text}")
        trouble = self._trouble(design)
        if trouble:
            raise ArgumentError(
                "a design of `warm_start` must be within the study's budget and for its images, "
                f"but this one is {trouble}: {text}"
            )
        return First(text, "", "")

    def _choose_fitting(
        self, source: str, rows: Sequence[First]
    ) -> tuple[list[First], Iterator[str]]:
        """Return those designs of a source that fit, and lines about the others."""
        troubles = [self._trouble(parse(row.design)) for row in rows]
        fitting = [row for row, trouble in zip(rows, troubles, strict=True) if not trouble]
        counts = Counter(filter(None, troubles))
        label = label_sources([source])
        lines = [
            f"{count} of {len(rows)} designs of {label} are left out: {trouble}"
            for trouble, count in counts.items()
        ]
        if not fitting:
            raise ArgumentError(
                "`warm_start` must have a design within the study's budget and for its images, "
                f"but {source} has none{': ' if lines else ''}{'; '.join(lines)}"
            )
        return fitting, iter(lines)

    # Results to learn from -------------------------------------------------------------------

    def _read_curves(self) -> Lesson:
        images = len(self.data.test[1])
        asked = self.data.name, images, self.identity.selected_on
        if asked != (DATASET, IMAGES, "test"):
            raise ArgumentError(
                f"with warm_start='curves', accuracies must be of the {IMAGES:,} test images of "
                f"{DATASET}, of which the table of curves is, but this search has {asked[0]}, "
                f"{images:,} test images, and selects on {asked[2]}"
            )
        runs = (Run(run.design, run.recipe, run.averaged) for run in read_runs())
        return Lesson("curves", EPOCHS, IMAGES, tuple(runs))

    def _read_study(self, source: str) -> Lesson:
        folder = Path(source)
        known = read_identity(folder)
        if known is None:
            raise ArgumentError(f"{RULE}, but there is no study in {source}")
        for name, there, here in (
            ("dataset", known.dataset, self.identity.dataset),
            ("checksum", known.checksum, self.identity.checksum),
            ("selected_on", known.selected_on, self.identity.selected_on),
            ("engine", known.engine == "surrogate", self.identity.engine == "surrogate"),
        ):
            if there != here:
                shown = (known.engine, self.identity.engine) if name == "engine" else (there, here)
                raise ArgumentError(
                    "a study in `warm_start` must have judged its designs on the same images, "
                    f"and both must train or none, but {source} has {name}={shown[0]!r}, and this "
                    f"search {shown[1]!r}"
                )
        seen = Seen().choose(read_trials(folder))
        if not seen:
            raise ArgumentError(
                "a study in `warm_start` must have a trial with an epoch that did not diverge, "
                f"but {source} has none"
            )
        runs = (
            Run(
                trial.candidate.design,
                trial.candidate.recipe,
                tuple(epoch.correct for epoch in trial.epochs),
            )
            for trial in seen
        )
        return Lesson(source, known.epochs, seen[0].epochs[0].total, tuple(runs))


def _read_csv(source: str) -> Iterable[First]:
    """Yield the designs of a table, in its order."""
    try:
        text, separator = read_table(Path(source))
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [{name: unquote_cell(cell) for name, cell in row.items()} for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise ArgumentError(f"{RULE}, but {source} cannot be read: {error}") from None
    if not rows or rows[0].get("design") is None:
        raise ArgumentError(
            f"a CSV in `warm_start` must have a column design and rows, but {source} has not"
        )
    for number, row in enumerate(rows, 1):
        try:
            design, recipe = parse(row["design"] or ""), row.get("recipe") or ""
            if not is_decided(design) or (recipe and not is_decided(parse_recipe(recipe))):
                raise ValueError("it has choices")
        except (NotationError, DesignError, ValueError) as error:
            raise ArgumentError(
                "a row of a CSV in `warm_start` must have a design in notation, and its recipe if "
                f"there is one, but row {number} of {source} has not: {error}"
            ) from None
        yield First(str(design), recipe, source)


def _read_zoo() -> Iterable[First]:
    """Yield the networks of the zoo. Their documents' recipes are others than this study's."""
    return (First(str(entry.design), "", "zoo") for entry in zoo.values())
