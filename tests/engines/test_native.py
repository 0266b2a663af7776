"""The native engine against PyTorch: a build in double precision agrees to 1e-9."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from random_designs import default
from random_designs import nasty as any_shape
from random_designs import rich as any_layers
from torch import Tensor, nn
from torch.nn import functional

import lightsearch.engines.native
from lightsearch.data.dataset import DataSet
from lightsearch.design import Seq, gap, seq
from lightsearch.design.layers import ACTIVATIONS, AFFINES
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import STEP, Batch
from lightsearch.engines.initial_weights import initial_weights
from lightsearch.engines.native import library as native_library
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.interface import BORDERS
from lightsearch.engines.native.library import (
    BUILDS,
    available,
    build_name,
    open_library,
    path_of,
)
from lightsearch.engines.native.plan import Unsupported, plan, supports
from lightsearch.engines.pytorch import Eager, KeyedDropout, _key_dropouts, set_dropout_keys
from lightsearch.engines.selection import choose_engine, engine_of, parse_engine
from lightsearch.errors import ArgumentError, EngineError
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape, nearest
from lightsearch.zoo.public import public_networks

CPP = Path(lightsearch.engines.native.__file__).parent / "cpp"
COMPILER = os.environ.get("CXX") or shutil.which("c++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")
needs_engine = pytest.mark.skipif(not available(), reason="installed without a C++ compiler")
PLAIN = Recipe(lr=0.05)
EACH_BUILD = [name for name in BUILDS[: BUILDS.index(build_name()) + 1] if path_of(name).exists()]
BY_BUILD = [
    pytest.param(name, marks=() if name == build_name() else pytest.mark.slow)
    for name in EACH_BUILD
]


def compiled(folder: Path, name: str, *flags: str) -> Path:
    """A build of the library as setup.py makes it, with more flags."""
    assert COMPILER is not None
    path = folder / f"{name}.so"
    subprocess.run(
        [
            COMPILER,
            "-std=c++17",
            "-O2",
            "-ffp-contract=off",
            "-fvisibility=hidden",
            "-Wno-psabi",
            "-fPIC",
            "-shared",
            *flags,
            str(CPP / "engine.cpp"),
            "-o",
            str(path),
        ],
        check=True,
    )
    return path


def in_double(folder: Path, register: int) -> ctypes.CDLL:
    """The library in double precision, by the bytes of its registers: 20 seconds to compile."""
    flags = "-DLIGHTSEARCH_DOUBLE", f"-DLIGHTSEARCH_REGISTER={register}"
    return open_library(compiled(folder, "double", *flags))


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library in double precision."""
    return in_double(tmp_path_factory.mktemp("double"), 32)


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The same with the kernels of the build for AVX-512, which any processor can run."""
    return in_double(tmp_path_factory.mktemp("wide"), 64)


def images(shape: Shape, count: int, classes: int, seed: int = 0) -> DataSet:
    """Random images, of a few grey levels so that pooling meets ties."""
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
    labels = torch.arange(count) % classes
    return DataSet("random", (pixels, labels), (pixels[:5], labels[:5]), classes)


def nasty(rng: Random) -> tuple[Seq, Shape]:
    """A nasty design with class scores at its end."""
    design, shape = any_shape(rng)
    return seq(design, gap()), shape


def rich(rng: Random) -> tuple[Seq, Shape]:
    """A rich design with class scores at its end."""
    design, shape = any_layers(rng)
    return seq(design, gap()), shape


def classes_of(design: Seq, shape: Shape) -> int:
    """The features that a design ends in."""
    made = plan(design, shape)
    last = made.values[made.scores]
    assert (last.height, last.width) == (1, 1)
    return int(last.channels)


class Judge:
    """A design in PyTorch, in double or single precision, on the same images and dropout."""

    def __init__(self, design: Seq, data: DataSet, recipe: Recipe, dtype: torch.dtype) -> None:
        self.model: nn.Module = build(design, data.shape)
        _key_dropouts(self.model)
        _give_exact_slopes(self.model)
        self.model.load_state_dict(initial_weights(design, data.shape, 3))
        self.model.to(dtype).train()
        self.data, self.recipe, self.dtype = data, recipe, dtype
        self.is_constant = False  # a group that a group norm was given
        for module in self.model.modules():
            if isinstance(module, nn.GroupNorm):
                module.register_forward_pre_hook(self._look)

    def _look(self, norm: nn.GroupNorm, given: tuple[Tensor]) -> None:
        groups = given[0].detach().reshape(len(given[0]), norm.num_groups, -1)
        self.is_constant |= bool((groups.var(2) <= 1e-12 * groups.square().mean(2)).any())

    def gradient(self, batch: Tensor, stream: int) -> float:
        mean, std = (v.to(self.dtype)[:, None, None] for v in self.data.mean_std)
        x = (self.data.train[0][batch].to(self.dtype) / 255 - mean) / std
        set_dropout_keys(self.model, stream)
        loss = functional.cross_entropy(
            self.model(x), self.data.train[1][batch], label_smoothing=self.recipe.smoothing
        )
        self.model.zero_grad()
        if loss.requires_grad:  # a design of pools alone has nothing to learn
            loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def gradients(self) -> dict[str, Tensor]:
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad
            for name, p in self.model.named_parameters()
        }

    def tensors(self) -> dict[str, Tensor]:
        return {k: v for k, v in self.model.state_dict().items() if v.is_floating_point()}


def _give_exact_slopes(model: nn.Module) -> None:
    """PyTorch's hard sigmoid has the slope 1/6 in single precision, also for doubles: 3e-8 off."""
    for module in model.modules():
        if isinstance(module, nn.Hardsigmoid):
            module.forward = lambda x: functional.relu6(x + 3) / 6  # type: ignore[method-assign]


