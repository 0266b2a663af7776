"""The words that settings of a search take: samplers, pruners, images that select, goals."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

SamplerName: TypeAlias = Literal["model", "near-cap", "uniform", "evolution", "tpe", "random"]
PrunerName: TypeAlias = Literal["predicted", "rungs", "target", "median", "halving", "none"]
Selection: TypeAlias = Literal["test", "val"]
Goal: TypeAlias = Literal["best", "smallest", "fastest"]

SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
PRUNERS: tuple[PrunerName, ...] = get_args(PrunerName)
SELECTIONS: tuple[Selection, ...] = get_args(Selection)
GOALS: tuple[Goal, ...] = get_args(Goal)
DEFAULT_SAMPLER: SamplerName = "model"
DEFAULT_PRUNER: PrunerName = "predicted"
