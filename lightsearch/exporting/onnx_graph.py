"""ONNX: convert a module to a graph, quantise it to int8, run it. Needs `lightsearch[export]`."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightsearch.errors import ExportError
from lightsearch.exporting.tracing import no_bars, quiet
from lightsearch.network.blocks import ResidualAdd
from lightsearch.network.windows import list_windows
from lightsearch.randomness import key, permutation
from lightsearch.shapes import Shape, nearest

CALIBRATION_IMAGES = 512
_TELEMETRY = "ORT_DISABLE_TELEMETRY"


def import_extra(name: str) -> Any:
    """Import a module of the optional extra.

    Raises `ExportError`, with how to install it, if it is missing.
    """
    try:
        with _no_telemetry():
            return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"ONNX needs the package {name.split('.')[0]}: pip install "
            f"'lightsearch[export]' ({error})"
        ) from None


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Have onnxruntime neither keep nor send a database of its use, unless the user decides.

    It reads this once, when it is imported. The database has three files that stay open.
    """
    if _TELEMETRY in os.environ:
        yield
        return
    os.environ[_TELEMETRY] = "1"
    try:
        yield
    finally:
        os.environ.pop(_TELEMETRY, None)


def graph_of(module: nn.Module, shape: Shape) -> Any:
    """Return the ONNX model of a module, from normalised `images` (batch, *shape) to `scores`.

    PyTorch's own exporter makes it. Its notes about this machine's files are removed.
    """
    onnx = import_extra("onnx")
    import_extra("onnxscript")
    batch = torch.export.Dim("batch")
    with quiet(), no_bars():
        program = torch.onnx.export(
            _make_portable(module),
            (torch.zeros(2, *shape),),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["scores"],
            dynamic_shapes=({0: batch},),
        )
        assert program is not None
        model = program.model_proto
    graph = model.graph
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    return model


def quantise(model: Any, images: Tensor, normalise: Callable[[Tensor], Tensor]) -> Any:
    """Return the model in int8, by onnxruntime's static quantisation.

    Weights have a scale a channel, activations a scale a tensor. The scales follow from the
    smallest and largest values on at most `CALIBRATION_IMAGES` of `images`.
    """
    quantization = import_extra("onnxruntime.quantization")
    onnx = import_extra("onnx")
    order = permutation(key(0, "calibration"), len(images))[:CALIBRATION_IMAGES]
    batches = iter(torch.split(normalise(images[order]), 64))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined,misc]
        def get_next(self) -> dict[str, Any] | None:
            batch = next(batches, None)
            return None if batch is None else {"images": batch.numpy()}

    int8 = quantization.QuantType.QInt8
    with tempfile.TemporaryDirectory() as folder, quiet():
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, before)
        quantization.quantize_static(
            before, after, Reader(), per_channel=True, activation_type=int8, weight_type=int8
        )
        return _compact(onnx.load(after))


def _compact(model: Any) -> Any:
    """Shorten the names inside a model, in place, and return it. The quantiser's names take more
    bytes than a tiny network's weights."""
    graph, names = model.graph, {"": "", "images": "images", "scores": "scores"}

    def shorten(long: Any) -> list[str]:
        return [names.setdefault(name, f"t{len(names)}") for name in long]

    for node in graph.node:
        node.ClearField("name")
        node.input[:], node.output[:] = shorten(node.input), shorten(node.output)
    for tensor in graph.initializer:
        (tensor.name,) = shorten([tensor.name])
    del graph.value_info[:]
    return model


def count_values(model: Any) -> tuple[int, int]:
    """Count the numbers that a model stores, and their bytes."""
    arrays = [import_extra("onnx").numpy_helper.to_array(one) for one in model.graph.initializer]
    return sum(array.size for array in arrays), sum(array.nbytes for array in arrays)


def with_metadata(model: Any, metadata: dict[str, str]) -> Any:
    """Replace the metadata of a model, and return it."""
    import_extra("onnx").helper.set_model_props(model, metadata)
    return model


def session(model: bytes | Path) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    """Return what a model computes, by onnxruntime on one CPU thread, and its metadata.

    Raises `ExportError` if the file is not a model.
    """
    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors are raised; its log has names of a stranger's raw
    try:
        inference = runtime.InferenceSession(
            model if isinstance(model, bytes) else model.read_bytes(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # with it, what fails is printed too
        )
        metadata = dict(inference.get_modelmeta().custom_metadata_map)
    except Exception as error:  # its errors have no common base
        raise ExportError(
            f"an ONNX file must be a model that onnxruntime runs, but: {error!s:.300}"
        ) from None

    def scores(images: Tensor) -> Tensor:
        try:
            name = inference.get_inputs()[0].name
            found = torch.from_numpy(inference.run(None, {name: images.numpy()})[0])
            if found.ndim != 2 or len(found) != len(images) or not found.is_floating_point():
                raise ValueError(f"its output is {found.dtype} of {tuple(found.shape)}")
        except Exception as error:
            raise ExportError(
                "an ONNX file must map images to (N, classes) scores, but onnxruntime says: "
                f"{error!s:.300}"
            ) from None
        return found

    return scores, metadata


class _GatheringAdd(ResidualAdd):
    """A residual that resizes its input by picking pixels by index. ONNX's `Resize` divides by a
    rounded scale, so it picks other pixels than PyTorch, for example from 28 to 16."""

    def resize(self, input: Tensor) -> Tensor:
        for axis, after in enumerate(self.size or (), start=2):
            before = input.shape[axis]
            places = torch.tensor([nearest(i, before, after) for i in range(after)])
            input = input.index_select(axis, places)
        return input


class _SlicedMaxPool(nn.Module):
    """Adaptive max pooling, for which ONNX has no operator: the largest of each part, by rows,
    then by columns."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        for axis, after in enumerate(self.size, start=2):
            windows = list_windows(images.shape[axis], after)
            parts = [images.narrow(axis, start, stop - start) for start, stop in windows]
            images = torch.cat([part.amax(axis, keepdim=True) for part in parts], axis)
        return images


def _make_portable(module: nn.Module) -> nn.Module:
    """Replace what ONNX lacks, and what other runtimes round differently. Returns `module`."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveMaxPool2d):
                setattr(parent, name, _SlicedMaxPool(child.output_size))  # type: ignore[arg-type]
            if isinstance(child, ResidualAdd) and child.size is not None:
                setattr(parent, name, _GatheringAdd(child.body, child.size, child.project))
    return module.eval()
