"""Training scripts and notebooks: what they compute is what the library does, without it."""

from __future__ import annotations

import bz2
import dataclasses
import itertools
import json
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from idx_files import idx, write_mnist
from PIL import Image
from random_designs import plain, uneven_local
from torch import Tensor

from lightsearch import Recipe, Task, cost, load, make_dataset, parse, parse_recipe
from lightsearch.data.dataset import DataSet
from lightsearch.data.image_files import torchvision_dataset
from lightsearch.data.references import lend, save
from lightsearch.design.fields import real, specs
from lightsearch.engines.initial_weights import initial_weights
from lightsearch.errors import ArgumentError
from lightsearch.randomness import indexed_keys, key, permutation, uniform
from lightsearch.standalone import Job, notebook_text, script_text
from lightsearch.training.epoch import run_epoch, take_evaluated

DESIGN = "conv(4) maxpool residual([separable(4)]) gate gap linear(3)"
RECIPES = (
    "recipe(lr=0.2,rotation=7,shift=0.05,ema=0.998,batch=16)",
    "recipe(lr=0.1,shear=8,scale=0.2,rotation=20,schedule=step,step=1,gamma=0.3,batch=16)",
    "recipe(adam,lr=0.01,cosine,warmup=0.3,scale=0.1,erasing=0.6,smoothing=0.1,batch=16)",
    "recipe(adamw,lr=0.01,plateau,patience=0,gamma=0.4,decay=0.1,brightness=0.3,batch=7)",
    "recipe(momentum=0,constant,contrast=0.3,shear=5,ema=0.9,batch=16)",
    "recipe(momentum=0.5,onecycle,div=4,final_div=10,warmup=0,shift=0.2,erasing=0.3,batch=16)",
    "recipe(plateau,gamma=1,batch=16,ema=0.95)",
    "recipe(flip=0.5,batch=16)",
    "recipe(adamw,lr=0.01,decay=0.5,decay_on=weights,rotation=9,ema=0.9,clean=0.5,batch=16)",
    "recipe(flip=0.5,rotation=9,erasing=0.5,fill=mean,batch=16)",
    "recipe(flip=0.3,brightness=0.2,erasing=0.7,fill=own,batch=16)",
    "recipe(warmup=0.16666666666666666,batch=16)",  # of six steps: one
)
SETS = {
    "mnist": ((1, 28, 28), 10),
    "qmnist": ((1, 28, 28), 10),
    "qmnist-test50k": ((1, 28, 28), 10),
    "emnist-letters": ((1, 28, 28), 26),
    "emnist-balanced": ((1, 28, 28), 47),
    "digits": ((1, 8, 8), 10),
    "kmnist": ((1, 28, 28), 10),
    "fashion-mnist": ((1, 28, 28), 10),
    "cifar10-32": ((3, 32, 32), 10),
    "cifar10-24-gray": ((1, 24, 24), 10),
    "svhn-32": ((3, 32, 32), 10),
    "stl10-48": ((3, 48, 48), 10),
    "semeion-16": ((3, 16, 16), 10),
    "imagenette-32": ((3, 32, 32), 10),
    "dtd-32": ((3, 32, 32), 47),
    "my own": ((3, 20, 24), 4),
}
BLOCKED = """
import runpy, sys
class Blocked:
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "lightsearch":
            raise ImportError("a script must not need lightsearch")
sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _job(recipe: str, name: str = "my own", **more: Any) -> Job:
    shape, classes = SETS[name]
    given = {
        "design": parse(f"conv(8) gap linear({classes})"),
        "recipe": parse_recipe(recipe),
        "epochs": 2,
        "seed": 5,
        "dataset": name,
        "shape": shape,
        "classes": classes,
        "images": 256,
        **more,
    }
    return Job(**given)


def _module(job: Job) -> ModuleType:
    module = ModuleType("script")
    exec(compile(script_text(job), "script", "exec"), module.__dict__)
    return module


# The same training ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images() -> DataSet:
    """33 images to train on, wider than high: with batches of 16, the last would have one."""
    random = np.random.default_rng(0)
    labels = np.arange(33) % 3
    pixels = random.integers(0, 120, (33, 2 + 1, 10, 12)) + 50 * labels[:, None, None, None]
    pixels = pixels.astype(np.uint8)
    return make_dataset((pixels, labels), (pixels[::2], labels[::2]), name="striped")


def _draws(job: Job) -> Iterator[Tensor]:
    """What the library draws to augment, in the order in which a script asks for it."""
    recipe, sizes = job.recipe, _sizes(job)
    affine = (recipe.rotation, recipe.shear, recipe.scale, recipe.shift, recipe.shift)
    for epoch in range(1, job.epochs + 1 - recipe.count_clean(job.epochs)):
        streams = indexed_keys(len(sizes), job.seed, "augment", epoch)
        for count, stream in zip(sizes, streams, strict=True):
            if recipe.flip:
                yield uniform(key(stream, "flip"), count)
            rows = uniform(key(stream, "affine"), 5, count)
            yield from (row for row, strength in zip(rows, affine, strict=True) if strength)
            for purpose in ("brightness", "contrast"):
                if getattr(recipe, purpose):
                    yield uniform(key(stream, purpose), count)
            if recipe.erasing:
                yield uniform(key(stream, "erasing"), 5, count, 1)


def _sizes(job: Job) -> list[int]:
    whole, rest = divmod(job.images, job.recipe.batch_size)
    sizes = [job.recipe.batch_size] * whole
    if rest == 1:
        return [*sizes[:-1], sizes[-1] + 1]
    return [*sizes, rest] if rest else sizes


@pytest.mark.parametrize("recipe", RECIPES)
def test_with_the_same_random_numbers_a_script_trains_to_the_same_weights(
    recipe: str, images: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(
        parse(DESIGN), parse_recipe(recipe), 3, 5, "striped", images.shape, 3, len(images.train[1])
    )
    task = Task(job.design, job.recipe, lend(images), job.epochs, job.seed, "torch")
    state, results = None, []
    for epoch in range(1, job.epochs + 1):
        state, result = run_epoch(task, state, epoch)
        results.append(result)

    module = _module(job)
    net = module.Net()
    net.load_state_dict(initial_weights(job.design, job.shape, job.seed))
    counting = [0] if job.recipe.schedule in ("onecycle", "cosine") else []  # of the steps
    orders = iter([*counting, *range(1, job.epochs + 1)])
    draws = deque(_draws(job))
    monkeypatch.setattr(
        torch,
        "randperm",
        lambda count, device: permutation(key(job.seed, "shuffle", next(orders)), count),
    )
    monkeypatch.setattr(torch, "rand", lambda *shape, device: draws.popleft().view(shape))
    normalise = module.measure_pixels(images.train[0])
    final, history = module.fit(net, images.train, images.test, normalise)
    assert not draws and next(orders, None) is None
    assert history["train_accuracy"] == [r.train_correct / r.train_total for r in results]
    assert history["train_loss"] == pytest.approx([r.train_loss for r in results], rel=1e-4)
    assert history["test_accuracy"] == [r.accuracy for r in results]
    expected = take_evaluated(state)
    torch.testing.assert_close(dict(final.state_dict()), expected, rtol=1e-3, atol=1e-4)


# Every option -----------------------------------------------------------------------------------

OTHER = {  # for each field, a recipe that reads it, and another value
    "optimizer": ("recipe()", "adam"),
    "schedule": ("recipe()", "cosine"),
    "step_size": ("recipe(step)", 3),
    "gamma": ("recipe(step)", 0.3),
    "patience": ("recipe(plateau)", 5),
    "batch_size": ("recipe()", 64),
    "fill": ("recipe(erasing=0.5)", "mean"),
    "clean": ("recipe(rotation=5)", 0.5),
    "decay_on": ("recipe(decay=0.1)", "weights"),
}


OURS = [
    spec
    for spec in specs(Recipe)
    if spec.name not in ("loss", "augmentation", "distill", "temperature")
]


@pytest.mark.parametrize("spec", OURS, ids=lambda spec: spec.name)
def test_every_option_of_a_recipe_is_in_the_script(spec: Any) -> None:
    base, value = OTHER.get(spec.name, ("recipe()", 3.25 if spec.name in ("lr",) else None))
    if value is None:
        high = min(spec.high, 40.0)
        value = 2.75 if high > 3 else 0.375
    recipe = dataclasses.replace(parse_recipe(base), **{spec.name: value})
    assert getattr(recipe, spec.name) == value
    one, other = (script_text(_job(str(r))) for r in (base, recipe))
    assert one != other
    words = {
        "adam": "torch.optim.Adam(",
        "cosine": "LambdaLR",
        "mean": "normalise.mean",
        "weights": "if one.ndim > 1",
        "0.5": "CLEAN_EPOCHS = 1 ",  # of two
    }
    assert words.get(str(value), str(value)) in other


@dataclass(frozen=True, slots=True, repr=False)
class Sharper(Recipe):
    sharpness: float = real(0.0, high=1.0)


def test_an_option_that_no_script_can_have_is_named() -> None:
    job = dataclasses.replace(_job("recipe()"), recipe=Sharper())  # its default changes nothing
    with pytest.raises(ArgumentError, match=r"a recipe without sharpness=0\.5"):
        dataclasses.replace(job, recipe=Sharper(sharpness=0.5))


@pytest.mark.parametrize("make", [plain, uneven_local])
@pytest.mark.parametrize("seed", range(20))
def test_receptive_fields_are_those_of_the_cost(
    make: Any, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    design, shape = make(Random(seed))
    spent = cost(design, shape)
    if spent.shape[1:] != (1, 1):
        design = parse(f"{design} gap")
        spent = cost(design, shape)
    job = Job(design, Recipe(), 1, 0, "own", shape, spent.shape[0], 100)
    _module(job).print_receptive_fields()
    *_, jump, field = capsys.readouterr().out.split()
    assert int(field) == spent.receptive_field
    assert int(jump) in {span.stride for span in spent.spans}


def test_scripts_are_as_ruff_leaves_them(tmp_path: Path) -> None:
    count = itertools.count()
    for name in SETS:
        for recipe in (RECIPES[0], RECIPES[1 + next(count) % (len(RECIPES) - 1)]):
            text = script_text(_job(recipe, name, images=257, note="A note.\n\nRecipe: none"))
            (tmp_path / f"train_{next(count)}.py").write_text(text)
    assert len(list(tmp_path.iterdir())) == 2 * len(SETS)
    for line in (["format", "--check"], ["check", "--select", "E4,E7,E9,F,I,B,UP,RUF"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *line, "--isolated", str(tmp_path)],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout + run.stderr


# The same images --------------------------------------------------------------------------------


def _loaded(job: Job, folder: Path) -> DataSet:
    module = _module(job)
    module.DATA = str(folder)
    return DataSet("x", module.load_images(True), module.load_images(False), job.classes)


def _same(one: DataSet, other: DataSet) -> None:
    for part in ("train", "test"):
        for mine, theirs in zip(getattr(one, part), getattr(other, part), strict=True):
            assert torch.equal(mine.long(), theirs.long())


def _letters(count: int) -> tuple[Any, Any]:
    random = np.random.default_rng(count)
    return random.integers(0, 256, (count, 28, 28)), 1 + np.arange(count) % 26


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "emnist-letters", "digits"])
def test_a_script_reads_the_images_that_the_library_reads(name: str, tmp_path: Path) -> None:
    if name == "emnist-letters":
        raw = tmp_path / "EMNIST" / "raw"
        for part, (pixels, labels) in {"train": _letters(52), "test": _letters(26)}.items():
            idx(raw / f"emnist-letters-{part}-images-idx3-ubyte", pixels)
            idx(raw / f"emnist-letters-{part}-labels-idx1-ubyte", labels)
    elif name != "digits":
        place = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[name]
        parts = ((p, y % 10) for p, y in (_letters(40), _letters(20)))
        write_mnist(tmp_path / place / "raw", *parts)
    theirs = load(name, tmp_path) if name != "digits" else load(name)
    _same(_loaded(_job("recipe()", name), tmp_path), theirs)
    pixels, mean_std = theirs.train[0], theirs.mean_std
    normalise = _module(_job("recipe()", name)).measure_pixels(pixels)
    torch.testing.assert_close(normalise.mean, mean_std[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(normalise.std, mean_std[1], rtol=1e-4, atol=1e-5)


def _undownloaded(job: Job) -> ModuleType:
    """A script that looks for its images here alone."""
    module = ModuleType("script")
    text = script_text(job).replace("download=True", "download=False")
    exec(compile(text, "script", "exec"), module.__dict__)
    return module


def test_sets_with_two_parts_and_with_one_are_read_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("Forest", "River"):
        for number in range(10):
            path = tmp_path / "eurosat" / "2750" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    for name, count in (("usps.bz2", 30), ("usps.t.bz2", 20)):
        rows = (
            f"{1 + n % 10} "
            + " ".join(f"{k + 1}:{(n * k % 200) / 100 - 1:.2f}" for k in range(256))
            for n in range(count)
        )
        (tmp_path / name).write_bytes(bz2.compress("\n".join(rows).encode()))
    for name, size, gray in (("EuroSAT", 12, False), ("USPS", 16, True)):
        theirs = torchvision_dataset(name, tmp_path, size=size, gray=gray, download=False)
        job = _job("recipe()", "my own", shape=theirs.shape, classes=theirs.classes)
        design = parse(f"gap linear({theirs.classes})")
        module = _undownloaded(dataclasses.replace(job, dataset=theirs.name, design=design))
        module.DATA = str(tmp_path)
        mine = (module.load_images(True), module.load_images(False))
        _same(DataSet("x", *mine, theirs.classes), theirs)


def test_images_of_ones_own_are_read_from_their_file(images: DataSet, tmp_path: Path) -> None:
    save(images, tmp_path / "data.safetensors")
    job = _job("recipe()", classes=3, design=parse("gap linear(3)"), shape=images.shape)
    _same(_loaded(job, tmp_path / "data.safetensors"), images)


# It runs ----------------------------------------------------------------------------------------


def test_a_script_runs_where_there_is_no_lightsearch(tmp_path: Path) -> None:
    design = parse("conv(8) maxpool conv(12) gap linear(10)")
    job = _job("recipe(lr=0.3,rotation=7,ema=0.9,batch=64)", "digits", design=design, images=1437)
    path = tmp_path / "train_net.py"
    path.write_text(script_text(job))
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"Total params: {cost(design, (1, 8, 8)).params:,}" in done.stdout  # torchinfo's
    log = r"EPOCH: 2\n\nTest set: Average loss: \d\.\d{4}, Accuracy: (\d+)/360 \((\S+)%\)\n"
    right, share = re.search(log, done.stdout).groups()
    assert 100 * int(right) / 360 == pytest.approx(float(share), abs=0.006)
    assert int(right) > 180  # chance is 36
    assert f"Last test accuracy: {share}%" in done.stdout
    assert re.search(r"Loss=\d\.\d{4} Batch_id=22 Accuracy=\d+\.\d\d: 100%", done.stderr)
    pictures = sorted(p.name for p in (tmp_path / "train_net").iterdir())
    assert pictures == ["confusion.png", "curves.png", "mistakes.png"]
    assert str(tmp_path / "train_net") in done.stdout


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("--epochs=3", 2)])
def test_a_script_says_that_it_takes_no_arguments(
    argument: str, code: int, tmp_path: Path
) -> None:
    path = tmp_path / "train_net.py"
    path.write_text(script_text(_job(RECIPES[0], "digits", note="A note: 99% of 360 images.")))
    done = subprocess.run(
        [sys.executable, path, argument], capture_output=True, text=True, cwd=tmp_path
    )
    said = done.stdout if code == 0 else done.stderr
    assert done.returncode == code and said.startswith("usage: train_net.py [-h]\n")
    assert ("A note: 99% of 360 images." in said) == (code == 0)
    assert not (tmp_path / "train_net").exists()  # nothing was trained


def test_a_notebook_has_the_parts_of_the_script() -> None:
    job = _job(RECIPES[2], "mnist", note="A note.", story="## Target\n\n- 99.4%")
    book = json.loads(notebook_text(job))
    code = "\n\n\n".join(c["source"] for c in book["cells"] if c["cell_type"] == "code")
    for part in re.findall(r"^(?:def|class) (\w+)", script_text(job), re.MULTILINE):
        assert part == "main" or f" {part}(" in code
    assert "99.4%" in book["cells"][0]["source"] and "A note." in book["cells"][0]["source"]
    assert 'torch.device("cuda" if torch.cuda.is_available() else "cpu")' in code
    assert "lightsearch" not in code and book["metadata"]["accelerator"] == "GPU"


@pytest.mark.needs("nbformat")
@pytest.mark.parametrize("name", SETS)
def test_notebooks_are_valid(name: str) -> None:
    import nbformat

    nbformat.validate(nbformat.reads(notebook_text(_job(RECIPES[0], name)), 4))


@pytest.mark.slow
@pytest.mark.needs("ipykernel", "nbclient", "nbformat")
def test_a_notebook_runs_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", "")
    job = _job("recipe(lr=0.3,shift=0.05,ema=0.9,batch=64)", "digits", images=1437)
    book = nbformat.reads(notebook_text(job), 4)
    nbclient.NotebookClient(
        book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
    assert sum("image/png" in out.get("data", {}) for out in outputs) == 3
    text = "".join(out.get("text", "") for out in outputs)
    assert "Total params: " in text and "Best test accuracy: " in text and "100%" in text
    assert not [out for out in outputs if "Warning" in out.get("text", "")]
