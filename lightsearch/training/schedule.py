"""Learning rates and averaging decays as pure functions of the step. No torch is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lightsearch.design.recipe import Recipe

THRESHOLD = 1e-4  # relative, as in torch.optim.lr_scheduler.ReduceLROnPlateau


@dataclass(frozen=True, slots=True)
class Plateau:
    """The state of the plateau schedule: factor, best loss, and epochs without a better one."""

    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0

    def after(self, loss: float, recipe: Recipe) -> Plateau:
        """Return the state after an epoch with this training loss."""
        if loss < self.best * (1 - THRESHOLD):
            return Plateau(self.factor, loss, 0)
        if self.bad_epochs + 1 > recipe.patience:
            return Plateau(self.factor * recipe.gamma, self.best, 0)
        return Plateau(self.factor, self.best, self.bad_epochs + 1)


def learning_rate(
    recipe: Recipe, step: int, steps: int, epochs: int, plateau: Plateau = Plateau()
) -> float:
    """Return the learning rate of `step` (from 0) of `steps` in all, over `epochs` epochs.

    `onecycle` equals `OneCycleLR(max_lr, total_steps, pct_start=warmup, div_factor=div,
    final_div_factor=final_div)`.
    """
    if recipe.schedule == "onecycle":
        return _onecycle(recipe, step, steps)
    if recipe.schedule == "cosine":
        return _cosine(recipe, step, steps)
    if recipe.schedule == "step":
        epoch = step * epochs // steps
        return recipe.lr * recipe.gamma ** (epoch // recipe.step_size)
    return recipe.lr * plateau.factor if recipe.schedule == "plateau" else recipe.lr


def _onecycle(recipe: Recipe, step: int, steps: int) -> float:
    start, end = recipe.lr / recipe.div, recipe.lr / recipe.div / recipe.final_div
    peak = recipe.warmup * steps - 1
    if step <= peak:
        return _interpolate(start, recipe.lr, step / peak if peak > 0 else 1.0)
    return _interpolate(recipe.lr, end, (step - peak) / (steps - 1 - peak))


def _interpolate(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _cosine(recipe: Recipe, step: int, steps: int) -> float:
    warm = recipe.warmup * steps
    if step < warm:
        return recipe.lr * (step + 1) / (warm + 1)
    return _interpolate(recipe.lr, 0.0, (step - warm) / max(1.0, steps - warm))


def decay(recipe: Recipe, step: int) -> float:
    """Return the decay of the moving average at `step` (from 0). It is smaller at first."""
    return min(recipe.ema, (1 + step) / (10 + step))
