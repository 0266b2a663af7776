"""Shared by the benchmarks: the designs that they train, and files of results, a line each."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lightsearch import Task, parse_recipe, train
from lightsearch.data.named import load
from lightsearch.data.references import DataRef
from lightsearch.surrogate import table

RECIPE = parse_recipe(table.RECIPE)
"""That of all figures of networks: the default until clean last epochs joined it. It stays, so
that figures go on."""

# From the README's search: mostly plain convolutions, separable ones, a skip, depthwise early. The
# small one was written for the comparison of recipes.
DESIGNS = {
    "small, 1,902": "conv(6,act-norm) conv(8,act-norm) maxpool conv(8,k=1,act-norm) "
    "separable(14,act-norm) separable(16,act-norm) separable(20,act-norm) gap linear(10)",
    "plain, 7,546": "conv(12,p=0,act-norm) conv(10,p=0,act-norm) conv(12,p=0,act-norm) maxpool "
    "conv(12,act-norm) conv(10,p=0,act-norm) conv(8,act-norm) "
    "conv(20,p=0,act-norm) separable(12,act-norm) gate gap linear(10)",
    "separable, 4,360": "conv(8,act-norm) conv(14,k=1,act-norm) conv(8,act-norm) maxpool "
    "conv(8,act-norm) conv(10,k=1,act-norm) separable(20,act-norm) "
    "separable(24,act-norm) separable(32,act-norm) gap linear(10)",
    "skips, 5,774": "conv(8,act-norm) conv(14,k=1,act-norm) conv(8,act-norm) maxpool "
    "residual([conv(16,act-norm)],project) separable(20,act-norm) "
    "separable(20,act-norm) separable(24,act-norm) separable(32,act-norm) "
    "gap linear(10)",
    "depthwise, 6,316": "conv(12,act-norm) separable(16,act-norm) conv(12,act-norm) maxpool "
    "conv(14,p=0,act-norm) separable(40,act-norm) separable(8,act-norm) "
    "conv(8,k=1,act-norm) conv(12,act-norm) gap linear(10)",
}


def lines(path: Path) -> list[dict[str, Any]]:
    """Read the results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add_line(path: Path, **result: Any) -> None:
    """Add a result."""
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")


def reference(root: str | None, name: str = "mnist") -> DataRef:
    """Return the data set of a task, by default MNIST, in the folder `root`."""
    return DataRef(name, load(name, root).checksum, root or "")


def train_missing(
    path: Path, runs: Iterable[tuple[dict[str, Any], Task]], at_once: int = 1
) -> None:
    """Train each task whose labels are not in the file yet, and add its whole curve as a line.

    `at_once` of them are trained side by side in threads.
    """
    lock = threading.Lock()
    known, left = lines(path), iter(runs)

    def next_missing() -> tuple[dict[str, Any], Task] | None:
        """The next run that no line and no earlier run has the labels of."""
        for labels, task in left:
            if not any(labels.items() <= line.items() for line in known):
                known.append(labels)
                return labels, task
        return None

    def work() -> None:
        while True:
            with lock:
                run = next_missing()
            if run is None:
                return
            labels, task = run
            results = list(train(task, raw=True))
            with lock:
                found = {
                    "recipe": str(task.recipe),
                    "trained_by": results[-1].engine,
                    "total": results[-1].total,
                    "correct": [r.correct for r in results],
                    "raw": [r.raw_correct for r in results],
                    "seconds": round(sum(r.seconds for r in results), 1),
                }
                add_line(path, **labels | found)

    with ThreadPoolExecutor(at_once) as pool:
        for worker in [pool.submit(work) for _ in range(at_once)]:
            worker.result()
