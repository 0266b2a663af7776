"""What a study knew before its first trial: designs to try first, and results to learn from.

It is read from its sources once, when the study begins, and kept in the study's folder. So the
study goes on as it began, whatever becomes of the sources.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lightsearch.checks import read_regular
from lightsearch.errors import StudyError

FILE = "warm_start.json"
ZOO, CURVES = "zoo", "curves"
DIGITS = 16  # of the digest

Kind: TypeAlias = Literal["design", "csv", "zoo", "study", "curves"]


@dataclass(frozen=True, slots=True)
class First:
    """A design to try first, in notation, with a recipe if its source gives one."""

    design: str
    recipe: str
    source: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run to learn from: its correct images by epoch."""

    design: str
    recipe: str
    correct: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """The runs of one source: all were to be of `epochs`, evaluated on `images` images."""

    source: str
    epochs: int
    images: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class WarmStart:
    """All that a study began with. `left_out` says what of its sources it did not take."""

    first: tuple[First, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_text(self) -> str:
        """The content of the file that keeps it, or "" if there is nothing to keep."""
        return "" if self == NOTHING else json.dumps(dataclasses.asdict(self)) + "\n"

    def digest(self) -> str:
        """Digits that tell what is kept from anything else; "" if there is nothing."""
        return _digest(self.to_text())


NOTHING = WarmStart()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS] if text else ""


def read_warm_start(folder: Path, digest: str) -> WarmStart:
    """What the study in a folder began with, by the digest in its identity.

    Raises `StudyError` if the file is not as it was written.
    """
    if not digest:
        return NOTHING
    path = folder / FILE
    try:
        text = read_regular(path).decode()
        if _digest(text) != digest:
            raise ValueError(f"its digest is {_digest(text) or 'none'}")
        return _parse(json.loads(text))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StudyError(
            f"a study with a warm start must have its {FILE} with the digest {digest}, but "
            f"{path}: {error}. Bring the file back, or give another `study` folder"
        ) from None


def _parse(data: dict[str, Any]) -> WarmStart:
    lessons = [
        Lesson(
            one["source"],
            one["epochs"],
            one["images"],
            tuple(Run(r["design"], r["recipe"], tuple(r["correct"])) for r in one["runs"]),
        )
        for one in data["lessons"]
    ]
    first = tuple(First(**one) for one in data["first"])
    return WarmStart(first, tuple(lessons), tuple(data["left_out"]))


# Sources by their text ---------------------------------------------------------------------------


def kind_of_source(source: str) -> Kind:
    """What a source is, by its text alone, so that it need not exist any more.

    >>> [kind_of_source(one) for one in ("conv(8) gap linear(10)", "a/best.csv", "a", "./a(1)")]
    ['design', 'csv', 'study', 'study']
    """
    if source == ZOO or source == CURVES:
        return "zoo" if source == ZOO else "curves"
    if "(" in source and not any(mark in source for mark in "/\\"):
        return "design"
    return "csv" if source.lower().endswith(".csv") else "study"


def label_sources(sources: Sequence[str]) -> str:
    """The sources in short, as tables have them; "" if there are none.

    >>> label_sources(["curves", "conv(8) gap linear(10)", "small/leaderboard.csv", "small"])
    '1 design, leaderboard.csv, curves, study small'
    """
    return ", ".join(dict.fromkeys([*_label_first(sources), *_label_lessons(sources)]))


def explain_warm_start(sources: Sequence[str], selected_on: str = "test") -> str:
    """A sentence on what a study knew before it began; "" if it knew nothing."""
    return explain_label(label_sources(sources), selected_on)


def explain_label(label: str, selected_on: str = "test") -> str:
    """The same from the label in a table.

    >>> explain_label("zoo, curves")
    "Warm start: it knew other designs' test results (curves), and tried others first (zoo)."
    >>> explain_label("2 designs")
    'Warm start: it tried designs first that were chosen before it began (2 designs).'
    """
    parts = label.split(", ") if label else []
    lessons = [part for part in parts if part == CURVES or part.startswith("study ")]
    first = [part for part in parts if part not in lessons]
    tried, taught, images = ", ".join(first), ", ".join(lessons), selected_on.split("(")[0]
    if not label:
        return ""
    if not taught:
        return f"Warm start: it tried designs first that were chosen before it began ({tried})."
    known = f"Warm start: it knew other designs' {images} results ({taught})"
    return f"{known}, and tried others first ({tried})." if tried else f"{known}."


def _label_first(sources: Sequence[str]) -> Iterable[str]:
    kinds = [kind_of_source(source) for source in sources]
    designs = kinds.count("design")
    if designs:
        yield f"{designs} design" + ("" if designs == 1 else "s")
    for source, kind in zip(sources, kinds, strict=True):
        if kind == "csv":
            yield _name(source)
        elif kind == "zoo":
            yield ZOO


def _label_lessons(sources: Sequence[str]) -> Iterable[str]:
    for source in sources:
        kind = kind_of_source(source)
        if kind == "curves":
            yield CURVES
        elif kind == "study":
            yield f"study {_name(source)}"


def _name(path: str) -> str:
    return (Path(path).name or path).replace(",", " ")
