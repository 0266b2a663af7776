"""The Pareto plot: parameters against accuracy, of trials and of published designs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter
from scipy.special import stdtrit  # scipy.stats takes a second to import

from lightsearch.formatting import plural
from lightsearch.plots.result import Result
from lightsearch.plots.style import (
    HIT,
    LIMIT,
    MISS,
    accuracy_axis,
    axes,
    axis_percent,
    ink,
    label_points,
    legend,
    ticks,
    title,
)
from lightsearch.plots.trials import Trials, draw_target, name_axis, sort_trials
from lightsearch.study.trial import Trial
from lightsearch.zoo.published import DATASET, front, published_designs, published_front

LABELS = 12  # of hits at most
MANY = 100  # from so many hits on, their marks are fainter
BEYOND = 1.35  # times the budget: the largest published designs that are drawn

Point: TypeAlias = tuple[float, float, str]  # parameters, percent, label


def pareto(result: Result, ax: Axes | None) -> Axes:
    """See `Plots.pareto`."""
    trials = sort_trials(result)
    ax = axes(ax)
    _draw_trials(ax, trials)
    budget = result.identity.budget.params
    sizes = [t.candidate.params for t in trials.every] + ([budget] if budget else [])
    limit = max([BEYOND * budget if budget else 0, *sizes])
    published = _draw_published(ax, result, limit, trials.total)
    means = _draw_means(ax, result.leaderboard, trials.total)
    draw_target(ax, trials)
    if budget:
        ax.axvline(
            budget,
            color=LIMIT,
            linewidth=1.1,
            linestyle=(0, (1, 1.5)),
            label=f"budget, {budget:,}",
        )
    shown = [*trials.hits, *trials.misses]
    heights = [trials.best(t) for t in shown or trials.cut]
    heights += [*(y for _, y, _ in published), *means, trials.target]
    accuracy_axis(ax, heights, trials.total, name_axis(result, "best epoch"))
    _set_parameter_axis(ax, [*sizes, *(int(x) for x, _, _ in published)])
    below = sum(trials.best(t) < ax.get_ylim()[0] for t in trials.every)
    beyond = f" ({plural(below, 'trial')} below the axis)" if below else ""
    title(ax, f"Parameters and accuracy{beyond}")
    legend(ax)
    marks = [(x, y) for x, y, _ in published]
    marks += [(t.candidate.params, trials.best(t)) for t in shown]
    label_points(ax, _find_best_hits(trials), marks, weight="bold")
    label_points(ax, [one for one in published if one[2]], marks, alpha=0.8)
    return ax


def _draw_trials(ax: Axes, trials: Trials) -> None:
    """Draw a mark for each trial, by outcome."""

    def scatter(which: Iterable[Trial], label: str, **look: Any) -> None:
        points = [(t.candidate.params, trials.best(t)) for t in which]
        if points:
            xs, ys = zip(*points, strict=True)
            ax.scatter(xs, ys, label=f"{label} ({len(points):,})", **look)

    scatter(
        trials.hits,
        "hit",
        marker="o",
        s=30,
        color=HIT,
        edgecolors="none",
        zorder=4,
        alpha=0.9 if len(trials.hits) < MANY else 0.6,
    )
    scatter(
        trials.misses,
        "missed the target",
        marker="o",
        s=24,
        facecolors="none",
        edgecolors=MISS,
        linewidths=1.1,
        zorder=3,
    )
    scatter(
        trials.cut,
        "pruned or failed",
        marker="x",
        s=16,
        color=MISS,
        alpha=0.45,
        linewidths=0.8,
    )


def _set_parameter_axis(ax: Axes, sizes: list[int]) -> None:
    room = 0.05 * ((max(sizes) - min(sizes)) or max(4, max(sizes)))  # of one size: around it
    ax.set_xlim(min(sizes) - room, max(sizes) + room)
    ax.set_xlabel("parameters")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(ticks(ax))


def _find_best_hits(trials: Trials) -> list[Point]:
    """Return the hits that no other beats, the largest first, labelled by their numbers."""
    points = [(t.candidate.params, trials.best(t), f"#{t.number}") for t in trials.hits]
    best = front((params, accuracy) for params, accuracy, _ in points)
    return [points[n] for n in reversed(best[-LABELS:])]


def _draw_published(ax: Axes, result: Result, limit: float, total: int) -> list[Point]:
    """Draw the published designs of up to `limit` parameters, and return their points.

    Those outside the front have an empty label.
    """
    if result.identity.dataset != DATASET:
        return []
    rows = [row for row in published_designs() if row.params <= limit]
    best = [row for row in published_front() if row.params <= limit]
    ax.plot(
        [r.params for r in best],
        [axis_percent(r.accuracy, total) for r in best],
        drawstyle="steps-post",
        color=ink(),
        linewidth=0.8,
        alpha=0.7,
        zorder=5,
        label="published front",
    )
    ax.scatter(
        [r.params for r in rows],
        [axis_percent(r.accuracy, total) for r in rows],
        marker="D",
        s=22,
        facecolors="none",
        edgecolors=ink(),
        linewidths=0.9,
        zorder=5,
        label="published, one run each",
    )
    return [
        (
            row.params,
            axis_percent(row.accuracy, total),
            (row.source.split("/")[0] + _other_epochs(row.epochs, result)) if row in best else "",
        )
        for row in (*reversed(best), *(r for r in rows if r not in best))
    ]


def _other_epochs(epochs: int, result: Result) -> str:
    return "" if epochs == result.identity.epochs else f", {epochs} epochs"


def _draw_means(ax: Axes, board: pd.DataFrame, total: int) -> list[float]:
    """Draw means over fresh seeds with their intervals, and return the ends of the intervals."""
    if not {"confirmed_n", "confirmed_mean", "confirmed_sd"} <= set(board.columns):
        return []
    rows = board[board["confirmed_n"].fillna(0).astype(float) >= 2]
    ends: list[float] = []
    for number, (_, row) in enumerate(rows.iterrows()):
        seeds, mean = int(row["confirmed_n"]), float(row["confirmed_mean"])
        half = float(stdtrit(seeds - 1, 0.975)) * float(row["confirmed_sd"]) / math.sqrt(seeds)
        low, at, high = (
            axis_percent(min(1.0, mean + shift), total) for shift in (-half, 0.0, half)
        )
        ax.errorbar(
            row["params"],
            at,
            [[at - low], [high - at]],
            fmt="s",
            color=ink(),
            markersize=4.5,
            markerfacecolor="none",
            elinewidth=1.1,
            capsize=3,
            zorder=6,
            label="" if number else "mean of fresh seeds, 95% interval",
        )
        ends += [low, high]
    return ends
