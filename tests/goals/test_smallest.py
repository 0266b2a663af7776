"""The fewest parameters at the target: what the tests on the way let through, what the last one
claims, and that neither a kill nor the workers change what is found."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from killing import Kennel, asked, inline, kills, same, searched
from scipy import stats
from tiny import arguments, outcome

from lightsearch import api, load_result, search
from lightsearch.api import run
from lightsearch.confirming.sequential import LOOKS, WRONG_PASS, judge_looks, seed_sd
from lightsearch.errors import ArgumentError
from lightsearch.goals.trying import FINAL
from lightsearch.searching.events import Ended, Event, Judged
from lightsearch.searching.loop import OVER_CAP
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.study.identity import read_identity

TARGET = Fraction("0.994")
TOTAL = 10_000


@pytest.fixture(scope="module", autouse=True)
def without_downloads(blank_mnist: Path) -> Iterator[None]:
    """The surrogate needs the form of MNIST's images, not what is on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTSEARCH_DATA", str(blank_mnist))
        yield


# The sequential test -----------------------------------------------------------------------------


def _passes(above: float, tries: int) -> tuple[float, float]:
    """How often a design passes whose mean is so many deviations above the target, and the mean
    number of seeds that it takes."""
    sd = seed_sd(TARGET, TOTAL)
    random_ = np.random.default_rng(1)
    drawn = random_.normal(float(TARGET) + above * sd, sd, (tries, LOOKS)) * TOTAL
    passed, seeds = 0, 0
    for runs in np.rint(drawn).astype(int).tolist():
        for count in range(1, LOOKS + 1):
            verdict = judge_looks(runs[:count], TOTAL, TARGET)
            if verdict != "running":
                passed, seeds = passed + (verdict == "passed"), seeds + count
                break
    return passed / tries, seeds / tries


@pytest.mark.parametrize(
    ("above", "least", "most"), [(-1, 0, 0.001), (0, 0, WRONG_PASS), (1, 0.75, 1), (2, 0.98, 1)]
)
def test_the_sequential_test_errs_as_rarely_as_it_says(
    above: float, least: float, most: float
) -> None:
    share, seeds = _passes(above, 2000)
    assert least <= share <= most
    assert seeds < LOOKS / 2


def test_what_is_decided_does_not_depend_on_later_seeds() -> None:
    runs = [9936, 9938, *[10_000] * 18]
    assert {judge_looks(runs[:count], TOTAL, TARGET) for count in range(2, 21)} == {"failed"}
    assert judge_looks([], TOTAL, TARGET) == "running"
    assert judge_looks([9943, 9943] * 10, TOTAL, TARGET) == "failed"  # never at the middle
    assert judge_looks([9944, 9943] * 10, TOTAL, TARGET) == "passed"


# A search ----------------------------------------------------------------------------------------


