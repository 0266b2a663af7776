"""Train designs of the default space for the table of curves, and go on where it stopped.

    python benchmarks/search/curves.py --data FOLDER --out curves.jsonl --at-once 2
    python benchmarks/search/curves.py --out curves_default.jsonl --recipe default --only near

Each line of the file is one run of 15 epochs with the table's recipe on MNIST. For each epoch it
has the correct test images of 10,000, by the averaged weights and by the raw ones, and the mean
training loss. Each run has one seed, and every epoch was evaluated on the test images.

These designs are trained, in turns: uniform draws within 0.88 to 1 of a cap of 8,000, 5,000 and
3,000 parameters; uniform draws within 8,000; mutants of the best fifth so far near each cap, with
one or two decisions changed; the documents' networks of less than 10,000 parameters. Every fourth
draw near a cap is trained with three more seeds. `run` names a line's place in this plan, so that
a run is never done twice.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import common

from lightsearch import (
    DEFAULT_RECIPE,
    Budget,
    Task,
    cost,
    decode,
    default_space,
    parse,
    parse_recipe,
    train,
    zoo,
)
from lightsearch.design.decoding import replay
from lightsearch.errors import DesignError
from lightsearch.space import Sampler
from lightsearch.surrogate.table import RECIPE

EPOCHS = 15
CAPS = (8000, 5000, 3000)
LEAST = 0.88  # of a cap: what counts as near it
SHAPE, CLASSES = (1, 28, 28), 10
SPACE = default_space(SHAPE, CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="folder of the data set, as torchvision lays it out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--at-once", type=int, default=1, help="runs at once, one thread each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engine", default="auto")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="after which no run is begun"
    )
    parser.add_argument("--start", type=int, default=0, help="rounds of the plan to leave out")
    parser.add_argument("--recipe", default=RECIPE, help="notation, or `default`; the table's")
    parser.add_argument("--only", default="", help="how the names of the runs begin")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    data = common.reference(options.data)
    table = Table(options.out)
    runs = (run for run in plan(table, options.start) if run[0].startswith(options.only))
    recipe = DEFAULT_RECIPE if options.recipe == "default" else parse_recipe(options.recipe)
    lock = threading.Lock()

    def work() -> None:
        while time.monotonic() < until:
            with lock:
                name, design, seed = next(runs)
            task = Task(
                parse(design),
                recipe,
                data,
                EPOCHS,
                seed,
                options.engine,
                options.device,
            )
            table.add(line(name, design, task))

    with ThreadPoolExecutor(options.at_once) as pool:
        for worker in [pool.submit(work) for _ in range(options.at_once)]:
            worker.result()


def line(name: str, design: str, task: Task) -> dict[str, Any]:
    """Train a task and describe its curve."""
    spent = cost(task.design, SHAPE, CLASSES)
    results = list(train(task, raw=True))
    return {
        "run": name,
        "design": design,
        "params": spent.params,
        "macs": spent.macs,
        "recipe": str(task.recipe),
        "seed": task.seed,
        "epochs": task.epochs,
        "averaged": [r.correct for r in results],
        "raw": [r.raw_correct for r in results],
        "loss": [round(r.train_loss, 5) for r in results],
        "engine": results[-1].engine,
    }


class Table:
    """The runs so far, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._lines = {each["run"]: each for each in common.lines(path)}

    def __contains__(self, name: str) -> bool:
        return name in self._lines

    def add(self, one: dict[str, Any]) -> None:
        with self._lock:
            self._lines[one["run"]] = one
            common.add_line(self._path, **one)
        print(len(self._lines), one["run"], one["params"], one["averaged"][-1], flush=True)

    def best(self, kind: str) -> list[str]:
        """Names of the best fifth of the draws of a kind, by the last epoch."""
        found = sorted(
            (each["averaged"][-1], name)
            for name, each in self._lines.items()
            if name.startswith(kind + "/")
        )
        return [name for _, name in found[-max(1, len(found) // 5) :]] if found else []


def plan(table: Table, start: int) -> Iterator[tuple[str, str, int]]:
    """What is to be trained, in order, without end: its name, its design and its seed."""
    for index in itertools.count(start):
        for name, design, seed in one_round(table, index):
            if name not in table:
                yield name, design, seed


def one_round(table: Table, index: int) -> Iterator[tuple[str, str, int]]:
    for cap in CAPS:
        near = f"near-{cap}/{index}"
        yield near, drawn(near)[1], index
        if index % 4 == 0:
            for more in (1, 2, 3):
                yield f"seed-{more}/{near}", drawn(near)[1], 100_000 * more + index
    if index % 2 == 0:
        uniform = f"uniform-8000/{index}"
        yield uniform, drawn(uniform)[1], index
    for cap in CAPS if index % 2 else ():
        parents = table.best(f"near-{cap}")
        if parents:
            generator = random.Random(f"mutant {cap} {index}")
            parent = generator.choice(parents)
            yield f"mutant-{cap}/{index}", mutant(drawn(parent)[0], cap, generator), index
    small = sorted(name for name in zoo if zoo[name].params < 10_000)
    if index < len(small):
        yield f"zoo/{small[index]}", str(zoo[small[index]].design), index


@functools.cache
def drawn(name: str) -> tuple[dict[str, int], str]:
    """The decisions and the design of a draw, which its name determines."""
    kind, cap = name.split("/")[0].split("-")
    generator = random.Random(name)
    while True:
        decisions, design = sampler(int(cap)).draw(generator)
        if kind == "uniform" or near(str(design), int(cap)):
            return decisions, str(design)


@functools.cache
def sampler(cap: int) -> Sampler:
    return Sampler(SPACE, SHAPE, CLASSES, Budget(params=cap))


def near(design: str, cap: int) -> bool:
    return LEAST * cap <= cost(parse(design), SHAPE, CLASSES).params <= cap


def mutant(decisions: dict[str, int], cap: int, generator: random.Random) -> str:
    """A design near the cap with one or two other decisions than the parent."""
    sizes: dict[str, int] = {}
    original = replay(decisions)

    def counted(path: str, options: tuple[Any, ...]) -> int:
        sizes[path] = len(options)
        return original(path, options)

    parent = str(decode(SPACE, counted))
    free = [path for path, size in sizes.items() if size > 1]
    while True:
        changed = dict(decisions)
        for path in generator.sample(free, generator.choice((1, 2))):
            changed[path] = generator.randrange(sizes[path])
        design = str(decode(SPACE, completed(changed, generator)))
        try:
            if design != parent and near(design, cap):
                return design
        except DesignError:
            continue


def completed(decisions: dict[str, int], generator: random.Random) -> Any:
    """The decisions, and a draw for those that only the changed design has."""

    def choose(path: str, options: tuple[Any, ...]) -> int:
        return decisions.get(path, generator.randrange(len(options)))

    return choose


if __name__ == "__main__":
    main()
