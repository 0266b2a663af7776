"""Networks with random weights, as C files that are compiled strictly and run."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightsearch import build, cost
from lightsearch.design.parts import Design
from lightsearch.exporting.c.compiling import compile_main, run_main
from lightsearch.exporting.c.float_run import run_float
from lightsearch.exporting.c.notes import Notes
from lightsearch.exporting.c.planning import plan
from lightsearch.exporting.c.program import Instruction, Program
from lightsearch.exporting.c.quantising import QuantisedProgram, quantise
from lightsearch.exporting.c.source import Source
from lightsearch.exporting.folding import fold
from lightsearch.shapes import Shape

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
STRICT = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
compiled = pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")


@dataclass(frozen=True)
class Made:
    """A design with random weights, folded, and its module."""

    module: nn.Module
    program: Program
    weights: dict[str, Tensor]
    images: Tensor
    pixels: Tensor
    mean: Tensor
    std: Tensor
    activation_bytes: int

    def quantise(self) -> QuantisedProgram:
        return quantise(self.program, self.weights, self.images, self.mean, self.std)

    @property
    def notes(self) -> Notes:
        said = {"design": "a */ /* ??/ \u00e9", "lightsearch": "0", "protocol": "none"}
        return Notes("net", tuple(self.mean.tolist()), tuple(self.std.tolist()), (), said)


def make(design: Design, shape: Shape, seed: int = 0, count: int = 4) -> Made:
    torch.manual_seed(seed)
    module = build(design, shape).eval()
    for name, tensor in module.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    costed = cost(design, shape)
    folded, weights = fold(costed, dict(module.state_dict()))
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    mean, std = torch.rand(shape[0]), torch.rand(shape[0]) + 0.2
    images = (pixels.float() / 255 - mean[:, None, None]) / std[:, None, None]
    program = plan(folded, shape)
    return Made(module, program, weights, images, pixels, mean, std, costed.activation_bytes)


def run_source(source: Source, pixels: Tensor, folder: Path, compiler: str, *flags: str) -> Tensor:
    (folder / "net.c").write_text(source.code, encoding="ascii")
    (folder / "net.h").write_text(source.header, encoding="ascii")
    compile_main(folder / "net.c", folder / "net.exe", "net", compiler, (*STRICT, *flags))
    return run_main([str(folder / "net.exe")], pixels)


def truth_of(made: Made) -> Tensor:
    with torch.no_grad():
        output: Tensor = made.module(made.images)
    return output.flatten(1).double()


def is_close(scores: Tensor, truth: Tensor, share: float = 1e-3) -> bool:
    return float((scores - truth).abs().max()) <= share * float(truth.abs().max())


def check_memory(made: Made, share: float = 1e-3) -> None:
    """Raise `AssertionError` unless the network runs in as much memory as was counted."""
    assert made.program.memory * 4 == made.activation_bytes
    for one in made.program.instructions:
        cells = cells_of(one)
        assert max(map(max, cells)) < made.program.memory
        assert all(not a & b for a, b in itertools.combinations(cells, 2)), one
    with torch.no_grad():  # in that memory, one value after the other
        scores = run_float(made.program, made.weights, made.images)
    assert is_close(scores.double(), truth_of(made), share)


def cells_of(one: Instruction) -> list[set[int]]:
    buffers = {one.source, one.target} | ({one.second} - {None})
    return [set(range(b.offset, b.end)) for b in buffers if b is not None]
