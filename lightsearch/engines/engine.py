"""What the engines have in common: the interface, a step of an epoch, the names of a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Tensor

from lightsearch.design.recipe import Recipe

State: TypeAlias = dict[str, Tensor]


def below(state: State, prefix: str) -> State:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def memories(recipe: Recipe) -> tuple[str, ...]:
    """What the optimizer remembers of each parameter, in the parameter's shape."""
    if recipe.optimizer == "sgd":
        return ("momentum_buffer",) if recipe.momentum else ()
    return ("exp_avg", "exp_avg_sq")


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


class Engine(Protocol):
    """Trains one design for one epoch, from a state or from the beginning."""

    def begin(self) -> None:
        """Take the initial weights."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a state of this engine or the other."""

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights, their average and the optimizer's memory."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a state, by name, once a step was made."""

    def train(self, batches: Sequence[Batch]) -> None:
        """The steps of an epoch, one after the other."""

    def told(self) -> tuple[float, int]:
        """The summed loss and the number of correct images of the steps so far."""

    def evaluate(self, averaged: bool) -> int:
        """Number of correct test images, by the averaged weights or the raw ones."""
