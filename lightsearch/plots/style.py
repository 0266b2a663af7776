"""The style of all plots: colours and marks, the axis of accuracies, labels that never overlap.

Marks also differ in shape and filling, for prints in grey. Their colours are of middle lightness,
and all else has matplotlib's own text colour. So plots are legible on matplotlib's white
background and on the dark one of `plt.style.use("dark_background")`.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator
from matplotlib.transforms import Bbox, ScaledTranslation

from lightsearch.errors import ArgumentError, escape_controls, quote
from lightsearch.formatting import shorten
from lightsearch.plots.room import fold_title, make_room

HIT, MISS, LIMIT = "#2f7ed8", "#858585", "#d9480f"
SIZE = (7.2, 4.5)  # inches
NARROW = 4.0  # inches of the axes below which a legend has small type
LONGEST = 60  # characters of a legend's label
_LONG = 40  # characters from which on a label has a line of the legend to itself
_TICKS = (
    90.0,
    99.0,
    99.9,
    99.5,
    50.0,
    98.0,
    95.0,
    99.8,
    80.0,
    99.7,
    20.0,
    99.6,
    99.4,
    99.2,
    97.0,
    99.3,
    98.5,
    99.95,
    70.0,
    92.0,
    96.0,
    94.0,
    99.1,
    0.0,
)  # by priority
_AROUND = (
    (-6, 5, "right", "bottom"),
    (6, 5, "left", "bottom"),
    (6, -5, "left", "top"),
    (-6, -5, "right", "top"),
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
)


def ink() -> str:
    """Return matplotlib's current colour of text."""
    return str(mpl.rcParams["text.color"])


class Layout(ConstrainedLayoutEngine):
    """Matplotlib's constrained layout, which says nothing where it finds no room for the axes.

    They stay where they were. Nobody who reads a plot could do anything about it.
    """

    def execute(self, fig: Figure) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "constrained_layout not applied")
            super().execute(fig)


def axes(ax: Axes | None, size: tuple[float, float] = SIZE) -> Axes:
    """Return the axes to draw on: `ax`, or new ones of a pyplot figure, for notebooks to show."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout=Layout())
    if not isinstance(ax, Axes):
        raise ArgumentError(
            f"`ax` must be the axes of matplotlib to draw on, but got ax={quote(ax)}. To save a "
            "plot: result.plot.pareto().figure.savefig('pareto.png')"
        )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def inches(ax: Axes) -> float:
    """Return the approximate width of the axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(ax.get_window_extent().width / figure.dpi)


class _WholeTicks(MaxNLocator):
    """A locator of whole numbers that are `apart` inches apart, however wide the axes become."""

    def __init__(self, ax: Axes, apart: float) -> None:
        super().__init__(integer=True, min_n_ticks=1)  # of two, they need not be whole
        self.ax, self.apart = ax, apart

    def __call__(self) -> Any:
        self.set_params(nbins=max(2, int(inches(self.ax) / self.apart)))
        return super().__call__()


def ticks(ax: Axes, apart: float = 0.75) -> MaxNLocator:
    """Return a locator of whole numbers that are at least `apart` inches apart."""
    return _WholeTicks(ax, apart)


def legend(ax: Axes, *others: Axes, columns: int | None = None) -> None:
    """Add a legend below the axes, where it hides nothing. It also names what `others` show."""
    handles, labels = [], []
    room = max(12, int(15 * inches(ax)))  # characters
    for one in (ax, *others):
        more = one.get_legend_handles_labels()
        handles += more[0]
        labels += [shorten(escape_controls(label), LONGEST) for label in more[1]]
    most = columns or max(2 if inches(ax) < NARROW else 1, int(inches(ax) / 1.8))
    if any(len(label) > _LONG for label in labels):
        most = 1
    labels = [textwrap.fill(label, room) if len(label) > room else label for label in labels]
    for number in range(most, 0, -1):
        box = _add_legend(ax, handles, labels, number)
        if inches(ax) >= NARROW or box.get_window_extent().width <= ax.get_window_extent().width:
            break
    for handle in box.legend_handles:
        if isinstance(handle, Line2D):  # faint lines stay legible in the legend, broad ones apart
            handle.set(linewidth=min(2.4, max(1.1, handle.get_linewidth())), alpha=1)
    settle(ax, *others)


