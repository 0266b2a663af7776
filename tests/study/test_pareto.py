"""The Pareto front over trials, against its definition and against Optuna's."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import get_args

import optuna
import pandas as pd
import pytest
from tiny import arguments

from lightsearch import search
from lightsearch.errors import ArgumentError
from lightsearch.result import SearchResult
from lightsearch.study.orders import ORDERS, OrderName
from lightsearch.study.pareto import find_front

NAMES = ("accuracy", "macs", "params")


@pytest.mark.parametrize("count", [2, 3])
def test_the_front_is_optunas(count: int) -> None:
    generator = random.Random(count)
    orders = [ORDERS[name] for name in NAMES[:count]]
    directions = ["maximize" if order.largest else "minimize" for order in orders]
    for _ in range(20):
        rows = [[generator.randrange(6) for _ in orders] for _ in range(12)]
        frame = pd.DataFrame(rows, columns=[order.column for order in orders])
        study = optuna.create_study(directions=directions)
        for row in rows:
            study.add_trial(optuna.trial.create_trial(values=row))
        assert sorted(find_front(frame, orders).index) == [t.number for t in study.best_trials]


def test_a_study_has_one(tmp_path: Path) -> None:
    result = search(**arguments(study=tmp_path / "s", pruner="none"))
    front = result.pareto("accuracy", "macs")
    assert front["macs"].is_monotonic_decreasing and 1 <= len(front) <= 4
    assert front["best_accuracy"].iloc[0] == result.trials["best_accuracy"].max()
    for one, other in itertools.permutations(front.to_dict("records"), 2):
        better = other["best_accuracy"] > one["best_accuracy"]
        assert not (better and other["macs"] <= one["macs"])
    assert result.pareto().equals(result.pareto("accuracy", "params"))


@pytest.mark.parametrize("by", [("macs",), ("macs", "macs")])
def test_a_front_is_of_two_orders(by: tuple[str, ...], tmp_path: Path) -> None:
    result = search(**arguments(study=tmp_path / "s", epochs=1, trials=1))
    with pytest.raises(ArgumentError, match="a Pareto front must be of two orders or more"):
        result.pareto(*by)
    with pytest.raises(ArgumentError, match=r"`by` must be one of .*, but got by='mac'"):
        result.pareto("accuracy", "mac")


def test_type_checkers_know_every_order() -> None:
    assert set(get_args(OrderName)) == set(ORDERS)
    assert SearchResult.ranked.__annotations__["by"] == "OrderName | Callable[[Trial], float]"
    by = SearchResult.pareto.__annotations__["by"]
    assert by == "OrderName | Callable[[Trial], Sequence[float]]"
