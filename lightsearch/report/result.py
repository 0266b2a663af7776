"""What a report reads of a search's result."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from lightsearch.plots.result import Result
from lightsearch.study.trial import Counts


class SearchResult(Result, Protocol):
    """The part of a `lightsearch.SearchResult` that a report reads."""

    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def counts(self) -> Counts: ...
    def means(self) -> pd.DataFrame: ...
