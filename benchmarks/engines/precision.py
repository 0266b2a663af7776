"""How far are the gradients of single precision from those of double precision?

    python benchmarks/engines/precision.py --data FOLDER

The reference is PyTorch in double precision (`Judge` in tests/engines/test_native.py). For each
build of the native engine that this processor runs, the benchmark prints:

- over random designs, on random images: the median ratio of the error of a step's gradients (the
  norm of the difference) to PyTorch's error in single precision;
- over batches of 40 images of MNIST, at the initial weights: how many steps are off by a
  thousandth of the gradients' norm or more, and how many of PyTorch's are.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
from pathlib import Path
from random import Random

import torch
from epoch import DESIGNS

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "engines"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
from random_designs import default
from test_native import (
    EACH_BUILD,
    PLAIN,
    Judge,
    classes_of,
    images,
    nasty,
    native_gradients,
)

from lightsearch import parse
from lightsearch.data.dataset import DataSet
from lightsearch.data.named import load
from lightsearch.design import Seq
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.library import open_library, path_of

CHOSEN = ("s1-final", "separable, 4,360", "depthwise, 6,316")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--designs", type=int, default=24)
    parser.add_argument("--batches", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    builds = {name: open_library(path_of(name)) for name in EACH_BUILD}
    print("| designs | " + " | ".join(builds) + " |\n|---|" + "---:|" * len(builds))
    for make in (default, nasty):
        ratios: dict[str, list[float]] = {name: [] for name in builds}
        for seed in range(options.designs):
            design, shape = make(Random(seed))
            data = images(shape, 40, classes_of(design, shape))
            found = errors(design, data, torch.arange(40), builds)
            for name in builds:
                ratios[name].append(found[name] / (found["torch"] + 1e-12))
        print(
            f"| {make.__name__} | "
            + " | ".join(f"{statistics.median(ratios[name]):.2f}" for name in builds)
            + " |"
        )
    data = load("mnist", options.data)
    off = dict.fromkeys([*builds, "torch"], 0)
    for text in (DESIGNS[name] for name in CHOSEN):
        for batch in torch.arange(40 * options.batches).split(40):
            for name, error in errors(parse(text), data, batch, builds, relative=True).items():
                off[name] += error >= 1e-3
    print(f"off by a thousandth, of {len(CHOSEN) * options.batches}: {off}")


def errors(
    design: Seq,
    data: DataSet,
    batch: torch.Tensor,
    builds: dict[str, ctypes.CDLL],
    relative: bool = False,
) -> dict[str, float]:
    """Return the error's norm by engine, over the gradients' if `relative`, at initial weights."""
    exact, single = (Judge(design, data, PLAIN, t) for t in (torch.float64, torch.float32))
    exact.gradient(batch, 5)
    single.gradient(batch, 5)
    truth = flat(exact.gradients())
    found = {"torch": flat(single.gradients())}
    for name, library in builds.items():
        engine = Native(design, PLAIN, data, 3, library)
        engine.begin()
        engine.gradient(batch, None, 5)
        found[name] = flat(native_gradients(engine))
    scale = float(truth.norm()) if relative else 1.0
    return {name: float((gradients - truth).norm()) / scale for name, gradients in found.items()}


def flat(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([g.flatten().double() for g in gradients.values()])


if __name__ == "__main__":
    main()
