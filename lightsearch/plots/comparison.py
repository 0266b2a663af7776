"""The plot of a comparison: means over seeds with their bands, as searches went on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
COLOURS = ("#2f7ed8", "#d9480f", "#2b8a3e", "#9c36b5", "#a07000", "#858585")
DASHES = ("-", "--", "-.", ":")
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
            linewidth=1.8,
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
    counts = " or ".join(map(str, sorted(seeds)))
    title(ax, f"Mean over {counts} seeds, with its 95% interval")
    legend(ax)
    return ax


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
