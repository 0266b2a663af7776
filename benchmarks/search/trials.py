"""Compare pruners at equal numbers of trials, on the surrogate: what is found, and for how much.

    python benchmarks/search/trials.py --out trials.jsonl --seeds 24
    python benchmarks/search/trials.py --out trials.jsonl --table

`compare.py` looks at ways of searching after equal numbers of epochs. Here each study has so many
trials, as a user asks for them. The *regret* is how far the true mean of the first row of the
leaderboard (of the best complete trial where nothing hit) lies below the best design known, in
percentage points. The file has a line a study; a study that is there is not run again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import common
from compare import TARGET, best_known

from lightsearch import parse, search
from lightsearch.study.trial import Trial
from lightsearch.surrogate.answers import true_accuracy
from lightsearch.surrogate.table import EPOCHS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--caps", type=int, nargs="+", default=[8000, 3000])
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("--pruners", nargs="+", default=["predicted", "halving", "rungs"])
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--data", help="folder of MNIST, as torchvision lays it out")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    known = {tuple(one[name] for name in KEYS) for one in common.lines(options.out)}
    for seed in range(0 if options.table else options.seeds):
        for cap in options.caps:
            for trials in options.trials:
                for pruner in options.pruners:
                    if (cap, trials, pruner, seed) not in known:
                        line = run(cap, trials, pruner, seed, options.data)
                        common.add_line(options.out, **line)
    print_table(list(common.lines(options.out)))


KEYS = ("cap", "trials", "pruner", "seed")


def run(cap: int, trials: int, pruner: Any, seed: int, data: str | None) -> dict[str, Any]:
    """Run one study and describe what it found."""
    with tempfile.TemporaryDirectory() as folder:
        result = search(
            cap,
            EPOCHS,
            target=TARGET,
            engine="surrogate",
            trials=trials,
            pruner=pruner,
            workers=1,
            seed=seed,
            study=folder,
            data=data,
            quiet=True,
        )
        records = result.records
    whole = [trial for trial in records if len(trial.epochs) == EPOCHS]
    first = max(whole, key=_by_best_epoch)
    return {
        **{"cap": cap, "trials": trials, "pruner": pruner, "seed": seed},
        "epochs": sum(len(trial.epochs) for trial in records),
        "whole": len(whole),
        "hits": sum(_by_best_epoch(trial) >= TARGET for trial in whole),
        "regret": best_known(cap) - 100 * true_accuracy(parse(first.candidate.design)),
    }


def _by_best_epoch(trial: Trial) -> float:
    return max(epoch.accuracy for epoch in trial.epochs)


def print_table(lines: list[dict[str, Any]]) -> None:
    print("| cap | trials | pruner | seeds | epochs | whole | hits | regret of the first row |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    for key in sorted({tuple(one[name] for name in KEYS[:3]) for one in lines}):
        own = [one for one in lines if tuple(one[name] for name in KEYS[:3]) == key]
        epochs, whole, hits, regret = (
            [one[name] for one in own] for name in ("epochs", "whole", "hits", "regret")
        )
        error = statistics.stdev(regret) / len(regret) ** 0.5 if len(regret) > 1 else 0.0
        print(
            f"| {key[0]:,} | {key[1]} | {key[2]} | {len(own)} | {statistics.mean(epochs):.0f} | "
            f"{statistics.mean(whole):.1f} | {statistics.mean(hits):.1f} | "
            f"{statistics.mean(regret):.3f} ± {error:.3f} |"
        )


if __name__ == "__main__":
    main()
