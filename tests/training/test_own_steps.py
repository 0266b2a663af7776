"""Steps of a recipe that are a user's own: registered, trained with, and equal to the built-in."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import cloudpickle
import pytest
import steps
import torch
from torch import Tensor

from lightsearch import (
    Recipe,
    Task,
    make_dataset,
    parse,
    parse_recipe,
    register_augmentation,
    register_loss,
    register_optimizer,
)
from lightsearch.data.dataset import DataSet
from lightsearch.data.named import load
from lightsearch.data.references import lend
from lightsearch.design import oneof
from lightsearch.design.own_steps import find_step
from lightsearch.engines.engine import State
from lightsearch.engines.native.recipes import is_known
from lightsearch.engines.selection import engine_of
from lightsearch.errors import ArgumentError, DesignError, NotationError
from lightsearch.naming import digest_source
from lightsearch.training.epoch import run_epoch

pytestmark = pytest.mark.usefixtures("registry")
DESIGN = parse("conv(4) maxpool conv(6,dropout=0.1) gap linear(10)")


@pytest.fixture(autouse=True)
def _registered() -> None:
    steps.register()


@pytest.fixture(scope="module")
def few() -> DataSet:
    digits = load("digits")
    return make_dataset(
        (digits.train[0][:130], digits.train[1][:130]),
        (digits.test[0][:50], digits.test[1][:50]),
        name="few",
    )


def trained(recipe: Recipe, data: DataSet, epochs: int = 3) -> tuple[State, list[float]]:
    """The state and the losses of the epochs, each on an engine of its own."""
    task = Task(DESIGN, recipe, lend(data), epochs, 5)
    state: State | None = None
    losses = []
    for epoch in range(1, epochs + 1):
        state, result = run_epoch(task, state, epoch)
        losses.append(result.train_loss)
        assert result.engine == "torch"
    assert state is not None
    return state, losses


SAME = {
    "recipe(lr=0.05,batch=32,decay=0.01,ema=0.9,constant)": "optimizer=like_sgd",
    "recipe(lr=0.05,batch=32)": "optimizer=like_sgd,loss=like_cross_entropy",
    "recipe(adam,lr=0.01,batch=32,decay=0.1)": "optimizer=like_adam",
    "recipe(lr=0.05,batch=32,smoothing=0.2)": "loss=like_cross_entropy",
    "recipe(lr=0.05,batch=32,rotation=9,flip=0.5,erasing=0.3)": "augmentation=unchanged",
}


@pytest.mark.parametrize("built_in", SAME)
def test_a_step_that_does_the_same_trains_to_the_same_bits(built_in: str, few: DataSet) -> None:
    fields = dict(item.split("=") for item in SAME[built_in].split(","))
    recipe = replace(parse_recipe(built_in), **fields)
    task = Task(DESIGN, parse_recipe(built_in), lend(few), 3, 5, "torch")
    state, losses = None, []
    for epoch in (1, 2, 3):
        state, result = run_epoch(task, state, epoch)
        losses.append(result.train_loss)
    assert state is not None
    mine, found = trained(recipe, few)
    assert found == losses
    for name, value in state.items():
        assert torch.equal(mine[name], value), name


def test_what_draws_and_counts_goes_on_from_a_state_as_if_nothing_was(few: DataSet) -> None:
    """One engine that trains all epochs has the optimizer that the states must give back."""
    from lightsearch.engines.extended import Extended
    from lightsearch.training.run import Run

    recipe = Recipe(optimizer="noisy", augmentation="speckled", lr=0.05, batch_size=32, ema=0.9)
    state, losses = trained(recipe, few)
    run = Run(Task(DESIGN, recipe, lend(few), 3, 5), few, Extended(DESIGN, recipe, few, 5))
    run.engine.begin()
    before = torch.get_rng_state()
    for epoch in (1, 2, 3):
        run.train(epoch)
    assert torch.equal(torch.get_rng_state(), before)  # the caller's own generator
    for name, value in run.engine.state().items():
        assert torch.equal(state[name], value), name
    assert {n for n in state if n.startswith("optimizer.group")} == {
        "optimizer.group0.heat#",
        "optimizer.group0.turns#",
    }
    assert int(state["optimizer.group0.turns#"]) == int(state["optimizer.0.seen#"]) == 15
    assert losses == trained(recipe, few)[1]
    assert losses != trained(replace(recipe, augmentation="unchanged"), few)[1]


def test_the_native_engine_leaves_such_recipes_to_pytorch() -> None:
    for changes in ({"optimizer": "noisy"}, {"loss": "like_cross_entropy"}):
        recipe = Recipe(**changes)  # type: ignore[arg-type]
        assert engine_of("auto", DESIGN, recipe, (1, 8, 8), "cpu") == "torch"
    assert not is_known(Recipe(optimizer=oneof("sgd", "noisy")))
    assert is_known(Recipe(optimizer=oneof("sgd", "adam")))


# Names ------------------------------------------------------------------------------------------


def test_a_registered_name_is_read_and_written() -> None:
    text = "recipe(optimizer=noisy,lr=0.2|0.3,loss=like_cross_entropy,augmentation=speckled)"
    assert str(parse_recipe(text)) == text
    assert [str(step).split(":")[0] for step in parse_recipe(text).own_steps()] == [
        "optimizer noisy",
        "loss like_cross_entropy",
        "augmentation speckled",
    ]
    assert parse_recipe("recipe(optimizer=sgd|noisy)").optimizer.options == ("sgd", "noisy")
    assert Recipe().own_steps() == ()


HINT = r"one of your own must be registered first \(at the shell by --import FILE\.py\)"


def test_an_unknown_name_is_refused_with_the_hint() -> None:
    for text in ("recipe(optimizer=lion)", "recipe(lr=0.1,loss=focal)"):
        with pytest.raises(NotationError, match=f"must be one of .*; {HINT}"):
            parse_recipe(text)
    with pytest.raises(DesignError, match=f"optimizer='lion'; {HINT}"):
        Recipe(optimizer="lion")
    with pytest.raises(NotationError, match="did you mean 'noisy'"):
        parse_recipe("recipe(optimizer=noissy)")


@pytest.mark.parametrize("name", ["sgd", "like_sgd"])
def test_a_taken_name_is_refused(name: str) -> None:
    with pytest.raises(DesignError, match=f"the optimizer '{name}' is registered already"):
        register_optimizer(name, steps.noisy)


def test_what_is_no_name_or_no_function_is_refused() -> None:
    with pytest.raises(DesignError, match=r"the name of a step must be letters.* but got 'a b'"):
        register_loss("a b", steps.like_cross_entropy)
    not_a_function: Any = 3
    with pytest.raises(ArgumentError, match="`function` must be a function, but got"):
        register_loss("three", not_a_function)


def test_a_pickled_recipe_brings_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(optimizer="noisy", flip=0.5)
    sent, plain = cloudpickle.dumps(recipe), pickle.dumps(Recipe(lr=0.3))
    known: dict[Any, Any] = {}
    monkeypatch.setattr("lightsearch.design.own_steps._STEPS", known)
    assert pickle.loads(plain) == Recipe(lr=0.3) and not known
    assert str(pickle.loads(sent)) == "recipe(optimizer=noisy,flip=0.5)"
    found = find_step("optimizer", "noisy")
    assert found is not None and found.function is steps.noisy


def test_a_digest_tells_functions_apart() -> None:
    def first(scores: Tensor, labels: Tensor, recipe: Recipe, generator: Any) -> Tensor:
        return scores.mean()

    one = digest_source(first)

    def first(scores: Tensor, labels: Tensor, recipe: Recipe, generator: Any) -> Tensor:  # type: ignore[no-redef]
        return scores.sum()  # another one

    assert len(one) == 12 and digest_source(first) not in ("", one)
    assert digest_source(steps.noisy) == digest_source(steps.noisy) != ""
    assert digest_source(len) == digest_source(eval("lambda: 0")) == ""


# What a function returns ------------------------------------------------------------------------

WRONG: list[tuple[str, Any, str]] = [
    ("optimizer", lambda *_: "sgd", "must return a torch.optim.Optimizer, but got 'sgd'"),
    ("loss", lambda scores, *_: scores.detach().mean(), "must return a tensor without dimensions"),
    ("loss", lambda scores, *_: scores, r"that depends on the scores, but got .* \(32, 10\)"),
    ("loss", lambda *_: 0.5, "that depends on the scores, but got 0.5"),
    ("augmentation", lambda images, *_: images[:1], r"of the shape \(32, 1, 8, 8\), but got"),
    ("augmentation", lambda *_: None, "must return float32 images"),
]


@pytest.mark.parametrize(("field", "function", "message"), WRONG)
def test_what_a_function_must_not_return(
    field: str, function: Any, message: str, few: DataSet
) -> None:
    register = {
        "optimizer": register_optimizer,
        "loss": register_loss,
        "augmentation": register_augmentation,
    }[field]
    register("wrong", function)
    with pytest.raises(ArgumentError, match=f"the {field} 'wrong' .*{message}"):
        trained(replace(Recipe(batch_size=32), **{field: "wrong"}), few, 1)


def test_memory_that_cannot_be_kept_is_refused(few: DataSet) -> None:
    class Listing(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for parameter in self.param_groups[0]["params"]:
                self.state[parameter]["log"] = ["a"]

    register_optimizer("listing", lambda given, recipe, generator: Listing(given, recipe.lr))
    with pytest.raises(ArgumentError, match=r"'listing' remembers must be tensors .* log=\['a'\]"):
        trained(Recipe(optimizer="listing"), few, 1)
