"""Operations that hold no others, as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightsearch.network.blocks import ChannelSlice
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    BatchNorm,
    Border,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    Extend,
    GlobalPool,
    GroupNorm,
    Leaf,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
    Squeeze,
)
from lightsearch.network.windows import join_slides

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "relu6": nn.ReLU6,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
}
_BORDERS: dict[str, Callable[[tuple[int, int, int, int]], nn.Module]] = {
    "zeros": nn.ZeroPad2d,
    "reflect": nn.ReflectionPad2d,
    "replicate": nn.ReplicationPad2d,
    "circular": nn.CircularPad2d,
}


class FlatLinear(nn.Linear):
    """A linear layer on the flattened input.

    It returns `(N, features, 1, 1)`, so that any layer may follow.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))[:, :, None, None]


class GlobalGate(nn.Module):
    """Multiplies each channel by the sigmoid of its global average."""

    def forward(self, input: Tensor) -> Tensor:
        return input * torch.sigmoid(input.mean((2, 3), keepdim=True))


class SqueezeExcitation(nn.Module):
    """Weights the channels with a two-layer network on their global averages (Hu et al. 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, input: Tensor) -> Tensor:
        hidden = torch.relu(self.reduce(input.mean((2, 3), keepdim=True)))
        return input * torch.sigmoid(self.expand(hidden))


def build_leaf(op: Leaf) -> nn.Module:
    """Return the module of an operation, with PyTorch's own initial weights."""
    if isinstance(op, Conv2d):
        return _build_conv(op)
    if isinstance(op, BatchNorm | GroupNorm):
        return _build_norm(op)
    if isinstance(op, PRelu):
        return nn.PReLU(op.channels)
    if isinstance(op, Activation):
        return nn.LeakyReLU(op.slope) if op.name == "leakyrelu" else _ACTIVATIONS[op.name]()
    if isinstance(op, Drop):
        return nn.Dropout(op.rate) if op.per == "element" else nn.Dropout2d(op.rate)
    if isinstance(op, Pool):
        kernel, stride, padding, _ = join_slides(op.slides)
        return (nn.MaxPool2d if op.by == "max" else nn.AvgPool2d)(kernel, stride, padding)
    if isinstance(op, GlobalPool):
        return nn.AdaptiveAvgPool2d(1)
    if isinstance(op, AdaptivePool):
        adaptive = nn.AdaptiveMaxPool2d if op.by == "max" else nn.AdaptiveAvgPool2d
        return adaptive((op.height, op.width))
    if isinstance(op, Dense):
        return FlatLinear(op.inputs, op.outputs, op.bias)
    if isinstance(op, ChannelGate):
        return GlobalGate()
    if isinstance(op, Squeeze):
        return SqueezeExcitation(op.channels, op.hidden)
    return _build_move(op)


def _build_conv(op: Conv2d) -> nn.Conv2d:
    kernel, stride, padding, dilation = join_slides(op.slides)
    return nn.Conv2d(
        op.inputs,
        op.outputs,
        kernel,
        stride,
        padding,
        dilation=dilation,
        groups=op.groups,
        bias=op.bias,
    )


def _build_move(op: Slice | Extend | ShuffleChannels | Border) -> nn.Module:
    if isinstance(op, Slice):
        return ChannelSlice(op.start, op.stop)
    if isinstance(op, Extend):
        return nn.ZeroPad3d((0, 0, 0, 0, op.before, op.after))
    if isinstance(op, ShuffleChannels):
        return nn.ChannelShuffle(op.groups)
    return _BORDERS[op.mode]((op.left, op.right, op.top, op.bottom))


def _build_norm(op: BatchNorm | GroupNorm) -> nn.Module:
    affine = op.affine != "none"
    norm: nn.Module = (
        nn.BatchNorm2d(op.channels, affine=affine)
        if isinstance(op, BatchNorm)
        else nn.GroupNorm(op.groups, op.channels, affine=affine)
    )
    if op.affine == "shift":  # PyTorch's norms have both or none
        del (
            norm.weight
        )  # of ones, not of None: a GPU's batch norm needs it for the bias's gradient
        norm.register_buffer("weight", torch.ones(op.channels), persistent=False)
    return norm
