"""Loops against modules written by hand in plain PyTorch, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torchinfo
from torch import Tensor, nn
from torch.nn import functional as F

from lightsearch.design import Layer, parts
from lightsearch.errors import DesignError
from lightsearch.network import lowering, modules
from lightsearch.network.cost import cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.network.modules import build, summary
from lightsearch.network.operations import Local
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape

State = dict[str, Tensor]
SHAPE = (8, 9, 7)


def _norm(x: Tensor, w: State, name: str) -> Tensor:
    weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    return F.batch_norm(x, w[f"{name}.running_mean"], w[f"{name}.running_var"], weight, bias)


def _separable(x: Tensor, w: State) -> Tensor:
    for number in range(3):
        x = F.conv2d(x, w["0.loop.body.0.depthwise.weight"], padding=1, groups=8)
        x = F.conv2d(x, w["0.loop.body.0.pointwise.weight"])
        x = _norm(x, w, f"0.loop.body.0.norm.{number}").relu()
    return x


def _depthwise_alone(x: Tensor, w: State) -> Tensor:
    for number in range(3):
        x = F.conv2d(x, w["0.loop.body.0.depthwise.weight"], padding=1, groups=8)
        x = F.conv2d(x, w[f"0.loop.body.0.pointwise.{number}.weight"])
        x = _norm(x, w, f"0.loop.body.0.norm.{number}").relu()
    return x


def _residual(x: Tensor, w: State) -> Tensor:
    place = "0.loop.body.0.add"
    for number in range(2):
        y = F.conv2d(x, w[f"{place}.body.0.conv.weight"], padding=2)
        y = _norm(y, w, f"{place}.body.0.norm.{number}").relu()
        x = F.conv2d(F.interpolate(x, size=(11, 9)), w[f"{place}.project.weight"])
        x = F.conv2d(y + x, w["0.loop.body.1.conv.weight"])
        x = F.gelu(_norm(x, w, f"0.loop.body.1.norm.{number}"))
    return x


def _nested(x: Tensor, w: State) -> Tensor:
    for outer in range(2):
        for inner in range(3):
            x = F.conv2d(x, w["0.loop.body.0.loop.body.0.conv.weight"], padding=1)
            x = _norm(x, w, f"0.loop.body.0.loop.body.0.norm.{3 * outer + inner}").relu()
        se = "0.loop.body.1.se"
        y = x.mean((2, 3), keepdim=True)
        y = F.conv2d(y, w[f"{se}.reduce.weight"], w[f"{se}.reduce.bias"]).relu()
        x = x * F.conv2d(y, w[f"{se}.expand.weight"], w[f"{se}.expand.bias"]).sigmoid()
    return x


CASES: list[tuple[str, Callable[[Tensor, State], Tensor], int]] = [
    ("loop([separable(8)],3)", _separable, 9 * 8 + 8 * 8 + 3 * 16),
    ("loop([separable(8)],3,depthwise)", _depthwise_alone, 9 * 8 + 3 * (8 * 8 + 16)),
    (
        "loop([residual([conv(8,p=2)],project) conv(8,p=0,gelu)],2)",
        _residual,
        2 * 9 * 64 + 64 + 2 * 2 * 16,
    ),
    ("loop([loop([conv(8)],3) se],2)", _nested, 9 * 64 + 6 * 16 + 2 * 2 * 8 + 2 + 8),
]


@pytest.mark.parametrize(("text", "by_hand", "params"), CASES)
def test_a_loop_is_what_one_writes_by_hand(
    text: str, by_hand: Callable[[Tensor, State], Tensor], params: int
) -> None:
    design = parse(text)
    module = build(design, SHAPE)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5) if name.endswith("var") else tensor.normal_(0, 0.4)
    images = torch.randn(5, *SHAPE)
    outputs = module.eval()(images)
    assert (outputs - by_hand(images, module.state_dict())).abs().max() < 1e-6
    assert outputs.std() > 0.1
    costed = cost(design, SHAPE)
    assert costed.params == sum(p.numel() for p in module.parameters()) == params
    assert torchinfo.summary(module, (1, *SHAPE), verbose=0).total_params == params


def test_each_pass_is_counted_and_its_parameters_once() -> None:
    one = cost(parse("separable(8)"), SHAPE)
    total = cost(parse("loop([separable(8)],3)"), SHAPE)
    assert total.macs == 3 * one.macs
    assert total.receptive_field == 1 + 3 * (one.receptive_field - 1)
    assert total.activation_bytes == one.activation_bytes
    assert total.params == one.params + 2 * 16
    body, whole = total.rows
    assert (body.place, body.layer, body.params) == ("[0].body[0]", "separable(8)", total.params)
    assert (body.macs, body.receptive_field) == (total.macs, one.receptive_field)
    assert (whole.place, whole.layer, whole.params, whole.macs) == ("[0]", "loop, 3 passes", 0, 0)
    assert whole.receptive_field == total.receptive_field


def test_the_input_of_a_residual_stays_alive_in_each_pass() -> None:
    loop, repeat = (
        f"residual({text})" for text in ("loop(conv(8),3)", "[conv(8) conv(8) conv(8)]")
    )
    found = [cost(parse(text), SHAPE).activation_bytes for text in (loop, repeat)]
    assert found[0] == found[1] == 4 * 3 * 8 * 9 * 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loop(conv(4),2)", "it makes 4x9x7 of 8x9x7 at \\[0\\]"),
        ("gate loop([conv(8) maxpool],2)", "it makes 8x4x3 of 8x9x7 at \\[1\\]"),
        ("loop(linear(504),2)", "it makes 504x1x1 of 8x9x7"),
    ],
)
def test_a_body_that_changes_its_shape_is_refused(text: str, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        cost(parse(text), SHAPE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("loop(loop([conv(8) gate],50),3)", "loop(loop([conv(8) gate],3),50)"),
        ("loop(maxpool(k=3,s=1,p=1),3)", "maxpool(k=3,s=1,p=1)*3"),
        ("loop([depthwise(norm=none,act=none) conv(8,k=1)],2)", "loop(separable(8),2)"),
        ("gap loop(conv(8,k=1,bias,norm=none),2)", "gap loop(linear(8,relu),2)"),
    ],
)
def test_equal_networks_with_loops_have_equal_fingerprints(one: str, other: str) -> None:
    assert fingerprint(parse(one), SHAPE) == fingerprint(parse(other), SHAPE)
    assert parse(one) != parse(other)


def test_other_passes_and_other_sharing_are_other_networks() -> None:
    texts = [
        "conv(8)*2",
        "loop(conv(8),2)",
        "loop(conv(8),3)",
        "loop(separable(8),2)",
        "loop(separable(8),2,depthwise)",
        "separable(8)*2",
        "loop(dropout(0.1),2)",
        "dropout(0.1)",
        "loop([dropout(0.1) dropout(0.2)],2)",
        "[dropout(0.1) dropout(0.2)]*2",  # its masks are drawn in another order
    ]
    assert len({fingerprint(parse(text), SHAPE) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("inner", "middle", "outer", "used"),
    [
        ("all", "all", "all", [0] * 8),
        ("all", "all", "depthwise", [0, 0, 0, 0, 1, 1, 1, 1]),
        ("all", "depthwise", "all", [0, 0, 1, 1, 0, 0, 1, 1]),
        ("depthwise", "all", "all", [0, 1, 0, 1, 0, 1, 0, 1]),
        ("depthwise", "all", "depthwise", [0, 1, 0, 1, 2, 3, 2, 3]),
        ("all", "depthwise", "depthwise", [0, 0, 1, 1, 2, 2, 3, 3]),
        ("depthwise", "depthwise", "all", [0, 1, 2, 3, 0, 1, 2, 3]),
        ("depthwise", "depthwise", "depthwise", [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_each_loop_says_what_its_own_passes_share(
    inner: str, middle: str, outer: str, used: list[int]
) -> None:
    """A pool that does nothing keeps the loops apart. The convolution is applied eight times."""
    text = "conv(2,k=1,norm=none,act=none)"
    for share in (inner, middle, outer):
        text = f"loop([{text} maxpool(k=1)],2,{share})"
    module = build(parse(text), (2, 1, 1))
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == cost(parse(text), (2, 1, 1)).params / 4 == len(set(used))
    met: list[int] = []
    for index, convolution in enumerate(convolutions):
        convolution.register_forward_hook(lambda *_, index=index: met.append(index))  # type: ignore[misc]
    module(torch.zeros(1, 2, 1, 1))
    assert met == used


def test_every_pass_drops_other_values() -> None:
    module = build(parse("loop(dropout(0.5),2)"), SHAPE)
    assert sum(isinstance(m, nn.Dropout) for m in module.modules()) == 2


def test_torchinfo_shows_the_passes() -> None:
    text = summary(parse("conv(8) loop([separable(8)],3) gap linear(10)"))
    assert text.count("(recursive)") >= 4 and "Iteration (loop)" in text


@dataclass(frozen=True, slots=True, repr=False)
class Lift(Layer):
    """A user's own kind: adds a learned value to each channel."""


class LiftModule(nn.Module):
    def __init__(self, layer: Lift, shape: Shape) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.arange(shape[0], dtype=torch.float32)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return images + self.by


def test_a_users_own_layer_is_shared_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((parts, "_KINDS"), (parts, "_NAMES"), (lowering, "_COSTINGS")):
        monkeypatch.setattr(owner, name, dict(getattr(owner, name)))
    monkeypatch.setattr(modules, "_MAKERS", dict(modules._MAKERS))
    modules.register(
        "lift", Lift, cost=lambda layer, shape: Local(shape, shape[0]), module=LiftModule
    )
    images = torch.zeros(1, *SHAPE)
    for text, params in (("loop(lift,3)", 8), ("loop([lift residual(lift)],2,depthwise)", 32)):
        module = build(parse(text), SHAPE)
        assert sum(p.numel() for p in module.parameters()) == params
        assert cost(parse(text), SHAPE).params == params
    thrice = build(parse("loop(lift,3)"), SHAPE)(images)
    assert torch.equal(thrice[0, :, 0, 0], 3 * torch.arange(8.0))
