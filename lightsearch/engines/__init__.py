"""Engines: what trains a design, step by step.

`run_epoch` says in which order images come, with which learning rate and from which random
streams; an engine does the arithmetic. Both engines take and give the same states, so a study
could go on with the other one; it does not, since their sums differ in the last bit.
"""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from lightsearch.data import DataSet
from lightsearch.design.parts import Design
from lightsearch.engines.batch import Batch
from lightsearch.engines.captured import resident
from lightsearch.engines.eager import Eager
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.library import available, build_name, trouble
from lightsearch.engines.native.plan import supports
from lightsearch.errors import ArgumentError, suggestion
from lightsearch.ops import Shape
from lightsearch.recipe import Recipe

ENGINES = ("auto", "native", "torch")
PRECISIONS = ("float32", "tf32", "bf16")
__all__ = ["ENGINES", "PRECISIONS", "Batch", "Engine", "available", "checked_precision",
           "chosen_engine", "device_kind", "engine_label", "engine_named", "engine_of",
           "precision_named", "start", "trouble"]


class Engine(Protocol):
    """Trains one design for one epoch, from a state or from the beginning."""

    def begin(self) -> None:
        """Take the initial weights."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a state of this engine or the other."""

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights, their average and the optimizer's memory."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a state, by name, once a step was made."""

    def train(self, batches: Sequence[Batch]) -> None:
        """The steps of an epoch, one after the other."""

    def told(self) -> tuple[float, int]:
        """The summed loss and the number of correct images of the steps so far."""

    def evaluate(self, averaged: bool) -> int:
        """Number of correct test images, by the averaged weights or the raw ones."""


def chosen_engine(name: str, device: str) -> str:
    """The engine of a name: `auto` is native on a processor, where it is compiled.

    Raises `ArgumentError` for an unknown name, and for native where it cannot run.
    """
    if name not in ENGINES:
        raise ArgumentError(f"`engine` must be one of {', '.join(ENGINES)}, "
                            f"but got engine={name!r}{suggestion(name, ENGINES)}")
    if name == "native" and device != "cpu":
        raise ArgumentError(f"`engine` must be 'torch' on a {device} device, "
                            f"but got engine={name!r}")
    if name == "native" and trouble():
        raise ArgumentError(f"`engine` must be 'torch' here, but got engine={name!r}: {trouble()}")
    if name == "auto":
        return "native" if device == "cpu" and available() else "torch"
    return name


def engine_of(name: str, design: Design, shape: Shape, device: str) -> str:
    """The engine that really trains `design`: native does not know users' own layers.

    Raises `ArgumentError` as `chosen_engine` does.
    """
    native = chosen_engine(name, device) == "native" and supports(design, shape)
    return "native" if native else "torch"


def checked_precision(name: str, engine: str, device: str) -> str:
    """The precision of training steps, if `engine` has it on `device`.

    Raises `ArgumentError` for an unknown name, for tf32 without a GPU and for bf16 with native.
    """
    if name not in PRECISIONS:
        raise ArgumentError(f"`precision` must be one of {', '.join(PRECISIONS)}, "
                            f"but got precision={name!r}")
    if name == "tf32" and device == "cpu":
        raise ArgumentError("`precision` must be float32 or bf16 on a cpu device, "
                            f"but got precision={name!r}")
    if name != "float32" and engine == "native":
        raise ArgumentError("`precision` must be float32 with engine='native', "
                            f"but got precision={name!r}")
    return name


def engine_label(name: str, precision: str = "float32") -> str:
    """What a record says: `torch`, or `torch-bf16` and `torch-tf32` where the steps were not in
    float32, or `native-` with its build, such as `native-v3`."""
    if name == "native":
        return f"native-{build_name()}"
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


def engine_named(label: str) -> str:
    """The engine of a label. Raises `ArgumentError` for no engine."""
    name = label.partition("-")[0]
    if name not in ENGINES[1:]:
        raise ArgumentError(f"`engine` must be one of {', '.join(ENGINES[1:])}, "
                            f"but got engine={label!r}")
    return name


def precision_named(label: str) -> str:
    """The precision of a label."""
    said = label.partition("-")[2]
    return said if said in PRECISIONS else "float32"


def start(name: str, design: Design, recipe: Recipe, data: DataSet, seed: int,
          device: str, precision: str = "float32") -> Engine:
    """The engine `name`, which must know the design, before its first step.

    Raises `ArgumentError` for a precision that it does not have.
    """
    checked_precision(precision, name, device)
    if name == "native":
        return Native(design, recipe, data, seed)
    if device != "cpu":
        return resident(design, recipe, data, seed, device, precision)
    return Eager(design, recipe, data, seed, device, precision)
