"""What a search costs beside training: the parent's time by the study's age, memory, the start.

    python benchmarks/search/overhead.py --trials 1000 --epoch 8 --out overhead.json

The parent's time is measured with simulated epochs (simulated.py), in the default space with the
default sampler and pruner, two slots; the share is against epochs of `--epoch` seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from simulated import SimulatedSlot

from lightsearch.api import run
from lightsearch.searching.events import Ended, EpochDone
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epoch", type=float, default=8.0, help="seconds of a real epoch")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, Any] = {
        "parent": parent(options),
        "help": help_seconds(),
        "worker": worker(options.data),
    }
    options.out.write_text(json.dumps(found, indent=1))
    print(
        "| trials so far | epochs | parent, ms an epoch | share of the time, all so far |\n"
        "|---:|---:|---:|---:|"
    )
    for row in found["parent"]:
        print("| {trials} | {epochs} | {ms:.1f} | {share:.2%} |".format(**row))
    print(
        f"\n`lightsearch --help`: {found['help']:.2f} s (median of 7). One of two worker "
        "processes after some steps on MNIST: "
        + ", ".join(f"{what} {size} MB" for what, size in found["worker"].items())
    )


def parent(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of the parent at 20, 100, 1,000 ... trials: all that is not an epoch is its own."""
    rows, epochs, trials = [], 0, 0
    marks = [n for n in (20, 100, 300, 1000, 3000, 10_000) if n <= options.trials]
    with tempfile.TemporaryDirectory() as folder:
        begin = latest = time.perf_counter()
        settings = Settings(
            8000,
            15,
            data=options.data,
            trials=options.trials,
            study=folder,
            slots=[SimulatedSlot() for _ in range(options.slots)],
        )
        before = 0
        for event in run(resolve(settings)):
            epochs += isinstance(event, EpochDone)
            trials += isinstance(event, Ended)
            if isinstance(event, Ended) and trials in marks:
                now = time.perf_counter()
                spent = now - begin
                # the parent is one: while it works on one slot's epoch, the others train on
                share = spent / (spent + epochs * options.epoch / options.slots)
                rows.append(
                    {
                        "trials": trials,
                        "epochs": epochs,
                        "share": share,
                        "ms": 1000 * (now - latest) / (epochs - before),
                    }
                )
                latest, before = now, epochs
    return rows


def help_seconds() -> float:
    """Wall time of `lightsearch --help` in a process of its own."""
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "lightsearch", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def worker(data: str | None) -> dict[str, int]:
    """Memory of one of two worker processes after a few steps on MNIST, in MB."""
    from lightsearch import DEFAULT_RECIPE, Task, parse
    from lightsearch.data.named import load
    from lightsearch.data.references import DataRef, share
    from lightsearch.training.timing import seconds_per_epoch
    from lightsearch.workers.process_slot import ProcessSlot

    images = load("mnist", data)
    share(images)
    task = Task(
        parse(DESIGN), DEFAULT_RECIPE, DataRef("mnist", images.checksum, data or ""), 15, seed=0
    )
    slots = [ProcessSlot() for _ in range(2)]
    for future in [slot.submit(seconds_per_epoch, task) for slot in slots]:
        future.result()
    found = slots[0].submit(_memory).result()
    for slot in slots:
        slot.close()
    return found


DESIGN = (
    "conv(12) conv(12) conv(12) maxpool conv(12) conv(12) separable(24) separable(32) "
    "gap linear(10)"
)


def _memory() -> dict[str, int]:
    rows = dict(
        line.split(":")
        for name in ("status", "smaps_rollup")
        for line in Path(f"/proc/self/{name}").read_text().splitlines()
        if line.count(":") == 1
    )
    wanted = {
        "resident": "VmRSS",
        "peak": "VmHWM",
        "proportional": "Pss",
        "written to by it alone": "Private_Dirty",
    }
    return {what: int(rows[row].split()[0]) // 1024 for what, row in wanted.items()}


if __name__ == "__main__":
    main()
