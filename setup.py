"""Builds the native engine, plain shared libraries, where there is a C++ compiler.

Everything else about the package stands in pyproject.toml.
"""

from __future__ import annotations

import copy
import hashlib
import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CPP = Path("lightsearch/engines/native/cpp")
FILES = sorted(CPP.glob("*.[ch]pp"))
SOURCES = hashlib.sha256(b"".join(file.read_bytes() for file in FILES)).hexdigest()[:15]
FLAGS = [
    "-std=c++17",
    "-O3",
    "-funroll-loops",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-psabi",
    f"-DLIGHTSEARCH_SOURCES=0x{SOURCES}",
]
X86 = platform.machine().lower() in ("x86_64", "amd64")


class SharedLibraries(build_ext):
    """Libraries that ctypes loads: no Python in their names or inside."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or True  # as many at once as there are processors

    def build_extension(self, ext: Extension) -> None:
        """Build one library in a folder of its own, since all have one source file's name."""
        alone = copy.copy(self)
        alone.build_temp = str(Path(self.build_temp, ext.name))
        build_ext.build_extension(alone, ext)

    def get_ext_filename(self, name: str) -> str:
        return name.replace(".", "/") + (".dll" if platform.system() == "Windows" else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


def library(name: str, *flags: str) -> Extension:
    return Extension(
        f"lightsearch.engines.native.engine_{name}",
        [str(CPP / "engine.cpp")],
        extra_compile_args=[*FLAGS, *flags],
        language="c++",
        depends=[str(file) for file in FILES],
        optional=True,
    )  # without a compiler, the PyTorch engine does the work


FOR_X86 = [
    library("v3", "-mavx2", "-mfma"),
    library("v4", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
]
setup(ext_modules=[library("plain")] + FOR_X86 * X86, cmdclass={"build_ext": SharedLibraries})
