"""The way of docs/colour_images.md, start to end, on made-up images in the files of CIFAR-10."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from lightsearch import Budget, cost, decode, default_space, search, survey
from lightsearch.data.image_files import open_dataset
from lightsearch.design.decoding import chooser
from lightsearch.errors import DesignError

SHAPE = (3, 32, 32)


def _write(path: Path, values: dict[str, Any]) -> str:
    """Write a pickled file, and return its MD5 sum, which torchvision looks at."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(values))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten classes of a colour each: five files of 40 images to train on, one of 20 to test on."""
    random, sums = np.random.default_rng(0), {}
    colours = random.integers(0, 200, (10, 3))
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        labels = np.arange(20 if name == "test_batch" else 40) % 10
        pixels = colours[labels][:, :, None] + random.integers(0, 50, (len(labels), 3, 1024))
        values = {"data": pixels.reshape(len(labels), -1).astype(np.uint8), "labels": list(labels)}
        sums[name] = _write(tmp_path / "cifar-10-batches-py" / name, values)
    words = {"label_names": "plane car bird cat deer dog frog horse ship truck".split()}
    kind = datasets.CIFAR10
    meta = _write(tmp_path / "cifar-10-batches-py" / "batches.meta", words)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta})
    for part in ("train_list", "test_list"):
        names = [name for name in sums if (name == "test_batch") == (part == "test_list")]
        monkeypatch.setattr(kind, part, [[name, sums[name]] for name in names])
    return tmp_path


def test_colour_images_from_their_files_to_a_script(cifar: Path, tmp_path: Path) -> None:
    result = search(
        dataset="cifar10",
        data=cifar,
        budget=200_000,
        space="conv(8,s=2) separable(16|24) maxpool separable(16|24) gap linear(10)",
        epochs=3,
        target=0.1,
        recipe="recipe(lr=0.1,batch=20,shift=0.1,erasing=0.5,ema=0.9)",
        trials=1,
        workers=1,
        study=tmp_path / "colour",
        quiet=True,
    )
    row = result.leaderboard.loc[1]
    assert row["dataset"] == "cifar10-32" and result.images == (SHAPE, 10)
    result.report(1)
    module = ModuleType("script")
    text = (result.folder / "train_design_0.py").read_text()
    exec(compile(text, "script", "exec"), module.__dict__)
    module.DATA = str(cifar)
    ours, theirs = open_dataset("cifar10", cifar), module.load_images(train=False)
    assert torch.equal(ours.test[0], theirs[0].cpu()) and torch.equal(
        ours.test[1], theirs[1].cpu()
    )
    assert module.CLASSES[3] == "cat"
    train_data, test_data = module.load_images(train=True), theirs
    final, history = module.fit(
        module.Net(), train_data, test_data, module.measure_pixels(train_data[0])
    )
    assert len(history["test_accuracy"]) == 3
    predictions = module.predict(final, test_data[0], module.measure_pixels(train_data[0])).argmax(
        1
    )
    module.plot_confusion(predictions, test_data[1])
    module.plot_mistakes(test_data[0], predictions, test_data[1])


@pytest.mark.slow
def test_the_default_space_fits_the_task() -> None:
    budget = Budget(params=200_000)
    space = default_space(SHAPE, 10, budget)
    said = survey(space, SHAPE, 10, budget)
    assert said.smallest_params < 200_000 and not said.falls_short
    fields = []
    for seed in range(60):
        with contextlib.suppress(DesignError):  # a design may not fit the image
            design = decode(space, chooser(Random(seed)))
            fields.append(cost(design, SHAPE, 10).receptive_field)
    assert sum(field > 44 for field in fields) > 0.7 * len(fields) > 30
