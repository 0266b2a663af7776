"""What the engines' states have in common: their names, which are PyTorch's."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor

from lightsearch.recipe import Recipe

State: TypeAlias = dict[str, Tensor]


def below(state: State, prefix: str) -> State:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def memories(recipe: Recipe) -> tuple[str, ...]:
    """What the optimizer remembers of each parameter, in the parameter's shape."""
    if recipe.optimizer == "sgd":
        return ("momentum_buffer",) if recipe.momentum else ()
    return ("exp_avg", "exp_avg_sq")
