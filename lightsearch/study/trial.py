"""What is kept of a trial: plain values that survive a journal, a CSV and a new version."""

from __future__ import annotations

import dataclasses
import functools
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from typing import Any, Literal, TypeAlias, get_args

from lightsearch.formatting import percent, plural
from lightsearch.presentation import Presented, Sheet
from lightsearch.study.field_types import check_types
from lightsearch.training.epoch_result import EpochResult

Outcome: TypeAlias = Literal["running", "complete", "pruned", "diverged", "failed"]


@dataclass(frozen=True, slots=True, repr=False)
class Candidate(Presented):
    """A design and recipe that passed the gate, with all that is needed to train it.

    `design` and `recipe` are notation; `decisions` the choices that led to them; `number` counts
    trials from 0; `slot` and `start` are its place on the virtual clock (see `searching.loop`).
    `dataset` to `engine` are the study's; the engine, device and threads that really trained are
    with each epoch.
    """

    number: int
    design: str
    recipe: str
    decisions: dict[str, int]
    options: dict[str, int]
    seed: int
    fingerprint: str
    params: int
    macs: int
    activation_bytes: int
    receptive_field: int
    slot: int
    start: int
    work: int
    counts: Counts
    versions: dict[str, str]
    dataset: str = ""
    checksum: str = ""
    selected_on: str = "test"
    epochs: int = 0
    device: str = ""
    engine: str = ""
    proposed_by: str = ""  # what made the proposal, such as `mutation` or `near-cap`

    def _sheet(self) -> Sheet:
        return Sheet(
            f"Candidate {self.number}: {self.params:,} parameters, {self.macs:,} MACs, "
            f"seed {self.seed}",
            (
                ("design", self.design),
                ("recipe", self.recipe),
                ("proposed by", self.proposed_by or "not recorded"),
            ),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """What the proposer drew up to now, and what the gate did not let through."""

    drawn: int = 0
    over_budget: int = 0
    invalid: int = 0
    duplicate: int = 0
    too_small: int = 0

    def plus(self, **more: int) -> Counts:
        return dataclasses.replace(self, **{k: getattr(self, k) + v for k, v in more.items()})


@dataclass(frozen=True, slots=True, repr=False)
class Trial(Presented):
    """One trial: its candidate, its epochs so far, and how it ended."""

    candidate: Candidate
    epochs: tuple[EpochResult, ...] = ()
    outcome: Outcome = "running"
    reason: str = ""

    @property
    def number(self) -> int:
        return self.candidate.number

    @property
    def best(self) -> EpochResult | None:
        """The epoch with the most correct test images; the first of equals."""
        return max(self.epochs, key=lambda e: e.correct, default=None)

    def _sheet(self) -> Sheet:
        best, one = self.best, self.candidate
        found = "no epoch yet"
        if best is not None:
            epochs = plural(len(self.epochs), "epoch")
            found = f"best {percent(best.accuracy)} at epoch {best.epoch} of {epochs}"
        by = f", proposed by {one.proposed_by}" if one.proposed_by else ""
        trained = all(find_train_accuracy(epoch) is not None for epoch in self.epochs)
        if not trained:
            found += " of the surrogate (nothing is trained)"
        return Sheet(
            f"Trial {self.number}: {self.outcome}, {found}, {one.params:,} parameters{by}: "
            f"{one.design}",
            heads=(
                *("epoch", "accuracy", "training loss"),
                *(("training accuracy",) if trained else ()),
                "seconds",
            ),
            rows=tuple(_cells(epoch) for epoch in self.epochs),
        )

    def first_hit(self, target: Fraction) -> int | None:
        """The first epoch whose test accuracy is at least `target`, compared as fractions."""
        return HitRule(target, len(self.epochs)).hit_epoch(self.epochs)


def find_train_accuracy(epoch: EpochResult) -> Fraction | None:
    """The share of training images that were right; None if nothing was trained."""
    if epoch.engine == "surrogate":
        return None
    return Fraction(epoch.train_correct, epoch.train_total)


def _cells(epoch: EpochResult) -> tuple[str, ...]:
    """An epoch as a row of a trial's table, without a training accuracy that there is not."""
    train = find_train_accuracy(epoch)
    return (
        *(str(epoch.epoch), percent(epoch.accuracy), f"{epoch.train_loss:.4f}"),
        *(() if train is None else (percent(train),)),
        f"{epoch.seconds:.1f}",
    )


@dataclass(frozen=True, slots=True)
class HitRule:
    """What counts as a hit: all that asks, asks here.

    With `consistent`, each of so many last epochs of a whole training, of `epochs` epochs, must
    reach the target; without it, any epoch may.
    """

    target: Fraction
    epochs: int
    consistent: int | None = None

    def hit_epoch(self, epochs: Sequence[EpochResult]) -> int | None:
        """The epoch at which a training became a hit; None if it is none, or not yet."""
        if self.consistent is None:
            return next((e.epoch for e in epochs if reaches(e, self.target)), None)
        last = epochs[-self.consistent :]
        if len(epochs) < self.epochs or not all(reaches(e, self.target) for e in last):
            return None
        return last[-1].epoch

    def is_hit(self, epochs: Sequence[EpochResult]) -> bool:
        """Whether a training is a hit by its epochs so far."""
        return self.hit_epoch(epochs) is not None

    def __str__(self) -> str:
        """At which epochs, in words."""
        if self.consistent is None:
            return "at any epoch"
        if self.consistent == 1:
            return "at the last epoch"
        return f"at each of the last {self.consistent} epochs"


def reaches(result: EpochResult, target: Fraction) -> bool:
    """Whether an epoch's test accuracy is at least `target`, exactly."""
    return result.correct * target.denominator >= target.numerator * result.total


def to_fraction(target: float) -> Fraction:
    """The decimal number that was written, as a fraction: 0.994 is 497/500."""
    return Fraction(str(target))


def parse_fraction(text: str) -> Fraction:
    """A fraction from a file. Raises `ValueError` for one that takes long to compute, such as
    1e999999999."""
    if not re.fullmatch(r"\d{1,400}(/\d{1,400})?|\d{0,30}\.\d{1,30}(e-?\d{1,2})?", text):
        raise ValueError(f"{text!r:.60} is no fraction")
    return Fraction(text)


OUTCOMES = get_args(Outcome)


def to_json(value: Any) -> dict[str, Any]:
    """A record as plain JSON values. Its dictionaries are not copied."""
    values = {field: getattr(value, field) for field in _list_fields(type(value))}
    for field, inner in values.items():
        if dataclasses.is_dataclass(inner):
            values[field] = to_json(inner)
    return values


def _read_fields(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


# Typed as a plain function: mypy calls a class unhashable if a subclass defines `__hash__`.
_list_fields: Callable[[type], tuple[str, ...]] = functools.cache(_read_fields)


def candidate_from(data: dict[str, Any]) -> Candidate:
    """The inverse of `to_json` for a candidate. Raises `TypeError` for what is none."""
    return check_types(Candidate(**{**data, "counts": check_types(Counts(**data["counts"]))}))


def epoch_from(data: dict[str, Any]) -> EpochResult:
    """The inverse of `to_json` for an epoch. Raises `TypeError` for what is none."""
    result = check_types(EpochResult(**data))
    if not 0 <= result.correct <= result.total or not result.total:
        raise TypeError(f"{result.correct} of {result.total} images cannot be right")
    return result


@functools.cache
def versions() -> dict[str, str]:
    """The versions that a result depends on: training on torch, proposals on the others."""
    try:
        own = metadata.version("lightsearch")
    except metadata.PackageNotFoundError:  # run from the source tree
        own = "source"
    return {
        "lightsearch": own,
        **{name: metadata.version(name) for name in ("torch", "optuna", "scikit-learn", "numpy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
