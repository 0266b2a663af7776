"""Classes of image files, whatever form the images come in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.nn import functional

from lightsearch import DataSet, folder_dataset, make_dataset, parse, parse_recipe, run_epoch
from lightsearch.cli import main
from lightsearch.data.named import load
from lightsearch.data.references import lend
from lightsearch.errors import ArgumentError, DataError, ExportError
from lightsearch.exporting.predicting import predict
from lightsearch.exporting.reading import _check_metadata, open_net
from lightsearch.exporting.trained import net_of_training
from lightsearch.exporting.writing import write_weights
from lightsearch.training.task import Task

RECIPE = parse_recipe("recipe(lr=0.2,batch=64,ema=0.9)")


def _net(data: DataSet, path: Path, epochs: int = 2) -> Path:
    """A network of a few epochs."""
    task = Task(
        parse(f"conv(8) maxpool conv(12) gap linear({data.classes})"),
        RECIPE,
        lend(data),
        epochs,
        seed=0,
    )
    state, results = None, []
    for epoch in range(1, epochs + 1):
        state, result = run_epoch(task, state, epoch)
        results.append(result)
    write_weights(net_of_training(task, results, state), path)
    return path


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for the digits, which are white on black."""
    return _net(load("digits"), tmp_path_factory.mktemp("net") / "net.safetensors", epochs=8)


def _digits() -> np.ndarray:
    return load("digits").test[0][:12, 0].numpy()


def _by_hand(net: Path) -> torch.Tensor:
    data, opened = load("digits"), open_net(net)
    mean, std = data.mean_std
    scores = opened.scores((data.test[0][:12].float() / 255 - mean) / std)
    return torch.softmax(scores, 1)


def test_a_file_of_the_networks_own_form_is_taken_as_it_is(net: Path, tmp_path: Path) -> None:
    for index, pixels in enumerate(_digits()):
        Image.fromarray(pixels).save(tmp_path / f"{index:02}.png")
    (tmp_path / "notes.txt").write_text("no image")
    found = predict(net, tmp_path)
    assert [one.path.name for one in found] == [f"{index:02}.png" for index in range(12)]
    probabilities = torch.tensor([one.probabilities for one in found])
    torch.testing.assert_close(probabilities, _by_hand(net), atol=1e-5, rtol=1e-5)
    assert [one.label for one in found] == _by_hand(net).argmax(1).tolist()
    assert len({one.label for one in found}) > 3
    assert found[0].probability == max(found[0].probabilities)
    assert predict(net, tmp_path / "03.png") == [found[3]]


def _upright(image: Image.Image) -> Image.Image:
    return image


def _on_paper(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image))


def _see_through(image: Image.Image) -> Image.Image:
    """Black ink on nothing."""
    ink = np.asarray(image)
    return Image.fromarray(np.stack([0 * ink, 0 * ink, 0 * ink, ink], axis=-1), "RGBA")


def _in_16_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)


def _large(image: Image.Image) -> Image.Image:
    return image.resize((64, 64), Image.Resampling.NEAREST)


def _in_colours(image: Image.Image) -> Image.Image:
    return image.convert("RGB") if image.getpixel((3, 3)) else image.convert("P")


@pytest.mark.parametrize(
    ("form", "inverted"),
    [
        (_upright, False),
        (_on_paper, True),
        (_see_through, True),
        (_in_16_bits, False),
        (_in_colours, False),
        (_large, False),
    ],
)
def test_other_forms_of_the_same_image(form, inverted, net, tmp_path: Path) -> None:
    known = _by_hand(net)
    for index, pixels in enumerate(_digits()):
        form(Image.fromarray(pixels)).save(tmp_path / "one.png")
        (one,) = predict(net, tmp_path / "one.png")
        assert one.inverted is inverted
        torch.testing.assert_close(
            torch.tensor(one.probabilities), known[index], atol=1e-5, rtol=1e-5
        )


def test_a_small_image_is_enlarged_smoothly(net: Path, tmp_path: Path) -> None:
    small = Image.fromarray(_digits()[2]).resize((4, 4), Image.Resampling.BOX)
    small.save(tmp_path / "small.png")
    pixels = torch.from_numpy(np.asarray(small).copy())[None, None].float()
    larger = functional.interpolate(pixels, size=(8, 8), mode="bilinear").round() / 255
    opened = open_net(net)
    scores = torch.softmax(opened.scores(opened.normalise(larger)), 1)[0]
    (one,) = predict(net, tmp_path)
    torch.testing.assert_close(torch.tensor(one.probabilities), scores, atol=0.02, rtol=0)


def test_inverting_can_be_decided(net: Path, tmp_path: Path) -> None:
    Image.fromarray(255 - _digits()[0]).save(tmp_path / "one.png")
    (auto,), (yes,), (no,) = (predict(net, tmp_path, invert=flag) for flag in (None, True, False))
    assert auto == yes and auto.inverted and not no.inverted
    assert no.probabilities != yes.probabilities


