"""Trained networks to export: where their weights come from, and their metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightsearch.data.catalogue import images_file
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import DataRef, fetch, lend
from lightsearch.design.parts import Design
from lightsearch.engines.engine import State
from lightsearch.engines.native.library import available
from lightsearch.errors import ArgumentError, ExportError, StudyError
from lightsearch.formatting import percent
from lightsearch.network.cost import cost
from lightsearch.notation.parser import parse
from lightsearch.result import SearchResult, load_result, load_weights
from lightsearch.shapes import format_shape
from lightsearch.study.rebuild import rebuild
from lightsearch.study.trial import versions
from lightsearch.training.epoch import run_epoch, take_evaluated
from lightsearch.training.task import EpochResult, Task

Row: TypeAlias = "Mapping[str, Any] | pd.Series[Any]"
Source: TypeAlias = "SearchResult | Row | str | Path"
Told: TypeAlias = Callable[[EpochResult], None]


@dataclass(frozen=True, eq=False)
class TrainedNet:
    """A design with trained weights, named as those of `build(design, data.shape)`.

    `record` describes the training, as text by name. `metadata` has it too.
    """

    design: Design
    data: DataSet
    weights: State
    record: dict[str, str]

    @property
    def origin(self) -> str:
        """Where the weights come from: a study, a training just now, a file."""
        return self.record["origin"]

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of a file: all that is needed to use the network and to judge it."""
        mean, std = self.data.mean_std
        return {
            "lightsearch": versions()["lightsearch"],
            "design": str(self.design),
            "parameters": str(cost(self.design, self.data.shape).params),
            "input": format_shape(self.data.shape),
            "classes": str(self.data.classes),
            "mean": _numbers(mean),
            "std": _numbers(std),
            "background": f"{_background(self.data):.4f}",
            "dataset": self.data.name,
            "checksum": self.data.checksum,
            **self.record,
        }


def find_net(
    source: Source,
    *,
    rank: int = 1,
    study: str | Path | None = None,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
    told: Told | None = None,
) -> TrainedNet:
    """Return the trained network of a search's result, of a leaderboard's row, or of a file.

    `source` is a `SearchResult` or a study's folder, whose row at `rank` is taken; a row, perhaps
    from a CSV file; or a `.safetensors` that lightsearch wrote. A row's weights are those of its
    best epoch, as they were evaluated (averaged if its recipe averages). They are read from the
    study, if it is known. Otherwise the row is trained again up to that epoch, and `told` is
    called with each epoch's result. `dataset` or `data` say where the images are, as in
    `rebuild`.

    Raises `ArgumentError` for another kind of source or a missing rank, `StudyError` if the
    study's trial of that number is another one, `DataError` if the images are not found, and
    `ExportError` for a file without a design.
    """
    if isinstance(source, str | Path) and Path(source).suffix == ".safetensors":
        return _from_file(Path(source), dataset, data)
    if isinstance(source, str | Path):
        source = load_result(source)
    if isinstance(source, SearchResult):
        return _net_of_row(_row(source, rank), source.folder, dataset, data, told)
    return _net_of_row(source, None if study is None else Path(study), dataset, data, told)


def _row(result: SearchResult, rank: int) -> Row:
    frame = result.leaderboard
    if rank not in frame.index:
        rows = f"from 1 to {len(frame)}" if len(frame) else "of a row, and there is none"
        raise ArgumentError(f"`rank` must be {rows}, but got rank={rank!r}")
    row: pd.Series[Any] = frame.iloc[list(frame.index).index(rank)]
    return row


def _net_of_row(
    row: Row,
    folder: Path | None,
    dataset: DataSet | None,
    data: str | Path | None,
    told: Told | None,
) -> TrainedNet:
    if folder is not None and data is None:
        data = images_file(str(row.get("dataset")), folder)
    task = rebuild(row, dataset=dataset, data=data)
    weights = None if folder is None else _study_weights(folder, row)
    if weights is None:
        return _train_again(task, row, told)
    accuracy, epoch = float(row["best_accuracy"]), int(row["best_epoch"])
    record = {
        **_settings(task),
        "epoch": str(epoch),
        "accuracy": str(accuracy),
        "selected_on": str(row["selected_on"]),
        "engine": str(row["engine"]),
        "versions": str(row["versions"]),
        "protocol": _protocol(
            task, accuracy, epoch, f"the best one by the {row['selected_on']} images"
        ),
        "origin": f"kept by the study, trial {int(row['trial'])}",
    }
    return TrainedNet(task.design, fetch(task.data), weights, record)


