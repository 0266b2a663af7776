"""Training: purity in processes and threads, and equality with a plain PyTorch loop."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel

from lightsearch.data.dataset import DataSet, make_dataset
from lightsearch.data.named import load
from lightsearch.data.references import DataRef, lend, save
from lightsearch.design import Layer, Seq, conv, depthwise, gap, linear, maxpool, parts, seq
from lightsearch.design import dropout as drop
from lightsearch.design.fields import integer
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import State
from lightsearch.engines.initial_weights import initialise
from lightsearch.engines.native.library import available
from lightsearch.engines.selection import engine_of
from lightsearch.errors import ArgumentError, DataError, DesignError
from lightsearch.network import lowering, modules
from lightsearch.network.modules import build, register
from lightsearch.network.operations import Local
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key, permutation
from lightsearch.shapes import Shape
from lightsearch.training.epoch import run_epoch, take_evaluated, train
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task
from lightsearch.training.timing import seconds_per_epoch

room = importlib.import_module("lightsearch.training.epoch")
eager = importlib.import_module("lightsearch.engines.pytorch")
ROOT = Path(__file__).resolve().parents[2]
DIGITS = DataRef("digits", "b63efdd1b04b8e02")
NET = seq(conv(6), maxpool(), conv(8), gap(), linear(10))
DROPPING = "conv(6,dropout=0.1) maxpool conv(8,dropout=0.2,per=channel) gap linear(10)"
EVERYTHING = (
    "recipe(lr=0.2,batch=256,decay=0.0005,rotation=8,shift=0.05,scale=0.1,shear=5,"
    "erasing=0.2,flip=0.4,brightness=0.2,contrast=0.2,smoothing=0.1,ema=0.98)"
)
ADAPTIVE = "recipe({},lr=0.01,batch=256,plateau,patience=0,decay=0.01,rotation=8,ema=0.9)"


only_torch = pytest.mark.parametrize("engine", ["torch"], indirect=True)


@pytest.fixture(autouse=True, params=["torch", "native"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine of a test that does not choose one. Every test here runs with both engines."""
    name = str(request.param)
    if name == "native" and not available():
        pytest.skip("the package was installed without a C++ compiler")
    monkeypatch.setattr(
        room,
        "engine_of",
        lambda asked, *rest: engine_of(name if asked == "auto" else asked, *rest),
    )
    return name


def few(train_count: int = 203, test_count: int = 60) -> DataSet:
    """Return some of the digits: 203 are six batches of 32 and one of 11."""
    digits = load("digits")
    (x, y), (u, v) = digits.train, digits.test
    return make_dataset(
        (x[:train_count], y[:train_count]),
        (u.repeat(2, 1, 1, 1)[:test_count], v.repeat(2)[:test_count]),
        name="few",
    )


def numbered(count: int) -> DataSet:
    """Make any number of images, of ten classes in turn."""
    images = (torch.arange(count * 64) % 251).reshape(count, 8, 8).to(torch.uint8)
    pair = (images, torch.arange(count) % 10)
    return make_dataset(pair, pair, name="numbered")


def task(
    design: Seq = NET,
    recipe: Recipe | None = None,
    *,
    epochs: int = 2,
    seed: int = 3,
    data: DataSet | None = None,
) -> Task:
    chosen = recipe or Recipe(lr=0.05, batch_size=32)
    return Task(design, chosen, lend(few() if data is None else data), epochs, seed)


def trained(a: Task, upto: int | None = None) -> tuple[State, list[EpochResult]]:
    state: State | None = None
    results = []
    for epoch in range(1, (upto or a.epochs) + 1):
        state, result = run_epoch(a, state, epoch, raw=True)
        results.append(result)
    assert state is not None
    return state, results


def same(one: State, two: State) -> bool:
    """Whether two states are equal, bit for bit."""
    return one.keys() == two.keys() and all(
        one[k].dtype == two[k].dtype
        and torch.equal(one[k].reshape(-1).view(torch.uint8), two[k].reshape(-1).view(torch.uint8))
        for k in one
    )


def timeless(results: list[EpochResult]) -> list[EpochResult]:
    return [dataclasses.replace(result, seconds=0.0) for result in results]


# A pure function --------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [EVERYTHING, ADAPTIVE.format("adam"), ADAPTIVE.format("adamw")])
def test_the_same_inputs_give_the_same_bits_and_nothing_is_changed(recipe: str) -> None:
    a = Task(parse(DROPPING), parse_recipe(recipe), DIGITS, 3, 5)
    first, _ = run_epoch(a, None, 1)
    kept = {name: value.clone() for name, value in first.items()}
    one, shown = run_epoch(a, first, 2)
    assert same(first, kept)
    two, again = run_epoch(a, first, 2)
    assert same(one, two)
    assert timeless([shown]) == timeless([again])
    assert same(run_epoch(a, None, 1)[0], first)
    assert not same(one, first)