def native_gradients(engine: Native) -> dict[str, Tensor]:
    return {
        slot.name: engine.gradients[slot.offset : slot.offset + slot.size].view(slot.shape)
        for slot in engine.plan.parameters
    }


def native_tensors(engine: Native) -> dict[str, Tensor]:
    return {
        k.removeprefix("model."): v
        for k, v in engine.state().items()
        if k.startswith("model.") and v.is_floating_point()
    }


def close(mine: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    assert list(mine) == list(theirs)
    for name, value in theirs.items():
        scale = 1 + float(value.abs().max())
        error = float((mine[name] - value).abs().max())
        assert error <= tolerance * scale, f"{name}: {error / scale:.1e}"


def agree(
    library: ctypes.CDLL, design: Seq, shape: Shape, *, count: int = 37, recipe: Recipe = PLAIN
) -> bool:
    """Loss, gradients and running statistics of one batch are PyTorch's to 1e-9.

    Gives whether that could be judged: a channel that is constant (a window that sees padding
    alone), or a group of an image (one that dropout took), is normalised to rounding noise, whose
    sign decides what a ReLU lets through.
    """
    data = images(shape, count, classes_of(design, shape))
    engine, judge = (
        Native(design, recipe, data, 3, library),
        Judge(design, data, recipe, torch.float64),
    )
    engine.begin()
    batch = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    engine.gradient(batch, None, 77)
    assert engine.loss / count == pytest.approx(judge.gradient(batch, 77), rel=1e-9)
    close(native_tensors(engine), judge.tensors(), 1e-9)
    if judge.is_constant or any(
        "running_var" in name and bool((value <= 0.9 + 1e-12).any())
        for name, value in judge.tensors().items()
    ):
        return False
    close(native_gradients(engine), judge.gradients(), 1e-9)
    return True


# Each kind with each of its options --------------------------------------------------------------

ONES = (
    [
        f"conv(4,k={k},p={p},stride={s}) gap"
        for k in (1, 2, 3, 5, 7)
        for p in (0, 1, 4)
        for s in (1, 2, 3)
    ]
    + [f"conv({c},k=3,p=1) conv({d},k=3) gap" for c in (1, 5, 7, 13, 64) for d in (1, 6, 19, 64)]
    + [  # wide enough for Winograd's algorithms
        f"conv(12,k=1) conv(17,p={p},bias={bias},norm=none) conv(12,p={p}) gap"
        for p in (0, 1, 2, 4)
        for bias in ("true", "false")
    ]
    + [
        "conv(24) conv(48,groups=2) conv(24,groups=2,stride=2) gap",
        "conv(12) residual([conv(12)]) residual([conv(12,p=0) conv(12)]) gap",
        "conv(12,stride=2) conv(15) maxpool conv(14) gap",
    ]
    + [
        f"conv(12) conv(24,groups={g},k={k},stride={s},p=1,bias=true) gap"
        for g in (2, 3, 4, 6)
        for k in (1, 3, 4)
        for s in (1, 2)
    ]
    + [
        f"conv(5) depthwise(k={k},multiplier={m},stride={s},p={p},bias=true) gap"
        for k in (1, 3, 4, 5)
        for m in (1, 3)
        for s in (1, 2)
        for p in (0, 2)
    ]
    + [  # dilation
        f"conv(7) conv(12,k={k},d={d},stride={s},p={p},bias) conv(5,k=1) gap"
        for k, d in ((1, 2), (2, 3), (3, 2), (3, 4))
        for s, p in ((1, 0), (2, 8), (3, 9))
    ]
    + [
        f"conv(4) depthwise(k={k},d={d},stride={s},p={p},multiplier={m},bias) conv(5) gap"
        for k, d in ((2, 3), (3, 2))
        for s, p in ((1, 0), (2, 5))
        for m in (1, 2)
    ]
    + [
        "conv(12) conv(24,d=2,groups=2) conv(24,groups=3,d=3,k=2,p=1) gap",
        "conv(12) residual([conv(12,d=2) separable(12,d=3)]) loop([conv(12,d=4)],2) gap",
        "conv(5,k=3,d=4,p=1) linear(4)",
    ]
    + [
        f"conv(6,act={act},norm={norm},order={order},bias=true) conv(4) gap"
        for act in ACTIVATIONS
        if act != "prelu"
        for norm in ("batch", "none")
        for order in ("norm-act", "act-norm")
    ]
    + [f"conv(6,act=none) act({act}) conv(4) maxpool act({act}) gap" for act in ACTIVATIONS[:-1]]
    + [
        "conv(6) act(leakyrelu,slope=0.3) act(leakyrelu,slope=2) dropout(0.2) gap",
        "act(prelu) conv(6,prelu) gap linear(5,prelu)",
        "conv(6,prelu,norm=none,dropout=0.2) separable(5,prelu,inner) "
        "residual(conv(5),act=prelu) gap",
        "conv(6) loop([act(prelu) conv(6,tanh)],3) gap",
        "conv(6) loop([act(prelu) depthwise],3,depthwise) linear(3)",
    ]
    + [  # norms
        f"conv(6,act={act},norm={norm},ng=3,affine={affine},order={order},dropout=0.1) conv(4) gap"
        for act in ("gelu", "prelu")
        for norm in ("batch", "group", "layer")
        for affine in AFFINES
        for order in ("norm-act", "act-norm")
    ]
    + [
        f"{norm} conv(4) add([{norm}],[avgpool(3,s=1,p=1)],silu) {norm} dropout(0.2) gap {norm}"
        for norm in (f"norm({by},affine={a})" for by in ("batch", "layer") for a in AFFINES)
    ]
    + [
        "norm(affine=none) gate norm(affine=none) conv(3) gap",
        "norm(group,g=2) norm norm maxpool norm(layer) norm conv(3) gap",
        "conv(6,act=none,norm=none) norm act(gelu) norm act(silu) dropout(0.3) gap",
        "conv(6) residual([norm act(tanh)],act=gelu) residual([gate norm(layer)],project) gap",
        "conv(6) loop([norm(group,g=3) act(prelu) norm(affine=shift) conv(6,layer)],3) gap",
        "conv(6) loop([loop([norm conv(6,group,ng=2,affine=none)],2)],2,depthwise) gap",
        "conv(6) linear(5,tanh) norm linear(4)",
    ]
    + [  # branches side by side, and layers that move values
        f"conv(6) pad({before},a={after},mode={mode}) conv(5,p=0) pad({after},mode={mode}) gap"
        for before, after in ((0, 2), (3, 1))
        for mode in BORDERS
    ]
    + [f"conv(12) split({part},of={of}) conv(5) gap" for part, of in ((0, 2), (1, 2), (2, 4))]
    + [f"conv(12) shuffle({groups}) conv(6,groups=3) shuffle gap" for groups in (2, 3, 4, 6)]
    + [
        "conv(6) concat([conv(4,d=2)],[maxpool(3,s=1,p=1)]) conv(5) gap",
        "concat([],[gate]) conv(6) concat([conv(3) norm],[]) norm(layer) gap linear(3)",
        "conv(6) concat([split(0)],[split(1) conv(5)]) shuffle conv(4) gap",
        "conv(6) residual([split(1) conv(4) widen(7)],project) widen(9) widen(10) gap",
        "conv(6) concat([widen(8) conv(3)],[pad(1) conv(4,p=0)]) gap",
        "pad(2,a=1,mode=reflect) split(0) widen(5) conv(4) gap",
        "conv(6,reflect) depthwise(k=5,replicate) residual([separable(6,d=2,reflect)]) gap",
        "conv(6) ghost(8) inverted(8,e=2) inverted(9,e=3,s=2) gap linear(4)",
        "conv(6) loop([concat([split(0) conv(3)],[split(1)]) shuffle(3) norm],3) gap",
    ]
    + [
        f"conv(5,dropout={rate},per={per}) dropout({rate},per={per}) conv(7,k=2,p=0) gap"
        for rate in (0.1, 0.5, 0.8)
        for per in ("element", "channel")
    ]
    + [
        f"conv(5) {by}(k={k},stride={s},p={p}) conv(6) gap"
        for by in ("maxpool", "avgpool")
        for k, s, p in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1), (4, 4, 2), (1, 2, 0))
    ]
    + [
        "conv(6) gate gap",
        "gate conv(6) gate conv(4) gap",
        "conv(6) se(reduction=2) conv(7) gap",
        "se(reduction=1) conv(3) se(reduction=16) gap",
        "conv(6) separable(7) gap",
        "conv(6) separable(7,inner=true) separable(5,k=5,stride=2) gap",
        "conv(6) residual([conv(6)]) gap",
        "conv(6) residual([conv(9) conv(6,act-norm)],act=relu) gap",
        "conv(6) residual([conv(8)],project) residual([conv(8,p=0)]) gap",
        "conv(6) residual([conv(8,stride=2)],project,act=gelu) gap",
        "conv(6) residual([maxpool conv(8)],project) conv(5) gap",
        "residual([conv(2)]) conv(4) gap",
        "conv(6) residual([residual([conv(6)]) gate]) residual([dropout(0.3)]) gap",
        "conv(6) residual([conv(6,p=3)]) linear(7)",
        "conv(6) linear(12,act=relu) linear(5)",
        "linear(9,act=silu) conv(8,k=1,norm=none) linear(4,bias=false)",
        "conv(4) avgpool linear(6)",
        "conv(6) maxpool conv(10,k=1,norm=none,act=none) gap",
        "maxpool avgpool dropout(0.2) linear(4)",
        "conv(9) gap conv(7,k=1) conv(5,k=1,act=none)",
        "gap linear(3)",
    ]
    + [  # sums of branches
        "conv(6) add([conv(8) conv(9,act=none)],[conv(9,k=1,act=none)],relu) conv(5) gap",
        "conv(6) add([conv(8,s=2)],[conv(8,k=1,s=2,bias,norm=none,act=none)],gelu) gap",
        "conv(6) add([maxpool(k=3,s=1,p=1)],[dropout(0.2)]) conv(7) gap",
        "add([conv(4)],[conv(4)]) add([gate],[se]) conv(4) gap",
        "conv(6) add([add([conv(6)],[conv(6,act=none)]) gate],[avgpool(k=1)]) gap",
        "conv(6) loop([add([conv(9) conv(6)],[conv(6,k=1)],relu)],2) gap",
    ]
    + [  # shared weights
        f"conv(12) loop([{body}],3{share}) conv(5) gap"
        for body in (
            "conv(12,bias)",
            "conv(12,k=1,act-norm,dropout=0.2)",
            "conv(12,groups=3,k=5)",
            "separable(12,inner,bias)",
            "depthwise",
            "conv(8,norm=none) se dropout(0.3,channel) gate separable(12)",
            "residual([conv(7) maxpool(k=3,s=1,p=1) conv(9)],project) conv(12)",
            "residual([conv(12,p=2,bias)],project) conv(12,p=0)",
            "loop([conv(12,dropout=0.1) loop([depthwise],2)],2) separable(12)",
        )
        for share in ("", ",depthwise")
    ]
    + [
        f"conv(6) loop([loop([loop([separable(6) dropout(0.2)],2{a}) depthwise],2{b}) "
        f"conv(6)],2{c}) gap"
        for a in ("", ",depthwise")
        for b in ("", ",depthwise")
        for c in ("", ",depthwise")
    ]
    + [
        "loop([conv(2,k=5)],4) gap",
        "conv(6) gap loop([linear(6,relu)],3) linear(4)",
        "conv(6) gap loop([linear(6,bias=false)],3,depthwise)",
        "conv(6) residual([loop([conv(6)],2)]) loop([conv(6)],2) loop([gate],3) gap",
    ]
)
EDGES = "conv(12,k=1) conv(13) residual([conv(13,norm=none,bias=true) conv(13)]) gap"
SIZES = [
    (1, 5),
    (2, 2),
    (3, 6),
    (4, 4),
    (5, 10),
    (6, 6),
    (7, 14),
    (8, 5),
    (9, 9),
    (10, 11),
    (14, 3),
]


