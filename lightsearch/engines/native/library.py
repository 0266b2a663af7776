"""The compiled library: where it is, which build of it this processor can run, and its functions.

Three builds lie beside this file where the package was installed with a compiler: one for
processors with AVX-512 (x86-64-v4), one for those with AVX2 and FMA (x86-64-v3), one for any. They
are plain shared libraries, called through ctypes, which lets other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import sys
import warnings
from ctypes import POINTER, c_double, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import ClassVar

import torch

from lightsearch.engines.native.plan import Op, Value
from lightsearch.errors import EngineError

FOLDER = Path(__file__).parent
BUILDS = ("plain", "v3", "v4")  # a processor that runs one runs those before it
SUFFIX = ".dll" if sys.platform == "win32" else ".so"


class Images(ctypes.Structure):
    """The images of a data set; see `cpp/images.hpp`."""

    _fields_: ClassVar = [("pixels", c_void_p), ("labels", c_void_p), ("count", c_int64),
                          ("channels", c_int64), ("height", c_int64), ("width", c_int64),
                          ("mean", c_void_p), ("deviation", c_void_p)]


class Augmentation(ctypes.Structure):
    """How images are augmented, and from which streams; see `cpp/images.hpp`."""

    _fields_: ClassVar = [
        *((name, c_double) for name in ("rotation", "shear", "scale", "shift", "brightness",
                                        "contrast", "erasing")),
        *((name, c_uint64) for name in ("affine", "brightness_stream", "contrast_stream",
                                        "erasing_stream"))]


class Training(ctypes.Structure):
    """What the steps of an epoch share; see `cpp/engine.cpp`."""

    _fields_: ClassVar = [
        *((name, c_void_p) for name in ("images", "augmentation", "parameters", "gradients",
                                        "running", "average", "average_running", "first",
                                        "second")),
        *((name, c_int64) for name in ("parameter_count", "running_count", "optimizer", "steps")),
        *((name, c_double) for name in ("momentum", "decay", "smoothing"))]


class Step(ctypes.Structure):
    """One step of an epoch; see `cpp/engine.cpp`."""

    _fields_: ClassVar = [
        ("images", c_int64), ("rate", c_double), ("towards", c_double),
        *((name, c_uint64) for name in ("dropout", "affine", "brightness", "contrast",
                                        "erasing"))]


DONE, STOPPED, NO_SUCH_IMAGE, NO_SUCH_CLASS = range(4)  # how a call ended, see `cpp/engine.cpp`

_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "layout_of": (c_int64, [c_int64]),
    "build_for_processor": (c_int64, []),
    "network_make": (c_void_p, [POINTER(Value), c_int64, POINTER(Op), c_int64, c_int64, c_int64,
                                c_int64]),
    "network_free": (None, [c_void_p]),
    "network_watch": (None, [c_void_p, c_void_p]),
    "network_gradient": (c_int64, [c_void_p, POINTER(Images), POINTER(Augmentation), c_void_p,
                                   c_int64, c_uint64, c_void_p, c_int64, c_void_p, c_void_p,
                                   c_double, POINTER(c_double), POINTER(c_int64)]),
    "network_train": (c_int64, [c_void_p, POINTER(Training), POINTER(Step), c_int64, c_void_p,
                                POINTER(c_double), POINTER(c_int64)]),
    "network_evaluate": (c_int64, [c_void_p, POINTER(Images), c_void_p, c_void_p,
                                   POINTER(c_int64)]),
}


def open_library(path: Path) -> ctypes.CDLL:
    """Load one build of the library.

    Raises `EngineError` where it cannot be loaded, or was built from other sources than these.
    """
    try:
        library = ctypes.CDLL(str(path))
        for name, (returns, takes) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returns, takes
    except (OSError, AttributeError) as error:
        raise EngineError(f"the native engine cannot be loaded: {error}; install the package "
                          "again") from error
    sizes = [ctypes.sizeof(struct) for struct in (Value, Op, Images, Augmentation, Training, Step)]
    built = library.layout_of(5)
    if [library.layout_of(which) for which in (0, 1, 2, 3, 6, 7)] != sizes \
            or (built and sources() and built != sources()):
        raise EngineError(f"the native engine at {path} was built from other sources: "
                          "install the package again")
    return library


@functools.cache
def library() -> ctypes.CDLL:
    """The build for this processor. Raises `EngineError` where there is none."""
    if not built():
        raise EngineError("there is no native engine here: the package was installed without a "
                          "C++ compiler; install one, then the package again")
    return open_library(path_of(build_name()))


def built() -> bool:
    """Whether the package was installed with a compiler: any build is there."""
    return any(path_of(name).exists() for name in BUILDS)


@functools.cache
def build_name() -> str:
    """`v4` for processors with AVX-512 that do not split its registers, `v3` for those with AVX2
    and FMA, where these were built, else `plain`, which says what the processor has. PyTorch may
    have been told, by ATEN_CPU_CAPABILITY, to do with less; then so does the native engine."""
    try:
        best = open_library(path_of("plain")).build_for_processor()
    except EngineError:  # `library` says why
        return "plain"
    most = {"DEFAULT": 0, "AVX2": 3}.get(torch.backends.cpu.get_cpu_capability(), best)
    able = [name for name in BUILDS[1:] if int(name[1:]) <= min(best, most)]
    return next((name for name in reversed(able) if path_of(name).exists()), "plain")


def path_of(build: str) -> Path:
    """Where a build of the library lies, if it was built."""
    return FOLDER / f"engine_{build}{SUFFIX}"


@functools.cache
def sources() -> int:
    """A number that tells versions of the C++ files apart, as setup.py has it; 0 without them."""
    files = sorted(FOLDER.glob("cpp/*.[ch]pp"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return int(digest.hexdigest()[:15], 16) if files else 0


@functools.cache
def trouble() -> str:
    """Why the native engine cannot be used here; empty where it can."""
    try:
        library()
    except EngineError as error:
        return str(error)
    return ""


@functools.cache
def available() -> bool:
    """Whether the native engine can be used here. One that is there and cannot is warned of."""
    if trouble() and built():
        warnings.warn(f"{trouble()}. PyTorch trains instead, at a fraction of the speed",
                      stacklevel=2)
    return not trouble()


def number_type(built: ctypes.CDLL) -> torch.dtype:
    """What a parameter is made of in this build."""
    return {4: torch.float32, 8: torch.float64}[built.layout_of(4)]
