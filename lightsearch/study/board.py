"""The rows of a study's tables as mappings: the hits, and all trials.

Pandas is not loaded, so that the command line shows them at once. A value that is missing is NaN,
or None where the others are whole numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.network.cost import BYTES
from lightsearch.study.confirmations import FIGURES, Confirmation, Key
from lightsearch.study.identity import Identity
from lightsearch.study.orders import ORDERS, Order
from lightsearch.study.trial import HitRule, Trial, to_fraction
from lightsearch.study.warm_start import label_sources

CONFIRMED = tuple(name if name.startswith("confirm") else f"confirmed_{name}" for name in FIGURES)
COLUMNS = (
    "design",
    "params",
    "macs",
    "activation_bytes",
    "activation_bytes_int8",
    "receptive_field",
    "best_accuracy",
    "best_epoch",
    "first_hit_epoch",
    "last_accuracy",
    "last3_accuracy",
    "test_accuracy",
    *CONFIRMED,
    "epochs_trained",
    "epochs",
    "target",
    "consistent",
    "recipe",
    "seed",
    "seconds",
    "dataset",
    "checksum",
    "selected_on",
    "engine",
    "device",
    "device_kind",
    "threads",
    "warm_start",
    "teacher",
    "versions",
    "trial",
)
MAY_LACK = ("best_epoch", "first_hit_epoch")  # whole numbers that a row may be without
OF_TRIALS = (*COLUMNS, "outcome", "reason", "proposed_by")


def rank_hits(
    trials: Iterable[Trial],
    identity: Identity,
    *,
    by: str = "accuracy",
    target: float | None = None,
    confirmed: Mapping[Key, Confirmation] | None = None,
) -> list[dict[str, Any]]:
    """The trials that are hits, best first. See `lightsearch.study.leaderboard.leaderboard`."""
    order = check_order(by)
    rule = identity.rule
    if target is not None:
        rule = dataclasses.replace(rule, target=to_fraction(target))
    known = confirmed or {}
    rows = [_row(t, identity, rule, known) for t in trials if rule.is_hit(t.epochs)]
    ties = [ORDERS[name] for name in ("accuracy", "params", "epochs")]
    rows.sort(
        key=lambda row: (
            not row["confirmed"],
            *(one.key(row) for one in (order, *ties)),
            row["trial"],
        )
    )
    return rows


def list_trials(
    trials: Iterable[Trial],
    identity: Identity,
    confirmed: Mapping[Key, Confirmation] | None = None,
    *,
    by: str | None = None,
) -> list[dict[str, Any]]:
    """Every trial with its outcome and reason, by number or in one of `ORDERS`."""
    rule, known = identity.rule, confirmed or {}
    rows = [
        _row(trial, identity, rule, known)
        | {
            "outcome": trial.outcome,
            "reason": trial.reason,
            "proposed_by": trial.candidate.proposed_by,
        }
        for trial in trials
    ]
    return rows if by is None else sorted(rows, key=check_order(by).key)


def check_order(by: str) -> Order:
    """The order of a name. Raises `ArgumentError` if there is none."""
    if by not in ORDERS:
        raise ArgumentError(
            f"`by` must be one of {', '.join(ORDERS)}, but got by={quote(by)}"
            f"{suggestion(by, ORDERS)}"
        )
    return ORDERS[by]


def _row(
    trial: Trial, identity: Identity, rule: HitRule, known: Mapping[Key, Confirmation]
) -> dict[str, Any]:
    candidate, epochs, best = trial.candidate, trial.epochs, trial.best
    confirmation = known.get((candidate.design, candidate.recipe))
    figures = {} if confirmation is None else confirmation.figures()
    last = epochs[-1] if epochs else None
    tested = last.test_accuracy if last else None
    last3 = [e.accuracy for e in epochs[-3:]]
    return {
        "design": candidate.design,
        "params": candidate.params,
        "macs": candidate.macs,
        "activation_bytes": candidate.activation_bytes,
        "activation_bytes_int8": candidate.activation_bytes // BYTES,
        "receptive_field": candidate.receptive_field,
        "best_accuracy": best.accuracy if best else math.nan,
        "best_epoch": best.epoch if best else None,
        "first_hit_epoch": rule.hit_epoch(epochs),
        "last_accuracy": epochs[-1].accuracy if epochs else math.nan,
        "last3_accuracy": round(sum(last3) / len(last3), 6) if epochs else math.nan,
        "test_accuracy": math.nan if tested is None else tested,
        **{
            column: figures.get(name, math.nan)
            for column, name in zip(CONFIRMED, FIGURES, strict=True)
        },
        "confirmed": figures.get("confirmed", False),
        "epochs_trained": len(epochs),
        "epochs": identity.epochs,
        "target": float(rule.target),
        "consistent": rule.consistent or math.nan,
        "recipe": candidate.recipe,
        "seed": candidate.seed,
        "seconds": round(sum(e.seconds for e in epochs), 1),
        "dataset": identity.dataset,
        "checksum": identity.checksum,
        "selected_on": identity.selected_on,
        "device": identity.device,
        "engine": last.engine if last else identity.engine,
        "device_kind": last.device_kind if last else "",
        "threads": last.threads if last else 1,
        "warm_start": label_sources(identity.warm_start),
        "teacher": identity.teacher if "distill=" in candidate.recipe else "",
        "versions": " ".join(f"{k}={v}" for k, v in candidate.versions.items()),
        "trial": trial.number,
    }