def test_the_state_is_plain_tensors_that_share_nothing() -> None:
    state, _ = trained(task(recipe=Recipe(optimizer="adam", lr=0.01, batch_size=64, ema=0.9)))
    places = set()
    for value in state.values():
        assert type(value) is Tensor
        assert value.device.type == "cpu"
        assert not value.requires_grad
        assert value.is_contiguous()
        places.add(value.untyped_storage().data_ptr())
    assert len(places) == len(state)
    heads = {name.split(".")[0] for name in state}
    assert heads == {"model", "average", "optimizer", "run"}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"epochs": 4},
        {"recipe": parse_recipe(EVERYTHING.replace("8,sh", "9,sh"))},
        {"design": parse(DROPPING.replace("0.1", "0.11"))},
    ],
)
def test_each_part_of_a_task_matters(change: dict[str, Any]) -> None:
    a = Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 3, 5)
    other = dataclasses.replace(a, **change)
    assert not same(run_epoch(a, None, 1)[0], run_epoch(other, None, 1)[0])


def test_torchs_generator_and_threads_neither_matter_nor_change() -> None:
    a = Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 3, 5)
    found, threads = [], torch.get_num_threads()
    try:
        for seed, count in ((1, 1), (2, 3)):
            torch.manual_seed(seed)
            torch.set_num_threads(count)
            before, initial = torch.get_rng_state(), torch.initial_seed()
            found.append(run_epoch(a, None, 1)[0])
            assert torch.equal(torch.get_rng_state(), before)
            assert torch.initial_seed() == initial
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert same(*found)


def test_the_threads_are_given_back_after_an_error() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(DataError, match="'digits' must have the checksum 1, but"):
            run_epoch(dataclasses.replace(task(), data=DataRef("digits", "1")), None, 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_epochs_in_threads_at_once_give_the_same_bits() -> None:
    tasks = [Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 2, seed) for seed in range(4)]
    alone = [trained(a) for a in tasks]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(trained, tasks))
    finally:
        torch.set_num_threads(threads)
    for (state, results), (other, shown) in zip(alone, together, strict=True):
        assert same(state, other)
        assert timeless(results) == timeless(shown)


ONE_EPOCH = """
import json, sys
import torch
torch.manual_seed(int(sys.argv[6]))
torch.set_num_threads(int(sys.argv[6]) % 3 + 1)
from safetensors.torch import load_file, save_file
from lightsearch.data import DataRef
from lightsearch.notation import parse, parse_recipe
from lightsearch.training.epoch import run_epoch
from lightsearch.training.task import Task
design, recipe, epochs, folder, epoch = *sys.argv[1:3], int(sys.argv[3]), *sys.argv[4:6]
data = DataRef("saved", "b63efdd1b04b8e02", f"{folder}/data.safetensors")
task, epoch = Task(parse(design), parse_recipe(recipe), data, epochs, 5, sys.argv[7]), int(epoch)
state = load_file(f"{folder}/{epoch - 1}.safetensors") if epoch > 1 else None
state, result = run_epoch(task, state, epoch, raw=True)
save_file(state, f"{folder}/{epoch}.safetensors")
shown = [result.train_loss.hex(), result.train_correct, result.correct, result.raw_correct]
print(json.dumps([*shown, result.learning_rate.hex()]))
"""


def _in_fresh_processes(
    tmp_path: Path, design: str, recipe: str, epochs: int, engine: str
) -> None:
    """Compare one run with epochs that each run in a process, with the state in a file."""
    digits = load("digits")
    save(make_dataset(digits.train, digits.test, name="saved"), tmp_path / "data.safetensors")
    a = Task(parse(design), parse_recipe(recipe), DIGITS, epochs, 5)
    state, results = trained(a)
    for epoch, result in enumerate(results, 1):
        output = subprocess.run(
            [
                sys.executable,
                "-c",
                ONE_EPOCH,
                design,
                recipe,
                str(epochs),
                str(tmp_path),
                str(epoch),
                str(epoch),
                engine,
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(epoch)},
        ).stdout
        assert json.loads(output) == [
            result.train_loss.hex(),
            result.train_correct,
            result.correct,
            result.raw_correct,
            result.learning_rate.hex(),
        ]
    assert same(load_file(tmp_path / f"{epochs}.safetensors"), state)


@pytest.mark.parametrize(
    "engine", ["native", pytest.param("torch", marks=pytest.mark.slow)], indirect=True
)
def test_three_epochs_in_three_processes_are_one_run(tmp_path: Path, engine: str) -> None:
    _in_fresh_processes(tmp_path, DROPPING, EVERYTHING, 3, engine)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # each process loads PyTorch anew
