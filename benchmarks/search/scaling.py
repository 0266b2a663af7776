"""Epochs an hour of one study with 1 and with 2 workers.

    python benchmarks/search/scaling.py --rounds 3 --out scaling.json

Alternates the contenders. The clock runs from the first committed epoch on, so that the start of
the workers (importing torch, reading the images) does not count; it is given beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from lightsearch.api import run
from lightsearch.searching.events import EpochDone
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings

SPACE = "conv(8,p=0) maxpool separable(12|14|16|18|20) separable(16|24) gap linear(10)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    rates: dict[int, list[float]] = {workers: [] for workers in options.workers}
    for _ in range(options.rounds):
        for workers in options.workers:
            rates[workers].append(epochs_an_hour(workers, options))
            options.out.write_text(json.dumps(rates))
    medians = {workers: statistics.median(found) for workers, found in rates.items()}
    first = medians[options.workers[0]]
    print("| workers | epochs an hour, median (range) | ratio |\n|---:|---|---:|")
    for workers, found in rates.items():
        print(
            f"| {workers} | {medians[workers]:.0f} ({min(found):.0f} to {max(found):.0f}) "
            f"| {medians[workers] / first:.2f} |"
        )


def epochs_an_hour(workers: int, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            8000,
            options.epochs,
            dataset=options.dataset,
            data=options.data,
            space=SPACE,
            sampler="random",
            pruner="none",
            trials=options.trials,
            workers=workers,
            study=folder,
        )
        events = run(resolve(settings))
        moments = [time.monotonic() for event in events if isinstance(event, EpochDone)]
    # the first epoch of each worker is what the clock starts with
    return 3600 * (len(moments) - workers) / (moments[-1] - moments[workers - 1])


if __name__ == "__main__":
    main()
