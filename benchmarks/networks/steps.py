"""Steps of a recipe as a user writes them, for `recipes.py`: optimizers, a loss, augmentations."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightsearch import Recipe, register_augmentation, register_loss, register_optimizer

SLOW = 6  # steps of Lookahead's fast weights for one of its slow ones


class Lion(torch.optim.Optimizer):
    """Signs of an average of the gradients (Chen et al. 2023)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                memory = self.state[parameter]
                average = memory.setdefault("average", torch.zeros_like(parameter))
                sign = torch.lerp(parameter.grad, average, 0.9).sign_()
                parameter.mul_(1 - group["lr"] * group["decay"]).sub_(sign, alpha=group["lr"])
                average.lerp_(parameter.grad, 0.01)


class Muon(torch.optim.Optimizer):
    """Steps of equal length in all directions of a weight's matrix (Jordan et al. 2024).

    Convolutions and linear layers take the momentum made orthogonal by five steps of a
    Newton-Schulz iteration, as long as the weights are (as in airbench's networks for CIFAR-10).
    All other parameters take SGD with Nesterov's momentum, at the group's own rate.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                memory = self.state[parameter]
                average = memory.setdefault("average", torch.zeros_like(parameter))
                average.mul_(group["momentum"]).add_(parameter.grad)
                change = parameter.grad.add(average, alpha=group["momentum"])
                if parameter.ndim < 2:
                    parameter.sub_(change, alpha=group["lr"] * group["plain"])
                    continue
                length = parameter.norm().clamp(min=1e-7)
                parameter.mul_(len(parameter) ** 0.5 / length)
                matrix = change.flatten(1)
                parameter.sub_(orthogonal(matrix).view_as(parameter), alpha=group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with singular values of 1, by Jordan's quintic iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class ScheduleFree(torch.optim.Optimizer):
    """Schedule-free SGD (Defazio et al. 2024): gradients are taken between the fast weights and
    their mean, and so are accuracies here."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["steps"] = group["steps"] + 1
            warm = min(1.0, group["steps"] / group["warmup"])
            rate = group["lr"] * warm
            group["weight"] = group["weight"] + rate**2
            for parameter in group["params"]:
                memory = self.state[parameter]
                fast = memory.setdefault("fast", parameter.clone())
                mean = memory.setdefault("mean", parameter.clone())
                fast.sub_(parameter.grad, alpha=rate)
                mean.lerp_(fast, rate**2 / group["weight"])
                parameter.copy_(fast.lerp(mean, group["momentum"]))


class Lookahead(torch.optim.SGD):
    """SGD whose weights go half the way back every few steps (Zhang et al. 2019)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].setdefault("slow", parameter.clone())
        super().step()
        for group in self.param_groups:
            group["steps"] = group["steps"] + 1
            if group["steps"] % SLOW:
                continue
            for parameter in group["params"]:
                slow = self.state[parameter]["slow"]
                slow.lerp_(parameter, 0.5)
                parameter.copy_(slow)


@register_optimizer("lion")
def lion(parameters: list, recipe: Recipe, generator: torch.Generator) -> Lion:
    return Lion(parameters, {"lr": recipe.lr, "decay": recipe.weight_decay})


@register_optimizer("muon")
def muon(parameters: list, recipe: Recipe, generator: torch.Generator) -> Muon:
    plain = 10.0  # times the rate: 0.3 where the matrices have 0.03
    return Muon(parameters, {"lr": recipe.lr, "momentum": recipe.momentum, "plain": plain})


@register_optimizer("schedule-free")
def schedule_free(parameters: list, recipe: Recipe, generator: torch.Generator) -> ScheduleFree:
    warmup = 400  # steps: one of 15 epochs of 60,000 images in batches of 128 has 469
    given = {"lr": recipe.lr, "momentum": recipe.momentum, "warmup": warmup}
    return ScheduleFree(parameters, given | {"steps": 0, "weight": 0.0})


@register_optimizer("lookahead")
def lookahead(parameters: list, recipe: Recipe, generator: torch.Generator) -> Lookahead:
    made = Lookahead(parameters, lr=recipe.lr, momentum=recipe.momentum, nesterov=True)
    for group in made.param_groups:
        group["steps"] = 0
    return made


@register_loss("focal")
def focal(scores: Tensor, labels: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Easy images count less (Lin et al. 2017)."""
    losses = F.cross_entropy(scores, labels, reduction="none")
    return ((1 - torch.exp(-losses)) * losses).mean()


@register_augmentation("grain")
def grain(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + 0.05 * noise).clamp(0, 1)


@register_augmentation("elastic")
def elastic(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Elastic distortion (Simard, Steinkraus and Platt 2003): random shifts of all pixels, made
    smooth by a Gaussian of 4 pixels, a pixel long in the mean square."""
    count, _, height, width = images.shape
    shifts = torch.rand((count, 2, height, width), generator=generator, device=images.device)
    sigma, reach = 4.0, 12
    along = torch.arange(-reach, reach + 1, device=images.device) / sigma
    bell = torch.exp(-0.5 * along**2)
    bell = (bell / bell.sum()).view(1, 1, -1)
    smooth = (2 * shifts - 1).flatten(0, 1).unsqueeze(1)
    smooth = F.conv2d(smooth, bell.unsqueeze(2), padding=(0, reach))
    smooth = F.conv2d(smooth, bell.unsqueeze(3), padding=(reach, 0)).view_as(shifts)
    smooth = smooth / smooth.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
    sides = torch.tensor([width, height], device=images.device).view(1, 2, 1, 1)
    grid = F.affine_grid(
        torch.eye(2, 3, device=images.device).expand(count, 2, 3),
        [count, 1, height, width],
        align_corners=False,
    )
    moved = grid + (2 * smooth / sides).permute(0, 2, 3, 1)
    return F.grid_sample(images, moved, align_corners=False)
