"""The built-in layer kinds. Their lower-case aliases are the constructors.

Every convolution-like kind runs its convolution, then normalisation and activation in the given
`order`, then dropout. Kernels, strides and paddings are square and in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightsearch.design.fields import body, flag, integer, put, real, undecided, word
from lightsearch.design.parts import Layer, register_kind
from lightsearch.errors import DesignError

ACTIVATIONS = ("relu", "gelu", "silu", "hardswish", "none")
NORMS = ("batch", "none")
ORDERS = ("norm-act", "act-norm")
PER = ("element", "channel")
SHORTCUTS = ("identity", "project")
MAX_KERNEL = 99


class _Convolving(Layer):
    """What convolution-like kinds share: `same` padding, one form for fields without effect."""

    __slots__ = ()

    def settle(self) -> None:
        settle_convolution(self)


def settle_convolution(layer: Layer) -> None:
    kernel, padding = getattr(layer, "kernel"), getattr(layer, "padding")  # noqa: B009
    if padding == "same" and not undecided(kernel):
        if kernel % 2 == 0:
            raise DesignError("`kernel` must be odd where padding='same', "
                              f"but got kernel={kernel}: give the padding as a number")
        put(layer, padding=kernel // 2)
    if "none" in (getattr(layer, "act"), getattr(layer, "norm")):  # noqa: B009
        put(layer, order="norm-act")
    if getattr(layer, "dropout") == 0.0:  # noqa: B009
        put(layer, per="element")


@dataclass(frozen=True, slots=True, repr=False)
class Conv(_Convolving):
    """A convolution: `out` channels, then batch norm and ReLU unless told otherwise.

    `padding="same"` (the default) is `kernel // 2`, for odd kernels. `per="channel"` drops whole
    channels (`Dropout2d`).

    >>> from lightsearch import conv
    >>> str(conv(16, kernel=1, act="gelu", dropout=0.1))
    'conv(16,k=1,gelu,dropout=0.1)'
    """

    out: int = integer()
    kernel: int = integer(3, short="k", high=MAX_KERNEL)
    stride: int = integer(1, short="s", high=MAX_KERNEL)
    padding: int | str = integer("same", short="p", low=0, high=MAX_KERNEL, auto="same")
    groups: int = integer(1, short="g")
    bias: bool = flag(False)
    norm: str = word("batch", NORMS)
    act: str = word("relu", ACTIVATIONS)
    order: str = word("norm-act", ORDERS)
    dropout: float = real(0.0, high=1.0, below=True)
    per: str = word("element", PER)


@dataclass(frozen=True, slots=True, repr=False)
class Depthwise(_Convolving):
    """A depthwise convolution: each channel by itself, `multiplier` outputs for each."""

    kernel: int = integer(3, short="k", high=MAX_KERNEL)
    stride: int = integer(1, short="s", high=MAX_KERNEL)
    padding: int | str = integer("same", short="p", low=0, high=MAX_KERNEL, auto="same")
    multiplier: int = integer(1, short="m")
    bias: bool = flag(False)
    norm: str = word("batch", NORMS)
    act: str = word("relu", ACTIVATIONS)
    order: str = word("norm-act", ORDERS)
    dropout: float = real(0.0, high=1.0, below=True)
    per: str = word("element", PER)


@dataclass(frozen=True, slots=True, repr=False)
class Separable(_Convolving):
    """A depthwise-separable convolution: depthwise, then 1x1 to `out` channels (Chollet 2017).

    Normalisation and activation follow the 1x1 convolution; with `inner`, the depthwise one too.
    """

    out: int = integer()
    kernel: int = integer(3, short="k", high=MAX_KERNEL)
    stride: int = integer(1, short="s", high=MAX_KERNEL)
    padding: int | str = integer("same", short="p", low=0, high=MAX_KERNEL, auto="same")
    inner: bool = flag(False)
    bias: bool = flag(False)
    norm: str = word("batch", NORMS)
    act: str = word("relu", ACTIVATIONS)
    order: str = word("norm-act", ORDERS)
    dropout: float = real(0.0, high=1.0, below=True)
    per: str = word("element", PER)


class _Pooling(Layer):
    __slots__ = ()

    def settle(self) -> None:
        kernel, stride = getattr(self, "kernel"), getattr(self, "stride")  # noqa: B009
        padding = getattr(self, "padding")  # noqa: B009
        if stride == "kernel" and not undecided(kernel):
            put(self, stride=kernel)
        if not undecided(kernel) and not undecided(padding) and 2 * padding > kernel:
            raise DesignError("`padding` must be at most half the kernel, "
                              f"but got padding={padding} with kernel={kernel}")


@dataclass(frozen=True, slots=True, repr=False)
class MaxPool(_Pooling):
    """Max pooling; the stride is the kernel unless given, and sizes are rounded down."""

    kernel: int = integer(2, short="k", high=MAX_KERNEL)
    stride: int | str = integer("kernel", short="s", high=MAX_KERNEL, auto="kernel")
    padding: int = integer(0, short="p", low=0, high=MAX_KERNEL)


@dataclass(frozen=True, slots=True, repr=False)
class AvgPool(_Pooling):
    """Average pooling; the stride is the kernel unless given. Padded zeros are averaged in."""

    kernel: int = integer(2, short="k", high=MAX_KERNEL)
    stride: int | str = integer("kernel", short="s", high=MAX_KERNEL, auto="kernel")
    padding: int = integer(0, short="p", low=0, high=MAX_KERNEL)


@dataclass(frozen=True, slots=True, repr=False)
class Gap(Layer):
    """Global average pooling, to one pixel a channel."""


@dataclass(frozen=True, slots=True, repr=False)
class Linear(Layer):
    """A fully connected layer on the flattened input."""

    out: int = integer()
    bias: bool = flag(True)
    act: str = word("none", ACTIVATIONS)


@dataclass(frozen=True, slots=True, repr=False)
class Dropout(Layer):
    """Dropout on its own, of elements or of whole channels."""

    rate: float = real(high=1.0, below=True)
    per: str = word("element", PER)


@dataclass(frozen=True, slots=True, repr=False)
class Gate(Layer):
    """Each channel times the sigmoid of its global average; no parameters (document 004)."""


@dataclass(frozen=True, slots=True, repr=False)
class SqueezeExcite(Layer):
    """Squeeze-and-excitation (Hu et al. 2018): channels weighted by a two-layer network.

    Its hidden layer has `max(1, channels // reduction)` units; both layers have biases.
    """

    reduction: int = integer(4)


@dataclass(frozen=True, slots=True, repr=False)
class Residual(Layer):
    """`body` plus its input, then an optional activation.

    The input is brought to the body's height and width by nearest-neighbour resizing where they
    differ; `shortcut="project"` then sends it through a 1x1 convolution without bias.
    """

    body: Any = body()  # given as layers in any form, kept as a Seq
    shortcut: str = word("identity", SHORTCUTS)
    act: str = word("none", ACTIVATIONS)

    def settle(self) -> None:
        if not self.body.parts:
            raise DesignError("residual: `body` must have at least one layer, but got none")


conv = Conv
depthwise = Depthwise
separable = Separable
maxpool = MaxPool
avgpool = AvgPool
gap = Gap
linear = Linear
dropout = Dropout
gate = Gate
se = SqueezeExcite
residual = Residual

for _name, _kind in {
    "conv": Conv, "depthwise": Depthwise, "separable": Separable, "maxpool": MaxPool,
    "avgpool": AvgPool, "gap": Gap, "linear": Linear, "dropout": Dropout, "gate": Gate,
    "se": SqueezeExcite, "residual": Residual,
}.items():
    register_kind(_name, _kind)
