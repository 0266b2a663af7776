"""Layers against modules written by hand, with the same weights: the same output to 1e-6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightsearch import Budget, build, cost, fingerprint, parse, to_source
from lightsearch.engines.initial_weights import initial_weights
from lightsearch.engines.native.plan import supports
from lightsearch.errors import DesignError, NotationError
from lightsearch.shapes import Shape

torch.set_num_threads(1)
SHAPE = (4, 9, 7)
KNOWN = [  # fingerprints of before there were windows of two numbers
    ("conv(8) maxpool conv(16,p=0) gap linear(10)", "c2baa8d7a83e576e"),
    (
        "conv(8,k=5,s=2,d=2,p=1) separable(8,inner) avgpool(k=3,s=2,p=1) linear(10)",
        "f81fb96eba2eca9c",
    ),
    (
        "residual([depthwise(k=3)],project) loop([separable(1)],2) avgpool(k=28) linear(10)",
        "baa45d94112da6ec",
    ),
    ("inverted(8) ghost(8) pad(1,reflect) maxpool(k=30) linear(10)", "3eb80eb4ae4a644b"),
]


def no_gain(norm: nn.Module) -> nn.Module:
    """Take the gain of a norm away."""
    norm.register_parameter("weight", None)
    return norm


def match(text: str, theirs: nn.Module, shape: Shape = SHAPE) -> None:
    """Check that a design has the parameters and the outputs of a module, given its weights."""
    ours, generator = build(parse(text), shape), torch.Generator().manual_seed(0)
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.2, 1.0, generator=generator)
    mine, hers = ours.state_dict(), theirs.state_dict()
    assert [value.shape for value in mine.values()] == [value.shape for value in hers.values()]
    ours.load_state_dict(dict(zip(mine, hers.values(), strict=True)))
    total = sum(parameter.numel() for parameter in theirs.parameters())
    assert cost(parse(text), shape).params == total
    images = torch.randn(3, *shape, generator=generator)
    for train in (False, True):
        expected = theirs.train(train)(images)
        found = ours.train(train)(images)
        torch.testing.assert_close(found.flatten(1), expected.flatten(1), rtol=1e-6, atol=1e-6)


def block(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(*parts)


class Channels(nn.Module):
    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


class Ordered(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x[:, list(self.order)]


def normed(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Any:
    """Make a convolution with batch norm."""
    padding = kernel // 2
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Sum(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut, act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.body(x) + self.shortcut(x))


class OptionA(nn.Module):
    """The block of a ResNet with a shortcut of zeros (He et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = normed(4, 8, stride=2), normed(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return torch.relu(self.two(torch.relu(self.one(x))) + shortcut)


class ShuffleUnit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = normed(2, 6)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x[:, :2], torch.relu(self.body(x[:, 2:]))
        both = torch.cat((left, right), 1)
        return both.view(len(x), 2, 4, *x.shape[2:]).transpose(1, 2).reshape(both.shape)


class Ghost(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.primary, self.cheap = normed(4, 6, 1), normed(6, 6, groups=6)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.primary(x))
        return torch.cat((x, torch.relu(self.cheap(x))), 1)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        (
            "conv(8,d=2)",
            lambda: block(
                nn.Conv2d(4, 8, 3, padding=2, dilation=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()
            ),
        ),
        (
            "depthwise(k=3,d=3,p=1,s=2,norm=none,act=none)",
            lambda: nn.Conv2d(4, 4, 3, 2, 1, dilation=3, groups=4, bias=False),
        ),
        (
            "separable(6,last_bias,norm=none,d=2)",
            lambda: block(
                nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False),
                nn.Conv2d(4, 6, 1),
                nn.ReLU(),
            ),
        ),
        (
            "conv(8,group,ng=2)",
            lambda: block(
                nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.GroupNorm(2, 8), nn.ReLU()
            ),
        ),
        (
            "conv(8,layer,affine=none)",
            lambda: block(
                nn.Conv2d(4, 8, 3, padding=1, bias=False),
                nn.GroupNorm(1, 8, affine=False),
                nn.ReLU(),
            ),
        ),
        (
            "conv(8,shift,act-norm)",
            lambda: block(
                nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.ReLU(), no_gain(nn.BatchNorm2d(8))
            ),
        ),
        (
            "conv(8,k=3x1)",
            lambda: block(
                nn.Conv2d(4, 8, (3, 1), padding=(1, 0), bias=False), nn.BatchNorm2d(8), nn.ReLU()
            ),
        ),
        (
            "conv(6,k=2x3,s=1x2,p=0x2,d=3x1,g=2,bias,norm=none,act=none)",
            lambda: nn.Conv2d(4, 6, (2, 3), (1, 2), (0, 2), dilation=(3, 1), groups=2),
        ),
        (
            "depthwise(k=1x5,d=2,norm=none,act=none)",
            lambda: nn.Conv2d(4, 4, (1, 5), padding=(0, 4), dilation=(1, 2), groups=4, bias=False),
        ),
        (
            "separable(6,k=3x5,s=2x1,norm=none)",
            lambda: block(
                nn.Conv2d(4, 4, (3, 5), (2, 1), (1, 2), groups=4, bias=False),
                nn.Conv2d(4, 6, 1, bias=False),
                nn.ReLU(),
            ),
        ),
        (
            "conv(8,reflect)",
            lambda: block(
                nn.Conv2d(4, 8, 3, padding=1, bias=False, padding_mode="reflect"),
                nn.BatchNorm2d(8),
                nn.ReLU(),
            ),
        ),
        (
            "conv(6,k=5x3,s=1x2,d=1x2,g=2,replicate,bias,norm=none,act=none)",
            lambda: nn.Conv2d(
                4, 6, (5, 3), (1, 2), (2, 2), (1, 2), groups=2, padding_mode="replicate"
            ),
        ),
        (
            "depthwise(k=5,p=3x1,circular,bias,norm=none,act=none)",
            lambda: nn.Conv2d(4, 4, 5, padding=(3, 1), groups=4, padding_mode="circular"),
        ),
        (
            "separable(6,inner,reflect,act-norm)",
            lambda: block(
                nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False, padding_mode="reflect"),
                nn.ReLU(),
                nn.BatchNorm2d(4),
                nn.Conv2d(4, 6, 1, bias=False),
                nn.ReLU(),
                nn.BatchNorm2d(6),
            ),
        ),
        ("pad(2,a=1,circular)", lambda: nn.CircularPad2d((2, 1, 2, 1))),
        ("adaptive(3)", lambda: nn.AdaptiveAvgPool2d(3)),
        ("adaptive(4x5)", lambda: nn.AdaptiveAvgPool2d((4, 5))),
        ("adaptive(9x1)", lambda: nn.AdaptiveAvgPool2d((9, 1))),
        ("adaptive(1)", lambda: nn.AdaptiveAvgPool2d(1)),
        ("adaptive(12x99)", lambda: nn.AdaptiveAvgPool2d((12, 99))),  # more than there were
        ("adaptive(2x3,max)", lambda: nn.AdaptiveMaxPool2d((2, 3))),
        ("adaptive(3x7,max)", lambda: nn.AdaptiveMaxPool2d((3, 7))),
        ("adaptive(11,max)", lambda: nn.AdaptiveMaxPool2d(11)),
        ("maxpool(2x3)", lambda: nn.MaxPool2d((2, 3))),
        ("maxpool(k=3,s=2x1,p=1x0)", lambda: nn.MaxPool2d(3, (2, 1), (1, 0))),
        ("avgpool(k=1x4,s=1,p=0x2)", lambda: nn.AvgPool2d((1, 4), 1, (0, 2))),
        ("pad(1x0,a=0x2,replicate)", lambda: nn.ReplicationPad2d((0, 2, 1, 0))),
        (
            "inverted(4,e=2,k=3x1,relu)",
            lambda: Sum(
                block(
                    *normed(4, 8, 1),
                    nn.ReLU(),
                    nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8, bias=False),
                    nn.BatchNorm2d(8),
                    nn.ReLU(),
                    *normed(8, 4, 1),
                ),
                nn.Identity(),
                nn.Identity(),
            ),
        ),
        ("norm", lambda: nn.BatchNorm2d(4)),
        ("norm(affine=none)", lambda: nn.BatchNorm2d(4, affine=False)),
        ("norm(group,g=2,shift)", lambda: no_gain(nn.GroupNorm(2, 4))),
        ("norm(layer)", lambda: nn.GroupNorm(1, 4)),
        ("act(prelu)", lambda: nn.PReLU(4)),
        ("act(leakyrelu,slope=0.2)", lambda: nn.LeakyReLU(0.2)),
        ("split(1)", lambda: Channels(2, 4)),
        ("shuffle(2)", lambda: Ordered(0, 2, 1, 3)),
        ("widen(7)", lambda: nn.ConstantPad3d((0, 0, 0, 0, 1, 2), 0.0)),
        ("pad(1)", lambda: nn.ZeroPad2d(1)),
        ("pad(0,a=1,reflect)", lambda: nn.ReflectionPad2d((0, 1, 0, 1))),
        ("pad(2,replicate)", lambda: nn.ReplicationPad2d(2)),
        (
            "add([conv(6)],[conv(6,k=1,bias,norm=none)],relu)",
            lambda: Sum(
                block(*normed(4, 6), nn.ReLU()), block(nn.Conv2d(4, 6, 1), nn.ReLU()), nn.ReLU()
            ),
        ),
        (
            "add([conv(8,s=2) conv(8,act=none)],[avgpool(k=1,s=2) widen(8)],relu)",
            lambda: OptionA(),
        ),
        ("concat([split(0)],[split(1) conv(6)]) shuffle", lambda: ShuffleUnit()),
        ("conv(6,k=1) concat([],[depthwise])", lambda: Ghost()),
        ("linear(5,prelu)", lambda: block(nn.Flatten(), nn.Linear(252, 5), nn.PReLU(5))),
    ],
)
def test_a_layer_gives_what_pytorch_gives(text: str, make: Callable[[], nn.Module]) -> None:
    match(text, make())


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu6", lambda x: x.clamp(0, 6)),
        ("leakyrelu", lambda x: torch.where(x > 0, x, 0.01 * x)),
        ("tanh", torch.tanh),
        ("sigmoid", lambda x: 1 / (1 + torch.exp(-x))),
        ("hardsigmoid", lambda x: ((x + 3) / 6).clamp(0, 1)),
    ],
)
def test_activations_by_hand(name: str, function: Callable[[Tensor], Tensor]) -> None:
    images = 8 * torch.randn(2, *SHAPE)
    torch.testing.assert_close(build(parse(f"act({name})"), SHAPE)(images), function(images))


