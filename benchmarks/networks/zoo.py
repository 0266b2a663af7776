"""Train networks of the zoo with the published recipe and with ours, over several seeds.

    python benchmarks/networks/zoo.py --seeds 3 --out zoo.jsonl
    python benchmarks/networks/zoo.py s1-final --recipes ours --seeds 20 --out zoo.jsonl
    python benchmarks/networks/zoo.py --out zoo.jsonl --table

The second line measures the noise of the seed. Each run is one line of the file, with its whole
curve, and is not repeated. By default the networks have at most 15,000 parameters. The published
recipe is only trained if the document gives its optimizer and learning rate; the zoo says which of
its other fields are assumed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import RECIPE, lines, reference, train_missing

from lightsearch import Task, cost, zoo
from lightsearch.zoo.networks import Entry

SMALL = [name for name, entry in zoo.items() if cost(entry.design).params <= 15_000]
CHANCE = 1135  # test images of the most frequent class
PUBLISHED = ["s1-final", "s3-model1", "s3-model2"]  # the learning rate at least is given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ids", nargs="*", default=SMALL, help=f"of {', '.join(zoo)}")
    parser.add_argument(
        "--recipes", nargs="+", default=["ours", "published"], choices=["published", "ours"]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        train_missing(options.out, runs(options))
    print_table(options.out)


def runs(options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Task]]:
    """Yield the runs seed by seed, so that a benchmark that is stopped early has equal numbers."""
    data = reference(options.data)
    for seed in range(options.seeds):
        for name in options.ids:
            for which in options.recipes:
                if which == "published" and name not in PUBLISHED:
                    continue
                recipe = zoo[name].recipe if which == "published" else RECIPE
                yield (
                    {"net": name, "which": which, "seed": seed},
                    Task(zoo[name].design, recipe, data, zoo[name].epochs, seed),
                )


def print_table(path: Path) -> None:
    print(
        "| network | parameters | epochs | published: best, last | recipe | seeds, diverged "
        "| last: mean (sd) | raw, last: mean (sd) | best epoch: mean (range) "
        "| seeds that hit 99.4 |"
    )
    print("|---|---:|---:|---|---|---|---|---|---|---:|")
    found = lines(path)
    order = list(zoo)
    kinds = dict.fromkeys((line["net"], line["which"]) for line in found)
    for name, which in sorted(kinds, key=lambda kind: order.index(kind[0])):
        every = [line for line in found if (line["net"], line["which"]) == (name, which)]
        # weights of NaN give class 0 for every image: means are over the other runs
        curves = [line for line in every if line["correct"][-1] > CHANCE]
        best = [max(line["correct"]) / 100 for line in curves]
        entry = zoo[name]
        print(
            f"| {name} | {cost(entry.design).params:,} | {entry.epochs} | {entry.best}, "
            f"{last_published(entry)} | {which} | {len(every)}, {len(every) - len(curves)} "
            f"| {mean_sd([line['correct'][-1] / 100 for line in curves])} "
            f"| {mean_sd([line['raw'][-1] / 100 for line in curves])} "
            f"| {mean_range(best)} "
            f"| {sum(b >= 99.4 for b in best)} |"
        )


def last_published(entry: Entry) -> str:
    return f"{entry.accuracies[-1]}" if entry.accuracies else "not given"


def mean_range(values: list[float]) -> str:
    if not values:
        return ""
    return f"{statistics.mean(values):.3f} ({min(values):.2f} to {max(values):.2f})"


def mean_sd(values: list[float]) -> str:
    if not values:
        return ""
    deviation = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


if __name__ == "__main__":
    main()