@pytest.mark.parametrize(
    ("recipe", "epochs"),
    [
        (EVERYTHING, 6),
        (ADAPTIVE.format("adam"), 3),
        (ADAPTIVE.format("adamw"), 3),
        ("recipe(lr=0.1,batch=100,momentum=0,step,step=2,gamma=0.3)", 4),
    ],
)
def test_as_many_processes_as_epochs_are_one_run(
    tmp_path: Path, recipe: str, epochs: int, engine: str
) -> None:
    _in_fresh_processes(tmp_path, DROPPING, recipe, epochs, engine)


def test_a_state_that_went_through_a_file_is_the_same_state(tmp_path: Path) -> None:
    a = Task(parse(DROPPING), parse_recipe(ADAPTIVE.format("adam")), DIGITS, 2, 5)
    state, _ = run_epoch(a, None, 1)
    save_file(state, tmp_path / "state")
    back = load_file(tmp_path / "state")
    assert same(run_epoch(a, state, 2)[0], run_epoch(a, back, 2)[0])


def test_train_yields_what_run_epoch_gives() -> None:
    a = task(epochs=3)
    assert timeless(list(train(a))) == timeless(trained(a)[1])
    assert [result.epoch for result in train(a)] == [1, 2, 3]


def test_a_task_is_a_hashable_value_that_can_be_sent() -> None:
    one, two = (Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 3, 5) for _ in range(2))
    assert one == two
    assert len({one, two, dataclasses.replace(one, seed=6)}) == 2
    assert pickle.loads(pickle.dumps(one)) == one


# Against a plain PyTorch loop -------------------------------------------------------------------


