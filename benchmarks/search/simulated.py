"""Slots that train nothing: they answer with a state of real size and a made-up learning curve.

What a search costs beside training is measured with them, in minutes instead of days. Accuracies
are a function of the design, the seed and the epoch, spread like those of the default space at
8,000 parameters on MNIST, so that pruning and TPE have something to do.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import torch

from lightsearch import Task
from lightsearch.engines.engine import State
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.timing import seconds_per_epoch

_WEIGHTS = {
    name: torch.zeros(8000)
    for name in ("model.weights", "average.weights", "optimizer.0.momentum_buffer")
}


def epoch_result(task: Task, epoch: int) -> EpochResult:
    """A curve that ends between 98.9 and 99.5%, with a wobble of 0.03 points."""
    digest = _digest(task)
    end = 0.989 + 0.006 * digest[0] / 255
    wobble = 0.0003 * math.sin(digest[1] + epoch * (1 + digest[2] / 64))
    correct = round(10_000 * (end - 0.02 * math.exp(-epoch / 2.5) + wobble))
    return EpochResult(epoch, 0.1, 59_000, 60_000, correct, correct, 10_000, 0.1, 8.0)


@functools.lru_cache(1024)  # each epoch of a trial asks
def _digest(task: Task) -> bytes:
    return hashlib.sha256(f"{task.design} {task.seed}".encode()).digest()


class SimulatedSlot:
    """Answers each call at once."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if function is seconds_per_epoch:
            future.set_result(8.0)
        else:
            task, _, _, epoch = args
            state: State = {name: tensor.clone() for name, tensor in _WEIGHTS.items()}
            future.set_result((state, epoch_result(task, epoch)))
        return future

    def kill(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is held."""
