"""From a design to a plain PyTorch module.

The module is an `nn.Sequential` with one child a layer, each an `nn.Sequential` of its named
operations, so that the keys of its `state_dict` can be read: `0.conv.weight`, `0.norm.bias`,
`3.add.body.0.conv.weight`, `5.linear.weight`. Inside, every tensor is `(N, C, H, W)`, what a
linear layer gives included; class scores come out as `(N, classes)`.
"""

from __future__ import annotations

import copyreg
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
import torchinfo
from torch import Tensor, nn
from torch.nn import functional

from lightsearch.design.fields import specs
from lightsearch.design.parts import Layer, Seq, kind_of, register_kind
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network.cost import Cost
from lightsearch.network.cost import cost as cost_of
from lightsearch.network.lowering import Costing, lower, register_cost
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    ChannelGate,
    Conv2d,
    Custom,
    Dense,
    Drop,
    GlobalPool,
    Op,
    Pool,
    Squeeze,
    Step,
)
from lightsearch.shapes import Shape

Make: TypeAlias = Callable[[Any, Shape], nn.Module]
_MAKERS: dict[type[Layer], Make] = {}
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "hardswish": nn.Hardswish,
}


def build(design: Seq, shape: Shape = (1, 28, 28)) -> nn.Sequential:
    """The PyTorch module of `design` for images of `shape` (channels, height, width).

    >>> import torch
    >>> from lightsearch import conv, gap, linear, seq
    >>> from lightsearch.network.modules import build
    >>> module = build(seq(conv(8), gap(), linear(10)))
    >>> module(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    >>> list(dict(module.named_parameters()))[:2]
    ['0.conv.weight', '0.norm.weight']

    A design that ends in one pixel gives `(N, features)`; any other gives `(N, C, H, W)`. Weights
    are PyTorch's default initial ones, drawn from its global generator.

    Raises `DesignError`, as `cost` does, for a layer that does not fit its input.
    """
    return assemble(cost_of(design, shape))


def assemble(costed: Cost) -> nn.Sequential:
    """The module of layers that are lowered already."""
    module = _stacked(costed.steps)
    if costed.shape[1:] == (1, 1):
        module.add_module("flatten", nn.Flatten())
    return module


def summary(design: Seq, shape: Shape = (1, 28, 28)) -> str:
    """The torchinfo table of the built module, for one image.

    >>> from lightsearch import conv, gap, linear, seq
    >>> "Total params: 178" in summary(seq(conv(8), gap(), linear(10)))
    True

    Its multiply-adds count biases and batch norm too, which `cost` does not.
    """
    module = build(design, shape)
    columns = ("output_size", "num_params", "mult_adds")
    return str(torchinfo.summary(module, (1, *shape), depth=8, col_names=columns, verbose=0,
                                 row_settings=("var_names",), device="cpu"))


def provide_module(cls: type[Layer], make: Make) -> None:
    """Say how the module of a user's own layer kind is made: `make(layer, shape) -> nn.Module`."""
    _MAKERS[cls] = make


def register(name: str, cls: type[Layer], *, cost: Costing, module: Make) -> None:
    """Add a layer kind: its name in the notation, what it costs, and its module.

    >>> from dataclasses import dataclass
    >>> from torch import nn
    >>> from lightsearch.network.modules import build, register
    >>> from lightsearch.design import Layer, integer, seq
    >>> from lightsearch.network.operations import Local
    >>> @dataclass(frozen=True, slots=True, repr=False)
    ... class Shuffle(Layer):
    ...     groups: int = integer(2)
    >>> register("shuffle", Shuffle, cost=lambda layer, shape: Local(shape),
    ...          module=lambda layer, shape: nn.ChannelShuffle(layer.groups))
    >>> build(seq(Shuffle(4)), (8, 5, 5))[0]
    Sequential(
      (shuffle): ChannelShuffle(groups=4)
    )

    `cls` is a frozen, slotted dataclass derived from `Layer`; `cost(layer, shape)` gives a `Local`
    and `module(layer, shape)` an `nn.Module`, for an input of shape (channels, height, width).
    A layer takes both along when it is pickled, so they may be defined in a script or a notebook
    and are known to the workers of a search.

    Raises `DesignError` for a name that is taken, `ArgumentError` for a class that is no `Layer`;
    `build` raises `DesignError` for a module with other than the parameters that its cost says.
    """
    if not (isinstance(cls, type) and issubclass(cls, Layer)):
        raise ArgumentError(f"`cls` must be a class derived from Layer, but got cls={cls!r}")
    for label, value in (("cost", cost), ("module", module)):
        if not callable(value):
            raise ArgumentError(f"`{label}` must be callable, but got {label}={value!r}")
    register_kind(name, cls)
    register_cost(cls, cost)
    provide_module(cls, module)
    copyreg.pickle(cls, functools.partial(_sent, name, cost, module))


