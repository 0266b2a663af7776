"""The same seed and the same number of workers give the same study, whatever the timing."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tiny import arguments, outcome

from lightsearch import api, search
from lightsearch.engines.engine import State
from lightsearch.randomness import key
from lightsearch.searching import loop
from lightsearch.training import epoch as training
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task
from lightsearch.workers.local import local_slots
from lightsearch.workers.slot import ExecutorSlot, Slot

SPACE = (
    "conv(4|6|8|10|12) [conv(4|6|8,k=1) | separable(8|10|12|16)] maxpool "
    "separable(8|12|16)? gap linear(10)"
)


class Late:
    """A slot whose calls begin after a random time: sometimes at once, sometimes long after."""

    def __init__(self, slot: Slot, generator: random.Random, longest: float) -> None:
        self.slot, self.generator, self.longest = slot, generator, longest

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        delay = self.longest * self.generator.random() ** 4
        return self.slot.submit(_late, delay, function, *args)

    def kill(self) -> None:
        self.slot.kill()

    def close(self) -> None:
        self.slot.close()


def _late(delay: float, function: Callable[..., Any], *args: Any) -> Any:
    time.sleep(delay)
    return function(*args)


def _simulated(task: Task, state: State | None, epoch: int) -> tuple[State, EpochResult]:
    """An epoch that trains nothing: its accuracy follows from the task, and rises."""
    level = 500 + key(task.seed, "level") % 300
    correct = level + 20 * epoch + key(task.seed, "noise", epoch) % 30
    return (
        {"model.x": torch.tensor(float(correct))},
        EpochResult(epoch, 0.5, 0, 1000, correct, correct, 1000, 0.1, 0.0),
    )


def _board(result: api.SearchResult) -> pd.DataFrame:
    return result.leaderboard.drop(columns="seconds")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_random_delays_change_nothing(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "run_epoch", _simulated)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a slow disk would hide the delays
    found = []
    for run in range(3):
        generator = random.Random(run)
        with ThreadPoolExecutor(workers) as pool:
            monkeypatch.setattr(
                api,
                "local_slots",
                lambda count, pool=pool, draw=generator, **_: [
                    Late(ExecutorSlot(pool), draw, 0.02) for _ in range(count)
                ],
            )
            found.append(
                search(
                    **arguments(
                        study=tmp_path / str(run),
                        workers=workers,
                        epochs=5,
                        space=SPACE,
                        trials=16,
                        sampler="uniform",
                        pruner="median",
                        budget=2000,
                    )
                )
            )
    first, *others = found
    assert {t.outcome for t in first.records} == {"complete", "pruned"}
    assert {t.candidate.slot for t in first.records} == set(range(workers))
    for other in others:
        assert outcome(other) == outcome(first)
        pd.testing.assert_frame_equal(_board(other), _board(first))


def test_first_come_lets_no_slot_wait_and_trains_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slot is slow: with the clock the other waits for it, without it does not."""
    monkeypatch.setattr(training, "run_epoch", _simulated)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    shares, found = {}, {}
    for repeatable in (True, False):
        with ThreadPoolExecutor(2) as pool:
            monkeypatch.setattr(
                api,
                "local_slots",
                lambda count, pool=pool, **_: [
                    Late(ExecutorSlot(pool), random.Random(0), 0.0),
                    Late(ExecutorSlot(pool), _Always(), 0.2),
                ],
            )
            result = search(
                **arguments(
                    study=tmp_path / str(repeatable),
                    workers=2,
                    epochs=3,
                    space=SPACE,
                    trials=10,
                    pruner="none",
                    budget=2000,
                    sampler="random",
                    repeatable=repeatable,
                )
            )
        assert [t.outcome for t in result.records] == ["complete"] * 10
        slots = [t.candidate.slot for t in result.records]
        shares[repeatable] = slots.count(0) / len(slots)
        found[repeatable] = {
            (t.candidate.design, t.candidate.seed): [e.correct for e in t.epochs]
            for t in result.records
        }
    assert shares[False] > 0.75 > shares[True]
    assert found[True] == found[False]  # uniform draws without pruning: the same trials


def test_first_come_goes_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "run_epoch", _simulated)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    given = arguments(
        study=tmp_path,
        workers=2,
        epochs=3,
        space=SPACE,
        trials=6,
        budget=2000,
        repeatable=False,
        pruner="none",
    )
    real = loop.SearchLoop._decide

    def interrupted(run, slot):
        if run.epochs.at(slot).number == 1 and len(run.study.trials[1].epochs) == 3:
            raise KeyboardInterrupt  # after the last epoch's line, before the trial's end
        return real(run, slot)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(
            api, "local_slots", lambda count, **_: [ExecutorSlot(pool) for _ in range(count)]
        )
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop.SearchLoop, "_decide", interrupted)
            search(**given)
        result = search(**given)
    assert [len(t.epochs) for t in result.records] == [3] * 6
    assert {t.outcome for t in result.records} == {"complete"}


class _Always(random.Random):
    """Draws the largest number each time."""

    def random(self) -> float:
        return 1.0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_random_delays_in_real_workers_change_nothing(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in processes, twice in threads."""
    found = []
    for run in range(3):
        generator = random.Random(run)
        monkeypatch.setattr(
            api,
            "local_slots",
            lambda count, draw=generator, kind=run > 0, **_: [
                Late(slot, draw, 0.3) for slot in local_slots(count, in_threads=kind)
            ],
        )
        found.append(
            search(
                **arguments(study=tmp_path / str(run), workers=workers, trials=8, pruner="median")
            )
        )
    first, *others = found
    for other in others:
        assert outcome(other) == outcome(first)
        pd.testing.assert_frame_equal(_board(other), _board(first))
