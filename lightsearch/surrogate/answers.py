"""Epochs answered by the table of curves and its model, instead of training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lightsearch.design.parts import Design
from lightsearch.errors import ArgumentError
from lightsearch.network.cost import cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.shapes import Shape
from lightsearch.surrogate.model import Curve, load_model
from lightsearch.surrogate.table import CLASSES, DATASET, EPOCHS, IMAGES, RECIPE, SHAPE


@dataclass(frozen=True, slots=True)
class Answer:
    """An epoch: correct test images by averaged and raw weights, and the mean training loss."""

    correct: int
    raw_correct: int
    train_loss: float


def check_surrogate(
    dataset: str, shape: Shape, images: int, epochs: int, recipe: object, device: str
) -> None:
    """Raise `ArgumentError` for a question that the table of curves does not answer.

    It is of 15 epochs with one recipe, on MNIST's 10,000 test images.
    """
    for name, value, needed in (
        ("dataset", dataset, DATASET),
        ("image shape", tuple(shape), SHAPE),
        ("number of images that select", images, IMAGES),
        ("epochs", epochs, EPOCHS),
        ("recipe", str(recipe), RECIPE),
        ("device", device, "cpu"),
    ):
        if value != needed:
            raise ArgumentError(
                f"with engine='surrogate', `{name}` must be {needed}, of which the table of "
                f"curves is, but got {value}"
            )


def answer(design: Design, seed: int, epoch: int) -> Answer:
    """Return epoch `epoch` (from 1) of the run of a design with a seed.

    The same run always has the same answers. It is a real run if the table has it.
    """
    curve = _curve(design, seed)
    return Answer(curve.averaged[epoch - 1], curve.raw[epoch - 1], curve.loss[epoch - 1])


def true_accuracy(design: Design) -> float:
    """Return a design's mean accuracy over seeds at the last epoch, as the surrogate has it."""
    return load_model().true_accuracy(cost(design, SHAPE, CLASSES), fingerprint(design, SHAPE))


@lru_cache(maxsize=4096)
def _curve(design: Design, seed: int) -> Curve:
    spent, print_ = cost(design, SHAPE, CLASSES), fingerprint(design, SHAPE)
    return load_model().curve(spent, print_, seed)
