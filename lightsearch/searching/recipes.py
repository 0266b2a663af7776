"""How a search trains: its recipe and its teacher, from the settings."""

from __future__ import annotations

import dataclasses

from lightsearch.design.choice import Choice
from lightsearch.design.recipe import Recipe
from lightsearch.engines.teacher import Teacher, as_teacher
from lightsearch.errors import ArgumentError, quote
from lightsearch.notation.parser import parse_recipe
from lightsearch.searching.settings import Settings
from lightsearch.surrogate.table import RECIPE
from lightsearch.training.one_line import default_recipe


def choose_recipe(settings: Settings) -> Recipe:
    """The recipe as a value."""
    given = settings.recipe
    if given is None:
        default = default_recipe(settings.teacher)
        if settings.engine == "surrogate" and settings.teacher is None:
            default = parse_recipe(RECIPE)
        return dataclasses.replace(default, rotation=0) if settings.keep_orientation else default
    if settings.keep_orientation:
        raise ArgumentError(
            "`keep_orientation` must not be given with a `recipe`, which says "
            "itself whether images are turned"
        )
    recipe = parse_recipe(given) if isinstance(given, str) else given
    if not isinstance(recipe, Recipe):
        raise ArgumentError(f"`recipe` must be a Recipe or its notation, but got {quote(recipe)}")
    return recipe


def choose_teacher(settings: Settings, recipe: Recipe) -> Teacher | None:
    """The teacher as a value, which some recipe of the search must ask for."""
    given = settings.teacher
    teacher = None if given is None else as_teacher(given)
    shares = recipe.distill.options if isinstance(recipe.distill, Choice) else (recipe.distill,)
    if (teacher is None) == any(shares):
        raise ArgumentError(
            "`teacher` must be given with a recipe that has `distill`, and only with one, but "
            f"got recipe={recipe} and teacher={teacher}"
        )
    return teacher
