"""Studies whose recipe has steps of the user's own: repeated, in several workers, killed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import steps
from killing import same
from tiny import arguments, outcome

from lightsearch import load_result, parse_recipe, rebuild, register_optimizer, search, train
from lightsearch.design.own_steps import add_step, find_step
from lightsearch.errors import NotationError, StudyError
from lightsearch.study.identity import read_identity

pytestmark = pytest.mark.usefixtures("registry")
NOISY = "recipe(lr=0.1|0.2,batch=128,ema=0.9,optimizer=noisy,augmentation=speckled)"
KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
import steps
from lightsearch import search
steps.register()
seen = []
def die(trial):
    seen.append(trial)
    if len(seen) == 4:  # in the middle of the second trial
        os.kill(os.getpid(), signal.SIGKILL)
search(**{given!r}, on_epoch=die)
"""


@pytest.fixture(autouse=True)
def _registered() -> None:
    steps.register()


def _given(folder: Path, **more: Any) -> dict[str, Any]:
    return arguments(
        study=str(folder),
        recipe=NOISY,
        epochs=3,
        trials=3,
        target=0.99,
        pruner="none",
        sampler="uniform",
        **more,
    )


@pytest.mark.slow
def test_killed_and_resumed_and_by_two_workers_a_study_is_the_same(tmp_path: Path) -> None:
    whole = search(**_given(tmp_path / "whole"))
    assert {epoch.engine for trial in whole.records for epoch in trial.epochs} == {"torch"}

    given = _given(tmp_path / "killed")
    paths = [str(Path(__file__).parents[2]), str(Path(steps.__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(paths=paths, given=given)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    cut = sum(len(trial.epochs) for trial in load_result(tmp_path / "killed").records)
    assert 3 < cut < 9
    search(**given)
    same(tmp_path / "killed", tmp_path / "whole")

    two = search(**_given(tmp_path / "two") | {"workers": 2})
    curves = {one[1:4]: one[-1] for one in outcome(two)}
    assert len(curves) == 3 and curves == {one[1:4]: one[-1] for one in outcome(whole)}


@pytest.mark.slow
def test_steps_that_do_the_same_train_a_study_to_the_same_bits(tmp_path: Path) -> None:
    """Trials' seeds follow from the recipe's text, so each is trained again without its steps."""
    text = "recipe(lr=0.1|0.2,batch=128,ema=0.9,decay=0.01{})"
    own = ",optimizer=like_sgd,loss=like_cross_entropy,augmentation=unchanged"
    result = search(**_given(tmp_path) | {"recipe": text.format(own), "workers": 2})
    for trial, (_, row) in zip(result.records, result.trials.iterrows(), strict=True):
        task = rebuild(row)
        assert len(task.recipe.own_steps()) == 3
        plain = parse_recipe(str(task.recipe).replace(own, ""))
        again = train(dataclasses.replace(task, recipe=plain, engine="torch"))
        assert [(e.train_loss, e.correct) for e in again] == [
            (e.train_loss, e.correct) for e in trial.epochs
        ]


def test_the_identity_has_names_and_digests(tmp_path: Path) -> None:
    given = _given(tmp_path) | {"epochs": 1, "trials": 1}
    search(**given)
    identity = read_identity(tmp_path)
    assert identity is not None
    names = [step.partition(":")[::2] for step in identity.own_steps.split(", ")]
    assert [name for name, _ in names] == ["optimizer noisy", "augmentation speckled"]
    assert all(len(digest) == 12 for _, digest in names)

    known = find_step("optimizer", "noisy")
    assert known is not None
    add_step(dataclasses.replace(known, digest="000000000000"))  # a function that was changed
    with pytest.raises(
        StudyError, match=r"own_steps='optimizer noisy:\w{12}, aug.* there, .*0000"
    ):
        search(**given)


def test_a_study_is_not_resumed_without_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _given(tmp_path) | {"epochs": 1, "trials": 1}
    search(**given)
    monkeypatch.setattr("lightsearch.design.own_steps._STEPS", {})
    with pytest.raises(NotationError, match="by --import FILE"):
        search(**given)
    assert len(load_result(tmp_path).records) == 1


def test_a_step_of_main_reaches_the_workers(tmp_path: Path) -> None:
    """A function without a module that a worker could import travels by value."""
    source = "def late(parameters, recipe, generator):\n    import torch\n"
    source += "    return torch.optim.SGD(parameters, lr=recipe.lr)\n"
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(source, namespace)
    register_optimizer("late", namespace["late"])
    recipe = "recipe(lr=0.1,batch=128,optimizer=late)"
    result = search(
        **_given(tmp_path) | {"recipe": recipe, "epochs": 1, "trials": 2, "workers": 2}
    )
    assert [trial.outcome for trial in result.records] == ["complete"] * 2
