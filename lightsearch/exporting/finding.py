"""Find a trained network: in a study, in a file, or by training a row again."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import torch

from lightsearch.checks import check_integer, check_path
from lightsearch.data.catalogue import images_file
from lightsearch.data.class_names import read_class_names
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import DataRef, fetch, lend
from lightsearch.engines.engine import State
from lightsearch.engines.native.library import available
from lightsearch.errors import ArgumentError, DataError, ExportError, StudyError, quote
from lightsearch.exporting.reading import read_weights
from lightsearch.exporting.trained import (
    TrainedNet,
    describe_training,
    name_images,
    net_of_training,
)
from lightsearch.notation.parser import parse
from lightsearch.result import SearchResult, load_result, load_weights
from lightsearch.study.leaderboard import read
from lightsearch.study.listing import find_study
from lightsearch.study.rebuild import rebuild
from lightsearch.study.rows import Row, row_of, study_of_row
from lightsearch.training.epoch import run_epoch
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task

Source: TypeAlias = "SearchResult | Row | pd.DataFrame | str | Path"
_RECORD = (
    "recipe",
    "epochs",
    "seed",
    "epoch",
    "weights",
    "accuracy",
    "selected_on",
    "engine",
    "versions",
    "protocol",
    "origin",
)
Told: TypeAlias = Callable[[EpochResult], None]


def find_net(
    source: Source,
    *,
    row: int = 1,
    study: str | Path | None = None,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
    told: Told | None = None,
) -> TrainedNet:
    """Return the trained network of a search's result, of a leaderboard's row, or of a file.

    `source` is a `SearchResult`, a study's folder or a leaderboard's CSV, whose `row` of that rank
    is taken; a row, perhaps of all trials; or a `.safetensors` that lightsearch wrote. A row's
    weights are those of its best epoch, as they were evaluated (averaged if its recipe averages).
    They are read from the study, if it is given or the row comes from it. Otherwise the row is
    trained again up to that epoch, and `told` is called with each epoch's result. `dataset` or
    `data` say where the images are, as in `rebuild`.

    Raises `ArgumentError` for another kind of source or a missing rank, `StudyError` if the
    study's trial of that number is another one, `DataError` if the images are not found, and
    `ExportError` for a file without a design.
    """
    if isinstance(source, str | os.PathLike):
        path = check_path("source", source)
        if path.suffix.lower() == ".safetensors":
            return _from_file(path, dataset, data)
    found, folder = find_row(source, row=row, study=study)
    return _net_of_row(found, folder, dataset, data, told)


def find_row(
    source: Source, *, row: int = 1, study: str | Path | None = None
) -> tuple[Row, Path | None]:
    """Return the row of a source, no file of weights, and its study's folder if that is known.

    Raises as `find_net` does.
    """
    if isinstance(source, str | os.PathLike):
        path = check_path("source", source)
        place = find_study(path)
        if path.is_file() and place == path:  # a table of no study
            source = _row(read(path), row)
        else:
            source = load_result(place)
    if isinstance(source, SearchResult):
        return _row(source.leaderboard, row), source.folder
    found = row_of(source)
    if study is not None:
        return found, find_study(study)
    folder = study_of_row(found)
    is_known = folder is not None and _is_trial_of(folder, found)
    return found, folder if is_known else None


def _row(frame: pd.DataFrame, rank: int) -> Row:
    try:
        number = check_integer("row", rank, 1, 10**9)
    except ArgumentError:  # the ranks that there are say more than its range
        number = 0
    if number not in frame.index:
        rows = f"from 1 to {len(frame)}" if len(frame) else "of a row, and there is none"
        raise ArgumentError(f"`row` must be a rank {rows}, but got row={quote(rank)}")
    row: pd.Series[Any] = frame.iloc[list(frame.index).index(number)]
    return row


def _net_of_row(
    row: Row,
    folder: Path | None,
    dataset: DataSet | None,
    data: str | Path | None,
    told: Told | None,
) -> TrainedNet:
    if folder is not None and data is None and images_file(str(row.get("dataset")), folder):
        data = folder
    task = rebuild(row, dataset=dataset, data=data)
    weights = None if folder is None else _study_weights(folder, row)
    if folder is None and data is None:
        _check_images(task, row)
    if weights is None:
        return _train_again(task, row, told)
    teacher = row.get("teacher")  # no text in a table that was read by other means
    record = describe_training(
        task,
        *best_of(row, task),
        chosen=f"the best one by the {row['selected_on']} images",
        selected_on=str(row["selected_on"]),
        engine=str(row["engine"]),
        versions=str(row["versions"]),
        origin=f"kept by the study, trial {int(row['trial'])}",
        teacher=teacher if isinstance(teacher, str) else "",
    )
    return TrainedNet(task.design, fetch(task.data), weights, record)


def _check_images(task: Task, row: Row) -> None:
    """Raise `DataError` if a row's images are not found, and it does not know its study."""
    try:
        fetch(task.data)
    except DataError as error:
        if images_file(task.data.name, Path()) is None or study_of_row(row) is not None:
            raise
        raise DataError(
            f"{error}: the row does not know its study, whose folder `study` names"
        ) from None


