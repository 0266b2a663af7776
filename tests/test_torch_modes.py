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
from lightsearch.engines.teacher import check_fit
from lightsearch.exporting.c.sizes import count_bytes
from lightsearch.torch_modes import kept_generator, plain_modes


@contextlib.contextmanager
def _default(setter: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(before)


LEARN = "recipe(sgd,lr=0.1,batch=64,distill=0.5)"

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
    for source in (row, folder / "net.safetensors"):
        teacher = ls.find_teacher(source)
        found[f"teacher {type(source)}"] = teacher.checksum
    learned = dataclasses.replace(task, recipe=ls.parse_recipe(LEARN), teacher=teacher)
    found["learned"] = [(e.train_loss, e.correct) for e in ls.train(learned)]
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


# The caller's modules and generator --------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_mode_reaches_no_teacher_of_his_own(mode: str) -> None:
    """As its images are made, it is asked, and several are put together."""
    module = ls.build("conv(4) gap linear(10)", (1, 8, 8)).eval()
    expected = [ls.make_teacher(module).checksum, ls.make_teacher([module, module]).checksum]
    with MODES[mode]():
        both = [ls.make_teacher(module), ls.make_teacher([module, module])]
        assert [one.checksum for one in both] == expected
        for one in both:
            check_fit(one, (1, 8, 8), 10)
            assert not any(value.is_inference() for value in one.module.state_dict().values())


@contextlib.contextmanager
def _still() -> Iterator[None]:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "name",
    [
        *("n.safetensors", "n.py", "n.pt2", "n.c"),
        pytest.param("n.onnx", marks=pytest.mark.needs("onnxscript", "onnxruntime")),
    ],
)
@pytest.mark.parametrize("fold", [False, True])
def test_an_export_and_its_use_leave_the_callers_seed(
    row: Any, tmp_path: Path, name: str, fold: bool
) -> None:
    image = tmp_path / "digit.png"
    Image.fromarray(ls.load("digits").test[0][0, 0].numpy()).save(image)
    with _still():
        ls.export(row, tmp_path / name, fold=fold)
        if not name.endswith((".py", ".c")):
            ls.predict(tmp_path / name, image)


SEEDED: dict[str, Callable[[Any], object]] = {
    "summary": lambda _: ls.summary("conv(8) gap linear(10)", (1, 8, 8)),
    "find_teacher": ls.find_teacher,
    "sizes": lambda _: count_bytes(ls.cost("conv(8) gap linear(10)", (1, 8, 8)), (1, 8, 8)),
    "train": lambda row: list(ls.train(ls.rebuild(row))),
}


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("mode", ["plain", "float64", "device", "inference"])
def test_the_callers_seed_stays(row: Any, name: str, mode: str) -> None:
    with MODES.get(mode, contextlib.nullcontext)():
        state = torch.default_generator.get_state()
        SEEDED[name](row)
        assert torch.default_generator.get_state().tolist() == state.tolist()


def test_the_callers_seed_stays_with_threads() -> None:
    with _still():
        threads = [
            threading.Thread(target=ls.summary, args=("conv(8) gap linear(10)", (1, 8, 8)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_a_thread_that_builds_waits_for_another_that_does() -> None:
    """Else the first would give the generator back, and the second what the first had drawn."""
    inside, leave = [threading.Event() for _ in "12"], [threading.Event() for _ in "12"]

    def hold(number: int) -> None:
        with kept_generator():
            torch.rand(1)
            inside[number].set()
            leave[number].wait(60)

    with _still():
        threads = [threading.Thread(target=hold, args=(number,)) for number in range(2)]
        threads[0].start()
        assert inside[0].wait(60)
        threads[1].start()
        inside[1].wait(0.3)  # it comes in only where nothing keeps it out
        leave[0].set()
        threads[0].join()
        leave[1].set()
        threads[1].join()


def test_build_draws_from_the_callers_seed() -> None:
    torch.manual_seed(3)
    first, second = (ls.build("linear(4)", (1, 2, 2)) for _ in range(2))
    torch.manual_seed(3)
    again = ls.build("linear(4)", (1, 2, 2))
    weights = [one.state_dict()["0.linear.weight"] for one in (first, second, again)]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])
