"""Write a study's records as TensorBoard event files, during the search or after it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightsearch.errors import ArgumentError
from lightsearch.formatting import SURROGATE_NOTE, name_split
from lightsearch.study.trial import Trial, find_train_accuracy

_OURS = ".lightsearch"  # the suffix of our files


def write_events(trials: Iterable[Trial], folder: Path) -> int:
    """Write a run for each trial with an epoch, and return the number of runs.

    A run has accuracies, loss and learning rate by epoch. Its times are the seconds of the trial's
    own epochs, from 0. A call replaces the files of earlier ones, so it can be repeated while a
    study runs. Other files stay.

    Raises `ArgumentError` if the package tensorboard is missing or a file cannot be written.
    """
    writer_class = _writer_class()
    count = 0
    for trial in trials:
        if not trial.epochs:
            continue
        run = folder / f"trial-{trial.number:05d}"
        try:
            for old in run.glob(f"events.out.tfevents.*{_OURS}"):
                old.unlink()
            with contextlib.closing(writer_class(str(run), filename_suffix=_OURS)) as writer:
                _write(writer, trial)
        except (OSError, UnicodeEncodeError) as error:  # the latter for a name that is not UTF-8
            raise ArgumentError(
                f"`tensorboard` must be a folder that can be written, but {folder}: {error}"
            ) from None
        count += 1
    return count


def _writer_class() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ArgumentError(
            "event files need the package tensorboard, which is not installed: "
            "pip install 'lightsearch[tensorboard]'"
        ) from None
    return SummaryWriter


def _write(writer: Any, trial: Trial) -> None:
    candidate, time = trial.candidate, 0.0
    split = name_split(candidate.selected_on)
    note = "" if trial.epochs[-1].engine != "surrogate" else f"{SURROGATE_NOTE}\n\n"
    writer.add_text(
        "design",
        f"{note}{candidate.params:,} parameters, {trial.outcome}\n\n"
        f"    {candidate.design}\n    {candidate.recipe}",
        walltime=0.0,
    )
    for epoch in trial.epochs:
        time += epoch.seconds
        raw = epoch.raw_correct
        for name, value in (
            (f"accuracy/{split}", epoch.accuracy),
            (f"accuracy/{split}_raw", None if raw is None else raw / epoch.total),
            ("accuracy/test", epoch.test_accuracy),  # of a study that selects on others
            ("accuracy/train", find_train_accuracy(epoch)),
            ("loss/train", epoch.train_loss),
            ("learning_rate", epoch.learning_rate),
        ):
            if value is not None:
                writer.add_scalar(name, float(value), epoch.epoch, walltime=time)
