"""`export`: write a trained network to a file, read it back, check it on the test images."""

from __future__ import annotations

import json
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lightsearch.checks import check_path
from lightsearch.data.dataset import DataSet
from lightsearch.engines.engine import State
from lightsearch.errors import ArgumentError
from lightsearch.exporting import folding
from lightsearch.exporting.c.files import CALIBRATION_IMAGES, CNetwork, prepare, score_file
from lightsearch.exporting.checks import WEIGHTS_ARE_IN, check_record, check_scores, check_target
from lightsearch.exporting.finding import Source, Told, find_net
from lightsearch.exporting.reading import NOTE, open_net, scorer
from lightsearch.exporting.trained import TrainedNet
from lightsearch.formatting import percent, plural
from lightsearch.network.cost import Cost, cost
from lightsearch.network.modules import assemble
from lightsearch.network.source import source_of
from lightsearch.network.source_lines import WIDTH
from lightsearch.study.disk import save_state
from lightsearch.torch_modes import plain_modes

BATCH = 500
_FOLDED = "\n\nBatch norm is folded into the weights, for inference."  # of a source's note


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file, and its results on the test images, or on the held-out ones if those
    selected.

    Read back, the file gets `correct` of `total` images right, and gives `same` of them PyTorch's
    class. It stores `values` numbers in `value_bytes` of its `size` bytes (with `.py`, those of
    the weights beside it). `recorded` is the accuracy on record, and `origin` says where the
    weights come from.
    """

    path: Path
    correct: int
    total: int
    same: int
    values: int
    value_bytes: int
    size: int
    recorded: float
    origin: str
    metadata: dict[str, str]

    @property
    def accuracy(self) -> float:
        """Share of the images that the file gets right, from 0 to 1."""
        return self.correct / self.total

    def __str__(self) -> str:
        images = "held-out" if self.metadata["selected_on"].startswith("val") else "test"
        checked_by = self.metadata.get("checked_by", "the file itself")
        held = "on the board" if self.path.suffix.lower() == ".c" else "of them"
        return (
            f"{self.path}: {plural(self.size, 'byte')}, {self.value_bytes:,} {held} for "
            f"{plural(self.values, 'stored value')}\n{percent(self.accuracy)} of "
            f"{self.total:,} {images} images by {checked_by}; {self.same:,} have "
            f"PyTorch's class\nweights: {self.origin}\non record: {self.metadata['protocol']}"
        )


@plain_modes()
def export(
    source: Source,
    path: str | Path,
    *,
    row: int = 1,
    rank: int | None = None,
    fold: bool = False,
    int8: bool = False,
    study: str | Path | None = None,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
    told: Told | None = None,
    force: bool = False,
) -> Exported:
    """Write a trained network to `path`: `.onnx`, `.pt2`, `.safetensors`, `.py` or `.c`.

        result = search(budget=8000, epochs=15)
        print(export(result, "net.onnx"))

    `source` is a search's result or a study's folder, whose `row` of that rank is taken
    (`rank` is its older name); a leaderboard's row; or a `.safetensors` that lightsearch wrote. A
    row without its `study` is trained again, and `told` is called with each epoch's result.
    `dataset` or `data` say where the images are, as in `rebuild`.

    - `.onnx` is a graph for onnxruntime and others; `.pt2` a program for `torch.export.load`;
      `.safetensors` the weights, with the names of `build`; `.py` the source, with its weights in
      a `.safetensors` beside it; `.c` a file of C99, with its header beside it.
      Each but `.c` maps normalised float32 images of (N, C, H, W), for any N, to (N, classes)
      scores; `.c` takes one image. The normalisation, the design and the accuracy with its
      protocol are in the file's metadata, or in the header.
    - `fold` folds batch norm into the weights and removes dropout.
    - `int8` quantises weights and activations (`.onnx` and `.c`), after folding.
    - `force` replaces what stands at `path`. Files that lightsearch exported are replaced anyway.

    The file is read back, run on all test images, and compared with PyTorch's scores.

    Raises `ArgumentError` for a missing row, or a path or a combination that cannot be written;
    `StudyError` if the row is not the study's; `DataError` if the images are not found;
    `DesignError` for source or C with a layer kind of the user's own; `ExportError` for a file
    without a design, if a package of `lightsearch[export]` is missing, or if what is written
    does not compute what it should (it is removed then).
    """
    path = check_path("path", path)
    if path.suffix.lower() == ".ipynb":
        raise ArgumentError(f"`path` must not be a notebook, which `export_script` writes: {path}")
    if path.suffix.lower() not in _WRITERS:
        raise ArgumentError(f"`path` must end in {', '.join(_WRITERS)}, but got {path}")
    if not path.resolve().parent.is_dir():
        raise ArgumentError(f"`path` must be in a folder that exists, but got {path}")
    if int8 and path.suffix.lower() not in (".onnx", ".c"):
        raise ArgumentError(f"`int8` must go with a path that ends in .onnx or .c, but got {path}")
    check_target("path", path, force=force)
    net = find_net(
        source,
        rank=row if rank is None else rank,
        study=study,
        dataset=dataset,
        data=data,
        told=told,
    )
    return write(net, path, fold=fold, int8=int8)


def write(net: TrainedNet, path: Path, *, fold: bool = False, int8: bool = False) -> Exported:
    """Write a network; see `export`."""
    costed, weights = cost(net.design, net.data.shape, net.data.classes), net.weights
    truth = _scores(scorer(_load_module(costed, weights)), net.data)
    check_record(net, _correct(truth, net.data), len(truth))
    folded = fold or int8 or path.suffix.lower() == ".c"
    if folded:
        costed, weights = folding.fold(costed, weights)
    metadata = {**net.metadata, "batch_norm": "folded" if folded else "as trained"}
    plan = _Plan(net, costed, weights, metadata, int8)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            part = Path(folder) / path.name
            values, value_bytes = _WRITERS[path.suffix.lower()](plan, part)
            scores = _score_file(plan, part)
            if not int8:
                check_scores(path, scores, truth)
            is_source = path.suffix.lower() == ".py"
            holder = part.with_suffix(".safetensors") if is_source else part
            size = holder.stat().st_size
            for file in Path(folder).iterdir():
                file.replace(path.parent / file.name)
    except OSError as error:
        raise ArgumentError(
            f"`path` must be a file that can be written, but {path}: {error}"
        ) from None
    same = int((scores.argmax(1) == truth.argmax(1)).sum())
    return Exported(
        path,
        _correct(scores, net.data),
        len(truth),
        same,
        values,
        value_bytes,
        size,
        float(net.record["accuracy"]),
        net.origin,
        metadata,
    )


def write_weights(net: TrainedNet, path: Path) -> None:
    """Write the weights with their metadata as safetensors, without any check."""
    _save(net.weights, {**net.metadata, "batch_norm": "as trained"}, path)


def normalise(data: DataSet, images: Tensor) -> Tensor:
    """Return uint8 images as float32, normalised as this data set's."""
    mean, std = (value[:, None, None] for value in data.mean_std)
    return (images.to(torch.float32) / 255 - mean) / std


