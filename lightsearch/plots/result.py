"""What the plots read of a search's result."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pandas as pd

from lightsearch.shapes import Shape
from lightsearch.study.identity import Identity
from lightsearch.study.trial import Trial


class Result(Protocol):
    """The part of a `lightsearch.SearchResult` that the plots read."""

    @property
    def folder(self) -> Path: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def records(self) -> tuple[Trial, ...]: ...
    @property
    def images(self) -> tuple[Shape, int]: ...
    @property
    def leaderboard(self) -> pd.DataFrame: ...
