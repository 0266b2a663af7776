"""Exported networks: judged by PyTorch, onnxruntime and safetensors on what was written."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from random_designs import nasty, rich, uneven
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import RECIPE, arguments
from torch import Tensor, nn

from lightsearch import SearchResult, build, cost, load, load_result, load_weights, parse, read
from lightsearch.api import run
from lightsearch.cli import main
from lightsearch.data.dataset import DataSet
from lightsearch.design import Layer, integer, parts
from lightsearch.errors import ArgumentError, DesignError, ExportError, StudyError
from lightsearch.exporting import export, open_net
from lightsearch.exporting.folding import count_values, fold
from lightsearch.exporting.onnx_graph import graph_of
from lightsearch.network import lowering
from lightsearch.network.modules import assemble, register
from lightsearch.network.operations import Local
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.shapes import Shape
from lightsearch.workers.slot import InlineSlot

onnx_needed = pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
SPACE = (
    "conv(6,act-norm) residual([conv(8,p=0,gelu)],project) maxpool separable(8|12,inner) "
    "gate gap linear(10)"
)
EVERY_KIND = (  # from 28 pixels to 16, where ONNX's own resizing takes others than PyTorch's
    "residual([conv(4,k=13,p=0,gelu,dropout=0.1)],project) "
    "residual([conv(6,s=2) depthwise(silu) se],project,relu) "
    "residual([conv(6,k=1,p=1,hardswish)]) separable(8,inner,act-norm) gate avgpool(k=2,s=1) "
    "maxpool(k=3,s=2,p=1) dropout(0.1,per=channel) conv(5,norm=none,bias,g=1) linear(7,relu) "
    "conv(9,k=1) residual([linear(9)]) linear(10)"
)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    folder = tmp_path_factory.mktemp("studies") / "study"
    asked = arguments(
        study=folder,
        space=SPACE,
        trials=2,
        epochs=3,
        target=0.3,
        recipe=RECIPE.replace("0.1|", ""),
        slots=[InlineSlot()],
    )
    for _ in run(resolve(SearchSettings(**asked))):
        pass
    found = load_result(folder)
    assert len(found.leaderboard) == 2
    return found


def _truth(result: SearchResult, rank: int = 1) -> Tensor:
    """The scores of all test images by the built module, normalised by hand."""
    row, data = result.leaderboard.loc[rank], load("digits")
    net = build(parse(str(row["design"])), (1, 8, 8))
    net.load_state_dict(load_weights(result.folder, int(row["trial"])))
    with torch.no_grad():
        return net.eval()(_images(data))


def _images(data: DataSet) -> Tensor:
    train = data.train[0].double() / 255
    mean, std = train.mean(), train.std(correction=0)
    return ((data.test[0].double() / 255 - mean) / std).float()


def _session(model: Path | bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def _said(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


# Weights and source ------------------------------------------------------------------------------


def test_weights_are_those_of_the_leaderboard_and_say_so(studied, tmp_path: Path) -> None:
    found = export(studied, tmp_path / "net.safetensors")
    row = studied.leaderboard.loc[1]
    kept, written = load_weights(studied.folder, int(row["trial"])), load_file(found.path)
    assert kept.keys() == written.keys()
    assert all(torch.equal(kept[name], written[name]) for name in kept)
    said = _said(found.path)
    assert said["design"] == row["design"] and said["batch_norm"] == "as trained"
    assert float(said["accuracy"]) == row["best_accuracy"] == found.recorded
    assert int(said["epoch"]) == row["best_epoch"] and said["selected_on"] == "test"
    assert said["weights"] == "averaged" and "one run" in said["protocol"]
    train = load("digits").train[0].double() / 255
    assert float(said["mean"]) == pytest.approx(float(train.mean()), abs=1e-6)
    assert float(said["std"]) == pytest.approx(float(train.std(correction=0)), abs=1e-6)
    right = int((_truth(studied).argmax(1) == load("digits").test[1]).sum())
    assert (found.correct, found.total, found.same) == (right, 360, 360)
    assert found.size == found.path.stat().st_size
    assert found.values == sum(t.numel() for n, t in kept.items() if "batches" not in n)


def test_source_comes_with_its_weights(studied, tmp_path: Path) -> None:
    for folded in (False, True):
        path = export(studied, tmp_path / "net.py", row=2, fold=folded).path
        written: dict[str, Any] = {}
        exec(path.read_text(), written)
        net = written["Net"]()
        net.load_state_dict(load_file(tmp_path / "net.safetensors"))
        scores = net.eval()(_images(load("digits"))).detach()
        torch.testing.assert_close(scores, _truth(studied, 2), atol=1e-4, rtol=1e-4)
        assert "BatchNorm" not in path.read_text() if folded else "BatchNorm" in path.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.py", "net.safetensors"]


def test_a_row_of_a_file_is_trained_again(studied, tmp_path: Path) -> None:
    shutil.copy(studied.folder / "leaderboard.csv", tmp_path)
    row, told = read(tmp_path / "leaderboard.csv").loc[1], []
    found = export(row, tmp_path / "net.safetensors", told=told.append)
    assert [one.epoch for one in told] == list(range(1, int(row["best_epoch"]) + 1))
    assert told[-1].accuracy == row["best_accuracy"]
    kept, written = load_weights(studied.folder, int(row["trial"])), load_file(found.path)
    assert all(torch.equal(kept[name], written[name]) for name in kept)
    assert found.origin == "trained again from the row, with the accuracy of the row"
    changed = row.copy()
    changed["seed"] = 5
    again = export(changed, tmp_path / "other.safetensors")
    assert "correct test images where the row has" in again.origin
    assert again.recorded != row["best_accuracy"]


def test_a_row_with_its_study_needs_no_training(studied, tmp_path: Path) -> None:
    row = studied.leaderboard.loc[2]
    told: list[Any] = []
    found = export(row, tmp_path / "net.safetensors", study=studied.folder, told=told.append)
    assert not told and found.origin == f"kept by the study, trial {row['trial']}"
    by_folder = export(studied.folder, tmp_path / "same.safetensors", row=2)
    assert by_folder.metadata == found.metadata


def test_a_row_of_another_study_is_refused(studied, tmp_path: Path) -> None:
    row = studied.leaderboard.loc[1].copy()
    row["trial"] = 1 - row["trial"]
    with pytest.raises(StudyError, match="`study` must be the one that the row is from"):
        export(row, tmp_path / "net.safetensors", study=studied.folder)


def test_weights_that_are_not_those_of_the_record_are_refused(studied, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(studied.folder, folder)
    number = int(studied.leaderboard.loc[1]["trial"])
    path = folder / "weights" / f"trial-{number:05d}.safetensors"
    save_file({name: torch.zeros_like(t) for name, t in load_file(path).items()}, path)
    with pytest.raises(ExportError, match=r"must have the accuracy on record, .* PyTorch gets"):
        export(folder, tmp_path / "net.safetensors")
    path.write_text("damaged")  # then there are none, and the row is trained again
    assert "trained again" in export(folder, tmp_path / "net.safetensors").origin


# Folding -----------------------------------------------------------------------------------------


def test_folded_networks_give_the_same_scores() -> None:
    norms = 0
    for seed in range(80):
        design, shape = (nasty if seed < 40 else rich)(Random(seed))
        torch.manual_seed(seed)
        module = build(design, shape)
        for name, tensor in module.state_dict().items():
            if "norm" in name and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
        costed, weights = fold(cost(design, shape), dict(module.state_dict()))
        folded = assemble(costed)
        folded.load_state_dict(weights)
        assert not [
            m
            for m in folded.modules()
            if isinstance(m, nn.BatchNorm2d | nn.Dropout | nn.Dropout2d)
        ]
        norms += sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())
        images = torch.randn(2, *shape)
        with torch.no_grad():
            expected, scores = (
                module.double().eval()(images.double()),
                folded.double().eval()(images.double()),
            )
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
        count = sum(p.numel() for p in folded.parameters())
        assert count_values(weights) == count == costed.params
    assert norms > 30


def test_the_passes_of_a_loop_keep_their_shared_weights_when_folded() -> None:
    counts = {}
    for text in ("loop([separable(8)],3)", "loop([separable(8)],3,depthwise)"):
        design, shape = parse(f"conv(8) {text} gap linear(10)"), (1, 9, 9)
        torch.manual_seed(0)
        weights = dict(build(design, shape).state_dict())
        costed, folded = fold(cost(design, shape), weights)
        counts[text] = (count_values(weights), count_values(folded))
        assert costed.params == counts[text][1]
    own = 8 * 9 + 8 + 8 * 9 + 90  # the first convolution, the depthwise kernels, the classes
    # A scale and a shift for each of the three passes instead of four values a channel.
    assert counts["loop([separable(8)],3)"] == (own + 24 + 64 + 3 * 32, own + 64 + 3 * 16)
    # Where each pass has a 1x1 convolution of its own, it takes up the norm.
    assert counts["loop([separable(8)],3,depthwise)"] == (
        own + 24 + 3 * (64 + 32),
        own + 3 * (64 + 8),
    )


# Graphs ------------------------------------------------------------------------------------------


def _agrees(design: Any, shape: Shape, folded: bool = False) -> None:
    torch.manual_seed(0)
    module = build(design, shape)
    for name, tensor in module.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    images = torch.randn(3, *shape)
    with torch.no_grad():
        expected = module.eval()(images)
    if folded:
        costed, weights = fold(cost(design, shape), dict(module.state_dict()))
        module = assemble(costed)
        module.load_state_dict(weights)
    model = graph_of(module, shape).SerializeToString()
    assert b"site-packages" not in model and b".py" not in model  # nothing of this machine
    (scores,) = _session(model).run(["scores"], {"images": images.numpy()})
    scale = float(expected.abs().max())
    torch.testing.assert_close(torch.from_numpy(scores), expected, atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.slow
@onnx_needed
def test_every_kind_as_a_graph() -> None:
    _agrees(parse(EVERY_KIND), (2, 28, 28))


@onnx_needed
@pytest.mark.parametrize("folded", [False, True])
def test_a_loop_as_a_graph(folded: bool) -> None:
    import onnx

    text = "conv(8) loop([separable(8) residual(conv(8,p=2)) conv(8,p=0,dropout=0.1)],3) gap"
    _agrees(parse(text), (1, 12, 12), folded)
    costed = cost(parse(text), (1, 12, 12))
    if folded:
        costed, _ = fold(costed, dict(build(parse(text), (1, 12, 12)).state_dict()))
    model = graph_of(assemble(costed), (1, 12, 12))
    kernels = [t for t in model.graph.initializer if list(t.dims) == [8, 8, 3, 3]]
    assert len(kernels) == 2  # one copy of the weights that the passes share
    assert isinstance(model, onnx.ModelProto)


@onnx_needed
@pytest.mark.parametrize("folded", [False, True])
def test_branches_norms_and_moves_as_a_graph(folded: bool) -> None:
    text = (
        "pad(1,reflect) conv(8,d=2,layer,leakyrelu) norm(affine=none) act(hardsigmoid) widen(12) "
        "add([conv(16,s=2,shift)],[maxpool(k=1,s=2) widen(16)],prelu) norm(group,g=2) act(tanh) "
        "loop([concat([split(0)],[split(1) conv(8,relu6)]) shuffle pad(1,replicate) "
        "conv(16,p=0,group,sigmoid)],2) pad(0,a=2) gap linear(10)"
    )
    _agrees(parse(text), (1, 12, 12), folded)


@onnx_needed
@pytest.mark.parametrize("folded", [False, True])
def test_windows_of_two_numbers_as_a_graph(folded: bool) -> None:
    text = (
        "conv(8,k=3x1,s=2x1) depthwise(k=1x5,d=2) separable(8,k=5x3,p=0x1,act-norm) "
        "maxpool(k=3x2,s=1x2,p=1x0) avgpool(k=1x2) residual([conv(8,k=1x3)]) pad(1x0,a=0x1) "
        "conv(8,replicate) depthwise(k=3x5,reflect) separable(6,act-norm,circular) gap"
    )
    _agrees(parse(text), (2, 15, 14), folded)


@onnx_needed
@pytest.mark.parametrize(
    "text",
    [
        "conv(4) adaptive(5x4) conv(3) adaptive(2)",
        "conv(4) residual([conv(4) adaptive(5x4,max)]) conv(3) adaptive(2x3,max)",
        "conv(2) adaptive(20x9) adaptive(13,max) gap",
    ],
)
def test_adaptive_pooling_as_a_graph(text: str) -> None:
    _agrees(parse(f"{text} linear(3)"), (2, 15, 14), folded=True)


@pytest.mark.slow
@onnx_needed
def test_random_designs_as_graphs() -> None:
    for seed in range(300, 312):
        design, shape = (nasty, uneven)[seed % 3 == 0](Random(seed))
        _agrees(design, shape, folded=seed % 2 == 0)


@onnx_needed
def test_onnx_has_the_same_predictions_and_says_what_it_is(studied, tmp_path: Path) -> None:
    import onnx

    found = export(studied, tmp_path / "net.onnx")
    session = _session(found.path)
    (scores,) = session.run(None, {"images": _images(load("digits")).numpy()})
    assert torch.equal(torch.from_numpy(scores).argmax(1), _truth(studied).argmax(1))
    assert (found.same, found.total) == (360, 360)
    model = onnx.load(found.path)
    arrays = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer]
    assert found.values == sum(array.size for array in arrays)
    assert found.value_bytes == sum(array.nbytes for array in arrays) < found.size
    said = {one.key: one.value for one in model.metadata_props}
    assert said == found.metadata and "one run" in said["protocol"]
    assert float(said["accuracy"]) == studied.leaderboard.loc[1]["best_accuracy"]


@onnx_needed
def test_int8_is_measured(studied, tmp_path: Path) -> None:
    import onnx

    found = export(studied, tmp_path / "net.onnx", int8=True)
    data = load("digits")
    (scores,) = _session(found.path).run(None, {"images": _images(data).numpy()})
    right = int((torch.from_numpy(scores).argmax(1) == data.test[1]).sum())
    assert found.correct == right
    said = {one.key: one.value for one in onnx.load(found.path).metadata_props}
    assert float(said["int8_accuracy"]) == right / 360
    assert float(said["accuracy"]) == studied.leaderboard.loc[1]["best_accuracy"]
    stored_types = {
        tensor.data_type
        for tensor in onnx.load(found.path).graph.initializer
        if len(tensor.dims) == 4
    }
    assert stored_types == {onnx.TensorProto.INT8}  # every convolution's kernel
    assert found.accuracy > found.recorded - 0.1


@pytest.mark.slow
def test_a_program_of_torch_export(studied, tmp_path: Path) -> None:
    path = export(studied, tmp_path / "net.pt2").path
    net = torch.export.load(path).module()
    torch.testing.assert_close(net(_images(load("digits"))).detach(), _truth(studied))
    assert open_net(path).metadata["design"] == studied.leaderboard.loc[1]["design"]


# Kinds of the user's own -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Shuffle(Layer):
    groups: int = integer(2)


@pytest.mark.slow
@onnx_needed
def test_a_kind_of_ones_own_goes_where_its_module_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for owner, name in (
        (parts, "_KINDS"),
        (parts, "_NAMES"),
        (lowering, "_COSTINGS"),
        (sys.modules["lightsearch.network.modules"], "_MAKERS"),
    ):
        monkeypatch.setattr(owner, name, dict(getattr(owner, name)))
    register(
        "mixing",
        Shuffle,
        cost=lambda layer, shape: Local(shape, params=2 * shape[0]),
        module=lambda layer, shape: nn.Sequential(
            nn.ChannelShuffle(layer.groups), nn.BatchNorm2d(shape[0])
        ),
    )
    saved = tmp_path / "net.safetensors"
    _run(
        "train",
        "conv(8) mixing gap linear(10)",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--save",
        str(saved),
    )
    with pytest.raises(DesignError, match=r"but got 'mixing' at \[1\]"):
        export(saved, tmp_path / "net.py")
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
    assert export(saved, tmp_path / "net.onnx", fold=True).same == 360


# What is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "net.tflite",
            {},
            r"`path` must end in .onnx, .pt2, .safetensors, .py, .c, but got .*net.tflite",
        ),
        ("nowhere/net.py", {}, "`path` must be in a folder that exists"),
        ("net.py", {"int8": True}, "`int8` must go with a path that ends in .onnx"),
        ("net.py", {"row": 3}, "`row` must be a rank from 1 to 2, but got row=3"),
    ],
)
def test_what_cannot_be_written(
    studied, tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        export(studied, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(
    studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"needs the package onnx: pip install 'light"):
        export(studied, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_left(
    studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightsearch.exporting import formats

    monkeypatch.setattr(
        formats, "_reader", lambda path: lambda images: torch.zeros(len(images), 10)
    )
    with pytest.raises(ExportError, match=r"net.safetensors must give PyTorch's scores"):
        export(studied, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.needs("onnxruntime")
def test_files_that_are_no_network(studied, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    for name in ("broken.onnx", "broken.pt2", "broken.safetensors"):
        (tmp_path / name).write_text("nothing")
    for name, message in (
        ("bare.safetensors", "no design in its metadata"),
        ("broken.safetensors", "a safetensors file must be readable"),
        ("broken.onnx", "must be a model that onnxruntime runs"),
        ("broken.pt2", "must be a program that torch.export wrote"),
    ):
        with pytest.raises(ExportError, match=message):
            open_net(tmp_path / name)
    for name in ("net.txt", "none.onnx"):
        with pytest.raises(ArgumentError, match="a network must be a file"):
            open_net(tmp_path / name)
    with pytest.raises(ExportError, match=r"must be as they were trained, .* folded"):
        export(export(studied, tmp_path / "net.safetensors", fold=True).path, tmp_path / "n.py")


@pytest.mark.parametrize(
    "name",
    [
        "net.py",
        "net.safetensors",
        "NET.PT2",
        pytest.param("net.onnx", marks=pytest.mark.needs("onnx")),
    ],
)
def test_what_stands_there_is_not_replaced(studied, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("from lightsearch import export  # mine\n")
    with pytest.raises(ArgumentError, match=rf"`path` must be a new file, but .*{name} is there"):
        export(studied, path)
    assert path.read_text() == "from lightsearch import export  # mine\n"
    export(studied, path, force=True)
    again = export(studied, path)  # its own file
    assert again.same == 360


@pytest.mark.parametrize(("name", "changed"), [("net.py", "net.py"), ("net.c", "net.h")])
def test_a_text_that_was_changed_since_is_not_replaced(
    studied, tmp_path: Path, name: str, changed: str
) -> None:
    export(studied, tmp_path / name)
    file = tmp_path / changed
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))  # by a version control, say
    export(studied, tmp_path / name)
    mine = file.read_bytes().replace(b"lightsearch", b"lightsearch and me", 1)
    file.write_bytes(mine)
    with pytest.raises(ArgumentError, match=f"must be a new file, but .*{changed} is there"):
        export(studied, tmp_path / name)
    assert file.read_bytes() == mine
    export(studied, tmp_path / name, force=True)
    assert file.read_bytes() != mine


@pytest.mark.parametrize("suffix", [".py", ".c", ".pt2", ".safetensors", ".onnx"])
def test_a_name_that_is_no_utf8_is_refused(studied, tmp_path: Path, suffix: str) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9seau" + suffix.encode())
    with pytest.raises(ArgumentError, match=r"`path` must have a name in UTF-8, but got .*udce9"):
        export(studied, path)
    assert not list(tmp_path.iterdir())


def test_weights_beside_a_source_are_not_replaced(studied, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(ArgumentError, match=r"new file, but .*net\.safetensors is there"):
        export(studied, tmp_path / "net.py")
    assert not (tmp_path / "net.py").exists()


def test_a_link_is_not_written_through(studied, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="is there"):
        export(studied, tmp_path / "net.safetensors")
    export(studied, tmp_path / "net.safetensors", force=True)
    assert not (tmp_path / "nowhere").exists()


# The commands ------------------------------------------------------------------------------------


def _run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments), prog_name="lightsearch")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_command_takes_a_row_from_its_study_or_trains_it(studied, tmp_path: Path) -> None:
    said = _run("export", str(tmp_path / "net.py"), "--leaderboard", str(studied.folder)).stdout
    assert "kept by the study, trial" in said and "360 have PyTorch's class" in said
    shutil.copy(studied.folder / "leaderboard.csv", tmp_path)
    said = _run(
        "export",
        str(tmp_path / "net.safetensors"),
        "--row",
        "2",
        "--leaderboard",
        str(tmp_path / "leaderboard.csv"),
        "--fold",
    ).stdout
    assert said.startswith("its study is not here: the row is trained again")
    assert "with the accuracy of the row" in said
    told = json.loads(
        _run(
            "export",
            str(tmp_path / "net.safetensors"),
            "--json",
            "--leaderboard",
            str(studied.folder),
        ).stdout
    )
    assert told["accuracy"] == told["correct"] / 360


def test_the_command_takes_what_train_saved(tmp_path: Path) -> None:
    saved = tmp_path / "best.safetensors"
    printed = _run(
        "train",
        "conv(6) maxpool gap linear(10)",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--save",
        str(saved),
    ).stdout
    said = _said(saved)
    (tmp_path / "mine.safetensors").write_text("mine")
    line = ["train", "conv(6) gap linear(10)", "--dataset", "digits", "--epochs", "1", "--save"]
    told = _run(*line, str(tmp_path / "mine.safetensors"), code=2).stderr
    assert "`save` must be a new file, but" in told and "--force" in told
    _run(*line, str(tmp_path / "mine.safetensors"), "--force")
    assert _said(tmp_path / "mine.safetensors")["design"] == "conv(6) gap linear(10)"
    assert "epoch 1 of 1, the last one trained" in said["protocol"]
    assert said["protocol"].split("%")[0] in printed
    _run("export", str(tmp_path / "net.py"), "--weights", str(saved))
    assert (tmp_path / "net.py").exists()
    assert (
        "must not be given with --row"
        in _run("export", "x.py", "--weights", str(saved), "--row", "1", code=2).stderr
    )


def test_what_was_selected_on_held_out_images_is_judged_by_them(tmp_path: Path) -> None:
    asked = arguments(
        study=tmp_path / "s",
        space=SPACE,
        trials=1,
        epochs=2,
        target=0.1,
        select_on="val",
        val_size=300,
        slots=[InlineSlot()],
    )
    for _ in run(resolve(SearchSettings(**asked))):
        pass
    found = load_result(tmp_path / "s")
    made = export(found, tmp_path / "net.safetensors")
    assert made.total == 300
    assert made.accuracy == found.leaderboard["best_accuracy"].iloc[0]
    assert "of 300 held-out images" in made.metadata["protocol"]
    assert "of 300 held-out images by the file itself" in str(made)
