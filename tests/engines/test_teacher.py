"""Distillation: gradients against a loss written by hand, and what a teacher is."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import cloudpickle
import pytest
import torch
from torch import Tensor, nn

from lightsearch import Recipe, Task, confirm, make_dataset, parse, train
from lightsearch.data.dataset import DataSet
from lightsearch.data.named import load
from lightsearch.data.references import lend
from lightsearch.design import oneof
from lightsearch.engines.augment import augment
from lightsearch.engines.extended import Extended
from lightsearch.engines.native.recipes import is_known
from lightsearch.engines.teacher import Teacher, make_teacher
from lightsearch.errors import ArgumentError
from lightsearch.network.modules import build
from lightsearch.training.epoch import run_epoch

DESIGN = parse("conv(4) maxpool conv(6) gap linear(10)")


@pytest.fixture(scope="module")
def few() -> DataSet:
    digits = load("digits")
    return make_dataset(
        (digits.train[0][:130], digits.train[1][:130]),
        (digits.test[0][:50], digits.test[1][:50]),
        name="few",
    )


def _module(seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(0.5))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(180, 10))


def _by_hand(scores: Tensor, answers: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Hinton's loss in sums over images and classes."""
    total = torch.zeros((), dtype=torch.float64)
    warm = recipe.temperature
    for row, told, label in zip(scores.double(), answers.double(), labels, strict=True):
        hard = torch.logsumexp(row, 0) - row[label]
        wanted = torch.exp(told / warm) / torch.exp(told / warm).sum()
        mine = torch.exp(row / warm) / torch.exp(row / warm).sum()
        soft = sum(w * (torch.log(w) - torch.log(m)) for w, m in zip(wanted, mine, strict=True))
        total = total + (1 - recipe.distill) * hard + recipe.distill * warm**2 * soft
    return total / len(labels)


@pytest.mark.parametrize(("weight", "temperature"), [(0.3, 4.0), (0.9, 1.0), (1.0, 10.0)])
def test_the_gradient_is_that_of_the_loss_by_hand(
    weight: float, temperature: float, few: DataSet
) -> None:
    """The teacher sees the augmented images that the design sees, and does not train."""
    recipe = Recipe(distill=weight, temperature=temperature, rotation=20, shift=0.1)
    given = _module()
    engine = Extended(DESIGN, recipe, few, 3, teacher=make_teacher(given))
    engine.begin()
    batch = torch.arange(40)
    engine._gradients(batch, 7, ())

    model = build(DESIGN, few.shape)
    model.load_state_dict(engine.model.state_dict())
    model.train()
    mean, std = (v[:, None, None] for v in few.mean_std)
    pixels = (augment(few.train[0][batch].float() / 255, recipe, 7) - mean) / std
    with torch.no_grad():
        answers = given.eval()(pixels)
    loss = _by_hand(model(pixels), answers, few.train[1][batch], recipe)
    loss.backward()
    assert float(engine.loss) / 40 == pytest.approx(float(loss.detach()), rel=1e-5)
    for mine, theirs in zip(engine.parameters, model.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, atol=2e-6, rtol=1e-4)


def test_a_teacher_is_a_copy_with_its_cost() -> None:
    module = _module()
    known, same, other = make_teacher(module), make_teacher(_module()), make_teacher(_module(2))
    assert known == same != other and len(known.checksum) == 16
    with torch.no_grad():
        module[0].weight.zero_()  # type: ignore[index]
    assert known == make_teacher(_module())
    assert torch.equal(known.module[0].weight, _module()[0].weight)  # type: ignore[index]
    assert module.training and not known.module.training
    assert known.params == sum(p.numel() for p in module.parameters()) == 1870
    assert str(make_teacher(module, epochs=15)).endswith(": 1,870 parameters, 15 epochs")
    assert str(known).endswith(": 1,870 parameters, unknown epochs")
    assert pickle.loads(cloudpickle.dumps(known)) == known
    renamed = nn.Sequential(module, nn.Tanh())
    assert make_teacher(renamed).checksum != make_teacher(nn.Sequential(module)).checksum


def test_a_task_has_a_teacher_if_its_recipe_has_distill(few: DataSet) -> None:
    task, rule = Task(DESIGN, Recipe(), lend(few), 1, 0), "`teacher` must be given with a recipe"
    with pytest.raises(ArgumentError, match=rule):
        dataclasses.replace(task, teacher=make_teacher(_module()))
    with pytest.raises(ArgumentError, match=rule):
        run_epoch(dataclasses.replace(task, recipe=Recipe(distill=0.5)), None, 1)
    with pytest.raises(ArgumentError, match=rule):
        confirm(DESIGN, dataset=few, recipe=Recipe(distill=0.5), quiet=True)
    assert not is_known(Recipe(distill=oneof(0, 0.5)))


def test_train_takes_a_module_or_a_teacher(few: DataSet) -> None:
    given: dict[str, Any] = {"dataset": few, "epochs": 2}
    recipe = "recipe(lr=0.3,rotation=7,shift=0.05,ema=0.998,clean=0.25,distill=0.5)"
    losses = [
        [epoch.train_loss for epoch in train(DESIGN, **given, **more)]
        for more in (
            {"teacher": _module()},
            {"teacher": make_teacher(_module()), "recipe": recipe},
            {"teacher": _module(2)},
            {"engine": "torch"},
        )
    ]
    assert losses[0] == losses[1] != losses[2] != losses[3]


def test_a_teacher_speaks_from_the_first_epoch_to_the_last(few: DataSet) -> None:
    """At weight 1, a design with the labels of nobody becomes as its teacher says."""
    teacher = make_teacher(_module())
    recipe = Recipe(lr=0.2, batch_size=32, distill=1.0, temperature=1.0, momentum=0.9)
    task = Task(DESIGN, recipe, lend(few), 12, 0, teacher=teacher)
    state, losses = None, []
    for epoch in range(1, 13):
        state, result = run_epoch(task, state, epoch)
        losses.append(result.train_loss)
    assert result.engine == "torch" and losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("wrong", [3, "net.pt", None.__class__])
def test_what_is_no_teacher_is_refused(wrong: Any, few: DataSet) -> None:
    with pytest.raises(ArgumentError, match="`teacher` must be a Teacher or a PyTorch module"):
        train(DESIGN, dataset=few, teacher=wrong)


def test_a_teacher_of_other_classes_is_refused(few: DataSet) -> None:
    teacher = Teacher(nn.Sequential(nn.Flatten(), nn.Linear(64, 9)).eval(), "0" * 16, 585)
    with pytest.raises(
        ArgumentError, match=r"the shape \(2, 10\) for two images, but got \(2, 9\)"
    ):
        list(train(DESIGN, dataset=few, teacher=teacher))
