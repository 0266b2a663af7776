"""Our Triton kernels against PyTorch's layers in float64; without a GPU, they are interpreted."""

from __future__ import annotations

import os
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightsearch.data.dataset import make_dataset
from lightsearch.data.named import load
from lightsearch.engines import cuda_graph as room
from lightsearch.engines import own_kernels
from lightsearch.engines.augment import augment
from lightsearch.engines.cuda_graph import Captured
from lightsearch.engines.engine import Batch
from lightsearch.engines.pytorch import Eager
from lightsearch.engines.selection import engine_label
from lightsearch.network.leaf_modules import FlatLinear
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key, permutation, signed

pytest.importorskip("triton")  # noqa: TID251 - not on every system, and in no extra
from lightsearch.engines import triton as kernels
from lightsearch.engines.triton import convolution, layers, norm, step

# images, inputs, outputs, height, width, kernel, stride, padding, groups
SHAPES = [
    (3, 1, 5, 7, 6, 3, 1, 1, 1),
    (2, 9, 10, 5, 4, 1, 1, 0, 1),
    (5, 3, 2, 6, 6, 2, 1, 1, 1),
    (2, 3, 3, 7, 5, 5, 1, 2, 3),
    (2, 4, 4, 9, 8, 3, 2, 1, 4),
    (2, 3, 4, 9, 11, 7, 2, 3, 1),
    (96, 6, 3, 1, 1, 1, 1, 0, 1),
    (2, 4, 6, 7, 7, 3, 2, 0, 2),
    (1, 2, 9, 8, 9, 4, 3, 1, 1),
    (9, 2, 3, 5, 5, 6, 1, 3, 1),
]
LONG = [  # as few images as take each way: the interpreter is slow
    (110, 4, 8, 28, 28, 3, 1, 1, 1),
    (40, 20, 20, 14, 14, 3, 1, 1, 20),
    (40, 64, 33, 5, 5, 3, 1, 1, 1),
    (128, 8, 14, 13, 13, 1, 1, 0, 1),
]


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# conftest.py has Triton interpret where it finds no GPU
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1",
    reason="there is a GPU, but PyTorch cannot use it",
)


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter takes them one after the other."""
    for name in ("MANY", "FEW", "CORRELATE_APART"):
        monkeypatch.setattr(convolution, name, (getattr(convolution, name)[0], 8))
    monkeypatch.setattr(norm, "PROGRAMS", 8)


def near(mine: Tensor, exact: Tensor, share: float = 2e-6) -> bool:
    """Whether all is within a share of the largest value."""
    mine, exact = mine.detach(), exact.detach()
    return mine.shape == exact.shape and bool(
        (mine - exact).abs().max() <= share * exact.abs().max() + 1e-9
    )


def check_convolution(shape: tuple[int, ...], bias: bool) -> None:
    images, inputs, outputs, height, width, kernel, stride, padding, groups = shape
    generator = torch.Generator().manual_seed(1)
    given = [
        torch.randn(images, inputs, height, width, generator=generator),
        torch.randn(outputs, inputs // groups, kernel, kernel, generator=generator),
    ]
    if bias:
        given.append(torch.randn(outputs, generator=generator))
    given = [value.to(DEVICE) for value in given]
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
    layer = nn.Sequential(conv).to(DEVICE)
    layers.replace_layers(layer)
    assert isinstance(layer[0], convolution.TritonConv2d)
    parameters = list(layer.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, given[1:], strict=True):
            parameter.copy_(value)
    x = given[0].requires_grad_()
    y = layer(x)
    exact = [value.detach().double().requires_grad_() for value in given]
    z = F.conv2d(exact[0], exact[1], exact[2] if bias else None, stride, padding, 1, groups)
    dy = torch.randn(y.shape, generator=generator).to(DEVICE)
    found = torch.autograd.grad(y, [x, *parameters], dy)
    assert near(y, z)
    for mine, theirs in zip(found, torch.autograd.grad(z, exact, dy.double()), strict=True):
        assert near(mine, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_convolutions(shape: tuple[int, ...]) -> None:
    check_convolution(shape, bias=SHAPES.index(shape) % 2 == 1)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_convolutions_the_other_way(shape: tuple[int, ...]) -> None:
    check_convolution(shape, bias=SHAPES.index(shape) % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG)
def test_large_convolutions(shape: tuple[int, ...]) -> None:
    check_convolution(shape, bias=True)


@pytest.mark.parametrize("kinds", ["norm", "act norm", "norm act"])
@pytest.mark.parametrize("shape", [(4, 3, 9, 7), (6, 5, 1, 1), (1, 2, 30, 25)])
def test_batch_norm_with_its_relu(kinds: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(2)
    mine, exact = (
        nn.Sequential(
            *(nn.BatchNorm2d(shape[1]) if kind == "norm" else nn.ReLU() for kind in kinds.split())
        ).to(DEVICE)
        for _ in range(2)
    )
    exact.double()
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    exact.load_state_dict(mine.state_dict())
    layers.replace_layers(mine)
    assert mine.state_dict().keys() == exact.state_dict().keys()
    assert sum(isinstance(layer, nn.ReLU) for layer in mine) == 0
    x = (torch.randn(shape, generator=generator) * 2 + 3).to(DEVICE).requires_grad_()
    wide = x.detach().double().requires_grad_()
    y, z = mine(x), exact(wide)
    dy = torch.randn(shape, generator=generator).to(DEVICE)
    y.backward(dy)
    z.backward(dy.double())
    assert near(y, z) and x.grad is not None and wide.grad is not None
    assert near(x.grad, wide.grad, 1e-5)
    for one, two in zip(mine.parameters(), exact.parameters(), strict=True):
        assert one.grad is not None and two.grad is not None and near(one.grad, two.grad, 1e-5)
    for name, value in exact.state_dict().items():
        assert near(mine.state_dict()[name].double(), value.double()), name
    mine.eval(), exact.eval()
    assert near(mine(x), exact(wide), 1e-5)


@pytest.mark.parametrize("normal", [False, True])
def test_images_are_those_of_augmentation(normal: bool) -> None:
    recipe = parse_recipe("recipe(rotation=8,shift=0.05,scale=0.1,shear=5)")
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (9, 2, 13, 17), dtype=torch.uint8, generator=generator)
    batch = torch.tensor([7, 0, 3, 8, 1])
    stream = torch.tensor(signed(key(9, "affine")))
    expected = augment(images[batch].float() / 255, recipe, {"affine": stream})
    mean, std = torch.tensor([0.1, 0.2])[:, None, None], torch.tensor([0.3, 0.5])[:, None, None]
    if normal:
        expected = (expected - mean) / std
    normals = (mean.to(DEVICE), std.to(DEVICE)) if normal else None
    found = kernels.warp(images.to(DEVICE), batch.to(DEVICE), stream.to(DEVICE), recipe, normals)
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=0)


def test_parameters_and_their_names_stay() -> None:
    design = parse(
        "conv(4,bias) separable(6,act-norm) residual(conv(6),project) se "
        "loop([separable(6) conv(6,act-norm)],3) linear(10)"
    )
    plain, replaced = build(design), build(design)
    replaced.load_state_dict(plain.state_dict())
    before = list(replaced.parameters())
    layers.replace_layers(replaced)
    assert list(plain.state_dict()) == list(replaced.state_dict())
    assert all(one is two for one, two in zip(before, replaced.parameters(), strict=True))
    kinds = {type(module) for module in replaced.modules()}
    assert nn.Conv2d not in kinds and nn.BatchNorm2d not in kinds
    assert nn.ReLU not in kinds  # each is part of a batch norm, also of those in the loop


def test_only_a_gpu_in_float32_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_kernels, "_triton_works", lambda device: True)
    assert own_kernels.own_kernels("cuda:1", "float32") is kernels
    for device, precision in (("cpu", "float32"), ("cuda", "bf16"), ("cuda", "tf32")):
        assert own_kernels.own_kernels(device, precision) is None
    assert engine_label("torch", "float32", "cuda") == "torch-triton"
    assert engine_label("torch", "tf32", "cuda") == "torch-tf32"
    monkeypatch.setattr(own_kernels, "_triton_works", lambda device: False)
    assert own_kernels.own_kernels("cuda", "float32") is None
    assert engine_label("torch", "float32", "cuda") == "torch"


def test_where_triton_cannot_compile_pytorch_computes_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(device: str) -> None:
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(kernels, "try_out", broken)
    own_kernels._triton_works.cache_clear()
    with pytest.warns(UserWarning, match=r"Triton does not work there: no C compiler"):
        assert own_kernels.own_kernels("cuda", "float32") is None
    own_kernels._triton_works.cache_clear()
    monkeypatch.setitem(sys.modules, "lightsearch.engines.triton", None)  # not installed
    assert not own_kernels._triton_works("cuda")
    own_kernels._triton_works.cache_clear()


# A step beside its layers -----------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("count", "classes"), [(7, 10), (130, 3), (5, 100)])
def test_loss(count: int, classes: int, smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "TABLE", 256)  # several turns
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(count, classes, generator=generator).mul_(3)
    scores[1] = 0.5  # where all are equal, the first one counts
    labels = torch.randint(0, classes, (300,), generator=generator)
    batch = torch.randint(0, 300, (count,), generator=generator)
    labels[batch[1]] = 0
    loss = torch.full((), 5.0, dtype=torch.float64, device=DEVICE)
    correct = torch.full((), 3, device=DEVICE)
    slopes = kernels.descend(
        scores.to(DEVICE), labels.to(DEVICE), batch.to(DEVICE), smoothing, loss, correct
    )
    exact = scores.double().requires_grad_()
    expected = F.cross_entropy(exact, labels[batch], label_smoothing=smoothing)
    expected.backward()
    assert exact.grad is not None
    torch.testing.assert_close(slopes.cpu().double(), exact.grad, atol=1e-8, rtol=1e-5)
    assert float(loss) - 5 == pytest.approx(float(expected.detach()) * count, rel=1e-6)
    assert int(correct) - 3 == int((scores.argmax(1) == labels[batch]).sum())


def test_a_loss_that_is_no_number_is_seen() -> None:
    loss = torch.zeros((), dtype=torch.float64, device=DEVICE)
    scores = torch.tensor([[1.0, 2.0], [float("nan"), 0.0]], device=DEVICE)
    zeros = torch.zeros(2, dtype=torch.int64, device=DEVICE)
    kernels.descend(scores, zeros, zeros, 0.0, loss, torch.zeros_like(zeros[0]))
    assert torch.isnan(loss)


@pytest.mark.parametrize(
    ("design", "recipe"),
    [
        (
            "conv(6,dropout=0.1) gap linear(10)",
            "recipe(lr=0.1,batch=256,rotation=8,contrast=0.2,ema=0.9)",
        ),
        ("conv(4,stride=4) linear(10)", "recipe(lr=0.1,batch=1000)"),
    ],
)
def test_what_a_step_reads_is_what_pytorch_reads(design: str, recipe: str) -> None:
    one = Captured(parse(design), parse_recipe(recipe), load("digits"), 5, DEVICE, own=False)
    order, tables = permutation(3, 1437).split(one.recipe.batch_size), one.tables
    tables.tell(
        [
            Batch(images, 0.01 * (index + 1), key(1, index), key(2, index), 0.5 / (index + 1))
            for index, images in enumerate(order)
        ]
    )
    counters = (tables.step, tables.first)
    read = (tables.batch, tables.rate, tables.toward, tables.row, *counters)
    found: list[list[Tensor]] = []
    for own in (None, kernels):
        for counter in counters:
            counter.zero_()
        for images in order:
            tables.advance(len(images), own)
            found.append([tensor.clone() for tensor in read])
    for theirs, mine in zip(found[: len(order)], found[len(order) :], strict=True):
        assert all(map(torch.equal, theirs, mine))
    assert torch.equal(found[0][0][: len(order[0])].cpu(), order[0])
    assert int(tables.first) == 1437


@pytest.mark.parametrize(
    ("size", "shape"), [(2, (2, 3, 6, 8)), (3, (1, 2, 7, 10)), (2, (3, 1, 5, 3))]
)
def test_max_pooling(size: int, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randint(0, 4, shape, generator=generator).float()  # with many equal ones
    x.view(-1)[7] = float("nan")
    stack = nn.Sequential(nn.MaxPool2d(size))
    layers.replace_layers(stack)
    mine, theirs = (x.clone().to(where).requires_grad_() for where in (DEVICE, "cpu"))
    y, z = stack(mine), F.max_pool2d(theirs, size)
    torch.testing.assert_close(y.cpu(), z, equal_nan=True, rtol=0, atol=0)
    dy = torch.randn(z.shape, generator=generator)
    y.backward(dy.to(DEVICE))
    z.backward(dy)
    assert mine.grad is not None and theirs.grad is not None
    assert torch.equal(mine.grad.cpu(), theirs.grad)


def test_pools_that_are_not_ours_stay_pytorchs() -> None:
    """Of a user's own layer kind: ours knows neither a rounded size nor a dilation."""
    for pool in (nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(2, dilation=2)):
        stack = nn.Sequential(pool)
        layers.replace_layers(stack)
        assert stack[0] is pool and type(pool) is nn.MaxPool2d


