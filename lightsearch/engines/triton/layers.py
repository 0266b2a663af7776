"""Layers that compute with our Triton kernels, in place of a module's own ones.

They have the parameters, the names and, but for rounding, the results of PyTorch's layers. They
need contiguous float32 tensors on a GPU, and Triton.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from lightsearch.engines.triton.convolution import TritonConv2d, TritonFlatLinear
from lightsearch.engines.triton.norm import TritonBatchNorm2d
from lightsearch.engines.triton.pool import TritonMaxPool2d
from lightsearch.network.modules import FlatLinear

_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: TritonConv2d,
    nn.BatchNorm2d: TritonBatchNorm2d,
    nn.MaxPool2d: TritonMaxPool2d,
    FlatLinear: TritonFlatLinear,
}


def replace_layers(module: nn.Module) -> None:
    """Let the layers of a built module compute with our kernels, if they can.

    Parameters and their names stay; a ReLU beside a batch norm becomes part of it.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in _KINDS:
                setattr(parent, name, _with_class(child, _KINDS[type(child)]))
        if type(parent) is nn.Sequential:
            _take_relu(parent)


def try_out(device: str) -> None:
    """Raise whatever is raised where Triton cannot compile for a GPU, or not without a C
    compiler."""
    with torch.cuda.device(device):
        TritonMaxPool2d(2)(torch.zeros(1, 1, 2, 2, device=device))


def _with_class(child: nn.Module, kind: type[nn.Module]) -> nn.Module:
    made = kind.__new__(kind)
    made.__dict__.update(child.__dict__)
    return made


def _take_relu(stack: nn.Sequential) -> None:
    names = list(stack._modules)
    for name, following in itertools.pairwise(names):
        one, two = stack._modules[name], stack._modules[following]
        if isinstance(two, TritonBatchNorm2d) and type(one) is nn.ReLU:
            two.before = True
            stack._modules[name] = nn.Identity()
        elif isinstance(one, TritonBatchNorm2d) and not one.before and type(two) is nn.ReLU:
            one.after = True
            stack._modules[following] = nn.Identity()
