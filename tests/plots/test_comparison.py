"""The picture of a comparison: of one seed, of many groups, of equal curves."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.axes import Axes

from lightsearch.plots import comparison


@pytest.fixture(autouse=True)
def _drawn_in_memory() -> None:
    mpl.use("agg")


def _draw(means: dict[str, list[float]], seeds: int = 3, **more: Any) -> Axes:
    rows = [
        {
            "axis": "epochs",
            "group": group,
            "spent": spent,
            "mean": mean,
            "low": math.nan if seeds == 1 else mean - 0.01,
            "high": math.nan if seeds == 1 else mean + 0.01,
            "seeds": seeds,
        }
        | more
        for group, one in means.items()
        for spent, mean in enumerate(one, 1)
    ]
    return comparison.draw(pd.DataFrame(rows), "epochs", "accuracy", 1000, None)


def test_one_seed_has_no_mean_and_no_interval() -> None:
    said = _draw({"a": [0.8, 0.9]}, seeds=1).get_title("left")
    assert said == "One seed, so without an interval"
    assert _draw({"a": [0.8, 0.9]}).get_title("left") == "Mean over 3 seeds, with its 95% interval"


def test_groups_with_one_and_with_more_seeds_say_whose_the_interval_is() -> None:
    assert comparison._say_seeds([1, 3]).endswith("interval, if over more than one")


@pytest.mark.parametrize("count", [8, 24])
def test_no_two_groups_look_alike(count: int) -> None:
    ax = _draw({f"g{n}": [0.5 + n / 100, 0.6 + n / 100] for n in range(count)})
    colours = [line.get_color() for line in ax.lines]
    assert len(set(colours)) == min(count, 8)
    looks = {
        (line.get_color(), line.get_linestyle(), str(line._dash_pattern)) for line in ax.lines
    }
    assert len(looks) == count


def test_equal_curves_are_all_seen() -> None:
    """Relative: a curve that others hide is wider than they, and than one of its own."""
    ax = _draw({"a": [0.8, 0.9], "b": [0.8, 0.9], "other": [0.7, 0.85], "c": [0.8, 0.9]})
    wide = {line.get_label(): line.get_linewidth() for line in ax.lines}
    assert wide["a"] > wide["b"] > wide["c"] == wide["other"]
    in_legend = [line.get_linewidth() for line in ax.get_legend().get_lines()]
    assert max(in_legend) <= 2.4
