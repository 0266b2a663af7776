"""Train networks of the zoo with their published recipe and with ours: one seed, every epoch.

    python benchmarks/zoo.py --out zoo.jsonl s1-final s2-final s4-model2

One line of JSON an epoch. The published recipe is as far as the document gives it; the zoo names
what is assumed. Selected on the test images, as the documents did; the last epoch is in the
output beside the best.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from lightsearch.data import DataRef, load
from lightsearch.recipe import DEFAULT_RECIPE
from lightsearch.training import Task, train
from lightsearch.zoo import zoo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ids", nargs="+", help=f"of {', '.join(zoo)}")
    parser.add_argument("--recipes", nargs="+", default=["published", "ours"],
                        choices=["published", "ours"])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    data = load(options.dataset, options.data)
    reference = DataRef(data.name, data.checksum, options.data or "")
    for name in options.ids:
        for which in options.recipes:
            recipe = zoo[name].recipe if which == "published" else DEFAULT_RECIPE
            task = Task(zoo[name].design, recipe, reference, options.epochs, options.seed)
            for result in train(task):
                row = {"id": name, "which": which, "recipe": str(recipe), "seed": options.seed,
                       **dataclasses.asdict(result)}
                with options.out.open("a") as file:
                    print(json.dumps(row), file=file)


if __name__ == "__main__":
    main()
