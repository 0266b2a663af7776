"""Compare the default recipe with variants of it, on a few designs: accuracy by epoch.

    python benchmarks/networks/recipes.py --out recipes.jsonl
    python benchmarks/networks/recipes.py --out recipes.jsonl --table

Every run is one line of the file. A run in the file is not repeated, so the benchmark can be
stopped and continued, with more seeds or designs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import DESIGNS, add_line, lines

from lightsearch import DEFAULT_RECIPE, Task, parse, parse_recipe, train
from lightsearch.data.named import load
from lightsearch.data.references import DataRef

NAMES = ("plain, 7,546", "separable, 4,360")
VARIANTS = (
    "",
    "lr=0.1",
    "lr=0.2",
    "lr=0.4",
    "rotation=0,shift=0",
    "shift=0",
    "rotation=0",
    "rotation=10,shift=0.1",
    "ema=0",
    "ema=0.99",
    "ema=0.995",
    "ema=0.999",
    "decay=0.0001",
    "batch=64",
    "smoothing=0.1",
    "scale=0.1",
    "warmup=0.3",
    "schedule=cosine",
    "optimizer=adamw,lr=0.01,decay=0.01",
    "flip=0.5",
    "erasing=0.3",
    "erasing=0.3,fill=mean",
    "erasing=0.3,fill=own",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--engine", default="native")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        run(options)
    print_table(options.out)


def variant(changes: str) -> str:
    """The default recipe with some fields changed, in the notation."""
    fields = dict(item.split("=") for item in f"{DEFAULT_RECIPE}"[7:-1].split(","))
    fields |= dict(item.split("=") for item in changes.split(",") if item)
    text = ",".join(f"{name}={value}" for name, value in fields.items())
    return str(parse_recipe(f"recipe({text})"))


def run(options: argparse.Namespace) -> None:
    data = load("mnist", options.data)
    reference = DataRef(data.name, data.checksum, options.data or "")
    known = {(line["design"], line["variant"], line["seed"]) for line in lines(options.out)}
    for seed in options.seeds:
        for changes in options.variants:
            for name in NAMES:
                if (name, changes, seed) in known:
                    continue
                task = Task(
                    parse(DESIGNS[name]),
                    parse_recipe(variant(changes)),
                    reference,
                    options.epochs,
                    seed,
                    engine=options.engine,
                )
                results = list(train(task, raw=True))
                add_line(
                    options.out,
                    design=name,
                    variant=changes,
                    seed=seed,
                    correct=[r.correct for r in results],
                    raw=[r.raw_correct for r in results],
                    seconds=sum(r.seconds for r in results),
                )


def print_table(path: Path) -> None:
    found = defaultdict(list)
    for line in lines(path):
        found[line["variant"]].append(line)
    print("| change | runs | last epoch, mean | best epoch, mean | runs at 99.4 | first at 99.3 |")
    print("|---|---:|---:|---:|---:|---:|")
    for changes, runs in sorted(found.items(), key=lambda item: -last(item[1])):
        best = statistics.mean(max(r["correct"]) for r in runs) / 100
        hits = sum(max(r["correct"]) >= 9940 for r in runs)
        first = [next((i for i, c in enumerate(r["correct"], 1) if c >= 9930), None) for r in runs]
        firsts = ", ".join("-" if f is None else str(f) for f in first)
        print(
            f"| {changes or 'none: ' + str(DEFAULT_RECIPE)} | {len(runs)} | {last(runs):.3f} "
            f"| {best:.3f} | {hits} | {firsts} |"
        )


def last(runs: list[dict]) -> float:
    return statistics.mean(r["correct"][-1] for r in runs) / 100


if __name__ == "__main__":
    main()
