"""Pictures of a study and of a design, drawn by matplotlib, which is loaded with the first one.

    result.plot.pareto()
    result.plot.curves(ax=axes[0])
    plot_design(parse("conv(8) maxpool separable(16) gap linear(10)"))

Each gives the matplotlib `Axes` it drew on: those given as `ax`, or new ones of a pyplot figure.
Accuracies are on an axis that is logarithmic in what is wrong: 90, 99 and 99.9% are equally far
apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightsearch.design.parts import Design
from lightsearch.plots.result import Result
from lightsearch.shapes import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Plots:
    """The pictures of one study, as `result.plot`.

    All but `space` need a trial with an epoch, and raise `StudyError` where there is none.
    """

    result: Result

    def pareto(self, ax: Axes | None = None) -> Axes:
        """Parameters against the best epoch's accuracy: hits, misses, and pruned trials faintly.

        For a study of MNIST the published designs are drawn too, with their front. Hits that were
        confirmed over fresh seeds have their mean with its 95% interval (Student's t) besides.
        Labels are trials' numbers; trials that are too bad to be shown are counted.
        """
        from lightsearch.plots.trials import pareto

        return pareto(self.result, ax)

    def curves(self, ax: Axes | None = None) -> Axes:
        """Accuracy by epoch, with the target; pruned trials end where they were cut."""
        from lightsearch.plots.trials import curves

        return curves(self.result, ax)

    def progress(self, ax: Axes | None = None) -> Axes:
        """The best accuracy so far, and the hits, against the epochs that all trials took."""
        from lightsearch.plots.trials import progress

        return progress(self.result, ax)

    def choices(self, ax: Axes | None = None, *, most: int = 12) -> Axes:
        """Which decisions matter: Optuna's importances, for at most `most` of them.

        They are of the accuracy after the last epoch that all trials have (see
        `lightsearch.study.importances`). Raises `StudyError` where the trials are too few or too
        much alike to say.
        """
        from lightsearch.plots.space import choices

        return choices(self.result, ax, most)

    def space(self, ax: Axes | None = None, *, bins: int = 40) -> Axes:
        """Designs of the space by their parameters, with the budget: counted, not drawn."""
        from lightsearch.plots.space import space

        return space(self.result, ax, bins)


def plot_design(design: Design, shape: Shape = (1, 28, 28), ax: Axes | None = None) -> Axes:
    """A design drawn layer by layer: output shapes, parameters and receptive fields.

    It takes the image's shape, as `cost`, `build` and `summary` do, since a design has none.

    Raises `DesignError` for a layer that does not fit its input.
    """
    from lightsearch.plots.design import draw

    return draw(design, shape, ax)