def plain_net() -> nn.Sequential:
    """`NET`, written out by hand."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


def drawn(design: Seq, seed: int, shape: Shape = (1, 8, 8)) -> list[Tensor]:
    """The initial weights, in order."""
    module = build(design, shape)
    initialise(module, seed)
    return [value.detach().clone() for value in module.state_dict().values()]


def fill(module: nn.Module, values: list[Tensor]) -> None:
    for mine, theirs in zip(module.state_dict().values(), values, strict=True):
        mine.copy_(theirs)


def plain_optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    given: Any = module.parameters()
    if recipe.decay_on == "weights":
        kinds = {"conv": nn.Conv2d, "linear": nn.Linear, "norm": nn.BatchNorm2d}
        found = {k: [m for m in module if isinstance(m, cls)] for k, cls in kinds.items()}
        given = [
            {"params": [m.weight for m in (*found["conv"], *found["linear"])]},
            {
                "params": [
                    *(p for m in found["norm"] for p in (m.weight, m.bias)),
                    *(m.bias for m in found["linear"]),
                ],
                "weight_decay": 0.0,
            },
        ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            given,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(
        given,
        lr=recipe.lr,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=recipe.weight_decay,
    )


def plain_scheduler(
    recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int, epochs: int
) -> Any:
    """Return the learning rate of a step."""
    if recipe.schedule == "onecycle":
        return lr_scheduler.OneCycleLR(
            optimizer,
            recipe.lr,
            total_steps=steps,
            pct_start=recipe.warmup,
            div_factor=recipe.div,
            final_div_factor=recipe.final_div,
            cycle_momentum=False,
        )
    if recipe.schedule == "step":
        return lr_scheduler.StepLR(optimizer, recipe.step_size * steps // epochs, recipe.gamma)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


@dataclass
class Plain:
    """The final state of the plain loop."""

    model: nn.Module
    average: nn.Module
    losses: list[float]
    corrects: list[int]
    rate: float


def plain_loop(a: Task, data: DataSet, upto: int) -> Plain:
    """Train with PyTorch alone. Only the initial weights and the order of images are ours."""
    recipe, model = a.recipe, plain_net()
    fill(model, drawn(a.design, a.seed))
    optimizer = plain_optimizer(recipe, model)
    images, labels = data.train
    x = images.float() / 255
    mean, deviation = x.mean(), x.std(unbiased=False)
    per_epoch = math.ceil(len(x) / recipe.batch_size)
    scheduler = plain_scheduler(recipe, optimizer, per_epoch * a.epochs, a.epochs)

    def moved(mine: Tensor, theirs: Tensor, count: Any) -> Tensor:
        step = int(count) - 1
        share = min(recipe.ema, (1 + step) / (10 + step))
        return share * mine + (1 - share) * theirs

    averaged = AveragedModel(model, avg_fn=moved, use_buffers=True)
    averaged.n_averaged += 1  # so that its first update is an average too, not a copy
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    losses, corrects, rate = [], [], 0.0
    for epoch in range(1, upto + 1):
        model.train()
        loss_sum, correct = 0.0, 0
        order = permutation(key(a.seed, "shuffle", epoch), len(x))
        for batch in order.split(recipe.batch_size):
            scores = model((x[batch] - mean) / deviation)
            loss = criterion(scores, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            averaged.update_parameters(model)
            loss_sum += loss.item() * len(batch)
            correct += int((scores.argmax(1) == labels[batch]).sum())
            rate = optimizer.param_groups[0]["lr"]
            if recipe.schedule != "onecycle" or scheduler.last_epoch + 1 < scheduler.total_steps:
                scheduler.step()
        losses.append(loss_sum / len(x))
        corrects.append(correct)
    return Plain(model, averaged.module, losses, corrects, rate)


def right(module: nn.Module, data: DataSet) -> int:
    x = data.train[0].float() / 255
    scores = module.eval()((data.test[0].float() / 255 - x.mean()) / x.std(unbiased=False))
    return int((scores.argmax(1) == data.test[1]).sum())


def close(state: State, module: nn.Module) -> None:
    found = list(state.values())
    expected = list(module.state_dict().values())
    for name, mine, theirs in zip(state, found, expected, strict=True):
        if mine.is_floating_point():
            torch.testing.assert_close(
                mine, theirs, atol=3e-5, rtol=3e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


PLAIN_RECIPES = {
    "sgd": "recipe(lr=0.05,batch=32)",
    "sgd with weight decay": "recipe(lr=0.05,batch=32,decay=0.02,constant)",
    "sgd without momentum": "recipe(lr=0.1,batch=32,momentum=0,decay=0.01)",
    "sgd by steps": "recipe(lr=0.05,batch=32,step,step=1,gamma=0.2)",
    "adam": "recipe(adam,lr=0.005,batch=32,constant)",
    "adam with weight decay": "recipe(adam,lr=0.005,batch=32,decay=0.1)",
    "adamw with weight decay": "recipe(adamw,lr=0.005,batch=32,decay=0.3)",
    "decay of weights alone": "recipe(lr=0.05,batch=32,decay=0.3,decay_on=weights)",
    "adamw's decay of weights alone": "recipe(adamw,lr=0.005,batch=32,decay=1,decay_on=weights)",
    "smoothing": "recipe(lr=0.05,batch=32,smoothing=0.2)",
    "average": "recipe(lr=0.05,batch=32,ema=0.7)",
    "long average": "recipe(adam,lr=0.01,batch=32,ema=0.99)",
    "one batch": "recipe(lr=0.05,batch=500,constant)",
}


@pytest.mark.parametrize("case", PLAIN_RECIPES)
@pytest.mark.parametrize("epochs", [1, 3])
def test_training_is_a_plain_pytorch_loop(case: str, epochs: int) -> None:
    data = few()
    a = task(recipe=parse_recipe(PLAIN_RECIPES[case]), epochs=3, data=data)
    state, results = trained(a, epochs)
    plain = plain_loop(a, data, epochs)
    last = results[-1]
    close({k: v for k, v in state.items() if k.startswith("model.")}, plain.model)
    assert [r.train_loss for r in results] == pytest.approx(plain.losses, rel=1e-4)
    for result, correct in zip(results, plain.corrects, strict=True):
        assert abs(result.train_correct - correct) <= 1  # a tie may fall either way
    assert last.learning_rate == pytest.approx(plain.rate, rel=1e-9)
    assert abs(last.raw_correct - right(plain.model, data)) <= 1
    if a.recipe.ema:
        close({k: v for k, v in state.items() if k.startswith("average.")}, plain.average)
        assert abs(last.correct - right(plain.average, data)) <= 1
    else:
        assert last.correct == last.raw_correct
        assert not any(name.startswith("average.") for name in state)
    assert (last.epoch, last.train_total, last.total) == (epochs, 203, 60)
    assert last.accuracy == last.correct / 60
    assert last.seconds > 0


def test_the_first_step_of_sgd_by_hand() -> None:
    """One batch of all images. Nesterov: w - lr * (1 + momentum) * (gradient + decay * w)."""
    data = few(40)
    recipe = Recipe(lr=0.5, batch_size=64, momentum=0.8, weight_decay=0.1, schedule="constant")
    state, _ = trained(task(recipe=recipe, epochs=1, data=data))
    model = plain_net()
    fill(model, drawn(NET, 3))
    x = data.train[0].float() / 255
    order = permutation(key(3, "shuffle", 1), 40)
    scores = model(((x - x.mean()) / x.std(unbiased=False))[order])
    functional.cross_entropy(scores, data.train[1][order]).backward()
    names = [
        name
        for name in state
        if name.startswith("model.") and "running" not in name and "num_" not in name
    ]
    for name, weight in zip(names, model.parameters(), strict=True):
        assert weight.grad is not None
        expected = weight - 0.5 * 1.8 * (weight.grad + 0.1 * weight)
        torch.testing.assert_close(state[name], expected.detach(), atol=1e-6, rtol=1e-5)


def test_the_counters_of_batch_norm_are_copied_not_averaged() -> None:
    state, _ = trained(task(recipe=Recipe(lr=0.05, batch_size=32, ema=0.9)))
    assert int(state["model.0.norm.num_batches_tracked"]) == 14
    assert int(state["average.0.norm.num_batches_tracked"]) == 14
    assert int(state["run.step"]) == 14


# Initial weights --------------------------------------------------------------------------------


def test_initial_weights_are_drawn_as_pytorch_draws_them() -> None:
    """Uniform within 1 / sqrt(fan-in): the range and spread of PyTorch's own, layer by layer."""
    design = seq(
        conv(64, bias=True),
        depthwise(5, multiplier=8),
        conv(32, groups=4),
        gap(),
        linear(200),
        linear(10),
    )
    mine, theirs = build(design, (3, 16, 16)), build(design, (3, 16, 16))
    initialise(mine, 1)
    pairs = zip(mine.named_parameters(), theirs.parameters(), strict=True)
    for (name, one), two in pairs:
        if "norm" in name:
            assert torch.equal(one, two)
            continue
        end = {"0": 27, "1": 25, "2": 1152, "4": 32, "5": 200}[name[0]] ** -0.5
        assert float(one.detach().abs().max()) <= end
        assert float(two.detach().abs().max()) <= end * (1 + 1e-6)
        if one.numel() > 500:
            assert float(one.detach().max()) > 0.98 * end
            assert float(one.detach().min()) < -0.98 * end
            assert float(one.detach().std()) == pytest.approx(end / math.sqrt(3), rel=0.06)
            assert abs(float(one.detach().mean())) < 0.1 * end


