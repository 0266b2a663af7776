"""One table of all runs: for each design how many seeds, their mean, and what to believe of it.

The best single run of a study is lucky, and the first of a leaderboard with it. So designs are
ranked by a mean that is shrunken towards that of all designs, the more the fewer runs it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeAlias

import pandas as pd

from lightsearch.statistics import Shrinkage, fit_shrinkage
from lightsearch.study.confirmations import Key
from lightsearch.study.identity import Identity, same_teacher
from lightsearch.study.ledger import Ledger
from lightsearch.study.trial import Trial
from lightsearch.training.epoch_result import EpochResult

# Standard deviation over seeds if no design has two, in parts of the binomial one: 0.06 points of
# 10,000 images near 99.4%. Measured there: 0.054 over 20 seeds of one network, 0.063 within five
# designs of ten seeds. On the digits it was 1.3 parts (docs/confirming.md).
BINOMIAL_PART = 0.8

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


def tabulate_means(trials: Iterable[Trial], identity: Identity, runs: Runs) -> pd.DataFrame:
    """The designs that have a whole run, by shrunken mean; the index is their rank.

    Accuracies are of the last epoch, on the test images, of runs on all training images. The
    search's own run is one of them, unless it held images out.
    """
    rows: list[dict[str, Any]] = []
    groups: list[list[float]] = []
    total = 1  # test images
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
    shrinkage = fit_runs(groups, total)
    for row, group in zip(rows, groups, strict=True):
        mean = fmean(group)
        row["mean"] = mean
        low, high = shrinkage.interval(mean, len(group))
        row["low"], row["high"] = max(low, 0.0), min(high, 1.0)
        row["shrunken"] = shrinkage.shrink(mean, len(group))
    rows.sort(key=lambda row: (row["params"], row["trial"]))
    rows.sort(key=lambda row: shrinkage.rank(row["mean"], row["seeds"]), reverse=True)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    frame.attrs |= {"images": f"{identity.dataset} test", "protocol": describe(shrinkage)}
    return frame


def assume_seed_sd(share: float, total: int) -> float:
    """The standard deviation over seeds near a mean accuracy, before two seeds are known."""
    return BINOMIAL_PART * math.sqrt(share * (1 - share) / total)


def fit_runs(groups: Sequence[Sequence[float]], total: int) -> Shrinkage:
    """What the accuracies of several designs' runs, of `total` images, have in common."""
    share = fmean(map(fmean, groups)) if groups else 0.0
    return fit_shrinkage(groups, assume_seed_sd(share, total))


def describe(shrinkage: Shrinkage) -> str:
    """How intervals and shrunken means came about, in a sentence."""
    seed = f"{100 * shrinkage.seed_sd:.3f} points"
    source = (
        f"within designs, {shrinkage.freedom} degrees of freedom"
        if shrinkage.freedom
        else "assumed, since no design has two seeds"
    )
    spread = (
        f"designs differ by {100 * shrinkage.design_sd:.3f}, and means are shrunken towards "
        f"{100 * shrinkage.center:.3f}%"
        if math.isfinite(shrinkage.design_sd)
        else "means are not shrunken, since there are not two designs"
    )
    return f"standard deviation of a seed {seed} ({source}); {spread}"
