"""Tables: the designs that reached the target, and all trials, as pandas data frames.

Every row carries what is needed to train it again: notation, recipe, seed, data set, epochs.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lightsearch.checks import check_path
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.network.cost import BYTES
from lightsearch.study.confirmations import FIGURES, Confirmation, Key
from lightsearch.study.csv_file import find_table, parse_table, quote_cells, read_table
from lightsearch.study.disk import write_text
from lightsearch.study.identity import Identity, read_identity
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_confirmations
from lightsearch.study.orders import ORDERS, Order
from lightsearch.study.rows import with_study
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
# of later versions than the first: an older leaderboard has them empty
_LATER = {
    "activation_bytes",
    "activation_bytes_int8",
    "test_accuracy",
    *CONFIRMED,
    "target",
    "consistent",
    "device_kind",
    "threads",
    "warm_start",
    "teacher",
}
TEXT = {
    "design",
    "recipe",
    "dataset",
    "checksum",
    "selected_on",
    "engine",
    "device",
    "device_kind",
    "warm_start",
    "teacher",
    "versions",
    "confirmation",
    "confirmed_on",
}  # the columns of text; all others have numbers, or True and False
_NEEDED = tuple(column for column in COLUMNS if column not in _LATER)


def leaderboard(
    trials: Iterable[Trial],
    identity: Identity,
    *,
    by: str = "accuracy",
    target: float | None = None,
    confirmed: Mapping[Key, Confirmation] | None = None,
) -> pd.DataFrame:
    """The trials that are hits, best first; the index is their rank.

    Those that are `confirmed` come before all others. `by` is one of `ORDERS`. Ties go on in the
    order accuracy, parameters, epoch of the hit, and at last by the trial's number.
    """
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
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    return frame


def check_order(by: str) -> Order:
    """The order of a name. Raises `ArgumentError` if there is none."""
    if by not in ORDERS:
        raise ArgumentError(
            f"`by` must be one of {', '.join(ORDERS)}, but got by={quote(by)}"
            f"{suggestion(by, ORDERS)}"
        )
    return ORDERS[by]


def trials_table(
    trials: Iterable[Trial],
    identity: Identity,
    confirmed: Mapping[Key, Confirmation] | None = None,
) -> pd.DataFrame:
    """Every trial in the order of its number, with its outcome and reason."""
    rule, known = identity.rule, confirmed or {}
    rows = [
        {
            **_row(t, identity, rule, known),
            "outcome": t.outcome,
            "reason": t.reason,
            "proposed_by": t.candidate.proposed_by,
        }
        for t in trials
    ]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "outcome", "reason", "proposed_by"])
    return frame.set_index("trial")


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
        "best_epoch": best.epoch if best else pd.NA,
        "first_hit_epoch": rule.hit_epoch(epochs) or pd.NA,
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


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, at once: a reader never sees a part of it."""
    text = io.StringIO()
    quote_cells(frame).to_csv(text)
    write_text(path, text.getvalue())


def read(path: str | Path) -> pd.DataFrame:
    """A leaderboard from its CSV, or from its study's folder, indexed by rank. Columns that an
    older version did not write are empty. What a spreadsheet saved is read too: semicolons or tabs
    between cells, decimal commas, UTF-16.

    Raises `ArgumentError` for a file that is missing or is not a leaderboard.
    """
    path = find_table(check_path("path", path))
    try:
        frame = parse_table(*read_table(path), TEXT, {"rank", *COLUMNS} - TEXT)
    except Exception as error:  # pandas raises many kinds on what is no table
        raise ArgumentError(
            f"a leaderboard must be a CSV file with a column rank, but {path} is not: {error}"
        ) from None
    missing = [c for c in _NEEDED if c not in frame.columns]
    if missing:
        raise ArgumentError(
            f"a leaderboard must have the columns {', '.join(_NEEDED)}, but "
            f"{path} lacks {', '.join(missing)}"
        )
    older = {c: c != "confirmed" and math.nan for c in COLUMNS if c not in frame.columns}
    frame = pd.concat([frame, pd.DataFrame(older, index=frame.index)], axis=1)
    for column in ("warm_start", "teacher"):
        frame[column] = frame[column].astype(object).fillna("")  # as it was written
    known = path.with_name("study.json").exists()
    return with_study(frame, path.parent) if known else frame


def refresh(folder: Path) -> None:
    """Write the leaderboard of a study's folder anew; nothing where there is no study."""
    identity = read_identity(folder)
    if identity is not None:
        frame = leaderboard(read_trials(folder), identity, confirmed=read_confirmations(folder))
        write(frame, folder / "leaderboard.csv")
