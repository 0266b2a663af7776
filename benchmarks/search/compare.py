"""Compare ways of searching on the surrogate: how far what they find is from the best there is.

    python benchmarks/search/compare.py --out compare.jsonl --seeds 50
    python benchmarks/search/compare.py --out compare.jsonl --plot docs/images/compare.png

Each method searches with the same budget in epochs of training, once for each seed. At several
numbers of epochs spent, the design that it would return then is taken. There are two ways:
`regrets` are of the complete trial with the best last epoch, `expected` of the one with the
highest shrunken mean, as `result.best` takes it. A regret is the *true mean* accuracy, over all
seeds of training, of the best design known (a local search on the true means, `best_known`), less
that of the design, in percentage points. A run that has completed no trial returns its first one.

The file has a line a study; a study that is there is not run again. One processor is enough: a
study of 450 epochs takes a second or two. To add a method of your own, add a line to `METHODS`:
whatever `lightsearch.search` takes, a sampler or a pruner of Optuna's or of your own among it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import common

from lightsearch import Budget, api, default_space, parse, parse_recipe
from lightsearch.design.parts import Design
from lightsearch.searching.events import EpochDone
from lightsearch.searching.gate import Gate, Proposal, count_options, draw_near_cap, follow
from lightsearch.searching.pruning import RungPruner
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings
from lightsearch.searching.variation import mutate
from lightsearch.space import Sampler
from lightsearch.study.identity import Identity
from lightsearch.study.means import tabulate_means
from lightsearch.study.trial import Trial
from lightsearch.surrogate.answers import answer, true_accuracy
from lightsearch.surrogate.table import CLASSES, EPOCHS, RECIPE, SHAPE

ONE_EPOCH = "one epoch each, then the best three"
THIRDS = (1 / 3, 1 / 3)
METHODS: dict[str, dict[str, Any]] = {
    "uniform": {"sampler": "uniform", "pruner": "none"},
    "near cap": {"sampler": "near-cap", "pruner": "none"},
    "TPE": {"sampler": "tpe", "pruner": "none"},
    "evolution": {"sampler": "evolution", "pruner": "none"},
    "near cap, rungs": {"sampler": "near-cap", "pruner": "rungs"},
    "model": {"sampler": "model", "pruner": "none"},
    "model, predicted": {"sampler": "model", "pruner": "predicted"},
    "model, rungs": {"sampler": "model", "pruner": "rungs"},
    "model, thirds": {"sampler": "model", "pruner": RungPruner(EPOCHS, THIRDS)},
    "model, thirds, three whole": {
        "sampler": "model",
        "pruner": RungPruner(EPOCHS, THIRDS, first=3),
    },
    "model, a thirtieth, half": {
        "sampler": "model",
        "pruner": RungPruner(EPOCHS, (1 / 30, 1 / 2)),
    },
}
LOOKS = (45, 90, 150, 225, 300, 450)  # epochs spent, at which the regret is taken
TARGET = 0.994
EXPECTED = ", highest shrunken mean"  # in place of the best last epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--caps", type=int, nargs="+", default=[8000, 3000])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--methods", nargs="+", default=[*METHODS, ONE_EPOCH])
    parser.add_argument("--at-once", type=int, default=1, help="studies at once")
    parser.add_argument("--data", help="folder of MNIST, as torchvision lays it out")
    parser.add_argument("--plot", type=Path, help="draw the picture of what the file has")
    options = parser.parse_args()
    known = {(one["method"], one["cap"], one["seed"]) for one in common.lines(options.out)}
    left = [
        (method, cap, seed, options.data)
        for seed in range(options.seeds)
        for cap in options.caps
        for method in options.methods
        if (method, cap, seed) not in known
    ]
    for cap in options.caps:
        best_known(cap)  # here, so that the processes need not
    with ProcessPoolExecutor(options.at_once, mp_context=get_context("fork")) as pool:
        for line in pool.map(run, left):
            common.add_line(options.out, **line)
    lines = list(common.lines(options.out))
    for cap in options.caps:
        print_table(cap, [line for line in lines if line["cap"] == cap])
    if options.plot:
        plot(options.plot, lines)


def run(job: tuple[str, int, int, str | None]) -> dict[str, Any]:
    """Run one study: its regret at each look, and the epochs to its third good design."""
    method, cap, seed, data = job
    if method == ONE_EPOCH:
        taken = [one_epoch_each(cap, seed, look) for look in LOOKS]
        lost = [best_known(cap) - 100 * true_accuracy(design) for design in taken]
        return {"method": method, "cap": cap, "seed": seed, "regrets": lost, "third": None}
    spent, good, third = 0, 0, None
    regrets: list[float] = []
    expected: list[float] = []
    trials: dict[int, Trial] = {}
    complete: list[Trial] = []

    def regret(taken: Trial) -> float:
        return best_known(cap) - 100 * true_accuracy(parse(taken.candidate.design))

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            cap,
            EPOCHS,
            target=TARGET,
            engine="surrogate",
            trials=10_000,
            workers=1,
            seed=seed,
            study=folder,
            data=data,
            **METHODS[method],
        )
        question = resolve(settings)
        with contextlib.closing(api.run(question)) as events:
            for event in events:
                if not isinstance(event, EpochDone):
                    continue
                spent += 1
                trials[event.trial.number] = event.trial
                if len(event.trial.epochs) == EPOCHS:
                    complete.append(event.trial)
                    good += true_accuracy(parse(event.trial.candidate.design)) >= TARGET
                    third = third or (spent if good == 3 else None)
                if spent in LOOKS:
                    last = max(complete, key=lambda t: t.epochs[-1].correct, default=trials[0])
                    regrets.append(regret(last))
                    expected.append(regret(first_expected(trials, question.identity) or last))
                if spent == LOOKS[-1]:
                    break
    return {
        "method": method,
        "cap": cap,
        "seed": seed,
        "regrets": regrets,
        "expected": expected,
        "third": third,
    }


def first_expected(trials: dict[int, Trial], identity: Identity) -> Trial | None:
    """Return the complete trial with the highest shrunken mean; None if none is complete."""
    known = [
        # a trial's last event is from before it is over
        dataclasses.replace(one, outcome="complete") if len(one.epochs) == EPOCHS else one
        for _, one in sorted(trials.items())
    ]
    means = tabulate_means(known, identity, {}, (SHAPE, CLASSES))
    return trials[int(means["trial"].iloc[0])] if len(means) else None


def one_epoch_each(cap: int, seed: int, spent: int) -> Design:
    """Near-cap draws for one epoch each, then the best three whole: the best of these.

    It is the schedule of Egele et al. 2023, for `spent` epochs in all.
    """
    generator = random.Random(f"one epoch {cap} {seed} {spent}")
    _, near, _ = space_of(cap)
    draws = [near.draw(generator)[1] for _ in range(spent - 3 * (EPOCHS - 1))]
    runs = [(answer(design, index, 1).correct, index) for index, design in enumerate(draws)]
    best = sorted(runs, reverse=True)[:3]
    _, index = max((answer(draws[index], index, EPOCHS).correct, index) for _, index in best)
    return draws[index]


@functools.cache
def space_of(cap: int) -> tuple[Gate, Sampler, int]:
    space, budget = default_space(SHAPE, CLASSES), Budget(params=cap)
    near, least = draw_near_cap(Sampler(space, SHAPE, CLASSES, budget))
    return Gate(space, parse_recipe(RECIPE), SHAPE, CLASSES, budget), near, least


@functools.cache
def best_known(cap: int) -> float:
    """The largest true mean, in percent, that a local search finds within a cap.

    Six searches from the best 40 of 150 near-cap draws, 25 rounds of 60 mutations each.
    """
    gate, near, least = space_of(cap)
    best = 0.0
    for start in range(6):
        generator = random.Random(start)
        found: dict[str, tuple[float, Proposal]] = {}

        def add(decisions: dict[str, int]) -> None:
            one = gate.make(follow(decisions, generator), "", least=least)  # noqa: B023
            if isinstance(one, Proposal):
                found[str(one.design)] = true_accuracy(one.design), one  # noqa: B023

        for _ in range(150):
            add(near.draw(generator)[0])
        for _ in range(25):
            ranked = sorted(found.values(), key=lambda pair: -pair[0])[:40]
            for _ in range(60):
                _, parent = generator.choice(ranked)
                add(mutate(parent.decisions, count_options(parent.options), generator))
        best = max(best, *(mean for mean, _ in found.values()))
    return 100 * best


def print_table(cap: int, lines: list[dict[str, Any]]) -> None:
    """The mean regret of each method at each look, in points, with its standard error."""
    print(f"\n{cap} parameters; best known {best_known(cap):.3f}%\n")
    print("| method | seeds |", " | ".join(map(str, LOOKS)), "| epochs to the third |")
    print("|---|---:|" + "---:|" * (len(LOOKS) + 1))
    for method in [*METHODS, ONE_EPOCH]:
        own = [line for line in lines if line["method"] == method]
        if not own:
            continue
        cells = [mean_of(values) for values in zip(*(one["regrets"] for one in own), strict=True)]
        thirds = [line["third"] or float("inf") for line in own]
        third = "" if method == ONE_EPOCH else f"{statistics.median(thirds):.0f}"
        print(f"| {method} | {len(own)} | {' | '.join(cells)} | {third} |")
        if all("expected" in one for one in own):
            columns = zip(*(one["expected"] for one in own), strict=True)
            print(f"| {method}{EXPECTED} | {len(own)} | {' | '.join(map(mean_of, columns))} | |")


def mean_of(values: Sequence[float]) -> str:
    """Return a mean with its standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {error:.3f}"


