"""The steps of one epoch on an engine: the order of the images, learning rates, random streams."""

from __future__ import annotations

import torch
from torch import Tensor

from lightsearch.data.dataset import DataSet
from lightsearch.design.own_steps import find_step
from lightsearch.engines.engine import OPTIMIZER, PLATEAU, STEP, Batch, Engine, State
from lightsearch.errors import ArgumentError
from lightsearch.randomness import indexed_keys, key, permutation
from lightsearch.training.schedule import Plateau, decay, learning_rate
from lightsearch.training.task import Task


class Run:
    """One epoch on an engine. `load` takes the state before it, `state` returns the one after."""

    def __init__(self, task: Task, data: DataSet, engine: Engine) -> None:
        self.task, self.data, self.engine = task, data, engine
        self.plateau = Plateau()
        self.step = 0
        self.rate = 0.0

    def load(self, state: State, epoch: int) -> None:
        if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
            raise ArgumentError(
                f"`state` must be what epoch {epoch - 1} of this task gave, but "
                f"got a {type(state).__name__}"
            )
        expected = self.engine.shapes() | {PLATEAU: (3,), STEP: ()}
        own = find_step("optimizer", self.task.recipe.optimizer) is not None
        actual = {
            name: tuple(tensor.shape)
            for name, tensor in state.items()
            if not (own and name.startswith(OPTIMIZER))  # only the user's optimizer knows
        }
        wrong = sorted(
            name
            for name in expected.keys() | actual.keys()
            if expected.get(name) != actual.get(name)
        )
        if wrong:
            name = wrong[0]
            raise ArgumentError(
                f"`state` must be what epoch {epoch - 1} of this task gave, but: {name} has the "
                f"shape {actual.get(name, 'of nothing')}, not {expected.get(name, 'of nothing')}"
            )
        self.engine.load(state)
        factor, best, bad_epochs = state[PLATEAU].tolist()
        self.plateau = Plateau(factor, best, int(bad_epochs))
        self.step = int(state[STEP])

    def state(self) -> State:
        plateau = (self.plateau.factor, self.plateau.best, self.plateau.bad_epochs)
        return self.engine.state() | {
            PLATEAU: torch.tensor(plateau, dtype=torch.float64),
            STEP: torch.tensor(self.step),
        }

    def train(self, epoch: int) -> tuple[float, int]:
        """Train one epoch. Return the mean training loss and the number of right images."""
        task, recipe, count = self.task, self.task.recipe, len(self.data.train[1])
        batches = _split_batches(
            permutation(key(task.seed, "shuffle", epoch), count), recipe.batch_size
        )
        steps = len(batches) * task.epochs
        if self.step != len(batches) * (epoch - 1):
            raise ArgumentError(
                f"`state` must be what epoch {epoch - 1} of this task gave, with "
                f"{len(batches) * (epoch - 1)} steps done, but got {self.step}"
            )
        augment, dropout = (
            indexed_keys(len(batches), task.seed, purpose, epoch)
            for purpose in ("augment", "dropout")
        )
        training_steps = []
        for index, images in enumerate(batches):
            self.rate = learning_rate(recipe, self.step, steps, task.epochs, self.plateau)
            training_steps.append(
                Batch(
                    images, self.rate, augment[index], dropout[index], 1 - decay(recipe, self.step)
                )
            )
            self.step += 1
        self.engine.train(training_steps)
        loss, correct = self.engine.totals()
        self.plateau = self.plateau.after(loss / count, recipe)
        return loss / count, correct


def _split_batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Split into batches of `size`. A single last image joins the batch before it.

    Batch norm needs at least two images.
    """
    batches = torch.split(order, size)
    if len(batches) > 1 and len(batches[-1]) == 1:
        return (*batches[:-2], torch.cat(batches[-2:]))
    return batches


def train_epoch(task: Task, data: DataSet, engine: Engine) -> None:
    """Train a first epoch on an engine that is at its beginning, for timing."""
    Run(task, data, engine).train(1)
