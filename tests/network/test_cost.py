"""Cost against PyTorch, torchinfo and measurements, on random designs and on worked examples."""

from __future__ import annotations

import dataclasses
import pickle
import weakref
from functools import partial
from typing import Any

import pytest
import torch
import torchinfo
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from random_designs import (
    Drawn,
    Make,
    default,
    drawn,
    local,
    loose,
    nasty,
    plain,
    rich,
    uneven,
    uneven_local,
    valid,
)
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lightsearch.design import (
    Seq,
    avgpool,
    conv,
    depthwise,
    dropout,
    gap,
    gate,
    linear,
    maxpool,
    oneof,
    residual,
    se,
    separable,
    seq,
)
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network.blocks import (
    BranchModules,
    ChannelSlice,
    Iteration,
    PassModules,
    ResidualAdd,
)
from lightsearch.network.cost import Budget, Cost, cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.network.leaf_modules import FlatLinear, GlobalGate, SqueezeExcitation
from lightsearch.network.modules import build

torch.set_num_threads(1)
few = settings(
    deadline=None,
    max_examples=50,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
many = settings(few, max_examples=600)
bare_conv = partial(conv, norm="none", act="none")


# Parameters, multiply-accumulates, shapes --------------------------------------------------------


def _check_against_torch(design: Seq, shape: tuple[int, int, int]) -> None:
    """Compare totals and layers with the module, `FlopCounterMode` and torchinfo."""
    note(f"{design} on {shape}")
    costed, module = cost(design, shape), build(design, shape).eval()
    assert sum(p.numel() for p in module.parameters()) == costed.params
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        output = module(torch.zeros(1, *shape))
    assert counter.get_total_flops() == 2 * costed.macs
    assert output.numel() == costed.shape[0] * costed.shape[1] * costed.shape[2]
    by_module = counter.get_flop_counts()
    found = torchinfo.summary(module, (1, *shape), depth=1, verbose=0).summary_list
    layers = {info.var_name: info for info in found if info.depth == 1}
    for index, step in enumerate(costed.steps):
        flops = sum(by_module.get(f"Sequential.{index}", {}).values())
        assert flops == 2 * step.macs
        assert layers[str(index)].num_params == step.params
        assert tuple(layers[str(index)].output_size) == (1, *step.shape)
    rows = costed.rows
    assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == (
        costed.params,
        costed.macs,
    )


@few
@given(drawn(nasty))
def test_nasty_designs_cost_what_torch_says(one: Drawn) -> None:
    _check_against_torch(*one)


@few
@given(drawn(rich))
def test_rich_designs_cost_what_torch_says(one: Drawn) -> None:
    _check_against_torch(*one)


@few
@given(drawn(uneven))
def test_designs_of_uneven_windows_cost_what_torch_says(one: Drawn) -> None:
    _check_against_torch(*one)


@few
@given(drawn(plain))
def test_plain_designs_cost_what_torch_says(one: Drawn) -> None:
    _check_against_torch(*one)
    assert cost(*one, classes=10).params == cost(*one).params


@pytest.mark.slow
@pytest.mark.parametrize("make", [nasty, plain, default, uneven])
@many
@given(data=st.data())
def test_many_designs_cost_what_torch_says(make: Make, data: st.DataObject) -> None:
    _check_against_torch(*data.draw(drawn(make)))


# Receptive field and jump, from gradients --------------------------------------------------------


def _make_positive(module: nn.Module) -> nn.Module:
    """Make all weights positive, replace max pooling by average pooling, leave gates out."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        elif isinstance(child, GlobalGate | SqueezeExcitation):
            setattr(module, name, nn.Identity())
        else:
            _make_positive(child)
    for parameter in module.parameters(recurse=False):
        nn.init.constant_(parameter, 1 / max(1, parameter[0].numel()))
    return module.eval().double()


def _find_span(output: Tensor, images: Tensor, axis: int, index: int) -> tuple[int, int]:
    """Return the first and last input row (axis 2) or column (axis 3) that an output sees."""
    (gradient,) = torch.autograd.grad(output.select(axis, index).sum(), images, retain_graph=True)
    rows = gradient.abs().sum(tuple(i for i in range(4) if i != axis)).nonzero().flatten()
    return (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)


def _run_positive(design: Seq, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    module = _make_positive(build(design, shape))
    images = torch.ones(1, *shape, dtype=torch.double, requires_grad=True)
    return module(images).reshape(1, *cost(design, shape).shape), images


def _check_field(design: Seq, shape: tuple[int, int, int]) -> None:
    """Compare exactly at the middle of the output, if no border of the image reaches it."""
    costed = cost(design, shape)
    note(f"{design} on {shape}: {costed.receptive_field}, jump {costed.jump}")
    output, images = _run_positive(design, shape)
    for axis in (2, 3):
        middle, border = output.shape[axis] // 2, shape[axis - 1] - 1
        if not design.parts or output.shape[axis] == 1:
            continue
        first, last = _find_span(output, images, axis, middle - 1)
        after, _ = _find_span(output, images, axis, middle)
        extent, jump, _ = costed.spans[axis - 2]
        wide = extent - 1  # padding may hide the pixel at either end of it
        if last - wide < 0 or after + wide > border:
            assert last - first + 1 <= extent
            continue
        assert last - first + 1 == extent
        assert after - first == jump
    assert costed.receptive_field == min(costed.receptive_fields)


def _check_last_field(design: Seq, shape: tuple[int, int, int]) -> None:
    """Measure the last layer's field too: without padding, no border clips it."""
    note(f"{design} on {shape}")
    output, images = _run_positive(design, shape)
    spans = [_find_span(output, images, axis, 0) for axis in (2, 3)]
    sizes = [last - first + 1 for first, last in spans]
    assert max(sizes) == cost(design, shape).receptive_field


def _check_no_wider(design: Seq, shape: tuple[int, int, int]) -> None:
    """Check an upper bound: strides and padding in residual bodies vary the field by place."""
    note(f"{design} on {shape}")
    output, images = _run_positive(design, shape)
    for index in {0, output.shape[2] // 2, output.shape[2] - 1}:
        first, last = _find_span(output, images, 2, index)
        assert last - first + 1 <= cost(design, shape).receptive_field


@few
@given(st.one_of(drawn(local), drawn(uneven_local)))
def test_receptive_field_and_jump_are_those_of_the_gradients(one: Drawn) -> None:
    _check_field(*one)


@few
@given(drawn(valid))
def test_receptive_field_of_an_average_or_linear_layer(one: Drawn) -> None:
    _check_last_field(*one)


@few
@given(drawn(loose))
def test_no_receptive_field_is_wider_than_computed(one: Drawn) -> None:
    _check_no_wider(*one)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "check"),
    [
        (local, _check_field),
        (uneven_local, _check_field),
        (valid, _check_last_field),
        (loose, _check_no_wider),
    ],
)
@many
@given(data=st.data())
def test_receptive_fields_of_many_designs(make: Make, check: Any, data: st.DataObject) -> None:
    check(*data.draw(drawn(make)))


