"""Learning rates against PyTorch's own schedulers, and averaging decays by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lightsearch.design.recipe import Recipe
from lightsearch.training.schedule import Plateau, decay, learning_rate

quick = settings(deadline=None, database=None, derandomize=True, max_examples=40)
rates = st.floats(1e-4, 10.0)
shares = st.floats(0.0, 1.0, exclude_max=True)
step_counts = st.integers(1, 60)


def optimizer(lr: float) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=lr)


def stepped(scheduler: Any, count: int) -> list[float]:
    """Return the learning rates of a PyTorch scheduler for `count` steps."""
    found = []
    for _ in range(count):
        found.append(float(scheduler.optimizer.param_groups[0]["lr"]))
        scheduler.optimizer.step()
        if len(found) < count:  # OneCycleLR refuses a step too many
            scheduler.step()
    return found


def ours(recipe: Recipe, steps: int, epochs: int = 1) -> list[float]:
    return [learning_rate(recipe, step, steps, epochs) for step in range(steps)]


# One cycle --------------------------------------------------------------------------------------


@quick
@given(rates, shares, step_counts, st.floats(1, 1e3), st.floats(1, 1e5))
@example(0.3, 0.2, 469, 10.0, 100.0)
@example(0.3, 0.0, 1, 10.0, 100.0)
@example(0.3, 0.0, 2, 10.0, 100.0)
@example(0.3, 0.0, 3, 10.0, 100.0)
@example(0.3, 0.999, 1, 10.0, 100.0)
@example(0.3, 0.999, 2, 10.0, 100.0)
@example(0.3, 0.999, 3, 10.0, 100.0)
@example(0.3, 0.5, 3, 1.0, 1.0)
@example(0.3, 1 - 2**-53, 100, 10.0, 100.0)
def test_onecycle_is_pytorchs(
    lr: float, warmup: float, steps: int, div: float, final: float
) -> None:
    """PyTorch divides by zero if the peak, or the end after it, falls on the first step."""
    assume(warmup * steps != 1)
    recipe = Recipe(lr=lr, schedule="onecycle", warmup=warmup, div=div, final_div=final)
    try:
        expected = stepped(
            lr_scheduler.OneCycleLR(
                optimizer(lr),
                lr,
                total_steps=steps,
                pct_start=warmup,
                div_factor=div,
                final_div_factor=final,
                anneal_strategy="cos",
                cycle_momentum=False,
            ),
            steps,
        )
    except ZeroDivisionError:
        assume(False)
    assert ours(recipe, steps) == pytest.approx(expected, rel=1e-9, abs=1e-12 * lr)


def test_onecycle_where_the_warm_up_is_exactly_one_step() -> None:
    """The first step is the peak. PyTorch divides by zero here."""
    recipe = Recipe(lr=0.5, warmup=0.25, div=10, final_div=100)
    found = ours(recipe, 4)
    assert found[0] == 0.5
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.5 / 10 / 100)


def test_onecycle_by_hand() -> None:
    """11 steps. The peak is at 0.5 * 11 - 1 = 4.5, between two steps."""
    found = ours(Recipe(lr=1.0, warmup=0.5, div=4, final_div=5), 11)
    assert found[0] == pytest.approx(0.25)
    assert found[-1] == pytest.approx(0.05)
    assert found[4] == pytest.approx(1 - 0.75 * (1 - math.cos(math.pi * 0.5 / 4.5)) / 2)
    assert max(found) == found[5]


# Step -------------------------------------------------------------------------------------------


@quick
@given(rates, st.integers(1, 8), st.floats(1e-3, 1), st.integers(1, 20), st.integers(1, 7))
def test_step_is_pytorchs_by_epoch(
    lr: float, size: int, gamma: float, epochs: int, batches: int
) -> None:
    recipe = Recipe(lr=lr, schedule="step", step_size=size, gamma=gamma)
    by_epoch = stepped(lr_scheduler.StepLR(optimizer(lr), size, gamma), epochs)
    expected = [rate for rate in by_epoch for _ in range(batches)]
    assert ours(recipe, epochs * batches, epochs) == pytest.approx(expected, rel=1e-9)


# Cosine -----------------------------------------------------------------------------------------


@quick
@given(rates, step_counts)
@example(0.1, 1)
@example(0.1, 2)
@example(0.1, 3)
def test_cosine_without_warm_up_is_pytorchs(lr: float, steps: int) -> None:
    recipe = Recipe(lr=lr, schedule="cosine", warmup=0)
    expected = stepped(lr_scheduler.CosineAnnealingLR(optimizer(lr), T_max=steps), steps)
    assert ours(recipe, steps) == pytest.approx(expected, rel=1e-6, abs=1e-9 * lr)


@pytest.mark.parametrize(("steps", "warm"), [(10, 1), (10, 5), (100, 20), (4, 3)])
def test_cosine_with_warm_up_is_pytorchs(steps: int, warm: int) -> None:
    """Linear from lr / (warm + 1), then the cosine, as two PyTorch schedulers in sequence."""
    recipe = Recipe(lr=0.4, schedule="cosine", warmup=warm / steps)
    made = optimizer(0.4)
    first = lr_scheduler.LinearLR(made, start_factor=1 / (warm + 1), total_iters=warm)
    second = lr_scheduler.CosineAnnealingLR(optimizer(0.4), T_max=steps - warm)
    expected = stepped(first, warm) + stepped(second, steps - warm)
    assert ours(recipe, steps) == pytest.approx(expected, rel=1e-6)


# All of them ------------------------------------------------------------------------------------


@quick
@given(
    st.sampled_from(["onecycle", "cosine", "step", "constant", "plateau"]),
    rates,
    shares,
    st.integers(1, 40),
    st.integers(1, 5),
)
@example("cosine", 0.1, 1 - 2**-53, 1, 1)
@example("onecycle", 0.1, 1 - 2**-53, 1, 1)
@example("cosine", 0.1, 0.999999, 3, 1)
def test_no_rate_is_negative_infinite_or_above_the_largest(
    schedule: str, lr: float, warmup: float, epochs: int, batches: int
) -> None:
    recipe = Recipe(lr=lr, schedule=schedule, warmup=warmup)
    found = ours(recipe, epochs * batches, epochs)
    assert all(0 <= rate <= lr * (1 + 1e-12) for rate in found)
    assert all(math.isfinite(rate) for rate in found)


def test_constant() -> None:
    assert set(ours(Recipe(lr=0.07, schedule="constant"), 9, 3)) == {0.07}


# Plateau ----------------------------------------------------------------------------------------

losses = st.lists(
    st.one_of(
        st.floats(0, 3), st.sampled_from([1.0, 0.9999, 0.99989, 0.9998, 2.0, math.inf, math.nan])
    ),
    max_size=40,
)


@quick
@given(losses, st.integers(0, 5), st.floats(0.05, 1.0))
def test_plateau_is_pytorchs(seen: list[float], patience: int, gamma: float) -> None:
    recipe = Recipe(lr=0.2, schedule="plateau", patience=patience, gamma=gamma)
    made = optimizer(0.2)
    if gamma < 1:  # PyTorch refuses a factor of 1
        scheduler = lr_scheduler.ReduceLROnPlateau(
            made,
            mode="min",
            factor=gamma,
            patience=patience,
            threshold=1e-4,
            threshold_mode="rel",
            min_lr=0,
            eps=0,
        )
    memory = Plateau()
    for loss in seen:
        memory = memory.after(loss, recipe)
        if gamma < 1:
            scheduler.step(loss)
            assert memory.best == scheduler.best
            assert memory.bad_epochs == scheduler.num_bad_epochs
        expected = made.param_groups[0]["lr"]
        assert learning_rate(recipe, 5, 10, 2, memory) == pytest.approx(expected, rel=1e-9)


def test_plateau_by_hand() -> None:
    recipe = Recipe(lr=0.2, schedule="plateau", patience=2, gamma=0.5)
    memory, factors = Plateau(), []
    for loss in (1.0, 1.0, 0.99995, 1.2, 0.5, 0.6, 0.6, 0.6, 0.6):
        memory = memory.after(loss, recipe)
        factors.append(memory.factor)
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert memory == Plateau(0.25, 0.5, 1)
    assert learning_rate(recipe, 0, 10, 2) == 0.2


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "step", "constant"])
def test_only_the_plateau_schedule_heeds_the_memory(schedule: str) -> None:
    """Training updates the plateau for every schedule, so the others must ignore it."""
    low, recipe = Plateau(0.5, 0.1, 1), Recipe(schedule=schedule)
    assert learning_rate(recipe, 3, 10, 2, low) == learning_rate(recipe, 3, 10, 2)


# Averaging --------------------------------------------------------------------------------------


def test_decay_by_hand() -> None:
    recipe = Recipe(ema=0.998)
    assert decay(recipe, 0) == 0.1
    assert decay(recipe, 8) == 0.5
    assert decay(recipe, 4489) == 4490 / 4499
    assert decay(recipe, 4490) == 0.998  # the ramp reaches it at n = 8 / 0.002 + 490
    assert decay(recipe, 10**9) == 0.998
    assert decay(Recipe(ema=0.05), 0) == 0.05
    assert decay(Recipe(ema=0.0), 100) == 0.0


@quick
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10**6))
def test_decay_rises_up_to_the_largest(ema: float, step: int) -> None:
    recipe = Recipe(ema=ema)
    assert 0 <= decay(recipe, step) <= decay(recipe, step + 1) <= ema
