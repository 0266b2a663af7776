"""Steps of recipes as a user writes them, in a module that workers can import."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightsearch import Recipe, register_augmentation, register_loss, register_optimizer


def like_sgd(
    parameters: list[nn.Parameter], recipe: Recipe, generator: torch.Generator
) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )


def like_adam(
    parameters: list[nn.Parameter], recipe: Recipe, generator: torch.Generator
) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True
    )


def like_cross_entropy(
    scores: Tensor, labels: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    return F.cross_entropy(scores, labels, label_smoothing=recipe.smoothing)


def unchanged(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    return images


class Noisy(torch.optim.Optimizer):
    """SGD with noise that falls, counted by numbers in its state and in its groups."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, generator: Any) -> None:
        super().__init__(parameters, {"lr": lr, "heat": 1.0, "turns": 0, "name": "noisy"})
        self.generator = generator

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            group["heat"] *= 0.9
            group["turns"] += 1
            for parameter in group["params"]:
                memory = self.state[parameter]
                memory["seen"] = memory.get("seen", 0) + 1
                memory["sum"] = memory.get("sum", torch.zeros_like(parameter)) + parameter.grad
                noise = self._noise(parameter)
                pull = memory["sum"] / memory["seen"] + 0.01 * group["heat"] * noise
                parameter.sub_(pull, alpha=group["lr"] / group["turns"] ** 0.5)

    def _noise(self, parameter: nn.Parameter) -> Tensor:
        return torch.randn(parameter.shape, generator=self.generator, device=parameter.device)


def noisy(
    parameters: list[nn.Parameter], recipe: Recipe, generator: torch.Generator
) -> torch.optim.Optimizer:
    return Noisy(parameters, recipe.lr, generator)


def speckled(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Noise by both generators: that which is given, and torch's own."""
    own = torch.rand(images.shape, generator=generator, device=images.device)
    return (images + 0.1 * own - 0.1 * torch.rand_like(images)).clamp(0, 1)


def register() -> None:
    register_optimizer("like_sgd", like_sgd)
    register_optimizer("like_adam", like_adam)
    register_optimizer("noisy", noisy)
    register_loss("like_cross_entropy", like_cross_entropy)
    register_augmentation("unchanged", unchanged)
    register_augmentation("speckled", speckled)
