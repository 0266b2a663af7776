"""Seconds an epoch on a GPU in several ways, and trials a minute with several trials at once.

    python benchmarks/engines/gpu.py --data FOLDER --out gpu.json

`documents` is how the source documents train (PIL transforms in a DataLoader, eager), `direct` the
engine's step launched kernel by kernel, `graph` the captured step. In float32 the kernels are our
own, or cuDNN's where it says so. Trials at once are processes, as a search has them, or threads of
one process with a stream and graphs each. A trial is 15 epochs; the first two of each, which
capture, are not counted. Time with the device
busy, and memory, are what nvidia-smi says, five times a second. The ways take turns; figures are
medians. `steps` says how many kernels a captured step has and how long they take one after
another, by PyTorch's profiler.

The file is written after each part. A part that fails is named in it and ends nothing else; one
that would not end within `--seconds`, as guessed, is left out and named too. `--quick` takes about
two minutes. With `--device cpu` it only shows that it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import epoch as processor
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import common

from lightsearch import DEFAULT_RECIPE, Task, parse, run_epoch
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import fetch
from lightsearch.engines import cuda_graph, own_kernels
from lightsearch.engines.cuda_graph import Captured
from lightsearch.engines.engine import Batch
from lightsearch.engines.names import PRECISIONS, find_word
from lightsearch.randomness import key, permutation
from lightsearch.workers.local import local_slots
from lightsearch.workers.slot import ExecutorSlot, Slot

BEGIN = time.monotonic()
EPOCHS_A_TRIAL = 15
WARM = 2  # epochs of a trial that capture
CUDNN = "float32, cuDNN"
DESIGN = common.DESIGNS["separable, 4,360"]


class Part(NamedTuple):
    """One measurement: where its result goes, about how long it takes, and what gives it."""

    place: str
    name: str
    seconds: float
    work: Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument(
        "--data",
        default=os.environ.get("LIGHTSEARCH_DATA"),
        help="folder of the data set, as torchvision lays it out",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200, help="timed steps of an epoch")
    parser.add_argument("--epochs", type=int, default=4, help="timed epochs of trials at once")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--precisions", nargs="+", default=["float32", CUDNN, "tf32", "bf16"])
    parser.add_argument("--quick", action="store_true", help="one round, fewer ways")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="since the start, after which no part may end",
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps, options.epochs = 1, 100, 3
    found: dict[str, Any] = {
        "device": device_name(options.device),
        "torch": torch.__version__,
        "design": DESIGN,
        "epoch": {},
        "steps": {},
        "trials": {},
        "failed": {},
        "left_out": [],
    }
    try:
        for index in range(options.rounds):
            for part in quick_plan(options) if options.quick else plan(options):
                if index == 0 or part.place != "steps":
                    measure(part, found, options)
    finally:  # Ctrl-C, too
        print_tables(found)


def measure(part: Part, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Do one part, if there is time, and write what there is so far."""
    now = time.monotonic() - BEGIN
    if now + part.seconds > options.seconds:
        found["left_out"].append(part.name)
        print(f"[{now:6.1f}] left out: {part.name}", flush=True)
        return
    try:
        result = part.work()
        found[part.place].setdefault(part.name, []).append(result)
        shown = (
            {k: v for k, v in result.items() if k != "longest"}
            if isinstance(result, dict)
            else result
        )
        print(f"[{now:6.1f}] {part.name}: {shown}", flush=True)
    except Exception:
        found["failed"][part.name] = traceback.format_exc()
        print(f"[{now:6.1f}] FAILED {part.name}:\n{traceback.format_exc()[-2000:]}", flush=True)
    finally:
        if options.device.startswith("cuda"):
            torch.cuda.empty_cache()
        options.out.write_text(json.dumps(found, indent=1))


def plan(options: argparse.Namespace) -> list[Part]:
    """All ways of an epoch, then all counts of trials at once."""
    trials = itertools.product(
        sorted(options.at_once), ("processes", "threads"), options.precisions
    )
    return [
        *epoch_parts(options),
        *step_parts(options),
        *(trial_part(*each, options) for each in trials if each[1:] != ("processes", CUDNN)),
    ]


