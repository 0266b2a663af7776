"""Pictures of one trial or one epoch: their ticks are whole, differ, and say what is there."""

from __future__ import annotations

import dataclasses

import made
import matplotlib as mpl
import pytest
from matplotlib.axes import Axes

from lightsearch.plots.plots import PICTURES
from lightsearch.result import SearchResult


@pytest.fixture(autouse=True)
def _drawn_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("agg")
    monkeypatch.setitem(mpl.rcParams, "figure.max_open_warning", 0)


def _study(
    count: int, epochs: int, *, budget: bool = True, dataset: str = "digits"
) -> SearchResult:
    result = made.result(count, epochs=epochs, dataset=dataset)
    if not budget:
        identity = dataclasses.replace(result.identity, budget=type(result.identity.budget)())
        result = dataclasses.replace(result, identity=identity)
    return result


def _ticks(ax: Axes) -> list[tuple[float, str]]:
    """The ticks within the axis and their texts."""
    ax.get_figure(root=True).canvas.draw()
    low, high = ax.get_xlim()
    texts = [text.get_text() for text in ax.get_xticklabels()]
    pairs = zip(map(float, ax.get_xticks()), texts, strict=True)
    return [(at, text) for at, text in pairs if low <= at <= high]


@pytest.mark.parametrize("picture", PICTURES[:3])
@pytest.mark.parametrize(("count", "epochs"), [(1, 1), (1, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize("budget", [True, False])
def test_ticks_are_whole_and_differ(picture: str, count: int, epochs: int, budget: bool) -> None:
    pairs = _ticks(getattr(_study(count, epochs, budget=budget).plot, picture)())
    texts = [text for _, text in pairs]
    assert texts and len(texts) == len(set(texts))
    for at, text in pairs:
        assert float(text.replace(",", "")) == at == round(at)


def test_the_epochs_of_one_are_one() -> None:
    assert [text for _, text in _ticks(_study(1, 1).plot.curves())] == ["1"]


def test_progress_of_one_epoch_has_a_mark_and_an_area() -> None:
    ax = _study(1, 1).plot.progress()
    best = next(line for line in ax.lines if line.get_label() == "best so far")
    assert best.get_marker() == "o"
    (counts,) = (one for one in ax.figure.axes if one is not ax)
    assert max(counts.lines[0].get_xdata()) > 1


def test_the_axis_of_one_design_is_no_narrower_than_that_of_near_ones() -> None:
    """Relative: one size has as much room around it as two that differ by a few parameters."""
    one = _study(1, 2, budget=False)
    size = one.records[0].candidate.params
    low, high = one.plot.pareto().get_xlim()
    assert low < 0.97 * size and high > 1.03 * size