@pytest.mark.parametrize(
    ("body", "size", "field"),
    [
        (bare_conv(1, kernel=1, stride=2, padding=0), 9, 2),  # output 1: body at 2, shortcut at 1
        (bare_conv(1, kernel=3, stride=3, padding=0), 11, 3),
        (avgpool(2), 20, 2),
    ],
)
def test_a_resized_shortcut_may_reach_beyond_its_body(body: Any, size: int, field: int) -> None:
    design, shape = seq(residual(seq(body))), (1, size, size)
    output, images = _run_positive(design, shape)
    spans = [_find_span(output, images, 2, index) for index in range(output.shape[2])]
    assert max(last - first + 1 for first, last in spans) == field
    assert cost(design, shape).receptive_field == field


def test_gates_see_the_whole_image_and_are_flagged() -> None:
    for layer in (gate(), se()):
        design = seq(bare_conv(4), layer, bare_conv(2))
        costed = cost(design, (1, 20, 20))
        assert (costed.receptive_field, costed.whole_image) == (5, True)
        assert [row.whole_image for row in costed.rows] == [False, True, False]
        images = torch.rand(1, 1, 20, 20, requires_grad=True)
        module = build(design, (1, 20, 20))
        for weight in module.parameters():
            nn.init.constant_(weight, 0.1)
        assert _find_span(module(images), images, 2, 10) == (0, 19)
    assert cost(seq(residual(seq(gate())))).whole_image
    assert not cost(seq(conv(4), gap())).whole_image


