"""Plot a design: a row a layer, with a bar as wide as its output and its receptive field."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lightsearch.design.parts import Design
from lightsearch.formatting import shorten
from lightsearch.network.cost import Row, cost
from lightsearch.plots.style import HIT, MISS, axes, ink
from lightsearch.shapes import Shape

_HEADS = (
    (0.0, "left", "layer"),
    (4.75, "center", "output"),
    (7.1, "right", "params"),
    (8.4, "center", "sees, in pixels"),
)
WIDEST = 1.2  # bar of a receptive field
NAME = 44  # characters of a layer at most


def draw(design: Design | str, shape: Shape, ax: Axes | None) -> Axes:
    """See `lightsearch.plots.plots.plot_design`."""
    costs = cost(design, shape)
    rows = costs.rows
    image = Row("", "image", shape, 0, 0, 0, 1, 1, False)
    ax = axes(ax, (8.8, 1.0 + 0.32 * (len(rows) + 1)))
    ax.set(xlim=(-0.1, 9.6), ylim=(len(rows) + 1.2, -1.2))
    ax.axis("off")
    for x, ha, text in _HEADS:
        ax.text(x, -0.75, text, ha=ha, va="center", fontsize="small", weight="bold")
    most = max(math.prod(row.shape) ** 0.5 for row in (image, *rows))
    for number, row in enumerate((image, *rows)):
        _row(ax, number, row, shape, most)
    for start, end, depth in _blocks(rows):
        _arrow(ax, start, end, depth, back=rows[end - 1].passes > 1)
    whole = " and the whole image" if costs.whole_image else ""
    ax.set_title(
        f"{costs.params:,} parameters, {costs.macs:,} MACs, receptive field "
        f"{costs.receptive_field}{whole}",
        loc="left",
        fontsize="medium",
    )
    return ax


def _row(ax: Axes, y: int, row: Row, image: Shape, most: float) -> None:
    channels, height, width = row.shape
    side, full = max(height, width), max(image[1:])
    ax.text(
        0.22 * _depth(row),
        y,
        shorten(row.layer, NAME),
        va="center",
        fontsize="small",
        family="monospace",
    )
    wide, thick = max(0.05, 1.9 * side / full), 0.72
    ax.add_patch(
        Rectangle(
            (4.75 - wide / 2, y - thick / 2),
            wide,
            thick,
            facecolor=HIT,
            alpha=0.15 + 0.45 * math.prod(row.shape) ** 0.5 / most,
            edgecolor=MISS,
            linewidth=0.6,
        )
    )
    ax.text(4.75, y, f"{channels}x{height}x{width}", ha="center", va="center", fontsize="small")
    ax.text(
        7.1, y, f"{row.params:,}" if row.params else "-", ha="right", va="center", fontsize="small"
    )
    field = WIDEST * min(1.0, row.receptive_field / full)
    ax.add_patch(
        Rectangle((7.6, y - 0.2), WIDEST, 0.4, facecolor="none", edgecolor=MISS, linewidth=0.6)
    )
    ax.add_patch(Rectangle((7.6 + (WIDEST - field) / 2, y - 0.2), field, 0.4, facecolor=MISS))
    ax.text(
        8.95,
        y,
        f"{row.receptive_field}{'+' if row.whole_image else ''}",
        va="center",
        fontsize="small",
    )


def _depth(row: Row) -> int:
    return row.place.count("].")


def _blocks(rows: tuple[Row, ...]) -> list[tuple[int, int, int]]:
    """Return (input's row, own row, depth) of each residual and loop. Row 0 is the image."""
    blocks = []
    for number, row in enumerate(rows):
        inside = [
            n for n, other in enumerate(rows[:number]) if other.place.startswith(f"{row.place}.")
        ]
        if inside:
            blocks.append((inside[0], number + 1, _depth(row)))
    return blocks


def _arrow(ax: Axes, start: int, end: int, depth: int, *, back: bool) -> None:
    """Draw a line past the layers of a block: from its input to its addition, or, for a loop, back
    to its first layer."""
    x = 6.0 - 0.12 * depth  # apart from the next block
    top, bottom = start + (1 if back else 0.18), end - 0.18
    ax.plot([5.75, x, x, 5.75], [top, top, bottom, bottom], color=ink(), linewidth=0.9)
    ax.plot([5.75], [top if back else bottom], marker="<", color=ink(), markersize=4)
