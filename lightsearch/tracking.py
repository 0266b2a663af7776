"""Trials as runs of MLflow and of Weights & Biases, by `on_trial` of a search.

from lightsearch.tracking import log_to_mlflow
search(..., on_trial=log_to_mlflow)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lightsearch.errors import ArgumentError
from lightsearch.study.trial import Trial, find_train_accuracy
from lightsearch.training.epoch_result import EpochResult


def log_to_mlflow(trial: Trial) -> None:
    """Log a trial that is over as a run of MLflow, with its epochs as steps.

    Where the run goes is said to MLflow itself: `mlflow.set_experiment`, MLFLOW_TRACKING_URI.
    Within `mlflow.start_run()` it is that run's child.

    Raises `ArgumentError` if the package mlflow is missing.
    """
    mlflow = _load("mlflow")
    with mlflow.start_run(run_name=name_run(trial), nested=mlflow.active_run() is not None):
        mlflow.log_params(list_facts(trial))
        for epoch in trial.epochs:
            mlflow.log_metrics(list_figures(epoch), step=epoch.epoch)


def log_to_wandb(trial: Trial) -> None:
    """Log a trial that is over as a run of Weights & Biases, with its epochs as steps.

    Where the run goes is said to W&B itself: WANDB_PROJECT, WANDB_MODE=offline.

    Raises `ArgumentError` if the package wandb is missing.
    """
    wandb = _load("wandb")
    with wandb.init(name=name_run(trial), config=list_facts(trial), reinit="create_new") as run:
        for epoch in trial.epochs:
            run.log(list_figures(epoch), step=epoch.epoch)


def name_run(trial: Trial) -> str:
    """The name of a trial's run, that of its files in a study too.

    It counts trials of one study; other studies have the same names.
    """
    return f"trial-{trial.number:05d}"


def list_facts(trial: Trial) -> dict[str, str | int]:
    """What a trial trained, and how it ended."""
    one = trial.candidate
    return {
        "design": one.design,
        "recipe": one.recipe,
        "params": one.params,
        "macs": one.macs,
        "receptive_field": one.receptive_field,
        "seed": one.seed,
        "dataset": one.dataset,
        "selected_on": one.selected_on,
        "proposed_by": one.proposed_by,
        "outcome": trial.outcome,
    }


def list_figures(epoch: EpochResult) -> dict[str, float]:
    """The figures of an epoch. `accuracy` is on the images that select."""
    found = {
        "accuracy": epoch.accuracy,
        "train_loss": epoch.train_loss,
        "learning_rate": epoch.learning_rate,
        "seconds": epoch.seconds,
    }
    trained, tested = find_train_accuracy(epoch), epoch.test_accuracy
    if trained is not None:
        found["train_accuracy"] = float(trained)
    if tested is not None:
        found["test_accuracy"] = tested
    return found


def _load(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise ArgumentError(
            f"runs of {package} need the package {package}, which is not installed: pip install "
            f"'lightsearch[{package}]'"
        ) from None