def quick_plan(options: argparse.Namespace) -> list[Part]:
    """The most telling parts first."""

    def threads(*counts: int, precision: str = "float32") -> list[Part]:
        return [trial_part(count, "threads", precision, options) for count in counts]

    few, several, *_, many = (*sorted(options.at_once)[-3:-1], max(options.at_once))
    rest = sorted({*options.at_once} - {few, several, many})
    others = [name for name in options.precisions if name not in ("float32", CUDNN)]
    first, profiles = step_parts(options)[:1], step_parts(options)[1:]
    parts = [
        *threads(few, several),
        *epoch_parts(options),
        *first,
        trial_part(few, "processes", "float32", options),
        *threads(*rest, many),
        *threads(few, precision=CUDNN),
        *profiles,
        *(part for name in reversed(others) for part in threads(few, several, precision=name)),
        trial_part(many, "processes", "float32", options),
    ]
    return parts


def trial_part(count: int, how: str, precision: str, options: argparse.Namespace) -> Part:
    """With a guess of its seconds, from one run on an H200."""
    starts = (10 + 1.2 * count) if how == "processes" else 1 + 0.15 * count
    epoch = {"float32": 0.2, CUDNN: 0.57, "tf32": 0.5, "bf16": 0.35}[precision]
    seconds = starts + epoch * count * (options.epochs + WARM)
    return Part(
        "trials",
        f"{count} {how}, {precision}",
        seconds,
        functools.partial(at_once, count, how, precision, options),
    )


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


# One trial alone --------------------------------------------------------------------------------


def epoch_parts(options: argparse.Namespace) -> list[Part]:
    """The ways of an epoch, each of which gives the seconds of one."""
    parts = [
        Part(
            "epoch",
            f"graph, {precision}",
            3,
            functools.partial(epoch_seconds, precision, True, options),
        )
        for precision in options.precisions
    ]
    parts.append(
        Part(
            "epoch",
            "direct, float32",
            4,
            functools.partial(epoch_seconds, "float32", False, options),
        )
    )
    if options.dataset == "mnist" and options.data:
        parts.append(
            Part(
                "epoch",
                "documents",
                3 + 0.03 * options.steps,
                functools.partial(documents, options),
            )
        )
    return parts


def documents(options: argparse.Namespace) -> float:
    once: Callable[[int], float] = processor.documents(parse(DESIGN), options, options.device)
    once(3)
    return once(options.steps)


def new_engine(
    precision: str, data: DataSet, options: argparse.Namespace, *, record: bool = True
) -> Captured:
    engine = Captured(
        parse(DESIGN),
        DEFAULT_RECIPE,
        data,
        1,
        options.device,
        precision.partition(",")[0],
        record=record,
        own=precision != CUDNN,
    )
    engine.begin()
    return engine


def epoch_batches(count: int) -> list[Batch]:
    order = permutation(3, count).split(DEFAULT_RECIPE.batch_size)
    return [
        Batch(images, 0.01, key(1, index), key(2, index), 0.01)
        for index, images in enumerate(order)
    ]


def epoch_seconds(precision: str, record: bool, options: argparse.Namespace) -> float:
    """Steps and both evaluations of the engine, scaled to an epoch."""
    data = fetch(common.reference(options.data, options.dataset))
    engine = new_engine(precision, data, options, record=record)
    batches = epoch_batches(len(data.train[1]))

    def timed(steps: int) -> float:
        begin = time.perf_counter()
        engine.train(batches[:steps])
        engine.totals()  # waits for the device
        trained = time.perf_counter()
        for averaged in (False, True):
            engine.evaluate(averaged)
        done = min(steps, len(batches))
        return (trained - begin) * len(batches) / done + time.perf_counter() - trained

    for _ in range(2):  # libraries set themselves up, and graphs are captured
        timed(2 * cuda_graph.TOGETHER)
    return timed(options.steps)


def step_parts(options: argparse.Namespace) -> list[Part]:
    names = options.precisions if options.device.startswith("cuda") else ()
    return [
        Part("steps", name, 3, functools.partial(step_profile, name, options)) for name in names
    ]


