"""Training: one epoch is a pure function.

`run_epoch(task, state, epoch)` returns the next state and the epoch's results. A task is one
frozen value, and a state is a flat dictionary of tensors. Every random number is a function of
the task's seed and its place in the training. So an epoch can run again, on any worker, with the
same result. To stop a trial, the caller does not run its next epoch. Nothing here prints or
prunes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightsearch.checks import check_integer, check_kind
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import fetch, tested_on
from lightsearch.design.parts import Design, Seq
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import (
    AVERAGE,
    MODEL,
    STEP,
    Engine,
    State,
    below,
)
from lightsearch.engines.names import EngineName, PrecisionName
from lightsearch.engines.selection import device_kind, engine_label, engine_of, start
from lightsearch.engines.teacher import Teacher, check_fit
from lightsearch.errors import ArgumentError
from lightsearch.layer_warnings import call_layer, silence_layers
from lightsearch.network.cost import cost
from lightsearch.network.lowering import has_own_layers
from lightsearch.surrogate.answers import answer, check_surrogate
from lightsearch.torch_modes import plain_modes, plain_thread
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.one_line import make_task
from lightsearch.training.run import Run
from lightsearch.training.task import Task, check_teacher

THREADS = 1  # of torch, since sums depend on the number of threads


def run_epoch(
    task: Task, state: State | None, epoch: int, *, raw: bool = False
) -> tuple[State, EpochResult]:
    """Train `task` for one epoch (from 1), and evaluate it on all test images.

    If `task.data` holds out training images, they take the place of the test images. `state` is
    the state after the epoch before, or None at epoch 1. It does not change. If PyTorch trains, it
    runs on one thread meanwhile, since sums depend on the number of threads. `raw`: also evaluate
    the weights that are not averaged, which else happens after the last epoch alone.

    Raises `ArgumentError` for an epoch that the task does not have or that does not fit the
    state, and `DesignError` for a design that does not fit the images or their classes.
    """
    check_kind("task", task, Task, "a Task, as `rebuild` makes")
    check_teacher(task)
    epoch = check_integer("epoch", epoch, 1, task.epochs)
    if (state is None) != (epoch == 1):
        raise ArgumentError(
            f"`state` must be None at epoch 1 and only there, but got epoch={epoch}"
        )
    with plain_thread():
        data = fetch(task.data)
        cost(task.design, data.shape, data.classes)  # refuses a wrong number of class scores
        if task.teacher is not None and epoch == 1:
            check_fit(task.teacher, data.shape, data.classes)
        engine = engine_of(task.engine, task.design, task.recipe, data.shape, task.device)
        if engine == "surrogate":
            return _answer_epoch(task, data, epoch)
        with plain_torch(engine, task.device):
            return _run_epoch(task, data, engine, state, epoch, raw)


@contextlib.contextmanager
def plain_torch(engine: str, device: str) -> Iterator[None]:
    """Hold PyTorch to its own modes and to one thread if it trains; see `_one_thread`."""
    modes = plain_modes() if engine == "torch" else contextlib.nullcontext()
    with modes, _one_thread(engine, device):
        yield


def _answer_epoch(task: Task, data: DataSet, epoch: int) -> tuple[State, EpochResult]:
    """Return an epoch of the surrogate. Its state has no weights."""
    begin = time.perf_counter()
    images, total = len(data.train[1]), len(data.test[1])
    check_surrogate(data.name, data.shape, total, task.epochs, task.recipe, task.device)
    said = answer(task.design, task.seed, epoch)
    result = EpochResult(
        epoch,
        said.train_loss,
        0,
        images,
        said.correct,
        said.raw_correct,
        total,
        task.recipe.lr,
        time.perf_counter() - begin,
        engine_label("surrogate"),
        device_kind=device_kind(task.device),
        threads=THREADS,
    )
    return {STEP: torch.tensor(epoch)}, result


@contextlib.contextmanager
def _one_thread(engine: str, device: str) -> Iterator[None]:
    """Hold PyTorch to one thread if it trains on the processor.

    The number of threads belongs to the process. Epochs of the native engine, and those on a GPU,
    run in threads beside others and do not change it, since nothing that they ask of PyTorch on
    the processor depends on it.
    """
    if engine != "torch" or device != "cpu":
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def silence_epochs(task: Task) -> Iterator[None]:
    """Print no warning of an epoch with layers of the user's own: theirs cannot be told apart."""
    own = call_layer() if has_own_layers(task.design) else contextlib.nullcontext()
    with silence_layers(), own:
        yield


