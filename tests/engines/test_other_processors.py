"""The native engine by other compilers, for other processors (by qemu) and Windows (by Wine).

The plain build, cross-compiled, trains from a file and answers in one; PyTorch says what is right.
An emulator shows that the results are right; it says nothing about speed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from test_native import (
    CPP,
    OPTIMIZERS,
    Judge,
    classes_of,
    close,
    images,
    native_gradients,
    native_tensors,
)

from lightsearch.data.dataset import DataSet
from lightsearch.design import Seq
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import Batch
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.structs import fill_augmentation, fill_images, fill_step
from lightsearch.notation.parser import parse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# What compiles for it, and what runs the program, if anything must.
WINE = shutil.which("wine64") or shutil.which("wine64", path="/usr/lib/wine")
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
PROCESSORS = {
    "this one, clang": (shutil.which("clang++"), ()),
    "aarch64": (shutil.which("aarch64-linux-gnu-g++"), (QEMU,)),
    "Windows": (shutil.which("x86_64-w64-mingw32-g++-posix"), (WINE,)),
}
DESIGNS = [
    "conv(6,act-norm,act=silu) avgpool residual([conv(8,act=gelu)],project) "
    "separable(9,act=silu,dropout=0.1) gap linear(10)",
    "conv(12,k=1) conv(13) conv(8,p=0) maxpool residual([conv(13,norm=none) conv(13)],project) "
    "se(reduction=2) gate gap linear(10)",
    "conv(5,stride=2,act=hardswish) depthwise(k=5,multiplier=2) conv(12,groups=2) linear(12) "
    "linear(10)",
]
STEPS, BATCH = 20, 24


@pytest.fixture(scope="session", params=PROCESSORS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    compiler, runner = PROCESSORS[request.param]
    if compiler is None or None in runner:
        pytest.skip(f"no compiler or emulator for {request.param}: see CONTRIBUTING.md")
    return Program(compiler, [str(one) for one in runner], tmp_path_factory.mktemp("replay"))


class Program:
    """replay.cpp for one processor, in double and in single precision."""

    def __init__(self, compiler: str, runner: Sequence[str], folder: Path) -> None:
        self.compiler, self.runner, self.folder = compiler, runner, folder

    def compiled(self, dtype: torch.dtype) -> Path:
        path = self.folder / str(dtype)
        if not path.exists():
            flags = ["-DLIGHTSEARCH_DOUBLE"] if dtype == torch.float64 else []
            command = [self.compiler, "-std=c++17", "-O1", "-ffp-contract=off", "-Wno-psabi"]
            source = Path(__file__).with_name("replay.cpp")
            command += [*flags, f"-I{CPP}", "-static", str(source), "-o", str(path)]
            subprocess.run(command, check=True)
        return path

    def train(self, engine: Native, batches: Sequence[Batch], *, augments: bool) -> list[float]:
        """Do what `engine.train(batches)` would, and evaluate the training images.

        Return the loss, the images that were right, and those that are right then. The engine's
        parameters, running statistics and gradients are the program's.
        """
        given, said = self.folder / "given", self.folder / "said"
        given.write_bytes(described(engine, batches, augments=augments))
        program = str(self.compiled(engine.dtype))
        command = [*self.runner, program, given.name, said.name]
        quiet = {**os.environ, "WINEDEBUG": "-all", "WINEPREFIX": str(self.folder / "wine")}
        subprocess.run(command, check=True, timeout=900, env=quiet, cwd=self.folder)
        answer = said.read_bytes()
        numbers = np.frombuffer(answer[:24], np.float64).tolist()
        rest = torch.from_numpy(
            np.frombuffer(answer[24:], np.dtype(str(engine.dtype).split(".")[1])).copy()
        )
        parts = (engine.parameters, engine.running, engine.gradients)
        for mine, theirs in zip(parts, rest.split([len(part) for part in parts]), strict=True):
            mine.copy_(theirs)
        return numbers


def described(engine: Native, batches: Sequence[Batch], *, augments: bool) -> bytes:
    """The file that replay.cpp reads: each array behind the number of its elements."""
    how = fill_augmentation(engine.recipe, 0)
    train = fill_images(engine.data.train, engine.data)
    memories = [*engine.memories.values(), torch.zeros(0), torch.zeros(0)][:2]
    places = [engine.max_batch, engine.plan.input, engine.plan.scores]
    pixels, labels, mean, deviation = train.tensors
    parts = [
        (len(engine.plan.values), b"".join(map(bytes, engine.plan.values))),
        (len(engine.plan.ops), b"".join(map(bytes, engine.plan.ops))),
        (len(places), np.array(places, np.int64).tobytes()),
        (1, bytes(train)),
        *((t.numel(), t.numpy().tobytes()) for t in (pixels, labels, mean, deviation)),
        (int(augments), bytes(how) if augments else b""),
        (1, bytes(engine._training(how))),
        *(
            (t.numel(), t.numpy().tobytes())
            for t in (engine.parameters, engine.running, *memories, engine.decays)
        ),
        (len(batches), b"".join(bytes(fill_step(batch)) for batch in batches)),
    ]
    indices = torch.cat([batch.images for batch in batches])
    parts.append((len(indices), indices.numpy().tobytes()))
    return b"".join(count.to_bytes(8, "little") + data for count, data in parts)


def begun(design: Seq, recipe: Recipe, data: DataSet, dtype: torch.dtype) -> Native:
    engine = Native(design, recipe, data, 3)
    engine.dtype = dtype
    for name in ("parameters", "gradients", "running"):
        setattr(engine, name, getattr(engine, name).to(dtype))
    engine.memories = {name: memory.to(dtype) for name, memory in engine.memories.items()}
    engine.decays = engine._list_decays()
    engine.begin()
    return engine


def batches_of(count: int, rate: float) -> list[Batch]:
    return [
        Batch((torch.arange(BATCH) + 7 * step) % count, rate, step, step, 0.0)
        for step in range(STEPS)
    ]


@pytest.mark.parametrize("text", DESIGNS)
def test_loss_and_gradients_are_pytorchs(program: Program, text: str) -> None:
    design = parse(text)
    data = images((1, 10, 10), 60, classes_of(design, (1, 10, 10)))
    recipe = Recipe(lr=0.05, smoothing=0.1)
    engine, judge = (
        begun(design, recipe, data, torch.float64),
        Judge(design, data, recipe, torch.float64),
    )
    batch = Batch(torch.arange(BATCH), 0.0, 0, 77, 0.0)
    loss, *_ = program.train(engine, [batch], augments=False)
    assert loss / BATCH == pytest.approx(judge.gradient(batch.images, 77), rel=1e-9)
    close(native_gradients(engine), judge.gradients(), 1e-9)
    close(native_tensors(engine), judge.tensors(), 1e-9)


@pytest.mark.parametrize("recipe", OPTIMIZERS, ids=str)
def test_twenty_steps_are_pytorchs(program: Program, recipe: Recipe) -> None:
    design, data = parse(DESIGNS[0]), images((1, 10, 10), 60, 10)
    engine, judge = (
        begun(design, recipe, data, torch.float64),
        Judge(design, data, recipe, torch.float64),
    )
    batches = batches_of(60, 0.05)
    program.train(engine, batches, augments=False)
    optimizer = OPTIMIZERS[recipe](judge.model.parameters())
    for batch in batches:
        judge.gradient(batch.images, batch.dropout_stream)
        optimizer.step()
    close(native_tensors(engine), judge.tensors(), 1e-9)


def test_single_precision_with_augmentation_is_this_machines(program: Program) -> None:
    """Random numbers and augmentation are the same; sums are rounded in another order at most."""
    design, data = parse(DESIGNS[1]), images((1, 12, 12), 60, 10)
    recipe = Recipe(lr=0.05, rotation=9, shift=0.1, scale=0.1, brightness=0.1, erasing=0.2)
    here, there = (begun(design, recipe, data, torch.float32) for _ in range(2))
    batches = batches_of(60, 0.02)[:5]
    here.train(batches)
    loss, correct, right = program.train(there, batches, augments=True)
    assert loss == pytest.approx(here.loss, rel=1e-4)
    assert abs(correct - here.correct) <= 2 and 0 <= right <= 60
    close(native_tensors(there), native_tensors(here), 1e-3)
