"""What an epoch depends on, and what it showed, as values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lightsearch.checks import integer, kind
from lightsearch.data.references import DataRef
from lightsearch.design.parts import Design, Seq, is_decided
from lightsearch.design.recipe import Recipe
from lightsearch.engines.names import ENGINES
from lightsearch.errors import ArgumentError

_DEVICE = re.compile(r"cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class Task:
    """All that an epoch depends on: on one kind of machine, equal tasks train alike to the bit.

    `engine` is "native", "torch" or "auto", which is native where it can be; `precision`, of the
    training steps, is "float32", "bf16" (torch) or "tf32" (torch on CUDA): see
    `lightsearch.engines`. `tested_on` are other images whose test part is looked at once, after
    the last epoch.
    """

    design: Design
    recipe: Recipe
    data: DataRef
    epochs: int
    seed: int
    engine: str = "auto"
    device: str = "cpu"
    precision: str = "float32"
    tested_on: DataRef | None = None

    def __post_init__(self) -> None:
        kind("design", self.design, Seq, "a design (`parse` reads notation)")
        kind("recipe", self.recipe, Recipe, "a Recipe (`parse_recipe` reads notation)")
        for name, value in (("design", self.design), ("recipe", self.recipe)):
            if not is_decided(value):
                raise ArgumentError(f"`{name}` must have no choices left, but got {name}={value}")
        kind("data", self.data, DataRef, "a reference to a data set, as `rebuild` makes")
        integer("epochs", self.epochs, 1, 10_000)
        integer("seed", self.seed, -2**63, 2**63 - 1)
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise ArgumentError(f"`device` must be cpu or cuda, but got device={self.device!r}")
        if self.engine not in ENGINES:
            raise ArgumentError(f"`engine` must be one of {', '.join(ENGINES)}, "
                                f"but got engine={self.engine!r}")


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch showed. Epochs count from 1.

    `correct` of `total` test images, by the averaged weights where the recipe averages and by the
    raw ones otherwise; `raw_correct` always by the raw ones. Training loss and accuracy are those
    met on the way, in training mode, on augmented images. `learning_rate` is the last step's.
    `engine` is what trained: `torch`, with the precision behind it where that is not float32, or
    `native-` with its build; `device_kind` on what, with so many `threads`. `test_correct` of
    `test_total` are the images of the task's `tested_on`, at the last epoch, if it has any.
    """

    epoch: int
    train_loss: float
    train_correct: int
    train_total: int
    correct: int
    raw_correct: int
    total: int
    learning_rate: float
    seconds: float
    engine: str = "torch"
    test_correct: int | None = None
    test_total: int | None = None
    device_kind: str = ""
    threads: int = 1

    @property
    def test_accuracy(self) -> float | None:
        """Share of the right ones among the images of the task's `tested_on`, where looked at."""
        if self.test_correct is None or self.test_total is None:
            return None
        return self.test_correct / self.test_total

    @property
    def accuracy(self) -> float:
        """Share of the test images that were right, from 0 to 1."""
        return self.correct / self.total

    @property
    def diverged(self) -> bool:
        """Whether the training loss became infinite or not a number."""
        return not math.isfinite(self.train_loss)
