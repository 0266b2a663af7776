"""Builds a wheel with the engine inside for each kind of machine, all on this one.

    pip install 'setuptools>=77' ziglang==0.17.1 pyelftools pefile macholib
    python wheels/build_wheels.py dist    # or only some: build_wheels.py dist linux-aarch64
    python wheels/check_wheels.py dist

The compiler is zig's clang, which has the headers and libraries of every system. A public CI
builds them on each system with the compiler that is at home there (`tool.cibuildwheel` in
pyproject.toml); check_wheels.py checks the wheels of both.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of machine: in a wheel's name, as zig calls it, and as Python there does."""

    tag: str
    zig: str
    platform: str


TARGETS = {
    target.platform.replace("-11.0", ""): target
    for target in (
        Target("manylinux_2_28_x86_64", "x86_64-linux-gnu.2.28", "linux-x86_64"),
        Target("manylinux_2_28_aarch64", "aarch64-linux-gnu.2.28", "linux-aarch64"),
        Target("macosx_11_0_arm64", "aarch64-macos.11.0", "macosx-11.0-arm64"),
        Target("macosx_11_0_x86_64", "x86_64-macos.11.0", "macosx-11.0-x86_64"),
        Target("win_amd64", "x86_64-windows-gnu", "win-amd64"),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"a target must be one of {', '.join(TARGETS)}, but got {unknown[0]}")
    with tempfile.TemporaryDirectory() as folder:
        source = build_source(Path(folder))
        for name in options.targets:
            build(source, TARGETS[name], options.out)


def build_source(folder: Path) -> Path:
    """The source distribution: what is built from it cannot depend on what lies about here."""
    code = "import setuptools.build_meta as b, sys; b.build_sdist(sys.argv[1])"
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    (found,) = folder.glob("*.tar.gz")
    return found


def build(source: Path, target: Target, out: Path) -> None:
    compiler = [sys.executable, "-m", "ziglang", "c++", "-target", target.zig]
    variables = {
        **os.environ,
        "CXX": shlex.join(compiler),
        # zig obeys the last of -shared and -static (setup.py): it would make an archive.
        "LDFLAGS": "-s -shared",
        "_PYTHON_HOST_PLATFORM": target.platform,
    }
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    command += [f"--config-settings=--build-option=--plat-name={target.tag}"]
    subprocess.run([*command, "-w", str(out), str(source)], check=True, env=variables)
    print(f"built for {target.tag}", flush=True)


if __name__ == "__main__":
    main()
