"""The settings of a search: what reads them, and which of them make a study."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tiny import RECIPE, arguments

from lightsearch import Budget, DataSet, default_space, iter_search, load, parse, search
from lightsearch.engines.native.library import available
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.searching.question import Question, choose_space, resolve
from lightsearch.searching.setting import settings_of
from lightsearch.searching.settings import DEFAULTS, SETTINGS, SearchSettings, Settings
from lightsearch.study.identity import check_identity, read_identity
from lightsearch.study.trial import Trial, to_fraction
from lightsearch.workers.slot import InlineSlot

ROOT = Path(__file__).parents[2]


# Who takes them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "settings"), [(search, SearchSettings), (iter_search, Settings)]
)
def test_the_arguments_of_a_search_are_its_settings(function: Any, settings: Any) -> None:
    ours, theirs = (inspect.signature(f).parameters for f in (function, settings))
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]
    assert [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        "budget",
        "epochs",
    ]
    assert "About" not in str(inspect.signature(function))
    assert "dataset: 'str | Path | DataSet' = 'mnist'" in str(inspect.signature(function))
    assert set(settings_of(settings)) == set(ours)


def test_search_has_four_arguments_more() -> None:
    ours, theirs = (inspect.signature(f).parameters for f in (search, iter_search))
    assert ours.keys() - theirs.keys() == {"confirm", "confirm_top", "confirm_halving", "quiet"}
    assert not theirs.keys() - ours.keys()


def test_the_help_of_search_has_each_argument_once_with_its_text() -> None:
    text = inspect.getdoc(search) or ""
    listed = re.findall(r"^- `(\w+)`:", text, re.MULTILINE)
    assert sorted(listed) == sorted(SETTINGS)
    flat = " ".join(text.split())
    for setting in SETTINGS.values():
        assert setting.about.help in flat and setting.about.more in flat
    assert "{settings}" not in text


def test_words_are_in_the_help_and_in_the_type() -> None:
    for setting in SETTINGS.values():
        for word in setting.about.words:
            assert re.search(rf"\b{word}\b", setting.about.help), setting.name
    for name in ("select_on", "engine", "precision"):
        kind = SETTINGS[name].kinds[0]
        assert get_args(kind) == SETTINGS[name].about.words


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: search(epoch=3), "search() got an unexpected keyword argument 'epoch'"),
        (lambda: search(8000, 15, 0.9), "search() too many positional arguments"),
        (lambda: search(8000, budget=3), "search() multiple values for argument 'budget'"),
        (
            lambda: iter_search(quiet=True),
            "iter_search() got an unexpected keyword argument 'quiet'",
        ),
    ],
)
def test_a_wrong_call_is_pythons_own_error(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.slow
def test_a_type_checker_knows_every_argument(tmp_path: Path) -> None:
    """Strict mode reports an `ignore` that ignores nothing."""
    (tmp_path / "calls.py").write_text(
        "from lightsearch import iter_search, search\n"
        "result = search(8000, 15, target=0.99, sampler='random', engine='torch')\n"
        "search(epoch=3)  # type: ignore[call-arg]\n"
        "search(8000, 15, 0.9)  # type: ignore[call-arg]\n"
        "search(epochs='3')  # type: ignore[arg-type]\n"
        "search(sampler='best')  # type: ignore[arg-type]\n"
        "iter_search(confirm=3)  # type: ignore[call-arg]\n"
        "print(result.leaderboard, [trial.number for trial in iter_search()])\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            str(tmp_path / "calls.py"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


# Their one form ---------------------------------------------------------------------------------


def test_settings_have_one_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = Settings(epochs=torch.tensor(3).numpy()[()], data="images", study=Path("s"))
    assert type(given.epochs) is int
    assert (given.data, given.study) == (tmp_path / "images", tmp_path / "s")
    assert (given.caps, Settings(Budget(macs=3)).caps) == (Budget(params=8000), Budget(macs=3))
    assert DEFAULTS == SearchSettings()


def test_what_is_wrong_with_one_value_is_said_before_anything_is_read() -> None:
    with pytest.raises(ArgumentError, match="`epochs` must be an integer from 1 to 10000, but"):
        Settings(dataset="minst", epochs=0)
    with pytest.raises(ArgumentError, match="`confirm_top` must be an integer from 1 to 1000"):
        SearchSettings(dataset="minst", confirm_top=0)


# Which of them make a study ---------------------------------------------------------------------


def _cheap(trial: Trial) -> float:
    return trial.epochs[-1].accuracy - trial.candidate.macs / 1e9


# A value beside that of the tiny search, and what it takes
OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "budget": (Budget(params=900, macs=10**6), {}),
    "epochs": (5, {}),
    "target": (0.7, {}),
    "consistent": (2, {}),
    "space": ("conv(4|6) gap linear(10)", {}),
    "recipe": ("recipe(lr=0.3)", {}),
    "keep_orientation": (True, {"recipe": None}),
    "dataset": ("turned", {}),
    "select_on": ("val", {}),
    "val_size": (300, {"select_on": "val"}),
    "val_seed": (1, {"select_on": "val"}),
    "sampler": ("random", {}),
    "startup": (0, {}),
    "warm_start": ("conv(4) gap linear(10)", {}),
    "pruner": ("none", {}),
    "workers": (2, {}),
    "slots_per_gpu": (2, {"workers": None, "device": "cuda"}),
    "device": ("cuda", {"engine": "torch"}),
    "engine": ("torch", {}),
    "precision": ("bf16", {"engine": "torch"}),
    "goal": ("smallest", {}),
    "objective": (_cheap, {}),
    "directions": (
        ("maximize", "minimize"),
        {"objective": _cheap, "sampler": "tpe", "pruner": "none"},
    ),
    "teacher": (
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)),
        {"recipe": None},
    ),
    "seed": (4, {}),
    "repeatable": (False, {}),
    "trials": (9, {}),
    "study": ("elsewhere", {}),
    "data": ("elsewhere", {}),
    "timeout": (3.0, {}),
    "epoch_timeout": (60, {}),
    "stop_after_hits": (1, {}),
    "slots": ([InlineSlot()], {}),
    "on_epoch": (print, {}),
    "on_trial": (print, {}),
    "confirm": (2, {}),
    "confirm_top": (1, {}),
    "confirm_halving": (True, {}),
    "quiet": (False, {}),
}


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if CUDA saw two."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def _question(folder: Path | None, **more: Any) -> Question:
    if more.get("dataset") == "turned":
        digits = load("digits")
        images, labels = digits.train
        more["dataset"] = DataSet("turned", (images.flip(2), labels), digits.test, 10)
    return resolve(SearchSettings(**{**arguments(), "study": folder, "device": "cpu", **more}))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_makes_the_study_as_its_role_says(
    name: str, two_gpus: None, tmp_path: Path
) -> None:
    value, needed = OTHERS[name]
    if name == "engine" and not available():
        pytest.skip("torch is the only engine here")
    before, after = _question(tmp_path, **needed), _question(tmp_path, **{**needed, name: value})
    changed = before.identity.to_json() != after.identity.to_json()
    assert changed is (SETTINGS[name].about.role == "identity")
    before_digest, after_digest = before.identity.digest(), after.identity.digest()
    if name not in ("workers", "slots_per_gpu", "engine", "repeatable"):  # see `digest`
        assert (before_digest != after_digest) is changed


STUDY_JSON = """{
 "budget": {
  "params": 900,
  "macs": null,
  "activation_bytes": null
 },
 "epochs": 4,
 "target": "4/5",
 "space": "conv(4|6|8) [conv(6|8) | separable(8|12)] maxpool separable(8|12|16)? gap linear(10)",
 "recipe": "recipe(lr=0.1|0.2,batch=64,ema=0.9)",
 "dataset": "digits",
 "checksum": "CHECKSUM",
 "sampler": "tpe",
 "pruner": "target",
 "workers": 3,
 "seed": 3,
 "device": "cpu",
 "engine": "torch",
 "selected_on": "test",
 "repeatable": true,
 "format": 1,
 "precision": "float32"
}
"""


def test_a_study_of_before_is_continued(tmp_path: Path) -> None:
    text = STUDY_JSON.replace("CHECKSUM", load("digits").checksum)
    (tmp_path / "study.json").write_text(text)
    question = _question(tmp_path, workers=None)
    assert (question.identity.workers, question.identity.engine) == (3, "torch")
    assert question.identity == read_identity(tmp_path)
    assert question.identity.target == to_fraction(0.8) and question.identity.recipe == RECIPE
    check_identity(tmp_path, question.identity)
    (tmp_path / "study.json").unlink()
    check_identity(tmp_path, question.identity)
    assert (tmp_path / "study.json").read_text() == text
    oldest = {
        k: v
        for k, v in json.loads(text).items()
        if k not in ("engine", "selected_on", "repeatable", "format", "precision")
    }
    (tmp_path / "study.json").write_text(json.dumps(oldest))
    assert read_identity(tmp_path) == question.identity


def _score(trial: Trial) -> float:
    return trial.epochs[-1].accuracy


@pytest.mark.parametrize(
    ("trials", "more", "expected"),
    [
        (1, {}, "predicted"),
        (49, {}, "predicted"),
        (50, {}, "rungs"),
        (10_000, {"timeout": 60.0}, "rungs"),
        (50, {"pruner": "halving"}, "halving"),
        (50, {"goal": "smallest"}, "predicted"),
        (50, {"goal": "fastest"}, "predicted"),
        (50, {"objective": _score}, "predicted"),
    ],
)
def test_who_prunes_many_trials_asks_for_the_best(
    tmp_path: Path, trials: int, more: dict[str, Any], expected: str
) -> None:
    question = _question(tmp_path, trials=trials, **more)
    assert question.identity.pruner == expected


@pytest.mark.parametrize(("first", "then"), [(3, 60), (60, 3)])
def test_more_trials_go_on_with_the_study_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, then: int
) -> None:
    monkeypatch.chdir(tmp_path)
    before = _question(None, trials=first)
    before.folder.mkdir(parents=True)
    check_identity(before.folder, before.identity)
    after = _question(None, trials=then)
    assert (after.folder, after.identity) == (before.folder, before.identity)
    named = _question(None, trials=then, pruner="median")
    assert named.folder != before.folder and named.identity.pruner == "median"
    both = _question(None, trials=then, pruner="predicted" if first == 60 else "rungs")
    both.folder.mkdir()
    check_identity(both.folder, both.identity)
    assert _question(None, trials=then).folder == both.folder != before.folder


@pytest.mark.parametrize("more", [{}, {"keep_orientation": True}], ids=["turned", "as they are"])
def test_a_study_of_before_clean_epochs_goes_on_without_them(tmp_path: Path, more: dict) -> None:
    text = STUDY_JSON.replace("CHECKSUM", load("digits").checksum)
    turn = "" if more else "rotation=7,"
    former = f"recipe(lr=0.3,{turn}shift=0.05,ema=0.998)"
    (tmp_path / "study.json").write_text(text.replace(RECIPE, former))
    question = _question(tmp_path, workers=None, recipe=None, **more)
    assert question.identity == read_identity(tmp_path)
    assert str(question.recipe) == question.identity.recipe == former
    other = _question(tmp_path / "new", workers=None, recipe=None, **more)
    assert other.identity.recipe == f"{former[:-1]},clean=0.25)"
    (tmp_path / "study.json").write_text(text.replace(RECIPE, "recipe(lr=0.2,ema=0.998)"))
    asked = _question(tmp_path, workers=None, recipe=None, **more)
    with pytest.raises(StudyError, match="recipe="):
        check_identity(tmp_path, asked.identity)


def test_slots_are_as_many_as_workers_unless_told_otherwise(tmp_path: Path) -> None:
    slots = [InlineSlot(), InlineSlot()]
    assert _question(tmp_path, workers=None, slots=slots).identity.workers == 2
    with pytest.raises(ArgumentError, match="`workers` must be an integer from 1 to 1024"):
        _question(tmp_path, workers=None, slots=[])


def test_iter_search_trains_in_slots_too(tmp_path: Path) -> None:
    given = {**arguments(study=tmp_path / "s", epochs=1, trials=1), "slots": [InlineSlot()]}
    del given["quiet"], given["workers"]
    assert [trial.number for trial in iter_search(**given)] == [0]


def test_space_and_recipe_are_values_beside_their_notation(tmp_path: Path) -> None:
    question = _question(tmp_path)
    assert parse(question.identity.space) == question.space
    assert str(question.recipe) == question.identity.recipe == RECIPE


def test_the_default_space_is_for_the_images_and_the_budget() -> None:
    digits = load("digits")
    for budget in (1500, Budget(params=30_000, macs=10**9)):
        settings = SearchSettings(budget=budget, dataset="digits")
        space = choose_space(settings, digits)
        assert space == default_space(digits.shape, digits.classes, settings.caps)
    assert space != default_space(digits.shape, digits.classes)