def _load_module(costed: Cost, weights: State) -> nn.Module:
    module = assemble(costed)
    module.load_state_dict(weights)
    return module.eval()


def _scores(run: Callable[[Tensor], Tensor], data: DataSet) -> Tensor:
    batches = torch.split(data.test[0], BATCH)
    return torch.cat([run(normalise(data, batch)) for batch in batches])


def _correct(scores: Tensor, data: DataSet) -> int:
    return int((scores.argmax(1) == data.test[1]).sum())


# Formats: each writes a file, and returns the number of its values and their bytes --------------


@dataclass(frozen=True, slots=True)
class _Plan:
    net: TrainedNet
    costed: Cost
    weights: State
    metadata: dict[str, str]
    int8: bool


Size: TypeAlias = tuple[int, int]


def _size(weights: State) -> Size:
    count = folding.count_values(weights)
    return count, 4 * count


def _write_safetensors(plan: _Plan, path: Path) -> Size:
    _save(plan.weights, plan.metadata, path)
    return _size(plan.weights)


def _save(weights: State, metadata: dict[str, str], path: Path) -> None:
    save_state(path, {name: tensor.contiguous() for name, tensor in weights.items()}, metadata)


def _write_pt2(plan: _Plan, path: Path) -> Size:
    example, batch = torch.zeros(2, *plan.net.data.shape), torch.export.Dim("batch")
    program = torch.export.export(
        _load_module(plan.costed, plan.weights), (example,), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, path, extra_files={NOTE: json.dumps(plan.metadata)})
    return _size(plan.weights)


