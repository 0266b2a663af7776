"""Images that are wider than high, from their files to every export: judged by PIL and PyTorch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor, nn
from torchinfo import summary

from lightsearch import SearchResult, build, cost, export, load_result, parse, predict
from lightsearch.cli import main
from lightsearch.exporting.c.compiling import find_compiler
from lightsearch.exporting.scripts import export_script

SIZE = (12, 16)
SPACE = "conv(4|5) maxpool residual([separable(4)],project) gate gap linear(3)"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of 24x40 pixels: three classes by which third is bright."""
    root, random = tmp_path_factory.mktemp("images") / "signs", np.random.default_rng(0)
    for label, name in enumerate(("elm", "oak", "pine")):
        (root / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(0, 90, (24, 40, 3), dtype=np.uint8)
            pixels[:, 4 + 11 * label : 15 + 11 * label] += 140
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def studied(images: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A study by the command line."""
    folder = tmp_path_factory.mktemp("studies") / "wide"
    line = "search --size 12x16 --budget 500 --epochs 6 --target 0.2 --trials 2 --workers 1"
    more = ["--quiet", "--space", SPACE, "--recipe", "recipe(lr=0.1,batch=16,ema=0.9)"]
    more += ["--dataset", str(images), "--study", str(folder)]
    said = CliRunner().invoke(main, [*line.split(), *more])
    assert said.exit_code == 0, said.output
    return load_result(folder)


def _read(path: Path) -> Tensor:
    height, width = SIZE
    with Image.open(path) as image:
        fitted = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(fitted).copy()).movedim(-1, 0)


def _truth(result: SearchResult, net: Path, pixels: Tensor) -> Tensor:
    """The scores by the built module, with the pixels normalised by hand."""
    train = load_file(result.folder / "data.safetensors")["train.images"].double() / 255
    mean, std = train.mean((0, 2, 3)), train.std((0, 2, 3), correction=0)
    module = build(parse(str(result.leaderboard.loc[1, "design"])), (3, *SIZE))
    module.load_state_dict(load_file(net))
    images = (pixels.double() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        scores: Tensor = module.eval()(images.float())
    return scores


def test_the_study_is_of_rectangles_that_pillow_cut(studied: SearchResult, images: Path) -> None:
    assert studied.identity.dataset == "signs-12x16"
    assert studied.images == ((3, 12, 16), 3)
    kept = load_file(studied.folder / "data.safetensors")
    known = {_read(path).numpy().tobytes() for path in images.rglob("*.png")}
    assert len(known) == 90
    found = torch.cat([kept["train.images"], kept["test.images"]])
    assert {one.numpy().tobytes() for one in found} == known


def test_rectangles_are_counted_as_torchinfo_does(studied: SearchResult) -> None:
    design = parse(str(studied.leaderboard.loc[1, "design"]))
    counted = summary(build(design, (3, *SIZE)), (1, 3, *SIZE), verbose=0)
    assert cost(design, (3, *SIZE)).params == counted.total_params
    conv = nn.Conv2d(3, 4, 3, padding=1)
    plain = summary(nn.Sequential(conv), (1, 3, *SIZE), verbose=0)
    assert cost(parse("conv(4,norm=none,act=none,bias)"), (3, *SIZE)).macs == (
        plain.total_mult_adds - 4 * 12 * 16  # torchinfo counts the bias as one more each
    )


@pytest.mark.parametrize(
    "name",
    [
        "net.py",
        "net.pt2",
        pytest.param("net.onnx", marks=pytest.mark.needs("onnx", "onnxruntime", "onnxscript")),
        pytest.param("net8.onnx", marks=pytest.mark.needs("onnx", "onnxruntime", "onnxscript")),
        "net.c",
        "net8.c",
    ],
)
def test_every_export_has_pytorchs_classes(
    name: str, studied: SearchResult, tmp_path: Path
) -> None:
    """`export` compares the scores; here it is the number of right images, by another way."""
    if name.endswith(".c") and find_compiler() is None:
        pytest.skip("needs a C compiler")
    net = export(studied, tmp_path / "net.safetensors").path
    kept = load_file(studied.folder / "data.safetensors")
    truth = _truth(studied, net, kept["test.images"]).argmax(1)
    written = export(studied, tmp_path / name, int8="8" in name)
    assert written.metadata["input"] == "3x12x16"
    if "8" not in name:
        assert written.correct == int((truth == kept["test.labels"]).sum())
    assert written.same >= (16 if "8" in name else 18) and written.total == 18
    if name == "net.c":
        header = (tmp_path / "net.h").read_text()
        assert "#define NET_HEIGHT 12\n" in header and "#define NET_WIDTH 16\n" in header


def test_files_are_classified_as_in_training(
    studied: SearchResult, images: Path, tmp_path: Path
) -> None:
    net = export(studied, tmp_path / "net.safetensors").path
    found = predict(net, images)
    pixels = torch.stack([_read(one.path) for one in found])
    truth = torch.softmax(_truth(studied, net, pixels).double(), 1)
    shares = torch.tensor([one.probabilities for one in found], dtype=torch.float64)
    torch.testing.assert_close(shares, truth, atol=1e-5, rtol=1e-5)


def test_a_training_script_loads_and_trains_on_rectangles(
    studied: SearchResult, tmp_path: Path
) -> None:
    path = export_script(studied, tmp_path / "train_net.py")
    module: Any = ModuleType("script")
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    module.DATA = str(tmp_path / "train_net-images.safetensors")
    data, tests = module.load_images(True), module.load_images(False)
    assert data[0].shape == (72, 3, 12, 16) and tests[0].shape == (18, 3, 12, 16)
    _, history = module.fit(module.Net(), data, tests, module.measure_pixels(data[0]))
    assert len(history["test_accuracy"]) == 6