def test_linear_layers() -> None:
    generator = torch.Generator().manual_seed(6)
    mine = nn.Sequential(FlatLinear(12, 10)).to(DEVICE)
    exact = nn.Sequential(FlatLinear(12, 10)).to(DEVICE)
    exact.load_state_dict(mine.state_dict())
    exact.double()
    layers.replace_layers(mine)
    assert type(mine[0]) is convolution.TritonFlatLinear
    x = torch.randn(9, 3, 2, 2, generator=generator).to(DEVICE).requires_grad_()
    wide = x.detach().double().requires_grad_()
    y, z = mine(x), exact(wide)
    dy = torch.randn(y.shape, generator=generator).to(DEVICE)
    y.backward(dy)
    z.backward(dy.double())
    assert near(y, z)
    for one, two in zip([x, *mine.parameters()], [wide, *exact.parameters()], strict=True):
        assert one.grad is not None and two.grad is not None and near(one.grad, two.grad)


@pytest.mark.slow
def test_an_engine_with_them_trains_as_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps, the last on fewer images, and both evaluations."""
    monkeypatch.setattr(room, "own_kernels", lambda device, precision: kernels)
    recipe = parse_recipe("recipe(lr=0.05,batch=16,rotation=8,scale=0.1,smoothing=0.1,ema=0.9)")
    design = parse("conv(4,act-norm) maxpool separable(6,dropout=0.1) gap linear(10)")
    images, labels = load("digits").train
    few = make_dataset((images[:40], labels[:40]), (images[40:60], labels[40:60]))
    batches = [
        Batch(each, 0.01 * (index + 1), key(1, index), key(2, index), 0.5)
        for index, each in enumerate(permutation(3, 40).split(16))
    ]
    mine = Captured(design, recipe, few, 5, DEVICE, record=False)
    theirs = Eager(design, recipe, few, 5)
    for one in (mine, theirs):
        one.begin()
        one.train(batches)
    assert mine.own is kernels
    assert mine.totals()[0] == pytest.approx(theirs.totals()[0], rel=1e-5)
    assert mine.totals()[1] == theirs.totals()[1]
    found = mine.state()
    for name, value in theirs.state().items():
        torch.testing.assert_close(found[name], value, atol=2e-5, rtol=2e-4, msg=name)
    for averaged in (False, True):
        assert abs(mine.evaluate(averaged) - theirs.evaluate(averaged)) <= 1


# Tiles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[1], SHAPES[4]])
def test_large_tiles(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "ENOUGH", 1)
    monkeypatch.setattr(convolution, "FEW_WEIGHTS", 0)
    check_convolution(shape, bias=True)


def test_the_tile_depends_on_the_programs_that_it_makes() -> None:
    large, small = convolution.LARGE, convolution.SMALL
    assert convolution.convolve_tile(128 * 28 * 28, 8, 1) == large
    assert convolution.convolve_tile(128 * 14 * 14, 8, 1) == small
    assert convolution.convolve_tile(128 * 14 * 14, 32, 1) == large
    assert convolution.convolve_tile(128 * 14 * 14, 1, 24) == convolution.APART
    assert convolution.correlate_tile(8, 8 * 73) == convolution.MANY
    assert convolution.correlate_tile(8, 8 * 10) == convolution.FEW


def test_windows_that_the_kernels_have_not_are_left_to_pytorch() -> None:
    """A user's own layer may hold convolutions with any fields, too."""
    design = parse("conv(4,k=3x1) conv(4,s=2x1) conv(4,p=1x2) conv(4,d=1x2) maxpool(2x1)")
    module = nn.Sequential(
        build(design, (2, 12, 12)), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
    )
    kept = [type(one) for one in module.modules() if isinstance(one, nn.Conv2d)]
    layers.replace_layers(module)
    assert [type(one) for one in module.modules() if isinstance(one, nn.Conv2d)] == kept
    images = torch.randn(2, 2, 12, 12, device=DEVICE)
    assert module.to(DEVICE)(images).shape == (2, 4, 3, 14)
