"""Which engine trains a design: by name, by device and precision, and by what is compiled here."""

from __future__ import annotations

import contextlib
import functools
import platform
from pathlib import Path

import torch

from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.design.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.engines.cuda_graph import resident
from lightsearch.engines.engine import Engine
from lightsearch.engines.extended import Extended, is_extended
from lightsearch.engines.names import (
    ENGINES,
    PRECISIONS,
    EngineName,
    PrecisionName,
    find_word,
)
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.library import available, label, trouble
from lightsearch.engines.native.plan import supports
from lightsearch.engines.native.recipes import is_known
from lightsearch.engines.own_kernels import own_kernels
from lightsearch.engines.pytorch import Eager
from lightsearch.engines.teacher import Teacher
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.shapes import Shape

ON_PROCESSORS = ("native", "surrogate")  # engines that use no GPU


def choose_device(name: str, engine: str = "auto") -> str:
    """The device of a name: `auto` is CUDA where there is one and `engine` can use it.

    Raises `ArgumentError`.
    """
    cuda = torch.cuda.is_available()
    given = name if isinstance(name, str) else ""
    if given == "auto":
        return "cuda" if cuda and find_word(engine, ON_PROCESSORS) is None else "cpu"
    if given != "cpu" and (given.split(":")[0] != "cuda" or not cuda):
        known = "auto, cpu or cuda" if cuda else "auto or cpu (there is no CUDA device here)"
        raise ArgumentError(f"`device` must be {known}, but got device={quote(name)}")
    return given


def choose_engine(name: str, device: str) -> EngineName:
    """The engine of a name: `auto` is native on a processor, where it is compiled.

    Raises `ArgumentError` for an unknown name, and for native where it cannot run.
    """
    known = find_word(name, ENGINES)
    if known is None:
        raise ArgumentError(
            f"`engine` must be one of {', '.join(ENGINES)}, "
            f"but got engine={quote(name)}{suggestion(name, ENGINES)}"
        )
    if name in ("native", "surrogate") and device != "cpu":
        raise ArgumentError(
            f"`engine` must be 'torch' on a {device} device, but got engine={name!r}"
        )
    if name == "native" and trouble():
        raise ArgumentError(f"`engine` must be 'torch' here, but got engine={name!r}: {trouble()}")
    if name == "auto":
        return "native" if device == "cpu" and available() else "torch"
    return known


def engine_of(name: str, design: Design, recipe: Recipe, shape: Shape, device: str) -> str:
    """The engine that really trains `design` by `recipe`: native does not know all of them.

    Raises `ArgumentError` as `choose_engine` does.
    """
    chosen = choose_engine(name, device)
    known = chosen != "native" or (is_known(recipe) and supports(design, shape))
    return chosen if known else "torch"


def check_precision(name: str, engine: str, device: str) -> PrecisionName:
    """The precision of training steps, if `engine` has it on `device`.

    Raises `ArgumentError` for an unknown name, for tf32 without a GPU and for bf16 with native.
    """
    known = find_word(name, PRECISIONS)
    if known is None:
        raise ArgumentError(
            f"`precision` must be one of {', '.join(PRECISIONS)}, but got precision={quote(name)}"
        )
    if name == "tf32" and device == "cpu":
        raise ArgumentError(
            f"`precision` must be float32 or bf16 on a cpu device, but got precision={name!r}"
        )
    if name != "float32" and engine != "torch":
        raise ArgumentError(
            f"`precision` must be float32 with engine={engine!r}, but got precision={name!r}"
        )
    return known


def engine_label(
    name: str, precision: str = "float32", device: str = "cpu", recipe: Recipe = DEFAULT_RECIPE
) -> str:
    """What a record says: `native-` with its build, such as `native-v3`; or `torch`, with
    `-triton` if our own kernels compute, or with the precision if that is not float32."""
    if name == "native":
        return label()
    if name == "surrogate":
        return name
    if not is_extended(recipe) and own_kernels(device, precision) is not None:
        return f"{name}-triton"
    return name if precision == "float32" else f"{name}-{precision}"


@functools.cache
def device_kind(device: str) -> str:
    """What a record says of the machine: the model of the GPU or of the processor."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def parse_engine(label: str) -> EngineName:
    """The engine of a label. Raises `ArgumentError` for no engine."""
    name = find_word(label.partition("-")[0], ENGINES[1:])
    if name is None:
        raise ArgumentError(
            f"`engine` must be one of {', '.join(ENGINES[1:])}, but got engine={quote(label)}"
        )
    return name


def parse_precision(label: str) -> PrecisionName:
    """The precision of a label."""
    return find_word(label.partition("-")[2], PRECISIONS) or "float32"


def start(
    name: str,
    design: Design,
    recipe: Recipe,
    data: DataSet,
    seed: int,
    device: str,
    precision: str = "float32",
    teacher: Teacher | None = None,
) -> Engine:
    """The engine `name`, which must know the design, before its first step.

    Raises `ArgumentError` for a precision that it does not have.
    """
    check_precision(precision, name, device)
    if name == "native":
        return Native(design, recipe, data, seed)
    if is_extended(recipe):
        return Extended(design, recipe, data, seed, device, precision, teacher)
    if device != "cpu":
        return resident(design, recipe, data, seed, device, precision)
    return Eager(design, recipe, data, seed, device, precision)
