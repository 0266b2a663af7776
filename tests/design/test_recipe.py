"""Recipes: what is refused, and the one form of what makes no difference."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsearch.design import decode, oneof
from lightsearch.design.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.design.words import OPTIMIZERS, SCHEDULES
from lightsearch.errors import DesignError, LightsearchError

quick = settings(deadline=None, database=None, derandomize=True, max_examples=60)

# Which fields each optimizer and schedule reads; all others are always read.
READ_BY_SCHEDULE = {
    "onecycle": {"warmup", "div", "final_div"},
    "cosine": {"warmup"},
    "step": {"step_size", "gamma"},
    "constant": set[str](),
    "plateau": {"gamma", "patience"},
}
OTHER_VALUES: dict[str, Any] = {
    "warmup": 0.4,
    "div": 7.0,
    "final_div": 30.0,
    "step_size": 3,
    "gamma": 0.1,
    "patience": 5,
}


def test_the_defaults_are_part_of_the_notation_and_never_change() -> None:
    assert dataclasses.asdict(Recipe()) == {
        "optimizer": "sgd",
        "lr": 0.1,
        "schedule": "onecycle",
        "batch_size": 128,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "warmup": 0.2,
        "div": 10.0,
        "final_div": 100.0,
        "step_size": 6,
        "gamma": 0.5,
        "patience": 2,
        "rotation": 0.0,
        "shift": 0.0,
        "scale": 0.0,
        "shear": 0.0,
        "erasing": 0.0,
        "brightness": 0.0,
        "contrast": 0.0,
        "smoothing": 0.0,
        "ema": 0.0,
        "flip": 0.0,
        "fill": "black",
        "loss": "cross-entropy",
        "augmentation": "none",
        "clean": 0.0,
        "decay_on": "all",
        "distill": 0.0,
        "temperature": 4.0,
    }
    assert repr(Recipe()) == "recipe()"


def test_a_recipe_is_a_frozen_hashable_value() -> None:
    one: Any = Recipe(lr=0.3)
    assert one == Recipe(lr=0.3)
    assert hash(one) == hash(Recipe(lr=0.3))
    assert one != Recipe(lr=0.2)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'lr'"):
        one.lr = 0.2
    assert repr(one) == "recipe(lr=0.3)"


def test_the_default_of_a_search_is_a_decided_recipe_with_an_average() -> None:
    assert DEFAULT_RECIPE.ema > 0
    assert decode(DEFAULT_RECIPE, lambda name, options: pytest.fail(name)) == DEFAULT_RECIPE


# One form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_field_that_the_schedule_does_not_read_is_reset(schedule: str, name: str) -> None:
    value = OTHER_VALUES[name]
    recipe = Recipe(schedule=schedule, **{name: value})
    read = name in READ_BY_SCHEDULE[schedule]
    default = {field.name: field.default for field in dataclasses.fields(Recipe)}[name]
    assert getattr(recipe, name) == (value if read else default)
    assert (recipe == Recipe(schedule=schedule)) == (not read)


@pytest.mark.parametrize(("optimizer", "read"), [("sgd", True), ("adam", False), ("adamw", False)])
def test_only_sgd_reads_the_momentum(optimizer: str, read: bool) -> None:
    recipe = Recipe(optimizer=optimizer, momentum=0.5)
    assert recipe.momentum == (0.5 if read else 0.9)
    assert (recipe == Recipe(optimizer=optimizer)) == (not read)


def test_what_is_cut_out_is_filled_only_if_something_is() -> None:
    assert Recipe(fill="mean") == Recipe()
    assert Recipe(fill="mean", erasing=0.5) != Recipe(erasing=0.5)
    assert Recipe(fill="mean", erasing=oneof(0, 0.5)).fill == "mean"


def test_clean_epochs_and_decay_count_only_beside_what_they_limit() -> None:
    assert Recipe(clean=0.3) == Recipe()
    assert Recipe(clean=0.3, flip=0.5) != Recipe(flip=0.5)
    assert Recipe(decay_on="weights") == Recipe()
    assert Recipe(temperature=2) == Recipe() != Recipe(temperature=2, distill=0.1)
    assert Recipe(decay_on="weights", weight_decay=oneof(0, 0.1)).decay_on == "weights"


def test_the_last_epochs_are_clean() -> None:
    whole = Recipe(lr=0.3, rotation=7, shift=0.1, erasing=0.5, fill="own", ema=0.9, clean=0.4)
    assert [whole.in_epoch(epoch, 5) for epoch in (1, 3, 4, 5)] == [
        whole,
        whole,
        Recipe(lr=0.3, ema=0.9),
        Recipe(lr=0.3, ema=0.9),
    ]
    assert dataclasses.replace(whole, clean=1.0).in_epoch(1, 5) == Recipe(lr=0.3, ema=0.9)


def test_clean_epochs_are_a_share_rounded_half_up() -> None:
    count = Recipe(flip=0.5, clean=0.25).count_clean
    assert [count(epochs) for epochs in (1, 2, 5, 10, 15, 30)] == [0, 1, 1, 3, 4, 8]
    for share in range(101):
        count = Recipe(flip=0.5, clean=share / 100).count_clean
        exact = [(share * epochs + 50) // 100 for epochs in range(1, 200)]
        assert [count(epochs) for epochs in range(1, 200)] == exact


def test_an_undecided_optimizer_or_schedule_keeps_everything() -> None:
    both = Recipe(
        optimizer=oneof("sgd", "adam"),
        schedule=oneof("step", "constant"),
        momentum=0.5,
        gamma=0.1,
        step_size=3,
        warmup=0.4,
    )
    assert (both.momentum, both.gamma, both.step_size, both.warmup) == (0.5, 0.1, 3, 0.4)
    decided = decode(both, lambda name, options: 1)
    assert decided == Recipe(optimizer="adam", schedule="constant")


def test_a_choice_in_a_field_without_effect_is_no_choice() -> None:
    assert Recipe(schedule="constant", warmup=oneof(0.1, 0.2)) == Recipe(schedule="constant")
    assert Recipe(optimizer="adam", momentum=oneof(0.5, 0.9)) == Recipe(optimizer="adam")


@quick
@given(
    st.sampled_from(OPTIMIZERS),
    st.sampled_from(SCHEDULES),
    st.floats(1e-8, 100),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 99),
    st.integers(0, 9),
)
def test_one_form_is_reached_at_once(
    optimizer: str, schedule: str, lr: float, share: float, size: int, patience: int
) -> None:
    recipe = Recipe(
        optimizer=optimizer,
        schedule=schedule,
        lr=lr,
        momentum=share,
        warmup=share,
        step_size=size,
        patience=patience,
    )
    assert Recipe(**dataclasses.asdict(recipe)) == recipe


def test_numbers_have_one_type() -> None:
    assert Recipe(lr=1, rotation=7) == Recipe(lr=1.0, rotation=7.0)
    assert isinstance(Recipe(rotation=7).rotation, float)
    assert repr(Recipe(shift=-0.0)) == "recipe()"


# What is refused --------------------------------------------------------------------------------

HINT = "; one of your own must be registered first (at the shell by --import FILE.py)"
REFUSED: list[tuple[str, Any, str]] = [
    ("optimizer", "rms", f"must be one of sgd, adam, adamw, but got optimizer='rms'{HINT}"),
    ("optimizer", None, "must be one of sgd, adam, adamw, but got optimizer=None"),
    (
        "schedule",
        "linear",
        "must be one of onecycle, cosine, step, constant, plateau, but got schedule='linear'",
    ),
    ("lr", 0, "must be a number from 1e-08 to 100, but got lr=0"),
    ("lr", 101, "must be a number from 1e-08 to 100, but got lr=101"),
    ("lr", "0.1", "must be a number from 1e-08 to 100, but got lr='0.1'"),
    ("lr", True, "must be a number from 1e-08 to 100, but got lr=True"),
    ("lr", math.nan, "must be a number from 1e-08 to 100, but got lr=nan"),
    ("lr", math.inf, "must be a number from 1e-08 to 100, but got lr=inf"),
    ("batch_size", 0, "must be an integer from 1 to 65536, but got batch_size=0"),
    ("batch_size", 65537, "must be an integer from 1 to 65536, but got batch_size=65537"),
    ("batch_size", 64.5, "must be an integer from 1 to 65536, but got batch_size=64.5"),
    ("momentum", 1.0, "must be a number from 0 to below 1, but got momentum=1.0"),
    ("momentum", -0.1, "must be a number from 0 to below 1, but got momentum=-0.1"),
    ("weight_decay", -1e-9, "must be a number from 0 to 10, but got weight_decay=-1e-09"),
    ("warmup", 1, "must be a number from 0 to below 1, but got warmup=1"),
    ("div", 0.5, "must be a number from 1 to 1000000000, but got div=0.5"),
    ("final_div", 0, "must be a number from 1 to 1000000000, but got final_div=0"),
    ("step_size", 0, "must be an integer from 1 to 1000000, but got step_size=0"),
    ("gamma", 0, "must be a number from 1e-06 to 1, but got gamma=0"),
    ("gamma", 1.5, "must be a number from 1e-06 to 1, but got gamma=1.5"),
    ("patience", -1, "must be an integer from 0 to 1000000, but got patience=-1"),
    ("rotation", 181, "must be a number from 0 to 180, but got rotation=181"),
    ("shift", 1.1, "must be a number from 0 to 1, but got shift=1.1"),
    ("scale", 1, "must be a number from 0 to below 1, but got scale=1"),
    ("shear", 90, "must be a number from 0 to 89, but got shear=90"),
    ("erasing", 2, "must be a number from 0 to 1, but got erasing=2"),
    ("brightness", -1, "must be a number from 0 to 1, but got brightness=-1"),
    ("contrast", 1.01, "must be a number from 0 to 1, but got contrast=1.01"),
    ("smoothing", 1, "must be a number from 0 to below 1, but got smoothing=1"),
    ("ema", 1, "must be a number from 0 to below 1, but got ema=1"),
    ("flip", 1.5, "must be a number from 0 to 1, but got flip=1.5"),
    ("flip", True, "must be a number from 0 to 1, but got flip=True"),
    ("loss", "mse", f"must be one of cross-entropy, but got loss='mse'{HINT}"),
    ("augmentation", 1, "must be one of none, but got augmentation=1"),
    ("clean", 4, "must be a number from 0 to 1, but got clean=4"),
    ("decay_on", "norms", "must be one of all, weights, but got decay_on='norms'"),
    ("distill", 1.1, "must be a number from 0 to 1, but got distill=1.1"),
    ("temperature", 0, "must be a number from 0.01 to 1000, but got temperature=0"),
    ("fill", "white", "must be one of black, mean, own, but got fill='white'"),
]


@pytest.mark.parametrize(
    ("name", "value", "message"), REFUSED, ids=[f"{name}={value!r}" for name, value, _ in REFUSED]
)
def test_an_invalid_field_is_refused_with_its_rule(name: str, value: Any, message: str) -> None:
    with pytest.raises(DesignError, match=f"^recipe: `{name}` must be ") as caught:
        Recipe(**{name: value})
    assert str(caught.value) == f"recipe: `{name}` {message}"
    assert isinstance(caught.value, LightsearchError)


def test_every_field_has_an_invalid_value_above() -> None:
    assert {name for name, _, _ in REFUSED} == {f.name for f in dataclasses.fields(Recipe)}


def test_a_wrong_option_of_a_choice_is_refused() -> None:
    with pytest.raises(DesignError, match=r"^recipe: `lr` must be .* but got lr=1000$"):
        Recipe(lr=oneof(0.1, 1000))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 1e-8),
        ("lr", 100),
        ("batch_size", 1),
        ("batch_size", 65536),
        ("momentum", 0),
        ("weight_decay", 10),
        ("warmup", 0),
        ("div", 1),
        ("final_div", 1e9),
        ("rotation", 180),
        ("shift", 1),
        ("shear", 89),
        ("erasing", 1),
        ("smoothing", 0.999),
        ("ema", 0.9999),
    ],
)
def test_the_ends_of_the_ranges_are_accepted(name: str, value: float) -> None:
    assert getattr(Recipe(**{name: value}), name) == value


def test_an_unknown_field_is_a_type_error() -> None:
    fields: dict[str, Any] = {"learning_rate": 0.1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rate'"):
        Recipe(**fields)
