"""The interface of the engines, a step of an epoch, the names in a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from lightsearch.design.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

State: TypeAlias = "dict[str, Tensor]"
# The names in a state: these prefixes before the names of the module's `state_dict`, the names of
# `optimizer_key`, and these two, which `run_epoch` adds.
MODEL, AVERAGE = "model.", "average."
OPTIMIZER = "optimizer."
STEP, PLATEAU = "run.step", "run.plateau"


def optimizer_key(index: int, name: str = "") -> str:
    """Return the name of what the optimizer remembers of a parameter; without `name`, a prefix."""
    return f"{OPTIMIZER}{index}.{name}"


def below(state: State, prefix: str) -> State:
    """Return the tensors whose names begin with `prefix`, under names without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def under(prefix: str, state: State) -> State:
    """Return the tensors with `prefix` before their names."""
    return {prefix + k: v for k, v in state.items()}


def memories(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of what the optimizer remembers of a parameter, in its shape."""
    if recipe.optimizer == "sgd":
        return ("momentum_buffer",) if recipe.momentum else ()
    return ("exp_avg", "exp_avg_sq")


def counts_steps(recipe: Recipe) -> bool:
    """Return whether the optimizer also keeps a tensor `step` with each parameter."""
    return recipe.optimizer != "sgd"


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """One step: the training images by index (int64), the learning rate, the random streams.

    After the step, the average moves towards the weights by `towards` of the way, from 0 to 1.
    """

    images: Tensor
    rate: float
    augment_stream: int
    dropout_stream: int
    towards: float


class Engine(Protocol):
    """Trains one design for one epoch, from a state or from the beginning."""

    def begin(self) -> None:
        """Set the initial weights."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of this engine or of the other one."""

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the weights, their average and the optimizer's memory."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor in a state after a step, by name."""

    def train(self, batches: Sequence[Batch]) -> None:
        """Take the steps of an epoch, one after the other."""

    def totals(self) -> tuple[float, int]:
        """Return the summed loss and the number of correct images of the steps so far."""

    def evaluate(self, averaged: bool) -> int:
        """Return the number of correct test images, with the averaged or the raw weights."""