def _sent(name: str, cost: Costing, module: Make, layer: Layer) -> tuple[Any, ...]:
    """How a layer of a user's kind is pickled: with its registration, which workers lack."""
    values = tuple(getattr(layer, spec.name) for spec in specs(type(layer)))
    return _received, (name, type(layer), cost, module, values)


def _received(name: str, cls: type[Layer], cost: Costing, module: Make,
              values: tuple[Any, ...]) -> Layer:
    if cls not in _MAKERS:
        register(name, cls, cost=cost, module=module)
    return cls(*values)


# Operations as modules --------------------------------------------------------------------------


class FlatLinear(nn.Linear):
    """A linear layer on the flattened input; gives `(N, features, 1, 1)`: anything may follow."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))[:, :, None, None]


class GlobalGate(nn.Module):
    """Each channel times the sigmoid of its global average."""

    def forward(self, input: Tensor) -> Tensor:
        return input * torch.sigmoid(input.mean((2, 3), keepdim=True))


class SqueezeExcitation(nn.Module):
    """Channels weighted by a two-layer network on their global averages (Hu et al. 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, input: Tensor) -> Tensor:
        hidden = torch.relu(self.reduce(input.mean((2, 3), keepdim=True)))
        return input * torch.sigmoid(self.expand(hidden))


class ResidualAdd(nn.Module):
    """`body` plus its input, which is resized to `size` and projected where these are given."""

    def __init__(self, body: nn.Sequential, size: tuple[int, int] | None,
                 project: nn.Conv2d | None) -> None:
        super().__init__()
        self.body = body
        self.size = size
        self.project = project

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.body(input)
        if self.size is not None:
            input = functional.interpolate(input, size=self.size, mode="nearest")
        if self.project is not None:
            input = self.project(input)
        return output + input

    def extra_repr(self) -> str:
        return "" if self.size is None else f"size={self.size}"


def _stacked(steps: Iterable[Step]) -> nn.Sequential:
    """One child a layer, each with its operations by name."""
    layers = (nn.Sequential(OrderedDict((name, _module(op)) for name, op in step.ops))
              for step in steps)
    return nn.Sequential(OrderedDict((str(index), layer) for index, layer in enumerate(layers)))


def _module(op: Op) -> nn.Module:
    if isinstance(op, Conv2d):
        return _conv(op)
    if isinstance(op, BatchNorm):
        return nn.BatchNorm2d(op.channels)
    if isinstance(op, Activation):
        return _ACTIVATIONS[op.name]()
    if isinstance(op, Drop):
        return nn.Dropout(op.rate) if op.per == "element" else nn.Dropout2d(op.rate)
    if isinstance(op, Pool):
        pool = nn.MaxPool2d if op.by == "max" else nn.AvgPool2d
        return pool(op.kernel, op.stride, op.padding)
    if isinstance(op, GlobalPool):
        return nn.AdaptiveAvgPool2d(1)
    if isinstance(op, Dense):
        return FlatLinear(op.inputs, op.outputs, op.bias)
    if isinstance(op, ChannelGate):
        return GlobalGate()
    if isinstance(op, Squeeze):
        return SqueezeExcitation(op.channels, op.hidden)
    if isinstance(op, Add):
        project = _conv(op.project) if op.project else None
        return ResidualAdd(_stacked(op.body), op.size, project)
    return _custom(op)


def _conv(op: Conv2d) -> nn.Conv2d:
    return nn.Conv2d(op.inputs, op.outputs, op.kernel, op.stride, op.padding,
                     groups=op.groups, bias=op.bias)


def _custom(op: Custom) -> nn.Module:
    kind = type(op.layer)
    if kind not in _MAKERS:
        raise DesignError(f"the layer kind {kind_of(kind)!r} must be registered with its module")
    module = _MAKERS[kind](op.layer, op.shape)
    if not isinstance(module, nn.Module):
        raise DesignError(f"the module of layer kind {kind_of(kind)!r} must be an nn.Module, "
                          f"but got {module!r}")
    found = sum(p.numel() for p in module.parameters())
    stated = lower(op.layer, op.shape).params
    if found != stated:  # the budget was checked by what is stated
        raise DesignError(f"the module of layer kind {kind_of(kind)!r} must have as many "
                          f"parameters as its cost says, {stated}, but has {found}")
    return module