@needs_compiler
@pytest.mark.parametrize("text", ONES)
def test_every_kind_and_option_is_pytorchs(double: ctypes.CDLL, text: str) -> None:
    assert agree(double, parse(text), (2, 9, 11), count=19)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("text", ONES)
def test_so_it_is_with_wide_registers(wide: ctypes.CDLL, text: str) -> None:
    assert agree(wide, parse(text), (2, 9, 13), count=19)


@needs_compiler
@pytest.mark.parametrize(
    "shape", [(2, 1, 3), (2, 3, 1), (2, 1, 4), (1, 1, 1), (2, 2, 17)], ids=str
)
@pytest.mark.parametrize(
    "text",
    [
        "conv(4,k=1) conv(5,k=1,p=0,stride=2) linear(4)",
        "conv(4) conv(5) conv(6,stride=2) conv(4,k=1,p=0,stride=2) gap",
    ],
)
def test_narrow_images(double: ctypes.CDLL, text: str, shape: Shape) -> None:
    assert agree(double, parse(text), shape, count=19)


@needs_compiler
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_tiles_of_both_sizes_and_their_edges(double: ctypes.CDLL, size: tuple[int, int]) -> None:
    assert agree(double, parse(EDGES), (2, *size), count=17)


@needs_compiler
@pytest.mark.slow
def test_tiles_and_their_edges_with_wide_registers(wide: ctypes.CDLL) -> None:
    for size in [*SIZES, (5, 12), (12, 13), (3, 28)]:  # from 12 on, rows in groups of four
        assert agree(wide, parse(EDGES), (2, *size), count=17), size


