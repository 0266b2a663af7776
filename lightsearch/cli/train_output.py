"""What `lightsearch train` says: an epoch's line, the differences from a row, JSON."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lightsearch.formatting import percent
from lightsearch.study.trial import find_train_accuracy

if TYPE_CHECKING:
    from lightsearch.cli.design_argument import Picked
    from lightsearch.training.epoch_result import EpochResult
    from lightsearch.training.task import Task


def name_task_split(task: Task) -> str:
    """Return `test` or `val`: the images that the accuracies of a task are of."""
    return "test" if task.data.holdout is None else "val"


def describe_test(result: EpochResult) -> str:
    """Return the accuracy on the test images where others selected, as text; else nothing."""
    tested = result.test_accuracy
    return "" if tested is None else f"; {percent(tested)} test after the last epoch"


def epoch_line(task: Task, result: EpochResult) -> str:
    """Return an epoch's line."""
    raw = ""
    if task.recipe.ema and result.raw_correct is not None:
        raw = f" (raw {percent(result.raw_correct / result.total)})"
    trained = find_train_accuracy(result)
    share = "" if trained is None else f" and accuracy {percent(trained)}"
    return (
        f"epoch {result.epoch:>2}/{task.epochs}  {percent(result.accuracy):>7} "
        f"{name_task_split(task)}{raw}  training loss {result.train_loss:.4f}{share}  "
        f"{result.seconds:.1f} s"
    )


def find_differences(picked: Picked, results: list[EpochResult]) -> list[str]:
    """Return the differences from the row's accuracies, compared as numbers of correct images."""
    assert picked.row is not None
    row, total = picked.row, results[-1].total
    best = max(results, key=lambda r: r.correct)
    pairs = [
        ("best", round(float(row["best_accuracy"]) * total), best.correct),
        ("last", round(float(row["last_accuracy"]) * total), results[-1].correct),
    ]
    texts = [
        f"{name} {now}/{total} here, {then}/{total} in the row"
        for name, then, now in pairs
        if then != now
    ]
    last = results[-1]
    then, now = float(row["test_accuracy"]), last.test_accuracy
    if (
        then == then
        and now is not None
        and round(then * (last.test_total or 0)) != last.test_correct
    ):
        texts.append(f"test {percent(now)} here, {percent(then)} in the row")
    if int(row["best_epoch"]) != best.epoch:
        texts.append(f"best at epoch {best.epoch} here, {int(row['best_epoch'])} in the row")
    return texts


def training_as_json(
    task: Task, results: list[EpochResult], differences: list[str] | None
) -> dict[str, Any]:
    """Return what `--json` prints. A loss that is no number is None."""
    epochs = [{**dataclasses.asdict(r), "accuracy": r.accuracy} for r in results]
    for epoch in epochs:
        if epoch["train_loss"] != epoch["train_loss"] or abs(epoch["train_loss"]) == float("inf"):
            epoch["train_loss"] = None
    return {
        "design": str(task.design),
        "recipe": str(task.recipe),
        "teacher": str(task.teacher or ""),
        "dataset": task.data.name,
        "selected_on": str(task.data.holdout or "test"),
        "seed": task.seed,
        "device": task.device,
        "engine": results[-1].engine,
        "epochs": epochs,
        "same": None if differences is None else not differences,
        "differences": differences or [],
    }
