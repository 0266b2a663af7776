"""The Pareto front of trials: no other is at least as good in all orders and better in one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lightsearch.errors import ArgumentError
from lightsearch.study.objectives import Objectives, check_directions, judge_all
from lightsearch.study.orders import Order
from lightsearch.study.trial import Trial


def find_front(frame: pd.DataFrame, orders: Sequence[Order]) -> pd.DataFrame:
    """The rows of a table that are on the front of some orders, sorted by the first of them.

    Of rows that are equal in all, each is on it. Rows without a value are not.

    Raises `ArgumentError` unless there are two orders or more, each once.
    """
    columns = [order.column for order in orders]
    if len(columns) < 2 or len(set(columns)) < len(columns):
        raise ArgumentError(
            f"a Pareto front must be of two orders or more, each once, but got {len(columns)}: "
            f"{', '.join(columns) or 'none'}"
        )
    signs = [-1.0 if order.largest else 1.0 for order in orders]
    values = frame[columns].astype(float).dropna() * signs  # smaller is better in each
    points = values.to_numpy()
    kept = [not ((points <= one).all(axis=1) & (points < one).any(axis=1)).any() for one in points]
    front = values[kept].sort_values(columns, kind="stable")
    return frame.loc[front.index]


def find_front_by(
    objective: Objectives, frame: pd.DataFrame, trials: Sequence[Trial], directions: Sequence[str]
) -> pd.DataFrame:
    """The rows of a table of trials that are on the front of an objective's values.

    The values are the columns `objective_0`, `objective_1`, ...
    """
    known = check_directions(directions)
    orders = [
        Order(f"objective_{index}", "", largest=one == "maximize")
        for index, one in enumerate(known)
    ]
    values = [judge_all(objective, trials[number], len(known)) for number in frame.index]
    columns = [order.column for order in orders]
    return find_front(frame.join(pd.DataFrame(values, index=frame.index, columns=columns)), orders)
