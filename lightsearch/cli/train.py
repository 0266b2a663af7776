"""`lightsearch train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightsearch.checks import check_path
from lightsearch.cli.design_argument import Picked, design_options, pick
from lightsearch.cli.images import check_sizes, dataset_option, open_images, size_options
from lightsearch.cli.options import (
    DIFFERENT,
    data_option,
    json_option,
    notation,
    option,
)
from lightsearch.cli.output import print_json
from lightsearch.cli.teaching import find_teachers, teacher_option
from lightsearch.cli.train_output import (
    describe_test,
    epoch_line,
    find_differences,
    name_task_split,
    training_as_json,
)
from lightsearch.data.image_size import Size
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError
from lightsearch.formatting import percent, plural
from lightsearch.searching.settings import DEFAULTS, check_setting

if TYPE_CHECKING:
    from lightsearch.data.dataset import DataSet
    from lightsearch.engines.engine import State
    from lightsearch.engines.teacher import Teacher
    from lightsearch.training.epoch_result import EpochResult
    from lightsearch.training.task import Task


@click.command(short_help="Train one design, or a leaderboard's row again.")
@design_options
@option(
    "recipe",
    "Notation, @FILE, or `published` for the recipe of a zoo entry.",
    callback=notation,
    otherwise="the row's, else the one of `lightsearch search`",
)
@option(
    "epochs",
    "Epochs to train.",
    otherwise=f"the row's, the published with that recipe, else {DEFAULTS.epochs}",
)
@option("seed", otherwise=f"the row's, else {DEFAULTS.seed}")
@dataset_option
@size_options
@data_option
@option("device", otherwise="the row's, else auto")
@option("engine", "What trains: native, torch or auto.", otherwise="the row's, else auto")
@option("precision", otherwise="the row's, else float32")
@teacher_option
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(),
    help=("Write the weights of the last epoch, as they were evaluated, as safetensors."),
)
@click.option(
    "--force", is_flag=True, help="Replace that file, also if lightsearch did not write it."
)
@json_option
@click.pass_context
def train(
    context: click.Context,
    /,
    design: str | None,
    row: int | None,
    leaderboard: str | None,
    save: str | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train one design, and show the accuracy after each epoch: of the test images, or of the
    held-out images (val) if a row was selected on them.

    DESIGN is notation, @FILE, or a name of the zoo. With --row, the row's training is done again,
    and its accuracies are compared at the end: on the same kind of machine and with the same
    versions they are the same. (Not compared if an option changes the training.)

    \b
    lightsearch train s1-final --recipe published
    lightsearch train 'conv(8) maxpool conv(12) gap linear(10)' --dataset digits --epochs 3
    lightsearch train 'conv(8) gap linear(7)' --dataset ./leaves --size 60x80
    lightsearch train --row 1
    lightsearch train --row 1 --leaderboard small/leaderboard.csv --save best.safetensors

    Exit codes: 0 done, 4 if a row's accuracies came out different, 1 if something failed, 2 for
    wrong arguments.
    """
    picked = pick(design, row, leaderboard)
    target = None if save is None else _check_save(save, force)
    task = _task(picked, **options)
    last = task.epochs
    compare = picked.row is not None and not any(
        options[name] is not None
        for name in ("recipe", "epochs", "seed", "dataset", "engine", "precision")
    )
    if picked.row is not None and compare:
        last = min(last, int(picked.row["epochs_trained"]))
    results, state = _train(task, last, quiet=as_json)
    if target is not None:
        _save(target, task, results, state)
    differences = find_differences(picked, results) if compare else []
    if as_json:
        print_json(training_as_json(task, results, differences if compare else None))
    elif compare:
        click.echo(
            "the same as the row" if not differences else f"different: {'; '.join(differences)}"
        )
    context.exit(DIFFERENT if differences else 0)


def _task(
    picked: Picked,
    *,
    recipe: str | None,
    epochs: int | None,
    seed: int | None,
    dataset: str | None,
    data: str | None,
    device: str | None,
    engine: str | None,
    precision: str | None,
    teacher: Sequence[str],
    size: Size | None = None,
    gray: bool = False,
) -> Task:
    from lightsearch.engines.selection import check_precision, choose_device, choose_engine

    check_sizes(dataset, size, gray)
    if epochs is not None:
        check_setting("epochs", epochs)
    how, whole = _recipe(picked, recipe)
    known = find_teachers(teacher, data)
    if picked.row is not None and dataset is None:
        task = _task_of_row(picked, data, known)
    else:
        images = open_images(dataset or str(DEFAULTS.dataset), data, size, gray)
        task = _task_of_design(picked.design, how, images, engine, known)
    task = dataclasses.replace(
        task,
        recipe=how or task.recipe,
        epochs=epochs or whole or task.epochs,
        seed=task.seed if seed is None else seed,
        device=task.device if device is None else choose_device(device, engine or "auto"),
    )
    elsewhere = device is not None and engine is None  # the row's engine may not run there
    trainer = choose_engine(engine or ("auto" if elsewhere else task.engine), task.device)
    wanted = precision or ("float32" if elsewhere else task.precision)
    return dataclasses.replace(
        task, engine=trainer, precision=check_precision(wanted, trainer, task.device)
    )


