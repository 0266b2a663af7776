"""Plots of trials: the Pareto plot, the curves, the progress of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from scipy.special import stdtrit  # scipy.stats takes a second to import

from lightsearch.errors import StudyError
from lightsearch.formatting import percent, plural
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
from lightsearch.study.trial import Trial
from lightsearch.zoo.published import DATASET, front, published_designs, published_front

LABELS = 12  # of hits at most
BEYOND = 1.35  # times the budget: the largest published designs that are drawn


def pareto(result: Result, ax: Axes | None) -> Axes:
    """See `Plots.pareto`."""
    trials, total, goal = _trials(result), _total(result), _goal(result)
    ax = axes(ax)
    hits = [t for t in trials if result.identity.rule.is_hit(t.epochs)]
    cut = [t for t in trials if t.outcome in ("pruned", "diverged", "failed") and t not in hits]
    rest = [t for t in trials if t not in hits and t not in cut]
    _scatter(
        ax,
        hits,
        total,
        "hit",
        marker="o",
        s=30,
        color=HIT,
        edgecolors="none",
        zorder=4,
        alpha=0.9 if len(hits) < 100 else 0.6,
    )
    _scatter(
        ax,
        rest,
        total,
        "missed the target",
        marker="o",
        s=24,
        facecolors="none",
        edgecolors=MISS,
        linewidths=1.1,
        zorder=3,
    )
    _scatter(
        ax,
        cut,
        total,
        "pruned or failed",
        marker="x",
        s=16,
        color=MISS,
        alpha=0.45,
        linewidths=0.8,
    )
    budget = result.identity.budget.params
    sizes = [t.candidate.params for t in trials] + ([budget] if budget else [])
    published = _draw_published(ax, result, max([BEYOND * budget if budget else 0, *sizes]), total)
    sizes += [int(x) for x, _, _ in published]
    means = _draw_means(ax, result.leaderboard, total)
    _draw_target(ax, goal, total)
    if budget:
        ax.axvline(
            budget,
            color=LIMIT,
            linewidth=1.1,
            linestyle=(0, (1, 1.5)),
            label=f"budget, {budget:,}",
        )
    heights = [_best(t, total) for t in [*hits, *rest] or cut]
    heights += [*(y for _, y, _ in published), *means, axis_percent(float(goal), total)]
    accuracy_axis(ax, heights, total, _label(result, "best epoch"))
    room = 0.05 * max(1, max(sizes) - min(sizes))
    ax.set_xlim(min(sizes) - room, max(sizes) + room)
    ax.set_xlabel("parameters")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(ticks(ax))
    below = sum(_best(t, total) < ax.get_ylim()[0] for t in trials)
    title(
        ax,
        "Parameters and accuracy"
        + (f" ({plural(below, 'trial')} below the axis)" if below else ""),
    )
    legend(ax)
    best = front((t.candidate.params, _best(t, total)) for t in hits)
    marks = [(x, y) for x, y, _ in published]
    marks += [(t.candidate.params, _best(t, total)) for t in [*hits, *rest]]
    label_points(
        ax,
        [
            (hits[n].candidate.params, _best(hits[n], total), f"#{hits[n].number}")
            for n in reversed(best[-LABELS:])
        ],
        marks,
        weight="bold",
    )
    label_points(ax, [one for one in published if one[2]], marks, alpha=0.8)
    return ax


def _draw_published(
    ax: Axes, result: Result, limit: float, total: int
) -> list[tuple[float, float, str]]:
    """Draw the published designs of up to `limit` parameters.

    Returns (parameters, percent, label) of each. Those outside the front have an empty label.
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


def _scatter(ax: Axes, trials: list[Trial], total: int, label: str, **more: Any) -> None:
    if trials:
        ax.scatter(
            [t.candidate.params for t in trials],
            [_best(t, total) for t in trials],
            label=f"{label} ({len(trials):,})",
            **more,
        )


# Curves -----------------------------------------------------------------------------------------


