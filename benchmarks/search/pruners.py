"""Pruners replayed over whole MNIST curves, in many orders: epochs spent and hits kept.

    python benchmarks/search/pruners.py spaces.jsonl

Reads what `benchmarks/networks/spaces.py` wrote: designs drawn uniformly and trained to the end.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path

from choices import replayed

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import lines

PRUNERS = ("none", "target", "median", "halving")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--targets", type=float, nargs="+", default=[0.9930, 0.9935, 0.9940])
    options = parser.parse_args()
    curves = [[c / 10_000 for c in line["correct"]] for line in lines(options.file)]
    print("| target | designs that reach it | pruner | epochs | hits kept | epochs a hit |")
    print("|---:|---:|---|---:|---:|---:|")
    for target in options.targets:
        able = sum(max(curve) >= target for curve in curves)
        for name in PRUNERS:
            spent, hits = [], []
            for order in range(options.orders):
                shuffled = random.Random(order).sample(curves, len(curves))
                epochs, found = replayed(shuffled, name, target, len(curves[0]))
                spent.append(epochs)
                hits.append(found)
            mean, kept = statistics.mean(spent), statistics.mean(hits)
            each = f"{sum(spent) / sum(hits):.0f}" if sum(hits) else "-"
            print(
                f"| {target:.2%} | {able} of {len(curves)} | {name} | {mean:.0f} | {kept:.1f} "
                f"| {each} |"
            )


if __name__ == "__main__":
    main()
