"""The built-in layer kinds. Their lower-case aliases are the constructors.

The three convolution kinds run their convolution, then normalisation and activation in the given
`order`, then dropout. Kernels, strides, paddings and dilations are in pixels: one number, or
(height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lightsearch.design.choice import Choice
from lightsearch.design.fields import body, flag, integer, is_choice, real, set_fields, word
from lightsearch.design.parts import Layer, Part, Seq, register_kind
from lightsearch.design.words import (
    ACTIVATIONS,
    AFFINES,
    BORDERS,
    NORMS,
    ORDERS,
    PER,
    SHARES,
    SHORTCUTS,
    ActivationName,
    AffineName,
    BorderName,
    NormName,
    OrderName,
    PerName,
    ShareName,
    ShortcutName,
)
from lightsearch.errors import DesignError
from lightsearch.shapes import Sides, both, join_sides

GROUPS = 4  # of a group norm, by default
MAX_KERNEL = 99
MAX_PASSES = 100


class _ConvolutionLayer(Layer):
    """Base of the convolution kinds. It resolves `same` padding and resets unused fields."""

    __slots__ = ()

    def settle(self) -> None:
        settle_convolution(self)


def settle_convolution(layer: Layer) -> None:
    kernel, padding = getattr(layer, "kernel"), getattr(layer, "padding")  # noqa: B009
    if not is_choice(kernel):
        set_fields(layer, dilation=_settle_dilation(kernel, getattr(layer, "dilation")))  # noqa: B009
    dilation, norm = getattr(layer, "dilation"), getattr(layer, "norm")  # noqa: B009
    if padding == "same" and not is_choice(kernel):
        if any(side % 2 == 0 for side in both(kernel)):
            raise DesignError(
                "`kernel` must be odd where padding='same', "
                f"but got kernel={kernel}: give the padding as a number"
            )
        if not is_choice(dilation):
            sides = zip(both(dilation), both(kernel), strict=True)
            set_fields(layer, padding=join_sides(*(step * (side // 2) for step, side in sides)))
    if getattr(layer, "padding") == 0:  # noqa: B009
        set_fields(layer, border="zeros")
    if "none" in (getattr(layer, "act"), norm):  # noqa: B009
        set_fields(layer, order="norm-act")
    if getattr(layer, "dropout") == 0.0:  # noqa: B009
        set_fields(layer, per="element")
    settle_norm(layer, norm, "norm_groups")


def _settle_dilation(kernel: Sides, dilation: Any) -> Any:
    """Return a dilation whose value along a side of one tap, where it does nothing, is no other
    than that along the other side."""
    if kernel == 1:
        return 1
    if is_choice(dilation):
        return dilation
    (height, width), (down, across) = both(kernel), both(dilation)
    return join_sides(across if height == 1 else down, down if width == 1 else across)


def settle_norm(layer: Layer, norm: Any, groups: str) -> None:
    """Reset what makes no difference to a norm that is decided."""
    if norm == "none":
        set_fields(layer, affine="both")
    if norm != "group" and not is_choice(norm):
        set_fields(layer, **{groups: GROUPS})


@dataclass(frozen=True, slots=True, repr=False)
class Conv(_ConvolutionLayer):
    """A convolution with `out` output channels; batch norm and ReLU follow by default.

    `padding="same"` (the default) is `kernel // 2`, for odd kernels. `border` is what
    it puts there, PyTorch's `padding_mode`. `per="channel"` drops whole channels (`Dropout2d`).

    >>> from lightsearch import conv
    >>> str(conv(16, kernel=1, act="gelu", dropout=0.1))
    'conv(16,k=1,gelu,dropout=0.1)'
    """

    out: int = integer()
    kernel: Sides = integer(3, short="k", high=MAX_KERNEL, pair=True)
    stride: Sides = integer(1, short="s", high=MAX_KERNEL, pair=True)
    padding: Sides | Literal["same"] = integer(
        "same", short="p", low=0, high=MAX_KERNEL, auto="same", pair=True
    )
    groups: int = integer(1, short="g")
    bias: bool = flag(False)
    norm: NormName = word("batch", NORMS)
    act: ActivationName = word("relu", ACTIVATIONS)
    order: OrderName = word("norm-act", ORDERS)
    dropout: float = real(0.0, high=1.0, below=True)
    per: PerName = word("element", PER)
    dilation: Sides = integer(1, short="d", high=MAX_KERNEL, pair=True)
    affine: AffineName = word("both", AFFINES)
    norm_groups: int = integer(GROUPS, short="ng")
    border: BorderName = word("zeros", BORDERS)


@dataclass(frozen=True, slots=True, repr=False)
class Depthwise(_ConvolutionLayer):
    """A depthwise convolution: `multiplier` output channels from each input channel."""

    kernel: Sides = integer(3, short="k", high=MAX_KERNEL, pair=True)
    stride: Sides = integer(1, short="s", high=MAX_KERNEL, pair=True)
    padding: Sides | Literal["same"] = integer(
        "same", short="p", low=0, high=MAX_KERNEL, auto="same", pair=True
    )
    multiplier: int = integer(1, short="m")
    bias: bool = flag(False)
    norm: NormName = word("batch", NORMS)
    act: ActivationName = word("relu", ACTIVATIONS)
    order: OrderName = word("norm-act", ORDERS)
    dropout: float = real(0.0, high=1.0, below=True)
    per: PerName = word("element", PER)
    dilation: Sides = integer(1, short="d", high=MAX_KERNEL, pair=True)
    affine: AffineName = word("both", AFFINES)
    norm_groups: int = integer(GROUPS, short="ng")
    border: BorderName = word("zeros", BORDERS)


@dataclass(frozen=True, slots=True, repr=False)
class Separable(_ConvolutionLayer):
    """A depthwise-separable convolution: depthwise, then 1x1 to `out` channels (Chollet 2017).

    Normalisation and activation follow the 1x1 convolution. With `inner`, they also follow the
    depthwise one. With `last_bias`, the 1x1 convolution has a bias and the depthwise one has none.
    """

    out: int = integer()
    kernel: Sides = integer(3, short="k", high=MAX_KERNEL, pair=True)
    stride: Sides = integer(1, short="s", high=MAX_KERNEL, pair=True)
    padding: Sides | Literal["same"] = integer(
        "same", short="p", low=0, high=MAX_KERNEL, auto="same", pair=True
    )
    inner: bool = flag(False)
    bias: bool = flag(False)
    norm: NormName = word("batch", NORMS)
    act: ActivationName = word("relu", ACTIVATIONS)
    order: OrderName = word("norm-act", ORDERS)
    dropout: float = real(0.0, high=1.0, below=True)
    per: PerName = word("element", PER)
    dilation: Sides = integer(1, short="d", high=MAX_KERNEL, pair=True)
    affine: AffineName = word("both", AFFINES)
    norm_groups: int = integer(GROUPS, short="ng")
    last_bias: bool = flag(False)
    border: BorderName = word("zeros", BORDERS)

    def settle(self) -> None:
        if self.bias is True:
            set_fields(self, last_bias=False)
        settle_convolution(self)


@dataclass(frozen=True, slots=True, repr=False)
class Linear(Layer):
    """A fully connected layer on the flattened input."""

    out: int = integer()
    bias: bool = flag(True)
    act: ActivationName = word("none", ACTIVATIONS)


@dataclass(frozen=True, slots=True, repr=False)
class Dropout(Layer):
    """Dropout as a layer of its own, of elements or of whole channels."""

    rate: float = real(high=1.0, below=True)
    per: PerName = word("element", PER)


@dataclass(frozen=True, slots=True, repr=False)
class Gate(Layer):
    """Multiply each channel by the sigmoid of its global average (document 004).

    It has no parameters.
    """


@dataclass(frozen=True, slots=True, repr=False)
class SqueezeExcite(Layer):
    """Squeeze-and-excitation (Hu et al. 2018): a two-layer network weights the channels.

    Its hidden layer has `max(1, channels // reduction)` units. Both layers have biases.
    """

    reduction: int = integer(4)


@dataclass(frozen=True, slots=True, repr=False)
class Residual(Layer):
    """The output of `body` plus the layer's input, then an optional activation.

    If the body changes height or width, nearest-neighbour resizing brings the input to the new
    size. `shortcut="project"` then sends it through a 1x1 convolution without bias.
    """

    body: Any = body()  # accepts layers in any form and stores them as a Seq
    shortcut: ShortcutName = word("identity", SHORTCUTS)
    act: ActivationName = word("none", ACTIVATIONS)

    def settle(self) -> None:
        if not self.body.parts:
            raise DesignError("residual: `body` must have at least one layer, but got none")


@dataclass(frozen=True, slots=True, repr=False)
class Loop(Layer):
    """A body that is applied `passes` times with the same weights, which count once.

    Each pass has batch norms and dropout masks of its own. The body must keep its shape. With
    `share="depthwise"`, only the kernels of depthwise convolutions are shared.

    >>> from lightsearch import cost, gap, linear, loop, separable, seq
    >>> each = [cost(seq(loop(separable(8), n), gap(), linear(10)), (8, 9, 9)) for n in (1, 2)]
    >>> each[1].params - each[0].params, each[1].receptive_field - each[0].receptive_field
    (16, 2)

    One pass is the body itself, and a loop of a loop is one loop. The literature speaks of
    weight sharing, of recursive (Kim et al. 2016) or of looped networks.
    """

    body: Any = body()
    passes: int = integer(high=MAX_PASSES, bare=True)
    share: ShareName = word("all", SHARES)

    def settle(self) -> None:
        if not self.body.parts:
            raise DesignError("loop: `body` must have at least one layer, but got none")
        if self.passes == 1:
            set_fields(self, share="all")
        inner = self.body.parts[0]
        if len(self.body.parts) > 1 or not isinstance(inner, Loop):
            return
        if is_choice(self.passes) or is_choice(inner.passes) or inner.share != self.share:
            return
        if self.passes * inner.passes <= MAX_PASSES:
            set_fields(self, body=inner.body, passes=self.passes * inner.passes)

    def unwrap(self) -> tuple[Part, ...]:
        whole: Seq = self.body
        return whole.parts if self.passes == 1 else (self,)

    def most_passes(self) -> int:
        return max(self.passes.options) if isinstance(self.passes, Choice) else self.passes


conv = Conv
depthwise = Depthwise
separable = Separable
linear = Linear
dropout = Dropout
gate = Gate
se = SqueezeExcite
residual = Residual
loop = Loop

for _name, _kind in {
    "conv": Conv,
    "depthwise": Depthwise,
    "separable": Separable,
    "linear": Linear,
    "dropout": Dropout,
    "gate": Gate,
    "se": SqueezeExcite,
    "residual": Residual,
    "loop": Loop,
}.items():
    register_kind(_name, _kind)
