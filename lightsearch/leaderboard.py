"""Tables: the designs that reached the target, and all trials, as pandas data frames.

Every row carries what is needed to train it again: notation, recipe, seed, data set, epochs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from lightsearch import data as data_room
from lightsearch.checks import kind
from lightsearch.checks import path as checked
from lightsearch.data import DataRef, DataSet
from lightsearch.engines import engine_named
from lightsearch.errors import ArgumentError, LightsearchError
from lightsearch.notation import parse, parse_recipe
from lightsearch.records import Trial
from lightsearch.study.folder import Identity, write_text
from lightsearch.training import Task

COLUMNS = ("design", "params", "macs", "receptive_field", "best_accuracy", "best_epoch",
           "first_hit_epoch", "last_accuracy", "last3_accuracy", "epochs_trained", "epochs",
           "recipe", "seed", "seconds", "dataset", "checksum", "selected_on", "engine", "device",
           "versions", "trial")
SORTS = ("accuracy", "params", "epochs")


def leaderboard(trials: Iterable[Trial], identity: Identity, *, by: str = "accuracy",
                target: float | None = None) -> pd.DataFrame:
    """The trials that reached the target at some epoch, best first; the index is their rank.

    `by="accuracy"` ranks by the best epoch's accuracy, `"params"` by the fewest parameters,
    `"epochs"` by the earliest first hit. Ties go on with the others in the order accuracy,
    parameters, first hit, and at last with the trial's number.
    """
    if by not in SORTS:
        raise ArgumentError(f"`by` must be one of {', '.join(SORTS)}, but got by={by!r}")
    goal = Fraction(identity.target) if target is None else Fraction(str(target))
    hits = [t for t in trials if t.first_hit(goal) is not None]
    frame = pd.DataFrame([_row(t, identity, goal) for t in sorted(hits, key=_order(by, goal))],
                         columns=list(COLUMNS))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    return frame


def trials_table(trials: Iterable[Trial], identity: Identity) -> pd.DataFrame:
    """Every trial in the order of its number, with its outcome and reason."""
    goal = Fraction(identity.target)
    rows = [{**_row(t, identity, goal), "outcome": t.outcome, "reason": t.reason} for t in trials]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "outcome", "reason"])
    return frame.set_index("trial")


def _order(by: str, goal: Fraction) -> Any:
    def order(trial: Trial) -> tuple[Any, ...]:
        assert trial.best is not None
        accuracy, params = -trial.best.correct, trial.candidate.params
        first = trial.first_hit(goal)
        first_by = {"accuracy": accuracy, "params": params, "epochs": first}[by]
        return (first_by, accuracy, params, first, trial.number)

    return order


def _row(trial: Trial, identity: Identity, goal: Fraction) -> dict[str, Any]:
    candidate, epochs, best = trial.candidate, trial.epochs, trial.best
    last3 = [e.accuracy for e in epochs[-3:]]
    return {
        "design": candidate.design, "params": candidate.params, "macs": candidate.macs,
        "receptive_field": candidate.receptive_field,
        "best_accuracy": best.accuracy if best else math.nan,
        "best_epoch": best.epoch if best else pd.NA,
        "first_hit_epoch": trial.first_hit(goal) or pd.NA,
        "last_accuracy": epochs[-1].accuracy if epochs else math.nan,
        "last3_accuracy": round(sum(last3) / len(last3), 6) if epochs else math.nan,
        "epochs_trained": len(epochs), "epochs": identity.epochs, "recipe": candidate.recipe,
        "seed": candidate.seed, "seconds": round(sum(e.seconds for e in epochs), 1),
        "dataset": identity.dataset, "checksum": identity.checksum,
        "selected_on": identity.selected_on, "device": identity.device,
        "engine": epochs[-1].engine if epochs else identity.engine,
        "versions": " ".join(f"{k}={v}" for k, v in candidate.versions.items()),
        "trial": trial.number,
    }


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, at once: a reader never sees a part of it."""
    text = io.StringIO()
    frame.to_csv(text)
    write_text(path, text.getvalue())


def read(path: str | Path) -> pd.DataFrame:
    """A leaderboard from its CSV, indexed by rank.

    Raises `ArgumentError` for a file that is missing or is not a leaderboard.
    """
    try:
        # opened here: pandas would follow an address into the network
        with checked("path", path).open(encoding="utf-8", newline="") as file:
            frame = pd.read_csv(file, index_col="rank")
    except ArgumentError:
        raise
    except Exception as error:  # pandas raises many kinds on what is no table
        raise ArgumentError(f"a leaderboard must be a CSV file with a column rank, but {path} is "
                            f"not: {error}") from None
    missing = [c for c in COLUMNS if c not in frame.columns]
    if missing:
        raise ArgumentError(f"a leaderboard must have the columns {', '.join(COLUMNS)}, but "
                            f"{path} lacks {', '.join(missing)}")
    return frame


def rebuild(row: Mapping[str, Any] | pd.Series[Any], *, dataset: DataSet | None = None,
            data: str | Path | None = None) -> Task:
    """The task of a leaderboard's row: train it again with `lightsearch.train`.

        task = rebuild(result.leaderboard.loc[1])
        list(train(task))

    On the same kind of machine, with the same versions, it gives the same accuracies. The data
    set is found by its name (in `data`, if given), or is the one given.

    Raises `NotationError` or `ArgumentError` for a row that says nothing trainable, and
    `DataError` where the data set is not the one that the row was trained on.
    """
    try:
        name, checksum = str(row["dataset"]), str(row["checksum"])
        design, recipe = parse(str(row["design"])), parse_recipe(str(row["recipe"]))
        epochs, seed = _whole(row["epochs"]), _whole(row["seed"])
        engine, device = engine_named(str(row["engine"])), str(row["device"])
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, LightsearchError):
            raise
        raise ArgumentError(f"a row must have a whole design, recipe, epochs, seed and data set, "
                            f"but: {error!r}") from None
    if dataset is not None:
        kind("dataset", dataset, DataSet, "a DataSet, as `make_dataset` makes")
        return Task(design, recipe, data_room.lend(dataset), epochs, seed, engine, device)
    where = "" if data is None else str(checked("data", data))
    return Task(design, recipe, DataRef(name, checksum, where), epochs, seed, engine, device)


def _whole(value: Any) -> int:
    """An integer of a table, in which columns with gaps have become floating point."""
    whole = int(value)
    if not isinstance(value, str) and whole != value:
        raise ValueError(f"{value!r} must be an integer")
    return whole
