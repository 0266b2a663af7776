"""Whether a search is worse for a sampler that sees a part of the trials, and what each costs.

    python benchmarks/search/windows.py --out windows.jsonl
    python benchmarks/search/windows.py --pruner --trials 10000 --windows 100 1000 10000

The default space at 8,000 parameters, `--trials` trials of which `--running` run at a time, on a
made-up surface: accuracy rises with the receptive field, the arithmetic and the width of the last
layers, falls with the depth, and has the noise of a seed. So it says how proposals depend on what
the sampler sees, and nothing about MNIST. A window is how many of
the trials that are over the sampler sees, and of those that run. Windows take turns, seed by seed;
what is in the file is not run again. With `--pruner` it is the target pruner's window that is
judged, on made-up curves of 15 epochs, one trial after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import random
import statistics
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import add_line, lines

from lightsearch import Budget, default_space
from lightsearch.design.parts import Design
from lightsearch.notation.parser import parse_recipe
from lightsearch.randomness import key
from lightsearch.searching import proposals
from lightsearch.searching.gate import count_options
from lightsearch.searching.proposals import Proposer
from lightsearch.searching.pruning import TargetPruner
from lightsearch.study.trial import Candidate, Counts, Trial
from lightsearch.training.epoch_result import EpochResult

TARGET, EPOCHS = Fraction("0.994"), 15


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", nargs="+", default=["100", "300", "1000"])
    parser.add_argument("--samplers", nargs="+", default=["tpe"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--running", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pruner", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.pruner:
        print(
            "| window | seed | hits | of them pruned before | epochs |\n|---:|---:|---:|---:|---:|"
        )
        for seed, window in itertools.product(range(options.seeds), options.windows):
            print(
                "| {} | {} | {} | {} | {:,} |".format(
                    window, seed, *pruned(int(window), options.trials, seed)
                ),
                flush=True,
            )
        return
    for seed, window, sampler in itertools.product(
        range(options.seeds), options.windows, options.samplers
    ):
        asked = {
            "sampler": sampler,
            "window": window,
            "running": options.running,
            "trials": options.trials,
            "seed": seed,
        }
        if not any(asked.items() <= line.items() for line in lines(options.out)):
            add_line(
                options.out,
                **asked,
                **searched(sampler, window, options.trials, options.running, seed),
            )
    found = lines(options.out)
    print(
        "| sampler | window | running | hits in the first half | in the second |"
        " ms a proposal, late |\n|---|---|---:|---:|---:|---:|"
    )
    rows: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in found:
        rows.setdefault((row["sampler"], row["window"], row["running"]), []).append(row)
    for (sampler, window, running), same in rows.items():
        first, second, ms = ([row[name] for row in same] for name in ("first", "second", "ms"))
        print(
            f"| {sampler} | {window} | {running} | {_several(first)} | {_several(second)} "
            f"| {statistics.median(ms):.0f} |"
        )


def _several(values: list[int]) -> str:
    return f"{statistics.mean(values):.0f} ({', '.join(map(str, values))})"


def searched(sampler: str, window: str, trials: int, running: int, seed: int) -> dict[str, Any]:
    """The hits of a search on the made-up surface, and the time of its last proposals."""
    proposals.SEEN = int(window)
    proposer = Proposer(
        default_space(),
        parse_recipe("recipe()"),
        shape=(1, 28, 28),
        classes=10,
        budget=Budget(params=8000),
        sampler=sampler,
        seed=seed,
        epochs=15,
    )
    done: list[Trial] = []
    hits, times = [], []
    for number in range(trials):
        if number >= running:
            done[number - running] = ended(done[number - running])
            hits.append(done[number - running].first_hit(TARGET) is not None)
        begin = time.perf_counter()
        proposal, _ = proposer.propose(done, Counts())
        times.append(time.perf_counter() - begin)
        spent = proposal.cost
        done.append(
            Trial(
                Candidate(
                    number,
                    str(proposal.design),
                    "recipe()",
                    proposal.decisions,
                    count_options(proposal.options),
                    key(seed, number),
                    proposal.fingerprint,
                    spent.params,
                    spent.macs,
                    spent.activation_bytes,
                    spent.receptive_field,
                    0,
                    0,
                    1,
                    Counts(),
                    {},
                ),
                curve(proposal.design, spent, key(seed, "noise", number)),
            )
        )
    middle = len(hits) // 2
    return {
        "first": sum(hits[:middle]),
        "second": sum(hits[middle:]),
        "ms": 1000 * statistics.median(times[-50:]),
    }


def pruned(window: int, trials: int, seed: int) -> tuple[int, int, int]:
    """Trials that would hit, those of them that the pruner stops before, and epochs trained."""
    generator = random.Random(seed)
    pruner, shown = TargetPruner(float(TARGET)), _Shown()
    hits = lost = epochs = 0
    for number in range(trials):
        end, pace = generator.gauss(0.9925, 0.0012), generator.uniform(1.5, 3.5)
        accuracies = {
            epoch: end - 0.02 * math.exp(-epoch / pace) + generator.gauss(0, 0.0003)
            for epoch in range(1, EPOCHS + 1)
        }
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        trial.number = number
        first = next((epoch for epoch, value in accuracies.items() if value >= TARGET), EPOCHS + 1)
        for epoch, value in accuracies.items():
            trial.intermediate_values[epoch] = value
            epochs += 1
            if epoch < first and pruner.prune(shown, trial):  # type: ignore[arg-type]
                break
        else:
            shown.complete = [*shown.complete, trial][-window:]
        hits += first <= EPOCHS
        lost += first <= EPOCHS and epoch < first
    return hits, lost, epochs


class _Shown:
    """What a pruner asks of a study."""

    def __init__(self) -> None:
        self.complete: list[optuna.trial.FrozenTrial] = []

    def get_trials(self, **_: Any) -> list[optuna.trial.FrozenTrial]:
        return self.complete


def ended(trial: Trial) -> Trial:
    return dataclasses.replace(
        trial, outcome="complete" if len(trial.epochs) == EPOCHS else "pruned"
    )


def curve(design: Design, spent: Any, noise: int) -> tuple[EpochResult, ...]:
    """A made-up learning curve, cut after its fourth epoch where it is far from the target."""
    generator = random.Random(noise)
    widths = [step.shape[0] for step in spent.steps]
    end = (
        0.9887
        + 0.0030 * min(spent.receptive_field, 26) / 26
        + 0.0016 * math.tanh(spent.macs / 1.5e6)
        + 0.0012 * math.tanh(widths[-3] / 32)
        - 0.0012 * (len(spent.steps) > 36)
        + generator.gauss(0, 0.0005)
    )
    right = [
        round(10_000 * (end - 0.02 * math.exp(-epoch / 2.5))) for epoch in range(1, EPOCHS + 1)
    ]
    length = EPOCHS if end > 0.9932 else 4
    return tuple(
        EpochResult(epoch, 0.1, 59_000, 60_000, correct, correct, 10_000, 0.1, 8.0)
        for epoch, correct in enumerate(right[:length], 1)
    )


if __name__ == "__main__":
    main()
