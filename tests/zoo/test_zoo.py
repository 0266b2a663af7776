"""The zoo against the published facts, and against the same networks written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightsearch.errors import ArgumentError
from lightsearch.network.cost import cost
from lightsearch.network.modules import build
from lightsearch.zoo.entries import ZooName
from lightsearch.zoo.networks import zoo

torch.set_num_threads(1)

FACTS: dict[str, dict[str, Any]] = {
    model["id"]: model
    for model in json.loads(Path(__file__).with_name("seed_models.json").read_text())["models"]
}
NAMES = tuple(FACTS)


def _norm_params(layer: dict[str, Any]) -> int:
    return sum(int(word.split(":")[1]) for word in layer.get("then", []) if word.startswith("bn:"))


def _rows(name: str) -> list[tuple[int, tuple[int, ...]]]:
    """Return parameters and shape of each published layer, a dropout layer included."""
    rows = []
    for layer in FACTS[name]["layers"]:
        shape = tuple(layer["shape"]) if len(layer["shape"]) == 3 else (layer["shape"][0], 1, 1)
        rows.append((layer.get("params", 0) + _norm_params(layer), shape))
        if layer["kind"] == "gap" and layer["then"] == ["dropout:0.5"]:
            rows.append((0, shape))
    return rows


def test_the_twelve_are_there_in_order() -> None:
    assert tuple(zoo) == NAMES
    assert len(zoo) == 12
    assert all(zoo[name].name == name for name in zoo)


@pytest.mark.parametrize("name", NAMES)
def test_totals_and_layers_are_the_published_ones(name: str) -> None:
    costed = cost(zoo[name].design, classes=10)
    assert costed.params == zoo[name].params == FACTS[name]["params"]
    assert [(row.params, row.shape) for row in costed.rows] == _rows(name)
    published = zoo[name].published
    assert [(row.params + row.norm_params, row.shape) for row in published] == _rows(name)


@pytest.mark.parametrize("name", NAMES)
def test_published_kinds_and_norms(name: str) -> None:
    published = [row for row in zoo[name].published if row.kind != "dropout"]
    layers = FACTS[name]["layers"]
    assert [row.kind for row in published] == [layer["kind"] for layer in layers]
    assert [row.norm_params for row in published] == [_norm_params(layer) for layer in layers]


@pytest.mark.parametrize("name", NAMES)
def test_accuracies_and_recipe_are_the_published_ones(name: str) -> None:
    entry, fact = zoo[name], FACTS[name]
    assert list(entry.accuracies) == fact.get("test_accuracy", [])
    assert entry.best == fact.get("best_test_accuracy", max(entry.accuracies, default=0.0))
    assert entry.epochs == len(entry.accuracies) or not entry.accuracies
    assert entry.source == f"document {fact['source']}"
    for field in ("optimizer", "lr", "momentum", "batch_size"):
        if field in fact.get("recipe", {}):
            assert getattr(entry.recipe, field) == fact["recipe"][field]


def test_assumed_fields_are_named() -> None:
    assert {"lr", "batch_size", "momentum", "optimizer"}.isdisjoint(zoo["s3-model2"].assumed)
    assert {"optimizer", "momentum", "schedule", "step_size"} <= set(zoo["s1-final"].assumed)
    assert {"lr", "batch_size", "gamma"}.isdisjoint(zoo["s1-final"].assumed)
    assert {"lr", "batch_size", "rotation", "dropout"} <= set(zoo["s2-final"].assumed)
    assert "batch_size" not in zoo["s4-model2"].assumed
    for entry in zoo.values():
        fields = set(entry.assumed) - {"dropout", "epochs"}
        assert all(hasattr(entry.recipe, name) for name in fields)


def test_step_schedule_of_document_001_gives_the_printed_rates() -> None:
    recipe = zoo["s1-final"].recipe
    printed = [
        recipe.lr * recipe.gamma ** ((epoch + 1) // recipe.step_size) for epoch in range(15)
    ]
    assert recipe.schedule == "step"
    assert printed == FACTS["s1-final"]["recipe"]["lr_printed_after_epoch"]


def test_receptive_fields_of_document_001() -> None:
    rows = cost(zoo["s1-final"].design).rows
    assert [row.receptive_field for row in rows] == FACTS["s1-final"]["receptive_field"]


def test_receptive_field_after_the_pool_is_8_where_document_003_prints_14() -> None:
    rows = cost(zoo["s3-model1"].design).rows
    assert [(row.receptive_field, row.jump) for row in rows] == [
        (3, 1),
        (5, 1),
        (7, 1),
        (8, 2),
        (8, 2),
        (12, 2),
        (16, 2),
        (16, 2),
        (28, 2),
    ]


def test_unknown_name() -> None:
    with pytest.raises(
        ArgumentError,
        match=r"must be one of s0-large, .* 's1-finall'; did you "
        r"mean 's1-final'\?",
    ):
        zoo["s1-finall"]
    with pytest.raises(ArgumentError, match=r"but got ''$"):
        zoo[""]
    assert "s1-finall" not in zoo
    assert zoo.get("s1-finall") is None
    assert zoo.get("s1-final") is zoo["s1-final"]


def test_importing_the_zoo_leaves_torch_alone() -> None:
    code = "import lightsearch.zoo, sys; sys.exit(bool({'torch', 'optuna'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The same networks in plain PyTorch -------------------------------------------------------------


def s0_large() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(128, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(256, 512, 3),
        nn.ReLU(),
        nn.Conv2d(512, 1024, 3),
        nn.ReLU(),
        nn.Conv2d(1024, 10, 3),
        nn.ReLU(),
        nn.Flatten(),
    )


def s0_small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(32, 64, 3),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
    )


def s1_final() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Conv2d(10, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(10, 10, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Conv2d(10, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 10, 1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Conv2d(10, 10, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Conv2d(10, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 10, 1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Conv2d(10, 14, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(14),
        nn.Conv2d(14, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.AvgPool2d(4),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.Flatten(),
    )


def s2_final() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(32),
        nn.Dropout2d(0.1),
        nn.Conv2d(32, 8, 1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.Dropout2d(0.1),
        nn.Conv2d(8, 10, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Dropout2d(0.1),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(10, 16, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout2d(0.1),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Dropout2d(0.1),
        nn.Conv2d(10, 10, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(10),
        nn.Dropout2d(0.1),
        nn.Conv2d(10, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout2d(0.1),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout2d(0.1),
        nn.AvgPool2d(6),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.Flatten(),
    )


def s3_model1() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(16, 24, 3, bias=False),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(24, 8, 1, bias=False),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(16, 24, 3, bias=False),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(24, 10, 1, bias=False),
        nn.Conv2d(10, 10, 7, bias=False),
        nn.Flatten(),
    )


def s3_model2() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.Dropout(0.1),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 24, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(24),
        nn.Dropout(0.1),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(24, 8, 1, bias=False),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 24, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(24),
        nn.Dropout(0.1),
        nn.Conv2d(24, 10, 1, bias=False),
        nn.Conv2d(10, 10, 7, bias=False),
        nn.Flatten(),
    )


def s3_model3() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.Dropout(0.1),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Dropout(0.1),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.Dropout(0.1),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.AvgPool2d(7),
        nn.Flatten(),
    )


def s3_model4() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.Dropout(0.15),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.Dropout(0.15),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.15),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.15),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.15),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.AvgPool2d(7),
        nn.Flatten(),
    )


def s3_model5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(6),
        nn.Dropout(0.1),
        nn.Conv2d(6, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 20, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(20),
        nn.Dropout(0.1),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(20, 6, 1, bias=False),
        nn.Conv2d(6, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 20, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(20),
        nn.Dropout(0.1),
        nn.AvgPool2d(9),
        nn.Conv2d(20, 10, 1, bias=False),
        nn.Flatten(),
    )


def s4_model1() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 32, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(32),
        nn.Dropout(0.1),
        nn.Conv2d(32, 10, 1, bias=False),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(10, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.AvgPool2d(6),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.Flatten(),
    )


def s4_model2() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.Dropout(0.1),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Dropout(0.1),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(8, 12, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(12),
        nn.Dropout(0.1),
        nn.Conv2d(12, 12, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(12),
        nn.Dropout(0.1),
        nn.Conv2d(12, 12, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(12),
        nn.Dropout(0.1),
        nn.AvgPool2d(8),
        nn.Conv2d(12, 10, 1, bias=False),
        nn.Flatten(),
    )


class S4Model3(nn.Module):
    """The network as document 004 prints it, with attributes in the order of its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = nn.Sequential(
            nn.Conv2d(1, 10, 3, bias=False), nn.GELU(), nn.BatchNorm2d(10), nn.Dropout(0.03)
        )
        self.block2 = nn.Sequential(
            nn.Conv2d(10, 14, 3, bias=False), nn.GELU(), nn.BatchNorm2d(14), nn.Dropout(0.03)
        )
        self.block3 = nn.Conv2d(14, 10, 1, bias=False)
        self.pool = nn.MaxPool2d(2, 2)
        self.block4 = nn.Sequential(
            nn.Conv2d(10, 14, 3, bias=False), nn.GELU(), nn.BatchNorm2d(14), nn.Dropout(0.03)
        )
        self.skip1 = nn.Conv2d(10, 14, 1, bias=False)
        self.block5 = nn.Sequential(
            nn.Conv2d(14, 14, 3, bias=False), nn.GELU(), nn.BatchNorm2d(14), nn.Dropout(0.03)
        )
        self.block6 = nn.Sequential(
            nn.Conv2d(14, 12, 3, bias=False), nn.GELU(), nn.BatchNorm2d(12), nn.Dropout(0.03)
        )
        self.skip2 = nn.Conv2d(14, 12, 1, bias=False)
        self.block7 = nn.Sequential(
            nn.Conv2d(12, 12, 3, padding=1, bias=False),
            nn.GELU(),
            nn.BatchNorm2d(12),
            nn.Dropout(0.03),
        )
        self.average = nn.AvgPool2d(6)
        self.block8 = nn.Conv2d(12, 10, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.block3(self.block2(self.block1(x))))
        x4 = self.block4(x)
        x4 = x4 + self.skip1(functional.interpolate(x, size=(x4.shape[2], x4.shape[3])))
        x6 = self.block6(self.block5(x4))
        x6 = x6 + self.skip2(functional.interpolate(x4, size=x6.shape[2:]))
        x7 = self.block7(x6)
        x7 = x7 * torch.sigmoid(functional.adaptive_avg_pool2d(x7, 1))
        scores: Tensor = self.block8(self.average(x7))
        return scores.view(-1, 10)


