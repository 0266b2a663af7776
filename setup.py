"""Builds the native engine, plain shared libraries, where there is a C++ compiler.

The compiler is CXX, or the first of those usual on the system. Everything else about the package
stands in pyproject.toml.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

CPP = Path("lightsearch/engines/native/cpp")
FILES = sorted(CPP.glob("*.[ch]pp"))
SOURCES = hashlib.sha256(b"".join(file.read_bytes() for file in FILES)).hexdigest()[:15]
# `linux-x86_64`, `macosx-11.0-arm64`, `win-amd64`: another than this machine's in a cross build.
SYSTEM, _, PROCESSOR = sysconfig.get_platform().partition("-")
PROCESSOR = PROCESSOR.rpartition("-")[2].lower()
if PROCESSOR == "universal2":  # a Python for both of Apple's kinds: this machine's is built
    PROCESSOR = platform.machine().lower()
WINDOWS = SYSTEM.startswith(("win", "mingw"))
FLAGS = [
    "-std=c++17",
    "-O3",
    "-DNDEBUG",
    "-fwrapv",
    "-funroll-loops",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-psabi",
    f"-DLIGHTSEARCH_SOURCES=0x{SOURCES}",
    "-shared",
    # Windows would look for the compiler's own libraries beside every program.
    "-static" if WINDOWS else "-fPIC",
]


class SharedLibraries(build_ext):
    """Libraries that ctypes loads: no Python in their names or inside.

    Each is one source file, and so one command. The compiler that built Python does not matter:
    on Windows that one could not build them (vectors are written as GCC and clang have them).
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or True  # as many at once as there are processors

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        newest = max(file.stat().st_mtime for file in [*FILES, Path(__file__)])
        if not self.force and target.exists() and target.stat().st_mtime > newest:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [*compiler(), *FLAGS, *ext.extra_compile_args]
        command += [*words("ARCHFLAGS"), *words("CXXFLAGS"), *ext.sources]
        command += ["-o", str(target), *words("LDFLAGS")]
        print(shlex.join(command), flush=True)
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            target.unlink(missing_ok=True)
            raise CompileError(str(error)) from error

    def get_ext_filename(self, name: str) -> str:
        return name.replace(".", "/") + (".dll" if WINDOWS else ".so")


class AnyPython(bdist_wheel):
    """A wheel for every Python on one kind of machine."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


def words(variable: str) -> list[str]:
    return shlex.split(os.environ.get(variable, ""))


def compiler() -> list[str]:
    """Return the command of the C++ compiler, of those that take the flags of GCC."""
    named = os.environ.get("CXX") or ("" if WINDOWS else sysconfig.get_config_var("CXX") or "")
    usual = ("g++", "clang++") if WINDOWS else ("c++", "g++", "clang++")
    for command in (shlex.split(named), *([name] for name in usual)):
        if command and (shutil.which(command[0]) or "CXX" in os.environ):
            return command
    raise CompileError("there is no C++ compiler; CXX names one")


def library(name: str, *flags: str) -> Extension:
    return Extension(
        f"lightsearch.engines.native.engine_{name}",
        [str(CPP / "engine.cpp")],
        extra_compile_args=list(flags),
        language="c++",
        depends=[str(file) for file in FILES],
        optional=True,
    )  # without a compiler, the PyTorch engine does the work


FOR_X86 = [
    library("v3", "-mavx2", "-mfma"),
    library("v4", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
]
setup(
    ext_modules=[library("plain")] + FOR_X86 * (PROCESSOR in ("x86_64", "amd64")),
    cmdclass={"build_ext": SharedLibraries, "bdist_wheel": AnyPython},
)
