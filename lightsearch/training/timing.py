"""How long an epoch takes here, from a few steps."""

from __future__ import annotations

import time

from lightsearch.data.dataset import DataSet
from lightsearch.data.references import fetch
from lightsearch.engines.engine import Engine
from lightsearch.engines.selection import engine_of, start
from lightsearch.torch_modes import plain_thread
from lightsearch.training.epoch import plain_torch, silence_epochs
from lightsearch.training.run import train_epoch
from lightsearch.training.task import Task

IMAGES = 768  # whose steps are timed: large batches take as long as small ones


def seconds_per_epoch(task: Task) -> float:
    """Estimate the seconds that an epoch of `task` takes here, by timing a few steps."""
    data = fetch(task.data)
    few = take_few(data, task.recipe.batch_size, max(1, IMAGES // task.recipe.batch_size))
    with silence_epochs(task), plain_thread():
        name = engine_of(task.engine, task.design, task.recipe, data.shape, task.device)
        with plain_torch(name, task.device):
            engine = start(
                name,
                task.design,
                task.recipe,
                few,
                task.seed,
                task.device,
                task.precision,
                task.teacher,
            )
            return time_engine(engine, task, few, data)


def take_few(data: DataSet, batch_size: int, steps: int) -> DataSet:
    """Return as many training images as `steps` take, and at most 500 test images."""
    return DataSet(
        data.name,
        (data.train[0][: batch_size * steps], data.train[1][: batch_size * steps]),
        (data.test[0][:500], data.test[1][:500]),
        data.classes,
    )


def time_engine(engine: Engine, task: Task, few: DataSet, data: DataSet) -> float:
    """Return the seconds of an epoch on `data`, from one on the `few` images of an engine."""
    engine.begin()
    if task.device != "cpu":
        train_epoch(task, few, engine)  # captures the step
        engine.begin()
        engine.evaluate(averaged=False)  # the second time captures it
    engine.evaluate(averaged=False)  # the first calls are slower
    begin = time.perf_counter()
    train_epoch(task, few, engine)
    trained = time.perf_counter()
    engine.evaluate(averaged=False)
    tested = time.perf_counter()
    # The raw weights are evaluated once, after the last epoch.
    evaluations = 1 + (1 / task.epochs if task.recipe.ema else 0)
    training = (trained - begin) * len(data.train[1]) / len(few.train[1])
    return training + (tested - trained) * evaluations * len(data.test[1]) / len(few.test[1])
