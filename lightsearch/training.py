"""Training: one epoch is a pure function.

`run_epoch(task, state, epoch)` gives the next state and what the epoch showed. A task is one
frozen value, a state a flat dictionary of tensors, and every random number is a function of the
task's seed and the place it is used at. So any epoch can be run again, anywhere, with the same
result, and a trial is stopped by not asking for its next epoch. Nothing here prints or prunes.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightsearch.checks import integer, kind
from lightsearch.cost import cost
from lightsearch.data import DataRef, DataSet, fetch, tested_on
from lightsearch.design.parts import Design, Seq, is_decided
from lightsearch.engines import (
    ENGINES,
    Batch,
    Engine,
    device_kind,
    engine_label,
    engine_of,
    start,
)
from lightsearch.engines.states import State, below
from lightsearch.errors import ArgumentError
from lightsearch.randomness import key, permutation
from lightsearch.recipe import Recipe
from lightsearch.schedule import Plateau, decay, learning_rate

__all__ = ["EpochResult", "State", "Task", "evaluated", "run_epoch", "run_epochs",
           "seconds_per_epoch", "train"]


THREADS = 1  # of torch: sums depend on their number
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


def run_epoch(task: Task, state: State | None, epoch: int) -> tuple[State, EpochResult]:
    """Train `task` for one more epoch (from 1) and evaluate it on all test images, or on those
    held out of its training images where `task.data` says so.

    `state` is what the epoch before gave, and None before the first; it is not changed. Torch is
    held to one thread meanwhile, since sums depend on their number.

    Raises `ArgumentError` for an epoch that the task does not have or the state does not fit, and
    `DesignError` for a design that does not fit the images or their classes.
    """
    kind("task", task, Task, "a Task, as `rebuild` makes")
    integer("epoch", epoch, 1, task.epochs)
    if (state is None) != (epoch == 1):
        raise ArgumentError(f"`state` must be None at epoch 1 and only there, "
                            f"but got epoch={epoch}")
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return _run_epoch(task, state, epoch)
    finally:
        torch.set_num_threads(threads)


def run_epochs(task: Task, state: State | None, first: int,
               last: int) -> tuple[State, EpochResult]:
    """Several epochs on end, from `first` to `last`, as `run_epoch`; what the last one gave."""
    for epoch in range(first, last + 1):
        state, result = run_epoch(task, state, epoch)
    if state is None:
        raise ArgumentError(f"`first` must not be after `last`, but got {first} and {last}")
    return state, result


def train(task: Task) -> Iterator[EpochResult]:
    """Train a task from its first epoch to its last: one result an epoch."""
    kind("task", task, Task, "a Task, as `rebuild` makes")
    state: State | None = None
    for epoch in range(1, task.epochs + 1):
        state, result = run_epoch(task, state, epoch)
        yield result


def _run_epoch(task: Task, state: State | None, epoch: int) -> tuple[State, EpochResult]:
    begin = time.perf_counter()
    data = fetch(task.data)
    cost(task.design, data.shape, data.classes)  # refuses a wrong number of class scores
    name = engine_of(task.engine, task.design, data.shape, task.device)
    run = _Run(task, data, _started(name, task, data))
    if state is None:
        run.engine.begin()
    else:
        run.load(state, epoch)
    loss, correct = run.train(epoch)
    raw = run.engine.evaluate(averaged=False)
    averaged = run.engine.evaluate(averaged=True) if task.recipe.ema else raw
    state = run.state()
    tested = _tested(task, name, state) if epoch == task.epochs else (None, None)
    result = EpochResult(epoch, loss, correct, len(data.train[1]), averaged, raw,
                         len(data.test[1]), run.rate, time.perf_counter() - begin,
                         engine_label(name, task.precision), *tested, device_kind(task.device),
                         THREADS)
    return state, result


def _tested(task: Task, name: str, state: State) -> tuple[int | None, int | None]:
    """Right images, and images, of `task.tested_on`, by the last epoch's weights."""
    if task.tested_on is None:
        return None, None
    data = tested_on(task.data, task.tested_on)
    engine = _started(name, task, data)
    engine.load(state)
    return engine.evaluate(averaged=True), len(data.test[1])


