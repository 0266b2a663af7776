"""Compare builds of the native engine by the processor time of a training step.

    python benchmarks/engines/builds.py old.so new.so --data FOLDER

A build is a library as setup.py makes it of lightsearch/engines/native/cpp/engine.cpp, from these
sources or from others with the same structs and functions. The builds take turns, a step of 128
images with rotation at a time, in one process on one thread. The table has, for each design, the
first build's median milliseconds a step, and how many times faster each other build is (the median
of the steps' ratios). `--evaluate` times evaluations of 2,000 images instead of steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from epoch import BATCH, DESIGNS, RECIPE

from lightsearch import parse
from lightsearch.data.dataset import DataSet
from lightsearch.data.named import load
from lightsearch.engines.native import library as native
from lightsearch.engines.native.engine import Native


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="+", type=Path)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--evaluate", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load("mnist", options.data)
    images, labels = data.test
    data = DataSet(data.name, data.train, (images[:2000], labels[:2000]), data.classes)
    vars(native)["sources"] = lambda: 0  # any sources will do
    libraries = [native.open_library(path.resolve()) for path in options.builds]
    print("| design | ms, first | " + " | ".join(path.stem for path in options.builds[1:]) + " |")
    print("|---|" + "---:|" * len(libraries))
    ratios: list[list[float]] = [[] for _ in libraries[1:]]
    for name in options.designs:
        engines = [Native(parse(DESIGNS[name]), RECIPE, data, 1, one) for one in libraries]
        for engine in engines:
            engine.begin()
        times = in_turns([work(engine, options.evaluate) for engine in engines], options.steps)
        row = [
            statistics.median(a / b for a, b in zip(times[0], other, strict=True))
            for other in times[1:]
        ]
        for found, ratio in zip(ratios, row, strict=True):
            found.append(ratio)
        print(
            f"| {name} | {1000 * statistics.median(times[0]):.2f} | "
            + " | ".join(f"{ratio:.3f}" for ratio in row)
            + " |",
            flush=True,
        )
    print("| median | | " + " | ".join(f"{statistics.median(r):.3f}" for r in ratios) + " |")


def work(engine: Native, evaluate: bool) -> Callable[[int], object]:
    if evaluate:
        return lambda step: engine.evaluate(averaged=False)
    batches = torch.arange(BATCH * 8).split(BATCH)
    return lambda step: engine.learn(batches[step % 8], 0.01, 1, 2)


def in_turns(ways: list[Callable[[int], object]], steps: int) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in ways]
    for step in range(-2, steps):  # the first two fill the caches
        for way, found in zip(ways, times, strict=True):
            begin = time.process_time()
            way(step)
            if step >= 0:
                found.append(time.process_time() - begin)
    return times


if __name__ == "__main__":
    main()
