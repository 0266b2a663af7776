"""Modules: their structure, their arithmetic by hand, users' own kinds, the torchinfo table."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_designs import Drawn, drawn, nasty, rich, uneven
from torch import Tensor, nn
from torch.nn import functional

from lightsearch.design import (
    Layer,
    Seq,
    avgpool,
    conv,
    depthwise,
    dropout,
    gap,
    gate,
    integer,
    linear,
    maxpool,
    parts,
    register_kind,
    residual,
    se,
    separable,
    seq,
)
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network import lowering
from lightsearch.network.cost import cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.network.lowering import register_cost
from lightsearch.network.modules import build, register, register_module, summary
from lightsearch.network.operations import Local
from lightsearch.shapes import Shape

torch.set_num_threads(1)
IMAGES = torch.randn(3, 4, 7, 9, generator=torch.Generator().manual_seed(0))


def _module(*layers: Layer) -> nn.Sequential:
    torch.manual_seed(1)
    return build(seq(*layers), (4, 7, 9)).eval()


def test_state_keys_say_where_a_weight_belongs() -> None:
    module = _module(
        conv(4, bias=True),
        separable(4, inner=True),
        residual(seq(depthwise(), residual(seq(conv(2)), shortcut="project")), shortcut="project"),
        se(),
        linear(3),
    )
    assert [name for name, _ in module.named_parameters()] == [
        "0.conv.weight",
        "0.conv.bias",
        "0.norm.weight",
        "0.norm.bias",
        "1.depthwise.weight",
        "1.norm1.weight",
        "1.norm1.bias",
        "1.pointwise.weight",
        "1.norm.weight",
        "1.norm.bias",
        "2.add.body.0.conv.weight",
        "2.add.body.0.norm.weight",
        "2.add.body.0.norm.bias",
        "2.add.body.1.add.body.0.conv.weight",
        "2.add.body.1.add.body.0.norm.weight",
        "2.add.body.1.add.body.0.norm.bias",
        "2.add.body.1.add.project.weight",
        "2.add.project.weight",
        "3.se.reduce.weight",
        "3.se.reduce.bias",
        "3.se.expand.weight",
        "3.se.expand.bias",
        "4.linear.weight",
        "4.linear.bias",
    ]


@pytest.mark.parametrize(
    ("layer", "names", "kinds"),
    [
        (
            conv(4, dropout=0.25),
            ["conv", "norm", "act", "drop"],
            [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout],
        ),
        (
            conv(4, order="act-norm", dropout=0.25, per="channel", act="gelu"),
            ["conv", "act", "norm", "drop"],
            [nn.Conv2d, nn.GELU, nn.BatchNorm2d, nn.Dropout2d],
        ),
        (conv(4, norm="none", act="silu"), ["conv", "act"], [nn.Conv2d, nn.SiLU]),
        (conv(4, norm="none", act="hardswish"), ["conv", "act"], [nn.Conv2d, nn.Hardswish]),
        (maxpool(3, stride=2, padding=1), ["pool"], [nn.MaxPool2d]),
        (avgpool(2), ["pool"], [nn.AvgPool2d]),
        (gap(), ["pool"], [nn.AdaptiveAvgPool2d]),
        (dropout(0.25), ["drop"], [nn.Dropout]),
    ],
)
def test_a_layer_is_made_of_named_operations(
    layer: Layer, names: list[str], kinds: list[type[nn.Module]]
) -> None:
    (child, *_) = _module(layer).children()
    assert [name for name, _ in child.named_children()] == names
    assert [type(operation) for operation in child.children()] == kinds
    for operation in child.children():
        if isinstance(operation, nn.Dropout | nn.Dropout2d):
            assert operation.p == 0.25
        if isinstance(operation, nn.GELU):
            assert operation.approximate == "none"


def test_convolution_fields_reach_the_module() -> None:
    (child, *_) = _module(conv(6, kernel=4, stride=3, padding=2, groups=2, bias=True)).children()
    convolution = child.get_submodule("conv")
    assert isinstance(convolution, nn.Conv2d)
    assert (
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        convolution.groups,
    ) == (4, 6, (4, 4), (3, 3), (2, 2), 2)
    assert convolution.bias is not None


def test_gate_by_hand() -> None:
    means = IMAGES.sum((2, 3)) / 63
    expected = IMAGES * (1 / (1 + torch.exp(-means)))[:, :, None, None]
    torch.testing.assert_close(_module(gate())(IMAGES), expected)


def test_squeeze_excitation_by_hand() -> None:
    module = _module(se(2))
    weights = dict(module.named_parameters())
    assert weights["0.se.reduce.weight"].shape == (2, 4, 1, 1)
    means = IMAGES.sum((2, 3)) / 63
    hidden = means @ weights["0.se.reduce.weight"].flatten(1).T + weights["0.se.reduce.bias"]
    scales = hidden.clamp(min=0) @ weights["0.se.expand.weight"].flatten(1).T
    scales = torch.sigmoid(scales + weights["0.se.expand.bias"])
    torch.testing.assert_close(module(IMAGES), IMAGES * scales[:, :, None, None])


def test_linear_by_hand_flattens_and_what_follows_sees_one_pixel() -> None:
    module = _module(linear(5, act="relu"), conv(3, kernel=1, norm="none", act="none"))
    first, bias, last = module.parameters()
    hidden = (IMAGES.reshape(3, -1) @ first.T + bias).clamp(min=0)
    torch.testing.assert_close(module(IMAGES), hidden @ last.flatten(1).T)


def test_residuals_by_hand() -> None:
    bare = conv(4, norm="none", act="none")
    module = _module(residual(seq(bare), act="relu"))
    (kernel,) = module.parameters()
    expected = torch.relu(functional.conv2d(IMAGES, kernel, padding=1) + IMAGES)
    torch.testing.assert_close(module(IMAGES), expected)

    module = _module(
        residual(seq(conv(5, padding=0, norm="none", act="none")), shortcut="project")
    )
    kernel, project = module.parameters()
    rows = [index * 7 // 5 for index in range(5)]
    columns = [index * 9 // 7 for index in range(7)]
    nearest = IMAGES[:, :, rows][:, :, :, columns]
    expected = functional.conv2d(IMAGES, kernel) + functional.conv2d(nearest, project)
    torch.testing.assert_close(module(IMAGES), expected)


def test_output_is_flat_only_from_one_pixel() -> None:
    assert _module(conv(5))(IMAGES).shape == (3, 5, 7, 9)
    assert _module(gap())(IMAGES).shape == (3, 4)
    assert _module(linear(6))(IMAGES).shape == (3, 6)
    assert build(seq(), (4, 7, 9))(IMAGES) is IMAGES


@settings(
    deadline=None,
    max_examples=50,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.one_of(drawn(nasty), drawn(rich), drawn(uneven)))
def test_built_modules_train_and_their_state_survives(one: Drawn) -> None:
    design, shape = one
    module = build(design, shape)
    images = torch.randn(2, *shape)
    output = module(images)
    assert output.shape[1:].numel() == torch.Size(cost(design, shape).shape).numel()
    if any(parameter.requires_grad for parameter in module.parameters()):
        output.sum().backward()
    again = build(design, shape)
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again.eval()(images), module.eval()(images))


def test_no_parts_are_shared_between_equal_layers() -> None:
    module = build(seq(conv(4), conv(4), conv(4)), (4, 7, 7))
    weights = [parameter.data_ptr() for parameter in module.parameters()]
    assert len(set(weights)) == len(weights) == 9


def test_summary_is_the_table_of_torchinfo() -> None:
    text = summary(seq(conv(8, kernel=1), residual(seq(conv(8))), gap(), linear(10)), (3, 12, 12))
    for piece in (
        "Total params: 722",
        "ResidualAdd (add)",
        "Conv2d (conv)",
        "[1, 8, 12, 12]",
        "[1, 10]",
    ):
        assert piece in text


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (seq(conv(8), maxpool(9)), r"`kernel` must fit its padded input, .* at \[1\]"),
        (seq(conv(3, groups=2)), r"`groups` must divide the output channels, .* at \[0\]"),
        (seq(residual(seq(conv(9)))), r"`shortcut` must be 'project' .* at \[0\]"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(design: Seq, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        build(design, (4, 7, 9))
    with pytest.raises(DesignError, match=message):
        summary(design, (4, 7, 9))


def test_an_invalid_shape_is_refused() -> None:
    bad: Any = (28, 28)
    with pytest.raises(ArgumentError, match="`shape` must be three integers >= 1"):
        build(seq(conv(8)), bad)


# Kinds of the user's own -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Scaled(Layer):
    """A 1x1 convolution to `out` channels, times a constant."""

    out: int = integer()
    times: int = integer(2)


class ScaledModule(nn.Module):
    def __init__(self, layer: Scaled, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(layer.out, shape[0], 1, 1))
        self.times = layer.times

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight) * self.times


def _scaled_cost(layer: Scaled, shape: Shape) -> Local:
    if layer.out % shape[0]:
        raise DesignError(f"`out` must be a multiple of {shape[0]}, but got out={layer.out}")
    count = layer.out * shape[0]
    return Local((layer.out, *shape[1:]), params=count, macs=count * shape[1] * shape[2])


@pytest.mark.usefixtures("registry")
def test_a_kind_of_the_users_own_is_costed_and_built() -> None:
    register("scaled", Scaled, cost=_scaled_cost, module=ScaledModule)
    design = seq(conv(4), residual(seq(Scaled(8)), shortcut="project"), gap(), linear(10))
    costed, module = cost(design, (1, 6, 6)), build(design, (1, 6, 6))
    assert costed.params == sum(p.numel() for p in module.parameters()) == 44 + 32 + 32 + 90
    assert costed.macs == 36 * 36 + 32 * 36 + 32 * 36 + 80
    assert "1.add.body.0.scaled.weight" in module.state_dict()
    alone = build(seq(Scaled(4, times=3)), (4, 7, 9))
    expected = 3 * IMAGES.sum(1, keepdim=True).expand(3, 4, 7, 9)
    torch.testing.assert_close(alone(IMAGES), expected)
    shape = (4, 7, 9)
    assert fingerprint(seq(Scaled(4)), shape) == fingerprint(seq(Scaled(4, times=2)), shape)
    assert fingerprint(seq(Scaled(4)), shape) != fingerprint(seq(Scaled(4, times=3)), shape)
    with pytest.raises(DesignError, match=r"must be a multiple of 4, but got out=6 at \[1\]$"):
        build(seq(conv(4), Scaled(6)), (1, 6, 6))


@dataclass(frozen=True, slots=True, repr=False)
class Tall(Layer):
    kernel: int | tuple[int, int] = integer(3, short="k", pair=True)


@pytest.mark.usefixtures("registry")
def test_a_window_of_the_users_own_may_have_two_numbers() -> None:
    register(
        "tall",
        Tall,
        cost=lambda layer, shape: Local(
            (shape[0], shape[1] - 2, shape[2] // 2), extent=layer.kernel, stride=(1, 2)
        ),
        module=lambda layer, shape: nn.AvgPool2d(layer.kernel, (1, 2)),
    )
    assert str(seq(Tall((3, 3)), Tall((3, 2)))) == "tall tall(k=3x2)"
    design = seq(Tall((3, 2)), conv(4, (1, 3)))
    costed = cost(design, (4, 7, 8))
    assert build(design, (4, 7, 8))(torch.zeros(1, 4, 7, 8)).shape[1:] == costed.shape
    assert (costed.receptive_fields, costed.receptive_field, costed.jump) == ((3, 6), 3, 1)


@dataclass(frozen=True, slots=True, repr=False)
class Lonely(Layer):
    size: int = integer(1)


@pytest.mark.usefixtures("registry")
def test_invalid_registrations_are_refused() -> None:
    wrong: Any = dict
    with pytest.raises(
        ArgumentError,
        match=r"`cls` must be a class derived from Layer, but got "
        r"cls=<class 'dict'>",
    ):
        register("lonely", wrong, cost=_scaled_cost, module=ScaledModule)
    for field in ("cost", "module"):
        arguments: dict[str, Any] = {"cost": _scaled_cost, "module": ScaledModule, field: 3}
        with pytest.raises(ArgumentError, match=f"`{field}` must be callable, but got {field}=3"):
            register("lonely", Lonely, **arguments)
    with pytest.raises(DesignError, match="'conv' is registered already"):
        register("conv", Lonely, cost=_scaled_cost, module=ScaledModule)
    with pytest.raises(DesignError, match="must be lower-case letters"):
        register("Lonely", Lonely, cost=_scaled_cost, module=ScaledModule)
    with pytest.raises(DesignError, match=r"'lonely' must be registered with its cost at \[0\]"):
        build(seq(Lonely()))


@pytest.mark.usefixtures("registry")
def test_a_kind_needs_a_module_to_be_built() -> None:
    register_kind("lonely", Lonely)
    register_cost(Lonely, lambda layer, shape: Local(shape))
    assert cost(seq(Lonely())).params == 0
    with pytest.raises(DesignError, match="'lonely' must be registered with its module"):
        build(seq(Lonely()))
    wrong: Any = lambda layer, shape: 3  # noqa: E731
    register_module(Lonely, wrong)
    with pytest.raises(
        DesignError,
        match=r"the module of layer kind 'lonely' must be an "
        r"nn\.Module, but got 3",
    ):
        build(seq(Lonely()))


@pytest.mark.usefixtures("registry")
def test_a_module_must_have_the_parameters_that_its_cost_says() -> None:
    register(
        "lonely",
        Lonely,
        cost=lambda layer, shape: Local(shape, params=3),
        module=lambda layer, shape: nn.Conv2d(shape[0], shape[0], 1, bias=False),
    )
    with pytest.raises(
        DesignError, match="must have as many parameters as its cost says, 3, but has 16"
    ):
        build(seq(Lonely()), (4, 5, 5))


@pytest.mark.usefixtures("registry")
def test_a_pickled_layer_of_a_users_kind_carries_its_registration() -> None:
    register("scaled", Scaled, cost=_scaled_cost, module=ScaledModule)
    sent = pickle.dumps(seq(conv(4), Scaled(8, times=3)))
    registered = (
        parts._KINDS,
        lowering._COSTINGS,
        sys.modules["lightsearch.network.modules"]._MAKERS,
    )
    del parts._KINDS["scaled"], parts._NAMES[Scaled]
    for known in registered[1:]:
        del known[Scaled]
    received = pickle.loads(sent)
    assert str(received) == "conv(4) scaled(8,times=3)"
    assert sum(p.numel() for p in build(received, (1, 6, 6)).parameters()) == 44 + 32
