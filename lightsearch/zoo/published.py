"""Published networks for MNIST within 15,000 parameters, as their authors report them.

The package ships the rows as `published_designs.csv`. Its columns:

- parameters;
- accuracy at the best epoch of one run, in percent of MNIST's 10,000 test images;
- accuracy at the last three epochs, if a log gives them;
- epochs, recipe, and the layers in words;
- source: a repository, or one of the source documents of `docs/zoo.md`;
- evidence: weights, a log, or a claim alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

DATASET = "mnist"


@dataclass(frozen=True, slots=True)
class PublishedDesign:
    """A row of the table. `accuracy` and `last3` are shares of the test images, from 0 to 1."""

    params: int
    accuracy: float
    last3: tuple[float, ...]
    epochs: int
    recipe: str
    architecture: str
    source: str
    evidence: str


@cache
def published_designs() -> tuple[PublishedDesign, ...]:
    """Return all rows, by rising parameters.

    >>> from lightsearch.zoo.published import published_designs
    >>> [row.source for row in published_designs() if row.params == 8546]
    ['source document 001']
    """
    text = resources.files("lightsearch.zoo").joinpath("published_designs.csv").read_text("utf-8")
    rows = (
        PublishedDesign(
            int(row["params"]),
            _share(row["test_accuracy"]),
            tuple(_share(one) for one in row["last3"].split("/") if one),
            int(row["epochs"]),
            row["recipe"],
            row["architecture"],
            row["source"],
            row["evidence"],
        )
        for row in csv.DictReader(text.splitlines())
    )
    return tuple(sorted(rows, key=lambda row: row.params))


def _share(percent: str) -> float:
    return round(float(percent) / 100, 6)


def published_front() -> tuple[PublishedDesign, ...]:
    """Return the Pareto front: no other row has as few parameters and as high an accuracy."""
    rows = published_designs()
    return tuple(rows[n] for n in front((row.params, row.accuracy) for row in rows))


def front(points: Iterable[tuple[float, float]]) -> tuple[int, ...]:
    """Return the indices of the Pareto front of (cost, gain), by rising cost.

    Of equal points, the first one counts.

    >>> from lightsearch.zoo.published import front
    >>> front([(3, 5), (1, 1), (2, 1), (4, 9)])
    (1, 0, 3)
    """
    indices: list[int] = []
    best = float("-inf")
    for cost, minus_gain, index in sorted((c, -g, n) for n, (c, g) in enumerate(points)):
        assert cost == cost and minus_gain == minus_gain
        if -minus_gain > best:
            indices.append(index)
            best = -minus_gain
    return tuple(indices)
