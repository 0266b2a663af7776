"""Training: one epoch is a pure function of a task and a state."""

from lightsearch.training.epoch import run_epoch, run_epochs, train
from lightsearch.training.task import EpochResult, Task

__all__ = ["EpochResult", "Task", "run_epoch", "run_epochs", "train"]