# Activation memory -------------------------------------------------------------------------------


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of live floating-point storages without the weights. Keeps the maximum."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.peak = 0
        self.known = {weight.untyped_storage()._cdata for weight in module.parameters()}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        results = function(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple) else (results,):
            if isinstance(result, Tensor) and result.is_floating_point():
                self._add(result.untyped_storage())
        return results

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.bytes -= size


def _run(module: nn.Module, cell: list[Tensor], shared: bool, number: int = 0) -> bool:
    """Run `module` on the tensor in `cell`, dropping it as soon as nobody needs it.

    `shared` says that somebody else needs the tensor, as it is; so does the result. `number` is
    that of the pass, in a loop.
    """
    if isinstance(module, nn.Sequential):
        for child in module:
            shared = _run(child, cell, shared, number)
        return shared
    if isinstance(module, Iteration):
        for inner in range(module.passes):
            shared = _run(module.body, cell, shared, number * module.passes + inner)
        return shared
    if isinstance(module, PassModules):
        module = module[number // module.each % len(module)]
    if isinstance(module, nn.Flatten):
        return shared
    if isinstance(module, ResidualAdd):
        return _run_residual(module, cell, number)
    if isinstance(module, BranchModules):
        return _run_branches(module, cell, shared, number)
    if isinstance(module, MOVES):
        cell[0] = module(cell[0]).clone() if isinstance(module, ChannelSlice) else module(cell[0])
        return False
    if isinstance(
        module,
        nn.Conv2d
        | FlatLinear
        | nn.AvgPool2d
        | nn.MaxPool2d
        | nn.AdaptiveAvgPool2d
        | nn.AdaptiveMaxPool2d,
    ):
        cell[0] = module(cell[0])
        return False
    if shared:
        cell[0] = cell[0].clone()
    if isinstance(module, GlobalGate):
        cell[0].mul_(cell[0].mean((2, 3), keepdim=True).sigmoid_())
    elif isinstance(module, SqueezeExcitation):
        hidden = module.reduce(cell[0].mean((2, 3), keepdim=True)).relu_()
        cell[0].mul_(module.expand(hidden).sigmoid_())
    else:  # elementwise, so in place
        assert isinstance(
            module,
            nn.BatchNorm2d
            | nn.Dropout
            | nn.Dropout2d
            | nn.ReLU
            | nn.GELU
            | nn.SiLU
            | nn.Hardswish
            | nn.GroupNorm
            | nn.PReLU
            | nn.ReLU6
            | nn.LeakyReLU
            | nn.Tanh
            | nn.Sigmoid
            | nn.Hardsigmoid,
        )
        cell[0].mul_(1.0)
    return False


MOVES = (
    ChannelSlice,
    nn.ZeroPad3d,
    nn.ChannelShuffle,
    nn.ZeroPad2d,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
    nn.CircularPad2d,
)


def _run_branches(module: BranchModules, cell: list[Tensor], shared: bool, number: int) -> bool:
    first, second = [cell[0]], [cell[0]]
    kept = _run(module.first, first, True, number)
    cell.clear()
    _run(module.second, second, shared or kept, number)
    if module.by == "concat":
        cell.append(torch.cat((first[0], second[0]), 1))
    elif not kept:
        cell.append(first[0].add_(second[0]))
    elif second[0] is not first[0]:
        cell.append(second[0].add_(first[0]))
    else:
        cell.append(first[0] + second[0])
    return False


def _run_residual(module: ResidualAdd, cell: list[Tensor], number: int) -> bool:
    shortcut = [cell[0]]
    kept = _run(module.body, cell, True, number)
    if module.size is not None:
        shortcut[0] = functional.interpolate(shortcut[0], size=module.size, mode="nearest")
    if module.project is not None:
        _run(module.project, shortcut, True, number)
    if kept:
        cell[0] = cell[0] + shortcut[0]
    else:
        cell[0].add_(shortcut[0])
    return False


def _peak(design: Seq, shape: tuple[int, int, int]) -> int:
    module = build(design, shape).eval()
    with torch.no_grad(), Live(module) as live:
        _run(module, [torch.zeros(1, *shape)], False)
    return int(live.peak)


@few
@given(drawn(nasty))
def test_activation_bytes_are_those_measured(one: Drawn) -> None:
    note(f"{one[0]} on {one[1]}")
    assert cost(*one).activation_bytes == _peak(*one)


@few
@given(st.one_of(drawn(rich), drawn(uneven)))
def test_activation_bytes_of_rich_designs_are_those_measured(one: Drawn) -> None:
    note(f"{one[0]} on {one[1]}")
    assert cost(*one).activation_bytes == _peak(*one)


@pytest.mark.slow
@many
@given(drawn(nasty))
def test_activation_bytes_of_many_designs(one: Drawn) -> None:
    assert cost(*one).activation_bytes == _peak(*one)


@pytest.mark.parametrize(
    ("design", "values"),
    [
        (seq(), 100),
        (seq(conv(4)), 100 + 400),
        (seq(conv(4), conv(2)), 400 + 200),
        (seq(separable(8, inner=True)), 100 + 800),
        (seq(maxpool(2)), 100 + 25),
        (seq(linear(7)), 107),
        (seq(gate()), 101),
        (seq(residual(seq(conv(1)))), 200),
        (seq(residual(seq(conv(4), conv(1)))), 100 + 400 + 100),
        # while the 1x1 of the separable layer runs, the residual's input waits
        (seq(residual(seq(separable(8)), shortcut="project")), 800 + 100 + 800),
        (seq(residual(seq(separable(8), conv(1)))), 100 + 800 + 100),
        (seq(residual(seq(separable(2), conv(1)))), 100 + 100 + 200),
        # a gate must not scale the residual's input itself
        (seq(residual(seq(gate()))), 100 + 100 + 1),
        (seq(residual(seq(dropout(0.5)))), 200),
        # the input, the body's output, and the input resized to it
        (seq(residual(seq(conv(1, padding=0)))), 100 + 64 + 64),
        # the outer input waits while the inner one is resized and projected: 100 + 2 * 192 + 64
        (
            seq(
                residual(
                    seq(residual(seq(conv(3, padding=0)), shortcut="project")), shortcut="project"
                )
            ),
            100 + 64 + 192 + 192,
        ),
    ],
)
def test_worked_activation_memory(design: Seq, values: int) -> None:
    spent = cost(design, (1, 10, 10))
    assert spent.activation_bytes == 4 * values
    assert spent.activation_bytes_int8 == values


# Fingerprints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "shape"),
    [
        (seq(conv(8), avgpool(6)), seq(conv(8), gap()), (1, 6, 6)),
        (seq(conv(8), avgpool(6, stride=1)), seq(conv(8), avgpool(6)), (1, 6, 6)),
        (seq(conv(8), gap(), gap()), seq(conv(8), gap()), (1, 6, 6)),
        (seq(conv(8), maxpool(1)), seq(conv(8)), (1, 6, 6)),
        (seq(separable(8)), seq(depthwise(norm="none", act="none"), conv(8, kernel=1)), (3, 9, 9)),
        (seq(separable(8, inner=True)), seq(depthwise(), conv(8, kernel=1)), (3, 9, 9)),
        (
            seq(conv(8, kernel=6, padding=0, bias=True, norm="none", act="none")),
            seq(linear(8)),
            (2, 6, 6),
        ),
        (
            seq(gap(), conv(8, kernel=1, bias=True, norm="none")),
            seq(gap(), linear(8, act="relu")),
            (2, 6, 6),
        ),
        (
            seq(gap(), linear(4), dropout(0.1)),
            seq(gap(), linear(4), dropout(0.1, per="channel")),
            (2, 6, 6),
        ),
        (seq(conv(8, dropout=0.1)), seq(conv(8), dropout(0.1)), (1, 6, 6)),
        (seq(conv(8), dropout(0.0)), seq(conv(8)), (1, 6, 6)),
        (seq(conv(4, groups=1)), seq(depthwise(multiplier=4)), (1, 6, 6)),
        (seq(depthwise()), seq(conv(3, groups=3)), (3, 6, 6)),
        (seq(maxpool(6)), seq(maxpool(6, stride=2)), (3, 6, 6)),
        (seq(maxpool(5, stride=2)), seq(maxpool(5, stride=3)), (3, 6, 6)),
        (seq(maxpool(1, stride=2)), seq(avgpool(1, stride=2)), (3, 6, 6)),
        (seq(residual(seq(conv(1), avgpool(1)))), seq(residual(seq(conv(1)))), (1, 6, 6)),
    ],
)
def test_equal_networks_have_equal_fingerprints(
    one: Seq, other: Seq, shape: tuple[int, int, int]
) -> None:
    assert fingerprint(one, shape) == fingerprint(other, shape)
    _check_same_outputs(one, other, shape)


