"""Write a network's C file and header, and find out what they compute."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lightsearch.data.dataset import DataSet
from lightsearch.engines.engine import State
from lightsearch.errors import ExportError
from lightsearch.exporting.c.compiling import compile_main, find_compiler, run_main
from lightsearch.exporting.c.float_run import run_float
from lightsearch.exporting.c.int8_run import run_int8
from lightsearch.exporting.c.notes import Notes
from lightsearch.exporting.c.planning import plan
from lightsearch.exporting.c.program import Program
from lightsearch.exporting.c.quantising import QuantisedProgram, quantise
from lightsearch.exporting.c.source import Source, write_float, write_int8
from lightsearch.network.cost import Cost
from lightsearch.randomness import key, permutation

CALIBRATION_IMAGES = 512  # as for ONNX
_BATCH = 500


@dataclass(frozen=True, slots=True, eq=False)
class CNetwork:
    """A network that is ready to be written as C: in int8 if it is `quantised`."""

    data: DataSet
    program: Program
    weights: State
    quantised: QuantisedProgram | None

    def score(self, images: Tensor) -> Tensor:
        """Return what the C file computes for uint8 images, by PyTorch: the scores, in float32,
        or the integers of int8, bit for bit."""
        parts = []
        for batch in torch.split(images, _BATCH):
            if self.quantised is not None:
                parts.append(run_int8(self.quantised, batch).float())
            else:
                parts.append(run_float(self.program, self.weights, _normalise(self.data, batch)))
        return torch.cat(parts)

    def write(self, stem: str, metadata: Mapping[str, str]) -> Source:
        """Return the texts of the files that are called `stem`."""
        mean, std = (tuple(values.tolist()) for values in self.data.mean_std)
        notes = Notes(stem, mean, std, self.data.class_names, metadata)
        if self.quantised is not None:
            return write_int8(self.quantised, notes)
        return write_float(self.program, self.weights, notes)


def prepare(costed: Cost, weights: State, data: DataSet, *, int8: bool) -> CNetwork:
    """Plan a network whose batch norm is folded, and quantise it for int8.

    The ranges of int8 are those on at most `CALIBRATION_IMAGES` training images, the ones that
    int8 ONNX takes. Raises `DesignError` for a layer that C, or int8, cannot be
    written for.
    """
    program, quantised = plan(costed, data.shape), None
    if int8:
        images, mean, std = data.train[0], *data.mean_std
        order = permutation(key(0, "calibration"), len(images))[:CALIBRATION_IMAGES]
        quantised = quantise(program, weights, _normalise(data, images[order]), mean, std)
    return CNetwork(data, program, weights, quantised)


def score_file(network: CNetwork, code: Path, metadata: dict[str, str]) -> Tensor:
    """Return the scores of all test images by the C file, compiled on this machine.

    `metadata` is told which compiler it was. Without one, the scores are those of PyTorch, which
    runs the same program. Raises `ExportError` unless the integers of int8 are those of PyTorch.
    """
    images, compiler = network.data.test[0], find_compiler()
    expected = network.score(images)
    if compiler is None:
        metadata["checked_by"] = "PyTorch alone, since this machine has no C compiler"
        return expected
    metadata["checked_by"] = f"the C file, compiled with {Path(compiler).name}"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "net.exe"
        compile_main(code, program, Notes(code.stem, (), (), (), {}).prefix, compiler)
        scores = run_main([str(program)], images).float()
    if network.quantised is not None and not torch.equal(scores, expected):
        raise ExportError(
            f"{code} must give the reference's integers on the test images, but "
            f"{int((scores != expected).any(1).sum())} of {len(images)} images differ: keep the "
            "file out of use, and tell us of this design"
        )
    return scores


def _normalise(data: DataSet, images: Tensor) -> Tensor:
    mean, std = (value[:, None, None] for value in data.mean_std)
    return (images.to(torch.float32) / 255 - mean) / std
