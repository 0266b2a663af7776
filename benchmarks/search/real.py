"""Whole searches on MNIST, and what their first rows are worth with fresh seeds.

    python benchmarks/search/real.py --data FOLDER --studies FOLDER --out real.jsonl

Each search has one worker and the defaults but for its budget, pruner, trials and seed. The
accuracies during a search are of the test images, which its pruning and its ranking select on.
Two designs are then trained with ten fresh seeds: `first` is the leaderboard's first row, or
without a hit the trial with the best epoch; `last_first` is the complete trial with the best last
epoch. `fresh` has the correct test images, of 10,000, after the last epoch of each of these runs,
by the averaged weights; no run is left out. A search that is in the file is not run again, and
one that was cut short goes on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import add_line, lines, reference, train_missing

from lightsearch import DEFAULT_RECIPE, SearchResult, Task, Trial, parse, search

EPOCHS = 15
TARGET = Fraction("0.994")
FRESH = range(1000, 1010)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--studies", type=Path, help="folder of the searches' studies")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budgets", type=int, nargs="+", default=[8000, 3000])
    parser.add_argument("--pruners", nargs="+", default=["rungs"])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    asked = [
        {"budget": budget, "pruner": pruner, "trials": options.trials, "seed": seed}
        | {"recipe": str(DEFAULT_RECIPE)}
        for seed in options.seeds
        for budget in options.budgets
        for pruner in options.pruners
    ]
    for labels in [] if options.table else asked:
        if not any(labels.items() <= line.items() for line in lines(options.out)):
            names = ("budget", "pruner", "trials", "seed")
            folder = options.studies / "-".join(str(labels[name]) for name in names)
            add_line(options.out, **labels, **measure(folder, options.data, labels))
    print_table(lines(options.out))


def measure(folder: Path, data: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """Search, train what was found again, and return the figures."""
    result = search(
        asked["budget"],
        EPOCHS,
        pruner=asked["pruner"],
        trials=asked["trials"],
        seed=asked["seed"],
        workers=1,
        study=folder,
        data=data,
        quiet=True,
    )
    complete = [trial for trial in result.records if len(trial.epochs) == EPOCHS]
    hits = [trial for trial in result.records if trial.first_hit(TARGET)]
    return {
        "epochs": sum(len(trial.epochs) for trial in result.records),
        "complete": len(complete),
        "hits": len(hits),
        "epochs_to_hit": _epochs_to_hit(result),
        "first": _again(max(complete, key=_order), folder, data),
        "last_first": _again(max(complete, key=_last), folder, data),
    }


def _order(trial: Trial) -> tuple[int, int]:
    """That of the leaderboard: the best epoch, and of equal ones fewer parameters."""
    return max(epoch.correct for epoch in trial.epochs), -trial.candidate.params


def _last(trial: Trial) -> int:
    return trial.epochs[-1].correct


def _epochs_to_hit(result: SearchResult) -> int | None:
    """Return the epochs that the trials took, in their order, up to the first epoch that hit."""
    spent = 0
    for trial in result.records:
        if hit := trial.first_hit(TARGET):
            return spent + hit
        spent += len(trial.epochs)
    return None


def _again(trial: Trial, folder: Path, data: str | None) -> dict[str, Any]:
    """Train a trial's design with fresh seeds, all of them to the end."""
    design, kept = parse(trial.candidate.design), folder / "fresh.jsonl"
    tasks = [
        (
            {"design": str(design), "seed": seed},
            Task(design, DEFAULT_RECIPE, reference(data), EPOCHS, seed),
        )
        for seed in FRESH
    ]
    train_missing(kept, tasks)
    return {
        "trial": trial.candidate.number,
        "design": str(design),
        "params": trial.candidate.params,
        "best": _order(trial)[0],
        "last": _last(trial),
        "fresh": [line["correct"][-1] for line in lines(kept) if line["design"] == str(design)],
    }


def print_table(found: list[dict[str, Any]]) -> None:
    """Print a row a search."""
    print(
        "| recipe | budget | pruner | trials | seed | epochs | whole | hits | epochs to a hit "
        "| first row, best epoch | its last | mean of fresh seeds | parameters "
        "| best last epoch's mean |\n"
        "|---" + "|---:" * 13 + "|"
    )
    for line in found:
        first, other = line["first"], line["last_first"]
        print(
            f"| `{line['recipe']}` | {line['budget']:,} | `{line['pruner']}` | {line['trials']} "
            f"| {line['seed']} | {line['epochs']} | {line['complete']} | {line['hits']} | "
            f"{line['epochs_to_hit'] or 'none'} | {first['best'] / 100:.2f} | "
            f"{first['last'] / 100:.2f} | {_mean(first['fresh'])} | {first['params']:,} | "
            f"{_mean(other['fresh'])} |"
        )


def _mean(correct: list[int]) -> str:
    """Return the mean and the standard deviation, in percent."""
    return f"{statistics.mean(correct) / 100:.3f} ± {statistics.stdev(correct) / 100:.3f}"


if __name__ == "__main__":
    main()
