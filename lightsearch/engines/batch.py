"""What an engine is told of each step of an epoch, before the first one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """One step: the training images by index (int64), the learning rate, the random streams.

    `towards` is how far the average of the weights moves to them after the step, from 0 to 1.
    """

    images: Tensor
    rate: float
    augment_stream: int
    dropout_stream: int
    towards: float
