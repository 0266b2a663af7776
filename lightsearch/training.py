"""Training: one epoch is a pure function.

`run_epoch(task, state, epoch)` gives the next state and what the epoch showed. A task is one
frozen value, a state a flat dictionary of tensors, and every random number is a function of the
task's seed and the place it is used at. So any epoch can be run again, anywhere, with the same
result, and a trial is stopped by not asking for its next epoch. Nothing here prints or prunes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightsearch.augment import augment
from lightsearch.cost import cost
from lightsearch.data import DataRef, DataSet, Split, fetch
from lightsearch.design.parts import Design
from lightsearch.errors import ArgumentError
from lightsearch.modules import build
from lightsearch.randomness import keep, key, permutation, rounded, uniform
from lightsearch.recipe import Recipe
from lightsearch.schedule import Plateau, decay, learning_rate

State: TypeAlias = dict[str, Tensor]
EVALUATION_BATCH = 500  # small enough for the cache, large enough to hide the calls
_SEEDED = threading.Lock()


@dataclass(frozen=True, slots=True)
class Task:
    """All that an epoch depends on: on one kind of machine, equal tasks train alike to the bit."""

    design: Design
    recipe: Recipe
    data: DataRef
    epochs: int
    seed: int
    engine: str = "torch"
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch showed. Epochs count from 1.

    `correct` of `total` test images, by the averaged weights where the recipe averages and by the
    raw ones otherwise; `raw_correct` always by the raw ones. Training loss and accuracy are those
    met on the way, in training mode, on augmented images. `learning_rate` is the last step's.
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

    @property
    def accuracy(self) -> float:
        """Share of the test images that were right, from 0 to 1."""
        return self.correct / self.total

    @property
    def diverged(self) -> bool:
        """Whether the training loss became infinite or not a number."""
        return not math.isfinite(self.train_loss)


def run_epoch(task: Task, state: State | None, epoch: int) -> tuple[State, EpochResult]:
    """Train `task` for one more epoch (from 1) and evaluate it on all test images.

    `state` is what the epoch before gave, and None before the first; it is not changed. Torch is
    held to one thread meanwhile, since sums depend on their number.

    Raises `ArgumentError` for an epoch that the task does not have or the state does not fit, and
    `DesignError` for a design that does not fit the images or their classes.
    """
    if not 1 <= epoch <= task.epochs:
        raise ArgumentError(f"`epoch` must be from 1 to {task.epochs}, but got {epoch}")
    if (state is None) != (epoch == 1):
        raise ArgumentError(f"`state` must be None at epoch 1 and only there, "
                            f"but got epoch={epoch}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run_epoch(task, state, epoch)
    finally:
        torch.set_num_threads(threads)


def train(task: Task) -> Iterator[EpochResult]:
    """Train a task from its first epoch to its last: one result an epoch."""
    state: State | None = None
    for epoch in range(1, task.epochs + 1):
        state, result = run_epoch(task, state, epoch)
        yield result


def _run_epoch(task: Task, state: State | None, epoch: int) -> tuple[State, EpochResult]:
    start = time.perf_counter()
    if task.engine != "torch":
        raise ArgumentError(f"`engine` must be 'torch', but got engine={task.engine!r}")
    data = fetch(task.data)
    cost(task.design, data.shape, data.classes)  # refuses a wrong number of class scores
    run = _Run(task, data)
    if state is None:
        run.initialise()
    else:
        try:
            run.load(state)
        except (KeyError, RuntimeError) as error:
            raise ArgumentError(f"`state` must be what epoch {epoch - 1} of this task gave, "
                                f"but: {error}") from error
    loss, correct = run.train(epoch)
    raw = run.evaluate(run.model)
    averaged = run.evaluate(run.average) if run.average is not None else raw
    result = EpochResult(epoch, loss, correct, len(data.train[1]), averaged, raw,
                         len(data.test[1]), run.rate, time.perf_counter() - start)
    return run.state(), result


class _Run:
    """The objects of one epoch: made from a state, turned into a state, then dropped."""

    def __init__(self, task: Task, data: DataSet) -> None:
        self.task, self.data = task, data
        self.device = torch.device(task.device)
        self.model = self._module()
        self.average = self._module() if task.recipe.ema else None
        self.following = _pairs(self.average, self.model) if self.average is not None else None
        self.parameters = list(self.model.parameters())
        self.optimizer = _optimizer(task.recipe, self.parameters)
        self.plateau = Plateau()
        self.step = 0
        self.rate = 0.0

    def _module(self) -> nn.Module:
        with _SEEDED, torch.random.fork_rng(devices=[]):  # a lock: all threads share the generator
            torch.default_generator.manual_seed(self.task.seed % 2**63)  # for users' own layers
            module: nn.Module = build(self.task.design, self.data.shape)
        _key_dropouts(module)
        return module.to(self.device).to(memory_format=torch.channels_last)

    def initialise(self) -> None:
        initialise(self.model, self.task.seed)
        if self.average is not None:
            self.average.load_state_dict(self.model.state_dict())

    # State ---------------------------------------------------------------------------------

    def state(self) -> State:
        found = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.average is not None:
            found |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state[parameter].items():
                found[f"optimizer.{index}.{name}"] = value
        memory = (self.plateau.factor, self.plateau.best, self.plateau.bad)
        found["run.plateau"] = torch.tensor(memory, dtype=torch.float64)
        found["run.step"] = torch.tensor(self.step)
        return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, value in found.items()}

    def load(self, state: State) -> None:
        self.model.load_state_dict(_below(state, "model."))
        if self.average is not None:
            self.average.load_state_dict(_below(state, "average."))
        for index, parameter in enumerate(self.parameters):
            for name, value in _below(state, f"optimizer.{index}.").items():
                like = parameter if value.shape == parameter.shape else value
                moved = torch.empty_like(like, dtype=value.dtype).copy_(value)
                self.optimizer.state[parameter][name] = moved
        factor, best, bad = state["run.plateau"].tolist()
        self.plateau = Plateau(factor, best, int(bad))
        self.step = int(state["run.step"])

    # One epoch -----------------------------------------------------------------------------

    def train(self, epoch: int) -> tuple[float, int]:
        """Mean training loss and number of correct training images, over the epoch."""
        images, labels = _on_device(self.data, "train", self.device)
        recipe, task = self.task.recipe, self.task
        order = permutation(key(task.seed, "shuffle", epoch), len(labels), self.device)
        batches = _batches(order, recipe.batch_size)
        steps = len(batches) * task.epochs
        if self.step != len(batches) * (epoch - 1):
            raise ArgumentError(f"`state` must be what epoch {epoch - 1} of this task gave, with "
                                f"{len(batches) * (epoch - 1)} steps done, but got {self.step}")
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        self.model.train()
        for index, batch in enumerate(batches):
            self.rate = learning_rate(recipe, self.step, steps, task.epochs, self.plateau)
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate
            pixels = images[batch].to(torch.float32).div_(255)
            pixels = augment(pixels, recipe, key(task.seed, "augment", epoch, index))
            _set_dropout_keys(self.model, key(task.seed, "dropout", epoch, index))
            scores = self.model(self._normalised(pixels))
            loss = F.cross_entropy(scores, labels[batch], label_smoothing=recipe.smoothing)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self._follow()
            loss_sum += loss.detach().double() * len(batch)
            correct += (scores.detach().argmax(1) == labels[batch]).sum()
            self.step += 1
        mean = float(loss_sum) / len(labels)
        self.plateau = self.plateau.after(mean, recipe)
        return mean, int(correct)

    def _normalised(self, pixels: Tensor) -> Tensor:
        mean, std = (v.to(self.device)[:, None, None] for v in self.data.mean_std)
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average a step towards the weights and batch norm's statistics."""
        if self.following is None:
            return
        weight = 1 - decay(self.task.recipe, self.step)
        torch._foreach_lerp_(*self.following[0], weight)
        for mine, theirs in zip(*self.following[1], strict=True):
            mine.copy_(theirs)

    @torch.no_grad()
    def evaluate(self, module: nn.Module) -> int:
        """Number of correct test images."""
        images, labels = _on_device(self.data, "test", self.device)
        module.eval()
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for pixels, truth in zip(torch.split(images, EVALUATION_BATCH),
                                 torch.split(labels, EVALUATION_BATCH), strict=True):
            scores = module(self._normalised(pixels.to(torch.float32).div_(255)))
            correct += (scores.argmax(1) == truth).sum()
        return int(correct)