def test_layer_norm_by_hand() -> None:
    """Each image has a mean of 0 and a variance of 1 over all its channels and pixels."""
    images = 3 * torch.randn(2, *SHAPE) + 1
    flat = images.flatten(1)
    mean, variance = flat.mean(1, keepdim=True), flat.var(1, correction=0, keepdim=True)
    expected = ((flat - mean) / (variance + 1e-5).sqrt()).view_as(images)
    torch.testing.assert_close(build(parse("norm(layer)"), SHAPE)(images), expected)
    functional_one = functional.group_norm(images, 1)
    torch.testing.assert_close(expected, functional_one, rtol=1e-4, atol=1e-5)


def test_the_receptive_field_of_dilation() -> None:
    rows = cost(parse("conv(8,d=2) maxpool conv(8,d=4) conv(8,k=1,d=9)"), (1, 64, 64)).rows
    assert [row.receptive_field for row in rows] == [5, 6, 6 + 2 * 8, 6 + 2 * 8]
    assert {row.shape[1:] for row in rows[1:]} == {(32, 32)}


def test_the_receptive_field_of_two_numbers_is_the_smaller() -> None:
    shape = (1, 64, 64)
    costed = cost(parse("conv(8,k=3x1) conv(8,k=1x3) maxpool(k=2x1) conv(8,k=5x3)"), shape)
    assert [row.receptive_field for row in costed.rows] == [1, 3, 3, 5]
    assert (costed.receptive_fields, costed.jump) == ((4 + 2 * 4, 3 + 2), 1)
    assert Budget(min_receptive_field=5).exceeded(costed) is None
    assert Budget(min_receptive_field=6).exceeded(costed) == "min_receptive_field"
    strip = cost(parse("residual([conv(1,k=5x1)]) concat([conv(1,k=3x1)],[conv(1,k=1x7)])"), shape)
    assert strip.receptive_fields == (7, 7)


