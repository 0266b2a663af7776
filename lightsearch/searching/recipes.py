"""How a search trains: its recipe and its teacher, from the settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lightsearch.data.dataset import DataSet
from lightsearch.design.choice import Choice
from lightsearch.design.recipe import Recipe
from lightsearch.engines.teacher import Teacher, as_teacher, check_fit
from lightsearch.errors import ArgumentError, quote
from lightsearch.notation.parser import parse_recipe
from lightsearch.searching.settings import Settings
from lightsearch.study.identity import read_identity
from lightsearch.surrogate.table import RECIPE
from lightsearch.training.one_line import default_recipe


def choose_recipe(settings: Settings) -> Recipe:
    """The recipe as a value."""
    given = settings.recipe
    if given is None:
        default = default_recipe(settings.teacher)
        if settings.engine == "surrogate" and settings.teacher is None:
            default = parse_recipe(RECIPE)
        if settings.keep_orientation:
            default = dataclasses.replace(default, rotation=0)
        return _before_clean_epochs(default, settings.study) or default
    if settings.keep_orientation:
        raise ArgumentError(
            "`keep_orientation` must not be given with a `recipe`, which says "
            "itself whether images are turned"
        )
    recipe = parse_recipe(given) if isinstance(given, str) else given
    if not isinstance(recipe, Recipe):
        raise ArgumentError(f"`recipe` must be a Recipe or its notation, but got {quote(recipe)}")
    return recipe


def _before_clean_epochs(default: Recipe, study: str | Path | None) -> Recipe | None:
    """Return the default as it was before it had clean epochs, if a study was begun with that."""
    known = None if study is None else read_identity(Path(study))
    former = dataclasses.replace(default, clean=0.0)
    return former if known is not None and known.recipe == str(former) else None


def count_clean(recipe: Recipe, epochs: int) -> int:
    """Return how many of `epochs` are clean, at most: the recipe may have choices."""
    shares = recipe.clean.options if isinstance(recipe.clean, Choice) else (recipe.clean,)
    return max(dataclasses.replace(recipe, clean=one).count_clean(epochs) for one in shares)


def choose_teacher(settings: Settings, recipe: Recipe, data: DataSet) -> Teacher | None:
    """The teacher as a value, which some recipe of the search must ask for.

    Raises `ArgumentError` unless it takes the images.
    """
    given = settings.teacher
    teacher = None if given is None else as_teacher(given)
    shares = recipe.distill.options if isinstance(recipe.distill, Choice) else (recipe.distill,)
    if (teacher is None) == any(shares):
        raise ArgumentError(
            "`teacher` must be given with a recipe that has `distill`, and only with one, but "
            f"got recipe={recipe} and teacher={teacher}"
        )
    if teacher is not None:
        check_fit(teacher, data.shape, data.classes)
    return teacher