def step_profile(precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """Kernels of one step, and their microseconds one after another, the longest kinds first."""
    data = fetch(common.reference(options.data, options.dataset))
    engine = new_engine(precision, data, options)
    batches = epoch_batches(len(data.train[1]))[: 5 * cuda_graph.TOGETHER]
    engine.train(batches)
    engine.totals()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        engine.train(batches)
        engine.totals()
    kinds = [
        (event.key, event.count, event.device_time_total)
        for event in profile.key_averages()
        if event.device_time_total > 0
    ]
    kinds.sort(key=lambda kind: -kind[2])
    steps = len(batches)
    return {
        "kernels": sum(count for _, count, _ in kinds) / steps,
        "microseconds": sum(time for *_, time in kinds) / steps,
        "longest": [[name[:80], count / steps, time / steps] for name, count, time in kinds[:30]],
    }


# Several at once --------------------------------------------------------------------------------


def at_once(count: int, how: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trials a minute with `count` at once."""
    data = common.reference(options.data, options.dataset)
    tasks = [
        Task(
            parse(DESIGN),
            DEFAULT_RECIPE,
            data,
            options.epochs + WARM,
            index,
            "torch",
            options.device,
            find_word(precision.partition(",")[0], PRECISIONS) or "float32",
        )
        for index in range(count)
    ]
    pools = [ThreadPoolExecutor(1) for _ in tasks] if how == "threads" else []
    slots: list[Slot] = [ExecutorSlot(pool) for pool in pools] or local_slots(count)
    if options.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    try:
        with ThreadPoolExecutor(count) as drivers, kernels_of(precision):
            start = time.perf_counter()
            states = list(
                drivers.map(functools.partial(epochs, 1, WARM), slots, tasks, [None] * count)
            )
            with Watch(options.device) as watch:
                begin = time.perf_counter()
                list(
                    drivers.map(
                        functools.partial(epochs, WARM + 1, WARM + options.epochs),
                        slots,
                        tasks,
                        states,
                    )
                )
                seconds = time.perf_counter() - begin
        peaks = [slot.submit(peak_memory, options.device).result() for slot in slots]
    finally:
        for slot in slots:
            slot.close()
        for pool in pools:
            pool.shutdown()
    done = count * options.epochs
    return {
        "at_once": count,
        "how": how,
        "precision": precision,
        "trials_a_minute": 60 * done / EPOCHS_A_TRIAL / seconds,
        "seconds_an_epoch": seconds / options.epochs,
        "seconds_of_first_epochs": begin - start,
        "busy": watch.busy(),
        "device_mib": watch.memory(),
        "torch_peak_mib": max(peaks),
    }


def epochs(
    first: int, last: int, slot: Slot, task: Task, state: dict[str, torch.Tensor] | None
) -> dict[str, torch.Tensor] | None:
    """Some epochs of a trial, one call each, as a search makes them."""
    for epoch in range(first, last + 1):
        state, _ = slot.submit(run_epoch, task, state, epoch).result()
    return state


@contextlib.contextmanager
def kernels_of(precision: str) -> Iterator[None]:
    """Have engines of this process do without our kernels where cuDNN is to be measured."""
    works = own_kernels._triton_works
    if precision == CUDNN:
        own_kernels._triton_works = lambda device: False  # type: ignore[assignment]
    try:
        yield
    finally:
        own_kernels._triton_works = works


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
                [
                    "nvidia-smi",
                    "--query-gpu=utilization.gpu,memory.used",
                    "-lms",
                    "200",
                    "--format=csv,noheader,nounits",
                    f"--id={torch.device(device).index or 0}",
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
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
    for precision, (step,) in found["steps"].items():
        print(
            f"\na step in {precision}: {step['kernels']:.0f} kernels, "
            f"{step['microseconds']:.0f} us one after another"
        )
    print(
        "\n| at once | how | precision | trials a minute | device busy | MiB of the device "
        "| MiB of a process |\n|---:|---|---|---:|---:|---:|---:|"
    )
    for runs in found["trials"].values():
        cells = [
            middle([run[name] for run in runs], digits)
            for name, digits in (
                ("trials_a_minute", 1),
                ("busy", 2),
                ("device_mib", 0),
                ("torch_peak_mib", 0),
            )
        ]
        one = runs[0]
        print(f"| {one['at_once']} | {one['how']} | {one['precision']} | {' | '.join(cells)} |")
    for name in (*found["failed"], *found["left_out"]):
        print(f"\nnot measured: {name}")


def middle(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.{digits}f}" if known else "-"


if __name__ == "__main__":
    main()
