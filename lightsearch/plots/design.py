"""Plot a design: a row a layer, with a bar as wide as its output and its receptive field."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lightsearch.design.parts import Design
from lightsearch.formatting import shorten
from lightsearch.network.cost import Row, cost
from lightsearch.plots.style import HIT, MISS, axes, inches, ink, settle, title
from lightsearch.shapes import Shape

_HEADS = (
    (0.0, "left", "layer"),
    (4.75, "center", "output"),
    (7.1, "right", "params"),
    (8.4, "center", "sees, in pixels"),
)
WIDEST = 1.2  # bar of a receptive field
NAME = 44  # characters of a layer at most
LEFT, RIGHT = -0.1, 9.6  # ends of the axis on which all of these are
NAMES = 3.75  # where the names end: before the widest output
TYPE = 8.33  # points: matplotlib's "small"
BROAD = 4.8  # inches from which on the columns have room for it


@dataclass(frozen=True, slots=True)
class _Type:
    """The size of the type in points, and how many characters fit in a unit of the axis."""

    size: float
    characters: float


def _fit_type(ax: Axes, rows: int) -> _Type:
    """Return the type that the axes have room for."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    wide, high = inches(ax), float(ax.get_window_extent().height) / figure.dpi
    size = max(2.0, min(TYPE, TYPE * wide / BROAD, 72 * high / rows / 1.25))
    probe = ax.text(0, 0, NAME * "m", fontsize=size, family="monospace")  # hinting makes it wider
    share = probe.get_window_extent().width / NAME / ax.get_window_extent().width
    probe.remove()
    return _Type(size, 1 / float(share) / (RIGHT - LEFT))


def draw(design: Design | str, shape: Shape, ax: Axes | None) -> Axes:
    """See `lightsearch.plots.plots.plot_design`."""
    costs = cost(design, shape)
    rows = costs.rows
    image = Row("", "image", shape, 0, 0, 0, 1, 1, False)
    ax = axes(ax, (8.8, 1.0 + 0.32 * (len(rows) + 1)))
    ax.set(xlim=(LEFT, RIGHT), ylim=(len(rows) + 1.2, -1.2))
    ax.axis("off")
    whole = " and the whole image" if costs.whole_image else ""
    title(
        ax,
        f"{costs.params:,} parameters, {costs.macs:,} MACs, receptive field "
        f"{costs.receptive_field}{whole}",
    )
    settle(ax)
    kind = _fit_type(ax, len(rows) + 2)
    for x, ha, text in _HEADS:
        ax.text(x, -0.75, text, ha=ha, va="center", fontsize=kind.size, weight="bold")
    most = max(math.prod(row.shape) ** 0.5 for row in (image, *rows))
    for number, row in enumerate((image, *rows)):
        _row(ax, number, row, shape, most, kind)
    for start, end, depth in _blocks(rows):
        _arrow(ax, start, end, depth, back=rows[end - 1].passes > 1)
    return ax


def _row(ax: Axes, y: int, row: Row, image: Shape, most: float, kind: _Type) -> None:
    channels, height, width = row.shape
    side, full = max(height, width), max(image[1:])
    start = 0.22 * _depth(row)
    ax.text(
        start,
        y,
        shorten(row.layer, max(4, min(NAME, int((NAMES - start) * kind.characters)))),
        va="center",
        fontsize=kind.size,
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
    ax.text(4.75, y, f"{channels}x{height}x{width}", ha="center", va="center", fontsize=kind.size)
    ax.text(
        7.1,
        y,
        f"{row.params:,}" if row.params else "-",
        ha="right",
        va="center",
        fontsize=kind.size,
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
        fontsize=kind.size,
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
