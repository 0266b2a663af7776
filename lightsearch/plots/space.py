"""Plots of the space: which of its decisions matter, and its designs by parameters."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from lightsearch.design.parts import Seq, Space, kind_of
from lightsearch.formatting import format_large, plural, shorten
from lightsearch.notation.parser import parse
from lightsearch.plots.result import Result
from lightsearch.plots.style import HIT, LIMIT, MISS, SIZE, axes, inches, legend, ticks, title
from lightsearch.space import survey
from lightsearch.study.importances import importances

NAME = 40  # characters of a decision's name, at most
BROAD = 4.0  # inches at which a name fits on one line
_FIELDS = {"out": "width"}  # words for fields that do not speak for themselves
_TOKEN = re.compile(r"(\[(\d+)\]|/(\d+)|#(\d+)|\.(\w+))")


def choices(result: Result, ax: Axes | None, most: int) -> Axes:
    """See `Plots.choices`."""
    importance = importances(result.records)
    whole = parse(result.identity.space)
    bars = list(importance.shares.items())[:most]
    ax = axes(ax, (SIZE[0], 1.8 + 0.28 * len(bars)))
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
    ax.plot(
        chance,
        rows,
        "|",
        color=LIMIT,
        markersize=11,
        markeredgewidth=1.6,
        label="exceeded by chance 1 in 20 times",
    )
    broad = inches(ax) > BROAD
    names = [shorten(decision_name(whole, name), NAME) for name, _ in bars]
    ax.set_yticks(
        rows,
        names if broad else [name.replace(", ", "\n", 1) for name in names],
        fontsize="small" if broad else "x-small",
    )
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(max(2, int(inches(ax) / 0.75))))
    ax.set_xlabel("share of the importance")
    more = len(importance.shares) - len(bars)
    title(
        ax,
        f"Which decisions matter\nfor accuracy after epoch {importance.epoch}, "
        + plural(importance.trials, "trial")
        + (f"\n({more} smaller ones not shown)" if more else ""),
    )
    legend(ax, columns=1)
    return ax


def decision_name(space: Space, path: str) -> str:
    """Return what a decision decides, in words: `width of separable, block 5, option 1`.

    Blocks count from 1, as options do; a layer that may be left out has no options to name. A path
    that is not in `space` (a recipe's path, a choice's own name) is returned as it is.
    """
    here: Any = space
    place = ""
    try:
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
            elif turn or name == "body":
                place += f", round {int(turn) + 1}" if turn else ""
                here = here.body
            elif name == "times":
                return f"depth, {place}"
            else:
                return f"{_FIELDS.get(name, name)} of {kind_of(type(here))}, {place}"
        return f"{'whether it is there' if _is_optional(here) else 'which layers'}, {place}"
    except (AttributeError, IndexError):
        return path


def _is_optional(choice: Any) -> bool:
    """Whether a choice is between a part and nothing."""
    return len(choice.options) == 2 and any(not len(option) for option in choice.options)


def space(result: Result, ax: Axes | None, bins: int) -> Axes:
    """See `Plots.space`."""
    shape, classes = result.images
    budget = result.identity.budget
    found = survey(parse(result.identity.space), shape, classes, budget)
    ax = axes(ax, (SIZE[0], 3.6))
    cap, wide = budget.params, _width(found.counts, bins)
    histogram = _histogram(found.counts, cap, bins)
    total = sum(histogram.values())
    for label, within in (("within the budget", True), ("over the budget", False)):
        lows = [low for low in histogram if (cap is None or low <= cap) is within]
        if lows:
            ax.bar(
                lows,
                [float(Fraction(histogram[low], total)) for low in lows],
                wide,
                align="edge",
                color=HIT if within else "none",
                hatch="" if within else "////",
                edgecolor=MISS,
                linewidth=0.5,
                label=label if cap else "designs",
            )
    if cap is not None:
        ax.axvline(cap, color=LIMIT, linewidth=1.3, linestyle="--", label=f"budget, {cap:,}")
    about = "" if found.exact else "about "
    beyond = f", {format_large(found.beyond)} larger ones not shown" if found.beyond else ""
    title(
        ax,
        f"The space: {about}{format_large(found.designs)} designs, {format_large(found.within)} "
        f"within the budget{beyond}",
    )
    ax.set_xlabel("parameters")
    ax.set_ylabel("share of the designs")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(ticks(ax))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend(ax)
    return ax


def _histogram(counts: tuple[tuple[int, int], ...], cap: int | None, bins: int) -> dict[int, int]:
    """Return counts of designs by their bin's fewest parameters. A bin ends at the cap, if any."""
    first = counts[0][0] if cap is None else cap + 1
    wide = _width(counts, bins)
    sums: dict[int, int] = {}
    for params, count in counts:
        low = first + (params - first) // wide * wide
        sums[low] = sums.get(low, 0) + count
    return sums


def _width(counts: tuple[tuple[int, int], ...], bins: int) -> int:
    return max(1, -(-(counts[-1][0] - counts[0][0] + 1) // bins))