def test_a_square_pair_is_the_number() -> None:
    for one, other in (
        ("conv(8,k=3x3,s=2x2,d=2x2)", "conv(8,s=2,d=2)"),
        ("maxpool(3x3)", "maxpool(3)"),
        ("inverted(8,k=5x5)", "inverted(8,k=5)"),
    ):
        assert parse(one) == parse(other)
    for one, other in (
        ("avgpool(k=9x7)", "gap"),
        ("avgpool(k=9x7,s=1x2)", "gap"),
        ("maxpool(k=9x7,s=1x2)", "maxpool(k=9x7)"),
        ("conv(8,k=9x7,p=0,bias,norm=none,act=none)", "linear(8)"),
        ("avgpool(k=1,s=2x1)", "maxpool(k=1,s=2x1)"),
    ):
        assert fingerprint(parse(one), SHAPE) == fingerprint(parse(other), SHAPE)
    assert fingerprint(parse("conv(8,k=3x1)"), SHAPE) != fingerprint(parse("conv(8)"), SHAPE)
    assert fingerprint(parse("conv(8,k=3x1)"), SHAPE) != fingerprint(parse("conv(8,k=1x3)"), SHAPE)


def test_fingerprints_are_those_of_before() -> None:
    """Studies find their designs by them."""
    for text, known in KNOWN:
        assert fingerprint(parse(text), (1, 28, 28)) == known