def test_a_narrow_image_is_padded_in_the_colour_of_its_border(net: Path, tmp_path: Path) -> None:
    digit = np.full((8, 4), 9, dtype=np.uint8)
    digit[2:6, 1:3] = 240
    Image.fromarray(digit).save(tmp_path / "narrow.png")
    Image.fromarray(np.pad(digit, ((0, 0), (2, 2)), constant_values=9)).save(
        tmp_path / "square.png"
    )
    narrow, square = predict(net, tmp_path)
    assert narrow.probabilities == square.probabilities and not narrow.inverted


def test_colours_and_the_turn_of_a_camera(tmp_path: Path) -> None:
    """Three classes, of the channel that is bright on the left."""
    labels = torch.arange(96) % 3
    images = torch.zeros(96, 3, 12, 9, dtype=torch.uint8)
    for index, label in enumerate(labels):
        images[index, label, :, :3] = 155 + index
    net = _net(make_dataset((images, labels), (images, labels)), tmp_path / "net.safetensors")
    pixels = images[90].movedim(0, -1).numpy()
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it to the right
    Image.fromarray(np.rot90(pixels, 1).copy()).save(tmp_path / "turned.png", exif=exif)
    plain, turned = predict(net, tmp_path / "plain.png"), predict(net, tmp_path / "turned.png")
    assert plain[0].probabilities == turned[0].probabilities
    wide = np.pad(pixels, ((0, 0), (5, 5), (0, 0)), constant_values=77)
    Image.fromarray(wide).save(tmp_path / "wide.png")  # cut: it is no sign on a plain ground
    assert predict(net, tmp_path / "wide.png")[0].probabilities == plain[0].probabilities
    assert not plain[0].inverted and len(plain[0].probabilities) == 3


def test_what_is_no_image(net: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"an image must be readable, but .*text\.png is not"):
        predict(net, tmp_path / "text.png")
    with pytest.raises(ArgumentError, match=r"a folder with images .* has none"):
        predict(net, tmp_path / "empty")
    with pytest.raises(ArgumentError, match="`images` must be an image or a folder of images"):
        predict(net, tmp_path / "none.png")


def test_the_command(net: Path, tmp_path: Path) -> None:
    Image.fromarray(255 - _digits()[0]).save(tmp_path / "digit.png")
    label = int(_by_hand(net)[0].argmax())
    result = CliRunner().invoke(main, ["predict", str(net), str(tmp_path / "digit.png")])
    assert result.exit_code == 0
    heads, line = result.stdout.splitlines()
    assert heads.split() == ["image", "class", "probability"]
    assert line.split()[1] == str(label) and line.endswith("inverted")
    result = CliRunner().invoke(
        main, ["predict", str(net), str(tmp_path), "--no-invert", "--json"]
    )
    (told,) = json.loads(result.stdout)
    assert told["inverted"] is False and sum(told["probabilities"]) == pytest.approx(1)
    result = CliRunner().invoke(main, ["predict", str(net), "none.png"])
    assert result.exit_code == 2 and "`images` must be" in result.stderr


def _bright(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image) // 4)


@pytest.mark.parametrize("form", [_upright, _see_through, _in_16_bits, _in_colours, _bright])
def test_files_that_a_network_was_trained_on_are_seen_as_in_training(form, tmp_path: Path) -> None:
    """Folders of one's own: also where one class is bright at its border and the other dark."""
    for index, pixels in enumerate(_digits()):
        path = tmp_path / "images" / "ab"[index % 2] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        (form(image) if index % 2 else image).save(path)
    shutil.copytree(tmp_path / "images", tmp_path / "data" / "train")
    shutil.copytree(tmp_path / "images", tmp_path / "data" / "test")
    data = folder_dataset(tmp_path / "data", size=8, gray=True)
    opened = open_net(_net(data, tmp_path / "net.safetensors"))
    mean, std = data.mean_std
    scores = opened.scores((data.test[0].float() / 255 - mean) / std)
    found = predict(tmp_path / "net.safetensors", tmp_path / "images")
    assert not any(one.inverted for one in found)
    probabilities = torch.tensor([one.probabilities for one in found])
    torch.testing.assert_close(probabilities, torch.softmax(scores, 1), atol=1e-5, rtol=1e-5)


def test_hidden_files_are_not_predicted(net: Path, tmp_path: Path) -> None:
    for name in ("a.PNG", "._a.png", ".thumbs/a.png", "__MACOSX/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(_digits()[0]).save(tmp_path / name, "PNG")
    assert [one.path.name for one in predict(net, tmp_path)] == ["a.PNG"]


def test_images_that_are_not_read_are_not_passed_over(net: Path, tmp_path: Path) -> None:
    for name in ("a.png", "of a phone.HEIC"):
        Image.fromarray(_digits()[0]).save(tmp_path / name, "PNG")
    with pytest.raises(
        DataError, match=r"must end in .* has 1 \.heic, the first is .*phone\.HEIC"
    ):
        predict(net, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("dataset", "a\x1b[2J"), ("input", "\x07"), ("\x9b", "")]
)
def test_metadata_of_any_format_have_no_control_characters(name: str, value: str) -> None:
    """Those of `.onnx` and `.pt2` are checked by the same function as of `.safetensors`."""
    with pytest.raises(ExportError, match=r"the metadata of net\.onnx must have no control"):
        _check_metadata(Path("net.onnx"), {name: value})