def small(folder: Path, **more: Any) -> dict[str, Any]:
    """A search on the surrogate whose last test holds."""
    return {
        "budget": 8000,
        "goal": "smallest",
        "engine": "surrogate",
        "workers": 1,
        "trials": 16,
        "seed": 0,
        "target": 0.993,
        "quiet": True,
        "study": folder,
        **more,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smallest") / "study"
    search(**small(folder))
    return folder


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def _last(lines: list[dict[str, Any]], design: str) -> dict[int, float]:
    """The last epoch's accuracy of each of a design's runs, by seed."""
    return {
        line["seed"]: line["epoch"]["correct"] / line["epoch"]["total"]
        for line in lines
        if line["design"] == design and "epoch" in line and line["epoch"]["epoch"] == 15
    }


def test_the_cap_follows_what_has_passed(folder: Path) -> None:
    with contextlib.closing(run(resolve(SearchSettings(**small(folder / "again"))))) as events:
        seen: list[Event] = list(events)
    cap, passed = 8000, []
    for event in seen:
        if isinstance(event, Ended) and event.trial.reason == "":
            assert event.trial.candidate.params <= cap
        if isinstance(event, Judged) and event.passed and not event.last:
            assert event.trial.candidate.params <= cap
            cap = event.trial.candidate.params - 1
            passed.append(cap + 1)
    assert len(passed) > 1 and passed == sorted(passed, reverse=True)
    tested = [event for event in seen if isinstance(event, Judged)]
    assert any(not event.passed for event in tested)
    assert [event.last for event in tested] == sorted(event.last for event in tested)
    assert outcome(load_result(folder / "again")) == outcome(load_result(folder))


def test_the_smallest_is_tested_with_seeds_that_nobody_has_seen(folder: Path) -> None:
    result = load_result(folder)
    best = result.best
    assert best is not None and best["confirmed"]
    trial = result.records[int(best["trial"])]
    looks = _last(_lines(folder / "looks" / "confirmations" / "test"), trial.candidate.design)
    last = _last(_lines(folder / "confirmations" / "test"), trial.candidate.design)
    assert len(last) == FINAL and not {*looks, trial.candidate.seed} & {*last}
    values = list(last.values())
    turns = sum("level" in line for line in _lines(folder / "confirmations" / "test"))
    level = 0.05 / 2**turns  # the one that holds comes last
    margin = stats.t.ppf(1 - level, FINAL - 1) * stdev(values) / math.sqrt(FINAL)
    assert best["confirmed_bound"] == pytest.approx(fmean(values) - margin, abs=1e-9)
    assert best["confirmed_bound"] >= 0.993 and best["confirmed_confidence"] == 1 - level
    row = result.means().set_index("trial").loc[trial.number]
    assert row["seeds"] == 1 + len(looks) + FINAL
    smaller = result.leaderboard[result.leaderboard["params"] < best["params"]]
    assert not smaller["confirmed"].any()


def test_more_trials_go_on_from_there(folder: Path, tmp_path: Path) -> None:
    before = load_result(folder)
    again = search(**small(folder))
    assert again.records == before.records
    assert json.loads((folder / "study.json").read_text())["goal"] == "smallest"
    identity = read_identity(folder)
    assert identity is not None and identity.goal == "smallest"
    more = search(**small(folder, trials=20))
    assert more.records[:16] == before.records
    cap = before.best["params"] if before.best is not None else 0
    assert all(trial.candidate.params < cap for trial in more.records[16:])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"goal": "smalest"}, "`goal` must be one of best, smallest, fastest, but got 'smalest'"),
        ({"stop_after_hits": 2}, "`stop_after_hits` must not be given with goal='smallest'"),
        ({"confirm": 10}, "`confirm` must not be given with goal='smallest'"),
    ],
)
def test_what_does_not_go_together(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        search(**small(tmp_path / "s", **more))
    assert not (tmp_path / "s").exists()


# Killed ------------------------------------------------------------------------------------------

KILLED: dict[str, Any] = {"goal": "smallest", "target": 0.3, "trials": 5, "pruner": "none"}


@pytest.fixture(scope="module")
def kennel() -> Iterator[Kennel]:
    kennel = Kennel()
    yield kennel
    kennel.close()


@pytest.fixture(scope="module")
def undisturbed(kennel: Kennel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "study"
    assert kennel.run(folder, **KILLED)[0] == 0
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="fork and signals")
def test_killed_at_a_few_random_moments(kennel: Kennel, undisturbed: Path, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"drawn with seed {seed}")  # shown where the test fails
    studies = (tmp_path / f"s{index}" for index in itertools.count())
    generator, killed = random.Random(seed), 0
    while not killed:
        folder = next(studies)
        killed = kills(kennel, folder, undisturbed, generator, "time", **KILLED)
        assert _runs(folder) == _runs(undisturbed)
        assert load_result(folder).means().equals(load_result(undisturbed).means())


def _runs(folder: Path) -> list[list[Any]]:
    """What is decided by fresh seeds, without times."""
    found = []
    for path in sorted(folder.rglob("runs.jsonl")):
        for line in map(json.loads, path.read_text().splitlines()):
            epoch = line.get("epoch", {})
            found.append([line["design"], line.get("seeds"), line.get("level"), line.get("seed")])
            found[-1] += [epoch.get("epoch"), epoch.get("correct")]
    return sorted(map(str, found))  # type: ignore[arg-type]


def test_it_ends_with_the_smallest_design_of_the_space(tmp_path: Path) -> None:
    given = arguments(
        space="conv(6|8) maxpool conv(12) gap linear(10)",
        recipe="recipe(lr=0.2,batch=64)",
        goal="smallest",
        budget=2000,
        epochs=2,
        target=0.05,
        trials=9,
        study=tmp_path,
    )
    result = search(**given)
    assert result.best is not None and result.best["params"] == 868
    assert "no design of the space is smaller" in result.reason
    again = search(**given)
    assert again.best is not None and again.records == result.records


@pytest.mark.slow
def test_left_around_what_fresh_seeds_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both slots are busy whenever it is left, so that what they do must not count."""
    monkeypatch.setattr(api, "local_slots", inline)
    question = resolve(SearchSettings(**asked(tmp_path / "undisturbed", **KILLED)))
    with contextlib.closing(run(question)) as some:
        events = list(some)
    assert any(isinstance(e, Ended) and e.trial.reason == OVER_CAP for e in events)
    places = [index for index, event in enumerate(events) if isinstance(event, Judged)]
    assert len(places) > 1
    for left in (places[0], places[0] + 1):  # before and after a verdict
        folder = tmp_path / str(left)
        with contextlib.closing(run(resolve(SearchSettings(**asked(folder, **KILLED))))) as some:
            next(itertools.islice(some, left - 1, None))
        searched(folder, **KILLED)
        same(folder, tmp_path / "undisturbed")
        assert _runs(folder) == _runs(tmp_path / "undisturbed")
