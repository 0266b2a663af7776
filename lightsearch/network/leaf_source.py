"""Operations that hold no others, as Python source in plain PyTorch. No torch is needed."""

from __future__ import annotations

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
from lightsearch.network.source_lines import Call, Expression, make_call
from lightsearch.network.windows import join_slides
from lightsearch.shapes import join_sides

_ACTIVATIONS = {
    "relu": "ReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "hardswish": "Hardswish",
    "relu6": "ReLU6",
    "leakyrelu": "LeakyReLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "hardsigmoid": "Hardsigmoid",
}
_BORDERS = {
    "zeros": "nn.ZeroPad2d",
    "reflect": "nn.ReflectionPad2d",
    "replicate": "nn.ReplicationPad2d",
    "circular": "nn.CircularPad2d",
}


def write_leaf(op: Leaf) -> Expression:
    """Return the expression that makes an operation's module."""
    if isinstance(op, Conv2d):
        return _make_convolution(op)
    if isinstance(op, BatchNorm | GroupNorm):
        return _make_norm(op)
    if isinstance(op, PRelu):
        return make_call("nn.PReLU", op.channels)
    if isinstance(op, Activation):
        return make_call(f"nn.{_ACTIVATIONS[op.name]}", negative_slope=(op.slope, 0.01))
    if isinstance(op, Drop):
        return make_call("nn.Dropout" if op.per == "element" else "nn.Dropout2d", op.rate)
    if isinstance(op, Pool):
        kernel, stride, padding, _ = join_slides(op.slides)
        head = "nn.MaxPool2d" if op.by == "max" else "nn.AvgPool2d"
        return make_call(head, kernel, stride=(stride, kernel), padding=(padding, 0))
    if isinstance(op, GlobalPool):
        return "nn.AdaptiveAvgPool2d(1)"
    if isinstance(op, AdaptivePool):
        head = "nn.AdaptiveMaxPool2d" if op.by == "max" else "nn.AdaptiveAvgPool2d"
        return make_call(head, join_sides(op.height, op.width))
    if isinstance(op, Dense):
        return make_call("nn.Linear", op.inputs, op.outputs, bias=(op.bias, True))
    if isinstance(op, ChannelGate):
        return "Gate()"
    if isinstance(op, Squeeze):
        return make_call("SqueezeExcitation", op.channels, op.hidden)
    return _make_move(op)


def _make_convolution(op: Conv2d) -> Call:
    kernel, stride, padding, dilation = join_slides(op.slides)
    return make_call(
        "nn.Conv2d",
        op.inputs,
        op.outputs,
        kernel,
        stride=(stride, 1),
        padding=(padding, 0),
        dilation=(dilation, 1),
        groups=(op.groups, 1),
        bias=(op.bias, True),
    )


def _make_norm(op: BatchNorm | GroupNorm) -> Call:
    counts = (op.channels,) if isinstance(op, BatchNorm) else (op.groups, op.channels)
    head = "nn.BatchNorm2d" if isinstance(op, BatchNorm) else "nn.GroupNorm"
    norm = make_call(head, *counts, affine=(op.affine != "none", True))
    return Call("without_gain", (("", norm),)) if op.affine == "shift" else norm


def _make_move(op: Slice | Extend | ShuffleChannels | Border) -> Call:
    if isinstance(op, Slice):
        return make_call("Channels", op.start, op.stop)
    if isinstance(op, Extend):
        return make_call("nn.ZeroPad3d", (0, 0, 0, 0, op.before, op.after))
    if isinstance(op, ShuffleChannels):
        return make_call("nn.ChannelShuffle", op.groups)
    return make_call(_BORDERS[op.mode], (op.left, op.right, op.top, op.bottom))
