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
from lightsearch.network.blocks import PassModules
from lightsearch.network.leaf_modules import FlatLinear

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
            if type(child) in _KINDS and _is_plain(child):
                setattr(parent, name, _with_class(child, _KINDS[type(child)]))
    for stack in list(module.modules()):
        if type(stack) is nn.Sequential:
            _take_relu(stack)


def _is_plain(child: nn.Module) -> bool:
    """Whether our kernels compute what a layer does with its fields."""
    if isinstance(child, nn.Conv2d):
        windows = (child.kernel_size, child.stride, child.padding)
        square = all(isinstance(one, tuple) and one[0] == one[1] for one in windows)
        return square and child.dilation == (1, 1) and child.padding_mode == "zeros"
    if isinstance(child, nn.MaxPool2d):
        return not child.ceil_mode and child.dilation in (1, (1, 1)) and not child.return_indices
    return not isinstance(child, nn.BatchNorm2d) or (
        child.weight is not None and child.bias is not None
    )


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
        if type(one) is nn.ReLU and _norms(two):
            for norm in _norms(two):
                norm.before = True
            stack._modules[name] = nn.Identity()
        elif type(two) is nn.ReLU and _norms(one) and not any(n.before for n in _norms(one)):
            for norm in _norms(one):
                norm.after = True
            stack._modules[following] = nn.Identity()


def _norms(module: nn.Module | None) -> list[TritonBatchNorm2d]:
    """Return a batch norm of ours, or those of the passes of a loop."""
    parts = list(module) if isinstance(module, PassModules) else [module]
    norms = [part for part in parts if isinstance(part, TritonBatchNorm2d)]
    return norms if len(norms) == len(parts) else []
