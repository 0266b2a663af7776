"""What is checked before a file is written, and after."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightsearch.checks import check_free
from lightsearch.errors import ArgumentError, ExportError, quote
from lightsearch.exporting.trained import TrainedNet
from lightsearch.study.signing import COMMENTS, read_signed

_CLOSE = 1e-3  # of the largest score: the difference that another order of sums may make


def check_target(name: str, path: Path, *, force: bool) -> None:
    """Raise `ArgumentError` if writing would replace what lightsearch did not export.

    So is a text that was changed since. A `.py` has its weights beside it, a `.c` its header.
    """
    check_name(name, path)
    beside = {".py": [path.with_suffix(".safetensors")], ".c": [path.with_suffix(".h")]}
    for file in (path, *beside.get(path.suffix.lower(), [])):
        if not _is_exported(file):
            check_free(name, file, force=force)


def check_name(name: str, path: Path) -> None:
    """Raise `ArgumentError` for the name of a file that is no UTF-8: it stands in the file."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"`{name}` must have a name in UTF-8, but got {quote(path)}") from None


def _is_exported(path: Path) -> bool:
    """Whether lightsearch exported a file, by what it writes into each of its formats."""
    if path.suffix.lower() in COMMENTS:
        return read_signed(path) is not None
    try:
        if path.suffix.lower() == ".safetensors":
            with safe_open(path, "pt") as file:
                return {"design", "protocol"} <= (file.metadata() or {}).keys()
        data = path.read_bytes() if path.is_file() else b""
    except (OSError, SafetensorError):
        return False
    return b"lightsearch=" in data and b"protocol" in data


def check_record(net: TrainedNet, right: int, total: int) -> None:
    """Raise `ExportError` unless the accuracy is the recorded one; engines round differently."""
    recorded = round(float(net.record["accuracy"]) * total)
    if abs(right - recorded) > 2 + total // 1000:
        raise ExportError(
            f"the weights must have the accuracy on record, {recorded}/{total} "
            f"correct images, but PyTorch gets {right}: {net.origin}. Give the "
            "data set that they were trained on, or train the row again"
        )


def check_scores(path: Path, scores: Tensor, truth: Tensor) -> None:
    """Raise `ExportError` unless a file gives PyTorch's scores."""
    apart, largest = float((scores - truth).abs().max()), float(truth.abs().max())
    if not apart <= _CLOSE * largest:
        raise ExportError(
            f"{path} must give PyTorch's scores on the test images, but they are up "
            f"to {apart:.2g} apart, where the largest is {largest:.2g}: keep the "
            "file out of use, and tell us of this design"
        )