@needs_compiler
@pytest.mark.parametrize(
    "text",
    [
        "conv(4,p=0) residual([conv(4,p=0) conv(4,p=0)]) gap",  # from 26 to 22 pixels
        "conv(8,p=0) conv(12,p=0) maxpool conv(16) conv(14,p=0) gap",
        "conv(3) residual([avgpool conv(3,p=9)]) gap",
        "conv(2) linear(10)",
        "conv(2,stride=3) linear(5,act=relu) linear(10)",
    ],
)
def test_larger_images(double: ctypes.CDLL, text: str) -> None:
    assert agree(double, parse(text), (1, 28, 28), count=5)


@pytest.mark.parametrize("before", range(1, 100))
def test_resizing_takes_the_pixels_that_pytorch_takes(before: int) -> None:
    source = torch.arange(before, dtype=torch.float32)[None, None, None]
    for after in range(1, 100):
        taken = functional.interpolate(source, size=(1, after), mode="nearest")[0, 0, 0]
        assert taken.tolist() == [nearest(i, before, after) for i in range(after)], after


@needs_compiler
@pytest.mark.parametrize("count", [2, 15, 16, 17, 31, 32, 33, 128, 300])
def test_every_batch_size(double: ctypes.CDLL, count: int) -> None:
    design = parse("conv(6,act-norm) maxpool separable(9,dropout=0.2) se gap linear(10)")
    assert agree(double, design, (1, 12, 12), count=count, recipe=Recipe(batch_size=count))


@needs_compiler
@pytest.mark.parametrize("make", [default, nasty, rich])
@pytest.mark.parametrize(
    "seeds", [range(12), pytest.param(range(12, 200), marks=pytest.mark.slow)], ids=["few", "200"]
)
def test_random_designs(
    double: ctypes.CDLL, make: Callable[[Random], tuple[Seq, Shape]], seeds: range
) -> None:
    agree_on(double, make, seeds)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("make", [default, nasty, rich])
def test_random_designs_with_wide_registers(
    wide: ctypes.CDLL, make: Callable[[Random], tuple[Seq, Shape]]
) -> None:
    agree_on(wide, make, range(100))