def _check_same_outputs(one: Seq, other: Seq, shape: tuple[int, int, int]) -> None:
    first, second = build(one, shape).double(), build(other, shape).double()
    mine = [p for p in first.state_dict().values()]
    weights = dict(zip(second.state_dict(), mine, strict=True))
    second.load_state_dict(
        {name: value.reshape(second.state_dict()[name].shape) for name, value in weights.items()}
    )
    images = torch.randn(3, *shape, dtype=torch.double)
    for training in (False, True):
        results = []
        for module in (first, second):
            torch.manual_seed(0)
            results.append(module.train(training)(images).flatten(1))
        torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (seq(conv(8)), seq(conv(9))),
        (seq(conv(8)), seq(conv(8, kernel=5))),
        (seq(conv(8)), seq(conv(8, stride=2))),
        (seq(conv(8)), seq(conv(8, padding=0))),
        (seq(conv(8)), seq(conv(8, bias=True))),
        (seq(conv(8)), seq(conv(8, norm="none"))),
        (seq(conv(8)), seq(conv(8, act="gelu"))),
        (seq(conv(8)), seq(conv(8, order="act-norm"))),
        (seq(conv(8)), seq(conv(8, dropout=0.1))),
        (seq(conv(8, dropout=0.1)), seq(conv(8, dropout=0.2))),
        (seq(conv(8, dropout=0.1)), seq(conv(8, dropout=0.1, per="channel"))),
        (seq(conv(8)), seq(conv(8, groups=2))),
        (seq(conv(8)), seq(separable(8))),
        (seq(separable(8)), seq(separable(8, inner=True))),
        (seq(maxpool()), seq(avgpool())),
        (seq(maxpool()), seq(maxpool(2, stride=1))),
        (seq(maxpool()), seq(maxpool(2, padding=1))),
        (seq(avgpool(3, padding=1)), seq(gap())),
        (seq(conv(4)), seq(residual(seq(conv(4)), shortcut="project"))),
        (seq(residual(seq(conv(4)))), seq(residual(seq(conv(4)), shortcut="project"))),
        (seq(residual(seq(conv(4)))), seq(residual(seq(conv(4)), act="relu"))),
        (
            seq(residual(seq(conv(4), conv(4)))),
            seq(residual(seq(conv(4))), residual(seq(conv(4)))),
        ),
        (seq(conv(8), gate()), seq(conv(8), se())),
        (seq(se(1)), seq(se(2))),
        (seq(linear(8)), seq(linear(8, bias=False))),
        (seq(linear(8)), seq(linear(8, act="relu"))),
        (seq(conv(8), maxpool()), seq(maxpool(), conv(8))),
        (seq(), seq(gate())),
    ],
)
def test_different_networks_have_different_fingerprints(one: Seq, other: Seq) -> None:
    assert fingerprint(one, (4, 8, 8)) != fingerprint(other, (4, 8, 8))


