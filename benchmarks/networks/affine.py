"""Train designs with and without the gain of their batch norms.

    python benchmarks/networks/affine.py --data FOLDER --out affine.jsonl
    python benchmarks/networks/affine.py --out affine.jsonl --table

A convolution that follows a batch norm directly can take over the norm's gain, so that the gain
costs a parameter a channel and adds no function. `shift` are the same designs without gains,
`none` without gains and shifts. The recipe is the default one, of 15 epochs. Every run is one line
of the file. A run in the file is not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import DESIGNS, RECIPE, lines, reference, train_missing

from lightsearch import Task, cost, parse

NAMES = ("small, 1,902", "separable, 4,360", "plain, 7,546")
WAYS = ("both", "shift", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15, 16])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--at-once", type=int, default=1, help="runs at once")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        run(options)
    print_table(options.out)


def variant(name: str, affine: str) -> str:
    """The design, with that `affine` in all of its batch norms."""
    return str(parse(DESIGNS[name].replace("act-norm", f"act-norm,affine={affine}")))


def run(options: argparse.Namespace) -> None:
    data, how = reference(options.data), (options.engine, options.device)
    runs = []
    for seed, name, affine in itertools.product(options.seeds, NAMES, WAYS):
        labels = {"design": name, "affine": affine, "seed": seed, "epochs": options.epochs}
        design = parse(variant(name, affine))
        runs.append((labels, Task(design, RECIPE, data, options.epochs, seed, *how)))
    train_missing(options.out, runs, options.at_once)


def print_table(path: Path) -> None:
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for line in lines(path):
        found[line["design"], line["affine"]][line["seed"]] = line["correct"][-1] / 100
    print("| design | affine | parameters | seeds | last epoch: mean (sd) | to both: mean (sd) |")
    print("|---|---|---:|---:|---:|---:|")
    for (name, affine), runs in sorted(found.items()):
        params = cost(parse(variant(name, affine)), (1, 28, 28), 10).params
        plain = found[name, "both"]
        gains = [value - plain[seed] for seed, value in runs.items() if seed in plain]
        print(
            f"| {name} | {affine} | {params:,} | {len(runs)} | {described(list(runs.values()))} "
            f"| {'' if affine == 'both' else described(gains)} |"
        )


def described(values: list[float]) -> str:
    spread = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
