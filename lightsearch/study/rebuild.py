"""The task of a leaderboard's row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from lightsearch.checks import check_kind, check_path
from lightsearch.data import references
from lightsearch.data.catalogue import images_file
from lightsearch.data.dataset import DataSet
from lightsearch.data.holdout import holdout_of
from lightsearch.data.references import DataRef
from lightsearch.engines.selection import parse_engine, parse_precision
from lightsearch.engines.teacher import Module, Teacher, as_teacher
from lightsearch.errors import ArgumentError, LightsearchError, quote
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.study.identity import same_teacher
from lightsearch.study.rows import Row, row_of, study_of_row
from lightsearch.training.task import Task, hold_out


def rebuild(
    row: Row | pd.DataFrame,
    *,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
    teacher: Teacher | Module | None = None,
) -> Task:
    """The task of a leaderboard's row: train it again with `lightsearch.train`.

        task = rebuild(result.leaderboard.loc[1])
        list(train(task))

    The row may be of all trials, too, or a table of one row. On the same kind of machine, with
    the same versions, it gives the same accuracies. The data set is the one given, or is found by
    its name (in `data`, if given). Images of one's own are found in the study that the row comes
    from, or in the study's folder that is given as `data`. A row whose recipe has `distill` needs
    the `teacher` that it was trained with.

    Raises `NotationError` or `ArgumentError` for a row that says nothing trainable, and
    `DataError` where the data set is not the one that the row was trained on.
    """
    row = row_of(row)
    try:
        name, checksum = str(row["dataset"]), str(row["checksum"])
        design, recipe = parse(str(row["design"])), parse_recipe(str(row["recipe"]))
        epochs, seed = _whole(row["epochs"]), _whole(row["seed"])
        engine, device = parse_engine(str(row["engine"])), str(row["device"])
        precision = parse_precision(str(row["engine"]))
        holdout = holdout_of(str(row.get("selected_on", "test")))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, LightsearchError):
            raise
        raise ArgumentError(
            "a row must have a whole design, recipe, epochs, seed and data set, but "
            f"{_explain(error)}"
        ) from None
    whole = DataRef(name, checksum, _where(name, row, data))
    if dataset is not None:
        check_kind("dataset", dataset, DataSet, "a DataSet, as `make_dataset` makes")
        whole = references.lend(dataset)
    known = None if teacher is None else as_teacher(teacher)
    task = Task(design, recipe, whole, epochs, seed, engine, device, precision, teacher=known)
    wanted = str(row.get("teacher", ""))
    if known is not None and not same_teacher(str(known), wanted):
        raise ArgumentError(
            f"`teacher` must be the one that the row was trained with, {quote(wanted)}, but got "
            f"{quote(str(known))}"
        )
    return hold_out(task, holdout)


def _explain(error: Exception) -> str:
    """What is wrong with a row, from what its reading raised."""
    return f"it has no `{error.args[0]}`" if isinstance(error, KeyError) else str(error)


def _where(name: str, row: Row, data: str | Path | None) -> str:
    """Where the images of a row are: a folder, or the file of one's own images in a study."""
    place = None if data is None else check_path("data", data)
    if place is None or place.is_dir():
        study = study_of_row(row) if place is None else place
        own = None if study is None else images_file(name, study)
        place = own if own is not None and own.is_file() else place
    return "" if place is None else str(place)


def _whole(value: Any) -> int:
    """An integer of a table, in which columns with gaps have become floating point."""
    whole = int(value)
    if not isinstance(value, str) and whole != value:
        raise ValueError(f"{quote(value)} must be an integer")
    return whole
