"""What the virtual clock costs: the share of the slots' time that is used, with it and without.

    python benchmarks/search/clock.py --workers 1 2 4 16 --rounds 3

A search waits for the epoch that ends first in virtual time, even where another ended before it
in fact. Time is simulated here: an epoch takes its work, times a factor of its design, times a
factor of its own, both lognormal, and the search itself takes none. The accuracies are made up
so that the pruner stops some trials. `--measure N` times a few steps of N designs of the default
space, in processor time, and prints the spread of their seconds per work: the design's factor.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import reference

from lightsearch import default_space
from lightsearch.api import run
from lightsearch.data.dataset import make_dataset
from lightsearch.design.recipe import DEFAULT_RECIPE
from lightsearch.network.cost import Budget, cost
from lightsearch.randomness import key
from lightsearch.searching import loop
from lightsearch.searching.clock import epoch_work
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings
from lightsearch.space import Sampler
from lightsearch.study.journal import read_trials
from lightsearch.training import timing as training
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task

LABELS = np.arange(20) % 10
IMAGES = make_dataset((np.zeros((20, 28, 28)), LABELS), (np.zeros((20, 28, 28)), LABELS))


class Clock:
    """Simulated time, and how much of it slots have worked."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.now, self.worked = 0.0, 0.0
        self.designs, self.epochs, self.engine = options.designs, options.each, options.engine

    def seconds(self, task: Task, epoch: int) -> float:
        draw = random.Random(key(task.seed, "design"))
        design = draw.gauss(0, self.designs)
        own = random.Random(key(task.seed, "epoch", epoch)).gauss(0, self.epochs)
        spent = cost(task.design)
        return epoch_work(spent, self.engine) * math.exp(design + own)


class Running(Future[Any]):
    """An epoch in simulated time, which ends at `ends`."""

    def __init__(self, ends: float) -> None:
        super().__init__()
        self.ends = ends


class Simulated:
    """A slot in simulated time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def submit(self, function: Any, task: Task, state: Any, first: int, last: int) -> Running:
        took = self.clock.seconds(task, last)
        self.clock.worked += took
        future = Running(self.clock.now + took)
        future.set_result(({"model.x": torch.zeros(1)}, _epoch(task, last)))
        return future

    def kill(self) -> None:
        pass

    def close(self) -> None:
        pass


def _epoch(task: Task, epoch: int) -> EpochResult:
    """Accuracies that rise to a level of the design's own, of which a fifth reach the target."""
    level = random.Random(key(task.seed, "level")).gauss(0.9936, 0.001)
    noise = random.Random(key(task.seed, "noise", epoch)).gauss(0, 0.0003)
    correct = round(10_000 * min(1.0, level - 0.02 / epoch + noise))
    return EpochResult(epoch, 0.1, 0, 1, correct, correct, 10_000, 0.1, 0.0)


def searched(
    workers: int,
    seed: int,
    free: bool,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Share of the slots' time that was used, and of trials that were pruned."""
    clock = Clock(options)
    order, handle = loop.SearchLoop._next_slot, loop.SearchLoop._handle

    def handle_later(search: loop.SearchLoop, slot: int) -> Iterator[Any]:
        """Handle an epoch once it has ended in simulated time."""
        clock.now = max(clock.now, ends(search, slot))
        yield from handle(search, slot)

    patched: Any = loop.SearchLoop
    patched._handle = handle_later
    if free:
        patched._next_slot = _first_come
    try:
        with tempfile.TemporaryDirectory() as folder:
            question = resolve(
                Settings(
                    8000,
                    15,
                    dataset=IMAGES,
                    sampler="random",
                    pruner=options.pruner,
                    trials=options.trials or max(100, 8 * workers),
                    seed=seed,
                    study=folder,
                    engine=options.engine,
                    slots=[Simulated(clock) for _ in range(workers)],
                )
            )
            for _ in run(question):
                pass
            trials = read_trials(question.folder)
    finally:
        patched._next_slot, patched._handle = order, handle
    pruned = sum(t.outcome == "pruned" for t in trials) / len(trials)
    return clock.worked / clock.now / workers, pruned


def _first_come(search: loop.SearchLoop) -> int | None:
    """The slot whose epoch ends first in simulated time."""
    return min(search.clock.busy(), key=lambda slot: ends(search, slot), default=None)


def ends(search: loop.SearchLoop, slot: int) -> float:
    """When the epoch of a slot ends, in simulated time."""
    call: Any = search.epochs.at(slot).call
    return float(call.ends)


def measured(count: int, options: argparse.Namespace) -> None:
    """Print the spread of processor time per work over designs of the default space."""
    vars(training)["time"] = SimpleNamespace(perf_counter=time.process_time)
    space, ref, logs = default_space(), reference(options.data), []
    sampler = Sampler(space, (1, 28, 28), 10, Budget(8000))
    for index in range(count):
        _, design = sampler.draw(random.Random(index))
        task = Task(design, DEFAULT_RECIPE, ref, 15, 0, options.engine)
        took = training.seconds_per_epoch(task)
        logs.append(math.log(took / epoch_work(cost(design), options.engine)))
    print(
        f"spread of log(processor time / work) over {count} designs: {statistics.stdev(logs):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, help="default: 8 a worker, at least 100")
    parser.add_argument("--designs", type=float, default=0.15, help="spread of a design's factor")
    parser.add_argument("--each", type=float, default=0.05, help="spread of an epoch's factor")
    parser.add_argument("--pruner", default="target")
    parser.add_argument("--engine", default="torch", choices=["torch", "native"])
    parser.add_argument("--measure", type=int, metavar="N")
    parser.add_argument("--data", help="folder of MNIST, for --measure")
    options = parser.parse_args()
    if options.measure:
        measured(options.measure, options)
        return
    vars(os)["fsync"] = lambda file: None  # the disk is not what is measured
    print("| workers | pruned | used, virtual clock | used, first come | ratio |")
    print("|---:|---:|---:|---:|---:|")
    for workers in options.workers:
        rounds = [
            (searched(workers, seed, False, options), searched(workers, seed, True, options))
            for seed in range(options.rounds)
        ]
        clock, free = (statistics.mean(r[i][0] for r in rounds) for i in (0, 1))
        pruned = statistics.mean(r[0][1] for r in rounds)
        print(
            f"| {workers} | {pruned:.0%} | {clock:.3f} | {free:.3f} | {clock / free:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
