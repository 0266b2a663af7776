"""Steps of recipes of one's own at the shell; each command is a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_shell import run

from lightsearch.study.identity import read_identity

pytestmark = pytest.mark.slow

STEPS = """
import torch
from lightsearch import register_optimizer

@register_optimizer("rms")
def rms(parameters, recipe, generator):
    return torch.optim.RMSprop(parameters, lr=recipe.lr)
"""
LINE = (
    "search --dataset digits --epochs 1 --trials 2 --target 0.05 --study rms --workers 2 --recipe"
)
RECIPE = "recipe(optimizer=rms,lr=0.01,batch=64)"
HINT = "one of your own must be registered first (at the shell by --import FILE.py)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_steps.py").write_text(STEPS)
    space = "conv(4) maxpool conv(6|8) gap linear(10)"
    given = ("--space", space, "--import", "my_steps.py")
    run(folder, *LINE.split(), RECIPE, *given)
    return folder


def test_workers_train_with_the_steps_of_a_file(place: Path) -> None:
    identity = read_identity(place / "rms")
    assert identity is not None and identity.recipe == RECIPE
    assert identity.own_steps.startswith("optimizer rms:")


def test_without_the_file_the_study_is_read_and_not_trained(place: Path) -> None:
    assert "optimizer=rms" in run(place, "leaderboard", "--csv").stdout
    run(place, "report", "rms")
    assert "optimizer=rms" in (place / "rms/report.html").read_text()
    assert HINT in run(place, "train", "--row", "1", code=2).stderr
    assert HINT in run(place, *LINE.split(), RECIPE, code=2).stderr