def list_series(lines: list[dict[str, Any]]) -> Iterator[tuple[str, list[list[float]]]]:
    """Yield the label of each way of searching, and the regrets of each of its studies."""
    for method in [*METHODS, ONE_EPOCH]:
        own = [line for line in lines if line["method"] == method]
        if own:
            yield method, [one["regrets"] for one in own]
        if own and method.startswith("model,") and all("expected" in one for one in own):
            yield method + EXPECTED, [one["expected"] for one in own]


def plot(path: Path, lines: list[dict[str, Any]]) -> None:
    """Draw the mean regret by epochs spent, with a band of one standard error."""
    import matplotlib.pyplot as plt

    caps = sorted({line["cap"] for line in lines}, reverse=True)
    figure, axes = plt.subplots(1, len(caps), figsize=(5.2 * len(caps), 4.2), sharey=False)
    for ax, cap in zip(axes if len(caps) > 1 else [axes], caps, strict=True):
        for label, own in list_series([line for line in lines if line["cap"] == cap]):
            columns = list(zip(*own, strict=True))
            means = [statistics.mean(column) for column in columns]
            errors = [statistics.stdev(column) / len(own) ** 0.5 for column in columns]
            colour = {"color": "black"} if label == ONE_EPOCH else {}
            dashed = "--" if label.startswith(("uniform", "one", "TPE")) else "-"
            (line,) = ax.plot(LOOKS, means, label=label, marker=".", linestyle=dashed, **colour)
            low = [m - e for m, e in zip(means, errors, strict=True)]
            high = [m + e for m, e in zip(means, errors, strict=True)]
            ax.fill_between(LOOKS, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        ax.set_title(f"{cap:,} parameters")
        ax.set_xlabel("epochs of training spent")
        ax.set_ylabel("regret of the true mean (points)")
        ax.set_ylim(bottom=0)
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
