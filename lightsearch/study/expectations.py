"""What a study's trials lead one to expect of each of its designs, from their features alone.

A model of all trials, the pruned ones too, knows more of a design than one run of it does: the
seed's noise is as large as what good designs differ by (docs/benchmarks/search.md).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from lightsearch.design.decoding import decode
from lightsearch.design.recipe import Recipe
from lightsearch.errors import LightsearchError
from lightsearch.layer_warnings import silence_layers
from lightsearch.network.cost import Cost, cost
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.shapes import Shape
from lightsearch.study.trial import Trial
from lightsearch.surrogate.features import measure
from lightsearch.surrogate.forecast import level
from lightsearch.surrogate.level_model import (
    LevelModel,
    Observations,
    assume_noise,
    observe_curves,
)

FEWEST = 8  # trials from which something is expected: a model of fewer knows hardly more than them
LATEST = 1000  # trials that are seen beside those with whole runs: one takes half a millisecond


def observe(trials: Sequence[Trial], epochs: int) -> Observations:
    """Return the observations of trials that have at least one epoch each."""
    curves = [[level(e.correct, e.total) for e in trial.epochs] for trial in trials]
    return observe_curves(curves, epochs)


def list_choices(recipe: Recipe) -> dict[str, int]:
    """Return the choices of a recipe by their paths, and how many options each has."""
    options: dict[str, int] = {}

    def note(path: str, offered: tuple[Any, ...]) -> int:
        options[path] = len(offered)
        return 0

    decode(recipe, note)
    return options


def measure_choices(
    spent: Cost, decisions: Mapping[str, int], choices: Mapping[str, int]
) -> list[float]:
    """Return the features of a design, and an indicator for each choice of the recipe."""
    return measure(spent) + _indicate(decisions, choices)


def _indicate(decisions: Mapping[str, int], choices: Mapping[str, int]) -> list[float]:
    return [
        float(decisions.get(path) == index)
        for path, options in choices.items()
        for index in range(1, options)
    ]


@functools.lru_cache(maxsize=20_000)  # a result is asked for its means more than once
def _measure_text(design: str, images: tuple[Shape, int]) -> tuple[float, ...]:
    with silence_layers():
        return tuple(measure(cost(parse(design), *images)))


def expect(
    trials: Sequence[Trial],
    whole: Mapping[int, Sequence[float]],
    epochs: int,
    recipe: str,
    images: tuple[Shape, int],
) -> dict[int, float]:
    """Return the accuracy that is expected of a trial's design at the last epoch, by its number.

    `whole` has the last accuracies of all whole runs of some trials, by number. Their mean takes
    the place of the trial's own curve, and of several runs counts for more than one: a third of
    the variance of single runs, beyond the features, is taken to be the design's. Trials whose
    layers are not known here are left out, as are those that diverged. Of a study with few trials,
    or none that is complete, nothing is expected.
    """
    try:
        choices = list_choices(parse_recipe(recipe))
    except LightsearchError:  # it has a step of the user's own, which is not known here
        return {}
    seen, rows = [], []
    for place, trial in enumerate(trials, 1):
        is_whole = trial.number in whole
        if not trial.epochs or (trial.epochs[-1].diverged and not is_whole):
            continue
        if not is_whole and place <= len(trials) - LATEST:
            continue
        try:
            features = _measure_text(trial.candidate.design, images)
        except LightsearchError:  # a layer of the user's own is not known here
            continue
        seen.append(trial)
        rows.append([*features, *_indicate(trial.candidate.decisions, choices)])
    if len(seen) < FEWEST or not any(len(trial.epochs) >= epochs for trial in seen):
        return {}
    observed, total = observe(seen, epochs), seen[-1].epochs[-1].total
    for index, trial in enumerate(seen):
        runs = whole.get(trial.number, ())
        if runs:
            observed.levels[index] = level(fmean(runs) * total, total)
            observed.weights[index] = 3 * len(runs) / (len(runs) + 2)
    noise = assume_noise(observed.levels, total)
    model = LevelModel(np.array(rows), observed, noise=noise)
    levels = np.minimum(model.predict(np.array(rows)), 0.0)
    return {trial.number: 1 - math.exp(one) for trial, one in zip(seen, levels, strict=True)}