def _recipe(picked: Picked, recipe: str | None) -> tuple[Recipe | None, int | None]:
    """Return the recipe of the option and the epochs that belong to it; None for the default."""
    from lightsearch.notation.parser import parse_recipe

    if recipe is None:
        return None, None
    if recipe != "published":
        return parse_recipe(recipe), None
    if picked.entry is None:
        raise ArgumentError(
            "`recipe` must be notation for a design that is not of the zoo, but "
            "got recipe=published"
        )
    return picked.entry.recipe, picked.entry.epochs


def _task_of_design(
    design: Design,
    recipe: Recipe | None,
    images: DataSet,
    engine: str | None,
    teacher: Teacher | None,
) -> Task:
    """Return the task of a design that is no row's, by `search`'s defaults."""
    from lightsearch.data.references import lend
    from lightsearch.engines.selection import choose_device
    from lightsearch.training.one_line import default_recipe
    from lightsearch.training.task import Task

    return Task(
        design,
        recipe or default_recipe(teacher),
        lend(images),
        DEFAULTS.epochs,
        DEFAULTS.seed,
        "auto",
        choose_device("auto", engine or "auto"),
        teacher=teacher,
    )


def _task_of_row(picked: Picked, data: str | None, teacher: Teacher | None) -> Task:
    """Return the row's task, with the images of the study in whose folder its file lies."""
    from lightsearch.data.catalogue import images_file
    from lightsearch.study.rebuild import rebuild

    assert picked.row is not None and picked.path is not None
    images = images_file(picked.row["dataset"], picked.path.parent)
    if data is None and images is not None and images.exists():
        data = str(images)
    return rebuild(picked.row, data=data, teacher=teacher)


def _train(task: Task, last: int, *, quiet: bool) -> tuple[list[EpochResult], State]:
    """Train up to epoch `last`, and print a line an epoch."""
    from lightsearch.data.references import fetch
    from lightsearch.engines.selection import engine_of
    from lightsearch.network.cost import cost
    from lightsearch.training.epoch import run_epoch

    data = fetch(task.data)
    costs = cost(task.design, data.shape, data.classes)
    if not quiet:
        stop = "" if last == task.epochs else f", stopping after {last} as the row did"
        click.echo(
            f"{task.design}\n{task.recipe}\n{costs.params:,} parameters, {data.name}, "
            f"{plural(task.epochs, 'epoch')}{stop}, seed {task.seed}, {task.device}, "
            f"engine {engine_of(task.engine, task.design, task.recipe, data.shape, task.device)}"
            f"{'' if task.precision == 'float32' else f' in {task.precision}'}"
            f"{'' if task.teacher is None else f', learning from {task.teacher}'}"
        )
    results: list[EpochResult] = []
    state: State | None = None
    for epoch in range(1, last + 1):
        state, result = run_epoch(task, state, epoch)
        results.append(result)
        if not quiet:
            click.echo(epoch_line(task, result))
        if result.diverged:
            break
    assert state is not None
    if not quiet:
        best = max(results, key=lambda r: r.correct)
        click.echo(
            f"best {percent(best.accuracy)} {name_task_split(task)} at epoch {best.epoch}, last "
            f"{percent(results[-1].accuracy)}{describe_test(results[-1])}"
        )
    return results, state


def _check_save(save: str, force: bool) -> Path:
    from lightsearch.exporting.checks import check_target

    path = check_path("save", save)
    if not path.resolve().parent.is_dir():
        raise ArgumentError(f"`save` must be a file in a folder that exists, but got save={save}")
    check_target("save", path, force=force)
    return path


def _save(path: Path, task: Task, results: list[EpochResult], state: State) -> None:
    from lightsearch.exporting.trained import net_of_training
    from lightsearch.exporting.writing import write_weights

    try:
        write_weights(net_of_training(task, results, state), path)
    except OSError as error:
        raise ArgumentError(
            f"`save` must be a file that can be written, but {path}: {error}"
        ) from None
