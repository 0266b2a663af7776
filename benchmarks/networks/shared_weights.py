"""Train designs with and without shared weights at equal numbers of parameters.

    python benchmarks/networks/shared_weights.py --out shared_weights.jsonl
    python benchmarks/networks/shared_weights.py --out shared_weights.jsonl --table
    python benchmarks/networks/shared_weights.py --out FILE --recipe default --designs DESIGN ...

Every run is one line of the file. A run in the file is not repeated, so the benchmark can be
stopped and continued, with more seeds, other designs and another recipe.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import RECIPE, lines, reference, train_missing

from lightsearch import DEFAULT_RECIPE, Task, cost, parse, parse_recipe

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
    parser.add_argument("--designs", nargs="+", default=DESIGNS)
    parser.add_argument(
        "--recipe",
        default=str(RECIPE),
        help="notation, or `default`; without it that of the other figures of networks",
    )
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
    new = options.recipe == "default"
    recipe = DEFAULT_RECIPE if new else parse_recipe(options.recipe)
    tasks = (
        Task(parse(text), recipe, data, options.epochs, seed, engine=options.engine)
        for seed in options.seeds
        for text in options.designs
    )
    train_missing(options.out, ((labels(task), task) for task in tasks))


def labels(task: Task) -> dict[str, object]:
    """Return what a run is found by in the file."""
    return {
        "design": str(task.design),
        "seed": task.seed,
        "epochs": task.epochs,
        "recipe": str(task.recipe),
    }


def print_table(path: Path) -> None:
    found = defaultdict(list)
    for line in lines(path):
        found[line["recipe"], line["design"]].append(line["correct"][-1] / 100)
    print(
        "| recipe | design | parameters | MACs | receptive field | runs | last epoch: mean (sd) |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    for recipe, text in sorted(found, key=lambda one: (one[0], cost(parse(one[1])).params)):
        total, last = cost(parse(text)), found[recipe, text]
        spread = f" ({statistics.stdev(last):.3f})" if len(last) > 1 else ""
        print(
            f"| `{recipe}` | `{text}` | {total.params:,} | {total.macs:,} "
            f"| {total.receptive_field} | {len(last)} | {statistics.mean(last):.3f}{spread} |"
        )


if __name__ == "__main__":
    main()
