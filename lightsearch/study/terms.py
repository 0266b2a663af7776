"""The terms of a family of confirmations on disk: `terms.json` in its folder."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from lightsearch.checks import read_regular
from lightsearch.errors import StudyError
from lightsearch.study.confirmations import FORMAT, Terms
from lightsearch.study.field_types import check_types
from lightsearch.study.trial import parse_fraction

FOLDER = "confirmations"  # within a study's
SHORTER = "epochs-*"  # studies of fewer epochs, within that of a study for the fewest
LOOKS_FOLDER = "looks"  # within that of a study whose goal needs fresh seeds: those on the way


def slug(name: str) -> str:
    """A name as a folder's."""
    return re.sub(r"[^\w.-]", "-", name)[:60].lstrip(".") or "images"


def check_terms(root: Path, terms: Terms) -> None:
    """Raise `StudyError` if a study's family on the same images has other terms."""
    folder = root / FOLDER / slug(terms.on)
    known = read_terms(folder)
    if known is not None:
        check_same(folder, known, terms)


def read_terms(folder: Path) -> Terms | None:
    """The terms of a family's folder; None if there is none. Raises `StudyError` for damage."""
    path = folder / "terms.json"
    if not path.exists():
        return None
    try:
        data = json.loads(read_regular(path))
        if data.get("format", 0) > FORMAT:
            raise StudyError(
                f"{path} was written by a newer lightsearch (format "
                f"{data['format']}, this one reads up to {FORMAT}): update this one"
            )
        terms = check_types(Terms(**data))
        if not 0 < parse_fraction(terms.target) <= 1 or terms.epochs < 1:
            raise ValueError(f"target={terms.target!r}, epochs={terms.epochs!r}")
        return terms
    except (
        OSError,
        ArithmeticError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise StudyError(
            f"{path} must hold the terms of a confirmation, but it does not: "
            f"{error}. {remedy_of(folder)}"
        ) from None


def check_same(folder: Path, known: Terms, asked: Terms) -> None:
    """Raise `StudyError` if two terms differ, with the differences."""
    there, here = dataclasses.asdict(known), dataclasses.asdict(asked)
    differences = [
        f"{name}={there[name]!r} there, {here[name]!r} asked for"
        for name in here
        if there[name] != here[name]
    ]
    if differences:
        raise StudyError(
            "designs of one study must be confirmed on the same terms, settled before the first "
            f"run, but in {folder} it is: {'; '.join(differences)}. Give another `study` folder "
            "to confirm anew"
        )


def remedy_of(folder: Path) -> str:
    """What to do about a family that cannot be used."""
    return f"Move {folder} away to confirm anew"
