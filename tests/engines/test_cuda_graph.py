"""The engine for GPUs, on the processor: its step is one function of tensors, wherever it runs.

What a CUDA graph does with that function is imitated by tracing: `make_fx` records its operations
once, with every Python number as it was, and runs the record for the other batches. What a graph
may not hold is looked for on the `meta` device, where every operation passes by without values.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tiny import arguments
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.optim import adam, sgd
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from lightsearch.data.named import load
from lightsearch.data.references import DataRef
from lightsearch.design import parts
from lightsearch.design.recipe import Recipe
from lightsearch.engines import cuda_graph as room
from lightsearch.engines import cuda_stream, resident
from lightsearch.engines.cuda_graph import Captured
from lightsearch.engines.engine import Batch, State
from lightsearch.engines.pytorch import Eager, _on_device
from lightsearch.engines.selection import parse_engine, parse_precision
from lightsearch.engines.stopping import EpochStopped, StopFlag, heed
from lightsearch.errors import ArgumentError
from lightsearch.network import lowering, modules
from lightsearch.network.modules import register
from lightsearch.network.operations import Local
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key, permutation
from lightsearch.training.epoch import run_epoch
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task
from lightsearch.workers.slot import InlineSlot

training = importlib.import_module("lightsearch.training.epoch")
DIGITS = DataRef("digits", "b63efdd1b04b8e02")
DROPPING = "conv(6,dropout=0.1) maxpool conv(8,dropout=0.2,per=channel) gap linear(10)"
EVERYTHING = (
    "recipe(lr=0.2,batch=256,decay=0.0005,rotation=8,shift=0.05,scale=0.1,shear=5,"
    "erasing=0.2,flip=0.4,brightness=0.2,contrast=0.2,smoothing=0.1,ema=0.98)"
)
RECIPES = {
    "everything": EVERYTHING,
    "adam": "recipe(adam,lr=0.01,batch=256,plateau,patience=0,decay=0.01,rotation=8,ema=0.9)",
    "adamw": "recipe(adamw,lr=0.01,batch=256,decay=0.01)",
    "weights alone": "recipe(lr=0.1,batch=256,decay=0.1,decay_on=weights,erasing=0.4,fill=own)",
    "mean colour": "recipe(lr=0.1,batch=256,rotation=9,flip=0.5,erasing=0.6,fill=mean)",
    "plain": "recipe(lr=0.1,batch=100,momentum=0,step,step=1,gamma=0.3)",
    "a last image alone": "recipe(lr=0.1,batch=359,ema=0.9)",
    "one batch": "recipe(lr=0.1,batch=2000)",
}


def engine(design: str = DROPPING, recipe: str = EVERYTHING, **how: Any) -> Captured:
    how = {"device": "cpu", **how}
    return Captured(parse(design), parse_recipe(recipe), load("digits"), 5, **how)


def batches(size: int, rate: float = 0.01, count: int = 1437, seed: int = 1) -> list[Batch]:
    """An epoch's: every step has another rate, other streams and another weight."""
    order = permutation(key(seed, "shuffle"), count)
    return [
        Batch(
            images,
            rate * (index + 1),
            key(seed, "augment", index),
            key(seed, "dropout", index),
            0.9 / (index + 1),
        )
        for index, images in enumerate(order.split(size))
    ]


