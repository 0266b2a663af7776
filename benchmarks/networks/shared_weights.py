"""Train designs with and without shared weights at equal numbers of parameters.

    python benchmarks/networks/shared_weights.py --out shared_weights.jsonl
    python benchmarks/networks/shared_weights.py --out shared_weights.jsonl --table

The recipe is the default one. Every run is one line of the file. A run in the file is not
repeated, so the benchmark can be stopped and continued, with more seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import RECIPE, lines, reference, train_missing

from lightsearch import Task, cost, parse

CHAIN = "conv(12) separable({width}) maxpool {body} gap linear(10)"
DESIGNS = tuple(
    CHAIN.format(width=width, body=body.format(f"separable({width})"))
    for width, body in (
        (16, "loop([{0} {0}],3)"),
        (12, "{0}*4"),
        (20, "loop([{0} {0}],3)"),
        (12, "{0}*6"),
        (16, "{0}*2"),
        (20, "{0}*2"),
        (16, "{0}*3"),
        (16, "loop({0},5,depthwise)"),
        (16, "loop({0},5)"),
        (16, "{0}*6"),
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--engine", default="native")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        run(options)
    print_table(options.out)


def run(options: argparse.Namespace) -> None:
    data = reference(options.data)
    tasks = (
        Task(parse(text), RECIPE, data, options.epochs, seed, engine=options.engine)
        for seed in options.seeds
        for text in DESIGNS
    )
    train_missing(
        options.out,
        (
            ({"design": str(task.design), "seed": task.seed, "epochs": task.epochs}, task)
            for task in tasks
        ),
    )


def print_table(path: Path) -> None:
    found = defaultdict(list)
    for line in lines(path):
        found[line["design"]].append(line)
    print("| design | parameters | MACs | receptive field | runs | last epoch, mean |")
    print("|---|---:|---:|---:|---:|---:|")
    for text in sorted(found, key=lambda text: cost(parse(text)).params):
        total = cost(parse(text))
        mean = statistics.mean(run["correct"][-1] for run in found[text]) / 100
        print(
            f"| `{text}` | {total.params:,} | {total.macs:,} | {total.receptive_field} "
            f"| {len(found[text])} | {mean:.2f} |"
        )


if __name__ == "__main__":
    main()
