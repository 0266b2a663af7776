"""The plot of accuracy by epoch: a curve for each trial."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes

from lightsearch.formatting import plural
from lightsearch.plots.result import Result
from lightsearch.plots.style import HIT, MISS, accuracy_axis, axes, ink, legend, ticks, title
from lightsearch.plots.trials import Trials, draw_target, name_axis, sort_trials
from lightsearch.study.trial import Trial

MANY = 60  # with more trials, curves are thin and faint


def curves(result: Result, ax: Axes | None) -> Axes:
    """See `Plots.curves`."""
    trials = sort_trials(result)
    ax = axes(ax)
    _draw_by_outcome(ax, trials)
    top = max(trials.every, key=lambda t: (trials.best(t), -t.number))
    _draw_curves(
        ax, trials, [top], label=f"the best, #{top.number}", color=ink(), linewidth=2.2, zorder=4
    )
    draw_target(ax, trials)
    shown = [*trials.hits, *trials.misses] or trials.every
    heights = [trials.accuracy(t, n) for t in shown for n in range(len(t.epochs))]
    floor = max(min(heights), trials.accuracy(top, 0) - 20)
    label = name_axis(result, "each epoch")
    accuracy_axis(ax, [floor, max(heights), trials.target], trials.total, label)
    ax.set_xlim(0.7, result.identity.epochs + 0.3)
    ax.xaxis.set_major_locator(ticks(ax, 0.35))
    ax.set_xlabel("epoch")
    title(ax, f"Accuracy by epoch, {plural(len(trials.every), 'trial')}")
    legend(ax)
    return ax


def _draw_by_outcome(ax: Axes, trials: Trials) -> None:
    """Draw all curves. Those of trials that were cut end at an x."""
    thin, faint = (1.1, 0.9) if len(trials.every) <= MANY else (0.6, 0.5)
    for which, label, look in (
        (trials.hits, "hit", {"color": HIT, "alpha": faint, "zorder": 3}),
        (
            trials.misses,
            "missed the target",
            {"color": MISS, "alpha": faint, "linestyle": (0, (1, 1))},
        ),
        (
            trials.cut,
            "pruned or failed, cut at the x",
            {"color": MISS, "alpha": 0.6 * faint, "linestyle": "--"},
        ),
    ):
        _draw_curves(ax, trials, which, label=label, linewidth=thin, **look)
    ax.plot(
        [len(t.epochs) for t in trials.cut],
        [trials.accuracy(t, -1) for t in trials.cut],
        "x",
        color=MISS,
        markersize=4,
        markeredgewidth=0.8,
    )


def _draw_curves(ax: Axes, trials: Trials, which: Iterable[Trial], **look: Any) -> None:
    """Draw many curves as one line with gaps: in one call, with one entry in the legend."""
    xs: list[float] = []
    ys: list[float] = []
    for trial in which:
        xs += [*(e.epoch for e in trial.epochs), math.nan]
        ys += [*(trials.accuracy(trial, n) for n in range(len(trial.epochs))), math.nan]
    if xs:
        lone = all(x != x for x in xs[1::2])  # curves of one epoch have nothing to connect
        ax.plot(xs, ys, marker="." if lone else None, **look)