def test_what_makes_no_difference_is_one_design() -> None:
    assert parse("conv(8,k=1,d=2)") == parse("conv(8,k=1)")
    assert parse("conv(8,norm=none,affine=none)") == parse("conv(8,norm=none)")
    assert parse("conv(8,ng=2)") == parse("conv(8)")
    assert parse("separable(8,bias,last_bias)") == parse("separable(8,bias)")
    assert parse("act(relu,slope=0.3)") == parse("act(relu)")
    assert parse("conv(8,d=2,p=2)") == parse("conv(8,d=2)")
    assert parse("maxpool(3) se(8)") == parse("maxpool(k=3) se(reduction=8)")
    for one, other in (
        ("conv(8) norm(by=none)", "conv(8)"),
        ("conv(8,act=none) act(relu)", "conv(8)"),
        ("separable(8,last_bias)", "depthwise(norm=none,act=none) conv(8,k=1,bias)"),
        ("norm(layer)", "norm(group,g=1)"),
    ):
        assert fingerprint(parse(one), SHAPE) == fingerprint(parse(other), SHAPE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv(8,group,ng=3)", "the groups of a group norm must divide its channels, but got 3"),
        ("gap conv(1,k=1,layer)", "norm must have more than one value, but got groups=1"),
        ("gap norm(group,groups=4)", "more than one value, but got groups=4 on an input of 4x1x1"),
        ("add([conv(8)],[])", "must have the same shape, but got 8x9x7 and 4x9x7"),
        ("concat([conv(8,p=0)],[])", "the same height and width, but got 8x7x5 and 4x9x7"),
        ("split(2)", "`part` must be below of=2, but got part=2"),
        ("split(0,of=3)", "`of` must divide the channels, but got of=3 with 4"),
        ("shuffle(3)", "`groups` must divide the channels, but got groups=3 with 4"),
        ("widen(3)", "`out` must be at least the channels, but got out=3 with 4"),
        ("pad(7,reflect)", "must be narrower than its image, but got 7 pixels on an input of 9x7"),
        (
            "conv(4) conv(8,k=3x9,p=0)",
            r"kernel=\(3, 9\) with padding=0 on an input of 9x7 at \[1\]",
        ),
        (
            "conv(4) residual([conv(4,k=3,p=1x7,reflect) conv(4,p=0x7)])",
            r"narrower than its image, but got 7 pixels on an input of 9x7 at body\[0\] at \[1\]",
        ),
        ("gap conv(4,reflect)", r"but got 1 pixels on an input of 1x1 at \[1\]"),
        ("conv(8,p=8,circular)", "must not be wider than its image, but got 8 pixels on an input"),
        ("conv(8,k=1x3,d=4,p=0)", r"kernel=\(1, 3\) with padding=0 and dilation=4 on an input"),
        (
            "pad(1x7,reflect)",
            "must be narrower than its image, but got 7 pixels on an input of 9x7",
        ),
        ("conv(8,d=4,p=0)", "kernel=3 with padding=0 and dilation=4 on an input of 9x7"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        cost(parse(text), SHAPE)


def test_two_empty_branches_are_refused() -> None:
    with pytest.raises(NotationError, match="`first` or `second` must have a layer, but got none"):
        parse("add([],[])")


def test_a_sum_with_the_input_is_a_residual() -> None:
    for text in ("add([conv(4)],[],relu)", "add([],[conv(4)],relu)"):
        assert fingerprint(parse(text), SHAPE) == fingerprint(
            parse("residual([conv(4)],relu)"), SHAPE
        )
    one, other = parse("add([conv(4)],[conv(4,k=1)])"), parse("concat([conv(4)],[conv(4,k=1)])")
    assert fingerprint(one, SHAPE) != fingerprint(other, SHAPE)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("inverted(4)", "residual([conv(24,k=1,relu6) depthwise(relu6) conv(4,k=1,act=none)])"),
        (
            "inverted(6,e=3,k=5,s=2,act=relu)",
            "conv(12,k=1) depthwise(k=5,s=2) conv(6,k=1,act=none)",
        ),
        ("inverted(6,e=1)", "depthwise(relu6) conv(6,k=1,act=none)"),
        ("inverted(4,e=1,prelu)", "residual([depthwise(prelu) conv(4,k=1,act=none)])"),
        ("ghost(6,k=5)", "conv(3,k=1) concat([],[depthwise(k=5)])"),
    ],
)
def test_blocks_stand_for_other_layers(short: str, long: str) -> None:
    """They are the same network: equal operations, cost and outputs."""
    ours, theirs = cost(parse(short), SHAPE), cost(parse(long), SHAPE)
    assert fingerprint(parse(short), SHAPE) == fingerprint(parse(long), SHAPE)
    for name in ("shape", "params", "macs", "activation_bytes", "receptive_field", "jump"):
        assert getattr(ours, name) == getattr(theirs, name)
    match(short, build(parse(long), SHAPE))
    loop = f"conv(4) loop([{short}],2)" if ours.shape == SHAPE else short
    assert to_source(parse(f"{loop} gap linear(3)"), shape=SHAPE)