def same(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    resident.forget()
    yield
    resident.forget()


# The same training as the PyTorch engine's ------------------------------------------------------


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run_epoch` trains as on a GPU, but here."""
    monkeypatch.setattr(
        training, "start", lambda name, *rest: room.resident(*rest[:6])
    )  # no teacher


def trained(task: Task, upto: int) -> tuple[State, list[EpochResult]]:
    state: State | None = None
    results = []
    for epoch in range(1, upto + 1):
        state, result = run_epoch(task, state, epoch, raw=True)
        results.append(result)
    assert state is not None
    return state, results


@pytest.mark.parametrize("case", RECIPES)
def test_epochs_agree_with_the_pytorch_engine(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(parse(DROPPING), parse_recipe(RECIPES[case]), DIGITS, 3, 5, "torch")
    state, results = trained(task, 2)
    monkeypatch.setattr(
        training, "start", lambda name, *rest: room.resident(*rest[:6])
    )  # no teacher
    found, shown = trained(task, 2)
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(
            found[name], value, atol=2e-5, rtol=2e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    for one, two in zip(results, shown, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-5)
        assert abs(one.train_correct - two.train_correct) <= 2
        assert abs(one.correct - two.correct) <= 2
        assert abs(one.raw_correct - two.raw_correct) <= 2
        assert (one.learning_rate, one.total) == (two.learning_rate, two.total)


def test_all_but_the_optimizer_agrees_to_the_bit() -> None:
    """At a rate of zero the weights stay: images, masks, gradients and statistics are compared."""
    mine = engine()
    theirs = Eager(parse(DROPPING), parse_recipe(EVERYTHING), load("digits"), 5)
    for one in (mine, theirs):
        one.begin()
        one.train(batches(256, rate=0.0))
    for a, b in zip(mine.parameters, theirs.parameters, strict=True):
        assert a.grad is not None and b.grad is not None
        assert torch.equal(a.grad, b.grad)
    assert mine.totals() == theirs.totals()
    found, expected = mine.state(), theirs.state()
    assert all(
        torch.equal(found[name], expected[name]) for name in expected if name.startswith("model.")
    )


def test_the_state_of_one_engine_is_gone_on_with_by_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Task(parse(DROPPING), parse_recipe(RECIPES["adam"]), DIGITS, 2, 5, "torch")
    first, _ = run_epoch(task, None, 1)
    expected, _ = run_epoch(task, first, 2)
    monkeypatch.setattr(
        training, "start", lambda name, *rest: room.resident(*rest[:6])
    )  # no teacher
    found, _ = run_epoch(task, first, 2)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-5, rtol=2e-4)


# Captured once, replayed ------------------------------------------------------------------------


def record(one: Captured) -> list[int]:
    """Let `one` replay a trace of its step; gives the replays, counted."""
    replays: list[int] = []

    def recorded() -> Callable[[], None]:
        step = functools.partial(one._step, one.recipe.batch_size)
        one._rehearse(step)
        before = [(tensor, tensor.clone()) for tensor in one._list_changing()]
        graph = make_fx(step)()  # runs it too, which a capture does not
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)

        def replay() -> None:
            replays.append(1)
            with torch.no_grad():
                graph()

        return replay

    one._record_step = recorded  # type: ignore[method-assign]
    return replays


@pytest.mark.parametrize("recipe", [EVERYTHING, RECIPES["adamw"]])
def test_a_recorded_step_replayed_is_the_step_itself(recipe: str) -> None:
    """Nothing that changes from step to step was kept as a number, and no tensor has moved."""
    direct, traced = engine(recipe=recipe), engine(recipe=recipe)
    replays = record(traced)
    states = []
    for one in (direct, traced):
        one.begin()
        one.train(batches(256))
        first = one.state(), one.totals(), one.evaluate(averaged=True)
        one.load(first[0])  # as the next epoch does
        one.train(batches(256, seed=2))
        states.append((first, one.state(), one.totals()))
    assert len(replays) == 2 * (1437 // 256)
    (one, last, told), (other, its_last, its_told) = states
    assert same(one[0], other[0]) and one[1:] == other[1:]
    assert same(last, its_last) and told == its_told
    assert not same(one[0], last)


def test_several_steps_together_are_the_steps_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times two of seven full batches, then one, then a smaller one."""
    found = []
    for together in (2, 8):
        monkeypatch.setattr(room, "TOGETHER", together)
        one = engine(recipe="recipe(lr=0.1,batch=200,rotation=8,ema=0.9)")
        one.begin()
        for seed in (1, 2):
            one.train(batches(200, seed=seed))
        assert ("together" in one.replays) is (together == 2)
        assert 37 in one.replays and 200 not in one.replays
        found.append((one.state(), one.totals(), one.evaluate(averaged=True)))
    assert same(found[0][0], found[1][0]) and found[0][1:] == found[1][1:]


def test_a_number_that_was_kept_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of the check: with the rate as a number, the replay goes wrong."""
    whole = Captured._step

    steps = iter(range(100))

    def careless(self: Captured, count: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = 0.01 * (1 + next(steps))
        whole(self, count)

    recipe = "recipe(lr=0.1,batch=256,momentum=0)"
    direct, traced = engine(recipe=recipe), engine(recipe=recipe)
    record(traced)
    monkeypatch.setattr(Captured, "_step", careless)
    for one in (direct, traced):
        steps = iter(range(100))
        one.begin()
        one.train(batches(256))
    assert not same(direct.state(), traced.state())


@pytest.mark.parametrize("case", ["everything", "adam"])
def test_a_rehearsal_leaves_nothing_behind(case: str) -> None:
    one = engine(recipe=RECIPES[case])
    one.begin()
    one.train(batches(256))
    one.tables.tell(batches(256, seed=2))
    before, told = one.state(), one.totals()
    places = [tensor.data_ptr() for tensor in one._list_changing()]
    one._rehearse(functools.partial(one._step, 256))
    assert same(one.state(), before) and one.totals() == told
    assert (int(one.tables.step), int(one.tables.first)) == (0, 0)
    assert [tensor.data_ptr() for tensor in one._list_changing()] == places
    assert all(parameter.grad is None for parameter in one.parameters)
    one._step(256)
    assert not same(one.state(), before)


def test_a_trial_keeps_its_engine_from_epoch_to_epoch_and_it_is_only_a_cache(
    on_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    whole = Captured._make_memory
    monkeypatch.setattr(Captured, "_make_memory", lambda self: (made.append(1), whole(self))[1])
    recipe = parse_recipe(RECIPES["adam"])
    one, two = (Task(parse(DROPPING), recipe, DIGITS, 3, seed, "torch") for seed in (1, 2))
    alone = [trained(task, 3)[0] for task in (one, two)]
    assert len(made) == 2
    states: list[State | None] = [None, None]
    for epoch in (1, 2, 3):  # in turns: each epoch on a fresh engine
        for index, task in enumerate((one, two)):
            states[index], _ = run_epoch(task, states[index], epoch)
    assert len(made) == 8
    for mine, theirs in zip(alone, states, strict=True):
        assert theirs is not None and same(mine, theirs)
    for _ in range(2):  # again from the beginning, on an engine that has trained
        assert same(trained(two, 3)[0], alone[1])
    run_epoch(dataclasses.replace(two, recipe=Recipe(batch_size=256)), None, 1)
    assert len(made) == 9


def test_every_thread_has_an_engine_of_its_own() -> None:
    given = (parse(DROPPING), parse_recipe(EVERYTHING), load("digits"), 5, "cpu", "float32")
    found = [room.resident(*given)]
    thread = threading.Thread(target=lambda: found.append(room.resident(*given)))
    thread.start()
    thread.join()
    assert found[0] is room.resident(*given)
    assert found[1] is not found[0]


def test_an_epoch_heeds_the_flag_that_it_runs_under() -> None:
    given = (parse(DROPPING), parse_recipe(EVERYTHING), load("digits"), 5, "cpu", "float32")
    one, flag = room.resident(*given), StopFlag()
    one.begin()
    one.train(batches(256))
    with heed(flag):
        assert room.resident(*given) is one
        flag.set()
        with pytest.raises(EpochStopped):
            one.train(batches(256))
        with pytest.raises(EpochStopped):
            one.evaluate(averaged=True)
    room.resident(*given).train(batches(256))


# What a graph may not hold ----------------------------------------------------------------------

READING = (
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "lift_fresh",
    "repeat_interleave",
    "pin_memory",
)


class Watched(TorchDispatchMode):
    """Refuses what waits for the device, depends on values, or comes from main memory."""

    def __init__(self, one: Captured) -> None:
        super().__init__()
        self.device, self.seen = one.device, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name.rstrip("_") not in READING, f"{func} waits for the device, or copies from here"
        for tensor in pytree.tree_leaves((args, kwargs)) if name.startswith("index") else ():
            assert getattr(tensor, "dtype", None) != torch.bool, f"{func} by a mask"
        result = None
        if name.startswith("_fused_"):  # which has no meta kernel
            assert func._overloadname == "tensor_lr", "the learning rate is a number"
        else:
            result = func(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves((args, kwargs, result)):
            if isinstance(tensor, Tensor):
                assert tensor.device == self.device, f"{func} has a tensor elsewhere"
        self.seen += 1
        return result


class Made(TorchFunctionMode):
    """Refuses tensors made of numbers: PyTorch before 2.15 does not dispatch those of "meta"."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor), f"{func} is filled from elsewhere"
        return func(*args, **(kwargs or {}))


def watched_step(one: Captured) -> Watched:
    one.begin()
    _on_device(one.data, "train", one.device)  # the images, once for a process
    with Made(), Watched(one) as watched:
        one._step(one.recipe.batch_size)
    return watched


DESIGNS = [
    DROPPING,
    "conv(6,k=5,bias,act-norm) depthwise(act=silu) separable(8,act=gelu) avgpool gate "
    "conv(8,groups=2,act=hardswish,norm=none) gap dropout(0.3) linear(12) linear(10)",
    "conv(6) residual([conv(8,stride=2,dropout=0.1)],project) se maxpool(k=3,stride=1,p=1) "
    "residual(conv(8)) linear(10)",
    "conv(6) loop([separable(6,dropout=0.1) residual(conv(6,act-norm))],3) maxpool "
    "loop([depthwise conv(6,k=1)],2,depthwise) gap linear(10)",
]


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused optimizers refuse to be made with meta tensors."""
    for part in (sgd, adam):
        if hasattr(part, "_device_dtype_check_for_fused"):
            monkeypatch.setattr(part, "_device_dtype_check_for_fused", lambda *given: None)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("case", ["everything", "adam", "adamw", "plain"])
def test_the_step_is_legal_in_a_graph(design: str, case: str, meta: None) -> None:
    one = engine(design, RECIPES[case], device="meta")
    assert one.record
    assert watched_step(one).seen > 100


def test_a_step_in_bf16_waits_for_nothing_either() -> None:
    assert watched_step(engine(precision="bf16")).seen > 100


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda self: float(self.loss),
        lambda self: self.loss.add_(torch.tensor(1.0)),  # a number of main memory
        lambda self: self.tables.order[self.tables.order > 3],
        lambda self: torch.tensor([1.0], device=self.device),
        lambda self: self.tables.rates + torch.ones(()),  # taken along as it was at the capture
        lambda self: torch._fused_sgd_(
            [self.tables.rates],
            [self.tables.rates],
            [],
            weight_decay=0.0,
            momentum=0.0,
            lr=0.1,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=True,
        ),
    ],
)
def test_what_is_not_legal_is_seen(
    spoilt: Callable[[Captured], Any], meta: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = engine(device="meta")
    monkeypatch.setattr(one, "_follow", lambda towards: spoilt(one))
    with pytest.raises(AssertionError, match=r"waits for|elsewhere|mask|a number"):
        watched_step(one)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for owner, name in (
        (parts, "_KINDS"),
        (parts, "_NAMES"),
        (lowering, "_COSTINGS"),
        (modules, "_MAKERS"),
    ):
        monkeypatch.setattr(owner, name, dict(getattr(owner, name)))


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Halves(parts.Layer):
    """A user's own layer."""


@pytest.mark.parametrize("design", ["halves gap linear(10)", "residual([halves]) gap linear(10)"])
def test_a_users_own_layer_is_not_recorded(registry: None, design: str) -> None:
    register(
        "halves",
        Halves,
        cost=lambda layer, shape: Local(shape),
        module=lambda layer, shape: torch.nn.Hardtanh(0.0, 0.5),
    )
    one = engine(design)
    assert not one.record
    one.begin()
    one.train(batches(256))
    assert one.replay is None
    assert one.totals()[1] > 0


# Precision --------------------------------------------------------------------------------------


def test_bf16_trains_nearly_as_float32_does_and_says_so(on_gpu: None) -> None:
    task = Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 1, 5, "torch")
    exact, shown = run_epoch(task, None, 1)
    state, result = run_epoch(dataclasses.replace(task, precision="bf16"), None, 1)
    assert (shown.engine, result.engine) == ("torch", "torch-bf16")
    assert not same(state, exact)
    assert all(value.dtype == exact[name].dtype for name, value in state.items())
    assert result.train_loss == pytest.approx(shown.train_loss, rel=0.02)
    assert result.train_loss != shown.train_loss


def test_bf16_on_a_processor_is_the_eager_engines_too() -> None:
    task = Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 1, 5, "torch")
    _, shown = run_epoch(task, None, 1)
    _, result = run_epoch(dataclasses.replace(task, precision="bf16"), None, 1)
    assert result.engine == "torch-bf16"
    assert result.train_loss == pytest.approx(shown.train_loss, rel=0.02)
    assert result.train_loss != shown.train_loss


@pytest.mark.parametrize(
    ("engine_name", "precision", "message"),
    [
        (
            "native",
            "bf16",
            "`precision` must be float32 with engine='native', but got precision='bf16'",
        ),
        (
            "torch",
            "tf32",
            "`precision` must be float32 or bf16 on a cpu device, but got precision='tf32'",
        ),
        (
            "torch",
            "half",
            "`precision` must be one of float32, tf32, bf16, but got precision='half'",
        ),
    ],
)
def test_a_precision_that_is_not_there(engine_name: str, precision: str, message: str) -> None:
    from lightsearch.engines.selection import check_precision

    with pytest.raises(ArgumentError, match=f"^{message}$"):
        check_precision(precision, engine_name, "cpu")
    task = Task(parse(DROPPING), Recipe(), DIGITS, 1, 5, "torch", precision="tf32")
    with pytest.raises(ArgumentError, match="on a cpu device"):
        run_epoch(task, None, 1)
    assert check_precision("tf32", "torch", "cuda") == "tf32"


@pytest.mark.parametrize(
    ("label", "name", "precision"),
    [
        ("torch", "torch", "float32"),
        ("torch-bf16", "torch", "bf16"),
        ("torch-tf32", "torch", "tf32"),
        ("torch-triton", "torch", "float32"),
        ("native-v3", "native", "float32"),
        ("native-plain", "native", "float32"),
    ],
)
def test_a_record_names_engine_and_precision(label: str, name: str, precision: str) -> None:
    assert (parse_engine(label), parse_precision(label)) == (name, precision)


def test_pytorchs_flags_are_set_for_the_time_of_the_work_and_given_back() -> None:
    before = cuda_stream.read_flags()
    with cuda_stream.FLAGS.hold(tf32=False):
        assert cuda_stream.read_flags() == (False, True, False, False)
        with cuda_stream.FLAGS.hold(tf32=False):  # as another thread would
            pass
        assert cuda_stream.read_flags() == (False, True, False, False)
    assert cuda_stream.read_flags() == before
    with cuda_stream.FLAGS.hold(tf32=True):
        assert cuda_stream.read_flags() == (True, True, False, False)
    assert cuda_stream.read_flags() == before
    assert before[0]  # else none of this shows that TF32 was switched off


# Memory -----------------------------------------------------------------------------------------


class _Full:
    """A GPU with no memory left, from the `after`-th step on."""

    def __init__(self, after: int = 0) -> None:
        self.left = after

    def __call__(self, one: Captured, count: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 "
                "has 5.00 MiB free.\nIf reserved memory is large ..."
            )


def test_a_gpu_without_memory_is_named_and_the_engine_let_go(
    on_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = _Full()
    monkeypatch.setattr(Captured, "_step", lambda self, count: full(self, count))
    task = Task(parse(DROPPING), parse_recipe(EVERYTHING), DIGITS, 1, 5, "torch")
    message = (
        r"^there is not enough memory on the GPU .*: fewer trials at once "
        r"\(`slots_per_gpu`\) take less\. PyTorch said: CUDA out of memory\. .* free\.$"
    )
    with pytest.raises(MemoryError, match=message):
        run_epoch(task, None, 1)
    assert resident._KEPT.engine is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU replays a graph, without `_step`")
def test_the_record_of_a_search_has_the_reason(
    on_gpu: None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first trial runs out of memory in its second epoch; the search goes on without it."""
    from lightsearch import api

    whole, full = Captured._step, _Full(after=30)

    def step(self: Captured, count: int) -> None:
        if 0 <= full.left:
            full(self, count)
        whole(self, count)

    monkeypatch.setattr(Captured, "_step", step)
    monkeypatch.setattr(api, "local_slots", lambda *given, **more: [InlineSlot()])
    result = api.search(
        **arguments(study=tmp_path, engine="torch", epochs=2, trials=2, pruner="none")
    )
    assert [trial.outcome for trial in result.records] == ["failed", "complete"]
    reason = result.records[0].reason
    assert reason.startswith("MemoryError: there is not enough memory on the GPU")
    assert len(result.records[0].epochs) == 1
