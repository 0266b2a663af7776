"""`lightsearch doctor --bench`: how fast each engine trains on this machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch

from lightsearch.data.dataset import DataSet, make_dataset
from lightsearch.data.references import DataRef
from lightsearch.design.recipe import DEFAULT_RECIPE
from lightsearch.engines.engine import Engine
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.library import (
    BUILDS,
    build_name,
    has_builds,
    open_library,
    path_of,
)
from lightsearch.engines.selection import device_kind, engine_label, start
from lightsearch.network.cost import cost
from lightsearch.notation.parser import parse
from lightsearch.training.epoch import plain_torch
from lightsearch.training.task import Task
from lightsearch.training.timing import take_few, time_engine

DESIGNS = (
    "conv(8) separable(16) maxpool separable(16) separable(16) gap linear(10)",
    "conv(12) separable(16) maxpool separable(16)*5 gap linear(10)",
    "conv(12,p=0) conv(10,p=0) conv(12,p=0) maxpool conv(12) conv(10,p=0) conv(8) conv(20,p=0) "
    "separable(12) gate gap linear(10)",
)
IMAGES, TESTS = 60_000, 10_000  # of MNIST
STEPS, ROUNDS = 12, 3
Way: TypeAlias = Callable[[Task, DataSet], Engine]


@dataclass(frozen=True, slots=True)
class Speed:
    """What trains, on which processor or GPU, and its seconds an epoch for each of `DESIGNS`."""

    engine: str
    device: str
    seconds: tuple[float, ...]


def count_params() -> list[int]:
    """Return the parameters of each of `DESIGNS`."""
    return [cost(parse(text)).params for text in DESIGNS]


def time_engines() -> Iterator[Speed]:
    """Yield what trains here with its median seconds an epoch.

    An epoch is one of the default recipe on images like MNIST's, on one thread of the processor
    or on the GPU. It is estimated from `STEPS` steps and 500 test images.
    """
    few = take_few(_random_images(), DEFAULT_RECIPE.batch_size, STEPS)
    image, truth = few.test[0][:1], few.test[1][:1]
    train, test = (
        (image.expand(count, -1, -1, -1), truth.expand(count)) for count in (IMAGES, TESTS)
    )
    whole = DataSet(few.name, train, test, few.classes)  # for its size alone
    for label, device, make in _list_ways():
        seconds = []
        for text in DESIGNS:
            task = Task(parse(text), DEFAULT_RECIPE, DataRef(few.name, ""), 15, 0, device=device)
            with plain_torch("torch", device):
                runs = [time_engine(make(task, few), task, few, whole) for _ in range(ROUNDS)]
            seconds.append(round(statistics.median(runs), 2))
        yield Speed(label, device_kind(device), tuple(seconds))


def _random_images() -> DataSet:
    generator = torch.Generator().manual_seed(0)
    count = DEFAULT_RECIPE.batch_size * STEPS
    images = torch.randint(256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 10
    return make_dataset((images, labels), (images[:500], labels[:500]), name="random")


def _list_ways() -> Iterator[tuple[str, str, Way]]:
    if has_builds():
        best = BUILDS.index(build_name())
        for name in BUILDS[: best + 1]:
            if path_of(name).exists():
                yield f"native-{name}", "cpu", _native(name)
    yield engine_label("torch"), "cpu", _pytorch
    if torch.cuda.is_available():
        yield engine_label("torch", device="cuda"), "cuda", _pytorch


def _native(build: str) -> Way:
    library = open_library(path_of(build))
    return lambda task, few: Native(task.design, task.recipe, few, task.seed, library)


def _pytorch(task: Task, few: DataSet) -> Engine:
    return start("torch", task.design, task.recipe, few, task.seed, task.device)
