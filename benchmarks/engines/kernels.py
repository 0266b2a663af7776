"""Profile the native engine by kind of op, against the limits of the core.

    python benchmarks/engines/kernels.py --data FOLDER

Compiles the library with its profile (needs a C++ compiler) and trains some steps of each design
of `benchmarks/engines/epoch.py`. Prints, for each kind of op, its share of the time, its
multiply-adds a second, and the least bytes a second that it must read and write. Both are compared
with the core's limit: multiply-adds from registers alone, and a copy between buffers as large as a
batch of activations. Multiply-adds are those of the plain sum: Winograd's algorithm needs fewer.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from epoch import BATCH, DESIGNS, RECIPE

import lightsearch.engines.native
from lightsearch import parse
from lightsearch.data.named import load
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.interface import Kind, Op
from lightsearch.engines.native.library import build_name, open_library
from lightsearch.engines.native.plan import Plan

CPP = Path(lightsearch.engines.native.__file__).parent / "cpp" / "engine.cpp"
FLAGS = (
    "-std=c++17",
    "-O3",
    "-funroll-loops",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-psabi",
    "-fPIC",
    "-shared",
    "-DLIGHTSEARCH_PROFILE",
)
NAMES = {
    Kind.POINTWISE: "norm, act, drop",
    Kind.MAX_POOL: "max pool",
    Kind.GLOBAL_POOL: "global average",
    Kind.AVERAGE_POOL: "average pool",
    Kind.GATE: "gate",
    Kind.SQUEEZE: "squeeze-excitation",
    Kind.RESIZE: "resize",
    Kind.ADD: "addition",
    Kind.PRELU: "PReLU",
    Kind.MEASURE: "copy for a norm",
    Kind.GROUP_NORM: "group norm",
    Kind.CONCAT: "concatenation",
    Kind.MOVE: "moved values",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--data", help="folder of the data set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load("mnist", options.data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiled.so"
        level = () if build_name() == "plain" else (f"-march=x86-64-{build_name()}",)
        subprocess.run([options.compiler, *FLAGS, *level, str(CPP), "-o", str(path)], check=True)
        library = open_library(path)
    library.network_profile.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.network_profile.restype = None
    library.processor_peak.restype = ctypes.c_double
    peak, copy = library.processor_peak() / 1e9, copied()
    print(
        f"core: {peak:.0f} billion multiply-adds a second from registers, "
        f"{copy:.1f} GB/s read plus written by a copy of 4 MB\n"
    )
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for text in DESIGNS.values():
        engine = Native(parse(text), RECIPE, data, 1, library)
        engine.begin()
        for batch in torch.arange(BATCH * options.steps).split(BATCH):
            engine.learn(batch, 0.01, 1, 2)
        seconds = torch.zeros(len(engine.plan.ops), 3, dtype=torch.float64)
        library.network_profile(engine.network(), seconds.data_ptr())
        for op, took in zip(engine.plan.ops, seconds.sum(1).tolist(), strict=True):
            macs, moved = least(engine.plan, op)
            row = totals[kind(op)]
            row[0] += took
            row[1] += macs * BATCH * options.steps
            row[2] += moved * BATCH * options.steps
    whole = sum(row[0] for row in totals.values())
    print(
        "| kind | share of the time | multiply-adds, 1e9/s | of the core's | GB/s at least "
        "| of a copy's |\n|---|---:|---:|---:|---:|---:|"
    )
    for name, (took, macs, moved) in sorted(totals.items(), key=lambda item: -item[1][0]):
        arithmetic, traffic = macs / took / 1e9, moved / took / 1e9
        print(
            f"| {name} | {took / whole:.0%} | {arithmetic:.1f} | {arithmetic / peak:.0%} "
            f"| {traffic:.1f} | {traffic / copy:.0%} |"
        )


def copied() -> float:
    """Return the GB a second, read plus written, of a copy within the shared cache."""
    source = torch.ones(1 << 20)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(200):
        begin = time.perf_counter()
        target.copy_(source)
        best = max(best, 8 * len(source) / (time.perf_counter() - begin))
    return best / 1e9


def kind(op: Op) -> str:
    if op.kind != Kind.CONV:
        return NAMES[op.kind]
    side = f"{op.height}x{op.width}"
    return f"depthwise {side}" if op.groups > 1 else f"convolution {side}"


def least(plan: Plan, op: Op) -> tuple[float, float]:
    """Multiply-adds of a training step for one image, and bytes that it must move at least."""
    source, target = plan.values[op.source], plan.values[op.target]
    sizes = [v.channels * v.height * v.width for v in (source, target)]
    passes = 2 + bool(op.wanted)  # forward, by weights, by input
    if op.kind == Kind.CONV:
        macs = sizes[1] * source.channels // op.groups * op.height * op.width * passes
        return macs, 4 * sum(sizes) * passes
    return 0.0, 4 * sum(sizes) * (2 + bool(op.again))


if __name__ == "__main__":
    main()
