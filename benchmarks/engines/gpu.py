"""Seconds an epoch on a GPU in several ways, and trials a minute with several trials at once.

    python benchmarks/engines/gpu.py --data FOLDER --out gpu.json

`documents` is how the source documents train (PIL transforms in a DataLoader, eager), `direct` the
engine's step launched kernel by kernel, `graph` the captured step. Trials at once are processes,
as a search has them, or threads of one process with a stream and a graph each. A trial is 15
epochs; the first epoch of each, which captures, is not counted. Time with the device busy, and
memory, are what nvidia-smi says, five times a second. The ways take turns; figures are medians.
`steps` says how many kernels a captured step has and how long they take one after another, by
PyTorch's profiler. `--quick` takes about four minutes. With `--device cpu` it only shows that it
runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import epoch as processor
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import common

from lightsearch import DEFAULT_RECIPE, Task, parse, run_epoch
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import fetch
from lightsearch.engines.cuda_graph import Captured
from lightsearch.engines.engine import Batch
from lightsearch.randomness import key, permutation
from lightsearch.workers.local import local_slots
from lightsearch.workers.slot import ExecutorSlot, Slot

EPOCHS_A_TRIAL = 15
DESIGN = common.DESIGNS["separable, 4,360"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", help="folder of the data set, as torchvision lays it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200, help="timed steps of an epoch")
    parser.add_argument("--epochs", type=int, default=4, help="timed epochs of trials at once")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--precisions", nargs="+", default=["float32", "tf32", "bf16"])
    parser.add_argument("--quick", action="store_true", help="one round, fewer ways")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps, options.epochs = 1, 100, 3
    found: dict[str, Any] = {"device": device_name(options.device), "torch": torch.__version__,
                             "epoch": {}, "steps": {}, "trials": []}
    ways = epoch_ways(options)
    for _ in range(options.rounds):
        for name, once in ways.items():
            found["epoch"].setdefault(name, []).append(once(options.steps))
            options.out.write_text(json.dumps(found, indent=1))
    ways.clear()  # and their memory
    if options.device.startswith("cuda"):
        found["steps"] = {precision: step_profile(precision, options)
                          for precision in options.precisions}
    for count, how, precision in plan(options):
        for _ in range(options.rounds):
            found["trials"].append(at_once(count, how, precision, options))
            options.out.write_text(json.dumps(found, indent=1))
    print_tables(found)


def plan(options: argparse.Namespace) -> list[tuple[int, str, str]]:
    """How many trials at once, made of what, in which precision."""
    counts = sorted(options.at_once)
    if not options.quick:
        return list(itertools.product(counts, ("processes", "threads"), options.precisions))
    return [*((count, "threads", "float32") for count in counts),
            *((counts[-1], "threads", precision) for precision in options.precisions[1:]),
            *((count, "processes", "float32") for count in (counts[0], counts[-1]))]


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


# One trial alone --------------------------------------------------------------------------------


def epoch_ways(options: argparse.Namespace) -> dict[str, Callable[[int], float]]:
    """For each way, a function that does some steps and gives seconds an epoch."""
    data = fetch(common.reference(options.data, options.dataset))
    ways: dict[str, Callable[[int], float]] = {}
    if options.dataset == "mnist" and options.data:
        ways["documents"] = processor.documents(parse(DESIGN), options, options.device)
    ways["direct, float32"] = steps_of(data, "float32", False, options)
    for precision in options.precisions:
        ways[f"graph, {precision}"] = steps_of(data, precision, True, options)
    for once in ways.values():
        once(3)  # libraries set themselves up, and graphs are captured
    return ways


def steps_of(data: DataSet, precision: str, record: bool,
             options: argparse.Namespace) -> Callable[[int], float]:
    """Steps and both evaluations of the engine, scaled to an epoch."""
    recipe, count = DEFAULT_RECIPE, len(data.train[1])
    engine = Captured(parse(DESIGN), recipe, data, 1, options.device, precision, record=record)
    engine.begin()
    batches = [Batch(images, 0.01, key(1, index), key(2, index), 0.01)
               for index, images in enumerate(permutation(3, count).split(recipe.batch_size))]

    def timed(steps: int) -> float:
        begin = time.perf_counter()
        engine.train(batches[:steps])
        engine.told()  # waits for the device
        trained = time.perf_counter()
        for averaged in (False, True):
            engine.evaluate(averaged)
        done = min(steps, len(batches))
        return (trained - begin) * len(batches) / done + time.perf_counter() - trained

    return timed


def step_profile(precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """Kernels of one step, and their microseconds one after another, the longest kinds first."""
    data = fetch(common.reference(options.data, options.dataset))
    recipe = DEFAULT_RECIPE
    engine = Captured(parse(DESIGN), recipe, data, 1, options.device, precision)
    engine.begin()
    batches = [Batch(images, 0.01, key(1, index), key(2, index), 0.01) for index, images in
               enumerate(permutation(3, len(data.train[1])).split(recipe.batch_size)[:40])]
    engine.train(batches)
    engine.told()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        engine.train(batches)
        engine.told()
    kinds = [(event.key, event.count, event.device_time_total)
             for event in profile.key_averages() if event.device_time_total > 0]
    kinds.sort(key=lambda kind: -kind[2])
    steps = len(batches)
    return {"kernels": sum(count for _, count, _ in kinds) / steps,
            "microseconds": sum(time for *_, time in kinds) / steps,
            "longest": [[name[:80], count / steps, time / steps]
                        for name, count, time in kinds[:30]]}


# Several at once --------------------------------------------------------------------------------


def at_once(count: int, how: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trials a minute with `count` at once."""
    data = common.reference(options.data, options.dataset)
    tasks = [Task(parse(DESIGN), DEFAULT_RECIPE, data, options.epochs + 1, index, "torch",
                  options.device, precision) for index in range(count)]
    pools = [ThreadPoolExecutor(1) for _ in tasks] if how == "threads" else []
    slots: list[Slot] = [ExecutorSlot(pool) for pool in pools] or local_slots(count)
    try:
        firsts = [slot.submit(run_epoch, task, None, 1)
                  for slot, task in zip(slots, tasks, strict=True)]
        states = [first.result()[0] for first in firsts]
        begin = time.perf_counter()
        with Watch(options.device) as watch, ThreadPoolExecutor(count) as drivers:
            list(drivers.map(rest, slots, tasks, states))
        seconds = time.perf_counter() - begin
        peaks = [slot.submit(peak_memory, options.device).result() for slot in slots]
    finally:
        for slot in slots:
            slot.close()
        for pool in pools:
            pool.shutdown()
    epochs = count * options.epochs
    return {"at_once": count, "how": how, "precision": precision,
            "trials_a_minute": 60 * epochs / EPOCHS_A_TRIAL / seconds,
            "seconds_an_epoch": seconds / options.epochs, "busy": watch.busy(),
            "device_mib": watch.memory(), "torch_peak_mib": max(peaks)}