def test_the_halves_of_a_ghost_are_equal() -> None:
    with pytest.raises(DesignError, match="`out` of a ghost must be even, but got out=7"):
        cost(parse("ghost(7)"), SHAPE)


def test_rows_and_windows_of_branches() -> None:
    found = cost(parse("conv(8) add([conv(8,k=5) conv(8)],[conv(8,k=1)]) gap"), (1, 20, 20))
    assert [(row.place, row.receptive_field) for row in found.rows] == [
        ("[0]", 3),
        ("[1].first[0]", 7),
        ("[1].first[1]", 9),
        ("[1].second[0]", 3),
        ("[1]", 9),
        ("[2]", 28),
    ]
    assert sum(row.params for row in found.rows) == found.params
    one_sided = cost(parse("add([pad(2,a=0) conv(1,p=0)],[pad(0,a=2) conv(1,p=0)])"), (1, 20, 20))
    assert one_sided.receptive_field == 5


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(NotationError, match="must be one of batch, group, layer, none"):
        parse("conv(8,norm=instance)")


@pytest.mark.parametrize(
    "text",
    [
        "conv(8,d=2)",
        "conv(8,reflect)",
        "conv(8,layer)",
        "conv(8,shift)",
        "conv(8,prelu)",
        "separable(8,last_bias)",
        "act(tanh)",
        "norm",
        "concat([],[gate])",
        "split(0)",
        "shuffle",
        "widen(9)",
        "pad(1)",
        "inverted(6)",
        "ghost(6)",
    ],
)
def test_the_native_engine_trains_every_layer(text: str) -> None:
    assert supports(parse(f"{text} gap linear(3)"), SHAPE)


