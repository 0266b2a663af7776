"""The results of an epoch, as a value. No torch: tables of results are read without it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochResult:
    """The results of one epoch. Epochs count from 1.

    - `correct` of `total`: test images that are right, by the averaged weights if the recipe
      averages, else by the raw ones. `raw_correct` is by the raw weights. Where the recipe
      averages it is None but for the last epoch, unless it was asked for.
    - `train_loss`, `train_correct` of `train_total`: measured during training, in training mode,
      on augmented images.
    - `learning_rate`: that of the last step.
    - `engine`: `torch`, followed by the precision if that is not float32, or `native-` and its
      build, or `surrogate`. It trained on a `device_kind`, with `threads` threads.
    - `test_correct` of `test_total`: on the task's `tested_on`, if any, after the last epoch.
    """

    epoch: int
    train_loss: float
    train_correct: int
    train_total: int
    correct: int
    raw_correct: int | None
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
        """Share of the images of the task's `tested_on` that are right; None before the end."""
        if self.test_correct is None or self.test_total is None:
            return None
        return self.test_correct / self.test_total

    @property
    def accuracy(self) -> float:
        """Share of the test images that are right, from 0 to 1."""
        return self.correct / self.total

    @property
    def diverged(self) -> bool:
        """Whether the training loss became infinite or not a number."""
        return not math.isfinite(self.train_loss)