def test_fingerprint_depends_on_the_shape_and_not_on_the_run() -> None:
    assert fingerprint(seq(conv(8)), (1, 6, 6)) != fingerprint(seq(conv(8)), (1, 6, 7))
    assert len(fingerprint(seq(conv(8)), (1, 6, 6))) == 16


def test_equal_fingerprints_mean_equal_outputs() -> None:
    """Compare every pair with one fingerprint, among all short designs of a menu of synonyms."""
    menu = (
        conv(2, kernel=1),
        conv(2, kernel=3, padding=0),
        depthwise(kernel=1, norm="none", act="none"),
        separable(2, kernel=1),
        maxpool(1),
        maxpool(2),
        avgpool(2),
        maxpool(2, stride=1),
        avgpool(3, stride=2),
        gap(),
        linear(2),
        linear(2, bias=False, act="relu"),
        conv(2, kernel=1, norm="none"),
        dropout(0.1),
        dropout(0.1, per="channel"),
        gate(),
        residual(seq(conv(2, kernel=1))),
        residual(seq(conv(2, kernel=3, padding=0))),
        residual(seq(gap(), linear(2))),
    )
    groups: dict[str, list[Seq]] = {}
    for design in (seq(a, b, c) for a in (conv(2), avgpool(2), gap()) for b in menu for c in menu):
        try:
            groups.setdefault(fingerprint(design, (2, 4, 4)), []).append(design)
        except DesignError:
            continue
    pairs = [(group[0], other) for group in groups.values() for other in group[1:]]
    assert len(pairs) > 100
    for one, other in pairs:
        _check_same_outputs(one, other, (2, 4, 4))


