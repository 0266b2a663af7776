"""What a search tells those who look on. The library prints nothing: `progress` shows these."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from lightsearch.study.trial import Counts, Trial
from lightsearch.training.epoch_result import EpochResult


@dataclass(frozen=True, slots=True)
class Planned:
    """Said before anything is trained: what the search will do at most, and how long that takes.

    `seconds` is for all that is left, if nothing is pruned, from a few timed steps of one design
    here; None where nothing is left. `designs` and `within` count the space (see `survey`).
    `proposals` says what proposes which trials, `engine` what trains them, and `earlier` are the
    study's trials so far.
    """

    folder: Path
    trials: int
    epochs: int
    workers: int
    resumed: int
    designs: float
    within: float
    exact: bool
    seconds: float | None
    proposals: str = ""
    engine: str = ""
    earlier: tuple[Trial, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Started:
    """A trial began, or goes on after an interruption."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch of a trial was committed."""

    trial: Trial
    result: EpochResult
    hit: bool  # the target was reached at this epoch for the first time


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial is over: complete, pruned, diverged or failed."""

    trial: Trial
    counts: Counts


@dataclass(frozen=True, slots=True)
class Retried:
    """A worker died; the epoch runs again in a fresh one."""

    trial: Trial
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A hit was trained again with fresh seeds; `last`: with those that decide at the end."""

    trial: Trial
    seeds: int
    mean: float
    passed: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Stopping:
    """The search was asked to stop: it finishes the epochs that run, and `Stopped` follows."""

    running: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The search is over, and why."""

    reason: str
    asked: bool = False  # to stop, as by Ctrl-C


Event: TypeAlias = Planned | Started | EpochDone | Ended | Retried | Judged | Stopping | Stopped
