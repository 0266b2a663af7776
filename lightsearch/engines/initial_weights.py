"""Initial weights: a function of the design and the seed, the same for every engine."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightsearch.design.parts import Design
from lightsearch.network.modules import build
from lightsearch.randomness import key, uniform
from lightsearch.shapes import Shape
from lightsearch.torch_modes import kept_generator


def seeded_module(design: Design, shape: Shape, seed: int) -> nn.Module:
    """Build the module of `design`. What its constructors draw depends on `seed` only."""
    with kept_generator():
        torch.default_generator.manual_seed(seed % 2**63)  # for users' own layers
        module: nn.Module = build(design, shape)
    return module


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """Draw the weights of convolutions and linear layers by their place in the module: uniform
    within 1 / sqrt(fan-in), PyTorch's own default. Batch norm starts as the identity."""
    weighted = (m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    for index, part in enumerate(weighted):
        bound = part.weight[0].numel() ** -0.5
        for name, tensor in (("weight", part.weight), ("bias", part.bias)):
            if tensor is not None:
                draw = uniform(
                    key(seed, "initial", index, name), *tensor.shape, device=tensor.device
                )
                tensor.copy_((2 * draw - 1) * bound)


@torch.no_grad()
def initial_weights(design: Design, shape: Shape, seed: int) -> dict[str, Tensor]:
    """The `state_dict` that training starts from, of a design without users' own layers.

    Nothing is drawn from PyTorch's generator, which belongs to the whole process.
    """
    with torch.device("meta"):
        module: nn.Module = build(design, shape)
    module.to_empty(device="cpu").float()  # else of the process's default type
    initialise(module, seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
        if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            for tensor, value in ((part.weight, 1.0), (part.bias, 0.0)):
                if tensor is not None:
                    tensor.fill_(value)
        elif isinstance(part, nn.PReLU):
            part.weight.fill_(part.init)
    return dict(module.state_dict())
