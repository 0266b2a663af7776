"""ONNX: a module as a graph, its quantisation to int8, and running one. Needs `[export]`."""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightsearch.errors import ExportError
from lightsearch.network.modules import ResidualAdd
from lightsearch.network.op_costs import nearest
from lightsearch.randomness import key, permutation
from lightsearch.shapes import Shape

CALIBRATION_IMAGES = 512


def needed(name: str) -> Any:
    """A module of the optional extra.

    Raises `ExportError`, saying how to install it, where it is not there.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(f"ONNX needs the package {name.split('.')[0]}: pip install "
                          f"'lightsearch[export]' ({error})") from None


def graph_of(module: nn.Module, shape: Shape) -> Any:
    """The ONNX model of a module: normalised `images` of (batch, *shape) to `scores`.

    PyTorch's own exporter makes it. What that notes of this machine's files is taken out.
    """
    onnx = needed("onnx")
    needed("onnxscript")
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            _portable(module), (torch.zeros(2, *shape),), dynamo=True, verbose=False,
            input_names=["images"], output_names=["scores"], dynamic_shapes=({0: batch},))
        assert program is not None
        model = program.model_proto
    graph = model.graph
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    return model


def quantised(model: Any, images: Tensor, normalised: Callable[[Tensor], Tensor]) -> Any:
    """The model in int8, by onnxruntime's static quantisation.

    Weights are int8 with a scale a channel, activations int8 with a scale a tensor, from the
    smallest and largest values on some of the training images given.
    """
    quantization = needed("onnxruntime.quantization")
    onnx = needed("onnx")
    order = permutation(key(0, "calibration"), len(images))[:CALIBRATION_IMAGES]
    batches = iter(torch.split(normalised(images[order]), 64))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined,misc]
        def get_next(self) -> dict[str, Any] | None:
            batch = next(batches, None)
            return None if batch is None else {"images": batch.numpy()}

    int8 = quantization.QuantType.QInt8
    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, before)
        quantization.quantize_static(before, after, Reader(), per_channel=True,
                                     activation_type=int8, weight_type=int8)
        return _compact(onnx.load(after))


def _compact(model: Any) -> Any:
    """The model with short names inside: those that the quantiser makes are longer than a tiny
    network's weights."""
    graph, names = model.graph, {"": "", "images": "images", "scores": "scores"}

    def short(given: Any) -> list[str]:
        return [names.setdefault(name, f"t{len(names)}") for name in given]

    for node in graph.node:
        node.ClearField("name")
        node.input[:], node.output[:] = short(node.input), short(node.output)
    for tensor in graph.initializer:
        (tensor.name,) = short([tensor.name])
    del graph.value_info[:]
    return model


def numbers(model: Any) -> tuple[int, int]:
    """How many numbers a model stores, and in how many bytes."""
    arrays = [needed("onnx").numpy_helper.to_array(one) for one in model.graph.initializer]
    return sum(array.size for array in arrays), sum(array.nbytes for array in arrays)


def with_metadata(model: Any, metadata: dict[str, str]) -> Any:
    """The model with `metadata` in place of what it had."""
    needed("onnx").helper.set_model_props(model, metadata)
    return model


def session(model: bytes | Path) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    """What a model computes, by onnxruntime on one thread of the processor, and its metadata.

    Raises `ExportError` for a file that is no model.
    """
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        opened = runtime.InferenceSession(model if isinstance(model, bytes) else str(model),
                                          options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise ExportError(f"an ONNX file must be a model that onnxruntime runs, but: {error}") \
            from None

    def scores(images: Tensor) -> Tensor:
        return torch.from_numpy(opened.run(None, {opened.get_inputs()[0].name: images.numpy()})[0])

    return scores, dict(opened.get_modelmeta().custom_metadata_map)


class _Gathered(ResidualAdd):
    """A residual that takes the pixels of its resized input by their index: ONNX's `Resize`
    divides by a rounded scale, and takes other pixels than PyTorch from 28 to 16, say."""

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.body(input)
        for axis, after in enumerate(self.size or (), start=2):
            before = input.shape[axis]
            places = torch.tensor([nearest(i, before, after) for i in range(after)])
            input = input.index_select(axis, places)
        if self.project is not None:
            input = self.project(input)
        return output + input


def _portable(module: nn.Module) -> nn.Module:
    """The module with residuals that are the same everywhere; `module` itself is changed."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ResidualAdd) and child.size is not None:
                setattr(parent, name, _Gathered(child.body, child.size, child.project))
    return module.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and notes of the exporter and the quantiser."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
