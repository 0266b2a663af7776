"""Tries an installed wheel: each build of its engine that runs here trains as PyTorch does.

    pip install dist/lightsearch-*-py3-none-*.whl
    python wheels/try_wheel.py    # anywhere, with nothing else installed

One epoch of the digits by PyTorch and by each build ends with the same mean loss but for rounding.
Then comes a search of two trials from the command line.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    import lightsearch

    place = Path(lightsearch.__file__)
    if "site-packages" not in place.parts:
        sys.exit(f"the wheel must be tried, but this would try {place.parent}")
    _, truth = trained("torch")
    for build in builds():
        select(build)
        by, loss = trained("native")
        if by != f"native-{build}" or abs(loss - truth) > 1e-4 * truth:
            sys.exit(f"native-{build} must have the loss {truth}, as PyTorch, but {by} has {loss}")
        print(f"{by}: {loss:.7f}, PyTorch {truth:.7f}", flush=True)
    search()


def builds() -> list[str]:
    """The builds that this processor can run, of which PyTorch judges; the engine must agree."""
    import torch

    from lightsearch.engines.native.library import open_library, path_of

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ["plain"]
    best = {"AVX2": 3, "AVX512": 4}.get(torch.backends.cpu.get_cpu_capability(), 0)
    found = open_library(path_of("plain")).build_for_processor()
    if found != best:
        sys.exit(f"the engine must choose build {best} on this processor, but it chooses {found}")
    return ["plain", *(f"v{level}" for level in (3, 4) if level <= best)]


def select(build: str) -> None:
    """Let the native engine use this build from now on."""
    from lightsearch.engines import selection
    from lightsearch.engines.native import library

    library.build_name = selection.build_name = lambda: build
    library.library.cache_clear()


def trained(engine: str) -> tuple[str, float]:
    """Return what trained one epoch of the digits, and its mean loss."""
    from lightsearch import Recipe, Task, parse, train
    from lightsearch.data.named import load
    from lightsearch.data.references import DataRef

    design = parse("conv(8,act-norm) maxpool separable(12,act-norm) gap linear(10)")
    data = DataRef("digits", load("digits").checksum, "")
    (result,) = train(Task(design, Recipe(lr=0.05), data, epochs=1, seed=3, engine=engine))
    return result.engine, result.train_loss


def search() -> None:
    arguments = "--dataset digits --budget 900 --epochs 2 --trials 2 --target 0.1 --study study"
    program = [sys.executable, "-m", "lightsearch", "search", *arguments.split()]
    with tempfile.TemporaryDirectory() as folder:  # outside the checkout
        subprocess.run(program, cwd=folder, env={**os.environ, "PYTHONUTF8": "1"}, check=True)


if __name__ == "__main__":
    main()
