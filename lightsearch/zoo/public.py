"""Networks of public repositories, as designs: those of the people that this library is for.

Each has the source from which its layers were read and the figures that the source publishes. This
file does not need torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightsearch.design.parts import Design
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape

_MNIST: Shape = (1, 28, 28)
_CIFAR: Shape = (3, 32, 32)


@dataclass(frozen=True, slots=True)
class PublicNetwork:
    """A public network. `params` and `best`, in percent, are as published; None is not published.

    `best` is the test accuracy of one run at its best epoch.
    """

    name: str
    source: str
    design: Design
    shape: Shape
    classes: int
    params: int | None
    best: float | None
    note: str = ""


def _make(
    name: str,
    source: str,
    design: str,
    params: int | None,
    best: float | None = None,
    *,
    shape: Shape = _MNIST,
    classes: int = 10,
    note: str = "",
) -> PublicNetwork:
    return PublicNetwork(name, source, parse(design), shape, classes, params, best, note)


def _eva6(norm: str, dropout: str) -> str:
    """Return the network of sessions 5 and 6, with the fields of its norms."""
    end = f"{norm}dropout={dropout}"
    return f"""conv(8,p=0,{end}) conv(16,p=0,{end}) maxpool conv(8,{norm}k=1)
        conv(12,p=0,{end}) conv(16,p=0,{end}) conv(20,p=0,{end}) avgpool(k=6)
        conv(16,k=1,{end}) conv(10,k=1,norm=none,act=none)"""


def _era_block(out: int, dilation: int, padding: str) -> str:
    return f"""conv({out},{padding}dropout=0.05) depthwise({padding}dropout=0.05)
        conv({out},k=1,norm=none,act=none) conv({out},d={dilation},dropout=0.05) """


def _separable(out: int) -> str:
    return f"""separable({out},p=0,last_bias,norm=none,act=none) act(leakyrelu,slope=0.2)
        dropout(0.1) """


def _resnet20_stage(out: int) -> str:
    return f"""add([conv({out},s=2) conv({out},act=none)],[conv({out},k=1,s=2,act=none)],relu)
        residual([conv({out}) conv({out},act=none)],relu)*2 """


def _resnet8_stage(out: int) -> str:
    return f"""add([pad(0,a=1) conv({out},s=2,p=0,bias) conv({out},bias,act=none)],
        [conv({out},k=1,s=2,bias,norm=none,act=none)],relu) """


def _fire(squeeze: int, expand: int) -> str:
    return f"""conv({squeeze},k=1,bias,norm=none)
        concat([conv({expand},k=1,bias,norm=none)],[conv({expand},bias,norm=none)]) """


def _mobilenet() -> str:
    """Return MobileNet v1 of a quarter of its width, with TensorFlow's padding at stride 2."""
    parts = ["pad(0,a=1) conv(8,s=2,p=0,bias)"]
    for out, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)):
        depthwise = "depthwise(bias)" if stride == 1 else "pad(0,a=1) depthwise(s=2,p=0,bias)"
        parts.append(f"{depthwise} conv({out},k=1,bias)")
    parts.append("[depthwise(bias) conv(128,k=1,bias)]*5 pad(0,a=1) depthwise(s=2,p=0,bias)")
    parts.append("conv(256,k=1,bias) depthwise(bias) conv(256,k=1,bias) avgpool(k=3) linear(2)")
    return " ".join(parts)


def _mobilenet2() -> str:
    """Return MobileNet v2 for 32x32 images."""
    parts, inputs = ["conv(32)"], 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
    for expand, out, count, first in (*stages, (6, 160, 3, 2), (6, 320, 1, 1)):
        for stride in (first, *[1] * (count - 1)):
            body = f"conv({expand * inputs},k=1) depthwise(s={stride}) conv({out},k=1,act=none)"
            shortcut = f"[conv({out},k=1,act=none)]" if inputs != out else "[]"
            parts.append(body if stride > 1 else f"add([{body}],{shortcut})")
            inputs = out
    return " ".join([*parts, "conv(1280,k=1) avgpool(k=4) linear(10)"])


