"""What engines and precisions are called; without torch, so that help comes at once."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

EngineName: TypeAlias = Literal["auto", "native", "torch", "surrogate"]
PrecisionName: TypeAlias = Literal["float32", "tf32", "bf16"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)
