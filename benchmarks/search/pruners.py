"""Pruners replayed over the whole curves of the table, in many orders: epochs spent, hits kept.

    python benchmarks/search/pruners.py

The curves are `lightsearch.curves()`: one run of each design that was drawn near a cap, or from
all within it, on MNIST. Trials come one after the other; a hit is never pruned, as in a search.
`best` is how far the best last epoch of the complete trials is below that of all. `predicted`
knows two figures of these very curves: slope and error of the line to the last epoch.
"""

from __future__ import annotations

import argparse
import random
import statistics
from fractions import Fraction

from choices import replayed

from lightsearch.surrogate.table import EPOCHS, IMAGES, read_runs

PRUNERS = ("none", "target", "predicted", "rungs", "median", "halving")
TARGETS = {"near-8000": 0.9940, "near-5000": 0.9935, "near-3000": 0.9915, "uniform-8000": 0.9930}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=100)
    options = parser.parse_args()
    print("| draws | target | hits | pruner | epochs | hits kept | epochs a hit | best, points |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for group, target in TARGETS.items():
        curves = first_runs(group)
        able = sum(max(curve) >= target for curve in curves)
        for name in PRUNERS:
            runs = []
            for order in range(options.orders):
                shuffled = random.Random(order).sample(curves, len(curves))
                runs.append(replayed(shuffled, name, Fraction(target), EPOCHS))
            spent, hits, best = (statistics.mean(column) for column in zip(*runs, strict=True))
            behind = 100 * (max(curve[-1] for curve in curves) - best)
            print(
                f"| {group} | {target:.2%} | {able} of {len(curves)} | {name} | {spent:.0f} "
                f"| {hits:.1f} | {spent / hits:.0f} | {behind:.3f} |"
            )


def first_runs(group: str) -> list[list[float]]:
    """The accuracy by epoch of each design of a group, by its first seed."""
    runs = {run.design: run for run in reversed(read_runs()) if run.drawn == group}
    return [[count / IMAGES for count in run.averaged] for run in runs.values()]


if __name__ == "__main__":
    main()