def test_an_error_comes_where_pytorch_raises() -> None:
    """The widest border that fits is built and runs; PyTorch refuses one of a pixel more."""
    images = torch.zeros(1, *SHAPE)
    for border, most in (("reflect", (8, 6)), ("circular", (9, 7)), ("replicate", (9, 99))):
        for height, width in (most, (most[0] + 1, most[1]), (most[0], most[1] + 1)):
            text = f"conv(1,p={height}x{width},{border},norm=none)"
            theirs = nn.Conv2d(4, 1, 3, padding=(height, width), padding_mode=border)
            if (height, width) == most:
                assert build(parse(text), SHAPE)(images).shape == theirs(images).shape
            elif border != "replicate":
                with pytest.raises(DesignError, match="a border that"):
                    cost(parse(text), SHAPE)
                with pytest.raises(RuntimeError, match=r"(?i)padding"):
                    theirs(images)


def test_a_border_is_a_layer_in_front() -> None:
    one, other = parse("conv(8,k=5,reflect)"), parse("pad(2,reflect) conv(8,k=5,p=0)")
    ours, theirs = cost(one, SHAPE), cost(other, SHAPE)
    assert fingerprint(one, SHAPE) == fingerprint(other, SHAPE)
    for name in ("shape", "params", "macs", "activation_bytes", "receptive_field"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert fingerprint(one, SHAPE) != fingerprint(parse("conv(8,k=5)"), SHAPE)


@pytest.mark.parametrize(("before", "after"), [(7, 3), (8, 3), (11, 4), (28, 5), (5, 5), (3, 7)])
def test_the_receptive_field_of_adaptive_pooling_is_its_widest_window(
    before: int, after: int
) -> None:
    shape = (1, before, before)
    images = torch.ones(1, *shape, requires_grad=True)
    output = nn.AdaptiveAvgPool2d(after)(images)
    widths = []
    for index in range(after):
        (gradient,) = torch.autograd.grad(output[0, 0, index, 0], images, retain_graph=True)
        widths.append(int(gradient[0, 0].amax(1).count_nonzero()))
    found = cost(parse(f"adaptive({after})"), shape)
    assert (found.receptive_field, found.jump) == (max(widths), max(1, before // after))


def test_adaptive_pooling_is_the_pool_that_it_amounts_to() -> None:
    shape = (4, 12, 6)
    for one, other in (
        ("adaptive(1)", "gap"),
        ("adaptive(12x6)", ""),
        ("adaptive(4x2)", "avgpool(k=3)"),
        ("adaptive(6x2,max)", "maxpool(k=2x3)"),
        ("adaptive(12x2,max)", "maxpool(k=1x3)"),
    ):
        assert fingerprint(parse(one), shape) == fingerprint(parse(other), shape)
        match(f"{one} conv(2)", build(parse(f"{other} conv(2)"), shape), shape)
    assert supports(parse("adaptive(4x2) linear(3)"), shape)
    assert fingerprint(parse("adaptive(5)"), shape) != fingerprint(parse("adaptive(5,max)"), shape)


@pytest.mark.parametrize(
    "text",
    ["conv(4,k=3x1)", "depthwise(s=2x1)", "maxpool(2x1)", "conv(4,circular)", "adaptive(9x4)"],
)
def test_pytorch_trains_what_the_native_engine_does_not_know(text: str) -> None:
    assert not supports(parse(f"conv(4) residual([{text}]) gap linear(3)"), SHAPE)


def test_initial_weights_are_those_of_a_new_module() -> None:
    design = parse("conv(8,layer,prelu) norm(shift) norm(affine=none) linear(3)")
    fresh, drawn = build(design, SHAPE).state_dict(), initial_weights(design, SHAPE, 0)
    assert list(fresh) == list(drawn)
    for name, tensor in fresh.items():
        if "conv" not in name and "linear" not in name:
            assert torch.equal(tensor, drawn[name]), name
