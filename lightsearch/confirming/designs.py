"""The designs that `confirm` is given: notation, rows, a result, a study's folder or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pandas as pd

from lightsearch.checks import check_path, names_path
from lightsearch.design.parts import Design, Space
from lightsearch.errors import ArgumentError
from lightsearch.result import load_result
from lightsearch.searching.settings import DEFAULTS
from lightsearch.study.leaderboard import read
from lightsearch.study.listing import find_study
from lightsearch.study.rows import Row, row_of


class Found(Protocol):
    """The result of a search."""

    @property
    def leaderboard(self) -> pd.DataFrame: ...


Asked: TypeAlias = (
    "Design | str | Path | Row | pd.DataFrame | Sequence[Design | str | Row] | Found"
)


def table_of(designs: Asked) -> Asked:
    """Return the best rows of a search's result, of a study's folder or of a leaderboard's file;
    anything else as it is."""
    if isinstance(designs, os.PathLike) or (isinstance(designs, str) and names_path(designs)):
        path = check_path("designs", designs)
        folder = find_study(path)
        whole = load_result(folder).leaderboard if folder.is_dir() else read(path)
        return whole.head(DEFAULTS.confirm_top)
    found = getattr(designs, "leaderboard", None)
    return found.head(DEFAULTS.confirm_top) if isinstance(found, pd.DataFrame) else designs


def rows_of(designs: Asked) -> list[Design | str | Row]:
    if isinstance(designs, pd.DataFrame):
        return [row_of(row) for _, row in designs.iterrows()]
    if isinstance(designs, str | Space):
        return [designs]
    if _is_row(designs):
        return [row_of(designs)]
    if isinstance(designs, Sequence):
        return [row_of(one) if _is_row(one) else one for one in designs]
    raise ArgumentError(
        "`designs` must be a design, its notation, or rows of a leaderboard, but "
        f"got {type(designs).__name__}"
    )


def _is_row(one: Any) -> bool:
    return isinstance(one, Mapping | pd.Series | pd.DataFrame) or hasattr(one, "_asdict")


def study_of(designs: Asked, rows: Sequence[Design | str | Row]) -> str | None:
    """The folder of the study that rows come from, where they know it."""
    known = (
        one.attrs.get("study")
        for one in (designs, *rows)
        if isinstance(one, pd.DataFrame | pd.Series)
    )
    return next((str(folder) for folder in known if folder), None)
