"""Do designs near a cap do better with fewer MACs? On real runs, and on digits of 8x8 pixels.

    python benchmarks/search/macs.py --curves benchmarks/results/curves_default.jsonl --digits

The designs are uniform draws with 0.88 to 1 times a cap on parameters, in four quarters by their
MACs. Those of the table of curves, with its recipe, and those of the file `--curves`, with the
default recipe, were trained on MNIST for 15 epochs, one run of each here. With `--digits` another
60 draws near each cap are trained on scikit-learn's digits, 15 epochs, one seed each. Figures are
of the best epoch on the test images.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pandas as pd
from common import lines

from lightsearch import Budget, cost, curves, default_space, train
from lightsearch.searching.gate import draw_near_cap
from lightsearch.shapes import Shape
from lightsearch.space import Sampler
from lightsearch.surrogate.table import RECIPE

CAPS = (8000, 5000, 3000)
MNIST: Shape = (1, 28, 28)
DIGITS: Shape = (1, 8, 8)
DIGITS_CAPS = (5000, 2000)
DRAWS = 60
TARGET = 0.994


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--curves", type=Path, help="runs with another recipe, of curves.py")
    parser.add_argument("--digits", action="store_true", help="train on the digits, too")
    options = parser.parse_args()
    print("| images | cap | recipe | designs | rank correlation | ", end="")
    print("thousands of MACs, by quarter | mean of the best epoch | hits at 99.4 |")
    print("|---|---:|---|---:|---:|---|---|---|")
    for cap in CAPS:
        show("MNIST", cap, "the table's", of_table(cap), MNIST)
        if options.curves:
            show("MNIST", cap, "default", of_file(options.curves, cap), MNIST)
    for cap in DIGITS_CAPS if options.digits else ():
        show("digits", cap, "default", of_digits(cap), DIGITS)


def of_table(cap: int) -> dict[str, float]:
    """The best epoch of the first run of each design that the table has near a cap."""
    frame = curves()
    frame = frame[(frame["drawn"] == f"near-{cap}") & (frame["recipe"] == RECIPE)]
    best = frame.groupby(["design", "seed"], sort=False)["accuracy"].max()
    return {str(design): float(runs.iloc[0]) for design, runs in best.groupby(level=0)}


def of_file(path: Path, cap: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for line in lines(path):
        if line["run"].startswith(f"near-{cap}/"):
            best.setdefault(line["design"], max(line["averaged"]) / 10_000)
    return best


def of_digits(cap: int) -> dict[str, float]:
    space, budget = default_space(DIGITS, 10), Budget(params=cap)
    near, _ = draw_near_cap(Sampler(space, DIGITS, 10, budget))
    generator = random.Random(0)
    best = {}
    for seed in range(DRAWS):
        design = str(near.draw(generator)[1])
        run = train(design, dataset="digits", epochs=15, seed=seed)
        best[design] = max(epoch.accuracy for epoch in run)
    return best


def show(images: str, cap: int, recipe: str, best: Mapping[str, float], shape: Shape) -> None:
    """Print a row of the table: figures by quarter, from the fewest MACs on."""
    macs = {design: cost(design, shape, 10).macs for design in best}
    order = sorted(best, key=lambda design: macs[design])
    size = len(order) / 4
    quarters = [order[round(size * k) : round(size * (k + 1))] for k in range(4)]
    pairs = pd.DataFrame({"macs": macs, "best": dict(best)}).rank()
    correlation = pairs["macs"].corr(pairs["best"])
    cells = (
        ", ".join(f"{statistics.mean(macs[d] for d in part) / 1000:,.0f}" for part in quarters),
        ", ".join(f"{100 * statistics.mean(best[d] for d in part):.3f}" for part in quarters),
        ", ".join(f"{sum(best[d] >= TARGET for d in part)} of {len(part)}" for part in quarters)
        if images == "MNIST"
        else "",
    )
    row = (images, f"{cap:,}", recipe, str(len(order)), f"{correlation:+.2f}", *cells)
    print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
