"""The native engine's C++ files: each header compiles alone, and Python's structs are theirs."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

import pytest

import lightsearch.engines.native
from lightsearch.engines.native import interface
from lightsearch.engines.native.library import available, build_name, open_library, path_of
from lightsearch.errors import EngineError

CPP = Path(lightsearch.engines.native.__file__).parent / "cpp"
COMPILER = os.environ.get("CXX") or shutil.which("c++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")
needs_engine = pytest.mark.skipif(not available(), reason="installed without a C++ compiler")
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-psabi", "-fsyntax-only")


def check_syntax(text: str, *flags: str) -> str:
    """What the compiler says of a file that is `text`; empty if it accepts it."""
    done = subprocess.run(
        [str(COMPILER), *FLAGS, *flags, f"-I{CPP}", "-x", "c++", "-"],
        input=text,
        capture_output=True,
        text=True,
    )
    return done.stderr or ("" if done.returncode == 0 else f"exit status {done.returncode}")


@needs_compiler
@pytest.mark.parametrize("header", sorted(path.name for path in CPP.glob("*.hpp")))
def test_each_header_compiles_alone(header: str) -> None:
    assert check_syntax(f'#include "{header}"\n') == ""


@needs_compiler
def test_a_header_that_lacks_an_include_is_noticed() -> None:
    assert "vector" in check_syntax("std::vector<int> numbers;\n")


@needs_compiler
def test_the_profile_compiles() -> None:
    assert check_syntax('#include "engine.cpp"\n', "-DLIGHTSEARCH_PROFILE") == ""


# What Python and C++ share -----------------------------------------------------------------------


class Value(ctypes.Structure):
    """`Value` with two fields of the same size exchanged."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("channels", "width", "height", "halo", "batch", "gradient")
    ]


class Kind(IntEnum):
    """`Kind` with two constants exchanged."""

    POINTWISE = 0
    CONV = 1


@needs_engine
def test_a_library_with_fields_in_another_order_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interface, "STRUCTS", (Value, *interface.STRUCTS[1:]))
    with pytest.raises(
        EngineError,
        match=r"has Value\.height, int64 of 8 at 8 where Python has "
        r"Value\.width, int64 of 8 at 8; install",
    ):
        open_library(path_of(build_name()))


@needs_engine
def test_a_library_with_other_constants_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "CONSTANTS", (Kind, *interface.CONSTANTS[1:]))
    with pytest.raises(EngineError, match="has CONV = 0 where Python has POINTWISE = 0;"):
        open_library(path_of(build_name()))


@needs_engine
def test_a_library_with_more_constants_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "CONSTANTS", interface.CONSTANTS[:-1])
    with pytest.raises(EngineError, match="has DONE = 0 where Python has nothing;"):
        open_library(path_of(build_name()))


def test_each_constant_has_a_name_of_its_own() -> None:
    """The table and C++ know them by name alone."""
    names = [name for name, *_ in interface.entries()]
    assert len(set(names)) == len(names)
