"""Which sampler and which pruner: whole studies on the digits, and pruners replayed over them.

    python benchmarks/search/choices.py --out choices.json

For each seed a study with each sampler, unpruned, in this process. The pruners are then replayed
over the recorded curves of the random studies, trial after trial: what they would have spent, and
which hits they would have cut. The digits are easy and small: this says which choice is sound, not
how large its gain is on other data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import optuna

from lightsearch.api import run
from lightsearch.result import load_result
from lightsearch.searching.pruning import make_pruner
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings
from lightsearch.study.trial import Trial
from lightsearch.workers.slot import InlineSlot

RECIPE = "recipe(lr=0.2,batch=64,ema=0.98)"
SAMPLERS = ("random", "tpe")
PRUNERS = ("none", "target", "median", "halving")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--budget", type=int, default=1500)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS, choices=SAMPLERS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    curves: dict[str, list[list[list[float]]]] = {name: [] for name in options.samplers}
    for seed in range(options.seeds):
        for name in options.samplers:  # in turns
            trials = study(name, seed, options)
            curves[name].append([[e.accuracy for e in t.epochs] for t in trials])
            options.out.write_text(
                json.dumps({"options": vars(options) | {"out": ""}, "curves": curves})
            )
    print("\n".join(sampler_table(curves)))
    if "random" not in curves:
        return
    every = sorted(max(c) for study in curves["random"] for c in study)
    for share in (0.5, 0.2, 0.05):
        target = Fraction(every[int(len(every) * (1 - share))])
        print("\n".join(pruner_table(curves["random"], target, share, options.epochs)))


def study(sampler: Any, seed: int, options: Any) -> tuple[Trial, ...]:
    """An unpruned study; every trial's accuracy by epoch."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            options.budget,
            options.epochs,
            dataset="digits",
            recipe=RECIPE,
            trials=options.trials,
            sampler=sampler,
            pruner="none",
            seed=seed,
            study=folder,
            slots=[InlineSlot()],
        )
        for _ in run(resolve(settings)):
            pass
        return load_result(folder).records


def sampler_table(curves: dict[str, list[list[list[float]]]]) -> list[str]:
    lines = [
        "| sampler | mean of the best epoch, second half of the trials | best of a study |",
        "|---|---|---|",
    ]
    for name, studies in curves.items():
        late = [100 * statistics.mean(max(c) for c in s[len(s) // 2 :]) for s in studies]
        best = [100 * max(max(c) for c in s) for s in studies]
        span = f"{min(late):.2f} to {max(late):.2f}"
        lines.append(
            f"| {name} | {statistics.mean(late):.2f} ({span}) | {statistics.mean(best):.2f} |"
        )
    return lines


def pruner_table(
    studies: list[list[list[float]]], target: Fraction, share: float, epochs: int
) -> list[str]:
    lines = [
        f"\nTarget {float(100 * target):.2f}%, which {100 * share:.0f}% of the designs reach:\n",
        "| pruner | epochs trained | hits kept | epochs a hit |",
        "|---|---|---|---|",
    ]
    for name in PRUNERS:
        spent = hits = possible = total = 0
        for curves in studies:
            used, found, _ = replayed(curves, name, target, epochs)
            spent, hits = spent + used, hits + found
            possible += sum(max(c) >= target for c in curves)
            total += sum(map(len, curves))
        lines.append(
            f"| {name} | {100 * spent / total:.0f}% | {hits} of {possible} "
            f"| {spent / max(1, hits):.1f} |"
        )
    return lines


def replayed(
    curves: list[list[float]], name: Any, target: Fraction, epochs: int, clean: int = 0
) -> tuple[int, int, float]:
    """Epochs spent, hits found and the best last epoch of the complete trials, by a pruner, over
    recorded trials one after the other."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = make_pruner(name, target, epochs, clean=clean)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    spent = hits = 0
    best = 0.0
    for curve in curves:
        trial = study.ask()
        hit = pruned = False
        for epoch, accuracy in enumerate(curve, 1):
            spent += 1
            trial.report(accuracy, epoch)
            hit = hit or accuracy >= target
            if not hit and epoch < epochs and trial.should_prune():
                pruned = True
                break
        hits += hit
        if not pruned:
            best = max(best, curve[-1])
        study.tell(
            trial,
            None if pruned else curve[-1],
            state=optuna.trial.TrialState.PRUNED if pruned else None,
        )
    return spent, hits, best


if __name__ == "__main__":
    main()
