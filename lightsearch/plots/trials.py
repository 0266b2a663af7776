"""What the plots of trials share: the trials by outcome, their accuracies, the target's line."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from matplotlib.axes import Axes

from lightsearch.errors import StudyError
from lightsearch.formatting import percent
from lightsearch.plots.result import Result
from lightsearch.plots.style import LIMIT, axis_percent
from lightsearch.study.trial import Trial


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of a study that have an epoch, by outcome; their accuracies in percent.

    `cut` are those pruned, diverged or failed without a hit. An accuracy counts the correct ones
    of `total` images.
    """

    every: tuple[Trial, ...]
    hits: tuple[Trial, ...]
    misses: tuple[Trial, ...]
    cut: tuple[Trial, ...]
    total: int
    goal: Fraction

    @property
    def target(self) -> float:
        """The target on the axis of accuracies."""
        return axis_percent(float(self.goal), self.total)

    def best(self, trial: Trial) -> float:
        """Return a trial's best accuracy."""
        assert trial.best is not None
        return axis_percent(trial.best.accuracy, self.total)

    def accuracy(self, trial: Trial, index: int) -> float:
        """Return the accuracy of a trial's epoch, by the epoch's index among its epochs."""
        return axis_percent(trial.epochs[index].accuracy, self.total)


def sort_trials(result: Result) -> Trials:
    """Sort the trials of a result by outcome. Raises `StudyError` if none has an epoch."""
    every = tuple(t for t in result.records if t.epochs)
    if not every:
        raise StudyError(
            f"a study must have a trial with an epoch to be drawn, but "
            f"{result.folder} has none yet"
        )
    goal = result.identity.target
    kinds: tuple[list[Trial], list[Trial], list[Trial]] = ([], [], [])
    for trial in every:
        missed = 2 if trial.outcome in ("pruned", "diverged", "failed") else 1
        kinds[0 if result.identity.rule.is_hit(trial.epochs) else missed].append(trial)
    hits, misses, cut = (tuple(kind) for kind in kinds)
    return Trials(every, hits, misses, cut, every[0].epochs[0].total, goal)


def draw_target(ax: Axes, trials: Trials) -> None:
    """Draw a line at the target."""
    ax.axhline(
        trials.target,
        color=LIMIT,
        linewidth=1.1,
        linestyle="--",
        label=f"target, {percent(trials.goal)}",
    )


def name_axis(result: Result, when: str) -> str:
    """Return the label of the axis of accuracies: on which images, at which epoch."""
    return f"{result.identity.selection} accuracy (%), {when}"
