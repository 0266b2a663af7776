"""Epochs to the first hit: `search` against a plain Optuna script, on the same engine.

    python benchmarks/search/search.py --seeds 3 --out search.jsonl
    python benchmarks/search/search.py --out search.jsonl --table

The same space, budget, target and epochs a trial for both; one worker, so that epochs are one
after another. The script is what Optuna's users write: TPE and the median pruner as they come,
the raw weights' accuracy reported after each epoch, `TrialPruned` for a design over the budget.
Its recipe is ours without averaging. Each run is a line; one that is there is not repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import statistics
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import optuna

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import add_line, lines, reference

from lightsearch import (
    DEFAULT_RECIPE,
    Budget,
    Task,
    cost,
    decode,
    default_space,
    parse,
    run_epoch,
)
from lightsearch.api import run
from lightsearch.design.parts import Design
from lightsearch.searching.events import EpochDone
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings
from lightsearch.study.trial import reaches, to_fraction
from lightsearch.training.epoch_result import EpochResult

BUDGET, EPOCHS, TARGET = 8000, 15, 0.994


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=150, help="epochs after which a run is over")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    known = {(line["way"], line["seed"]) for line in lines(options.out)}
    for seed in () if options.table else range(options.seeds):
        for way, epochs in (("search", ours), ("plain Optuna", plain)):
            if (way, seed) not in known:
                one_run(way, seed, epochs(seed, options.data), options)
    print_table(options.out)


def one_run(
    way: str, seed: int, epochs: Generator[tuple[Design, EpochResult]], options: argparse.Namespace
) -> None:
    """Count epochs until one reaches the target, or there were too many."""
    count, macs, seconds, hit, designs = 0, 0, 0.0, None, set()
    with contextlib.closing(epochs):
        for design, result in epochs:
            count, macs = count + 1, macs + cost(design).macs
            seconds += result.seconds
            designs.add(str(design))
            if reaches(result, to_fraction(TARGET)):
                hit = {
                    "design": str(design),
                    "params": cost(design).params,
                    "correct": result.correct,
                    "epoch": result.epoch,
                }
            if hit or count >= options.most:
                break
    add_line(
        options.out,
        way=way,
        seed=seed,
        epochs=count,
        macs=macs,
        seconds=round(seconds),
        designs=len(designs),
        hit=hit,
    )


def ours(seed: int, data: str | None) -> Generator[tuple[Design, EpochResult]]:
    """The epochs of a search, in the order they are trained."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            BUDGET,
            EPOCHS,
            target=TARGET,
            data=data,
            trials=1000,
            workers=1,
            study=folder,
            seed=seed,
        )
        with contextlib.closing(run(resolve(settings))) as events:
            for event in events:
                if isinstance(event, EpochDone):
                    yield parse(event.trial.candidate.design), event.result


def plain(seed: int, data: str | None) -> Generator[tuple[Design, EpochResult]]:
    """The epochs of the script, in the order they are trained."""
    images = reference(data)
    recipe = dataclasses.replace(DEFAULT_RECIPE, ema=0)
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(),
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    while True:
        trial = study.ask()
        design = decode(
            default_space(),
            functools.partial(suggest, trial),
        )
        if Budget(params=BUDGET).exceeded(cost(design)):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        task, state, result = Task(design, recipe, images, EPOCHS, trial.number), None, None
        for epoch in range(1, EPOCHS + 1):
            state, result = run_epoch(task, state, epoch)
            yield design, result
            trial.report(result.accuracy, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            assert result is not None
            study.tell(trial, result.accuracy)


def suggest(trial: optuna.Trial, path: str, options: tuple[Any, ...]) -> int:
    return int(trial.suggest_categorical(path, range(len(options))))


def print_table(path: Path) -> None:
    print(
        "| way | seed | epochs | designs | epochs x MACs, 1e6 | seconds | first hit |\n"
        "|---|---:|---:|---:|---:|---:|---|"
    )
    found = sorted(lines(path), key=lambda line: (line["way"], line["seed"]))
    for line in found:
        hit = line["hit"]
        told = f"{hit['correct'] / 100:.2f}, {hit['params']:,} parameters" if hit else "none"
        print(
            f"| {line['way']} | {line['seed']} | {line['epochs']} | {line['designs']} "
            f"| {line['macs'] / 1e6:.0f} | {line['seconds']} | {told} |"
        )
    for way in dict.fromkeys(line["way"] for line in found):
        runs = [line for line in found if line["way"] == way]
        print(
            f"\n{way}: median {statistics.median(r['epochs'] for r in runs):g} epochs, "
            f"{statistics.median(r['macs'] for r in runs) / 1e6:.0f}e6 MACs, "
            f"{sum(bool(r['hit']) for r in runs)} of {len(runs)} runs hit"
        )


if __name__ == "__main__":
    main()
