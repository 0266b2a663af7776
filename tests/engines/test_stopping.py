"""What a flag stops, how soon, and what it leaves alone."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from lightsearch import make_dataset, parse
from lightsearch.data import DataSet
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import Batch, Engine
from lightsearch.engines.native.engine import TOGETHER
from lightsearch.engines.native.library import available
from lightsearch.engines.selection import start
from lightsearch.engines.stopping import EpochStopped, StopFlag, current_flag, heed

ENGINES = [
    "torch",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(not available(), reason="the native engine is not compiled"),
    ),
]
DESIGN = parse("conv(16) conv(24) maxpool conv(32) gap linear(10)")


def images(count: int) -> DataSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=draw)
    labels = torch.arange(count) % 10
    return make_dataset((pixels, labels), (pixels, labels))


def batches(data: DataSet, size: int) -> list[Batch]:
    order = torch.arange(len(data.train[1]))
    return [
        Batch(part, 0.01, index, index, 0.5) for index, part in enumerate(torch.split(order, size))
    ]


def begun(engine: str, data: DataSet, size: int) -> Engine:
    made = start(engine, DESIGN, Recipe(batch_size=size, ema=0.9), data, 1, "cpu")
    made.begin()
    return made


def stopped_after(flag: StopFlag, work: object) -> float:
    """Seconds from the flag to the end of `work`, which begins half a second before it."""
    told: list[float] = []

    def tell() -> None:
        told.append(time.monotonic())
        flag.set()

    timer = threading.Timer(0.5, tell)
    timer.start()
    with pytest.raises(EpochStopped, match="asked to stop"):
        work()  # type: ignore[operator]
    timer.join()
    return time.monotonic() - told[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_training_stops_between_batches(engine: str) -> None:
    data, flag = images(20_000), StopFlag()
    with heed(flag):
        made = begun(engine, data, 128)
    assert stopped_after(flag, lambda: made.train(batches(data, 128) * 50)) < 2


@pytest.mark.skipif(not available(), reason="the native engine is not compiled")
def test_a_batch_of_4096_images_stops_within_itself() -> None:
    data, flag = images(4096), StopFlag()
    with heed(flag):
        made = begun("native", data, 4096)
    assert stopped_after(flag, lambda: made.train(batches(data, 4096) * 1000)) < 2


@pytest.mark.parametrize("engine", ENGINES)
def test_evaluation_stops(engine: str) -> None:
    data, flag = images(20_000), StopFlag()
    with heed(flag):
        made = begun(engine, data, 128)

    def evaluate() -> None:
        for _ in range(1000):
            made.evaluate(averaged=False)

    assert stopped_after(flag, evaluate) < 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_flag_is_of_its_thread_and_of_what_is_made_under_it(engine: str) -> None:
    flag, data = StopFlag(), images(64)
    flag.set()
    with heed(flag):
        assert current_flag() is flag
        others: list[StopFlag] = []
        thread = threading.Thread(target=lambda: others.append(current_flag()))
        thread.start()
        thread.join()
        assert not others[0].is_set()
    made = begun(engine, data, 32)
    made.train(batches(data, 32))
    assert made.totals()[0] > 0


@pytest.mark.skipif(not available(), reason="the native engine is not compiled")
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_many_steps_in_one_call_are_the_same_steps(optimizer: str, momentum: float) -> None:
    data = images(2 * TOGETHER + 100)
    recipe = Recipe(
        optimizer=optimizer,
        momentum=momentum,
        batch_size=512,
        ema=0.9,
        rotation=10,
        erasing=0.5,
        brightness=0.1,
        contrast=0.1,
    )
    design = parse("conv(4,dropout=0.2) gap linear(10)")
    together, alone = (start("native", design, recipe, data, 1, "cpu") for _ in range(2))
    steps = batches(data, 512)
    for engine in (together, alone):
        engine.begin()
    together.train(steps)
    for step in steps:
        alone.train([step])
    assert together.totals() == alone.totals()
    mine, theirs = (engine.state() for engine in (together, alone))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine | theirs)