BY_HAND: dict[str, Callable[[], nn.Module]] = {
    "s0-large": s0_large,
    "s0-small": s0_small,
    "s1-final": s1_final,
    "s2-final": s2_final,
    "s3-model1": s3_model1,
    "s3-model2": s3_model2,
    "s3-model3": s3_model3,
    "s3-model4": s3_model4,
    "s3-model5": s3_model5,
    "s4-model1": s4_model1,
    "s4-model2": s4_model2,
    "s4-model3": S4Model3,
}


def _same_weights(name: str) -> tuple[nn.Module, nn.Module]:
    """Make the hand-written and the built module with equal random weights and statistics."""
    ours, theirs = build(zoo[name].design), BY_HAND[name]()
    generator = torch.Generator().manual_seed(0)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 2.0, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    mine, hers = ours.state_dict(), theirs.state_dict()
    assert [value.shape for value in mine.values()] == [value.shape for value in hers.values()]
    ours.load_state_dict(dict(zip(mine, hers.values(), strict=True)))
    return ours, theirs


@pytest.mark.parametrize("name", NAMES)
def test_built_module_gives_what_the_hand_written_one_gives(name: str) -> None:
    ours, theirs = _same_weights(name)
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    close = partial(torch.testing.assert_close, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        close(ours.eval()(images), theirs.eval()(images))
        outputs = []
        for module in (ours, theirs):  # with dropout: both draw the same masks, in the same order
            torch.manual_seed(2)
            outputs.append(module.train()(images))
        close(*outputs)
        close(list(ours.state_dict().values()), list(theirs.state_dict().values()))


def test_the_names_for_type_checkers_are_the_real_ones() -> None:
    assert get_args(ZooName) == tuple(zoo)


def test_a_notebook_completes_the_names() -> None:
    assert zoo._ipython_key_completions_() == list(zoo)
