"""Compile a C file with the machine's own compiler, and run it on images."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightsearch.errors import ExportError

FLAGS = ("-std=c99", "-O2")


def find_compiler() -> str | None:
    """Return the C compiler of the variable CC, or else `cc`, `gcc` or `clang`, or None."""
    names = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def compile_main(
    code: Path, program: Path, prefix: str, compiler: str, flags: Sequence[str] = FLAGS
) -> None:
    """Compile a C file with its `main`. Raises `ExportError`, with what the compiler says."""
    command = [compiler, *flags, f"-D{prefix.upper()}_MAIN", "-x", "c", str(code)]
    done = subprocess.run(
        [*command, "-o", str(program), "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ExportError(f"the C file must compile, but {compiler} says: {done.stderr[:500]}")


def run_main(command: Sequence[str], images: Tensor) -> Tensor:
    """Return the scores that a compiled file prints for uint8 images, in float64."""
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "pixels"
        pixels.write_bytes(images.contiguous().numpy().tobytes())
        done = subprocess.run([*command, str(pixels)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"the compiled C file must run, but it says: {done.stderr[:500]}")
    return read_lines(done.stdout)


def read_lines(text: str) -> Tensor:
    """Return the scores on lines of a class and its scores; the class must be the largest's."""
    rows = [[float(word) for word in line.split()] for line in text.splitlines()]
    table = torch.tensor(rows, dtype=torch.float64)
    scores = table[:, 1:]
    if not torch.equal(scores.argmax(1), table[:, 0].long()):
        raise ExportError("the C file must print the class of the highest score, but does not")
    return scores
