"""Networks that a stranger made: a value or a `LightsearchError`, never a raw error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightsearch import build, load, parse, predict
from lightsearch.errors import ExportError, LightsearchError
from lightsearch.exporting import export, open_net
from lightsearch.exporting.onnx_graph import graph_of, with_metadata

DESIGN = "conv(4) gap linear(10)"
METADATA = {
    "design": DESIGN,
    "input": "1x8x8",
    "mean": "0.3",
    "std": "0.37",
    "background": "0.1",
    "dataset": "digits",
    "batch_norm": "as trained",
}


def _weights() -> dict[str, torch.Tensor]:
    return dict(build(parse(DESIGN), (1, 8, 8)).state_dict())


CHANGES: list[dict[str, Any]] = [
    {"input": "1x8"},
    {"input": "axbxc"},
    {"input": "0x8x8"},
    {"input": "1x-8x8"},
    {"input": "1x9999x9999"},
    {"input": "1x" + "9" * 5000 + "x8"},
    {"mean": "a"},
    {"mean": "0.3,0.3,0.3"},
    {"mean": "nan"},
    {"mean": ""},
    {"std": "0"},
    {"std": "inf"},
    {"std": "0.3,"},
    {"background": "dark"},
    {"background": "nan"},
]


def _predict(path: Path) -> Any:
    network = open_net(path)
    images = load("digits").test[0][:2].float() / 255
    return network.scores(network.normalise(images))


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_metadata_of_another_kind_are_named(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "net.safetensors"
    save_file(_weights(), path, METADATA)
    assert _predict(path).shape == (2, 10)
    save_file(_weights(), path, {**METADATA, **change})
    name = next(iter(change))
    with pytest.raises(ExportError, match=rf"how its images are normalised, but .*{name}="):
        open_net(path)


@pytest.fixture(scope="module")
def graph() -> Any:
    """A graph of `DESIGN`, to which each test gives metadata of its own."""
    return graph_of(build(parse(DESIGN), (1, 8, 8)).eval(), (1, 8, 8))


@pytest.mark.needs("onnx")
@pytest.mark.parametrize("change", [*CHANGES, {"input": "1x9x9"}], ids=str)
def test_metadata_of_a_graph_are_named(tmp_path: Path, graph: Any, change: dict[str, Any]) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(with_metadata(graph, {**METADATA, **change}).SerializeToString())
    if change == {"input": "1x9x9"}:  # the graph knows better
        with pytest.raises(ExportError, match="onnxruntime says"):
            open_net(path).scores(torch.zeros(1, 1, 9, 9))
        return
    with pytest.raises(ExportError, match="how its images are normalised"):
        open_net(path)


@pytest.mark.needs("onnx")
def test_bytes_of_a_graph_that_are_no_text_are_named(
    tmp_path: Path, graph: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = with_metadata(graph, METADATA).SerializeToString()
    path = tmp_path / "net\udcff.onnx"  # a name that is no text either
    path.write_bytes(whole)
    assert _predict(path).shape == (2, 10)
    for word in (b"mean", graph.graph.node[0].op_type.encode()):
        path.write_bytes(whole.replace(word, b"\xd5" + word[1:]))
        with pytest.raises(ExportError, match="must be a model that onnxruntime runs"):
            open_net(path)
    assert capfd.readouterr().out == ""


@pytest.mark.needs("onnx")
def test_a_graph_whose_output_is_no_scores(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    graph = graph_of(build(parse("conv(4)"), (1, 8, 8)).eval(), (1, 8, 8))
    path.write_bytes(with_metadata(graph, METADATA).SerializeToString())
    with pytest.raises(ExportError, match=r"must map images to \(N, classes\) scores"):
        _predict(path)


def test_a_design_that_its_weights_are_not_of_is_not_built(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    large = "conv(100000,k=9) conv(100000,k=9) gap linear(10)"  # 3 TB
    save_file(_weights(), path, {**METADATA, "design": large})
    with pytest.raises(ExportError, match="must be of its design, but are fewer"):
        open_net(path)


@pytest.mark.parametrize("name", ["design", "recipe", "accuracy", "dataset", "checksum", "seed"])
def test_weights_without_a_part_of_their_record_are_not_exported(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "net.safetensors"
    fields = ("recipe", "epochs", "seed", "epoch", "weights", "selected_on", "engine", "versions")
    whole = {**METADATA, **dict.fromkeys((*fields, "protocol", "origin"), "x")}
    whole |= {"accuracy": "0.1", "checksum": load("digits").checksum}
    save_file(_weights(), path, {key: value for key, value in whole.items() if key != name})
    with pytest.raises(LightsearchError):
        export(path, tmp_path / "out.safetensors")
    save_file(_weights(), path, {**whole, "accuracy": "much"})
    with pytest.raises(ExportError, match="must have their record"):
        export(path, tmp_path / "out.safetensors")
    with safe_open(path, "pt") as file:
        assert file.metadata()["accuracy"] == "much" and load_file(path)


@pytest.mark.parametrize("note", ["[1, 2]", "3", '"text"', "null", '{"input": 5}'])
def test_a_program_with_a_note_of_another_kind_is_named(tmp_path: Path, note: str) -> None:
    module = build(parse(DESIGN), (1, 8, 8)).eval()
    program = torch.export.export(module, (torch.zeros(1, 1, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2", extra_files={"lightsearch.json": note})
    with pytest.raises(ExportError, match=r"net\.pt2"):
        open_net(tmp_path / "net.pt2")


@pytest.mark.parametrize("change", ["std", "weights"])
def test_scores_that_are_not_finite_are_no_prediction(tmp_path: Path, change: str) -> None:
    path, image, weights = tmp_path / "net.safetensors", tmp_path / "one.png", _weights()
    metadata = dict(METADATA)
    if change == "std":
        metadata["std"] = "1e-320"  # 0 in single precision
    else:
        next(iter(weights.values())).fill_(float("nan"))
    save_file(weights, path, metadata)
    Image.new("L", (8, 8), 90).save(image)
    with pytest.raises(ExportError, match=r"scores of a network must be finite.*one\.png"):
        predict(path, image)
