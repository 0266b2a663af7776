"""Trained networks to take away: where their weights come from, and what is known of them."""

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

from lightsearch.data.catalogue import NAMES
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
from lightsearch.training.epoch import evaluated, run_epoch
from lightsearch.training.task import EpochResult, Task

Row: TypeAlias = "Mapping[str, Any] | pd.Series[Any]"
Source: TypeAlias = "SearchResult | Row | str | Path"
Told: TypeAlias = Callable[[EpochResult], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A design with trained weights, named as those of `build(design, data.shape)`.

    `record` says how they came about, in words and numbers that go into the files: see
    `metadata`. `origin` is where they are from.
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
        """What a file says of the network: all that is needed to use it and to judge it."""
        mean, std = self.data.mean_std
        return {
            "lightsearch": versions()["lightsearch"], "design": str(self.design),
            "parameters": str(cost(self.design, self.data.shape).params),
            "input": format_shape(self.data.shape), "classes": str(self.data.classes),
            "mean": _numbers(mean), "std": _numbers(std),
            "background": f"{_background(self.data):.4f}",
            "dataset": self.data.name, "checksum": self.data.checksum, **self.record}


def trained(source: Source, *, rank: int = 1, study: str | Path | None = None,
            dataset: DataSet | None = None, data: str | Path | None = None,
            told: Told | None = None) -> Trained:
    """The trained network of a search's result, of a leaderboard's row, or of a file.

    `source` is a `SearchResult` or a study's folder, of which the row `rank` is taken; a row,
    which may be from a CSV file; or a `.safetensors` that lightsearch wrote. A row's weights are
    those of its best epoch, as they were evaluated (averaged where its recipe averages). They are
    read from the study, if it is known; else the row is trained again up to that epoch, and
    `told` gets each epoch's result. `dataset` or `data` say where the images are, as in
    `rebuild`.

    Raises `ArgumentError` for a source that is none and a rank that is not there, `StudyError`
    where the study has another trial of the row's number, `DataError` where the images are not
    found, `ExportError` for a file that says nothing of its network.
    """
    if isinstance(source, str | Path) and Path(source).suffix == ".safetensors":
        return _from_file(Path(source), dataset, data)
    if isinstance(source, str | Path):
        source = load_result(source)
    if isinstance(source, SearchResult):
        return _of_row(_row(source, rank), source.folder, dataset, data, told)
    return _of_row(source, None if study is None else Path(study), dataset, data, told)


def _row(result: SearchResult, rank: int) -> Row:
    frame = result.leaderboard
    if rank not in frame.index:
        rows = f"from 1 to {len(frame)}" if len(frame) else "of a row, and there is none"
        raise ArgumentError(f"`rank` must be {rows}, but got rank={rank!r}")
    found: pd.Series[Any] = frame.iloc[list(frame.index).index(rank)]
    return found


def _of_row(row: Row, folder: Path | None, dataset: DataSet | None, data: str | Path | None,
            told: Told | None) -> Trained:
    if folder is not None and data is None and str(row.get("dataset")) not in NAMES:
        data = folder / "data.safetensors"
    task = rebuild(row, dataset=dataset, data=data)
    kept = None if folder is None else _kept(folder, row)
    if kept is None:
        return _again(task, row, told)
    accuracy, epoch = float(row["best_accuracy"]), int(row["best_epoch"])
    record = {
        **_asked(task), "epoch": str(epoch), "accuracy": str(accuracy),
        "selected_on": str(row["selected_on"]), "engine": str(row["engine"]),
        "versions": str(row["versions"]),
        "protocol": _protocol(task, accuracy, epoch,
                              f"the best one by the {row['selected_on']} images"),
        "origin": f"kept by the study, trial {int(row['trial'])}"}
    return Trained(task.design, fetch(task.data), kept, record)


def trained_now(task: Task, results: Sequence[EpochResult], state: State, *,
                origin: str = "trained just now", chosen: str = "the last one trained",
                selected_on: str = "none") -> Trained:
    """The network of a training's state after the last of `results`."""
    last = results[-1]
    record = {
        **_asked(task), "epoch": str(last.epoch), "accuracy": str(last.accuracy),
        "selected_on": selected_on, "engine": last.engine,
        "versions": " ".join(f"{k}={v}" for k, v in versions().items()),
        "protocol": _protocol(task, last.accuracy, last.epoch, chosen), "origin": origin}
    return Trained(task.design, fetch(task.data), evaluated(state), record)


def _asked(task: Task) -> dict[str, str]:
    return {"recipe": str(task.recipe), "epochs": str(task.epochs), "seed": str(task.seed),
            "weights": _averaged(task)}


def _averaged(task: Task) -> str:
    return "averaged" if task.recipe.ema else "raw"


def _protocol(task: Task, accuracy: float, epoch: int, chosen: str) -> str:
    total = len(fetch(task.data).test[1])
    share = percent(Fraction(round(accuracy * total), total))
    return (f"{share} of {total:,} {_images(task)} images, "
            f"{_averaged(task)} weights, epoch {epoch} of {task.epochs}, {chosen}; one run, "
            f"seed {task.seed}")


def _images(task: Task) -> str:
    """Which images the accuracies of a task are of, in a word."""
    return "test" if task.data.holdout is None else "held-out"


def _kept(folder: Path, row: Row) -> State | None:
    """The weights that a study kept of a row's trial; None where they are gone."""
    number = int(row["trial"])
    known = {trial.number: trial.candidate for trial in load_result(folder).records}
    same = number in known and all(str(getattr(known[number], name)) == str(row[name])
                                   for name in ("design", "recipe", "seed"))
    if not same:
        raise StudyError(f"`study` must be the one that the row is from, but in {folder} trial "
                         f"{number} is another")
    try:
        return load_weights(folder, number)
    except StudyError:
        return None


def _again(task: Task, row: Row, told: Told | None) -> Trained:
    """Train a row again, up to its best epoch."""
    task, best = _here(task), int(row["best_epoch"])
    state: State | None = None
    results = []
    for epoch in range(1, best + 1):
        state, result = run_epoch(task, state, epoch)
        results.append(result)
        if told is not None:
            told(result)
    assert state is not None
    then, now = round(float(row["best_accuracy"]) * results[-1].total), results[-1].correct
    same = "with the accuracy of the row" if then == now else \
        f"with {now} correct {_images(task)} images where the row has {then}"
    chosen = f"the best one of the row by the {row['selected_on']} images"
    return trained_now(task, results, state, origin=f"trained again from the row, {same}",
                       chosen=chosen, selected_on=str(row["selected_on"]))


def _here(task: Task) -> Task:
    """The task on a device and an engine that are here."""
    device = task.device if task.device == "cpu" or torch.cuda.is_available() else "cpu"
    native = task.engine != "torch" and device == "cpu" and available()
    return dataclasses.replace(task, device=device, engine="native" if native else "torch")


# Files -------------------------------------------------------------------------------------------


def _from_file(path: Path, dataset: DataSet | None, data: str | Path | None) -> Trained:
    weights, said = read_weights(path)
    if said.get("batch_norm", "") != "as trained":
        raise ExportError(f"weights to export must be as they were trained, but those of {path} "
                          "have their batch norm folded: export the row, or its unfolded file")
    if dataset is not None:
        reference = lend(dataset)
    else:
        reference = DataRef(said["dataset"], said["checksum"], "" if data is None else str(data))
    record = {name: said[name] for name in (
        "recipe", "epochs", "seed", "epoch", "weights", "accuracy", "selected_on", "engine",
        "versions", "protocol", "origin")}
    return Trained(parse(said["design"]), fetch(reference), weights, record)


def read_weights(path: Path) -> tuple[State, dict[str, str]]:
    """The tensors and the metadata of a file that lightsearch wrote.

    Raises `ExportError` for any other.
    """
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            said = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ExportError(f"a safetensors file must be readable, but {path} is not: {error}") \
            from None
    if "design" not in said:
        raise ExportError(f"a file of weights must say what network they are of, but {path} has "
                          "no design in its metadata: was it written by lightsearch?")
    return weights, said


def _numbers(values: Tensor) -> str:
    return ",".join(repr(value) for value in values.tolist())


def _background(data: DataSet) -> float:
    """Mean of the pixels at the border of the training images, from 0 (black) to 1 (white)."""
    sides = list(_border(data.train[0]))
    return sum(float(side.double().sum()) for side in sides) / 255 / sum(
        side.numel() for side in sides)


def _border(images: Tensor) -> Iterator[Tensor]:
    yield from (images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0],
                images[..., 1:-1, -1])