def run_epochs(
    task: Task, state: State | None, first: int, last: int
) -> tuple[State, EpochResult]:
    """Run epochs `first` to `last`, of a search. Return what `run_epoch` returns for the last one.

    What layers of the user's own warn of is not printed.
    """
    with silence_epochs(task):
        for epoch in range(first, last + 1):
            state, result = run_epoch(task, state, epoch)
    if state is None:
        raise ArgumentError(f"`first` must not be after `last`, but got {first} and {last}")
    return state, result


def train(
    task: Task | Design | str,
    *,
    dataset: str | Path | DataSet | None = None,
    data: str | Path | None = None,
    recipe: Recipe | str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    engine: EngineName | None = None,
    precision: PrecisionName | None = None,
    teacher: Teacher | nn.Module | None = None,
    raw: bool = False,
) -> Iterator[EpochResult]:
    """Train a design from its first epoch to its last. Yield the result of each epoch.

        for epoch in train("conv(8) maxpool separable(16) gap linear(10)", dataset="digits"):
            print(epoch.epoch, epoch.accuracy)

    `task` is a design, as a value or in notation, with `dataset`, `data`, `recipe`, `epochs`,
    `seed`, `device`, `engine` and `precision` as `search` has them, and with its defaults. Or it
    is a `Task`, such as `rebuild` makes, which has all of these itself.

    `teacher`: a trained network that a design learns from, as `find_teacher` makes of a
    row, a study or a file, or any module (`make_teacher` has its rules). How it learns, `recipe`
    says by `distill` and `temperature`; by default it is the default recipe with `distill=0.5`.

    `raw`: also evaluate the weights that are not averaged after each epoch, not the last alone.
    """
    how: dict[str, Any] = {
        name: value
        for name, value in {
            "dataset": dataset,
            "data": data,
            "recipe": recipe,
            "epochs": epochs,
            "seed": seed,
            "device": device,
            "engine": engine,
            "precision": precision,
            "teacher": teacher,
        }.items()
        if value is not None
    }
    if isinstance(task, Seq | str):
        return _train(make_task(task, **how), raw)
    check_kind("task", task, Task, "a design, its notation, or a Task, as `rebuild` makes")
    if how:
        raise ArgumentError(
            f"`{next(iter(how))}` must be given with a design, not with a Task, which has its own"
        )
    return _train(task, raw)


def _train(task: Task, raw: bool) -> Iterator[EpochResult]:
    state: State | None = None
    for epoch in range(1, task.epochs + 1):
        state, result = run_epoch(task, state, epoch, raw=raw)
        yield result


def _run_epoch(
    task: Task, data: DataSet, name: str, state: State | None, epoch: int, raw: bool
) -> tuple[State, EpochResult]:
    begin = time.perf_counter()
    recipe = task.recipe.in_epoch(epoch, task.epochs)
    run = Run(task, data, _start(name, task, data, recipe))
    if state is None:
        run.engine.begin()
    else:
        run.load(state, epoch)
    loss, correct = run.train(epoch)
    averages = bool(task.recipe.ema)
    averaged = run.engine.evaluate(averaged=averages)
    unaveraged: int | None = averaged
    if averages:  # a twentieth of an epoch's time
        needed = raw or epoch == task.epochs
        unaveraged = run.engine.evaluate(averaged=False) if needed else None
    state = run.state()
    tested = _evaluate_other(task, name, state) if epoch == task.epochs else (None, None)
    label = engine_label(name, task.precision, task.device, recipe)
    result = EpochResult(
        epoch,
        loss,
        correct,
        len(data.train[1]),
        averaged,
        unaveraged,
        len(data.test[1]),
        run.rate,
        time.perf_counter() - begin,
        label,
        *tested,
        device_kind(task.device),
        THREADS,
    )
    return state, result


def _evaluate_other(task: Task, name: str, state: State) -> tuple[int | None, int | None]:
    """Return how many images of `task.tested_on` are right, of how many; None without it."""
    if task.tested_on is None:
        return None, None
    data = tested_on(task.data, task.tested_on)
    engine = _start(name, task, data, task.recipe)
    engine.load(state)
    return engine.evaluate(averaged=True), len(data.test[1])


def _start(name: str, task: Task, data: DataSet, recipe: Recipe) -> Engine:
    return start(
        name, task.design, recipe, data, task.seed, task.device, task.precision, task.teacher
    )


def take_evaluated(state: State) -> State:
    """Return the weights of a state that `run_epoch` evaluated: the averaged ones, if any."""
    return below(state, AVERAGE) or below(state, MODEL)
