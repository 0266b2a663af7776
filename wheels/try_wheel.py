"""Tries an installed wheel: each build of its engine that runs here trains as PyTorch does.

    pip install dist/lightsearch-*-py3-none-*.whl
    python wheels/try_wheel.py    # anywhere, with nothing else installed

One epoch of the digits by PyTorch and by each build in a process of its own, which ends with the
same mean loss but for rounding; then a search of two trials from the command line.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN = """
import sys
from lightsearch import Recipe, Task, parse, train
from lightsearch.data.named import load
from lightsearch.data.references import DataRef
from lightsearch.engines.native import library
build, engine = sys.argv[1:]
if engine == "native":
    library.build_name = lambda: build
    assert library.path_of(build).exists(), f"the wheel has no build {build}"
design = "conv(8,act-norm) maxpool separable(12,act-norm) gap linear(10)"
data = DataRef("digits", load("digits").checksum, "")
task = Task(parse(design), Recipe(lr=0.05), data, epochs=1, seed=3, engine=engine)
(result,) = train(task)
print(result.engine, result.train_loss)
"""


def main() -> None:
    import lightsearch

    place = Path(lightsearch.__file__)
    if "site-packages" not in place.parts:
        sys.exit(f"the wheel must be tried, but this would try {place.parent}")
    truth, _ = trained("plain", "torch")
    for build in builds():
        loss, by = trained(build, "native")
        if by != f"native-{build}" or abs(loss - truth) > 1e-4 * truth:
            sys.exit(f"the loss must be {truth}, PyTorch's, but {by} has {loss}")
        print(f"{by}: {loss:.7f}, PyTorch {truth:.7f}")
    search()


def builds() -> list[str]:
    """The builds that this processor can run."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ["plain"]
    from lightsearch.engines.native.library import open_library, path_of

    best = open_library(path_of("plain")).build_for_processor()
    return ["plain", *(f"v{level}" for level in (3, 4) if level <= best)]


def trained(build: str, engine: str) -> tuple[float, str]:
    """Return the mean loss of one epoch, and what trained it."""
    by, loss = run(sys.executable, "-c", TRAIN, build, engine).split()
    return float(loss), by


def search() -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = "--dataset digits --budget 900 --epochs 2 --trials 2 --target 0.1 --study"
        program = [sys.executable, "-m", "lightsearch", "search", *arguments.split()]
        run(*program, str(Path(folder, "study")))
    print("a search of two trials ended well")


def run(*command: str) -> str:
    """Run a program outside the checkout, and return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "PYTHONUTF8": "1"}
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{command[0]} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