def agree_on(
    build_: ctypes.CDLL, make: Callable[[Random], tuple[Seq, Shape]], seeds: range
) -> None:
    judged = 0
    for seed in seeds:
        design, shape = make(Random(seed))
        try:
            judged += agree(
                build_, design, shape, count=21, recipe=Recipe(smoothing=0.1 * (seed % 2))
            )
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {design} on {shape}") from error
    assert judged > 0.9 * len(seeds)


# Steps -------------------------------------------------------------------------------------------

OPTIMIZERS: dict[Recipe, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    Recipe(momentum=0): lambda p: torch.optim.SGD(p, 0.05),
    Recipe(weight_decay=0.01): lambda p: torch.optim.SGD(
        p, 0.05, 0.9, nesterov=True, weight_decay=0.01
    ),
    Recipe(optimizer="adam", weight_decay=0.01): lambda p: torch.optim.Adam(
        p, 0.05, weight_decay=0.01
    ),
    Recipe(optimizer="adamw", weight_decay=0.01): lambda p: torch.optim.AdamW(
        p, 0.05, weight_decay=0.01
    ),
    Recipe(weight_decay=0.01, decay_on="weights"): lambda p: torch.optim.SGD(
        groups_of(p), 0.05, 0.9, nesterov=True, weight_decay=0.01
    ),
    Recipe(optimizer="adamw", weight_decay=0.01, decay_on="weights"): lambda p: torch.optim.AdamW(
        groups_of(p), 0.05, weight_decay=0.01
    ),
}