_Pairs: TypeAlias = tuple[list[Tensor], list[Tensor]]


def _pairs(average: nn.Module, model: nn.Module) -> tuple[_Pairs, _Pairs]:
    """The tensors of both modules side by side: those to average, and the counters to copy."""
    mine, theirs = average.state_dict(), model.state_dict()
    names = ([k for k, v in mine.items() if v.is_floating_point()],
             [k for k, v in mine.items() if not v.is_floating_point()])
    averaged, copied = (([mine[k] for k in ks], [theirs[k] for k in ks]) for ks in names)
    return averaged, copied


def _below(state: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Batches of `size`; a last image alone joins the batch before (batch norm needs two)."""
    batches = torch.split(order, size)
    if len(batches) > 1 and len(batches[-1]) == 1:
        return (*batches[:-2], torch.cat(batches[-2:]))
    return batches


_PLACED: dict[tuple[str, str, str], Split] = {}


def _on_device(data: DataSet, part: str, device: torch.device) -> Split:
    """Images and labels on the device; kept there for the next epoch (a cache only)."""
    images, labels = data.train if part == "train" else data.test
    if device.type == "cpu":
        return images, labels
    place = (data.checksum, part, str(device))
    if place not in _PLACED:
        _PLACED[place] = (images.to(device), labels.to(device))
    return _PLACED[place]


def _optimizer(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    shared: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay,
                              "foreach": True}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum,
                               nesterov=recipe.momentum > 0, **shared)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, **shared)


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """Draw the weights of convolutions and linear layers by their place: uniform, within
    1 / sqrt(fan-in), which is PyTorch's own default; batch norm starts as the identity."""
    weighted = (m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    for index, part in enumerate(weighted):
        bound = part.weight[0].numel() ** -0.5
        for name, tensor in (("weight", part.weight), ("bias", part.bias)):
            if tensor is not None:
                draw = uniform(key(seed, "initial", index, name), *tensor.shape,
                               device=tensor.device)
                tensor.copy_((2 * draw - 1) * bound)


class _KeyedDropout(nn.Module):
    """Dropout whose mask is a function of its key, image by image in (height, width, channel)."""

    def __init__(self, rate: float, channels: bool) -> None:
        super().__init__()
        self.rate, self.channels, self.key = rate, channels, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        count, channels, *places = x.shape  # inside a user's own layer, there may be no places
        if self.channels:
            places = [1] * len(places)
        mask = keep(self.key, self.rate, count * math.prod(places) * channels, x.device)
        mask = mask.view(count, *places, channels).movedim(-1, 1)
        return x * mask * (1 / (1 - rounded(self.rate)))


def _key_dropouts(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout | nn.Dropout2d):
                setattr(parent, name, _KeyedDropout(child.p, isinstance(child, nn.Dropout2d)))


def _set_dropout_keys(module: nn.Module, stream: int) -> None:
    dropouts = (m for m in module.modules() if isinstance(m, _KeyedDropout))
    for index, dropout in enumerate(dropouts):
        dropout.key = key(stream, index)


def evaluated(state: State) -> State:
    """The weights of a state that were evaluated: averaged, where the recipe averages."""
    return _below(state, "average.") or _below(state, "model.")


def seconds_per_epoch(task: Task, steps: int = 6) -> float:
    """About how long an epoch of `task` takes here: a few training and evaluation steps, timed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = fetch(task.data)
        images, tests = len(data.train[1]), len(data.test[1])
        size = task.recipe.batch_size
        few = DataSet(data.name, (data.train[0][:size * steps], data.train[1][:size * steps]),
                      (data.test[0][:EVALUATION_BATCH], data.test[1][:EVALUATION_BATCH]),
                      data.classes)
        run = _Run(task, few)
        run.initialise()
        run.evaluate(run.model)  # the first calls are slower
        start = time.perf_counter()
        run.train(1)
        trained = time.perf_counter()
        run.evaluate(run.model)
        tested = time.perf_counter()
    finally:
        torch.set_num_threads(threads)
    evaluations = 2 if task.recipe.ema else 1
    return ((trained - start) * images / len(few.train[1])
            + (tested - trained) * evaluations * tests / len(few.test[1]))
