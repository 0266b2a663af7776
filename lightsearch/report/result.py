"""What a report reads of a search's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from lightsearch.plots.result import Result
from lightsearch.study.confirmations import Key
from lightsearch.study.means import Run
from lightsearch.study.trial import Counts


class SearchResult(Result, Protocol):
    """The part of a `lightsearch.SearchResult` that a report reads."""

    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def runs(self) -> Mapping[Key, tuple[Run, ...]]: ...
    def means(self) -> pd.DataFrame: ...
