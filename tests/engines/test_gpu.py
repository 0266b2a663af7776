"""The engine on a GPU, against the one on the processor. Skipped where there is no CUDA device.

What can be shown without one is in test_cuda_graph.py, test_triton_layers.py and test_devices.py.
In float32 our own kernels compute if Triton works here, else and with `own=False` cuDNN's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import steps
import torch
from tiny import arguments, outcome

from lightsearch import api
from lightsearch.data.dataset import make_dataset
from lightsearch.data.named import load
from lightsearch.data.references import DataRef, save
from lightsearch.engines import cuda_graph as room
from lightsearch.engines import cuda_stream, resident
from lightsearch.engines.augment import augment
from lightsearch.engines.cuda_graph import Captured
from lightsearch.engines.cuda_stream import use_stream
from lightsearch.engines.engine import Batch, State
from lightsearch.engines.pytorch import Eager
from lightsearch.engines.selection import engine_label
from lightsearch.engines.teacher import make_teacher
from lightsearch.network.modules import build
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import bits, keep, key, permutation, uniform
from lightsearch.training.epoch import run_epoch
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

DIGITS = DataRef("digits", "b63efdd1b04b8e02")
DESIGNS = [
    "conv(6,dropout=0.1) maxpool conv(8,dropout=0.2,per=channel) gap linear(10)",
    "conv(6,k=5,bias,act-norm) depthwise(act=silu) separable(8,act=gelu) avgpool gate "
    "conv(8,groups=2,act=hardswish) gap linear(12) linear(10)",
    "conv(6) residual([conv(8,stride=2)],project) se residual(conv(8)) linear(10)",
    # smooth: with ReLU the first gradients differ by 3% between float32 and float64
    "conv(6,silu) loop([separable(6,silu,dropout=0.1) residual(conv(6,silu,act-norm))],3) avgpool "
    "loop([depthwise(silu) conv(6,k=1,silu)],2,depthwise) gap linear(10)",
]
AWKWARD = [  # layers that our own kernels leave to PyTorch, beside those that they compute
    "conv(6,d=2) conv(6,k=3x1) maxpool conv(6,reflect) conv(8,circular) adaptive(2) linear(10)",
    "conv(6,norm=group,ng=2) conv(8,norm=layer,act=leakyrelu) concat([conv(4)],[conv(4,k=1)]) "
    "shuffle(4) conv(8,norm=none,act=prelu) gap linear(10)",
    "conv(6,replicate,d=2,affine=shift) inverted(8,e=2) norm(affine=none) adaptive(2,max) "
    "linear(10)",
]
EVERYTHING = (
    "recipe(lr=0.05,batch=256,decay=0.0005,rotation=8,shift=0.05,scale=0.1,shear=5,"
    "erasing=0.2,flip=0.4,brightness=0.2,contrast=0.2,smoothing=0.1,ema=0.98)"
)
RECIPES = [
    EVERYTHING,
    "recipe(adam,lr=0.005,batch=256,plateau,patience=0,decay=0.01,ema=0.9)",
    "recipe(adamw,lr=0.005,batch=256,decay=0.01)",
    "recipe(lr=0.05,batch=100,momentum=0)",
]
NEWER = [
    "recipe(lr=0.05,batch=256,rotation=8,erasing=0.5,fill=own,clean=0.5,decay=0.001,decay_on=weights)",
    "recipe(lr=0.05,batch=256,flip=0.5,shift=0.1,erasing=0.5,fill=mean,ema=0.9)",
]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    resident.forget()
    yield
    resident.forget()


def task(design: str = DESIGNS[0], recipe: str = EVERYTHING, **more: object) -> Task:
    one = Task(parse(design), parse_recipe(recipe), DIGITS, 3, 5, "torch", "cuda")
    return dataclasses.replace(one, **more)  # type: ignore[arg-type]


def trained(one: Task, upto: int = 2, *, cached: bool = True) -> tuple[State, list[EpochResult]]:
    state: State | None = None
    results = []
    for epoch in range(1, upto + 1):
        if not cached:
            resident.forget()
        state, result = run_epoch(one, state, epoch)
        results.append(dataclasses.replace(result, seconds=0.0))
    assert state is not None
    return state, results


def engine(**how: object) -> Captured:
    return Captured(parse(DESIGNS[0]), parse_recipe(EVERYTHING), load("digits"), 5, "cuda", **how)  # type: ignore[arg-type]


def batches(size: int = 256) -> list[Batch]:
    return [
        Batch(images, 0.01 * (index + 1), key(1, index), key(2, index), 0.5)
        for index, images in enumerate(permutation(3, 1437).split(size))
    ]


def same(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


# The processor's engine is the judge ------------------------------------------------------------


def test_the_random_streams_are_the_same() -> None:
    assert torch.equal(bits(7, 1000), bits(7, 1000, "cuda").cpu())
    assert torch.equal(uniform(7, 5, 100), uniform(7, 5, 100, device="cuda").cpu())
    assert torch.equal(keep(7, 0.3, 1001), keep(7, 0.3, 1001, "cuda").cpu())
    assert torch.equal(permutation(7, 1437), permutation(7, 1437, "cuda").cpu())


def test_augmented_images_are_the_same() -> None:
    recipe = parse_recipe(EVERYTHING)
    images = load("digits").train[0][:200].float() / 255
    torch.testing.assert_close(
        augment(images.cuda(), recipe, 9).cpu(), augment(images, recipe, 9), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("design", DESIGNS)
def test_gradients_agree(design: str, own: bool) -> None:
    """Of one batch at a rate of zero, in float32 on both: convolutions are not in TF32."""
    found = []
    for one in (
        Captured(parse(design), parse_recipe(EVERYTHING), load("digits"), 5, "cuda", own=own),
        Eager(parse(design), parse_recipe(EVERYTHING), load("digits"), 5),
    ):
        one.begin()
        one.train([dataclasses.replace(batches()[0], rate=0.0)])
        one.totals()  # waits for the engine's stream, which the copy below does not
        found.append([p.grad.cpu() for p in one.parameters if p.grad is not None])
    for mine, theirs in zip(*found, strict=True):
        scale = float(theirs.abs().max()) + 1e-3
        torch.testing.assert_close(mine, theirs, atol=2e-4 * scale, rtol=0)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("design", DESIGNS)
def test_epochs_agree(design: str, recipe: str) -> None:
    agree(task(design, recipe))


@pytest.mark.parametrize("design", AWKWARD)
def test_epochs_of_other_layers_agree(design: str) -> None:
    agree(task(design, RECIPES[2]))


@pytest.mark.parametrize("recipe", NEWER)
def test_epochs_of_other_recipes_agree(recipe: str) -> None:
    agree(task(DESIGNS[1], recipe))


@pytest.mark.usefixtures("registry")
def test_own_steps_agree() -> None:
    steps.register()
    names = "optimizer=like_adam,loss=like_cross_entropy,augmentation=unchanged"
    agree(task(recipe=f"recipe(lr=0.005,batch=256,rotation=8,ema=0.9,{names})"))


@pytest.mark.usefixtures("registry")
def test_own_steps_that_draw_repeat() -> None:
    """What they draw is another on a GPU, but follows from the seed there too."""
    steps.register()
    one = task(recipe="recipe(lr=0.005,batch=256,optimizer=noisy,augmentation=speckled)")
    (first, shown), (again, repeated) = (trained(one) for _ in range(2))
    assert same(first, again) and shown == repeated
    assert shown[-1].engine == "torch"


def test_a_teacher_is_learned_from() -> None:
    teacher = make_teacher(build(parse("conv(8) maxpool conv(12) gap linear(10)"), (1, 8, 8)))
    agree(task(recipe="recipe(lr=0.05,batch=256,rotation=8,distill=0.5)", teacher=teacher))


def agree(one: Task) -> None:
    """Two epochs have nearly the loss of the processor's, and each goes on from the other's."""
    state, results = trained(one)
    expected, shown = trained(dataclasses.replace(one, device="cpu"))
    assert state.keys() == expected.keys()
    for mine, theirs in zip(results, shown, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=5e-3)
        assert abs(mine.correct - theirs.correct) <= 0.03 * theirs.total
    on, _ = run_epoch(one, expected, 3)
    back, _ = run_epoch(dataclasses.replace(one, device="cpu"), state, 3)
    assert on.keys() == back.keys()


# Capture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_replayed_graph_is_the_step_run_directly(
    recipe: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second epoch several steps, the smaller batch and evaluations are replayed too."""
    monkeypatch.setattr(room, "TOGETHER", 2)
    found = []
    for record in (True, False):
        one = Captured(
            parse(DESIGNS[0]),
            parse_recipe(recipe),
            load("digits"),
            5,
            "cuda",
            record=record,
            own=own,
        )
        one.begin()
        for _ in range(2):
            one.train(batches(one.recipe.batch_size))
            shown = one.evaluate(averaged=True), one.evaluate(averaged=False)
            found.append((one.state(), one.totals(), shown))
        assert (one.replay is not None) is record
        assert len(one.replays) == (4 if one.average is not None else 3) * record
    for replayed, direct in zip(found[:2], found[2:], strict=True):
        assert same(replayed[0], direct[0])
        assert replayed[1:] == direct[1:]