def test_initial_weights_differ_by_seed_and_by_place() -> None:
    twins = seq(conv(8, kernel=3), conv(8, kernel=3), conv(8, kernel=3), gap(), linear(10))
    shape = (8, 8, 8)
    weights = [v for v in (*drawn(twins, 1, shape), *drawn(twins, 2, shape)) if v.ndim == 4]
    assert len({tuple(w.flatten().tolist()) for w in weights}) == 6
    again = drawn(twins, 1, shape)
    assert all(torch.equal(a, b) for a, b in zip(again, drawn(twins, 1, shape), strict=True))


def test_training_starts_from_the_initial_weights() -> None:
    recipe = Recipe(lr=1e-8, batch_size=64, schedule="constant", ema=0.5)
    state, _ = trained(task(recipe=recipe, epochs=1))
    for kind in ("model", "average"):
        found = [
            v
            for k, v in state.items()
            if k.startswith(kind) and "running" not in k and "num_" not in k
        ]
        begun = [
            v
            for v in dict(
                zip(build(NET, (1, 8, 8)).state_dict(), drawn(NET, 3), strict=True)
            ).items()
            if "running" not in v[0] and "num_" not in v[0]
        ]
        for mine, (_, theirs) in zip(found, begun, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


# The images of an epoch -------------------------------------------------------------------------


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, int]]:
    """Return the batches and keys that augmentation gets."""
    seen: list[tuple[Tensor, int]] = []

    def augment(images: Tensor, recipe: Recipe, stream: int, mean: Tensor) -> Tensor:
        seen.append((images.clone(), stream))
        return images

    monkeypatch.setattr(eager, "augment", augment)
    return seen


@only_torch
def test_each_image_is_trained_on_once_an_epoch_in_a_new_order(
    watched: list[tuple[Tensor, int]],
) -> None:
    data = few()
    trained(task(data=data, epochs=2))
    assert [len(batch) for batch, _ in watched] == [32, 32, 32, 32, 32, 32, 11] * 2
    whole = sorted(map(tuple, (data.train[0].flatten(1).float() / 255).tolist()))
    epochs = [torch.cat([batch for batch, _ in watched[i : i + 7]]).flatten(1) for i in (0, 7)]
    for images in epochs:
        assert sorted(map(tuple, images.tolist())) == whole
    assert not torch.equal(*epochs)
    assert len({stream for _, stream in watched}) == 14


@only_torch
@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (65, 32, [32, 33]),
        (33, 32, [33]),
        (64, 32, [32, 32]),
        (66, 32, [32, 32, 2]),
        (97, 32, [32, 32, 33]),
        (20, 500, [20]),
        (41, 40, [41]),
        (31, 2, [2] * 14 + [3]),
    ],
)
def test_a_last_image_alone_joins_the_batch_before(
    watched: list[tuple[Tensor, int]], count: int, size: int, sizes: list[int]
) -> None:
    a = task(
        seq(conv(4), gap(), conv(4, kernel=1), linear(10)),
        Recipe(batch_size=size),
        data=numbered(count),
        epochs=2,
    )
    state, results = trained(a)
    assert [len(batch) for batch, _ in watched] == sizes * 2
    assert int(state["run.step"]) == 2 * len(sizes)
    assert results[-1].learning_rate == pytest.approx(0.1 / 10 / 100)  # the schedule's very end


