"""The PyTorch engine with steps of a recipe that are a user's own, and with a teacher.

Optimizer, loss and augmentation may be the user's. Each runs eagerly, on a GPU too. What it draws
follows from the step's stream: its generator, and torch's own meanwhile, get a seed before each
call. So an epoch repeats bit for bit from its state.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lightsearch.data.dataset import DataSet
from lightsearch.design.own_steps import find_step
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import Streams, augment
from lightsearch.engines.cuda_stream import use_stream
from lightsearch.engines.engine import (
    AVERAGE,
    MODEL,
    OPTIMIZER,
    Batch,
    State,
    below,
    optimizer_key,
    under,
)
from lightsearch.engines.pytorch import Eager
from lightsearch.engines.teacher import Teacher, soft_loss
from lightsearch.errors import ArgumentError, quote
from lightsearch.randomness import key

GROUPS = f"{OPTIMIZER}group"  # the prefix of what an optimizer's groups hold
NUMBER = "#"  # ends the name of a number, which is kept as a tensor
SET_HERE = ("params", "lr")


def is_extended(recipe: Recipe) -> bool:
    """Whether the recipe needs the engine of this file."""
    return bool(recipe.own_steps() or recipe.distill)


class Extended(Eager):
    """Trains by a recipe with own steps; see `lightsearch.engines.engine.Engine`.

    Raises `ArgumentError` for a function or a teacher that does not return what it must.
    """

    def __init__(
        self,
        design: Design,
        recipe: Recipe,
        data: DataSet,
        seed: int,
        device: str = "cpu",
        precision: str = "float32",
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__(design, recipe, data, seed, device, precision)
        assert (teacher is None) == (recipe.distill == 0)
        self.teacher = None if teacher is None else copy.deepcopy(teacher.module).to(self.device)
        self.pixels: Tensor | None = None  # of the batch

    def _call(self, field: str, stream: int, *given: Any) -> Any:
        """Call the step of a field with a seeded generator."""
        name = getattr(self.recipe, field)
        step = find_step(field, name)
        assert step is not None, name
        with self._seeded(key(stream, "own", field)) as generator:
            return step.function(*given, self.recipe, generator)

    @contextlib.contextmanager
    def _seeded(self, seed: int) -> Iterator[torch.Generator]:
        own, given = (key(seed, name) % 2**63 for name in ("torch", "given"))  # unlike streams
        devices = [] if self.device.type == "cpu" else [self.device]
        with torch.random.fork_rng(devices):
            torch.default_generator.manual_seed(own)
            if devices:
                with torch.cuda.device(self.device):
                    torch.cuda.manual_seed(own)
            yield self._generator().manual_seed(given)

    def _generator(self) -> torch.Generator:
        if not hasattr(self, "generator"):  # the optimizer is made before all else
            self.generator = torch.Generator(self.device)
        return self.generator

    def _has(self, field: str) -> bool:
        return find_step(field, getattr(self.recipe, field)) is not None

    # Steps -----------------------------------------------------------------------------------

    def _optimizer(self) -> torch.optim.Optimizer:
        if not self._has("optimizer"):
            return super()._optimizer()
        made = self._call("optimizer", key(self.seed, "optimizer"), self.parameters)
        if not isinstance(made, torch.optim.Optimizer):
            raise ArgumentError(
                f"the optimizer {self.recipe.optimizer!r} must return a torch.optim.Optimizer, "
                f"but got {quote(made)}"
            )
        return made

    def learn(self, batch: Tensor, rate: float, augment_stream: int, dropout_stream: int) -> None:
        """Take a step of the optimizer on a batch of training images, given by index."""
        self.stream = augment_stream
        super().learn(batch, rate, augment_stream, dropout_stream)

    def _move(self) -> None:
        with self._seeded(key(self.stream, "own", "optimizer")):
            super()._move()

    def train(self, batches: Sequence[Batch]) -> None:
        """Take the steps of an epoch, one after the other."""
        with self._on_device(self.precision):
            super().train(batches)

    def evaluate(self, averaged: bool) -> int:
        """Return the number of correct test images, with the averaged or the raw weights."""
        with self._on_device("float32"):
            return super().evaluate(averaged)

    def _on_device(self, precision: str) -> contextlib.AbstractContextManager[None]:
        on_gpu = self.device.type == "cuda"
        return use_stream(torch.cuda.current_stream(self.device) if on_gpu else None, precision)

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        loss = self._hard_loss(scores, labels)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            answers = self.teacher(self.pixels)
        share = self.recipe.distill
        return (1 - share) * loss + share * soft_loss(scores, answers, self.recipe.temperature)

    def _hard_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        if not self._has("loss"):
            return super()._loss(scores, labels)
        loss = self._call("loss", self.stream, scores, labels)
        if not isinstance(loss, Tensor) or loss.shape != () or not loss.requires_grad:
            raise ArgumentError(
                f"the loss {self.recipe.loss!r} must return a tensor without dimensions that "
                f"depends on the scores, but got {_describe(loss)}"
            )
        return loss

    def _pixels(self, images: Tensor, batch: Tensor, streams: Streams) -> Tensor:
        self.pixels = self._changed(images, batch, streams)
        return self.pixels

    def _changed(self, images: Tensor, batch: Tensor, streams: Streams) -> Tensor:
        if not self._has("augmentation"):
            return super()._pixels(images, batch, streams)
        pixels = images[batch].to(torch.float32).div_(255)
        given = augment(pixels, self.recipe, streams, self.mean)
        made = self._call("augmentation", self.stream, given)
        if not isinstance(made, Tensor) or made.shape != given.shape or made.dtype != given.dtype:
            raise ArgumentError(
                f"the augmentation {self.recipe.augmentation!r} must return float32 images of the "
                f"shape {tuple(given.shape)}, but got {_describe(made)}"
            )
        return self._normalise(made)

    # State -----------------------------------------------------------------------------------

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor in a state after a step, by name.

        What an optimizer of the user's remembers is not among them.
        """
        if not self._has("optimizer"):
            return super().shapes()
        found = under(MODEL, self.model.state_dict())
        if self.average is not None:
            found |= under(AVERAGE, self.average.state_dict())
        return {name: tuple(tensor.shape) for name, tensor in found.items()}

    def _remembered(self) -> State:
        if not self._has("optimizer"):
            return super()._remembered()
        found: State = {}
        for index, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state[parameter].items():
                if value is not None:
                    found |= self._keep(optimizer_key(index, name), name, value)
        for number, group in enumerate(self.optimizer.param_groups):
            for name, value in group.items():
                if name not in SET_HERE and isinstance(value, Tensor | int | float):
                    found |= self._keep(f"{GROUPS}{number}.{name}", name, value)
        return found

    def _keep(self, place: str, name: str, value: Any) -> State:
        if isinstance(value, Tensor):
            return {place: value}
        if isinstance(value, int | float):
            return {place + NUMBER: torch.tensor(value, dtype=_KINDS[type(value)])}
        raise ArgumentError(
            f"what the optimizer {self.recipe.optimizer!r} remembers must be tensors and numbers, "
            f"so that it can be kept, but got {name}={quote(value)}"
        )

    def _remember(self, state: State) -> None:
        if not self._has("optimizer"):
            super()._remember(state)
            return
        for index, parameter in enumerate(self.parameters):
            for name, value in below(state, optimizer_key(index)).items():
                if name.endswith(NUMBER):
                    memory = self.optimizer.state[parameter]
                    memory[name.removesuffix(NUMBER)] = value.item()
                else:
                    self._recall(parameter, name, value)
        for number, group in enumerate(self.optimizer.param_groups):
            for name, value in below(state, f"{GROUPS}{number}.").items():
                is_number = name.endswith(NUMBER)
                group[name.removesuffix(NUMBER)] = (
                    value.item() if is_number else value.clone().to(self.device)
                )


_KINDS = {bool: torch.bool, int: torch.int64, float: torch.float64}


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return quote(value)