def groups_of(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Weights, which decay, and biases and norms, which do not."""
    given = list(parameters)
    return [
        {"params": [one for one in given if one.ndim > 1]},
        {"params": [one for one in given if one.ndim == 1], "weight_decay": 0.0},
    ]


@needs_compiler
@pytest.mark.parametrize("recipe", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(
    "text",
    [
        "conv(6,act-norm,act=silu) avgpool residual([conv(8,act=gelu)],project) "
        "separable(9,act=silu,dropout=0.1) gap linear(10)",
        "conv(6,act=silu) loop([separable(6,silu,dropout=0.1) residual(conv(6,gelu))],3) "
        "avgpool loop([depthwise(silu) conv(6,k=1,silu)],2,depthwise) gap linear(10)",
        "conv(6,tanh,d=2) act(prelu) avgpool residual([conv(8,sigmoid)],project) "
        "separable(9,silu,d=2) act(tanh) gap linear(10)",
        "norm conv(6,group,ng=3,silu) residual([norm(layer) conv(6,gelu,affine=shift)]) avgpool "
        "act(tanh) norm separable(8,silu,affine=none) loop([norm(layer) conv(8,silu)],2) gap "
        "linear(10)",
        "conv(6,silu) concat([conv(6,silu)],[split(0) conv(3,k=1,gelu)]) shuffle(3) avgpool "
        "pad(1,mode=reflect) residual([ghost(10,act=silu)],project) widen(12) "
        "separable(8,silu,dropout=0.1) gap linear(10)",
    ],
    ids=["layers", "loops", "activations", "norms", "moves"],
)
def test_twenty_steps_are_pytorchs(double: ctypes.CDLL, text: str, recipe: Recipe) -> None:
    design = parse(text)
    data = images((1, 10, 10), 60, 10)
    engine, judge = (
        Native(design, recipe, data, 3, double),
        Judge(design, data, recipe, torch.float64),
    )
    engine.begin()
    optimizer = OPTIMIZERS[recipe](judge.model.parameters())
    for step in range(20):
        batch = (torch.arange(24) + 7 * step) % 60
        engine.learn(batch, 0.05, 0, step)
        judge.gradient(batch, step)
        optimizer.step()
    close(native_tensors(engine), judge.tensors(), 1e-9)


# Single precision --------------------------------------------------------------------------------


@needs_engine
@pytest.mark.parametrize("build_name", BY_BUILD)
@pytest.mark.parametrize("make", [default, nasty, rich])
def test_single_precision_is_as_close_to_the_truth_as_pytorchs(
    make: Callable[[Random], tuple[Seq, Shape]], build_name: str
) -> None:
    """Over random designs, the median error in the gradients is at most 1.5 times PyTorch's."""
    ratios = []
    built = open_library(path_of(build_name))
    for seed in range(24):
        design, shape = make(Random(seed))
        data = images(shape, 40, classes_of(design, shape))
        engine = Native(design, PLAIN, data, 3, built)
        if not len(engine.parameters):  # pools alone
            continue
        exact, single = (Judge(design, data, PLAIN, t) for t in (torch.float64, torch.float32))
        engine.begin()
        batch = torch.arange(40)
        engine.gradient(batch, None, 5)
        exact.gradient(batch, 5)
        single.gradient(batch, 5)
        truth = torch.cat([g.flatten() for g in exact.gradients().values()])
        mine, theirs = (
            torch.cat([g.flatten().double() for g in found.values()])
            for found in (native_gradients(engine), single.gradients())
        )
        ratios.append(float((mine - truth).norm() / ((theirs - truth).norm() + 1e-12)))
    ratios.sort()
    assert ratios[len(ratios) // 2] < 1.5, ratios


@needs_engine
def test_large_means_are_not_lost_in_single_precision() -> None:
    """Batch norm over values of 300 plus or minus 1: PyTorch's error is no smaller."""
    design = parse("conv(4,act=none,norm=none,bias=true) conv(5,act=none) gap linear(10)")
    data = images((1, 9, 9), 64, 10)
    judges = [Judge(design, data, PLAIN, t) for t in (torch.float64, torch.float32)]
    engine = Native(design, PLAIN, data, 3)
    engine.begin()
    for judge in judges:
        for name, value in judge.model.named_parameters():
            if name == "0.conv.bias":
                value.data.fill_(300)
    for slot in engine.plan.parameters:
        if slot.name == "0.conv.bias":
            engine.parameters[slot.offset : slot.offset + slot.size] = 300
    for step in range(60):  # until the running mean, from which sums are taken, is near the mean
        engine.gradient(torch.arange(64), None, step)
        for judge in judges:
            judge.gradient(torch.arange(64), step)
    exact, single = (
        torch.cat([g.flatten().double() for g in judge.gradients().values()]) for judge in judges
    )
    mine = torch.cat([g.flatten().double() for g in native_gradients(engine).values()])
    assert float((mine - exact).norm()) < 3 * float((single - exact).norm())


# The generator and augmentation are judged where PyTorch's are -----------------------------------


@needs_compiler
def test_augmented_images_are_those_of_the_pytorch_engine(double: ctypes.CDLL) -> None:
    """A linear network's gradient shows its input: it must be the same with each augmentation."""
    same_images(double)


@needs_engine
@pytest.mark.parametrize("build_name", BY_BUILD)
def test_so_are_those_of_each_build(build_name: str) -> None:
    same_images(open_library(path_of(build_name)))


def same_images(build_: ctypes.CDLL) -> None:
    from lightsearch.engines.augment import augment

    data = images((3, 9, 21), 40, 10)  # more than sixteen pixels in a row, and not all of the next
    design = parse("linear(10)")
    whole = {
        "rotation": 20.0,
        "shift": 0.15,
        "scale": 0.2,
        "shear": 12.0,
        "erasing": 0.7,
        "brightness": 0.4,
        "contrast": 0.5,
        "flip": 0.6,
    }
    recipes = [Recipe(**{name: value}) for name, value in whole.items()]  # type: ignore[arg-type]
    for recipe in [*recipes, Recipe(**whole)]:  # type: ignore[arg-type]
        engine = Native(design, recipe, data, 3, build_)
        engine.begin()
        batch = torch.arange(40).flip(0)
        engine.gradient(batch, 99, 0)
        module = build(design, data.shape).double()
        module.load_state_dict(initial_weights(design, data.shape, 3))
        pixels = augment(data.train[0][batch].float() / 255, recipe, 99).double()
        mean, std = (v.double()[:, None, None] for v in data.mean_std)
        functional.cross_entropy(module((pixels - mean) / std), data.train[1][batch]).backward()
        expected = dict(module.named_parameters())["0.linear.weight"].grad
        assert expected is not None
        torch.testing.assert_close(
            native_gradients(engine)["0.linear.weight"].double(),
            expected,
            atol=2e-6,
            rtol=0,
            msg=lambda m, r=recipe: f"{r}: {m}",
        )


# All builds, and no reading past an end ----------------------------------------------------------

SANITIZED = """
import sys
from pathlib import Path
from random import Random
from typing import Any
sys.path[:0] = sys.argv[2:]
import test_native as t
library = t.open_library(Path(sys.argv[1]))
for text in t.ONES:
    t.agree(library, t.parse(text), (2, 9, 11), count=19)
for size in t.SIZES:
    t.agree(library, t.parse(t.EDGES), (2, *size), count=17)
for count in (1, 2, 15, 16, 17, 33, 300):
    t.agree(library, t.parse("conv(6,act-norm) maxpool separable(9,dropout=0.2) se linear(10)"),
            (1, 7, 5), count=count, recipe=t.Recipe(batch_size=count))
for seed in range(25):
    t.agree(library, *t.nasty(Random(seed)), count=21)
    t.agree(library, *t.rich(Random(seed)), count=21)
for name in ("sgd", "adam", "adamw"):
    recipe = t.Recipe(optimizer=name, batch_size=20, rotation=180, shift=1, scale=0.9, shear=80,
                      erasing=1, brightness=1, contrast=1, smoothing=0.1, ema=0.9, flip=0.5)
    data = t.images((3, 9, 6), 40, 10)
    engine = t.Native(t.parse("conv(6,dropout=0.2) se gap linear(10)"), recipe, data, 1, library)
    engine.begin()
    for step in range(3):
        engine.train([t.Batch(t.torch.arange(17 + step), 0.1, step, step, 0.5)])
    engine.load(engine.state() | {"run.step": t.torch.tensor(3)})
    assert engine.evaluate(False) + engine.evaluate(True) >= 0
print("done")
"""


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitizers over every kind, odd sizes and batches."""
    runtimes = [
        subprocess.run(
            [str(COMPILER), f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    running = []
    for register in (32, 64):  # side by side
        path = compiled(
            tmp_path,
            f"sanitized_{register}",
            "-DLIGHTSEARCH_DOUBLE",
            "-O0",  # the optimizer takes over a minute for what the sanitizers add
            "-w",  # nothing unrolls a loop then
            f"-DLIGHTSEARCH_REGISTER={register}",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
        )
        running.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    SANITIZED,
                    str(path),
                    str(Path(__file__).parent),
                    str(Path(__file__).parents[1] / "support"),
                ],
                env={
                    **os.environ,
                    "LD_PRELOAD": " ".join(runtimes),
                    "ASAN_OPTIONS": "detect_leaks=0",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    told = [(process.communicate(), process.returncode) for process in running]
    for (said, errors), code in told:
        assert code == 0, errors[-3000:]
        assert said == "done\n"


@pytest.mark.skipif(len(EACH_BUILD) < 2, reason="this processor has one build only")
def test_all_builds_give_the_same_up_to_rounding() -> None:
    design = parse("conv(6,act-norm) maxpool separable(9) gap linear(10)")
    data = images((1, 12, 12), 40, 10)
    found = []
    for name in EACH_BUILD:
        engine = Native(design, PLAIN, data, 3, open_library(path_of(name)))
        engine.begin()
        engine.gradient(torch.arange(40), 1, 2)
        found.append(engine.gradients)
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, atol=1e-6, rtol=1e-4)


@needs_engine
def test_the_build_is_that_of_the_processor() -> None:
    """As PyTorch sees it."""
    level = {"AVX512": "v4", "AVX2": "v3"}.get(torch.backends.cpu.get_cpu_capability(), "plain")
    assert build_name() == level


@needs_engine
def test_pytorchs_own_variable_holds_the_native_engine_too() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from lightsearch.engines.selection import engine_label as label\n"
            "print(label('native'))",
        ],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        text=True,
    )
    assert told.stdout == "native-plain\n", told.stderr


def test_without_the_build_that_any_processor_runs(other_folder: Path) -> None:
    """It says what the processor has: one clear word, not that there was no compiler."""
    native_library.path_of("v3").write_bytes(b"no library")
    with pytest.warns(UserWarning, match=r"cannot be loaded: .*engine_plain.*PyTorch trains"):
        assert choose_engine("auto", "cpu") == "torch"


# What goes wrong ---------------------------------------------------------------------------------


@needs_engine
@pytest.mark.parametrize("size", [6e37, 1e38])
def test_a_diverged_network_shows_no_finite_loss(size: float) -> None:
    """One pixel that is not a number, and not the first of its window."""
    design = parse("conv(4,k=1,p=0) maxpool gap")
    pixels = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
    pixels[0, 0, 3, 3] = 255
    data = DataSet("one", (pixels, torch.arange(8) % 4), (pixels, torch.arange(8) % 4), 4)
    engine, judge = Native(design, PLAIN, data, 3), Judge(design, data, PLAIN, torch.float32)
    engine.begin()
    engine.parameters[0] = size
    next(judge.model.parameters()).data.view(-1)[0] = size
    assert not math.isfinite(judge.gradient(torch.arange(8), 1))
    engine.gradient(torch.arange(8), None, 1)
    assert not math.isfinite(engine.loss)


@needs_engine
def test_batch_norm_over_one_value_is_refused_as_in_pytorch() -> None:
    data = images((1, 6, 6), 8, 10)
    text = "gap conv(4,k=1) linear(10)"
    engine = Native(parse(text), Recipe(batch_size=1), data, 3)
    engine.begin()
    with pytest.raises(ValueError, match="more than one value"):
        engine.gradient(torch.arange(1), None, 0)
    with pytest.raises(ValueError, match="more than 1 value"):
        Judge(parse(text), data, PLAIN, torch.float32).gradient(torch.arange(1), 0)


@needs_engine
def test_batch_norm_over_one_image_of_many_pixels_is_pytorchs() -> None:
    data, design = images((1, 6, 6), 8, 10), parse("conv(4) gap linear(10)")
    engine = Native(design, Recipe(batch_size=1), data, 3)
    engine.begin()
    engine.gradient(torch.arange(1), None, 0)
    judge = Judge(design, data, PLAIN, torch.float32)
    assert engine.loss == pytest.approx(judge.gradient(torch.arange(1), 0), rel=1e-5)


@needs_engine
def test_a_batch_larger_than_the_network_was_made_for_is_refused() -> None:
    engine = Native(parse("gap linear(10)"), Recipe(batch_size=4), images((1, 6, 6), 8, 10), 3)
    with pytest.raises(EngineError, match="at most 5 images, but got 6"):
        engine.gradient(torch.arange(6), None, 0)


@needs_engine
@pytest.mark.parametrize("index", [-1, 8, 2**40])
def test_an_image_that_is_not_there_is_an_error(index: int) -> None:
    engine = Native(parse("gap linear(10)"), Recipe(batch_size=4), images((1, 6, 6), 8, 10), 3)
    engine.begin()
    batch = torch.tensor([0, 7, index])
    for train in (
        lambda: engine.gradient(batch, None, 0),
        lambda: engine.train([Batch(batch, 0.1, 0, 0, 0.5)]),
    ):
        with pytest.raises(EngineError, match=f"from 0 to 7, but got {index}$"):
            train()
    engine.gradient(torch.tensor([0, 7]), None, 0)


@needs_engine
@pytest.mark.parametrize("label", [-1, 5, 2**40])
def test_a_label_without_a_score_is_an_error(label: int) -> None:
    """Labels are checked as a data set is made; this one is changed behind its back."""
    data = images((1, 6, 6), 8, 10)
    for _, labels in (data.train, data.test):
        labels.clamp_(max=4)
    engine = Native(parse("gap linear(5)"), Recipe(batch_size=4), data, 3)
    engine.begin()
    engine.gradient(torch.arange(4), None, 0)
    data.train[1][3] = data.test[1][3] = label
    with pytest.raises(EngineError, match=f"train image must be from 0 to 4, but got {label}$"):
        engine.gradient(torch.arange(4), None, 0)
    with pytest.raises(EngineError, match=f"test image must be from 0 to 4, but got {label}$"):
        engine.evaluate(averaged=False)


# Which engine ------------------------------------------------------------------------------------


def test_the_zoos_table_says_who_trains_a_network() -> None:
    table = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    engines = {row[0].strip(" `"): row[-1].strip() for row in rows}
    for name, network in public_networks.items():
        expected = "native" if supports(network.design, network.shape) else "PyTorch"
        assert engines[name] == expected, name


def test_who_trains_what() -> None:
    asked = parse("conv(4) gap linear(10)"), Recipe(), (1, 8, 8), "cpu"
    assert choose_engine("torch", "cpu") == engine_of("torch", *asked) == "torch"
    assert parse_engine("native-v4") == parse_engine("native-plain") == "native"
    assert parse_engine("torch") == "torch"
    with pytest.raises(
        ArgumentError, match="`engine` must be one of native, torch, surrogate, but got"
    ):
        parse_engine("jax-2")
    with pytest.raises(ArgumentError, match="`engine` must be 'torch' on a cuda device"):
        choose_engine("native", "cuda")
    assert choose_engine("auto", "cuda") == "torch"
    if available():
        assert choose_engine("auto", "cpu") == engine_of("auto", *asked) == "native"


@pytest.fixture
def other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The library is looked for in an empty folder."""
    monkeypatch.setattr(native_library, "FOLDER", tmp_path)
    caches = [f for f in vars(native_library).values() if hasattr(f, "cache_clear")]
    for cached in caches:
        cached.cache_clear()
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


def test_without_a_library_auto_is_pytorch(other_folder: Path) -> None:
    assert choose_engine("auto", "cpu") == "torch"
    with pytest.raises(
        ArgumentError,
        match=r"but got engine='native': there is no native engine "
        r"here: .* installed without a C\+\+ compiler",
    ):
        choose_engine("native", "cpu")


def test_a_library_that_cannot_be_used_is_warned_of(other_folder: Path) -> None:
    for name in BUILDS:
        native_library.path_of(name).write_bytes(b"no library")
    with pytest.warns(UserWarning, match="cannot be loaded: .*PyTorch trains instead"):
        assert choose_engine("auto", "cpu") == "torch"
    with pytest.raises(ArgumentError, match="but got engine='native': the native engine cannot"):
        choose_engine("native", "cpu")


def test_a_users_own_layer_goes_to_pytorch() -> None:
    from dataclasses import dataclass

    from lightsearch.design import Layer
    from lightsearch.network.modules import register
    from lightsearch.network.operations import Local

    @dataclass(frozen=True, slots=True, repr=False)
    class Mine(Layer):
        pass

    register(
        "native_test_mine",
        Mine,
        cost=lambda layer, shape: Local(shape),
        module=lambda layer, shape: nn.Identity(),
    )
    design = seq(Mine())
    assert not supports(design, (1, 8, 8))
    with pytest.raises(Unsupported, match="native_test_mine"):
        plan(design, (1, 8, 8))


def test_a_library_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_library(tmp_path / "none.so")
    (tmp_path / "text.so").write_text("this is no library")
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_library(tmp_path / "text.so")


@needs_engine
def test_keyed_dropouts_are_counted_alike() -> None:
    design = parse("conv(4,dropout=0.1) residual([conv(4,dropout=0.2)]) dropout(0.3) gap")
    module = build(design, (1, 8, 8))
    _key_dropouts(module)
    rates = [m.rate for m in module.modules() if isinstance(m, KeyedDropout)]
    drops = [op for op in plan(design, (1, 8, 8)).ops if op.drop]
    assert [op.drop_index for op in drops] == [0, 1, 2]
    assert [op.threshold / 65536 for op in drops] == pytest.approx(rates, abs=1e-5)


@needs_engine
def test_weights_of_a_loop_are_kept_once_and_its_norms_for_each_pass() -> None:
    text = "conv(4) loop([separable(4,dropout=0.1) conv(4,dropout=0.2)],3) gap linear(4)"
    design, data = parse(text), images((1, 8, 8), 12, 4)
    found, module = plan(design, (1, 8, 8)), build(design, (1, 8, 8))
    assert [slot.name for slot in found.parameters] == [n for n, _ in module.named_parameters()]
    assert list(found.names) == list(module.state_dict())
    assert supports(design, (1, 8, 8)) and found.parameter_count == sum(
        p.numel() for p in module.parameters()
    )
    # Passes take turns; in the module, the dropouts of a layer lie side by side.
    assert [op.drop_index for op in found.ops if op.drop] == [0, 3, 1, 4, 2, 5]
    recipe = Recipe(optimizer="adamw", ema=0.9)
    native, torch_engine = Native(design, recipe, data, 3), Eager(design, recipe, data, 3)
    assert native.shapes() == torch_engine.shapes()
    native.begin()
    native.learn(torch.arange(12), 0.01, 0, 1)
    torch_engine.load(native.state())
    assert torch_engine.evaluate(True) == native.evaluate(True)
    torch_engine.learn(torch.arange(12), 0.01, 1, 2)
    native.load(torch_engine.state() | {STEP: torch.tensor(2)})
    close(native_tensors(native), below_model(torch_engine), 1e-6)


def below_model(engine: Eager) -> dict[str, Tensor]:
    return {k: v for k, v in engine.model.state_dict().items() if v.is_floating_point()}
