"""Our Triton kernels against PyTorch's layers in float64; without a GPU, they are interpreted."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightsearch.engines import cuda_graph as room
from lightsearch.engines.augment import augment
from lightsearch.engines.cuda_graph import Captured
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key, signed

pytest.importorskip("triton")
from lightsearch.engines import triton_layers as layers

# images, inputs, outputs, height, width, kernel, stride, padding, groups
SHAPES = [
    (3, 1, 5, 7, 6, 3, 1, 1, 1), (2, 9, 10, 5, 4, 1, 1, 0, 1), (5, 3, 2, 6, 6, 2, 1, 1, 1),
    (2, 3, 3, 7, 5, 5, 1, 2, 3), (2, 4, 4, 9, 8, 3, 2, 1, 4), (2, 3, 4, 9, 11, 7, 2, 3, 1),
    (96, 6, 3, 1, 1, 1, 1, 0, 1), (2, 4, 6, 7, 7, 3, 2, 0, 2), (1, 2, 9, 8, 9, 4, 3, 1, 1),
    (9, 2, 3, 5, 5, 6, 1, 3, 1),
]
LONG = [
    (128, 14, 8, 28, 28, 3, 1, 1, 1), (128, 20, 20, 14, 14, 3, 1, 1, 20),
    (96, 64, 33, 5, 5, 3, 1, 1, 1), (128, 8, 14, 13, 13, 1, 1, 0, 1),
]


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # conftest.py has Triton interpret there


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PROGRAMS", 8)  # the interpreter takes them one after the other


def near(mine: Tensor, exact: Tensor, share: float = 2e-6) -> bool:
    """Whether all is within a share of the largest value."""
    mine, exact = mine.detach(), exact.detach()
    return mine.shape == exact.shape and bool(
        (mine - exact).abs().max() <= share * exact.abs().max() + 1e-9)


def check_convolution(shape: tuple[int, ...], bias: bool) -> None:
    images, inputs, outputs, height, width, kernel, stride, padding, groups = shape
    generator = torch.Generator().manual_seed(1)
    given = [torch.randn(images, inputs, height, width, generator=generator),
             torch.randn(outputs, inputs // groups, kernel, kernel, generator=generator)]
    if bias:
        given.append(torch.randn(outputs, generator=generator))
    given = [value.to(DEVICE) for value in given]
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
    layer = nn.Sequential(conv).to(DEVICE)
    layers.replace_layers(layer)
    assert isinstance(layer[0], layers.TritonConv2d)
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


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolutions(shape: tuple[int, ...], bias: bool) -> None:
    check_convolution(shape, bias)


@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG)
def test_large_convolutions(shape: tuple[int, ...]) -> None:
    check_convolution(shape, bias=True)


@pytest.mark.parametrize("kinds", ["norm", "act norm", "norm act"])
@pytest.mark.parametrize("shape", [(4, 3, 9, 7), (6, 5, 1, 1), (1, 2, 30, 25)])
def test_batch_norm_with_its_relu(kinds: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(2)
    mine, exact = (nn.Sequential(*(nn.BatchNorm2d(shape[1]) if kind == "norm" else nn.ReLU()
                                   for kind in kinds.split())).to(DEVICE) for _ in range(2))
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
    found = layers.warp(images.to(DEVICE), batch.to(DEVICE), stream.to(DEVICE), recipe, normals)
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=0)


def test_parameters_and_their_names_stay() -> None:
    design = parse("conv(4,bias) separable(6,act-norm) residual(conv(6),project) se linear(10)")
    plain, replaced = build(design), build(design)
    replaced.load_state_dict(plain.state_dict())
    before = list(replaced.parameters())
    layers.replace_layers(replaced)
    assert list(plain.state_dict()) == list(replaced.state_dict())
    assert all(one is two for one, two in zip(before, replaced.parameters(), strict=True))
    kinds = {type(module) for module in replaced.modules()}
    assert nn.Conv2d not in kinds and nn.BatchNorm2d not in kinds


def test_only_a_gpu_in_float32_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert room._triton_layers("cpu", "float32") is None
    assert room._triton_layers("cuda", "bf16") is None
    assert room._triton_layers("cuda:1", "tf32") is layers
    monkeypatch.setitem(__import__("sys").modules, "lightsearch.engines.triton_layers", None)
    monkeypatch.delattr("lightsearch.engines.triton_layers")
    assert room._triton_layers("cuda", "float32") is None
    assert Captured.layout is torch.channels_last