def rest(slot: Slot, task: Task, state: dict[str, torch.Tensor]) -> None:
    """The epochs after the first, one call each, as a search makes them."""
    for epoch in range(2, task.epochs + 1):
        state, _ = slot.submit(run_epoch, task, state, epoch).result()


def peak_memory(device: str) -> float:
    """MiB that PyTorch held of the device at most, in the process that this runs in."""
    return torch.cuda.max_memory_reserved() / 2**20 if device.startswith("cuda") else 0.0


class Watch:
    """What nvidia-smi says of the device meanwhile; nothing where there is none."""

    def __init__(self, device: str) -> None:
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        if device.startswith("cuda"):
            self._process = subprocess.Popen(
                ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "-lms", "200",
                 "--format=csv,noheader,nounits", f"--id={torch.device(device).index or 0}"],
                stdout=subprocess.PIPE, text=True)
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._lines.extend(self._process.stdout)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._reader.join()

    def _column(self, index: int) -> list[float]:
        return [float(line.split(",")[index]) for line in self._lines if line.count(",") == 1]

    def busy(self) -> float | None:
        """Share of the time in which a kernel ran, from 0 to 1."""
        return statistics.mean(self._column(0)) / 100 if self._column(0) else None

    def memory(self) -> float | None:
        """MiB in use at most, of all processes, contexts included."""
        return max(self._column(1), default=None)


def print_tables(found: dict[str, Any]) -> None:
    print(f"{found['device']}, torch {found['torch']}\n\n| way | seconds an epoch |\n|---|---:|")
    for name, times in found["epoch"].items():
        print(f"| {name} | {statistics.median(times):.2f} |")
    for precision, step in found["steps"].items():
        print(f"\na step in {precision}: {step['kernels']:.0f} kernels, "
              f"{step['microseconds']:.0f} us one after another")
    print("\n| at once | how | precision | trials a minute | device busy | MiB of the device "
          "| MiB of a process |\n|---:|---|---|---:|---:|---:|---:|")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in found["trials"]:
        groups.setdefault((run["at_once"], run["how"], run["precision"]), []).append(run)
    for (count, how, precision), runs in groups.items():
        cells = [middle([run[name] for run in runs], digits) for name, digits in (
            ("trials_a_minute", 1), ("busy", 2), ("device_mib", 0), ("torch_peak_mib", 0))]
        print(f"| {count} | {how} | {precision} | {' | '.join(cells)} |")


def middle(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.{digits}f}" if known else "-"


if __name__ == "__main__":
    main()
