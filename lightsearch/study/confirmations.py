"""Confirmations as values: designs that were trained again with fresh seeds, and what that showed.

All designs that are confirmed in one folder on the same images are one family: they have the same
terms, and Holm's correction covers them together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from lightsearch.statistics import ERROR, Sample, holm, share_bound

FORMAT = 1

Key: TypeAlias = tuple[str, str]  # a design and a recipe, as notation


@dataclass(frozen=True, slots=True)
class Terms:
    """What is settled before the first run, and the same for all designs of a family.

    `on` names the images that the accuracies are of.
    """

    seeds: int
    target: str
    epochs: int
    dataset: str
    checksum: str
    on: str
    on_checksum: str
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What retraining one design with `planned` fresh seeds showed.

    `sample` has the last epoch's right images of the seeds that count, in the seeds' order.
    `error` is the level that Holm's correction gives the design within its family, or the `level`
    that was settled for it before its first run. `outcome` is
    `running`, `confirmed` (the bound is at the target after all seeds), `not confirmed`, `futile`
    (given up early, since the mean is below the target), or `dropped` (given up early, since
    others were better: see `confirming.halving`).
    """

    design: str
    recipe: str
    seeds: tuple[int, ...]
    sample: Sample
    target: Fraction
    on: str
    outcome: str
    error: float = ERROR
    level: float | None = None

    @property
    def planned(self) -> int:
        return len(self.seeds)

    @property
    def confirmed(self) -> bool:
        return self.outcome == "confirmed"

    def figures(self) -> dict[str, Any]:
        """Its columns in a table; accuracies and bounds from 0 to 1."""
        sample, count = self.sample, len(self.sample)
        hits = sample.hits(self.target)
        least = min(sample.correct, default=0)
        return {
            "confirmed": self.confirmed,
            "confirmation": self.outcome,
            "n": count,
            "planned": self.planned,
            "mean": float(sample.mean) if count else math.nan,
            "sd": sample.sd,
            "min": least / sample.total if count else math.nan,
            "bound": sample.bound(self.error) if count > 1 else math.nan,
            "confidence": 1 - self.error,
            "pass_rate": hits / count if count else math.nan,
            "pass_bound": share_bound(hits, count) if count else math.nan,
            "on": self.on,
        }


FIGURES = (
    "confirmed",
    "confirmation",
    "n",
    "planned",
    "mean",
    "sd",
    "min",
    "bound",
    "confidence",
    "pass_rate",
    "pass_bound",
    "on",
)


def gather(
    key: Key,
    seeds: tuple[int, ...],
    correct: Iterable[int | None],
    total: int,
    target: Fraction,
    on: str = "test",
) -> Confirmation:
    """One design's confirmation before it is judged: `running`, or `futile`.

    `correct` are the right images by seed, None for a run that is not over: nothing after it
    counts yet. So what is given up does not depend on which of several runs ended first.
    """
    sample, outcome = Sample((), total), "running"
    for one in correct:
        if one is None or outcome == "futile":
            break
        sample = Sample((*sample.correct, one), total)
        outcome = "futile" if sample.below(target) else "running"
    return Confirmation(*key, seeds, sample, target, on, outcome)


def judge(family: Sequence[Confirmation]) -> list[Confirmation]:
    """All designs that were confirmed together, with Holm's correction.

    Only a design with all its seeds can be confirmed; the others have their part in the
    correction all the same. Those with a level of their own have none.
    """
    corrected = iter(holm([_p_value(one) for one in family if one.level is None]))
    found = []
    for one in family:
        level = next(corrected) if one.level is None else one.level
        outcome = one.outcome
        if len(one.sample) == one.planned:
            reached = one.sample.above(one.target, level)
            outcome = "confirmed" if reached else "not confirmed"
        found.append(dataclasses.replace(one, outcome=outcome, error=level))
    return found


def _p_value(one: Confirmation) -> float:
    return one.sample.p_value(one.target) if len(one.sample) == one.planned else 1.0
