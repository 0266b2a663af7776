"""The library's own optimizers, as PyTorch has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lightsearch.design.recipe import Recipe


def make_optimizer(
    recipe: Recipe, parameters: list[nn.Parameter], **how: bool
) -> torch.optim.Optimizer:
    """Make PyTorch's optimizer of a recipe. `how` chooses among its implementations."""
    shared: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, **how}
    groups: Any = parameters
    if recipe.decay_on == "weights":
        parts = [
            [p for p in parameters if (p.ndim > 1) == is_weight] for is_weight in (True, False)
        ]
        groups = [{"params": parts[0]}, {"params": parts[1], "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, momentum=recipe.momentum, nesterov=recipe.momentum > 0, **shared
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, **shared)
