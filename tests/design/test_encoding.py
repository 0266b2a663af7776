"""Encoding is the inverse of decoding."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import designs, recipes, spaces

from lightsearch import default_space, parse, parse_recipe, zoo
from lightsearch.design.decoding import chooser, decode, enumerate_choices, replay
from lightsearch.design.encoding import encode
from lightsearch.design.parts import Space
from lightsearch.design.recipe import Recipe
from lightsearch.errors import DesignError


@given(spaces(), st.integers(0, 2**32))
def test_every_design_of_a_space_is_encoded(space: Space, seed: int) -> None:
    try:
        design = decode(space, chooser(random.Random(seed)))
    except DesignError:  # options that do not go together
        return
    decisions = encode(space, design)
    assert decisions is not None
    assert decode(space, replay(decisions)) == design


@given(recipes(open_=True), st.integers(0, 2**32))
def test_every_recipe_is_encoded(space: Recipe, seed: int) -> None:
    try:
        recipe = decode(space, chooser(random.Random(seed)))
    except DesignError:
        return
    decisions = encode(space, recipe)
    assert decisions is not None and decode(space, replay(decisions)) == recipe


SMALL = parse(
    "conv(4|6,order=@o:norm-act|act-norm) [conv(6,order=@o) | separable(8|12)]? "
    "maxpool*(0|1) residual([conv(4|6)],project)? gap linear(10)"
)


@given(designs())
def test_other_designs_are_none_of_it(design: Space) -> None:
    if design not in _all():
        assert encode(SMALL, design) is None


def _all(known: set[Space] = set()) -> set[Space]:  # noqa: B006
    if not known:
        known |= {design for _, design in enumerate_choices(lambda c: decode(SMALL, c))}
    return known


def test_the_whole_of_a_space_and_no_more() -> None:
    assert all(encode(SMALL, design) is not None for design in _all())
    for text in (
        "conv(5) gap linear(10)",
        "conv(4) gap linear(9)",
        "conv(4) gap linear(10) gap",
        "conv(4) maxpool maxpool gap linear(10)",
        "conv(4) conv(6,act-norm) gap linear(10)",  # a named choice is one decision
        "conv(4) residual([conv(4) conv(4)],project) gap linear(10)",
        "gap linear(10)",
    ):
        assert encode(SMALL, parse(text)) is None, text
    assert all(encode(default_space(), entry.design) is None for entry in zoo.values())


@pytest.mark.parametrize(
    ("space", "recipe", "decisions"),
    [
        ("recipe(lr=0.1|0.2,ema=0.9)", "recipe(lr=0.2,ema=0.9)", {"recipe.lr": 1}),
        ("recipe(lr=0.1|0.2,ema=0.9)", "recipe(lr=0.2)", None),
        ("recipe(lr=0.3,ema=0.9)", "recipe(lr=0.3,ema=0.9)", {}),
        # of an optimizer without momentum, each is the same
        (
            "recipe(optimizer=sgd|adam,momentum=0.5|0.8)",
            "recipe(optimizer=adam)",
            {"recipe.optimizer": 1, "recipe.momentum": 0},
        ),
    ],
)
def test_recipes(space: str, recipe: str, decisions: dict[str, int] | None) -> None:
    assert encode(parse_recipe(space), parse_recipe(recipe)) == decisions


def test_a_space_with_too_many_ways_is_given_up() -> None:
    space = parse("[conv(4|6)?]*(1|9|20) [conv(4|6)?]*(1|9|20) gap linear(10)")
    start = time.monotonic()
    assert encode(space, parse("conv(4)*12 conv(5) gap linear(10)")) is None
    assert time.monotonic() - start < 20
