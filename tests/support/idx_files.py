"""Data sets in the files of LeCun's MNIST, as torchvision reads them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Arrays: TypeAlias = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def idx(path: Path, values: np.ndarray[Any, Any], kind: int = 8) -> None:
    """Write an IDX file in LeCun's format: big-endian, a magic number, then the sizes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape)
    path.write_bytes(head + values.astype(">i4" if kind == 12 else np.uint8).tobytes())


def write_mnist(raw: Path, train: Arrays, test: Arrays) -> None:
    for stem, (images, labels) in (("train", train), ("t10k", test)):
        idx(raw / f"{stem}-images-idx3-ubyte", images)
        idx(raw / f"{stem}-labels-idx1-ubyte", labels)
