"""Public networks against modules written by hand, with the same weights: equal outputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightsearch.network.cost import cost
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse
from lightsearch.zoo.public import public_networks

torch.set_num_threads(1)
NAMES = tuple(public_networks)


def conv(
    inputs: int,
    out: int,
    k: int = 3,
    s: int = 1,
    p: int | None = None,
    *,
    d: int = 1,
    g: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Make a convolution; its padding keeps the size at stride 1."""
    padding = d * (k // 2) if p is None else p
    return nn.Conv2d(inputs, out, k, s, padding, dilation=d, groups=g, bias=bias)


def before(*layers: nn.Module, out: int) -> list[nn.Module]:
    """Put a norm, then a ReLU behind layers."""
    return [*layers, nn.BatchNorm2d(out), nn.ReLU()]


def after(*layers: nn.Module, out: int) -> list[nn.Module]:
    """Put a ReLU, then a norm behind layers."""
    return [*layers, nn.ReLU(), nn.BatchNorm2d(out)]


class Same(nn.Module):
    """TensorFlow's "same" for a 3x3 window with stride 2 on an even size."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inside(functional.pad(x, (0, 1, 0, 1)))
        return out


class Joined(nn.Module):
    """What two modules make of the same input, joined by a function."""

    def __init__(
        self, join: Callable[[Tensor, Tensor], Tensor], one: nn.Module, two: nn.Module
    ) -> None:
        super().__init__()
        self.join, self.one, self.two = join, one, two

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.one(x), self.two(x))


def plus(one: nn.Module, two: nn.Module) -> nn.Module:
    return Joined(torch.add, one, two)


def plus_relu(one: nn.Module, two: nn.Module) -> nn.Module:
    return Joined(lambda x, y: torch.relu(x + y), one, two)


def eva6(norm: Callable[[int], nn.Module], rate: float) -> nn.Module:
    def block(inputs: int, out: int, k: int = 3) -> list[nn.Module]:
        return [conv(inputs, out, k, p=0), norm(out), nn.ReLU(), nn.Dropout(rate)]

    return nn.Sequential(
        *block(1, 8),
        *block(8, 16),
        nn.MaxPool2d(2, 2),
        *block(16, 8, 1)[:3],
        *block(8, 12),
        *block(12, 16),
        *block(16, 20),
        nn.AvgPool2d(6),
        *block(20, 16, 1),
        conv(16, 10, 1),
        nn.Flatten(),
    )


def era_s8() -> nn.Module:
    def block(inputs: int, out: int) -> list[nn.Module]:
        return after(conv(inputs, out), out=out)

    second = [*block(16, 16), *block(16, 16), *block(16, 32), conv(32, 16, 1), nn.ReLU()]
    return nn.Sequential(
        *block(3, 16),
        *block(16, 32),
        conv(32, 16, 1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        plus(nn.Identity(), nn.Sequential(*second)),
        nn.MaxPool2d(2, 2),
        plus(nn.Identity(), nn.Sequential(*block(16, 16), *block(16, 16), *block(16, 16))),
        nn.AdaptiveAvgPool2d(1),
        conv(16, 10, 1),
        nn.Flatten(),
    )


def era_s6() -> nn.Module:
    def block(inputs: int, out: int) -> list[nn.Module]:
        return [*before(conv(inputs, out), out=out), nn.Dropout(0.1)]

    return nn.Sequential(
        *block(1, 8),
        nn.MaxPool2d(2, 2),
        *block(8, 16),
        nn.MaxPool2d(2, 2),
        *block(16, 16),
        *block(16, 32),
        *block(32, 16),
        conv(16, 10, 1),
        nn.ReLU(),
        conv(10, 10, 7, p=0),
        nn.Flatten(),
    )


def eva5_s7() -> nn.Module:
    return nn.Sequential(
        *after(conv(3, 32, p=0), out=32),
        *after(conv(32, 64, p=2), out=64),
        conv(64, 64, 1),
        nn.MaxPool2d(2, 2),
        *after(conv(64, 128, p=0, d=2), out=128),
        nn.MaxPool2d(2, 2),
        *after(conv(128, 128, p=2), out=128),
        nn.MaxPool2d(2, 2),
        conv(128, 128, g=128, bias=True),
        conv(128, 64, 1, bias=True),
        nn.AvgPool2d(4),
        conv(64, 10, 1),
        nn.Flatten(),
    )


def era1_s9() -> nn.Module:
    layers: list[nn.Module] = []
    inputs = 3
    for out, p, d in ((64, 1, 2), (64, 1, 4), (32, 0, 8), (32, 0, 16)):
        drop = nn.Dropout(0.05)
        layers += [*before(conv(inputs, out, p=p), out=out), drop]
        layers += [*before(conv(out, out, p=p, g=out), out=out), drop, conv(out, out, 1)]
        layers += [*before(conv(out, out, d=d), out=out), drop]
        inputs = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), conv(32, 10, 1), nn.Flatten())


def joshwarn() -> nn.Module:
    def end() -> list[nn.Module]:
        return [nn.LeakyReLU(0.2), nn.Dropout(0.1)]

    layers = [conv(1, 7, p=0, bias=True), nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Dropout(0.1)]
    for inputs, out in ((7, 10), (10, 10), (10, 11), (11, 12)):
        layers += [conv(inputs, inputs, p=0, g=inputs), conv(inputs, out, 1, bias=True), *end()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))


def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2, 2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def small(*layers: nn.Module, features: int, hidden: int = 0) -> nn.Module:
    """Layers, then one linear layer or two to ten classes."""
    head = [nn.Linear(features, hidden), nn.ReLU()] if hidden else []
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(hidden or features, 10))


def plain(inputs: int, out: int, k: int = 3) -> list[nn.Module]:
    return [conv(inputs, out, k, p=0, bias=True), nn.ReLU()]


def pytorch_mnist() -> nn.Module:
    return nn.Sequential(
        *plain(1, 32),
        *plain(32, 64),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def resnet8() -> nn.Module:
    def two(inputs: int, out: int, stride: int) -> nn.Module:
        first: nn.Module = conv(inputs, out, s=stride, p=1 if stride == 1 else 0, bias=True)
        first = first if stride == 1 else Same(first)
        layers = before(first, out=out)
        return nn.Sequential(*layers, conv(out, out, bias=True), nn.BatchNorm2d(out))

    return nn.Sequential(
        *before(conv(3, 16, bias=True), out=16),
        plus_relu(two(16, 16, 1), nn.Identity()),
        plus_relu(two(16, 32, 2), conv(16, 32, 1, 2, bias=True)),
        plus_relu(two(32, 64, 2), conv(32, 64, 1, 2, bias=True)),
        nn.AvgPool2d(8),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def visual_wake_words() -> nn.Module:
    layers = before(Same(conv(3, 8, s=2, p=0, bias=True)), out=8)
    inputs = 8
    for out, s in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5):
        layers += depthwise_pair(inputs, out, s)
        inputs = out
    layers += [*depthwise_pair(128, 256, 2), *depthwise_pair(256, 256, 1)]
    return nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(256, 2))


def depthwise_pair(inputs: int, out: int, stride: int) -> list[nn.Module]:
    own: nn.Module = conv(inputs, inputs, g=inputs, bias=True)
    if stride == 2:
        own = Same(conv(inputs, inputs, s=2, p=0, g=inputs, bias=True))
    return [*before(own, out=inputs), *before(conv(inputs, out, 1, bias=True), out=out)]


def resnet20() -> nn.Module:
    def block(inputs: int, out: int, stride: int) -> nn.Module:
        body = [*before(conv(inputs, out, s=stride), out=out), conv(out, out), nn.BatchNorm2d(out)]
        shortcut: nn.Module = nn.Identity()
        if stride > 1:
            shortcut = nn.Sequential(conv(inputs, out, 1, stride), nn.BatchNorm2d(out))
        return plus_relu(nn.Sequential(*body), shortcut)

    blocks = [block(16, 16, 1) for _ in range(3)]
    for inputs, out in ((16, 32), (32, 64)):
        blocks += [block(inputs, out, 2), block(out, out, 1), block(out, out, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*before(conv(3, 16), out=16), *blocks, *head)


def squeeze0() -> nn.Module:
    def layer(inputs: int, out: int, k: int) -> nn.Module:
        return nn.Sequential(conv(inputs, out, k, bias=True), nn.ReLU())

    def fire(inputs: int, squeeze: int, expand: int) -> list[nn.Module]:
        branches = layer(squeeze, expand, 1), layer(squeeze, expand, 3)
        return [layer(inputs, squeeze, 1), Joined(lambda x, y: torch.cat((x, y), 1), *branches)]

    return nn.Sequential(
        layer(3, 64, 3),
        Same(nn.MaxPool2d(3, 2)),
        *fire(64, 16, 64),
        *fire(128, 16, 64),
        Same(nn.MaxPool2d(3, 2)),
        *fire(128, 32, 128),
        *fire(256, 32, 128),
        layer(256, 10, 1),
        nn.AvgPool2d(6),
        nn.Flatten(),
    )


def mobilenet2() -> nn.Module:
    layers, inputs = before(conv(3, 32), out=32), 32
    for expand, out, count, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for stride in (first, *[1] * (count - 1)):
            wide = expand * inputs
            body = nn.Sequential(
                *before(conv(inputs, wide, 1), out=wide),
                *before(conv(wide, wide, s=stride, g=wide), out=wide),
                conv(wide, out, 1),
                nn.BatchNorm2d(out),
            )
            shortcut: nn.Module = nn.Identity()
            if inputs != out:
                shortcut = nn.Sequential(conv(inputs, out, 1), nn.BatchNorm2d(out))
            layers.append(body if stride > 1 else plus(body, shortcut))
            inputs = out
    head = [nn.AvgPool2d(4), nn.Flatten(), nn.Linear(1280, 10)]
    return nn.Sequential(*layers, *before(conv(320, 1280, 1), out=1280), *head)


BY_HAND: dict[str, Callable[[], nn.Module]] = {
    "eva6-s5": lambda: eva6(nn.BatchNorm2d, 0.1),
    "eva6-s6-layer": lambda: eva6(lambda out: nn.GroupNorm(1, out), 0.025),
    "eva6-s6-group": lambda: eva6(lambda out: nn.GroupNorm(4, out), 0.025),
    "era-s8-batch": era_s8,
    "era-s6": era_s6,
    "eva5-s7-cifar": eva5_s7,
    "era1-s9-cifar": era1_s9,
    "joshwarn-997": joshwarn,
    "lenet5": lenet5,
    "keras-mnist": lambda: small(
        *plain(1, 32),
        nn.MaxPool2d(2),
        *plain(32, 64),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        features=1600,
    ),
    "embedia-8x8": lambda: small(
        *plain(1, 8), nn.MaxPool2d(2), *plain(8, 16, 2), features=64, hidden=16
    ),
    "embedia-14-k2": lambda: small(
        *plain(1, 8, 2), *plain(8, 8, 2), nn.MaxPool2d(4), features=72, hidden=16
    ),
    "mlperf-resnet8": resnet8,
    "mlperf-vww": visual_wake_words,
    "resnet20-b": resnet20,
    "pytorch-mnist": pytorch_mnist,
    "tf-12-filters": lambda: small(*plain(1, 12), nn.MaxPool2d(2), features=2028),
    "squeeze0-cifar": squeeze0,
    "mobilenetv2-cifar": mobilenet2,
}


def test_each_has_a_module_by_hand_and_comes_back_from_its_text() -> None:
    assert tuple(BY_HAND) == NAMES
    for one in public_networks.values():
        assert parse(str(one.design)) == one.design


@pytest.mark.parametrize("name", NAMES)
def test_the_built_module_gives_what_the_hand_written_one_gives(name: str) -> None:
    one = public_networks[name]
    ours, theirs = build(one.design, one.shape).double(), BY_HAND[name]().double()
    generator = torch.Generator().manual_seed(0)
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
        if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(part.weight, 0.5, 2.0, generator=generator)
            nn.init.normal_(part.bias, generator=generator)
    mine, hers = ours.state_dict(), theirs.state_dict()
    assert [value.shape for value in mine.values()] == [value.shape for value in hers.values()]
    ours.load_state_dict(dict(zip(mine, hers.values(), strict=True)))
    total = sum(parameter.numel() for parameter in theirs.parameters())
    assert cost(one.design, one.shape, one.classes).params == total
    assert one.params in (total, None)
    images = torch.randn(2, *one.shape, generator=generator, dtype=torch.double)
    with torch.no_grad():
        expected, found = theirs.eval()(images), ours.eval()(images)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_other_figures_as_published() -> None:
    """MACs, receptive fields and operations that the sources state."""
    costs = {name: cost(one.design, one.shape) for name, one in public_networks.items()}
    assert costs["embedia-8x8"].macs == 5_824
    assert costs["embedia-14-k2"].macs == 43_584
    assert [r.receptive_field for r in costs["era1-s9-cifar"].rows][-3] == 77
    # its count: twice the MACs, a bias and two operations of a ReLU for each output
    squeeze = costs["squeeze0-cifar"]
    outputs = sum(
        row.shape[0] * row.shape[1] * row.shape[2]
        for row in squeeze.rows
        if row.layer.startswith("conv(")
    )
    assert round((2 * squeeze.macs + 3 * outputs) / 1e6, 2) == 16.04
    assert round(squeeze.params / 1e6, 2) == 0.12
