"""How work is split among the programs of a kernel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LARGEST = 2**31 - 1  # indices are 32-bit


class Tile(NamedTuple):
    """What a program of a kernel takes: output channels, columns, pixels; and its warps."""

    channels: int
    columns: int
    pixels: int
    warps: int


def ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


class Split(NamedTuple):
    """How a batch of planes is split: programs, and what each is told."""

    programs: int
    chunk: int  # images of a program, so many `together` at a time
    together: int
    tiles: int  # programs that share a plane


def split(images: int, plane: int, block: int, programs: int) -> Split:
    """Split a batch among about so many programs."""
    together = min(max(1, block // plane), images)
    tiles = ceil(plane, block) if plane > block else 1
    turns = ceil(images, together)
    chunk = ceil(turns, min(turns, max(1, programs // tiles)))
    return Split(tiles * ceil(turns, chunk), chunk * together, together, tiles)


def fits(input: Tensor) -> bool:
    """Whether the kernels can take it."""
    return input.dtype == torch.float32 and 0 < 8 * input.numel() <= LARGEST