def _write_source(plan: _Plan, path: Path) -> Size:
    metadata, beside = plan.metadata, path.with_suffix(".safetensors")
    folded = _FOLDED if metadata["batch_norm"] == "folded" else ""
    note = (
        f"{textwrap.fill(metadata['protocol'], WIDTH)}{folded}\n\n"
        f"{WEIGHTS_ARE_IN} {beside.name}:\n\n"
        "    from safetensors.torch import load_file\n\n"
        "    net = Net().eval()\n"
        f'    net.load_state_dict(load_file("{beside.name}"))\n\n'
        "Pixels from 0 to 1 are normalised by channel, (pixels - mean) / std:\n"
        f"mean {metadata['mean']}, std {metadata['std']}."
    )
    source = source_of(plan.costed, metadata["design"], shape=plan.net.data.shape, note=note)
    path.write_text(source, encoding="utf-8")
    return _write_safetensors(plan, beside)


def _write_onnx(plan: _Plan, path: Path) -> Size:
    from lightsearch.exporting import onnx_graph

    data = plan.net.data
    model = onnx_graph.graph_of(_load_module(plan.costed, plan.weights), data.shape)
    if plan.int8:
        model = onnx_graph.quantise(model, data.train[0], lambda images: normalise(data, images))
        run, _ = onnx_graph.session(model.SerializeToString())
        plan.metadata.update(
            int8_accuracy=str(_correct(_scores(run, data), data) / len(data.test[1])),
            int8_calibration=f"{onnx_graph.CALIBRATION_IMAGES} training images at most",
        )
    path.write_bytes(onnx_graph.with_metadata(model, plan.metadata).SerializeToString())
    return onnx_graph.count_values(model)


def _write_c(plan: _Plan, path: Path) -> Size:
    network, data = _prepare_c(plan), plan.net.data
    if plan.int8:
        plan.metadata.update(
            int8_accuracy=str(_correct(network.score(data.test[0]), data) / len(data.test[1])),
            int8_calibration=f"{CALIBRATION_IMAGES} training images at most",
        )
    source = network.write(path.stem, plan.metadata)
    path.write_text(source.code, encoding="ascii")
    path.with_suffix(".h").write_text(source.header, encoding="ascii")
    return source.values, source.value_bytes


def _prepare_c(plan: _Plan) -> CNetwork:
    return prepare(plan.costed, plan.weights, plan.net.data, int8=plan.int8)


_WRITERS: dict[str, Callable[[_Plan, Path], Size]] = {
    ".onnx": _write_onnx,
    ".pt2": _write_pt2,
    ".safetensors": _write_safetensors,
    ".py": _write_source,
    ".c": _write_c,
}


def _score_file(plan: _Plan, path: Path) -> Tensor:
    if path.suffix.lower() == ".c":
        return score_file(_prepare_c(plan), path, plan.metadata)
    return _scores(_reader(path), plan.net.data)


def _reader(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function that a file computes. Source runs with the weights beside it."""
    if path.suffix.lower() != ".py":
        return open_net(path).scores
    names: dict[str, Any] = {"__name__": path.stem}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    module = names["Net"]()
    module.load_state_dict(load_file(path.with_suffix(".safetensors")))
    return scorer(module.eval())
