"""Plots of a study and of a design. The first plot loads matplotlib.

    result.plot.pareto()
    result.plot.curves(ax=axes[0])
    plot_design("conv(8) maxpool separable(16) gap linear(10)")

Each returns the matplotlib `Axes` that it drew on: `ax`, or new ones of a pyplot figure. The axis
of accuracies is logarithmic in the error: 90, 99 and 99.9% are equally far apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lightsearch.checks import check_integer
from lightsearch.design.parts import Design
from lightsearch.plots.result import Result
from lightsearch.presentation import Presented, Sheet
from lightsearch.shapes import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lightsearch.study.importances import Importances


PICTURES = ("pareto", "curves", "progress", "choices", "space")


@dataclass(frozen=True, slots=True, repr=False)
class Plots(Presented):
    """The plots of one study, as `result.plot`.

    All but `space` raise `StudyError` if no trial has an epoch yet.
    """

    result: Result
    _kept: list[Importances] = field(default_factory=list, init=False, compare=False)

    def _sheet(self) -> Sheet:
        calls = (f".{name}()" for name in PICTURES)
        return Sheet(f"Plots of {self.result.folder}: {', '.join(calls)}")

    def pareto(self, ax: Axes | None = None) -> Axes:
        """Plot parameters against the best accuracy: of hits, misses and, faintly, pruned trials.

        For MNIST, the published designs and their Pareto front are drawn too. Hits that fresh
        seeds trained again also have their mean with its 95% interval (Student's t). Labels are
        trial numbers. Trials below the axis are only counted.
        """
        from lightsearch.plots.pareto import pareto

        return pareto(self.result, ax)

    def curves(self, ax: Axes | None = None) -> Axes:
        """Plot accuracy by epoch, with the target. Pruned trials end at their last epoch."""
        from lightsearch.plots.curves import curves

        return curves(self.result, ax)

    def progress(self, ax: Axes | None = None) -> Axes:
        """Plot the best accuracy so far and the number of hits against all trials' epochs."""
        from lightsearch.plots.progress import progress

        return progress(self.result, ax)

    def choices(self, ax: Axes | None = None, *, most: int = 12) -> Axes:
        """Plot which decisions matter: Optuna's importances of at most `most` of them.

        They refer to the accuracy after the last epoch that all trials have (see
        `lightsearch.study.importances`). Raises `StudyError` if the trials are too few or too
        similar.
        """
        from lightsearch.plots.choices import choices
        from lightsearch.study.importances import importances

        most = check_integer("most", most, 1, 10**6)
        if not self._kept:
            self._kept.append(importances(self.result.records))
        return choices(self.result, self._kept[0], ax, most)

    def space(self, ax: Axes | None = None, *, bins: int = 40) -> Axes:
        """Plot the designs of the space by parameters, with the budget. All are counted."""
        from lightsearch.plots.space import space

        return space(self.result, ax, check_integer("bins", bins, 1, 10**6))


def plot_design(design: Design | str, shape: Shape = (1, 28, 28), ax: Axes | None = None) -> Axes:
    """Plot a design layer by layer: output shapes, parameters and receptive fields.

    `shape` is the image's, as for `cost`, `build` and `summary`: a design has none.

    Raises `DesignError` for a layer that does not fit its input.
    """
    from lightsearch.plots.design import draw

    return draw(design, shape, ax)