_NETWORKS = (
    _make(
        "eva6-s5",
        "vivek-a81/EVA6, session 5",
        _eva6("", "0.1"),
        7_496,
        99.56,
        note="The rate of its dropout is that of the list from which this zoo was made.",
    ),
    _make(
        "eva6-s6-layer",
        "vivek-a81/EVA6, session 6",
        _eva6("layer,", "0.025"),
        7_496,
        99.55,
        note="25 epochs. Its layer norm is GroupNorm(1, channels).",
    ),
    _make(
        "eva6-s6-group",
        "vivek-a81/EVA6, session 6",
        _eva6("group,", "0.025"),
        7_496,
        99.46,
        note="25 epochs.",
    ),
    _make(
        "era-s8-batch",
        "RaviNaik/ERA-SESSION8",
        """conv(16,act-norm) conv(32,act-norm) conv(16,k=1,norm=none) maxpool
        residual([conv(16,act-norm)*2 conv(32,act-norm) conv(16,k=1,norm=none)]) maxpool
        residual([conv(16,act-norm)*3]) gap conv(10,k=1,norm=none,act=none)""",
        22_672,
        76.24,
        shape=_CIFAR,
    ),
    _make(
        "era-s6",
        "RaviNaik/ERA-S6-Assignment-Solution",
        """conv(8,dropout=0.1) maxpool conv(16,dropout=0.1) maxpool conv(16,dropout=0.1)
        conv(32,dropout=0.1) conv(16,dropout=0.1) conv(10,k=1,norm=none)
        conv(10,k=7,p=0,norm=none,act=none)""",
        17_980,
        99.34,
    ),
    _make(
        "eva5-s7-cifar",
        "nitinranjansharma/EVA5B2, session 7",
        """conv(32,p=0,act-norm) conv(64,p=2,act-norm) conv(64,k=1,norm=none,act=none) maxpool
        conv(128,p=0,d=2,act-norm) maxpool conv(128,p=2,act-norm) maxpool
        depthwise(bias,norm=none,act=none) conv(64,k=1,bias,norm=none,act=none) gap
        conv(10,k=1,norm=none,act=none)""",
        255_456,
        79.6,
        shape=_CIFAR,
    ),
    _make(
        "era1-s9-cifar",
        "ERA V1, session 9 (its layer table)",
        _era_block(64, 2, "")
        + _era_block(64, 4, "")
        + _era_block(32, 8, "p=0,")
        + _era_block(32, 16, "p=0,")
        + "gap conv(10,k=1,norm=none,act=none)",
        171_840,
        85.87,
        shape=_CIFAR,
        note="The table does not give the dilations. 2, 4, 8 and 16 keep its sizes and give the "
        "receptive field of 77 that the text states.",
    ),
    _make(
        "joshwarn-997",
        "JoshWarn/Parameter-Efficient-MNIST",
        "conv(7,p=0,bias,norm=none,act=none) act(leakyrelu,slope=0.2) maxpool dropout(0.1) "
        + "".join(_separable(out) for out in (10, 10, 11, 12))
        + "gap linear(10)",
        997,
        99.06,
        note="Up to 200 epochs.",
    ),
    _make(
        "lenet5",
        "planetopenllms/lenet",
        """conv(6,k=5,p=0,bias,norm=none,tanh) avgpool conv(16,k=5,p=0,bias,norm=none,tanh)
        avgpool linear(120,tanh) linear(84,tanh) linear(10)""",
        61_706,
        shape=(1, 32, 32),
    ),
    _make(
        "keras-mnist",
        "Keras' own example",
        """conv(32,p=0,bias,norm=none) maxpool conv(64,p=0,bias,norm=none) maxpool dropout(0.5)
        linear(10)""",
        34_826,
        99.25,
    ),
    _make(
        "embedia-8x8",
        "Embed-ML/EmbedIA",
        """conv(8,p=0,bias,norm=none) maxpool conv(16,k=2,p=0,bias,norm=none) linear(16,relu)
        linear(10)""",
        1_818,
        shape=(1, 8, 8),
        note="5,824 MACs published.",
    ),
    _make(
        "embedia-14-k2",
        "Embed-ML/EmbedIA",
        "conv(8,k=2,p=0,bias,norm=none)*2 maxpool(k=4) linear(16,relu) linear(10)",
        1_642,
        shape=(1, 14, 14),
        note="43,584 MACs published.",
    ),
    _make(
        "mlperf-resnet8",
        "mlcommons/tiny, image classification",
        "conv(16,bias) residual([conv(16,bias) conv(16,bias,act=none)],relu) "
        + _resnet8_stage(32)
        + _resnet8_stage(64)
        + "avgpool(k=8) linear(10)",
        78_186,
        shape=_CIFAR,
        note="Trainable parameters. TensorFlow pads on the right and below at stride 2.",
    ),
    _make(
        "mlperf-vww",
        "mlcommons/tiny, visual wake words",
        _mobilenet(),
        216_322,
        shape=(3, 96, 96),
        classes=2,
        note="Trainable parameters. TensorFlow pads on the right and below at stride 2.",
    ),
    _make(
        "resnet20-b",
        "He et al. 2016, option B; several copies",
        "conv(16) residual([conv(16) conv(16,act=none)],relu)*3 "
        + _resnet20_stage(32)
        + _resnet20_stage(64)
        + "gap linear(10)",
        272_474,
        shape=_CIFAR,
    ),
    _make(
        "pytorch-mnist",
        "PyTorch's own example",
        """conv(32,p=0,bias,norm=none) conv(64,p=0,bias,norm=none) maxpool dropout(0.25)
        linear(128,relu) dropout(0.5) linear(10)""",
        1_199_882,
    ),
    _make(
        "tf-12-filters",
        "TensorFlow model optimisation's example",
        "conv(12,p=0,bias,norm=none) maxpool linear(10)",
        20_410,
        97.9,
    ),
    _make(
        "squeeze0-cifar",
        "dacorvo/tensorsandbox",
        "conv(64,bias,norm=none) pad(0,a=1) maxpool(k=3,s=2) "
        + _fire(16, 64) * 2
        + "pad(0,a=1) maxpool(k=3,s=2) "
        + _fire(32, 128) * 2
        + "conv(10,k=1,bias,norm=none) gap",
        None,
        84.7,
        shape=(3, 24, 24),
        note="Published as 0.12 million parameters. Its operations, 16.04 million, are those of "
        "24x24 pixels and of two poolings.",
    ),
    _make(
        "mobilenetv2-cifar",
        "kuangliu/pytorch-cifar",
        _mobilenet2(),
        2_296_922,
        shape=_CIFAR,
    ),
)

public_networks: dict[str, PublicNetwork] = {one.name: one for one in _NETWORKS}
"""The public networks by name.

>>> from lightsearch.zoo.public import public_networks
>>> from lightsearch import cost
>>> one = public_networks["joshwarn-997"]
>>> one.params == cost(one.design, one.shape).params
True
"""