@only_torch
def test_images_are_standardised_after_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "augment", lambda images, recipe, stream, mean: images * 0)
    given: list[Tensor] = []
    whole = nn.Module.__call__

    def call(self: nn.Module, *args: Any, **more: Any) -> Any:
        if (
            isinstance(self, nn.Sequential)
            and self.training
            and args[0].shape[1] == 1
            and args[0].shape[2] == 8
        ):
            given.append(args[0])
        return whole(self, *args, **more)

    data = few()
    monkeypatch.setattr(nn.Module, "__call__", call)
    trained(task(data=data, epochs=1))
    x = data.train[0].double() / 255
    expected = float(-x.mean() / x.std(unbiased=False))
    assert len(given) >= 7
    assert all(bool(torch.allclose(batch, torch.tensor(expected))) for batch in given)


def test_three_channels_are_standardised_each_by_itself() -> None:
    digits = few()
    colours = [part[0].repeat(1, 3, 1, 1) for part in (digits.train, digits.test)]
    for images in colours:
        images[:, 1] //= 2
        images[:, 2] = 255 - images[:, 2]
    data = make_dataset((colours[0], digits.train[1]), (colours[1], digits.test[1]))
    standard = eager.Eager(NET, Recipe(), data, 0)._normalise(colours[0].float() / 255)
    torch.testing.assert_close(standard.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    _, results = trained(task(data=data))
    assert results[-1].train_loss < results[0].train_loss


def test_clean_epochs_see_the_images_as_they_are() -> None:
    plain, moved = Recipe(lr=0.05, batch_size=32), Recipe(lr=0.05, batch_size=32, rotation=20)
    data = few()

    def losses(recipe: Recipe) -> list[float]:
        a = task(recipe=recipe, epochs=3, data=data)
        return [one.train_loss for one in trained(a)[1]]

    assert losses(replace(moved, clean=1.0)) == losses(plain)
    part, whole = losses(replace(moved, clean=0.3)), losses(moved)
    assert part[:2] == whole[:2] and part[2] != whole[2]


# Evaluation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 60, 500, 501, 720])
def test_all_test_images_are_counted_by_raw_and_by_averaged_weights(count: int) -> None:
    data = few(203, count)
    a = task(recipe=Recipe(optimizer="adam", lr=0.03, batch_size=16, ema=0.98), data=data)
    state, results = trained(a)
    model, average = plain_net(), plain_net()
    fill(model, [v for k, v in state.items() if k.startswith("model.")])
    fill(average, [v for k, v in state.items() if k.startswith("average.")])
    assert results[-1].total == count
    assert abs(results[-1].raw_correct - right(model, data)) <= 1
    assert abs(results[-1].correct - right(average, data)) <= 1
    if count == 720:
        assert abs(results[-1].correct - results[-1].raw_correct) > 1  # else this shows nothing


def test_raw_weights_are_evaluated_last_or_if_asked_for() -> None:
    a = task(recipe=Recipe(optimizer="adam", lr=0.03, batch_size=16, ema=0.98), epochs=3)
    rare, often = list(train(a)), list(train(a, raw=True))
    assert [r.raw_correct for r in rare] == [None, None, often[-1].raw_correct]
    assert None not in [r.raw_correct for r in often]
    assert [r.correct for r in rare] == [r.correct for r in often]
    plain = list(train(dataclasses.replace(a, recipe=Recipe(optimizer="adam", lr=0.03))))
    assert [r.raw_correct for r in plain] == [r.correct for r in plain]


def test_evaluated_gives_the_weights_that_fit_the_built_module() -> None:
    for ema in (0.0, 0.9):
        state, _ = trained(task(recipe=Recipe(batch_size=64, ema=ema)))
        weights = take_evaluated(state)
        build(NET, (1, 8, 8)).load_state_dict(weights)
        kind = "average" if ema else "model"
        assert all(torch.equal(weights[name], state[f"{kind}.{name}"]) for name in weights)


# Dropout ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_dropped_elements_and_the_scale_of_the_rest(rate: float) -> None:
    layer = eager.KeyedDropout(rate, False)
    layer.key = key(1, "test")
    seen = layer(torch.ones(20, 16, 10, 25))
    share = float((seen == 0).double().mean())
    assert abs(share - rate) < 5 * math.sqrt(rate * (1 - rate) / seen.numel())
    assert torch.allclose(seen[seen != 0], torch.tensor(1 / (1 - rate)), rtol=2e-4)
    assert abs(float(seen.double().mean()) - 1) < 0.05
    for axis in range(4):  # no line of it is dropped together
        assert (
            0
            < float((seen == 0).double().mean(axis).std())
            < 2 * math.sqrt(rate * (1 - rate) / seen.shape[axis])
        )


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_whole_channels_are_dropped(rate: float) -> None:
    layer = eager.KeyedDropout(rate, True)
    layer.key = key(2, "test")
    seen = layer(torch.ones(400, 50, 3, 3))
    zero = (seen == 0).flatten(2)
    assert torch.equal(zero.any(2), zero.all(2))
    assert abs(float(zero.all(2).double().mean()) - rate) < 5 * math.sqrt(
        rate * (1 - rate) / 20_000
    )
    assert torch.allclose(seen[seen != 0], torch.tensor(1 / (1 - rate)), rtol=2e-4)


def test_dropout_does_nothing_in_evaluation_and_follows_its_key() -> None:
    layer = eager.KeyedDropout(0.5, False)
    x = torch.rand(4, 8, 3, 3)
    first = layer(x)
    assert torch.equal(layer(x), first)
    layer.key = 1
    assert not torch.equal(layer(x), first)
    assert torch.equal(layer.eval()(x), x)


def test_the_mask_does_not_depend_on_the_memory_format() -> None:
    layer, x = eager.KeyedDropout(0.5, False), torch.rand(4, 8, 3, 5)
    assert torch.equal(layer(x), layer(x.contiguous(memory_format=torch.channels_last)))


@only_torch
def test_every_dropout_has_a_key_of_its_own_at_every_step_and_none_in_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams: list[int] = []
    rates: list[float] = []
    keep = eager.keep

    def watching(stream: int, rate: float, count: int, device: Any = "cpu") -> Tensor:
        streams.append(stream)
        rates.append(rate)
        return keep(stream, rate, count, device)

    monkeypatch.setattr(eager, "keep", watching)
    design = seq(
        conv(4, dropout=0.1), drop(0.2, per="channel"), conv(4, dropout=0.1), gap(), linear(10)
    )
    trained(task(design, Recipe(batch_size=64, ema=0.9), epochs=2))
    assert len(streams) == 3 * 4 * 2  # dropouts, batches, epochs
    assert len(set(streams)) == len(streams)
    assert rates == [0.1, 0.2, 0.1] * 8


@only_torch
def test_dropout_inside_a_residual_is_keyed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module = build(parse("conv(4) residual(conv(4,dropout=0.5)) gap linear(10)"), (1, 8, 8))
    eager._key_dropouts(module)
    kinds = [type(part) for part in module.modules()]
    assert kinds.count(eager.KeyedDropout) == 1
    assert nn.Dropout not in kinds


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, -1, 3])
def test_an_epoch_that_the_task_does_not_have(epoch: int) -> None:
    with pytest.raises(ArgumentError, match=rf"^`epoch` must be .* 1 to 2, .* epoch={epoch}$"):
        run_epoch(task(epochs=2), None, epoch)


