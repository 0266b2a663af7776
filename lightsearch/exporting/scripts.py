"""`export_script`: a program that trains a row's network, without lightsearch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lightsearch.checks import check_free, check_path
from lightsearch.data.catalogue import NAMES
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import fetch, save
from lightsearch.errors import ArgumentError
from lightsearch.exporting.checks import check_name
from lightsearch.exporting.finding import Source, best_of, find_row
from lightsearch.exporting.placing import placing
from lightsearch.exporting.trained import name_images
from lightsearch.formatting import percent
from lightsearch.standalone import Job, notebook_text, script_text
from lightsearch.standalone.images import needs_file
from lightsearch.study.rebuild import rebuild
from lightsearch.study.rows import Row
from lightsearch.training.task import Task

WRITERS = {".py": script_text, ".ipynb": notebook_text}


def export_script(
    source: Source,
    path: str | Path,
    *,
    row: int = 1,
    study: str | Path | None = None,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
    force: bool = False,
) -> Path:
    """Write a program that trains a row's network, to `path`: `.py` or `.ipynb`.

        export_script(result, "train_net.py")
        export_script(result, "net.ipynb")

    It needs PyTorch, torchvision, torchinfo, tqdm and matplotlib, not lightsearch. It loads the
    images, changes them as the recipe says, prints the summary and the receptive fields, trains
    with the recipe's optimizer, schedule and average, and draws the curves, the confusion matrix
    and the mistakes. It runs on a GPU where there is one. Its random numbers are PyTorch's, so its
    accuracy is that of another seed.

    `source`, `row`, `study`, `dataset` and `data` are as in `export`; a file of weights is no
    source. If a search selected on held-out images, the program trains on all training images and
    tests on the test images. Images without a public name are written beside the program.

    Raises `ArgumentError` for another ending, a file that is there (unless `force`), or a recipe
    with an option that no program can have; `DesignError` for a layer kind of the user's own;
    `DataError` if the images are not found.
    """
    path = check_path("path", path)
    if path.suffix.lower() not in WRITERS:
        raise ArgumentError(f"`path` must end in {', '.join(WRITERS)}, but got {path}")
    if not path.resolve().parent.is_dir():
        raise ArgumentError(f"`path` must be in a folder that exists, but got {path}")
    check_name("path", path)
    check_free("path", path, force=force)
    found, folder = find_row(source, row=row, study=study)
    if folder is not None and data is None and str(found.get("dataset")) not in NAMES:
        data = folder
    task = rebuild(found, dataset=dataset, data=data)
    whole = fetch(dataclasses.replace(task.data, holdout=None))
    job = Job(
        task.design,
        task.recipe,
        task.epochs,
        task.seed,
        whole.name,
        whole.shape,
        whole.classes,
        len(whole.train[1]),
        class_names=whole.class_names,
        file=f"{path.stem}-images.safetensors",
        note=_describe(task, found, len(fetch(task.data).test[1])),
    )
    text = WRITERS[path.suffix.lower()](job)
    if needs_file(job):
        check_free("path", path.with_name(job.file), force=force)
    with placing("path", path) as part:
        if needs_file(job):
            save(whole, part.with_name(job.file))
        part.write_text(text, encoding="utf-8")
    return path


def _describe(task: Task, row: Row, total: int) -> str:
    """Return what the search measured, for the head of the program."""
    best, accuracy = best_of(row, task)
    right = round(accuracy * total)
    text = (
        f"In the search it had {percent(right / total)} of {total:,} {name_images(task)} images "
        f"at its best epoch, {best} of {task.epochs}: one run, and the epoch "
        "was picked by the same images."
    )
    if task.data.holdout is not None and task.data.holdout.sampled:
        text += (
            f" There {task.data.holdout.size:,} training images were held out. This program "
            "trains on all of them, and tests on the test images."
        )
    if task.precision != "float32":
        text += f" The search trained in {task.precision}, this program in float32."
    return f"{text}\n\nRecipe: {task.recipe}"
