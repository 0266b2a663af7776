"""The table of learning curves: real runs of small designs on MNIST, each for 15 epochs.

The package ships it as `curves.csv`, a line a run. Its columns:

- design and recipe in notation, and the run's seed;
- `drawn`: where the design comes from, such as `near-8000` for a uniform draw with 0.88 to 1 times
  8,000 parameters (`benchmarks/search/curves.py` has the plan), and `engine`, which trained it;
- for each of 15 epochs the correct test images of 10,000, by the averaged weights (`averaged`) and
  by the raw ones (`raw`), and the mean training loss in units of 0.00001 (`loss`), or nothing
  where it was not recorded. The values of an epoch are separated by spaces.

Every epoch was evaluated on the test images, so who learns from the table knows other designs'
test results.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

EPOCHS, IMAGES, CLASSES, SHAPE = 15, 10_000, 10, (1, 28, 28)
DATASET = "mnist"
RECIPE = "recipe(lr=0.3,rotation=7,shift=0.05,ema=0.998)"  # that of the runs which the model knows
LOSS_UNIT = 1e-5


@dataclass(frozen=True, slots=True)
class Run:
    """A line of the table: counts of correct test images and losses by epoch."""

    design: str
    recipe: str
    seed: int
    drawn: str
    engine: str
    averaged: tuple[int, ...]
    raw: tuple[int, ...]
    loss: tuple[float, ...]


@cache
def read_runs() -> tuple[Run, ...]:
    """Return all runs of the table, in its order."""
    text = resources.files("lightsearch.surrogate").joinpath("curves.csv").read_text("utf-8")
    return tuple(
        Run(
            row["design"],
            row["recipe"],
            int(row["seed"]),
            row["drawn"],
            row["engine"],
            _integers(row["averaged"]),
            _integers(row["raw"]),
            tuple(round(one * LOSS_UNIT, 5) for one in _integers(row["loss"])),
        )
        for row in csv.DictReader(text.splitlines())
    )


def _integers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def curves() -> pd.DataFrame:
    """Return the table of learning curves: a row an epoch of a run.

    The columns are `run` (from 0), `design`, `recipe`, `seed`, `drawn`, `engine`, `epoch` (from 1
    to 15), `accuracy` and `raw_accuracy` (shares of MNIST's 10,000 test images, by the averaged
    and the raw weights) and `train_loss` (NaN where it was not recorded).

    >>> from lightsearch import curves
    >>> frame = curves()
    >>> sorted(frame.epoch.unique()) == list(range(1, 16))
    True
    """
    import pandas as pd

    rows = [
        (
            *(number, run.design, run.recipe, run.seed, run.drawn, run.engine, epoch + 1),
            *(run.averaged[epoch] / IMAGES, run.raw[epoch] / IMAGES),
            run.loss[epoch] if run.loss else float("nan"),
        )
        for number, run in enumerate(read_runs())
        for epoch in range(EPOCHS)
    ]
    columns = ["run", "design", "recipe", "seed", "drawn", "engine", "epoch"]
    return pd.DataFrame(rows, columns=[*columns, "accuracy", "raw_accuracy", "train_loss"])
