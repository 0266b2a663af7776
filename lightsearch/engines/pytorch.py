"""The PyTorch engine: designs as modules, run eagerly. It is the reference for the native one.

Images stay one uint8 tensor on the device, without a DataLoader. Tensors are channels-last, the
optimizers are the `foreach` ones, and evaluation takes large batches. On a GPU the engine is the
subclass `cuda_graph.Captured`, whose step is a function of tensors alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightsearch.data.dataset import DataSet, Split
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import Streams, augment
from lightsearch.engines.engine import (
    AVERAGE,
    MODEL,
    Batch,
    State,
    below,
    counts_steps,
    memories,
    optimizer_key,
    under,
)
from lightsearch.engines.initial_weights import initialise, seeded_module
from lightsearch.engines.optimizers import make_optimizer
from lightsearch.engines.stopping import current_flag
from lightsearch.randomness import keep, key, round_rate


class Eager:
    """Trains one design with PyTorch; see `lightsearch.engines.engine.Engine`.

    `precision` is that of training steps. With "bf16", PyTorch's autocast chooses what is computed
    in bfloat16. Weights, loss, optimizer and evaluation are float32 in any case.
    """

    evaluation_batch = 500  # small enough for the cache, large enough to hide the calls
    layout = torch.channels_last  # of images in memory

    def __init__(
        self,
        design: Design,
        recipe: Recipe,
        data: DataSet,
        seed: int,
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.design, self.recipe, self.data, self.seed = design, recipe, data, seed
        self.device, self.precision = torch.device(device), precision
        self.flag = current_flag()
        self.model = self._module()
        self.average = self._module() if recipe.ema else None
        self.following = _pairs(self.average, self.model) if self.average is not None else None
        self.parameters = list(self.model.parameters())
        self.dropouts = _dropouts(self.model)
        self.optimizer = self._optimizer()
        self.mean, self.std = (v.to(self.device)[:, None, None] for v in data.mean_std)
        self.loss = torch.zeros((), dtype=torch.float64, device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)

    def _optimizer(self) -> torch.optim.Optimizer:
        return make_optimizer(self.recipe, self.parameters, foreach=True)

    def _module(self) -> nn.Module:
        module = seeded_module(self.design, self.data.shape, self.seed)
        _key_dropouts(module)
        return module.to(self.device).to(memory_format=self.layout)

    # State -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set the initial weights."""
        initialise(self.model, self.seed)
        if self.average is not None:
            self.average.load_state_dict(self.model.state_dict())

    def state(self) -> State:
        """Return a copy of the weights, their average and the optimizer's memory."""
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self._tensors().items()
        }

    def _tensors(self) -> State:
        found = under(MODEL, self.model.state_dict())
        if self.average is not None:
            found |= under(AVERAGE, self.average.state_dict())
        return found | self._remembered()

    def _remembered(self) -> State:
        """What the optimizer remembers."""
        return {
            optimizer_key(index, name): value
            for index, parameter in enumerate(self.parameters)
            for name, value in self.optimizer.state[parameter].items()
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor in a state after a step, by name."""
        found = {name: tuple(tensor.shape) for name, tensor in self._tensors().items()}
        for index, parameter in enumerate(self.parameters):
            found |= {
                optimizer_key(index, name): tuple(parameter.shape)
                for name in memories(self.recipe)
            }
            if counts_steps(self.recipe):
                found[optimizer_key(index, "step")] = ()
        return found

    def load(self, state: State) -> None:
        """Go on from a state of this engine or the other."""
        self.model.load_state_dict(below(state, MODEL))
        if self.average is not None:
            self.average.load_state_dict(below(state, AVERAGE))
        self._remember(state)

    def _remember(self, state: State) -> None:
        for index, parameter in enumerate(self.parameters):
            for name, value in below(state, optimizer_key(index)).items():
                self._recall(parameter, name, value)

    def _recall(self, parameter: nn.Parameter, name: str, value: Tensor) -> None:
        like = parameter if value.shape == parameter.shape else value
        moved = torch.empty_like(like, dtype=value.dtype).copy_(value)
        self.optimizer.state[parameter][name] = moved

    # Work ------------------------------------------------------------------------------------

    def train(self, batches: Sequence[Batch]) -> None:
        """Take the steps of an epoch, one after the other."""
        for batch in batches:
            self.flag.check()
            self.learn(batch.images, batch.rate, batch.augment_stream, batch.dropout_stream)
            self.follow(batch.towards)

    def learn(self, batch: Tensor, rate: float, augment_stream: int, dropout_stream: int) -> None:
        """Take a step of the optimizer on a batch of training images, given by index."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        keys = (key(dropout_stream, index) for index in range(len(self.dropouts)))
        self._gradients(batch, augment_stream, keys)
        self._move()

    def _move(self) -> None:
        self.optimizer.step()

    def _gradients(
        self, batch: Tensor, augment_stream: Streams, dropout_keys: Iterable[int | Tensor]
    ) -> None:
        """Compute the gradients of a batch, and add its loss and correct images to the totals."""
        images, labels = _on_device(self.data, "train", self.device)
        self.model.train()
        for dropout, each in zip(self.dropouts, dropout_keys, strict=True):
            dropout.key = each
        pixels = self._pixels(images, batch, augment_stream)
        with self._autocast():
            scores = self.model(pixels)
        self.optimizer.zero_grad(set_to_none=True)
        self._descend(scores.to(torch.float32), labels, batch)

    def _descend(self, scores: Tensor, labels: Tensor, batch: Tensor) -> None:
        """Fill the gradients by the scores of a batch, and count its loss and hits."""
        loss = self._loss(scores, labels[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        self.loss += loss.detach().double() * len(batch)
        self.correct += (scores.detach().argmax(1) == labels[batch]).sum()

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(scores, labels, label_smoothing=self.recipe.smoothing)

    def _pixels(self, images: Tensor, batch: Tensor, streams: Streams) -> Tensor:
        """What the network sees of the images of a batch."""
        pixels = images[batch].to(torch.float32).div_(255)
        return self._normalise(augment(pixels, self.recipe, streams, self.mean))

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        if self.precision != "bf16":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _normalise(self, pixels: Tensor) -> Tensor:
        return ((pixels - self.mean) / self.std).contiguous(memory_format=self.layout)

    @torch.no_grad()
    def follow(self, weight: float) -> None:
        """Move the average a step towards the weights and batch norm's statistics."""
        if self.following is None:
            return
        torch._foreach_lerp_(*self.following[0], weight)
        for average, model in zip(*self.following[1], strict=True):
            average.copy_(model)

    def totals(self) -> tuple[float, int]:
        """Return the summed loss and the number of correct images of the steps so far."""
        return float(self.loss), int(self.correct)

    @torch.no_grad()
    def evaluate(self, averaged: bool) -> int:
        """Return the number of correct test images, with the averaged or the raw weights."""
        module = self.average if averaged and self.average is not None else self.model
        images, labels = _on_device(self.data, "test", self.device)
        module.eval()
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for pixels, truth in zip(
            torch.split(images, self.evaluation_batch),
            torch.split(labels, self.evaluation_batch),
            strict=True,
        ):
            self.flag.check()
            scores = module(self._normalise(pixels.to(torch.float32).div_(255)))
            correct += (scores.argmax(1) == truth).sum()
        return int(correct)


_Pairs: TypeAlias = tuple[list[Tensor], list[Tensor]]


def _pairs(average: nn.Module, model: nn.Module) -> tuple[_Pairs, _Pairs]:
    """Pair the tensors of both modules: first those to average, then the counters to copy."""
    averages, values = average.state_dict(), model.state_dict()
    names = (
        [k for k, v in averages.items() if v.is_floating_point()],
        [k for k, v in averages.items() if not v.is_floating_point()],
    )
    floats, counters = (([averages[k] for k in ks], [values[k] for k in ks]) for ks in names)
    return floats, counters


_CACHE: dict[tuple[str, str, str], Split] = {}


def _on_device(data: DataSet, part: str, device: torch.device) -> Split:
    """Return images and labels on the device. They stay there, as a cache for the next epoch."""
    images, labels = data.train if part == "train" else data.test
    if device.type == "cpu":
        return images, labels
    entry = (data.checksum, part, str(device))
    if entry not in _CACHE:
        _CACHE[entry] = (images.to(device), labels.to(device))
    return _CACHE[entry]


class KeyedDropout(nn.Module):
    """Dropout whose mask is a function of its key, drawn by image, height, width and channel."""

    def __init__(self, rate: float, channels: bool) -> None:
        super().__init__()
        self.rate, self.channels = rate, channels
        self.key: int | Tensor = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        count, channels, *places = x.shape  # a user's own layer may have no places
        if self.channels:
            places = [1] * len(places)
        mask = keep(self.key, self.rate, count * math.prod(places) * channels, x.device)
        mask = mask.view(count, *places, channels).movedim(-1, 1)
        return x * mask * (1 / (1 - round_rate(self.rate)))


def _key_dropouts(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout | nn.Dropout2d):
                setattr(parent, name, KeyedDropout(child.p, isinstance(child, nn.Dropout2d)))


def _dropouts(module: nn.Module) -> list[KeyedDropout]:
    return [m for m in module.modules() if isinstance(m, KeyedDropout)]


def set_dropout_keys(module: nn.Module, stream: int) -> None:
    """Give the keyed dropouts of `module` the streams of one step."""
    for index, dropout in enumerate(_dropouts(module)):
        dropout.key = key(stream, index)