def _study_weights(folder: Path, row: Row) -> State | None:
    """Return the weights that a study kept of a row's trial, or None if they are gone."""
    if not _is_trial_of(folder, row):
        raise StudyError(
            f"`study` must be the one that the row is from, but in {folder} trial "
            f"{row['trial']} is another"
        )
    try:
        return load_weights(folder, int(row["trial"]))
    except StudyError:
        return None


def _is_trial_of(folder: Path, row: Row) -> bool:
    """Whether a study's trial of the row's number is the row's."""
    if "trial" not in row:  # of all trials, whose index it is, in a plain dictionary
        raise ArgumentError(
            "a row must have the number of its trial as `trial` where `study` is given, but has "
            "none: `trials.reset_index()` has it as a column"
        )
    try:
        number = int(row["trial"])
    except (TypeError, ValueError):
        raise ArgumentError(
            f"a row must have the number of its trial, but got trial={quote(row['trial'])}"
        ) from None
    trials = {trial.number: trial.candidate for trial in load_result(folder).records}
    known = trials.get(number)
    return known is not None and all(
        str(getattr(known, name)) == str(row[name]) for name in ("design", "recipe", "seed")
    )


def _train_again(task: Task, row: Row, told: Told | None) -> TrainedNet:
    """Train a row again, up to its best epoch."""
    if task.recipe.distill:
        raise ExportError(
            "a design that learned from a teacher must have its weights kept by its study, but "
            f"those of {task.design} are not there: `train(rebuild(row, teacher=...))` trains it "
            "again"
        )
    task = _fit_machine(task)
    best, accuracy = best_of(row, task)
    state: State | None = None
    results = []
    for epoch in range(1, best + 1):
        state, result = run_epoch(task, state, epoch)
        results.append(result)
        if told is not None:
            told(result)
    assert state is not None
    then, now = round(accuracy * results[-1].total), results[-1].correct
    same = (
        "with the accuracy of the row"
        if then == now
        else f"with {now} correct {name_images(task)} images where the row has {then}"
    )
    chosen = f"the best one of the row by the {row['selected_on']} images"
    return net_of_training(
        task,
        results,
        state,
        origin=f"trained again from the row, {same}",
        chosen=chosen,
        selected_on=str(row["selected_on"]),
    )


def best_of(row: Row, task: Task) -> tuple[int, float]:
    """Return a row's best epoch and its accuracy, which a dictionary may have as any text."""
    given: list[Any] = [row.get(name) for name in ("best_epoch", "best_accuracy")]
    try:
        epoch, accuracy = map(float, given)
    except (TypeError, ValueError):
        epoch = accuracy = math.nan
    if not (epoch.is_integer() and 1 <= epoch <= task.epochs and 0 <= accuracy <= 1):
        raise ArgumentError(
            f"a row must have a best epoch from 1 to {task.epochs} and its accuracy from 0 to 1, "
            f"but got best_epoch={quote(given[0])}, best_accuracy={quote(given[1])}"
        )
    return int(epoch), accuracy


def _fit_machine(task: Task) -> Task:
    """Return the task with a device and an engine that this machine has."""
    device = task.device if task.device == "cpu" or torch.cuda.is_available() else "cpu"
    native = task.engine != "torch" and device == "cpu" and available()
    return dataclasses.replace(task, device=device, engine="native" if native else "torch")


def read_trained(path: Path) -> tuple[State, dict[str, str], dict[str, str]]:
    """Return the weights of a file, its metadata and its `TrainedNet.record`.

    Raises `ExportError` for a file without them, or one whose batch norm is folded.
    """
    weights, metadata = read_weights(path)
    if metadata.get("batch_norm", "") != "as trained":
        raise ExportError(
            f"weights to export must be as they were trained, but those of {path} "
            "have their batch norm folded: export the row, or its unfolded file"
        )
    try:
        record = {name: metadata[name] for name in _RECORD}
        record |= {name: metadata[name] for name in ("teacher",) if name in metadata}
        float(record["accuracy"]), int(record["epoch"])
        metadata["design"], metadata["dataset"], metadata["checksum"]
    except (KeyError, ValueError) as error:
        raise ExportError(
            f"weights to export must have their record, but in the metadata of {path} it is "
            f"{error!r:.80}: were they written by lightsearch?"
        ) from None
    return weights, metadata, record


def _from_file(path: Path, dataset: DataSet | None, data: str | Path | None) -> TrainedNet:
    weights, metadata, record = read_trained(path)
    if dataset is not None:
        reference = lend(dataset)
    else:
        where = "" if data is None else str(check_path("data", data))
        reference = DataRef(metadata["dataset"], metadata["checksum"], where)
    return TrainedNet(
        parse(metadata["design"]), _name(fetch(reference), metadata), weights, record
    )


def _name(data: DataSet, metadata: dict[str, str]) -> DataSet:
    """Return images with the class names that a file of weights has, if they have none."""
    if data.class_names or "class_names" not in metadata:
        return data
    names = read_class_names(metadata["class_names"], data.classes)
    return dataclasses.replace(data, class_names=names)