def _add_legend(ax: Axes, handles: list[Any], labels: list[str], columns: int) -> Legend:
    figure = ax.get_figure(root=True)
    assert figure is not None
    below = ScaledTranslation(0, -0.5, figure.dpi_scale_trans)  # inches: past the axis' label
    return ax.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=columns,
        bbox_transform=ax.transAxes + below,
        frameon=False,
        fontsize="x-small" if inches(ax) < NARROW else "small",
        borderaxespad=0,
        handlelength=2.2,
    )


def settle(ax: Axes, *others: Axes) -> None:
    """Give the axes the place that they will have: what is drawn next may measure it."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    layout = figure.get_layout_engine()
    if layout is None:
        figure.draw_without_rendering()
        make_room(ax, others)
    else:
        layout.execute(figure)  # it makes room for a legend only the second time
        if fold_title(ax, 1):  # long names at the left move its start
            layout.execute(figure)


def title(ax: Axes, text: str) -> None:
    room = max(12, int(14 * inches(ax)))
    lines = [textwrap.fill(line, room) for line in text.splitlines()]
    ax.set_title("\n".join(lines), loc="left", fontsize="medium")


# The axis of accuracies -------------------------------------------------------------------------


def axis_percent(accuracy: float, total: int) -> float:
    """Return an accuracy from 0 to 1 as percent for the axis of accuracies. An error of 0 becomes
    half an image of `total`, since the axis is logarithmic in the error."""
    return 100 * min(accuracy, 1 - 0.5 / total)


def accuracy_axis(ax: Axes, values: Iterable[float], total: int, label: str) -> None:
    """Make the vertical axis one of percent, logarithmic in the error: 90, 99 and 99.9 are equally
    far apart. It spans `values` (percent)."""
    ax.set_yscale("function", functions=(_forward, _backward))
    numbers = list(values)
    low, high = _forward(np.array([min(numbers), max(numbers)]))
    pad = max(0.07 * (high - low), 0.02)
    ax.set_ylim(*_backward(np.array([low - pad, high + pad])))
    every = 100 - 50 / total
    ax.yaxis.set_major_locator(_Percents((*_TICKS, every)))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "100" if abs(value - every) < 1e-9 else f"{value:.6g}")
    )
    ax.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.set_ylabel(label)
    ax.grid(axis="y", alpha=0.25, linewidth=0.6)


def _forward(percent: Any) -> Any:
    return -np.log10(np.maximum(100 - np.asarray(percent, dtype=float), 1e-9))


def _backward(value: Any) -> Any:
    return 100 - 10.0 ** -np.asarray(value, dtype=float)


class _Percents(Locator):
    """A locator of round percentages that keep a minimum distance on the axis."""

    def __init__(self, ticks: tuple[float, ...]) -> None:
        self.ticks = ticks

    def __call__(self) -> Any:
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Any:
        low, high = sorted((vmin, vmax))
        apart = (_forward(high) - _forward(low)) / 9
        kept: list[float] = []
        for tick in (t for t in self.ticks if low <= t <= high):
            if all(abs(_forward(tick) - _forward(one)) >= apart for one in kept):
                kept.append(tick)
        return sorted(kept) if len(kept) > 2 else MaxNLocator(5).tick_values(low, high)


# Labels -----------------------------------------------------------------------------------------


def label_points(
    ax: Axes,
    points: Iterable[tuple[float, float, str]],
    marks: Iterable[tuple[float, float]],
    **more: Any,
) -> tuple[str, ...]:
    """Label each point that has room, and return the labels that were drawn.

    Earlier points come first. A label that would leave the axes, or overlap another label or one
    of the `marks`, is left out. So draw all else before, the legend too.
    """
    labels = []
    occupied = [_around(point, 4) for point in ax.transData.transform(list(marks))]
    occupied += [text.get_window_extent() for text in ax.texts]
    inside = ax.get_window_extent()
    for x, y, text in points:
        for dx, dy, ha, va in _AROUND:
            label = ax.annotate(
                text,
                (x, y),
                (dx, dy),
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize="small",
                **more,
            )
            label.set_in_layout(False)
            box = label.get_window_extent()
            within = (
                inside.x0 <= box.x0
                and box.x1 <= inside.x1
                and inside.y0 <= box.y0
                and box.y1 <= inside.y1
            )
            if within and not any(box.overlaps(other) for other in occupied):
                occupied.append(box)
                labels.append(text)
                break
            label.remove()
    return tuple(labels)


def _around(point: Any, radius: float) -> Bbox:
    x, y = point
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)
