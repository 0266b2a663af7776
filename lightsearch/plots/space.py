"""The plot of the space: its designs by parameters, and which of them the budget allows."""

from __future__ import annotations

import functools
import random
from collections import Counter
from fractions import Fraction
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, StrMethodFormatter

from lightsearch.design.parts import Space
from lightsearch.errors import NotationError, StudyError
from lightsearch.formatting import format_large, plural, shorten
from lightsearch.network.cost import Budget
from lightsearch.notation.arguments import find_unknown_layer
from lightsearch.notation.parser import parse
from lightsearch.plots.bins import Bins, make_bins, round_sizes
from lightsearch.plots.result import Result
from lightsearch.plots.style import HIT, LIMIT, MISS, SIZE, axes, inches, legend, ticks, title
from lightsearch.shapes import Shape
from lightsearch.space import survey
from lightsearch.space.sampling import Sampler

TIGHT = 0.02  # share within the budget below which a plot of all designs would not show it
DRAWS = 4000  # designs for the share within a budget that caps more than parameters
THIN = 0.06  # inches: narrower bars have no edges, which would hide their filling
Draws: TypeAlias = tuple[tuple[int, bool], ...]  # parameters, and whether within the budget
Sizes: TypeAlias = tuple[Draws, bool]  # and whether they are all designs


def read_space(result: Result) -> tuple[Space | None, str]:
    """The space of a study; or None, and what its text has that is not known in this process."""
    try:
        return parse(result.identity.space), ""
    except NotationError as error:
        name = find_unknown_layer(error)
        return None, (
            f"the layer kind {shorten(name, 40)!r} is not registered here"
            if name is not None
            else shorten(str(error).splitlines()[0], 90)
        )


def space(result: Result, ax: Axes | None, bins: int) -> Axes:
    """See `Plots.space`."""
    shape, classes = result.images
    budget = result.identity.budget
    whole, gap = read_space(result)
    if whole is None:
        return _draw_trials(result, ax, bins, gap)
    found = _survey(whole, shape, classes, budget)
    ax = axes(ax, (SIZE[0], 3.6))
    about = "" if found.exact else "about "
    beyond = f", {format_large(found.beyond)} larger ones not shown" if found.beyond else ""
    title(
        ax,
        f"The space: {about}{_count(found.designs)}, {format_large(found.within)} "
        f"within the budget{beyond}",
    )
    shown = " shown" if found.beyond else ""
    ax.set_ylabel(f"share of the designs{shown}")  # before the ticks and the legend, which measure
    sizes = _draw_sizes(whole, shape, classes, budget) if _caps_more(budget) else None
    _draw_counts(ax, make_bins(found.counts, budget.params, bins), budget.params, sizes)
    return ax


def _count(designs: float) -> str:
    return "1 design" if designs == 1 else f"{format_large(designs)} designs"


_survey = functools.lru_cache(maxsize=1)(survey)  # a report draws it at two widths


def _caps_more(budget: Budget) -> bool:
    """Whether a budget is about more than parameters, by which alone designs are counted."""
    others = budget.macs, budget.activation_bytes, budget.min_receptive_field
    return any(cap is not None for cap in others)


@functools.lru_cache(maxsize=1)
def _draw_sizes(whole: Space, shape: Shape, classes: int, budget: Budget) -> Sizes:
    """Return the parameters of random designs, and whether each is within the budget.

    None has more parameters than the budget. Of few such designs, they are all.
    """
    sampler, generator = Sampler(whole, shape, classes, budget), random.Random(0)
    is_all = sampler.total is not None and sampler.total <= DRAWS
    if is_all and sampler.total is not None:
        draws = [sampler.get_candidate(number) for number in range(sampler.total)]
    else:
        draws = [sampler.draw_candidate(generator) for _ in range(DRAWS)]
    costs = [draw.cost for draw in draws if draw.cost is not None]  # None: a layer does not fit
    return tuple((spent.params, budget.exceeded(spent) is None) for spent in costs), is_all


