"""The formats of a file: each writes a network, and is read back to see what it computes."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lightsearch.data.class_names import quote_python
from lightsearch.data.dataset import DataSet
from lightsearch.engines.engine import State
from lightsearch.exporting import folding
from lightsearch.exporting.c.files import CALIBRATION_IMAGES, CNetwork, prepare, score_file
from lightsearch.exporting.reading import NOTE, open_net, scorer
from lightsearch.exporting.tracing import no_bars
from lightsearch.exporting.trained import BYTE_RANGE, TrainedNet
from lightsearch.network.cost import Cost
from lightsearch.network.modules import assemble_for
from lightsearch.network.source import source_of
from lightsearch.network.source_lines import WIDTH, format_list
from lightsearch.torch_modes import kept_generator

BATCH = 500
_FOLDED = "\n\nBatch norm is folded into the weights, for inference."  # of a source's note


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file is written from. A writer may add to the metadata."""

    net: TrainedNet
    costed: Cost
    weights: State
    metadata: dict[str, str]
    int8: bool


Size: TypeAlias = tuple[int, int]


def _size(weights: State) -> Size:
    count = folding.count_values(weights)
    return count, 4 * count


def _write_safetensors(plan: Plan, path: Path) -> Size:
    save_weights(plan.weights, plan.metadata, path)
    return _size(plan.weights)


def save_weights(weights: State, metadata: dict[str, str], path: Path) -> None:
    """Write weights with their metadata as safetensors."""
    whole = {name: tensor.contiguous() for name, tensor in weights.items()}
    path.write_bytes(save(whole, metadata))


def _write_pt2(plan: Plan, path: Path) -> Size:
    example, batch = torch.zeros(2, *plan.net.data.shape), torch.export.Dim("batch")
    module, buffer = load_module(plan.costed, plan.weights), io.BytesIO()
    with no_bars():
        program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
    # PyTorch ends the process where it cannot write a file itself.
    torch.export.save(program, buffer, extra_files={NOTE: json.dumps(plan.metadata)})
    path.write_bytes(buffer.getvalue())
    return _size(plan.weights)


def _write_source(plan: Plan, path: Path) -> Size:
    metadata, beside = plan.metadata, path.with_suffix(".safetensors")
    folded = _FOLDED if metadata["batch_norm"] == "folded" else ""
    note = (
        f"{textwrap.fill(metadata['protocol'], WIDTH)}{folded}\n\n"
        f"Its weights are in {beside.name}:\n\n"
        "    from safetensors.torch import load_file\n\n"
        "    net = Net().eval()\n"
        f'    net.load_state_dict(load_file("{beside.name}"))\n\n'
        "Pixels from 0 to 1 are normalised by channel, (pixels - mean) / std:\n"
        f"mean {metadata['mean']}, std {metadata['std']}."
    )
    source = source_of(plan.costed, metadata["design"], shape=plan.net.data.shape, note=note)
    if names := plan.net.data.class_names:
        literal = format_list("CLASSES = ", [quote_python(name) for name in names])
        source += f"\n\n{literal}  # in the order of the scores\n"
    path.write_text(source, encoding="utf-8")
    return _write_safetensors(plan, beside)


def _write_onnx(plan: Plan, path: Path) -> Size:
    from lightsearch.exporting import onnx_graph

    data = plan.net.data
    model = onnx_graph.graph_of(load_module(plan.costed, plan.weights), data.shape)
    if plan.int8:
        model = onnx_graph.quantise(model, data.train[0], lambda images: normalise(data, images))
        run, _ = onnx_graph.session(model.SerializeToString())
        plan.metadata.update(
            int8_accuracy=str(count_right(score_all(run, data), data) / len(data.test[1])),
            int8_calibration=f"{onnx_graph.CALIBRATION_IMAGES} training images at most",
        )
    path.write_bytes(onnx_graph.with_metadata(model, plan.metadata).SerializeToString())
    return onnx_graph.count_values(model)


def _write_c(plan: Plan, path: Path) -> Size:
    network, data = _prepare_c(plan), plan.net.data
    plan.metadata["input_range"] = BYTE_RANGE
    if plan.int8:
        plan.metadata.update(
            int8_accuracy=str(count_right(network.score(data.test[0]), data) / len(data.test[1])),
            int8_calibration=f"{CALIBRATION_IMAGES} training images at most",
        )
    source = network.write(path.stem, plan.metadata)
    path.write_text(source.code, encoding="ascii")
    path.with_suffix(".h").write_text(source.header, encoding="ascii")
    return source.values, source.value_bytes


def _prepare_c(plan: Plan) -> CNetwork:
    return prepare(plan.costed, plan.weights, plan.net.data, int8=plan.int8)


WRITERS: dict[str, Callable[[Plan, Path], Size]] = {
    ".onnx": _write_onnx,
    ".pt2": _write_pt2,
    ".safetensors": _write_safetensors,
    ".py": _write_source,
    ".c": _write_c,
}


def run_file(plan: Plan, path: Path) -> Tensor:
    """Return the scores of all test images by the file itself."""
    if path.suffix.lower() == ".c":
        return score_file(_prepare_c(plan), path, plan.metadata)
    return score_all(_reader(path), plan.net.data)


def _reader(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function that a file computes. Source runs with the weights beside it."""
    if path.suffix.lower() != ".py":
        return open_net(path).scores
    names: dict[str, Any] = {"__name__": path.stem}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    with kept_generator():
        module = names["Net"]()
    module.load_state_dict(load_file(path.with_suffix(".safetensors")))
    return scorer(module.eval())


# What is computed --------------------------------------------------------------------------------


def normalise(data: DataSet, images: Tensor) -> Tensor:
    """Return uint8 images as float32, normalised as this data set's."""
    mean, std = (value[:, None, None] for value in data.mean_std)
    return (images.to(torch.float32) / 255 - mean) / std


def load_module(costed: Cost, weights: State) -> nn.Module:
    """Return the module of lowered layers with weights, in evaluation mode."""
    return assemble_for(costed, weights).eval()


def score_all(run: Callable[[Tensor], Tensor], data: DataSet) -> Tensor:
    """Return the scores of all test images, (N, classes)."""
    batches = torch.split(data.test[0], BATCH)
    return torch.cat([run(normalise(data, batch)) for batch in batches])


def count_right(scores: Tensor, data: DataSet) -> int:
    """Return how many test images have their own class."""
    return int((scores.argmax(1) == data.test[1]).sum())
