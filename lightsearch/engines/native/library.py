"""Finds the compiled library, picks the build for this processor, and declares its functions.

An install with a compiler puts up to three builds beside this file: one for processors with
AVX-512 (x86-64-v4), one for those with AVX2 and FMA (x86-64-v3), and one for any processor. They
are plain shared libraries. ctypes calls them and releases Python's lock meanwhile, so that other
threads can run.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
import sys
import warnings
from ctypes import POINTER, c_double, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING

from lightsearch.engines.native.interface import (
    Augmentation,
    Entry,
    Images,
    Op,
    Step,
    Training,
    Value,
    entries,
)
from lightsearch.errors import EngineError

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent
BUILDS = ("plain", "v3", "v4")  # a processor that runs one also runs those before it
SUFFIX = ".dll" if sys.platform == "win32" else ".so"


_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "interface_table": (POINTER(Entry), [POINTER(c_int64)]),
    "source_version": (c_int64, []),
    "real_size": (c_int64, []),
    "build_for_processor": (c_int64, []),
    "network_make": (
        c_void_p,
        [POINTER(Value), c_int64, POINTER(Op), c_int64, c_int64, c_int64, c_int64],
    ),
    "network_free": (None, [c_void_p]),
    "network_watch": (None, [c_void_p, c_void_p]),
    "network_gradient": (
        c_int64,
        [
            c_void_p,
            POINTER(Images),
            POINTER(Augmentation),
            c_void_p,
            c_int64,
            c_uint64,
            c_void_p,
            c_int64,
            c_void_p,
            c_void_p,
            c_double,
            POINTER(c_double),
            POINTER(c_int64),
        ],
    ),
    "network_train": (
        c_int64,
        [
            c_void_p,
            POINTER(Training),
            POINTER(Step),
            c_int64,
            c_void_p,
            POINTER(c_double),
            POINTER(c_int64),
        ],
    ),
    "network_evaluate": (
        c_int64,
        [c_void_p, POINTER(Images), c_void_p, c_void_p, POINTER(c_int64)],
    ),
}


def open_library(path: Path) -> ctypes.CDLL:
    """Load one build of the library.

    Raises `EngineError` if it cannot be loaded or was built from other sources than these.
    """
    try:
        library = ctypes.CDLL(str(path))
        for name, (returns, takes) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returns, takes
    except (OSError, AttributeError) as error:
        raise EngineError(
            f"the native engine cannot be loaded: {error}; install the package again"
        ) from error
    version = library.source_version()
    if version and sources() and version != sources():
        raise EngineError(
            f"the native engine at {path} was built from other sources: install the package again"
        )
    _check_interface(library, path)
    return library


def _check_interface(library: ctypes.CDLL, path: Path) -> None:
    """Raise `EngineError` unless the library's structs and constants are those of interface.py."""
    length = c_int64()
    table = library.interface_table(length)[: length.value]
    theirs = [(e.name.decode(), e.type.decode(), e.size, e.number) for e in table]
    for mine, other in itertools.zip_longest(entries(), theirs):
        if mine != other:
            raise EngineError(
                f"the native engine at {path} was built from other sources: it has "
                f"{_describe(other)} where Python has {_describe(mine)}; "
                "install the package again"
            )


def _describe(entry: tuple[str, str, int, int] | None) -> str:
    if entry is None:
        return "nothing"
    name, kind, size, number = entry
    return f"{name} = {number}" if kind == "constant" else f"{name}, {kind} of {size} at {number}"


@functools.cache
def library() -> ctypes.CDLL:
    """Return the build for this processor; raise `EngineError` if there is none."""
    if not has_builds():
        raise EngineError(
            "there is no native engine here: the package was installed without a "
            "C++ compiler; install one, then the package again"
        )
    return open_library(path_of(build_name()))


def has_builds() -> bool:
    """Return whether the package was installed with a compiler: whether any build is there."""
    return any(path_of(name).exists() for name in BUILDS)


@functools.cache
def build_name() -> str:
    """Return the name of the build that suits this processor best, of those that are there.

    The plain build knows what the processor has: `v4` is for AVX-512, `v3` for AVX2 and FMA.
    The variable ATEN_CPU_CAPABILITY, which limits PyTorch, limits the native engine too.
    """
    try:
        best = open_library(path_of("plain")).build_for_processor()
    except EngineError:  # `library` raises it again
        return "plain"
    most = {"default": 0, "avx2": 3}.get(os.environ.get("ATEN_CPU_CAPABILITY", ""), best)
    able = [name for name in BUILDS[1:] if int(name[1:]) <= min(best, most)]
    return next((name for name in reversed(able) if path_of(name).exists()), "plain")


def label() -> str:
    """Return what a record says: `native-` with the build, such as `native-v3`."""
    return f"native-{build_name()}"


def path_of(build: str) -> Path:
    """Return where a build of the library lies, if it is there."""
    return FOLDER / f"engine_{build}{SUFFIX}"


@functools.cache
def sources() -> int:
    """Return the version of the C++ files, a hash as in setup.py; 0 if they are not there."""
    files = sorted(FOLDER.glob("cpp/*.[ch]pp"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return int(digest.hexdigest()[:15], 16) if files else 0


@functools.cache
def trouble() -> str:
    """Return why the native engine cannot be used here; an empty string if it can."""
    try:
        library()
    except EngineError as error:
        return str(error)
    return ""


@functools.cache
def available() -> bool:
    """Return whether the native engine can be used here; warn if it is there but cannot."""
    if trouble() and has_builds():
        warnings.warn(
            f"{trouble()}. PyTorch trains instead, at a fraction of the speed", stacklevel=2
        )
    return not trouble()


def number_type(build: ctypes.CDLL) -> torch.dtype:
    """Return the type of a parameter in this build."""
    import torch  # here, since `lightsearch doctor` needs none

    return {4: torch.float32, 8: torch.float64}[build.real_size()]