def test_our_own_kernels_compute_in_float32() -> None:
    pytest.importorskip("triton")  # noqa: TID251 - not on every system, and in no extra
    one, other = engine(), engine(own=False)
    assert one.own is not None and other.own is None
    _, results = trained(task(), 1)
    assert results[0].engine == "torch-triton"


def test_a_rehearsal_leaves_nothing_behind() -> None:
    one = engine()
    one.begin()
    one.train(batches())
    before, told = one.state(), one.totals()
    with use_stream(one.stream, "float32"):
        one.tables.tell(batches())
        one._rehearse(functools.partial(one._step, 256))
    assert same(one.state(), before) and one.totals() == told


def test_epochs_repeat_to_the_bit_and_the_kept_graph_is_only_a_cache() -> None:
    first, shown = trained(task(), 3)
    again, repeated = trained(task(), 3, cached=False)
    assert same(first, again) and shown == repeated


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("record", [True, False])
def test_nothing_inside_an_epoch_waits_for_the_device(record: bool) -> None:
    one = engine(record=record)
    one.begin()
    one.train(batches())
    with use_stream(one.stream, "float32"):
        one.tables.tell(batches())
        try:
            torch.cuda.set_sync_debug_mode("error")  # PyTorch raises where it would wait
            for _ in range(3):
                one.replay() if one.replay is not None else one._step(256)
            one._step(100)  # the last, smaller batch
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert one.totals()[1] > 0


