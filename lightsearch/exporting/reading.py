"""Read an exported file back: what it computes, and its metadata."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lightsearch.checks import check_path, check_regular, has_controls
from lightsearch.data.class_names import read_class_names
from lightsearch.engines.engine import State
from lightsearch.errors import ArgumentError, ExportError
from lightsearch.exporting.folding import fold
from lightsearch.exporting.tracing import quiet
from lightsearch.network.cost import cost
from lightsearch.network.modules import assemble, assemble_for
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape
from lightsearch.torch_modes import kept_generator, plain_modes

MAX_INPUT = 2**22  # values of an image
NOTE = "lightsearch.json"  # the metadata inside a .pt2


@dataclass(frozen=True, slots=True)
class ExportedNet:
    """An exported network. `scores` takes normalised images, float32 of (N, C, H, W)."""

    scores: Callable[[Tensor], Tensor]
    metadata: dict[str, str]

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of an image."""
        channels, height, width = map(int, self.metadata["input"].split("x"))
        return (channels, height, width)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of the scores; none if the file has none."""
        text = self.metadata.get("class_names", "")
        return read_class_names(text, int(self.metadata["classes"])) if text else ()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return pixels from 0 to 1, of (N, C, H, W), normalised as in training."""
        mean, std = (
            torch.tensor(
                [float(value) for value in self.metadata[name].split(",")],
                dtype=torch.float32,
                device=pixels.device,
            )
            for name in ("mean", "std")
        )
        return (pixels - mean[:, None, None]) / std[:, None, None]


@plain_modes()
def open_net(path: str | Path) -> ExportedNet:
    """Load the network from a `.onnx`, `.pt2` or `.safetensors` that lightsearch wrote.

    Raises `ArgumentError` for another kind of file, and `ExportError` if it is damaged or
    lightsearch did not write it.
    """
    path = check_path("net", path)
    readers = {".onnx": _onnx, ".pt2": _pt2, ".safetensors": _safetensors}
    if path.suffix.lower() not in readers:
        raise ArgumentError(
            f"a network must be a file that ends in {', '.join(readers)}, but got {path}"
        )
    if not path.is_file():
        raise ArgumentError(f"a network must be a file, but there is no {path}")
    network = readers[path.suffix.lower()](path)
    _check_metadata(path, network.metadata)
    return network


def _check_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Raise `ExportError` unless the metadata say how images are prepared."""
    if any(has_controls(str(text)) for text in (*metadata, *metadata.values())):
        raise ExportError(f"the metadata of {path} must have no control characters")
    missing = {"input", "mean", "std", "background", "dataset"} - metadata.keys()
    if missing:
        raise ExportError(
            f"a network must say how its images are normalised, but {path} has no "
            f"{', '.join(sorted(missing))} in its metadata: was it written by "
            "lightsearch?"
        )
    shape = re.fullmatch(r"(\d{1,4})x(\d{1,4})x(\d{1,4})", metadata["input"])
    sides = [int(side) for side in shape.groups()] if shape else [0]
    rules = {
        "input": min(sides) > 0 and math.prod(sides) <= MAX_INPUT,
        "mean": _count_numbers(metadata["mean"], -math.inf) == sides[0],
        "std": _count_numbers(metadata["std"], 0) == sides[0],
        "background": _count_numbers(metadata["background"], -1) == 1,
    }
    if "class_names" in metadata:
        count = re.fullmatch(r"\d{1,4}", metadata.get("classes", ""))
        try:
            read_class_names(metadata["class_names"], int(count[0]) if count else 0)
        except ArgumentError as error:
            raise ExportError(
                f"a network must have a name for each class or none, but in {path}: {error}"
            ) from None
    for name, holds in rules.items():
        if not holds:
            raise ExportError(
                "a network must say how its images are normalised, but in the metadata of "
                f"{path} it is {name}={metadata[name]!r:.80}: was it written by lightsearch?"
            )


def _count_numbers(text: str, above: float) -> int:
    """Return how many finite numbers a text has, or -1 if it has anything else."""
    try:
        numbers = [float(value) for value in text[:10_000].split(",")]
    except ValueError:
        return -1
    return len(numbers) if all(above < n < math.inf for n in numbers) else -1


def _onnx(path: Path) -> ExportedNet:
    from lightsearch.exporting.onnx_graph import session

    return ExportedNet(*session(path))


def _pt2(path: Path) -> ExportedNet:
    files: dict[str, Any] = {NOTE: ""}
    try:
        content = io.BytesIO(path.read_bytes())  # of a name like NET.PT2 torch would complain
        with zipfile.ZipFile(content):  # torch's own message is long, with a warning
            pass
        content.seek(0)
        with quiet():  # of a damaged one it also logs a traceback
            program = torch.export.load(content, extra_files=files)
        found = json.loads(files[NOTE] or "{}")
        metadata = {str(name): str(text) for name, text in dict(found).items()}
    except (zipfile.BadZipFile, RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        raise ExportError(
            f"a .pt2 must be a program that torch.export wrote, but {path} is not: {error}"
        ) from None
    return ExportedNet(scorer(program.module()), metadata)


def _safetensors(path: Path) -> ExportedNet:
    weights, metadata = read_weights(path)
    _check_metadata(path, metadata)
    shape = ExportedNet(lambda images: images, metadata).shape
    costed = cost(parse(metadata["design"]), shape)
    # Folding leaves more than half of them: a bias for each pair of gain and offset.
    if costed.params > 2 * sum(tensor.numel() for tensor in weights.values()):
        raise ExportError(f"the weights in {path} must be of its design, but are fewer")
    if metadata.get("batch_norm") == "folded":
        with kept_generator():
            unfolded = dict(assemble(costed).state_dict())
        costed, _ = fold(costed, unfolded)
    try:
        module = assemble_for(costed, weights)
    except RuntimeError as error:
        raise ExportError(
            f"the weights in {path} must be of its design, but: {error!s:.300}"
        ) from None
    return ExportedNet(scorer(module.eval()), metadata)


def read_weights(path: Path) -> tuple[State, dict[str, str]]:
    """Read the tensors and the metadata of a file that lightsearch wrote.

    Raises `ExportError` for any other file.
    """
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ExportError(
            f"a safetensors file must be readable, but {path} is not: {error}"
        ) from None
    if any(map(has_controls, metadata.values())):
        raise ExportError(f"the metadata of {path} must have no control characters")
    if "design" not in metadata:
        raise ExportError(
            f"a file of weights must say what network they are of, but {path} has "
            "no design in its metadata: was it written by lightsearch?"
        )
    return weights, metadata


def scorer(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the function that a module in evaluation mode computes, without gradients."""

    @torch.no_grad()
    def scores(images: Tensor) -> Tensor:
        output: Tensor = module(images)
        return output

    return scores
