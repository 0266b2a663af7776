"""Plots of the space: which of its decisions matter, and its designs by parameters."""

from __future__ import annotations

import functools
import re
from collections import Counter
from fractions import Fraction
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from lightsearch.design.parts import Seq, Space, kind_of
from lightsearch.errors import NotationError, StudyError
from lightsearch.formatting import format_large, plural, shorten
from lightsearch.notation.parser import parse
from lightsearch.plots.result import Result
from lightsearch.plots.style import HIT, LIMIT, MISS, SIZE, axes, inches, legend, ticks, title
from lightsearch.space import survey
from lightsearch.study.importances import Importances

NAME = 40  # characters of a decision's name, at most
BROAD = 4.0  # inches at which a name fits on one line
_UNKNOWN = re.compile(r"the layer kind must be one of .*, but got ('[^']*')", re.DOTALL)
TIGHT = 0.02  # share within the budget below which a plot of all designs would not show it
INSIDE = 4  # bins within the budget, at least
MOST = 400  # bins in all
Counts: TypeAlias = tuple[tuple[int, int], ...]  # of designs by parameters, the fewest first
_FIELDS = {"out": "width"}  # words for fields that do not speak for themselves
_TOKEN = re.compile(r"(\[(\d+)\]|/(\d+)|#(\d+)|\.(\w+))")


def choices(result: Result, importance: Importances, ax: Axes | None, most: int) -> Axes:
    """See `Plots.choices`."""
    whole, gap = _read_space(result)
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
    names = [
        shorten(name if whole is None else decision_name(whole, name), NAME) for name, _ in bars
    ]
    ax.set_yticks(
        rows,
        names if broad else [name.replace(", ", "\n", 1) for name in names],
        fontsize="small" if broad else "x-small",
    )
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(max(2, int(inches(ax) / 0.75))))
    ax.set_xlabel("share of the importance")
    more = len(importance.shares) - len(bars)
    title(
        ax,
        f"Which decisions matter\nfor accuracy after epoch {importance.epoch}, "
        + plural(importance.trials, "trial")
        + (f"\n({more} smaller ones not shown)" if more else "")
        + (f"\nBy their places in the space: {gap}" if gap else ""),
    )
    legend(ax, columns=1)
    return ax


def _read_space(result: Result) -> tuple[Space | None, str]:
    """The space of a study; or None, and what its text has that is not known in this process."""
    try:
        return parse(result.identity.space), ""
    except NotationError as error:
        found = _UNKNOWN.search(str(error))
        return None, (
            f"the layer kind {found[1]} is not registered here"
            if found
            else shorten(str(error).splitlines()[0], 90)
        )


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
    whole, gap = _read_space(result)
    if whole is None:
        return _draw_trials(result, ax, bins, gap)
    found = _survey(whole, shape, classes, budget)
    ax = axes(ax, (SIZE[0], 3.6))
    about = "" if found.exact else "about "
    beyond = f", {format_large(found.beyond)} larger ones not shown" if found.beyond else ""
    title(
        ax,
        f"The space: {about}{format_large(found.designs)} designs, {format_large(found.within)} "
        f"within the budget{beyond}",
    )
    ax.set_ylabel("share of the designs")  # before the ticks and the legend, which measure
    _draw_counts(ax, found.counts, budget.params, bins)
    return ax


_survey = functools.lru_cache(maxsize=1)(survey)  # a report draws it at two widths


def _draw_trials(result: Result, ax: Axes | None, bins: int, gap: str) -> Axes:
    """Draw the designs that were trained, of a space that cannot be counted here."""
    sizes = Counter(trial.candidate.params for trial in result.records)
    if not sizes:
        raise StudyError(f"a space must be known here or have trials to be drawn, but {gap}")
    ax = axes(ax, (SIZE[0], 3.6))
    ax.set_ylabel("share of the trials")
    title(ax, f"{plural(sizes.total(), 'trial')} of the space, which is not counted:\n{gap}")
    _draw_counts(ax, tuple(sorted(sizes.items())), result.identity.budget.params, bins)
    return ax


def _draw_counts(ax: Axes, counts: Counts, cap: int | None, bins: int) -> None:
    """Draw how many designs have so many parameters, and the cap.

    Where few of all are within the cap, the shares are logarithmic, so that those can be seen.
    """
    wide = _width(counts, cap, bins)
    histogram = _histogram(counts, cap, wide)
    total = sum(histogram.values())
    inside = sum(count for params, count in counts if cap is None or params <= cap)
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
    if 0 < inside < TIGHT * total:
        ax.set_yscale("log")
        ax.set_ylim(float(Fraction(min(histogram.values()), total)) / 10)
    else:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("parameters")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(ticks(ax))
    legend(ax)


def _histogram(counts: Counts, cap: int | None, wide: int) -> dict[int, int]:
    """Return counts of designs by their bin's fewest parameters. A bin ends at the cap, if any."""
    first = counts[0][0] if cap is None else cap + 1
    sums: dict[int, int] = {}
    for params, count in counts:
        low = first + (params - first) // wide * wide
        sums[low] = sums.get(low, 0) + count
    return sums


def _width(counts: Counts, cap: int | None, bins: int) -> int:
    """The parameters of a bin: narrow enough that the designs within the cap have several."""
    low, high = counts[0][0], counts[-1][0]
    whole = -(-(high - low + 1) // bins)
    if cap is not None and low <= cap < high:
        inside, least = -(-(cap - low + 1) // INSIDE), -(-(high - low + 1) // MOST)
        whole = min(whole, max(inside, least))
    return max(1, whole)
