"""One design's task from what a user has: notation, the name of a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from lightsearch.data.dataset import DataSet
from lightsearch.data.image_files import open_dataset
from lightsearch.data.references import DataRef, lend
from lightsearch.design.parts import Design
from lightsearch.design.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.engines.names import EngineName, PrecisionName
from lightsearch.engines.selection import check_precision, choose_device, choose_engine
from lightsearch.engines.teacher import Teacher, as_teacher
from lightsearch.notation.parser import parse_recipe
from lightsearch.notation.reading import read_design
from lightsearch.training.task import Task

DISTILL = 0.5  # with a teacher, where no recipe says it
DATASET, EPOCHS, SEED = "mnist", 15, 0  # those of a search


def make_task(
    design: Design | str,
    *,
    dataset: str | Path | DataSet = DATASET,
    data: str | Path | None = None,
    recipe: Recipe | str | None = None,
    epochs: int = EPOCHS,
    seed: int = SEED,
    device: str = "auto",
    engine: EngineName = "auto",
    precision: PrecisionName = "float32",
    teacher: Teacher | nn.Module | None = None,
) -> Task:
    """Return the task of training a design. Each argument is as a search has it.

    Raises what a search raises for a wrong argument.
    """
    chosen = choose_device(device, engine)
    trainer = choose_engine(engine, chosen)
    return Task(
        read_design(design),
        _read_recipe(recipe, teacher),
        _refer_to(dataset, data),
        epochs,
        seed,
        trainer,
        chosen,
        check_precision(precision, trainer, chosen),
        teacher=None if teacher is None else as_teacher(teacher),
    )


def _read_recipe(recipe: Recipe | str | None, teacher: Teacher | nn.Module | None) -> Recipe:
    if recipe is None:
        return default_recipe(teacher)
    return parse_recipe(recipe) if isinstance(recipe, str) else recipe


def default_recipe(teacher: Teacher | nn.Module | None) -> Recipe:
    """Return the recipe that is taken if none is given."""
    return DEFAULT_RECIPE if teacher is None else replace(DEFAULT_RECIPE, distill=DISTILL)


def _refer_to(dataset: str | Path | DataSet, data: str | Path | None) -> DataRef:
    whole = dataset if isinstance(dataset, DataSet) else open_dataset(dataset, data)
    return lend(whole)
