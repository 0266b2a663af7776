"""Axes that are given: nothing that belongs to them is over their neighbours."""

from __future__ import annotations

import itertools
from typing import Any

import made
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from lightsearch import plot_design, zoo
from lightsearch.result import SearchResult

ORDER = ("pareto", "curves", "progress", "choices", "space")


@pytest.fixture(autouse=True)
def _drawn_in_memory() -> None:
    mpl.use("agg")


@pytest.fixture(scope="module")
def study() -> SearchResult:
    return made.result(20)


def _draw_all(study: SearchResult, **layout: Any) -> tuple[mpl.figure.Figure, list[Axes]]:
    figure, grid = plt.subplots(2, 3, figsize=(14, 9), **layout)
    for name, ax in zip(ORDER, grid.flat, strict=False):
        getattr(study.plot, name)(ax=ax)
    plot_design(study.records[0].candidate.design, ax=grid[1, 2])
    return figure, list(grid.flat)


def _boxes(figure: mpl.figure.Figure, ax: Axes) -> list[Bbox]:
    """The boxes of what belongs to axes: of their twins too."""
    figure.canvas.draw()
    twins = [one for one in figure.axes if one.get_subplotspec() == ax.get_subplotspec()]
    return [one.get_tightbbox() for one in twins]


def _check_apart(figure: mpl.figure.Figure, grid: list[Axes]) -> None:
    boxes = [Bbox.union(_boxes(figure, ax)).padded(-2) for ax in grid]
    for (one, a), (other, b) in itertools.combinations(enumerate(boxes), 2):
        assert not a.overlaps(b), (one, other)
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_pictures_in_a_grid_are_apart(study: SearchResult, layout: str | None) -> None:
    figure, grid = _draw_all(study, **({"layout": layout} if layout else {}))
    _check_apart(figure, grid)


def test_a_tight_layout_afterwards_keeps_them_apart(study: SearchResult) -> None:
    """Relative: it leaves no picture a smaller place than it had."""
    figure, grid = _draw_all(study)
    figure.canvas.draw()
    before = [ax.get_window_extent().height for ax in grid]
    figure.tight_layout()
    _check_apart(figure, grid)
    after = [ax.get_window_extent().height for ax in grid]
    assert all(b > 0.9 * a for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("picture", ORDER)
def test_a_picture_on_small_axes_is_within_its_figure(study: SearchResult, picture: str) -> None:
    figure, ax = plt.subplots(figsize=(5, 4))
    getattr(study.plot, picture)(ax=ax)
    figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.y0 >= -1 and legend.x1 <= figure.bbox.x1 + 1
    assert ax.xaxis.label.get_window_extent().y0 > legend.y1 - 2
    assert ax.get_window_extent().height > 0.3 * figure.bbox.height


def test_insets_stay_where_they_were_placed(study: SearchResult) -> None:
    _, ax = plt.subplots()
    inset = ax.inset_axes((0.5, 0.5, 0.4, 0.4))
    before = inset.get_position().bounds
    study.plot.curves(ax=inset)
    assert inset.get_position().bounds == pytest.approx(before)


@pytest.mark.parametrize("name", ["s1-final", "s4-model3"])
@pytest.mark.parametrize("size", [(4, 3), (6, 4), (3, 6), None])
def test_a_design_on_small_axes_has_no_text_over_another(
    name: str, size: tuple[float, float] | None
) -> None:
    ax = None if size is None else plt.subplots(figsize=size)[1]
    ax = plot_design(zoo[name].design, ax=ax)
    ax.get_figure(root=True).canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in ax.texts]
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, other)


def test_names_of_layers_are_cut_where_there_is_no_room_only() -> None:
    """Relative: narrower axes have shorter names, and axes of its own whole ones."""
    design = "conv(10,p=0,act=gelu,act-norm,dropout=0.03) gap linear(10)"
    longest = []
    for wide in (3, 5, None):
        ax = None if wide is None else plt.subplots(figsize=(wide, 3))[1]
        ax = plot_design(design, ax=ax)
        longest.append(max(len(t.get_text()) for t in ax.texts if t.get_text().startswith("conv")))
    assert longest == sorted(longest) and longest[0] < longest[-1]
    assert "..." not in "".join(t.get_text() for t in ax.texts)
