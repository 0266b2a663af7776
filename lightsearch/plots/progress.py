"""The plot of a search's progress: the best accuracy so far, and the number of hits."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lightsearch.formatting import plural
from lightsearch.plots.result import Result
from lightsearch.plots.style import HIT, accuracy_axis, axes, ink, legend, ticks, title
from lightsearch.plots.trials import Trials, draw_target, name_axis, sort_trials
from lightsearch.study.history import order_epochs
from lightsearch.study.trial import HitRule


def progress(result: Result, ax: Axes | None) -> Axes:
    """See `Plots.progress`."""
    trials = sort_trials(result)
    ax = axes(ax)
    best, hits = _follow_clock(trials, result.identity.rule)
    counts = _draw_hits(ax, hits, len(best))
    ax.plot(
        range(1, len(best) + 1),
        best,
        drawstyle="steps-post",
        color=ink(),
        marker="o" if len(best) == 1 else None,  # a lone epoch has nothing to connect
        markersize=5,
        linewidth=1.8,
        label="best so far",
    )
    draw_target(ax, trials)
    accuracy_axis(ax, [*best, trials.target], trials.total, name_axis(result, "so far"))
    ax.set_xlim(0, len(best) * 1.02 + 1)
    ax.set_xlabel("epochs trained, all trials together")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(ticks(ax))
    title(ax, f"Best so far and {plural(len(hits), 'hit')}, {plural(len(best), 'epoch')}")
    legend(ax, counts)
    return ax


def _follow_clock(trials: Trials, rule: HitRule) -> tuple[list[float], list[int]]:
    """Return the best accuracy after each epoch, and the epochs (counted from 1) with a first hit.

    Epochs have the order of the study's virtual clock (see `study.history`).
    """
    best, so_far, hits = -math.inf, [], []
    for spent, (trial, index) in enumerate(order_epochs(trials.every), 1):
        best = max(best, trials.accuracy(trial, index))
        so_far.append(best)
        if rule.hit_epoch(trial.epochs) == trial.epochs[index].epoch:
            hits.append(spent)
    return so_far, hits


def _draw_hits(ax: Axes, hits: list[int], spent: int) -> Axes:
    """Draw the number of hits as steps behind the curve. Returns their axes, at the right."""
    counts = ax.twinx()
    counts.spines["top"].set_visible(False)
    xs, ys = [0, *hits, spent + 0.5], [0, *range(1, len(hits) + 1), len(hits)]  # a last hit shows
    counts.fill_between(xs, ys, step="post", color=HIT, alpha=0.15, linewidth=0)
    counts.plot(
        xs, ys, drawstyle="steps-post", color=HIT, linewidth=1.2, label="hits so far, right axis"
    )
    counts.set_ylim(0, max(1, len(hits)) * 1.08)
    counts.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    counts.set_ylabel("hits")
    ax.set_zorder(counts.get_zorder() + 1)
    ax.patch.set_visible(False)
    return counts