def curves(result: Result, ax: Axes | None) -> Axes:
    """See `Plots.curves`."""
    trials, total, goal = _trials(result), _total(result), _goal(result)
    ax = axes(ax)
    hits = [t for t in trials if result.identity.rule.is_hit(t.epochs)]
    cut = [t for t in trials if t.outcome in ("pruned", "diverged", "failed") and t not in hits]
    rest = [t for t in trials if t not in hits and t not in cut]
    thin, faint = (1.1, 0.9) if len(trials) <= 60 else (0.6, 0.5)
    _draw_curves(ax, hits, total, "hit", color=HIT, linewidth=thin, alpha=faint, zorder=3)
    _draw_curves(
        ax,
        rest,
        total,
        "missed the target",
        color=MISS,
        linewidth=thin,
        alpha=faint,
        linestyle=(0, (1, 1)),
    )
    _draw_curves(
        ax,
        cut,
        total,
        "pruned or failed, cut at the x",
        color=MISS,
        linewidth=thin,
        linestyle="--",
        alpha=0.6 * faint,
    )
    ax.plot(
        [len(t.epochs) for t in cut],
        [_at(t, -1, total) for t in cut],
        "x",
        color=MISS,
        markersize=4,
        markeredgewidth=0.8,
    )
    top = max(trials, key=lambda t: (_best(t, total), -t.number))
    _draw_curves(
        ax, [top], total, f"the best, #{top.number}", color=ink(), linewidth=2.2, zorder=4
    )
    _draw_target(ax, goal, total)
    heights = [_at(t, n, total) for t in [*hits, *rest] or trials for n in range(len(t.epochs))]
    floor = max(min(heights), min(_at(t, 0, total) for t in [top]) - 20)
    accuracy_axis(
        ax,
        [floor, max(heights), axis_percent(float(goal), total)],
        total,
        _label(result, "each epoch"),
    )
    ax.set_xlim(0.7, result.identity.epochs + 0.3)
    ax.xaxis.set_major_locator(ticks(ax, 0.35))
    ax.set_xlabel("epoch")
    title(ax, f"Accuracy by epoch, {plural(len(trials), 'trial')}")
    legend(ax)
    return ax


def _draw_curves(ax: Axes, trials: Iterable[Trial], total: int, label: str, **more: Any) -> None:
    """Draw many curves as one line with gaps: in one call, with one entry in the legend."""
    xs: list[float] = []
    ys: list[float] = []
    for trial in trials:
        xs += [*(e.epoch for e in trial.epochs), math.nan]
        ys += [*(_at(trial, n, total) for n in range(len(trial.epochs))), math.nan]
    if xs:
        lone = all(x != x for x in xs[1::2])  # curves of one epoch have nothing to connect
        ax.plot(xs, ys, label=label, marker="." if lone else None, **more)


# Progress ---------------------------------------------------------------------------------------


def progress(result: Result, ax: Axes | None) -> Axes:
    """See `Plots.progress`."""
    trials, total, goal = _trials(result), _total(result), _goal(result)
    ax = axes(ax)
    # epochs in the order of the study's virtual clock (see `searching.loop`)
    order = sorted(
        (t.candidate.start + e.epoch * t.candidate.work, t.candidate.slot, t.number, n)
        for t in trials
        for n, e in enumerate(t.epochs)
    )
    by_number = {t.number: t for t in trials}
    best, so_far, hits = -math.inf, [], []
    for spent, (_, _, number, index) in enumerate(order, 1):
        trial = by_number[number]
        best = max(best, _at(trial, index, total))
        so_far.append(best)
        if result.identity.rule.hit_epoch(trial.epochs) == trial.epochs[index].epoch:
            hits.append(spent)
    counts = _draw_hits(ax, hits, len(so_far))
    ax.plot(
        range(1, len(so_far) + 1),
        so_far,
        drawstyle="steps-post",
        color=ink(),
        linewidth=1.8,
        label="best so far",
    )
    _draw_target(ax, goal, total)
    accuracy_axis(ax, [*so_far, axis_percent(float(goal), total)], total, _label(result, "so far"))
    ax.set_xlim(0, len(so_far) * 1.02 + 1)
    ax.set_xlabel("epochs trained, all trials together")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_locator(ticks(ax))
    title(ax, f"Best so far and {plural(len(hits), 'hit')}, {plural(len(so_far), 'epoch')}")
    legend(ax, counts)
    return ax


def _draw_hits(ax: Axes, hits: list[int], spent: int) -> Axes:
    """Draw the number of hits as steps behind the curve. Returns their axes, at the right."""
    counts = ax.twinx()
    counts.spines["top"].set_visible(False)
    xs, ys = [0, *hits, spent], [0, *range(1, len(hits) + 1), len(hits)]
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


# What they share --------------------------------------------------------------------------------


def _trials(result: Result) -> list[Trial]:
    trials = [t for t in result.records if t.epochs]
    if not trials:
        raise StudyError(
            f"a study must have a trial with an epoch to be drawn, but "
            f"{result.folder} has none yet"
        )
    return trials


def _total(result: Result) -> int:
    return next(t.epochs[0].total for t in result.records if t.epochs)


def _goal(result: Result) -> Fraction:
    return result.identity.target


def _best(trial: Trial, total: int) -> float:
    assert trial.best is not None
    return axis_percent(trial.best.accuracy, total)


def _at(trial: Trial, index: int, total: int) -> float:
    return axis_percent(trial.epochs[index].accuracy, total)


def _draw_target(ax: Axes, goal: Fraction, total: int) -> None:
    ax.axhline(
        axis_percent(float(goal), total),
        color=LIMIT,
        linewidth=1.1,
        linestyle="--",
        label=f"target, {percent(goal)}",
    )


def _label(result: Result, when: str) -> str:
    return f"{result.identity.selected_on} accuracy (%), {when}"
