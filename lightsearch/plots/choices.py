"""The plot of which decisions matter, and what they are called there."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lightsearch.design.parts import Seq, Space, kind_of
from lightsearch.formatting import plural, shorten
from lightsearch.plots.result import Result
from lightsearch.plots.space import read_space
from lightsearch.plots.style import HIT, LIMIT, NARROW, SIZE, axes, inches, legend, title
from lightsearch.study.importances import Importances

NAME = 80  # characters of a decision's name, at most
TYPE, SMALL = 8.33, 6.94  # points: matplotlib's "small" and "x-small"
LINE = 38  # of a line of it
_WORDS = {"out": "width", "act": "activation"}  # for fields that do not speak for themselves
_BRANCHES = {"first": ", first branch", "second": ", second branch", "body": ""}
_RECIPE = "recipe."  # starts the paths of a recipe's decisions
_TOKEN = re.compile(r"(\[(\d+)\]|/(\d+)|#(\d+)|\.(\w+))")


def choices(result: Result, importance: Importances, ax: Axes | None, most: int) -> Axes:
    """See `Plots.choices`."""
    whole, gap = read_space(result)
    bars = list(importance.shares.items())[:most]
    names = [
        shorten(name if whole is None else decision_name(whole, name), NAME) for name, _ in bars
    ]
    tall = 0.28 if all(len(name) <= LINE for name in names) else 0.34
    ax = axes(ax, (SIZE[0], 1.8 + tall * len(bars)))
    _draw_bars(ax, importance, bars)
    _name_rows(ax, names)
    more = len(importance.shares) - len(bars)
    title(
        ax,
        f"Which decisions matter\nfor accuracy after epoch {importance.epoch}, "
        + plural(importance.trials, "trial")
        + (f"\n({more} smaller ones not shown)" if more else "")
        + (f"\nBy their places in the space: {gap}" if gap else ""),
    )
    legend(ax, columns=1)
    _fit_names(ax)
    return ax


def _draw_bars(ax: Axes, importance: Importances, bars: list[tuple[str, float]]) -> None:
    """Draw the shares, and what chance exceeds.

    No share exceeds 100%, but the importance of chance may, in few trials: it is measured by the
    sum of what was found. Its mark then is an arrow at the edge.
    """
    rows = range(len(bars))
    chance = [importance.chance[name] for name, _ in bars]
    colours = [HIT if share > by else "none" for (_, share), by in zip(bars, chance, strict=True)]
    ax.barh(
        rows,
        [share for _, share in bars],
        color=colours,
        height=0.65,
        edgecolor=HIT,
        label="importance, filled if above chance",
    )
    for beyond, mark, label in (
        (False, "|", "exceeded by chance 1 in 20 times"),
        (True, ">", "the same, beyond 100%"),
    ):
        kept = [(by, row) for row, by in enumerate(chance) if (by > 1) is beyond]
        if kept:
            ax.plot(
                [min(by, 1.0) for by, _ in kept],
                [row for _, row in kept],
                mark,
                color=LIMIT,
                markersize=5 if beyond else 11,
                markeredgewidth=1.6,
                clip_on=False,
                label=label,
            )
    ax.set_xlim(0, min(1.0, 1.05 * max(*(share for _, share in bars), *chance)))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(
        MaxNLocator(max(2, int(inches(ax) / 0.75)), steps=[1, 2, 2.5, 5, 10])
    )
    ax.set_xlabel("share of the importance")


def _name_rows(ax: Axes, names: list[str]) -> None:
    room = max(12, min(LINE, int(7 * inches(ax))))  # a name takes half the width at most
    ax.set_yticks(range(len(names)), [_fold(name, room) for name in names])
    ax.tick_params(axis="y", labelsize=TYPE if inches(ax) > NARROW else SMALL)
    ax.set_ylim(len(names) - 0.4, -0.6)


def _fold(name: str, room: int) -> str:
    """Break a name into lines, after its commas."""
    whole = name.replace(" ", "\u00a0").replace(",\u00a0", ", ")
    return textwrap.fill(whole, room, break_long_words=False).replace("\u00a0", " ")


def _fit_names(ax: Axes) -> None:
    """Set the names in a type that the height of a row has room for."""
    texts = ax.get_yticklabels()
    size = float(texts[0].get_fontsize())
    figure = ax.get_figure(root=True)
    assert figure is not None
    pitch = 72 * ax.get_window_extent().height / figure.dpi / len(texts)  # points
    lines = max(text.get_text().count("\n") + 1 for text in texts)
    ax.tick_params(axis="y", labelsize=max(3.0, min(size, pitch / (1.3 * lines))))


def decision_name(space: Space, path: str) -> str:
    """Return what a decision decides, in words: `width of separable, block 5, option 1`.

    Blocks count from 1, as options do; a layer that may be left out has no options to name. A
    recipe's decision is called by its argument. A path that is not in `space` (a choice's own
    name) is returned as it is.
    """
    if path.startswith(_RECIPE):
        return f"recipe: {path.removeprefix(_RECIPE).replace('_', ' ')}"
    if not path.startswith("["):
        return path
    try:
        return _follow(space, path)
    except (AttributeError, IndexError):
        return path


def _follow(space: Space, path: str) -> str:
    """Follow a path through the space. Raises what Python does where there is no such part."""
    here: Any = space
    place = ""
    for _, index, option, turn, name in _TOKEN.findall(path):
        if index:
            parts = here.parts if isinstance(here, Seq) else here
            if not place:
                place = f"block {int(index) + 1}"
            elif len(parts) > 1:
                place += f", layer {int(index) + 1}"
            here = parts[int(index)]
        elif option:
            place += "" if _is_optional(here) else f", option {int(option) + 1}"
            here = here.options[int(option)]
        elif turn:
            place += f", round {int(turn) + 1}"
            here = here.body
        elif name == "times":
            return f"depth, {place}"
        elif isinstance(inner := getattr(here, name), Seq):
            place += _BRANCHES.get(name, f", {name}")
            here = inner
        else:
            return f"{_WORDS.get(name, name)} of {kind_of(type(here))}, {place}"
    return f"{'whether it is there' if _is_optional(here) else 'which layers'}, {place}"


def _is_optional(choice: Any) -> bool:
    """Whether a choice is between a part and nothing."""
    return len(choice.options) == 2 and any(not len(option) for option in choice.options)