def test_trials_on_streams_of_one_process_do_not_disturb_each_other() -> None:
    tasks = [task(seed=seed) for seed in range(4)]
    alone = [trained(one) for one in tasks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(trained, tasks))
    for (state, results), (other, shown) in zip(alone, together, strict=True):
        assert same(state, other) and results == shown


def test_captures_and_backward_passes_of_threads_keep_apart(tmp_path: Path) -> None:
    """Each trial captures, and each epoch ends with a smaller batch that runs directly."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1500, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.arange(1500) % 10
    data = make_dataset((images[:1200], labels[:1200]), (images[1200:], labels[1200:]))
    save(data, tmp_path / "noise.safetensors")
    where = DataRef(data.name, data.checksum, str(tmp_path / "noise.safetensors"))
    design = "conv(8) conv(14,k=1) maxpool separable(20) separable(32) gap linear(10)"
    tasks = [
        task(design, "recipe(lr=0.05,batch=128,rotation=7,ema=0.98)", data=where, seed=seed)
        for seed in range(8)
    ]
    alone = [trained(one, 3) for one in tasks]
    resident.forget()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(functools.partial(trained, upto=3), tasks))
    for (state, results), (other, shown) in zip(alone, together, strict=True):
        assert same(state, other) and results == shown


# Precision, memory, searches --------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "near"), [("tf32", 0.01), ("bf16", 0.05)])
def test_other_precisions_train_nearly_as_float32(precision: str, near: float) -> None:
    exact, shown = trained(task())
    state, results = trained(task(precision=precision))
    assert results[-1].engine == f"torch-{precision}"
    assert results[-1].train_loss == pytest.approx(shown[-1].train_loss, rel=near)
    if precision == "bf16":  # not every GPU has TF32
        assert not same(state, exact)


def test_a_full_gpu_is_named_and_the_next_trial_goes_on() -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-5)
    try:
        with pytest.raises(MemoryError, match="not enough memory on the GPU"):
            run_epoch(task(recipe="recipe(batch=1000)"), None, 1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    run_epoch(task(), None, 1)


def test_memory_of_earlier_trials_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch keeps the memory of graphs that are gone; without `give_back_unused` it only grows.

    The recipe's images and the design need no cuBLAS, whose workspaces of 32 MiB a stream stay.
    """
    recipe = "recipe(lr=0.05,batch=256,rotation=8,ema=0.9)"
    growth = []
    for share in (1.0, 0.0):
        monkeypatch.setattr(cuda_stream, "UNUSED", share)
        reserved = []
        for seed in range(8):
            trained(task(DESIGNS[0], recipe, seed=seed), 2)
            reserved.append(torch.cuda.memory_reserved())
        growth.append(reserved[-1] - reserved[1])
    assert growth[0] > 0 and growth[1] <= growth[0] / 4


@pytest.mark.slow
def test_a_search_on_a_gpu_repeats(tmp_path: Path) -> None:
    given = arguments(device="cuda", workers=None, slots_per_gpu=2, trials=3)
    one, two = (api.search(**{**given, "study": tmp_path / name}) for name in ("one", "two"))
    assert len(one.records) == 3
    label = engine_label("torch", "float32", "cuda")
    assert one.identity.workers == 2 * torch.cuda.device_count()
    assert {trial.epochs[-1].engine for trial in one.records} == {label}
    assert outcome(one) == outcome(two)
