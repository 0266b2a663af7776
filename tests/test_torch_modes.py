"""PyTorch's modes in the caller's process reach nothing, and are left as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lightsearch as ls
from lightsearch.data import named, references
from lightsearch.torch_modes import plain_modes


@contextlib.contextmanager
def _default(setter: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(before)


MODES: dict[str, Callable[[], Any]] = {
    "float64": lambda: _default(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: _default(torch.set_default_dtype, torch.float16, torch.float32),
    "device": lambda: _default(torch.set_default_device, "meta", None),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "deterministic": lambda: _default(torch.use_deterministic_algorithms, True, False),
}


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = ls.search(
        900, 1, target=0.05, dataset="digits", trials=1, workers=1, quiet=True,
        study=tmp_path_factory.mktemp("modes") / "study",
    )  # fmt: skip
    return found.leaderboard.loc[1]


def _results(row: Any, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    named._load.cache_clear()
    references._fetch.cache_clear()
    digits = ls.load("digits")
    Image.fromarray(digits.test[0][0, 0].numpy()).save(folder / "digit.png")
    found: dict[str, Any] = {"images": [value.tolist() for value in digits.mean_std]}
    labels = np.arange(40) % 2
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype("uint8")
    pair = (torch.from_numpy(images), labels.tolist())
    found["own"] = ls.make_dataset(pair, (images, labels)).checksum
    for engine in ("torch", "native"):
        task = dataclasses.replace(ls.rebuild(row), engine=engine)
        found[engine] = [(e.train_loss, e.correct, e.raw_correct) for e in ls.train(task)]
    for name in ("net.safetensors", "net.py", "net.pt2"):
        found[name] = ls.export(row, folder / name).correct
    for name in ("net.safetensors", "net.pt2"):
        found[f"predict {name}"] = ls.predict(folder / name, folder / "digit.png")[0].probabilities
    found["summary"] = ls.summary(ls.parse(row["design"]), (1, 8, 8))
    result = ls.search(
        900, 1, target=0.05, dataset="digits", trials=1, workers=1, quiet=True, select_on="val",
        study=folder / "study",
    )  # fmt: skip
    found["held out"] = [(e.train_loss, e.correct) for e in result.records[0].epochs]
    return found


@pytest.fixture(scope="module")
def expected(row: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _results(row, tmp_path_factory.mktemp("plain") / "here")


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_mode_reaches_nothing(
    row: Any, expected: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    def modes() -> tuple[Any, ...]:
        return (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.are_deterministic_algorithms_enabled(),
        )

    with MODES[mode]():
        before = modes()
        found = _results(row, tmp_path / "here")
        assert modes() == before
    for name, value in expected.items():
        assert found[name] == value, name


def test_threads_share_the_modes_of_the_process() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with plain_modes():
            inside.set()
            leave.wait(60)

    with _default(torch.set_default_dtype, torch.float64, torch.float32):
        thread = threading.Thread(target=hold)
        thread.start()
        assert inside.wait(60)
        with plain_modes():
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float32  # the other is inside
        leave.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64
