"""What clean last epochs change in learning curves: the table's runs and the same with them.

    python benchmarks/search/curves.py --recipe default --only near --out curves_default.jsonl
    python benchmarks/search/clean_curves.py benchmarks/results/curves_default.jsonl

With `--base OTHER`, another file of `curves.py` takes the table's place, and only what its runs
gain is printed, for instance by a recipe beside clean epochs:

    python benchmarks/search/curves.py --recipe "recipe(...)" --only near-8000 --out changed.jsonl
    python benchmarks/search/clean_curves.py changed.jsonl --base curves_default.jsonl

Each run of the file is paired with the table's of the same design and seed. Printed are what the
clean epochs gain, in points; the line from an epoch to the best one of both, in levels, within the
draws near one cap; and the pruner `predicted` replayed over the curves, with the slope that it
knows for clean epochs at several values. All accuracies are of the test images, one run of each
design and seed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from choices import replayed

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import lines

from lightsearch.searching.recipes import count_clean
from lightsearch.surrogate import forecast
from lightsearch.surrogate.table import EPOCHS, IMAGES, read_runs
from lightsearch.training.one_line import default_recipe

Array = np.ndarray[Any, Any]
CLEAN = count_clean(default_recipe(None), EPOCHS)
JUDGED = (3, 5, 7, 9, 11)
SLOPES = (0.7, 0.85, 1.0)  # times that of the table
TARGETS = {"near-8000": "0.9945", "near-5000": "0.9940", "near-3000": "0.9925"}


@dataclass(frozen=True)
class Pair:
    """A design and seed, trained both ways: correct test images by epoch."""

    group: str
    design: str
    plain: tuple[int, ...]
    clean: tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--orders", type=int, default=100)
    options = parser.parse_args()
    pairs = list(read_pairs(options.file, options.base))
    print_gains(pairs)
    if options.base is not None:
        return
    print_slopes(pairs)
    print_replays(pairs, options.orders)


def read_pairs(path: Path, base: Path | None) -> Iterator[Pair]:
    known = (
        {(run.design, run.seed): run.averaged for run in read_runs()}
        if base is None
        else {(one["design"], one["seed"]): tuple(one["averaged"]) for one in lines(base)}
    )
    for line in lines(path):
        curve = known.get((line["design"], line["seed"]))
        group = next(part for part in line["run"].split("/") if part.startswith("near-"))
        if curve is not None:
            yield Pair(group, line["design"], curve, tuple(line["averaged"]))


def print_gains(pairs: list[Pair]) -> None:
    print("| draws | pairs | gain, last epoch | its error | gain, best epoch | pairs that gain |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in (*TARGETS, ""):
        some = [pair for pair in pairs if pair.group.startswith(name)]
        last = [(pair.clean[-1] - pair.plain[-1]) / 100 for pair in some]
        best = [(max(pair.clean) - max(pair.plain)) / 100 for pair in some]
        if len(some) < 2:
            continue
        error = statistics.stdev(last) / len(last) ** 0.5
        print(
            f"| {name or 'all'} | {len(some)} | {statistics.mean(last):+.3f} | {error:.3f} "
            f"| {statistics.mean(best):+.3f} | {sum(one > 0 for one in last)} |"
        )


def print_slopes(pairs: list[Pair]) -> None:
    print(
        "| after epoch | slope, clean | its error | spread | slope, plain | its error | spread |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for epoch in JUDGED:
        found = [fit(pairs, kind, epoch) for kind in ("clean", "plain")]
        print(f"| {epoch} |" + "".join(f" {a:.2f} | {b:.2f} | {c:.3f} |" for a, b, c in found))


def fit(pairs: list[Pair], kind: str, epoch: int) -> tuple[float, float, float]:
    """Return the slope of the line to the best epoch within the groups, its standard error, and
    the error of the line."""
    columns: list[Array] = []
    groups = sorted({pair.group for pair in pairs})
    for group in groups:
        curves = [getattr(pair, kind) for pair in pairs if pair.group == group]
        levels = np.array([[_level(one[epoch - 1]), _level(max(one))] for one in curves])
        columns.append(levels - levels.mean(axis=0))
    x, y = np.concatenate(columns).T
    slope = float(x @ y / (x @ x))
    left = y - slope * x
    spread = float(np.sqrt(left @ left / (len(x) - len(groups) - 1)))
    return slope, spread / float(np.sqrt(x @ x)), spread


def _level(correct: int) -> float:
    return forecast.level(correct, IMAGES)


def print_replays(pairs: list[Pair], orders: int) -> None:
    print("| draws | target | hits | slope, clean | epochs | hits kept | epochs a hit |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for group, target in TARGETS.items():
        first = {pair.design: pair for pair in reversed(pairs) if pair.group == group}
        curves = [[count / IMAGES for count in pair.clean] for pair in first.values()]
        able = sum(max(curve) >= float(target) for curve in curves)
        for slope in SLOPES:
            forecast.CLEAN_SLOPE = slope
            runs = []
            for order in range(orders):
                shuffled = random.Random(order).sample(curves, len(curves))
                runs.append(replayed(shuffled, "predicted", Fraction(target), EPOCHS, CLEAN))
            spent, hits, _ = (statistics.mean(column) for column in zip(*runs, strict=True))
            print(
                f"| {group} | {float(target):.2%} | {able} of {len(curves)} | {slope} "
                f"| {spent:.0f} | {hits:.1f} | {spent / max(hits, 1):.0f} |"
            )


if __name__ == "__main__":
    main()
