"""A design as users give it, as a value or in notation; and what else it may have been."""

from __future__ import annotations

import os
import re

from lightsearch.checks import names_path
from lightsearch.design.parts import Seq
from lightsearch.errors import NotationError
from lightsearch.notation.parser import parse


def read_design(given: Seq | str) -> Seq:
    """Return a design that is given as a value or in notation.

    Raises `NotationError` as `parse` does. Of what is no notation but a file, a folder or a name
    of the zoo, it says so.
    """
    if isinstance(given, os.PathLike):
        given = str(given)
    if not isinstance(given, str):
        return given
    try:
        return parse(given)
    except NotationError as error:
        hint = _explain_other(given)
        if not hint:
            raise
        raise NotationError(given, error.position, f"a design must be notation, {hint}") from None


ZOO_LIKE = re.compile(r"s\d+-[\w-]*")  # no notation looks like this


def _explain_other(text: str) -> str:
    """Say what a text is that is no notation, if it is known; else ""."""
    if ZOO_LIKE.fullmatch(text):
        return f"but got a name of the zoo: zoo[{text!r}].design is its design"
    if names_path(text):
        return f"but got a path: read({text!r}).loc[1] is the first row of a leaderboard"
    return ""