def _draw_trials(result: Result, ax: Axes | None, bins: int, gap: str) -> Axes:
    """Draw the designs that were trained, of a space that cannot be counted here."""
    sizes = Counter(trial.candidate.params for trial in result.records)
    if not sizes:
        raise StudyError(f"a space must be known here or have trials to be drawn, but {gap}")
    ax = axes(ax, (SIZE[0], 3.6))
    ax.set_ylabel("share of the trials")
    title(ax, f"{plural(sizes.total(), 'trial')} of the space, which is not counted:\n{gap}")
    cap = result.identity.budget.params
    _draw_counts(ax, make_bins(tuple(sorted(sizes.items())), cap, bins), cap, None)
    return ax


def _draw_counts(ax: Axes, bins: Bins, cap: int | None, sizes: Sizes | None) -> None:
    """Draw how many designs have so many parameters, and the cap.

    Where few of all are within the budget, the shares are logarithmic, so that those can be seen.
    `sizes` are of a budget that caps more: of each bar, the share within it is theirs.
    """
    total = sum(bins.counts)
    shares = [float(Fraction(count, total)) for count in bins.counts]
    _set_size_axis(ax, bins, cap)
    if sizes is None:
        below = [share * bins.is_within(n, cap) for n, share in enumerate(shares)]
        above = [share - other for share, other in zip(shares, below, strict=True)]
        _draw_bars(ax, bins, below, "within the budget" if cap else "designs")
        _draw_bars(ax, bins, above, "over the budget", over=True)
    else:
        draws, is_all = sizes
        below = [share * part for share, part in zip(shares, bins.rate(draws), strict=True)]
        _draw_bars(ax, bins, shares, "all designs", over=True)
        every = "" if is_all else f", by {len(draws):,} random designs"
        _draw_bars(ax, bins, below, f"within the budget{every}")
    if cap is not None:
        ax.axvline(cap, color=LIMIT, linewidth=1.3, linestyle="--", label=f"budget, {cap:,}")
    if 0 < sum(below) < TIGHT:
        ax.set_yscale("log")
        ax.set_ylim(min(share for share in (*shares, *below) if share) / 10)
    else:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend(ax)


def _draw_bars(
    ax: Axes, bins: Bins, shares: list[float], label: str, *, over: bool = False
) -> None:
    """Draw the bars that have a share; those over the budget are hatched."""
    kept = [number for number, share in enumerate(shares) if share]
    if not kept:
        return
    bars = ax.bar(
        [bins.edges[number] for number in kept],
        [shares[number] for number in kept],
        [bins.edges[number + 1] - bins.edges[number] for number in kept],
        align="edge",
        color="none" if over else HIT,
        hatch="////" if over else "",
        edgecolor=MISS,
        linewidth=0.5,
        label=label,
    )
    span = inches(ax) / ax.bbox.width  # inches a pixel
    for bar in bars:
        low, high = (
            ax.transData.transform((x, 0.5))[0]
            for x in (bar.get_x(), bar.get_x() + bar.get_width())
        )
        if span * (high - low) < THIN:
            bar.set_linewidth(0)


def _set_size_axis(ax: Axes, bins: Bins, cap: int | None) -> None:
    """Set the axis of parameters before the bars are drawn, since their look depends on it."""
    low, high = bins.edges[0], max(bins.edges[-1], cap or 0)
    ax.set_xlabel("parameters")
    if bins.logarithmic:
        ax.set_xscale("log")
        room = (high / low) ** 0.04
        ax.set_xlim(low / room, high * room)
        ax.xaxis.set_minor_locator(NullLocator())
        sizes = round_sizes(low / room, high * room, max(2, int(inches(ax) / 0.75)))
        ax.xaxis.set_major_locator(FixedLocator(sizes) if len(sizes) > 2 else ticks(ax))
    else:
        room = 0.04 * (high - low)
        ax.set_xlim(low - room, high + room)
        ax.xaxis.set_major_locator(ticks(ax))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
