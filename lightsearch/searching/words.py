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
DEFAULT_PRUNERS: tuple[PrunerName, ...] = ("predicted", "rungs")
MANY_TRIALS = 50  # from so many on, `rungs` prunes unless told otherwise


def default_pruner(trials: int, for_the_best: bool) -> PrunerName:
    """Return the pruner of a search that names none.

    Few trials are each to hit. Of many, `rungs` finds as good a design with a fifth of the epochs
    (docs/benchmarks/search.md). It is not for a goal or an objective that asks for something else
    than the best accuracy.
    """
    return "rungs" if for_the_best and trials >= MANY_TRIALS else "predicted"
