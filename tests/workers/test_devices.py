"""GPUs, slots on them and precision, as far as they can be tested without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import arguments

from lightsearch import Recipe, api, parse
from lightsearch.engines.selection import choose_device
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.searching.question import Question, resolve
from lightsearch.searching.settings import SETTINGS, SearchSettings
from lightsearch.study.rebuild import rebuild
from lightsearch.workers import devices
from lightsearch.workers.devices import gpus, trials_at_once, worker_environments


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if CUDA saw two."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def question(**more: Any) -> Question:
    return resolve(SearchSettings(**arguments(**more)))


def test_workers_see_one_gpu_each_in_turn(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(device: str) -> list[str | None]:
        return [env.get("CUDA_VISIBLE_DEVICES") for env in worker_environments(3, device)]

    assert seen("cuda") == ["0", "1", "0"]
    assert seen("cuda:1") == [None, None, None]
    assert seen("cpu") == [None, None, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f6, 5")
    assert seen("cuda") == ["GPU-8f6", "5", "GPU-8f6"]
    assert gpus("cuda:1") == ("5",)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,99")  # of which CUDA counts two
    assert gpus("cuda") == ("3", "4")
    assert gpus("cpu") == ()


def test_trials_at_once(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cores", lambda: 7)
    assert trials_at_once(None, None, "cpu") == 7
    assert trials_at_once(3, None, "cpu") == trials_at_once(3, None, "cuda") == 3
    assert trials_at_once(None, None, "cuda") == 2 * devices.SLOTS_PER_GPU
    assert trials_at_once(None, 8, "cuda") == 16
    assert trials_at_once(None, 8, "cuda:1") == 8


def test_a_search_on_gpus_takes_slots_for_each(two_gpus: None, tmp_path: Path) -> None:
    identity = question(device="cuda", slots_per_gpu=3, workers=None, study=tmp_path).identity
    assert (identity.workers, identity.device, identity.engine) == (6, "cuda", "torch")
    assert question(device="cuda", workers=5, study=tmp_path).identity.workers == 5
    assert SETTINGS["slots_per_gpu"].about.none == str(devices.SLOTS_PER_GPU)
    for name in ("tf32", "bf16"):
        asked = question(device="cuda", precision=name, study=tmp_path)
        task = asked.task(parse("conv(4) gap linear(10)"), Recipe(), seed=0)
        assert asked.identity.precision == task.precision == name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"slots_per_gpu": 2, "workers": None},
            "`slots_per_gpu` must be left out on a cpu device, but got slots_per_gpu=2",
        ),
        (
            {"slots_per_gpu": 0, "workers": None},
            "`slots_per_gpu` must be an integer from 1 to 64, but got slots_per_gpu=0",
        ),
        (
            {"precision": "half"},
            "`precision` must be one of float32, tf32, bf16, but got precision='half'",
        ),
        (
            {"precision": "tf32", "engine": "torch"},
            "`precision` must be float32 or bf16 on a cpu device, but got precision='tf32'",
        ),
    ],
)
def test_what_a_processor_does_not_have(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        question(study=tmp_path, device="cpu", **given)


@pytest.mark.parametrize("engine", ["surrogate", "native"])
def test_what_needs_no_gpu_takes_none_by_itself(two_gpus: None, engine: str) -> None:
    assert choose_device("auto", engine) == "cpu"
    assert choose_device("auto") == choose_device("auto", "torch") == "cuda"
    assert choose_device("cuda", engine) == "cuda"  # which the engine then refuses


def test_both_numbers_of_trials(two_gpus: None, tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError,
        match="`workers` and `slots_per_gpu` must not be given "
        "together, but got workers=1, slots_per_gpu=2",
    ):
        question(device="cuda", slots_per_gpu=2, workers=1, study=tmp_path)


def test_precision_is_of_the_study_its_record_and_its_rows(tmp_path: Path) -> None:
    given = arguments(
        study=tmp_path / "one",
        engine="torch",
        epochs=1,
        trials=1,
        target=0.05,
        workers=1,
        device="cpu",
    )
    result = api.search(**given, precision="bf16")
    row = result.leaderboard.loc[1]
    assert row["engine"] == "torch-bf16"
    task = rebuild(row)
    assert (task.engine, task.precision) == ("torch", "bf16")
    with pytest.raises(StudyError, match="precision='bf16' there, 'float32' asked for"):
        api.search(**given)
    assert api.load_result(tmp_path / "one").identity.precision == "bf16"


def test_float32_leaves_the_names_of_studies_as_they_were(tmp_path: Path) -> None:
    given = {"study": tmp_path, "sampler": "tpe", "pruner": "target", "device": "cpu"}
    exact = question(**given).identity
    coarse = question(**given, engine="torch", precision="bf16").identity
    assert exact.digest() != coarse.digest()
    assert exact.digest() == "17cd0b"