# Refusals, rows, budgets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (
            seq(conv(8), maxpool(), conv(8, kernel=5, padding=0)),
            r"`kernel` must fit its padded input, but got kernel=5 with padding=0 on an input "
            r"of 3x4 at \[2\]$",
        ),
        (seq(maxpool(7)), r"`kernel` must fit its padded input, .* at \[0\]$"),
        (seq(depthwise(kernel=8, padding=0)), r"`kernel` must fit .* at \[0\]$"),
        (seq(separable(4, kernel=8, padding=0)), r"`kernel` must fit .* at \[0\]$"),
        (
            seq(conv(8, groups=4)),
            r"`groups` must divide the input channels, but got groups=4 with 2 "
            r"channels at \[0\]$",
        ),
        (
            seq(conv(3, groups=2)),
            r"`groups` must divide the output channels, but got groups=2 with 3 "
            r"channels at \[0\]$",
        ),
        (
            seq(gap(), residual(seq(conv(8)))),
            r"`shortcut` must be 'project' where the channels "
            r"differ, but got 'identity' from 2 to 8 channels at \[1\]$",
        ),
        (
            seq(
                conv(8), residual(seq(conv(8), residual(seq(gap(), conv(8, kernel=3, padding=0)))))
            ),
            r"`kernel` must fit .* on an input of 1x1 at body\[1\].*at \[1\]$",
        ),
        (seq(conv(8), conv(oneof(8, 16))), r"must have no choices left .* at \[1\]$"),
        (seq(oneof(conv(8), conv(16))), r"must have no choices left, .* at \[0\]$"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused_with_its_place(design: Seq, message: str) -> None:
    for judge in (cost, build, fingerprint):
        with pytest.raises(DesignError, match=message):
            judge(design, (2, 6, 8))


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (
            seq(conv(8), gap(), linear(9)),
            r"the output must be 10x1x1, one value a class, but got 9x1x1 at \[2\]$",
        ),
        (seq(conv(10)), r"but got 10x28x28 at \[0\]$"),
        (seq(), r"but got 1x28x28 at the input$"),
    ],
)
def test_output_that_is_not_the_class_count(design: Seq, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        cost(design, classes=10)
    cost(design)


@pytest.mark.parametrize(
    "shape", [(1, 28), (0, 28, 28), (1, 28.5, 28), (1, 28, 28, 1), (True, 2, 2), None]
)
def test_invalid_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(ArgumentError, match="`shape` must be three integers >= 1"):
        cost(seq(conv(8)), shape)


def test_rows_of_a_residual_name_their_places() -> None:
    design = seq(
        conv(4),
        residual(seq(conv(8, padding=0), residual(seq(conv(8)))), shortcut="project"),
        gap(),
    )
    rows = cost(design, (1, 8, 8)).rows
    assert [(row.place, row.params, row.shape, row.receptive_field) for row in rows] == [
        ("[0]", 36 + 8, (4, 8, 8), 3),
        ("[1].body[0]", 288 + 16, (8, 6, 6), 5),
        ("[1].body[1].body[0]", 576 + 16, (8, 6, 6), 7),
        ("[1].body[1]", 0, (8, 6, 6), 7),
        ("[1]", 32, (8, 6, 6), 7),
        ("[2]", 0, (8, 1, 1), 12),
    ]
    assert [row.layer for row in rows[3:5]] == ["add", "add, project, resize"]
    assert rows[4].macs == 32 * 36
    assert rows[0].activation_bytes == 4 * 4 * 64


def _costs(params: int, macs: int, activation_bytes: int) -> Cost:
    return Cost((), (1, 1, 1), params, macs, activation_bytes, 1, 1, False)


def test_budget_caps_are_inclusive_and_named() -> None:
    budget = Budget(params=178, macs=1000, activation_bytes=64)
    assert budget.exceeded(_costs(178, 1000, 64)) is None
    assert budget.exceeded(_costs(179, 1000, 64)) == "params"
    assert budget.exceeded(_costs(178, 1001, 64)) == "macs"
    assert budget.exceeded(_costs(178, 1000, 65)) == "activation_bytes"
    assert budget.exceeded(_costs(179, 1001, 65)) == "params"
    assert Budget().exceeded(_costs(10**9, 10**12, 10**9)) is None
    assert Budget(macs=5).exceeded(_costs(10**9, 5, 10**9)) is None
    real = cost(seq(conv(8), gap(), linear(10)))
    assert Budget(params=178).exceeded(real) is None
    assert Budget(params=177).exceeded(real) == "params"
    assert real.receptive_field == 30
    assert Budget(min_receptive_field=30).exceeded(real) is None
    assert Budget(params=178, min_receptive_field=31).exceeded(real) == "min_receptive_field"
    huge = _costs(10**17 + 1, 1, 1)
    assert Budget(params=10**17).exceeded(huge) == "params"  # exact, also beyond floats


def test_a_cap_on_activations_may_be_given_in_int8() -> None:
    board = Budget(params=8000, activation_bytes_int8=7200)
    assert board == Budget(params=8000, activation_bytes=28_800)
    assert board.activation_bytes_int8 == 7200
    assert Budget(params=8000).activation_bytes_int8 is None
    assert dataclasses.asdict(board) == {
        "params": 8000, "macs": None, "activation_bytes": 28_800, "min_receptive_field": None
    }  # fmt: skip
    assert dataclasses.replace(board, activation_bytes=400).activation_bytes_int8 == 100
    assert pickle.loads(pickle.dumps(board)) == board
    with pytest.raises(ArgumentError, match="in float32 or in int8, which are one cap"):
        Budget(activation_bytes=4, activation_bytes_int8=1)


@pytest.mark.parametrize(
    "name", ["params", "macs", "activation_bytes", "activation_bytes_int8", "min_receptive_field"]
)
@pytest.mark.parametrize("value", [0, -1, 8.5, True, "8.000"])
def test_budget_refuses_invalid_caps(name: str, value: Any) -> None:
    with pytest.raises(
        ArgumentError,
        match=rf"`budget.{name}` must be an integer >= 1 or None, "
        rf"but got {name}={value!r}",
    ):
        Budget(**{name: value})
