"""The plot of a comparison: means over seeds with their bands, as searches went on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from lightsearch.errors import ArgumentError
from lightsearch.plots.style import (
    SIZE,
    Layout,
    accuracy_axis,
    axes,
    axis_percent,
    legend,
    ticks,
    title,
)

# Of middle lightness, like the others of `style`, and told apart with the usual colour blindness.
COLOURS = (
    "#2f7ed8",
    "#d9480f",
    "#2b8a3e",
    "#9c36b5",
    "#a07000",
    "#858585",
    "#0d9aa8",
    "#e0528e",
)
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))  # five, so that pairs repeat after forty
WIDTH, WIDER = 1.8, 1.2  # points: of a curve, and more for each curve that is on it
SPENT = {
    "epochs": "epochs trained, all trials together",
    "seconds": "seconds of training, all trials together",
}


def draw(curves: pd.DataFrame, axis: str, name: str, total: int, ax: Axes | None) -> Axes:
    """Draw curves (see `Comparison.curves`) by one of their axes: the mean, and its interval.

    `name` is what is measured; an accuracy is of `total` images.
    """
    ax = axes(ax)
    own = curves[curves["axis"] == axis]
    seeds, shown = set(), []
    widths = _choose_widths(own)
    for index, label in enumerate(curves["group"].unique()):
        frame = own[own["group"] == label]
        if frame.empty:  # by seconds, one study may end before another has its first epoch
            continue
        mean, low, high = (
            [axis_percent(one, total) for one in frame[column].clip(lower=0)]
            for column in ("mean", "low", "high")
        )
        colour = COLOURS[index % len(COLOURS)]
        style = DASHES[index % len(DASHES)]  # prints in grey have them only
        ax.plot(
            frame["spent"],
            mean,
            drawstyle="steps-post",
            color=colour,
            linestyle=style,
            linewidth=widths[label],
            label=str(label),
        )
        ax.fill_between(
            frame["spent"], low, high, step="post", color=colour, alpha=0.16, linewidth=0
        )
        shown += [one for one in (*mean, *low, *high) if one == one]
        seeds |= set(frame["seeds"])
    if shown:
        accuracy_axis(ax, shown, total, f"{name} (%)")
    ax.set_xlabel(SPENT[axis])
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    ax.xaxis.set_major_locator(ticks(ax))
    title(ax, _say_seeds(sorted(int(one) for one in seeds)))
    legend(ax)
    return ax


def _choose_widths(curves: pd.DataFrame) -> dict[Any, float]:
    """Return each curve's width by its group: one that later ones hide is wider than they."""
    points = {
        label: tuple(zip(frame["spent"], frame["mean"], strict=True))
        for label, frame in curves.groupby("group", sort=False)
    }
    labels, widths = list(points), {}
    for index, label in enumerate(labels):
        hiding = sum(points[later] == points[label] for later in labels[index + 1 :])
        widths[label] = WIDTH + WIDER * hiding
    return widths


def _say_seeds(seeds: list[int]) -> str:
    """Return what the curves are: of one seed there is no mean, and no interval."""
    if seeds == [1]:
        return "One seed, so without an interval"
    some = ", if over more than one" if seeds[:1] == [1] else ""
    return f"Mean over {' or '.join(map(str, seeds))} seeds, with its 95% interval{some}"


def save(curves: pd.DataFrame, by: Sequence[str], name: str, total: int, path: Path) -> None:
    """Save a picture with a panel for each axis in `by`.

    Raises `ArgumentError` for a kind of file that matplotlib does not write.
    """
    figure = Figure(figsize=(SIZE[0] * len(by), SIZE[1]), layout=Layout())
    kinds = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise ArgumentError(
            f"a picture's name must end in one of {', '.join(sorted(kinds))}, but got {path.name}"
        )
    for axis, ax in zip(by, figure.subplots(1, len(by), squeeze=False)[0], strict=True):
        draw(curves, axis, name, total, ax)
    figure.savefig(path, dpi=130)
