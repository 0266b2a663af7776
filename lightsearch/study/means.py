"""One table of all runs: for each design how many seeds, their mean, and what to believe of it.

The best single run of a study is lucky, and the first of a leaderboard with it. So designs are
ranked by a mean that is shrunken, the more the fewer runs it has: towards what the features of the
design lead to expect, or where nothing is, towards the mean of all designs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeAlias

import pandas as pd

from lightsearch.shapes import Shape
from lightsearch.statistics import Shrinkage, assume_seed_sd, fit_shrinkage
from lightsearch.study.confirmations import Key
from lightsearch.study.expectations import expect
from lightsearch.study.identity import Identity, same_teacher
from lightsearch.study.ledger import Ledger
from lightsearch.study.trial import Trial
from lightsearch.surrogate.level_model import LEAST_OWN
from lightsearch.training.epoch_result import EpochResult

COLUMNS = (
    "design",
    "recipe",
    "params",
    "seeds",
    "fresh_seeds",
    "mean",
    "low",
    "high",
    "shrunken",
    "hits",
    "search_accuracy",
    "trial",
)

Run: TypeAlias = Sequence[EpochResult]  # all epochs of a whole training
Runs: TypeAlias = Mapping[Key, Sequence[Run]]


def gather_runs(families: Iterable[Ledger], identity: Identity) -> dict[Key, tuple[Run, ...]]:
    """Whole runs with fresh seeds, by design and recipe, that were trained as the study trains.

    `correct` of their epochs is of the study's own test images, whatever a family is judged on.
    """
    found: dict[Key, dict[int, Run]] = {}
    for ledger in families:
        terms = ledger.terms
        if (terms.epochs, terms.checksum) != (identity.epochs, identity.checksum):
            continue
        for key, runs in ledger.runs.items():
            if runs.teacher and not same_teacher(runs.teacher, identity.teacher):
                continue
            for seed in ledger.whole(key):
                found.setdefault(key, {}).setdefault(seed, tuple(runs.epochs[seed]))
    return {key: tuple(runs.values()) for key, runs in found.items()}


def tabulate_means(
    trials: Sequence[Trial],
    identity: Identity,
    runs: Runs,
    images: tuple[Shape, int] | None = None,
) -> pd.DataFrame:
    """The designs that have a whole run, by shrunken mean; the index is their rank.

    Accuracies are of the last epoch, on the test images, of runs on all training images. The
    search's own run is one of them, unless it held images out. Means are shrunken towards what the
    features of designs lead to expect, if their shape and the number of classes are given as
    `images`, and the search's own runs were on the test images.
    """
    rows, groups, total = _gather(trials, identity, runs)
    whole = {row["trial"]: group for row, group in zip(rows, groups, strict=True)}
    centers = _list_centers(trials, identity, whole, images)
    shrinkage = _fit(groups, centers, total)
    ranks: dict[int, tuple[float, float]] = {}
    for row, group, center in zip(rows, groups, centers or [0.0] * len(rows), strict=True):
        mean = fmean(group)
        low, high = shrinkage.interval(mean, len(group))
        shrunken, tendency = shrinkage.rank(mean - center, len(group))
        row |= {"mean": mean, "low": max(low, 0.0), "high": min(high, 1.0)}
        ranks[row["trial"]] = center + shrunken, tendency
        row["shrunken"] = min(max(center + shrunken, 0.0), 1.0)
    rows.sort(key=lambda row: (row["params"], row["trial"]))
    rows.sort(key=lambda row: ranks[row["trial"]], reverse=True)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    frame.attrs |= {
        "images": f"{identity.dataset} test",
        "protocol": describe(shrinkage, expected=centers is not None),
    }
    return frame


def _gather(
    trials: Sequence[Trial], identity: Identity, runs: Runs
) -> tuple[list[dict[str, Any]], list[list[float]], int]:
    """Return the designs with a whole run, the accuracies of each, and the number of images."""
    rows: list[dict[str, Any]] = []
    groups: list[list[float]] = []
    total = 1
    for trial in trials:
        candidate = trial.candidate
        fresh = runs.get((candidate.design, candidate.recipe), ())
        counts = trial.outcome == "complete" and identity.selected_on == "test"
        searched = trial.epochs[-1].accuracy if counts else math.nan
        known = [*([trial.epochs] if counts else []), *fresh]
        if not known:
            continue
        groups.append([run[-1].accuracy for run in known])
        total = known[0][-1].total
        rows.append(
            {
                "design": candidate.design,
                "recipe": candidate.recipe,
                "params": candidate.params,
                "seeds": len(known),
                "fresh_seeds": len(fresh),
                "hits": sum(identity.rule.is_hit(run) for run in known),
                "search_accuracy": searched,
                "trial": trial.number,
            }
        )
    return rows, groups, total


def _fit(
    groups: Sequence[Sequence[float]], centers: Sequence[float] | None, total: int
) -> Shrinkage:
    """Return what runs of designs have in common, or how far they are from what is expected."""
    if centers is None:
        return fit_runs(groups, total)
    beyond = [[one - c for one in group] for group, c in zip(groups, centers, strict=True)]
    seed_sd = assume_seed_sd(fmean(map(fmean, groups)), total)
    return fit_shrinkage(beyond, seed_sd).at_least(LEAST_OWN)


def _list_centers(
    trials: Sequence[Trial],
    identity: Identity,
    whole: Mapping[int, Sequence[float]],
    images: tuple[Shape, int] | None,
) -> list[float] | None:
    """Return what is expected of the designs with whole runs; None unless it is of all."""
    if not whole or images is None or identity.selected_on != "test":
        return None
    known = expect(trials, whole, identity.epochs, identity.recipe, images)
    return [known[number] for number in whole] if known.keys() >= whole.keys() else None


def fit_runs(groups: Sequence[Sequence[float]], total: int) -> Shrinkage:
    """What the accuracies of several designs' runs, of `total` images, have in common."""
    share = fmean(map(fmean, groups)) if groups else 0.0
    return fit_shrinkage(groups, assume_seed_sd(share, total))


def describe(shrinkage: Shrinkage, *, expected: bool = False) -> str:
    """How intervals and shrunken means came about, in a sentence."""
    seed = f"{100 * shrinkage.seed_sd:.3f} points"
    source = (
        f"within designs, {shrinkage.freedom} degrees of freedom"
        if shrinkage.freedom
        else "assumed, since no design has two seeds"
    )
    if expected:
        return (
            f"standard deviation of a seed {seed} ({source}); shrunken means are drawn towards "
            "what a design's features predict, around which designs differ by "
            f"{100 * shrinkage.design_sd:.3f} points"
        )
    spread = (
        f"designs differ by {100 * shrinkage.design_sd:.3f}, and means are shrunken towards "
        f"{100 * shrinkage.center:.3f}%"
        if math.isfinite(shrinkage.design_sd)
        else "means are not shrunken, since there are not two designs"
    )
    return f"standard deviation of a seed {seed} ({source}); {spread}"