def test_a_missing_or_a_superfluous_state_is_refused() -> None:
    a = task(epochs=3)
    message = r"^`state` must be None at epoch 1 and only there, but got epoch={}$"
    with pytest.raises(ArgumentError, match=message.format(2)):
        run_epoch(a, None, 2)
    state, _ = run_epoch(a, None, 1)
    with pytest.raises(ArgumentError, match=message.format(1)):
        run_epoch(a, state, 1)


GIVEN = "^`state` must be what epoch 1 of this task gave"


def test_a_state_of_another_epoch_or_task() -> None:
    a = task(epochs=3)
    state, _ = run_epoch(a, None, 1)
    with pytest.raises(
        ArgumentError,
        match=r"^`state` must be what epoch 2 of this task gave, "
        r"with 14 steps done, but got 7$",
    ):
        run_epoch(a, state, 3)
    for other in (
        dataclasses.replace(a, design=parse("conv(4) gap linear(10)")),
        dataclasses.replace(a, design=seq(*NET.parts[:3], conv(8), *NET.parts[3:])),
        dataclasses.replace(a, recipe=Recipe(optimizer="adam", batch_size=32)),
        dataclasses.replace(a, recipe=Recipe(batch_size=32, momentum=0)),
        dataclasses.replace(a, recipe=Recipe(batch_size=32, ema=0.9)),
    ):
        with pytest.raises(ArgumentError, match=GIVEN + ", but: "):
            run_epoch(other, state, 2)
    for lost in ("run.step", "run.plateau", "model.0.conv.weight"):
        with pytest.raises(ArgumentError, match=GIVEN):
            run_epoch(a, {k: v for k, v in state.items() if k != lost}, 2)


# Divergence, plateau, time ----------------------------------------------------------------------


def test_a_diverged_epoch_says_so_and_does_not_fail() -> None:
    straight = conv(6, norm="none", act="none")
    design = seq(straight, straight, straight, gap(), linear(10))
    _, results = trained(task(design, Recipe(lr=100, batch_size=32, schedule="constant")))
    assert results[-1].diverged
    assert not math.isfinite(results[-1].train_loss)
    assert 0 <= results[-1].correct <= 60
    assert not trained(task())[1][-1].diverged


def test_the_plateau_remembers_from_epoch_to_epoch() -> None:
    """At a rate of 1e-8 the loss stays constant: no later epoch is better than the first."""
    recipe = Recipe(lr=1e-8, batch_size=300, momentum=0, schedule="plateau", gamma=0.1, patience=1)
    design = seq(conv(4, norm="none"), gap(), linear(10))
    _, results = trained(task(design, recipe, epochs=7))
    assert [r.learning_rate for r in results] == pytest.approx(
        [1e-8, 1e-8, 1e-8, 1e-9, 1e-9, 1e-10, 1e-10]
    )