def net_of_training(
    task: Task,
    results: Sequence[EpochResult],
    state: State,
    *,
    origin: str = "trained just now",
    chosen: str = "the last one trained",
    selected_on: str = "none",
) -> TrainedNet:
    """Return the network of a state after the last of `results`."""
    last = results[-1]
    record = {
        **_settings(task),
        "epoch": str(last.epoch),
        "accuracy": str(last.accuracy),
        "selected_on": selected_on,
        "engine": last.engine,
        "versions": " ".join(f"{k}={v}" for k, v in versions().items()),
        "protocol": _protocol(task, last.accuracy, last.epoch, chosen),
        "origin": origin,
    }
    return TrainedNet(task.design, fetch(task.data), take_evaluated(state), record)


def _settings(task: Task) -> dict[str, str]:
    return {
        "recipe": str(task.recipe),
        "epochs": str(task.epochs),
        "seed": str(task.seed),
        "weights": _weights_kind(task),
    }


def _weights_kind(task: Task) -> str:
    return "averaged" if task.recipe.ema else "raw"


def _protocol(task: Task, accuracy: float, epoch: int, chosen: str) -> str:
    total = len(fetch(task.data).test[1])
    share = percent(Fraction(round(accuracy * total), total))
    return (
        f"{share} of {total:,} {_images(task)} images, "
        f"{_weights_kind(task)} weights, epoch {epoch} of {task.epochs}, {chosen}; one run, "
        f"seed {task.seed}"
    )


def _images(task: Task) -> str:
    """Return which images the accuracies of a task are measured on, in a word."""
    return "test" if task.data.holdout is None else "held-out"


def _study_weights(folder: Path, row: Row) -> State | None:
    """Return the weights that a study kept of a row's trial, or None if they are gone."""
    number = int(row["trial"])
    trials = {trial.number: trial.candidate for trial in load_result(folder).records}
    same = number in trials and all(
        str(getattr(trials[number], name)) == str(row[name])
        for name in ("design", "recipe", "seed")
    )
    if not same:
        raise StudyError(
            f"`study` must be the one that the row is from, but in {folder} trial "
            f"{number} is another"
        )
    try:
        return load_weights(folder, number)
    except StudyError:
        return None


def _train_again(task: Task, row: Row, told: Told | None) -> TrainedNet:
    """Train a row again, up to its best epoch."""
    task, best = _fit_machine(task), int(row["best_epoch"])
    state: State | None = None
    results = []
    for epoch in range(1, best + 1):
        state, result = run_epoch(task, state, epoch)
        results.append(result)
        if told is not None:
            told(result)
    assert state is not None
    then, now = round(float(row["best_accuracy"]) * results[-1].total), results[-1].correct
    same = (
        "with the accuracy of the row"
        if then == now
        else f"with {now} correct {_images(task)} images where the row has {then}"
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


def _fit_machine(task: Task) -> Task:
    """Return the task with a device and an engine that this machine has."""
    device = task.device if task.device == "cpu" or torch.cuda.is_available() else "cpu"
    native = task.engine != "torch" and device == "cpu" and available()
    return dataclasses.replace(task, device=device, engine="native" if native else "torch")


# Files -------------------------------------------------------------------------------------------


def _from_file(path: Path, dataset: DataSet | None, data: str | Path | None) -> TrainedNet:
    weights, metadata = read_weights(path)
    if metadata.get("batch_norm", "") != "as trained":
        raise ExportError(
            f"weights to export must be as they were trained, but those of {path} "
            "have their batch norm folded: export the row, or its unfolded file"
        )
    if dataset is not None:
        reference = lend(dataset)
    else:
        reference = DataRef(
            metadata["dataset"], metadata["checksum"], "" if data is None else str(data)
        )
    record = {
        name: metadata[name]
        for name in (
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
    }
    return TrainedNet(parse(metadata["design"]), fetch(reference), weights, record)


def read_weights(path: Path) -> tuple[State, dict[str, str]]:
    """Read the tensors and the metadata of a file that lightsearch wrote.

    Raises `ExportError` for any other file.
    """
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ExportError(
            f"a safetensors file must be readable, but {path} is not: {error}"
        ) from None
    if "design" not in metadata:
        raise ExportError(
            f"a file of weights must say what network they are of, but {path} has "
            "no design in its metadata: was it written by lightsearch?"
        )
    return weights, metadata


def _numbers(values: Tensor) -> str:
    return ",".join(repr(value) for value in values.tolist())


def _background(data: DataSet) -> float:
    """Return the mean pixel at the border of the training images, from 0 (black) to 1 (white)."""
    sides = list(_border(data.train[0]))
    return (
        sum(float(side.double().sum()) for side in sides)
        / 255
        / sum(side.numel() for side in sides)
    )


def _border(images: Tensor) -> Iterator[Tensor]:
    yield from (images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0], images[..., 1:-1, -1])
