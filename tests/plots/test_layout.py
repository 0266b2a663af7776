"""Plots of long texts: their labels are cut, and matplotlib says nothing."""

from __future__ import annotations

import warnings
from pathlib import Path

import made
import matplotlib as mpl
import pandas as pd
import pytest

from lightsearch.plots import comparison
from lightsearch.plots.plots import PICTURES
from lightsearch.plots.style import LONGEST


@pytest.fixture(autouse=True)
def _drawn_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpl.rcParams, "figure.max_open_warning", 0)


@pytest.mark.parametrize("name", PICTURES)
def test_a_plot_without_room_is_drawn_in_silence(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = getattr(made.result(30, budget=10**60).plot, name)()
        ax.figure.draw_without_rendering()


def test_names_of_a_comparison_are_cut_and_without_controls(tmp_path: Path) -> None:
    groups = ["a" * 300, "b\x1b\udce9"]
    one = {"axis": "epochs", "mean": 0.9, "low": 0.8, "high": 0.95, "seeds": 3}
    rows = [{**one, "group": group, "spent": spent} for group in groups for spent in (1, 2, 3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison.save(pd.DataFrame(rows), ("epochs",), "acc", 1000, tmp_path / "c.png")
        ax = comparison.draw(pd.DataFrame(rows), "epochs", "acc", 1000, None)
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "a" * (LONGEST - 3) + "...",
        "b\\x1b\\udce9",
    ]
