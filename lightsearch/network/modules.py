"""From a design to a plain PyTorch module.

The module is an `nn.Sequential` with a child for each layer. Each child is an `nn.Sequential` of
named operations, which makes the keys of the `state_dict` readable: `0.conv.weight`,
`0.norm.bias`, `3.add.body.0.conv.weight`, `5.linear.weight`. In a loop each pass has a batch norm
of its own: `1.loop.body.0.norm.2.weight` for pass 2, from 0 on. Inside the module every tensor is
`(N, C, H, W)`, the output of a linear layer too. Class scores come out as `(N, classes)`.
"""

from __future__ import annotations

import copyreg
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torchinfo
from torch import Tensor, nn

from lightsearch.design.fields import specs
from lightsearch.design.parts import Layer, Seq, kind_of, register_kind
from lightsearch.errors import ArgumentError, DesignError, quote
from lightsearch.layer_warnings import call_layer, silence_layers
from lightsearch.network.blocks import BranchModules, Iteration, PassModules, ResidualAdd
from lightsearch.network.cost import Cost
from lightsearch.network.cost import cost as cost_of
from lightsearch.network.leaf_modules import build_leaf
from lightsearch.network.lowering import Costing, lower, register_cost
from lightsearch.network.operations import Add, Branches, Custom, Iterate, Op, PerPass, Step
from lightsearch.shapes import Shape
from lightsearch.torch_modes import kept_generator, plain_modes

ModuleMaker: TypeAlias = Callable[[Any, Shape], nn.Module]
_MAKERS: dict[type[Layer], ModuleMaker] = {}


def build(design: Seq | str, shape: Shape = (1, 28, 28)) -> nn.Sequential:
    """Build the PyTorch module of `design` for images of `shape` (channels, height, width).

    >>> import torch
    >>> from lightsearch import conv, gap, linear, seq
    >>> from lightsearch.network.modules import build
    >>> module = build(seq(conv(8), gap(), linear(10)))
    >>> module(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    >>> list(dict(module.named_parameters()))[:2]
    ['0.conv.weight', '0.norm.weight']

    The module returns `(N, features)` if the design ends in one pixel, and `(N, C, H, W)`
    otherwise. The weights are PyTorch's default initial ones, from its global generator.

    Raises `DesignError`, as `cost` does, for a layer that does not fit its input.
    """
    return assemble(cost_of(design, shape))


def assemble(costed: Cost) -> nn.Sequential:
    """Build the module from the lowered layers of `costed`."""
    module = _stack(costed.steps)
    if costed.shape[1:] == (1, 1):
        module.add_module("flatten", nn.Flatten())
    return module


def assemble_for(costed: Cost, weights: Mapping[str, Tensor]) -> nn.Sequential:
    """Build the module with trained weights. Those that it draws first are nobody's seed.

    Raises `RuntimeError`, as PyTorch does, for weights of another design.
    """
    with kept_generator():
        module = assemble(costed)
    module.load_state_dict(weights)
    return module


@plain_modes()
@kept_generator()  # torchinfo draws an image, too
def summary(design: Seq | str, shape: Shape = (1, 28, 28)) -> str:
    """Return the torchinfo table of the built module, for one image.

    >>> from lightsearch import conv, gap, linear, seq
    >>> "Total params: 178" in summary(seq(conv(8), gap(), linear(10)))
    True

    Its multiply-adds also count biases and batch norm, unlike `cost`.
    """
    module = build(design, shape)
    columns = ("output_size", "num_params", "mult_adds")
    return str(
        torchinfo.summary(
            module,
            (1, *shape),
            depth=8,
            col_names=columns,
            verbose=0,
            row_settings=("var_names",),
            device="cpu",
        )
    )


def register_module(cls: type[Layer], make: ModuleMaker) -> None:
    """Set the function that makes a user's own layer: `make(layer, shape) -> nn.Module`."""
    _MAKERS[cls] = make


def register(name: str, cls: type[Layer], *, cost: Costing, module: ModuleMaker) -> None:
    """Add a layer kind: its name in the notation, its cost and its module.

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

    `cls` is a frozen, slotted dataclass derived from `Layer`. `cost(layer, shape)` returns a
    `Local` and `module(layer, shape)` an `nn.Module`, for an input of shape (channels, height,
    width). A pickled layer carries both functions, so a script or a notebook may define them and
    the workers of a search know them.

    Raises `DesignError` for a name that is taken, and `ArgumentError` for a class that is no
    `Layer`. `build` raises `DesignError` if a module has other parameters than its cost states.
    """
    if not (isinstance(cls, type) and issubclass(cls, Layer)):
        raise ArgumentError(f"`cls` must be a class derived from Layer, but got cls={quote(cls)}")
    for label, value in (("cost", cost), ("module", module)):
        if not callable(value):
            raise ArgumentError(f"`{label}` must be callable, but got {label}={quote(value)}")
    register_kind(name, cls)
    register_cost(cls, cost)
    register_module(cls, module)
    copyreg.pickle(cls, functools.partial(_pickle_layer, name, cost, module))


def _pickle_layer(name: str, cost: Costing, module: ModuleMaker, layer: Layer) -> tuple[Any, ...]:
    """Pickle a layer of a user's kind with its registration, which workers lack."""
    values = tuple(getattr(layer, spec.name) for spec in specs(type(layer)))
    return _unpickle_layer, (name, type(layer), cost, module, values)


def _unpickle_layer(
    name: str, cls: type[Layer], cost: Costing, module: ModuleMaker, values: tuple[Any, ...]
) -> Layer:
    if cls not in _MAKERS:
        register(name, cls, cost=cost, module=module)
    with silence_layers(), call_layer():  # it was made, and has warned, where it comes from
        return cls(*values)


# Operations as modules --------------------------------------------------------------------------


def _stack(steps: Iterable[Step]) -> nn.Sequential:
    """Build a child for each layer, which holds its operations by name."""
    layers = (
        nn.Sequential(OrderedDict((name, _build_operation(op)) for name, op in step.ops))
        for step in steps
    )
    return nn.Sequential(OrderedDict((str(index), layer) for index, layer in enumerate(layers)))


def _build_operation(op: Op) -> nn.Module:
    if isinstance(op, Add):
        project = _build_operation(op.project) if op.project else None
        return ResidualAdd(_stack(op.body), op.size, project)
    if isinstance(op, Branches):
        return BranchModules(op.by, _stack(op.first), _stack(op.second))
    if isinstance(op, Iterate):
        return Iteration(_stack(op.body), op.passes)
    if isinstance(op, PerPass):
        return PassModules((_build_operation(op.op) for _ in range(op.passes)), op.each)
    return _build_custom(op) if isinstance(op, Custom) else build_leaf(op)


def _build_custom(op: Custom) -> nn.Module:
    kind = type(op.layer)
    if kind not in _MAKERS:
        raise DesignError(f"the layer kind {kind_of(kind)!r} must be registered with its module")
    module = _MAKERS[kind](op.layer, op.shape)
    if not isinstance(module, nn.Module):
        raise DesignError(
            f"the module of layer kind {kind_of(kind)!r} must be an nn.Module, but got {module!r}"
        )
    actual = sum(p.numel() for p in module.parameters())
    stated = lower(op.layer, op.shape).params
    if actual != stated:  # the check of the budget used the stated number
        raise DesignError(
            f"the module of layer kind {kind_of(kind)!r} must have as many "
            f"parameters as its cost says, {stated}, but has {actual}"
        )
    return module
