"""What a study holds, as a value: `SearchResult`, and how to load it from its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lightsearch.checks import integer, path
from lightsearch.data import references
from lightsearch.data.catalogue import IMAGES
from lightsearch.data.references import DataRef
from lightsearch.engines.engine import State
from lightsearch.errors import StudyError
from lightsearch.plots.plots import Plots
from lightsearch.shapes import Shape
from lightsearch.study import leaderboard as tables
from lightsearch.study.confirmations import Confirmation, Key
from lightsearch.study.disk import load_state
from lightsearch.study.identity import Identity, read_identity
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_confirmations
from lightsearch.study.trial import Counts, Trial


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a study holds: the hits, all trials, and what the gate did not let through."""

    folder: Path
    identity: Identity
    records: tuple[Trial, ...]
    reason: str = ""
    confirmations: dict[Key, Confirmation] = field(default_factory=dict)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The designs that reached the target, by accuracy; see `ranked` for other orders."""
        return self.ranked()

    def ranked(self, by: str = "accuracy") -> pd.DataFrame:
        """The leaderboard by `"accuracy"`, `"params"` or `"epochs"` (to the first hit)."""
        frame = tables.leaderboard(self.records, self.identity, by=by,
                                   confirmed=self.confirmations)
        frame.attrs["study"] = str(self.folder)  # where `confirm` keeps what it trains
        return frame

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial, the pruned ones too."""
        return tables.trials_table(self.records, self.identity, self.confirmations)

    @property
    def counts(self) -> Counts:
        """Candidates drawn up to the latest trial, and those rejected or met again."""
        return self.records[-1].candidate.counts if self.records else Counts()

    @property
    def images(self) -> tuple[Shape, int]:
        """(channels, height, width) of an image, and the number of classes."""
        name = self.identity.dataset
        if name in IMAGES:
            return IMAGES[name]
        where = str(self.folder / "data.safetensors")
        own = references.fetch(DataRef(name, self.identity.checksum, where))
        return own.shape, own.classes

    @property
    def plot(self) -> Plots:
        """Pictures of the study: `result.plot.pareto()` and others, as matplotlib axes."""
        return Plots(self)


def load_result(study: str | Path, reason: str = "") -> SearchResult:
    """What the study in a folder holds, without continuing it (also while it runs).

    Raises `StudyError` where there is none.
    """
    folder = path("study", study)
    identity = read_identity(folder)
    if identity is None:
        raise StudyError(f"a study's folder must hold a study.json, but {folder} has none: a "
                         "search prints the folder of its study, lightsearch-studies/... by "
                         "default")
    return SearchResult(folder, identity, tuple(read_trials(folder)), reason,
                        read_confirmations(folder))


def load_weights(study: str | Path, trial: int) -> State:
    """The weights of a trial's best epoch, for `build(design, shape).load_state_dict`.

    The file is safetensors: reading it runs nothing. Raises `StudyError` where there is none.
    """
    integer("trial", trial, 0, 10**9)
    file = path("study", study) / "weights" / f"trial-{trial:05d}.safetensors"
    weights = load_state(file)
    if weights is None:
        raise StudyError(f"the weights of trial {trial} must be in {file}, but they cannot be "
                         "read: `lightsearch train --row RANK --save FILE` trains them again")
    return weights