def test_seconds_per_epoch_is_a_plausible_number() -> None:
    threads = torch.get_num_threads()
    for recipe in (Recipe(batch_size=16), Recipe(batch_size=5000, ema=0.9)):
        seconds = seconds_per_epoch(task(recipe=recipe, data=load("digits")))
        assert 0 < seconds < 60
    assert torch.get_num_threads() == threads


def test_the_time_is_scaled_to_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock ticks once per reading. Timed are 24 of 45 batches, 360 of 360 test images."""
    clock = iter(range(100))
    monkeypatch.setattr(room.time, "perf_counter", lambda: float(next(clock)))
    data = load("digits")
    assert seconds_per_epoch(task(recipe=Recipe(batch_size=32), data=data)) == pytest.approx(
        1437 / 768 + 1
    )
    averaging = task(recipe=Recipe(batch_size=32, ema=0.9), data=data)
    # the raw weights are evaluated after one epoch of all
    expected = 1437 / 768 + 1 + 1 / averaging.epochs
    assert seconds_per_epoch(averaging) == pytest.approx(expected)


# A layer kind of the user's own -----------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the layer kinds that a test registers."""
    for owner, name in (
        (parts, "_KINDS"),
        (parts, "_NAMES"),
        (lowering, "_COSTINGS"),
        (modules, "_MAKERS"),
    ):
        monkeypatch.setattr(owner, name, dict(getattr(owner, name)))


@dataclass(frozen=True, slots=True, repr=False)
class Mixer(Layer):
    """A head with weights, dropout on features and batch norm of its own."""

    out: int = integer()


class MixerModule(nn.Module):
    def __init__(self, layer: Mixer, shape: Shape) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(shape[0], 1, 1))
        time.sleep(0.02)  # another thread may draw meanwhile
        self.shift = nn.Parameter(torch.randn(shape[0], 1, 1))
        self.alpha = nn.Parameter(torch.ones(()))
        self.linear = nn.Linear(shape[0], layer.out)
        self.norm = nn.BatchNorm1d(layer.out)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.norm(self.linear((x * self.scale + self.shift).mean((2, 3))))
        return self.alpha * self.drop(features)[:, :, None, None]


def _mixer_cost(layer: Mixer, shape: Shape) -> Local:
    return Local(
        (layer.out, 1, 1),
        params=2 * shape[0] + 1 + (shape[0] + 3) * layer.out,
        macs=shape[0] * layer.out,
        extent=max(shape[1:]),
    )


@pytest.fixture
def mixed(registry: None) -> Iterator[Seq]:
    register("mixer", Mixer, cost=_mixer_cost, module=MixerModule)
    yield seq(conv(6), maxpool(), Mixer(12), linear(10))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_users_own_layer_trains_purely(mixed: Seq, optimizer: str) -> None:
    a = task(mixed, Recipe(optimizer=optimizer, lr=0.02, batch_size=32, ema=0.9), epochs=3)
    state, results = trained(a)
    assert results[-1].train_loss < results[0].train_loss
    torch.manual_seed(99)
    again, shown = trained(a)
    assert same(state, again)
    assert timeless(results) == timeless(shown)
    assert not same(state, trained(dataclasses.replace(a, seed=4))[0])


def test_the_weights_of_a_users_own_layer_do_not_depend_on_other_threads(mixed: Seq) -> None:
    tasks = [task(mixed, Recipe(batch_size=128), epochs=1, seed=seed) for seed in range(6)]
    alone = [trained(a)[0] for a in tasks]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda a: trained(a)[0], tasks))
    assert all(map(same, alone, together))
    assert torch.equal(torch.get_rng_state(), before)
    assert threading.active_count() < 50


def test_the_oracle_can_tell_models_apart() -> None:
    """`close` and `same` fail if they should."""
    state, _ = trained(task())
    wrong = {k: v + 1e-2 if "conv" in k else v for k, v in state.items()}
    assert not same(state, wrong)
    with pytest.raises(AssertionError, match="conv"):
        close(
            {k: v for k, v in wrong.items() if k.startswith("model.")},
            plain_loop(task(), few(), 2).model,
        )
    assert copy.copy(state) is not state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": parse("gap linear(5)")}, "the output must be 10x1x1, .* but got 5x1x1"),
        ({"design": parse("gap linear(12)")}, "the output must be 10x1x1, .* but got 12x1x1"),
        (
            {"engine": "jax"},
            "`engine` must be one of auto, native, torch, surrogate, but got engine='jax'",
        ),
    ],
)
def test_an_invalid_task_is_refused(change: dict[str, Any], message: str) -> None:
    good = Task(parse("gap linear(10)"), parse_recipe("recipe()"), DIGITS, 1, 0)
    with pytest.raises((ArgumentError, DesignError), match=message):
        run_epoch(dataclasses.replace(good, **change), None, 1)
