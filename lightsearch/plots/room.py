"""Room for what stands around axes, in figures that have no layout engine.

There matplotlib leaves a legend below the axes, and long names beside them, over the neighbours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec
from matplotlib.transforms import Bbox

LEAST = 0.3  # of its place's width and height, that the axes keep


def make_room(ax: Axes, others: Sequence[Axes] = ()) -> None:
    """Shrink axes until what belongs to them, and to their twins `others`, is in their place.

    The place is theirs in the grid of subplots, with the gaps above and at the left; at the
    margins it ends with the figure.
    """
    known = ax.get_axes_locator()
    if known is not None and not isinstance(known, _Locator):
        return  # somebody else places them, as insets
    for _ in range(2):  # ticks change with the size, and with them the room that they need
        locator = _Locator(ax, *_measure_margins(ax, others))
        for one in (ax, *others):
            one.set_axes_locator(locator)
            one.apply_aspect(locator(one, None))
        fold_title(ax, locator.find_place()[1].x1)


@dataclass(frozen=True, slots=True, eq=False)
class _Locator:
    """Places axes at each drawing: so `tight_layout` and a change of the figure's size work too.

    The margins are in inches.
    """

    ax: Axes
    left: float
    right: float
    bottom: float
    top: float

    def get_subplotspec(self) -> SubplotSpec | None:
        """Return where the axes are in the grid: `tight_layout` asks for it."""
        return self.ax.get_subplotspec()

    def __call__(self, ax: Any, renderer: Any) -> Bbox:
        own, place = self.find_place()
        figure: Any = self.ax.get_figure(root=False)
        wide, high = figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi
        x0 = max(own.x0, place.x0 + self.left / wide)
        y0 = max(own.y0, place.y0 + self.bottom / high)
        x0 = min(x0, own.x1 - LEAST * own.width)
        y0 = min(y0, own.y1 - LEAST * own.height)
        x1 = min(own.x1, place.x1 - self.right / wide)
        y1 = min(own.y1, place.y1 - self.top / high)
        x1 = max(x1, x0 + LEAST * own.width)
        y1 = max(y1, y0 + LEAST * own.height)
        return Bbox.from_extents(x0, y0, x1, y1)

    def find_place(self) -> tuple[Bbox, Bbox]:
        """Return where matplotlib would place the axes, and the place for all that is theirs.

        Both are in shares of the figure.
        """
        spec, figure = self.ax.get_subplotspec(), self.ax.get_figure(root=False)
        if spec is None:
            return self.ax.get_position(original=True), Bbox.unit()
        known: Any = figure  # of matplotlib's stubs: they have no figures in figures here
        own, grid = spec.get_position(known), spec.get_gridspec()
        bottoms, _, _, rights = grid.get_grid_positions(known)
        rows, columns = spec.rowspan, spec.colspan
        return own, Bbox.from_extents(
            rights[columns.start - 1] if columns.start else 0,
            own.y0 if rows.stop < grid.nrows else 0,
            own.x1 if columns.stop < grid.ncols else 1,
            bottoms[rows.start - 1] if rows.start else 1,
        )


def _measure_margins(ax: Axes, others: Sequence[Axes]) -> tuple[float, float, float, float]:
    """Return how many inches stand out of the axes at the left, right, bottom and top.

    A legend or a title that is too wide does not count: narrower axes would not help.
    """
    figure: Any = ax.get_figure(root=True)
    inner = ax.get_window_extent()
    sides = [axis.get_tightbbox() for one in (ax, *others) for axis in (one.xaxis, one.yaxis)]
    known = [inner, *(box for box in sides if box is not None)]
    whole = ax.get_tightbbox() or inner
    margins = (
        inner.x0 - min(box.x0 for box in known),
        max(box.x1 for box in known) - inner.x1,
        inner.y0 - min(whole.y0, *(box.y0 for box in known)),
        max(whole.y1, inner.y1) - inner.y1,
    )
    left, right, bottom, top = (float(margin / figure.dpi) for margin in margins)
    return left, right, bottom, top


def fold_title(ax: Axes, end: float) -> bool:
    """Break the lines of the title that would reach beyond `end`, a share of the figure.

    Returns whether there are any.
    """
    figure: Any = ax.get_figure(root=False)
    text = ax.get_title(loc="left")
    label = ax.set_title(text, loc="left", fontsize="medium")
    room = figure.bbox.x0 + end * figure.bbox.width - ax.get_window_extent().x0
    wide = label.get_window_extent().width
    if not text or wide <= room:
        return False
    most = max(12, int(max(map(len, text.splitlines())) * room / wide))
    label.set_text("\n".join(textwrap.fill(line, most) for line in text.splitlines()))
    return True
