"""Trained networks to export, and their metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from lightsearch.data.class_names import write_class_names
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import fetch
from lightsearch.design.parts import Design
from lightsearch.engines.engine import State
from lightsearch.formatting import percent
from lightsearch.network.cost import cost
from lightsearch.shapes import format_shape
from lightsearch.study.trial import versions
from lightsearch.training.epoch import take_evaluated
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task

BYTE_RANGE = "0 to 255, normalised by channel: (pixel / 255 - mean) / std"
INPUT_RANGE = "0 to 1, normalised by channel: (pixel - mean) / std"


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
            "params": str(cost(self.design, self.data.shape).params),
            "input": format_shape(self.data.shape),
            "classes": str(self.data.classes),
            "mean": _numbers(mean),
            "std": _numbers(std),
            "input_range": INPUT_RANGE,
            "background": f"{_background(self.data):.4f}",
            "dataset": self.data.name,
            "checksum": self.data.checksum,
            **self._class_names(),
            **self.record,
        }

    def _class_names(self) -> dict[str, str]:
        names = self.data.class_names
        return {"class_names": write_class_names(names)} if names else {}


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
    record = describe_training(
        task,
        last.epoch,
        last.accuracy,
        chosen=chosen,
        selected_on=selected_on,
        engine=last.engine,
        versions=" ".join(f"{k}={v}" for k, v in versions().items()),
        origin=origin,
        teacher=str(task.teacher or ""),
    )
    return TrainedNet(task.design, fetch(task.data), take_evaluated(state), record)


def describe_training(
    task: Task,
    epoch: int,
    accuracy: float,
    *,
    chosen: str,
    selected_on: str,
    engine: str,
    versions: str,
    origin: str,
    teacher: str = "",
) -> dict[str, str]:
    """Return the `record` of a `TrainedNet` with the weights of one epoch.

    `chosen` says why those of this epoch. `teacher` is what it learned from, if it had one.
    """
    return {
        "recipe": str(task.recipe),
        "epochs": str(task.epochs),
        "seed": str(task.seed),
        "weights": _weights_kind(task),
        "epoch": str(epoch),
        "accuracy": str(accuracy),
        "selected_on": selected_on,
        "engine": engine,
        "versions": versions,
        "protocol": _protocol(task, accuracy, epoch, chosen),
        "origin": origin,
        **({"teacher": teacher} if teacher else {}),
    }


def is_held_out(record: Mapping[str, str]) -> bool:
    """Whether a record's accuracy is of held-out or validation images, not of test images.

    >>> is_held_out({"selected_on": "val(size=500,seed=0)"}), is_held_out({"selected_on": "none"})
    (True, False)
    """
    return record["selected_on"].startswith("val")


def name_images(task: Task) -> str:
    """Return which images the accuracies of a task are measured on, in a word."""
    return "test" if task.data.holdout is None else "held-out"


def _weights_kind(task: Task) -> str:
    return "averaged" if task.recipe.ema else "raw"


def _protocol(task: Task, accuracy: float, epoch: int, chosen: str) -> str:
    total = len(fetch(task.data).test[1])
    share = percent(Fraction(round(accuracy * total), total))
    return (
        f"{share} of {total:,} {name_images(task)} images, "
        f"{_weights_kind(task)} weights, epoch {epoch} of {task.epochs}, {chosen}; one run, "
        f"seed {task.seed}"
    )


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
