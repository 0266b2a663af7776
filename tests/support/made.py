"""Studies that were never trained: records with made-up accuracies, as many as a test needs."""

from __future__ import annotations

import dataclasses
import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

from lightsearch import Budget, cost, decode, default_space
from lightsearch.design.decoding import chooser, record_decisions
from lightsearch.errors import DesignError
from lightsearch.result import SearchResult
from lightsearch.study.identity import Identity
from lightsearch.study.trial import Candidate, Counts, Trial
from lightsearch.training.epoch_result import EpochResult

TOTAL = 10_000
RECIPE = "recipe()"


def result(
    count: int,
    *,
    budget: int = 8000,
    target: str = "0.994",
    epochs: int = 15,
    seed: int = 0,
    **more: Any,
) -> SearchResult:
    """A study of MNIST: hits, misses, pruned and, from the tenth trial on, diverged ones."""
    generator = random.Random(seed)
    space, trials, clock = default_space(), [], [0, 0]
    drawn = over = 0
    while len(trials) < count:
        decisions: dict[str, int] = {}
        options: dict[str, int] = {}
        choose = record_decisions(chooser(generator), decisions)

        def noted(
            path: str, of: tuple[Any, ...], choose: Any = choose, options: dict[str, int] = options
        ) -> int:
            options[path] = len(of)
            return choose(path, of)

        drawn += 1
        try:
            design = decode(space, noted)
            spent = cost(design, (1, 28, 28), 10)
        except DesignError:
            continue
        if spent.params > budget:
            over += 1
            continue
        number = len(trials)
        slot = number % 2
        made, outcome = _epochs(generator, spent.params, number, epochs)
        trials.append(
            Trial(
                Candidate(
                    number,
                    str(design),
                    RECIPE,
                    decisions,
                    options,
                    seed + number,
                    f"f{number}",
                    spent.params,
                    spent.macs,
                    spent.activation_bytes,
                    spent.receptive_field,
                    slot,
                    clock[slot],
                    spent.macs,
                    Counts(drawn, over, drawn - over - number - 1, 0),
                    {"lightsearch": "0.1.0"},
                ),
                made,
                *outcome,
            )
        )
        clock[slot] += spent.macs * len(made)
    identity = Identity(
        Budget(params=budget),
        epochs,
        Fraction(target),
        str(space),
        RECIPE,
        "mnist",
        "c",
        "tpe",
        "target",
        2,
        seed,
        "cpu",
        "native",
    )
    return SearchResult(Path("made"), dataclasses.replace(identity, **more), tuple(trials))


def _epochs(
    generator: random.Random, params: int, number: int, epochs: int
) -> tuple[tuple[EpochResult, ...], tuple[Any, str]]:
    end = 0.9905 + 0.0014 * math.log2(params / 1000) + generator.gauss(0, 0.0009)
    made = []
    for epoch in range(1, epochs + 1):
        accuracy = min(
            0.9975, end - 0.03 * math.exp(-epoch / 2.3) - abs(generator.gauss(0, 0.0003))
        )
        diverges = number % 50 == 10
        right = round(TOTAL * (0.1 if diverges else accuracy))
        made.append(
            EpochResult(
                epoch,
                math.nan if diverges else 0.5 / epoch,
                59_000,
                60_000,
                right,
                right - 5,
                TOTAL,
                0.1 / epoch,
                1.5,
                "native-v3",
            )
        )
        if diverges:
            return tuple(made), ("diverged", "the training loss is not finite")
        if 3 <= epoch < epochs and number > 3 and end < 0.9935:
            return tuple(made), ("pruned", "")
    return tuple(made), ("complete", "")
