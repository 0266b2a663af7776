"""Epochs by threads and by processes, several at once, by either engine.

Both kinds train the same task from the same state, one kind after the other in each round, so
that other load on the machine meets both alike. Linux gives each session of processes its own
share of a busy machine, so workers may not begin sessions here.

    python benchmarks/engines/threads.py --engine torch
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import torch

from lightsearch import Task, parse, parse_recipe
from lightsearch.data import load
from lightsearch.data.references import DataRef, share, share_in_process
from lightsearch.training.epoch import run_epochs
from lightsearch.workers.local import local_slots

ONE_SESSION = "import os; os.setsid = lambda: None"
DESIGN = "conv(16) maxpool separable(24) se gap linear(10)"


def main() -> None:
    """Compare, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load("digits")
    share(data)
    task = Task(
        parse(DESIGN),
        parse_recipe("recipe(batch=64)"),
        DataRef(data.name, data.checksum),
        options.epochs,
        0,
        options.engine,
    )
    seconds: dict[str, list[float]] = {"threads": [], "processes": []}
    with ExitStack() as stack:
        stack.enter_context(share_in_process(data))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "sitecustomize.py").write_text(ONE_SESSION)
        paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        kinds = {
            name: [
                stack.enter_context(closing(slot))
                for slot in local_slots(
                    options.slots,
                    in_threads=name == "threads",
                    environments=[{"PYTHONPATH": paths}] * options.slots,
                )
            ]
            for name in seconds
        }
        for index in range(options.rounds + 1):  # the first one starts and loads
            for name, slots in kinds.items():
                begin = time.monotonic()
                calls = [slot.submit(run_epochs, task, None, 1, options.epochs) for slot in slots]
                for call in calls:
                    call.result()
                if index:
                    seconds[name].append(time.monotonic() - begin)
    rates = {
        name: options.slots * options.epochs / statistics.median(each)
        for name, each in seconds.items()
    }
    print(
        f"{options.engine}, {options.slots} at once, medians of {options.rounds}: epochs a "
        f"second by threads {rates['threads']:.2f}, by processes {rates['processes']:.2f}; "
        f"threads are {rates['threads'] / rates['processes']:.2f} times as fast"
    )


if __name__ == "__main__":
    main()