def _started(name: str, task: Task, data: DataSet) -> Engine:
    return start(name, task.design, task.recipe, data, task.seed, task.device, task.precision)


class _Run:
    """One epoch on an engine: made from a state, turned into a state, then dropped."""

    def __init__(self, task: Task, data: DataSet, engine: Engine) -> None:
        self.task, self.data, self.engine = task, data, engine
        self.plateau = Plateau()
        self.step = 0
        self.rate = 0.0

    def load(self, state: State, epoch: int) -> None:
        if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
            raise ArgumentError(f"`state` must be what epoch {epoch - 1} of this task gave, but "
                                f"got a {type(state).__name__}")
        wanted = self.engine.shapes() | {"run.plateau": (3,), "run.step": ()}
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        wrong = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        if wrong:
            one = wrong[0]
            raise ArgumentError(
                f"`state` must be what epoch {epoch - 1} of this task gave, but: {one} has the "
                f"shape {found.get(one, 'of nothing')}, not {wanted.get(one, 'of nothing')}")
        self.engine.load(state)
        factor, best, bad = state["run.plateau"].tolist()
        self.plateau = Plateau(factor, best, int(bad))
        self.step = int(state["run.step"])

    def state(self) -> State:
        memory = (self.plateau.factor, self.plateau.best, self.plateau.bad)
        return self.engine.state() | {
            "run.plateau": torch.tensor(memory, dtype=torch.float64),
            "run.step": torch.tensor(self.step)}

    def train(self, epoch: int) -> tuple[float, int]:
        """Mean training loss and number of correct training images, over the epoch."""
        task, recipe, count = self.task, self.task.recipe, len(self.data.train[1])
        batches = _batches(permutation(key(task.seed, "shuffle", epoch), count),
                           recipe.batch_size)
        steps = len(batches) * task.epochs
        if self.step != len(batches) * (epoch - 1):
            raise ArgumentError(f"`state` must be what epoch {epoch - 1} of this task gave, with "
                                f"{len(batches) * (epoch - 1)} steps done, but got {self.step}")
        told = []
        for index, images in enumerate(batches):
            self.rate = learning_rate(recipe, self.step, steps, task.epochs, self.plateau)
            told.append(Batch(images, self.rate, key(task.seed, "augment", epoch, index),
                              key(task.seed, "dropout", epoch, index),
                              1 - decay(recipe, self.step)))
            self.step += 1
        self.engine.train(told)
        loss, correct = self.engine.told()
        self.plateau = self.plateau.after(loss / count, recipe)
        return loss / count, correct


def _batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Batches of `size`; a last image alone joins the batch before (batch norm needs two)."""
    batches = torch.split(order, size)
    if len(batches) > 1 and len(batches[-1]) == 1:
        return (*batches[:-2], torch.cat(batches[-2:]))
    return batches


def evaluated(state: State) -> State:
    """The weights of a state that were evaluated: averaged, where the recipe averages."""
    return below(state, "average.") or below(state, "model.")


def seconds_per_epoch(task: Task, steps: int = 6) -> float:
    """About how long an epoch of `task` takes here: a few training and evaluation steps, timed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        data = fetch(task.data)
        images, tests = len(data.train[1]), len(data.test[1])
        size = task.recipe.batch_size
        few = DataSet(data.name, (data.train[0][:size * steps], data.train[1][:size * steps]),
                      (data.test[0][:500], data.test[1][:500]), data.classes)
        name = engine_of(task.engine, task.design, data.shape, task.device)
        engine = _started(name, task, few)
        engine.begin()
        if task.device != "cpu":
            _Run(task, few, engine).train(1)  # captures the step
            engine.begin()
        engine.evaluate(averaged=False)  # the first calls are slower
        begin = time.perf_counter()
        _Run(task, few, engine).train(1)
        trained = time.perf_counter()
        engine.evaluate(averaged=False)
        tested = time.perf_counter()
    finally:
        torch.set_num_threads(threads)
    evaluations = 2 if task.recipe.ema else 1
    return ((trained - begin) * images / len(few.train[1])
            + (tested - trained) * evaluations * tests / len(few.test[1]))
