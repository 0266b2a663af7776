"""`compare`: studies with one thing different, over seeds, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lightsearch.checks import check_integer, check_path
from lightsearch.comparing.groups import Given, Group, group_studies
from lightsearch.comparing.notes import list_notes
from lightsearch.comparing.steps import (
    Floats,
    Measure,
    Steps,
    check_has_measure,
    check_measure,
    take_steps,
)
from lightsearch.errors import ArgumentError, quote
from lightsearch.formatting import percent, plural
from lightsearch.presentation import Presented, Sheet
from lightsearch.statistics import MeanInterval, find_mean, holm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 200  # of a curve by seconds
NO_MEAN = MeanInterval(math.nan, math.nan, math.nan, math.nan, 0, math.nan)


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Presented):
    """Studies in groups: what differs, how good each group was, and the differences.

    - `differs`: what differs between the groups, by the names of a search's arguments.
    - `measure`: what is compared (see `compare`); `epochs`: after how many epochs, of all trials
      together.
    - `notes`: what else to know, a sentence each.
    """

    differs: tuple[str, ...]
    groups: tuple[Group, ...]
    steps: tuple[dict[int, Steps], ...]  # of each group, by seed
    measure: Measure
    epochs: int
    notes: tuple[str, ...]

    def _sheet(self) -> Sheet:
        frame = self.table
        heads = (" and ".join(self.differs) or "group", "seeds", "mean", "difference")
        rows = tuple(
            (
                str(label),
                str(row["seeds"]),
                percent(row["mean"], 3),
                "-" if math.isnan(row["difference"]) else f"{100 * row['difference']:+.3f}",
            )
            for label, row in frame.iterrows()
        )
        counts = [plural(int(count), "seed") for count in frame["seeds"]]
        several = tuple((row[0], f"{row[2]}, {n}") for row, n in zip(rows, counts, strict=True))
        title = f"{self.title}, after {plural(self.epochs, 'epoch')} of all trials together"
        return Sheet(title, several, heads, rows)

    @property
    def table(self) -> pd.DataFrame:
        """A row a group: its mean over seeds, and its difference from the first group.

        - `seeds`; `mean` and `sd` over them; the 95% interval of the mean, `low` to `high`.
        - `difference`: the mean of this group's value minus the first group's with the same seed,
          over `pairs` seeds that both have; its 95% interval, `difference_low` to
          `difference_high`.
        - `p_value` of the two-sided paired t test that there is none; `different`: whether it is
          below its level, by Holm's correction for all groups of the table.

        Intervals are Student's t. They are NaN for a single seed, and where all values are the
        same.
        """
        rows = []
        first = self._values(0)
        for index, group in enumerate(self.groups):
            values = self._values(index)
            own = find_mean(list(values.values()))
            shared = [seed for seed in values if seed in first] if index else []
            pairs = [values[seed] - first[seed] for seed in shared]
            rows.append(_row(group, own, find_mean(pairs) if pairs else NO_MEAN))
        frame = pd.DataFrame(rows, index=pd.Index([g.label for g in self.groups], name="group"))
        tested = frame["p_value"].iloc[1:].fillna(1.0)
        levels = holm(list(tested))
        frame["different"] = [
            False,
            *(p <= level for p, level in zip(tested, levels, strict=True)),
        ]
        return frame

    @property
    def studies(self) -> pd.DataFrame:
        """A row a study: its group and seed, what it has, and its value at `epochs`."""
        rows = []
        for index, group in enumerate(self.groups):
            for seed, value in self._values(index).items():
                result, steps = group.results[seed], self.steps[index][seed]
                rule = result.identity.rule
                rows.append(
                    {
                        "group": group.label,
                        **group.values,
                        "seed": seed,
                        "trials": len(result.records),
                        "hits": sum(rule.is_hit(trial.epochs) for trial in result.records),
                        "epochs": len(steps.values),
                        "seconds": round(float(steps.seconds[-1]), 1),
                        "value": value,
                        "folder": str(result.folder),
                    }
                )
        return pd.DataFrame(rows)

    @property
    def curves(self) -> pd.DataFrame:
        """The mean over seeds as the searches went on, with its 95% interval, for each group.

        `axis` is `"epochs"` or `"seconds"`, `spent` how many of them. A curve begins where all
        studies of its group have a value, and ends where the first of them does. There are no
        seconds where the surrogate answered.
        """
        rows: list[dict[str, Any]] = []
        for index, group in enumerate(self.groups):
            several = list(self.steps[index].values())
            for axis, spent, values in _axes(several, timed=self.is_timed):
                for one, column in zip(spent, values.T, strict=True):
                    found = find_mean(list(column))
                    rows.append(
                        {
                            "group": group.label,
                            "axis": axis,
                            "spent": int(one) if axis == "epochs" else float(one),
                            "mean": found.mean,
                            "low": found.low,
                            "high": found.high,
                            "seeds": found.count,
                        }
                    )
        return pd.DataFrame(rows)

    @property
    def is_timed(self) -> bool:
        """Whether seconds were spent on training, in all studies."""
        return all(
            result.identity.engine != "surrogate"
            for group in self.groups
            for result in group.results.values()
        )

    def plot(self, axis: Literal["epochs", "seconds"] = "epochs", ax: Axes | None = None) -> Axes:
        """Plot the curves by `"epochs"` or `"seconds"`: the mean, and its 95% interval as a band.

        Returns matplotlib's `Axes`: `ax`, or new ones.
        """
        from lightsearch.plots.comparison import draw

        if not isinstance(axis, str) or axis not in ("epochs", "seconds"):
            raise ArgumentError(f"`axis` must be epochs or seconds, but got {quote(axis)}")
        if axis == "seconds" and not self.is_timed:
            raise ArgumentError(
                "`axis` must be epochs where the surrogate answered, which trains nothing, but "
                "got 'seconds'"
            )
        return draw(self.curves, axis, self.title, self._total, ax)

    def save(self, path: str | Path) -> None:
        """Save the picture of the curves, by epochs and, where they were timed, by seconds."""
        from lightsearch.plots.comparison import save

        axes = ["epochs", "seconds"] if self.is_timed else ["epochs"]
        save(self.curves, axes, self.title, self._total, check_path("path", path))

    @property
    def title(self) -> str:
        """What is measured, in words."""
        result = next(iter(self.groups[0].results.values()))
        on = result.identity.selected_on.partition("(")[0]  # test or val
        return {
            "best": f"best {on} accuracy so far",
            "test": "test accuracy of the design picked so far",
            "true": "true mean accuracy of the design picked so far",
        }[self.measure]

    @property
    def _total(self) -> int:
        """How many images an accuracy is of."""
        results = self.groups[0].results.values()
        return next(t.epochs[0].total for r in results for t in r.records if t.epochs)

    def _values(self, index: int) -> dict[int, float]:
        """The values of a group's studies after `epochs` epochs, by seed."""
        steps = self.steps[index]
        return {seed: float(steps[seed].values[self.epochs - 1]) for seed in sorted(steps)}


def compare(
    studies: Given,
    *,
    by: str | Sequence[str] | None = None,
    measure: Measure = "best",
    epochs: int | None = None,
) -> Comparison:
    """Compare studies that differ in one thing and in their seeds: means, intervals, curves.

        comparison = compare(["model-0", "model-1", "tpe-0", "tpe-1"])
        print(comparison.table)
        comparison.save("comparison.png")

    `studies` are folders or results; the first one's group is what the others are compared with.
    What differs is found from their identities. Two things must not differ, unless `by` names
    them: `by=("sampler", "pruner")`. A mapping of labels to studies sets groups apart by hand,
    for what an identity does not tell, such as an Optuna sampler's arguments.

    `measure` is what is compared, after the same number of epochs of all trials together:

    - `"best"`: the best accuracy of any epoch so far, on the images that select.
    - `"test"`, with `select_on="val"`: the test accuracy of the design that would be picked, the
      whole trial with the best last epoch on the held-out images.
    - `"true"`, on the surrogate: that design's mean over all seeds.

    `epochs` is by default what the shortest study has.

    Raises `ArgumentError` for studies that cannot be compared, `StudyError` where there is none.
    """
    check_measure(measure)
    differs, groups = group_studies(studies, by)
    results = [result for group in groups for result in group.results.values()]
    for result in results:
        check_has_measure(result, measure)
    steps = tuple(
        {seed: take_steps(result, measure) for seed, result in group.results.items()}
        for group in groups
    )
    most = min(len(one.values) for group in steps for one in group.values())
    first = max(one.first for group in steps for one in group.values())
    if first > most:
        needed = "a trial with an epoch" if measure == "best" else "a whole trial"
        raise ArgumentError(
            f"each study must have {needed} before another one ends, but the shortest has "
            f"{plural(most, 'epoch')}: go on with the studies that are shorter"
        )
    at = most if epochs is None else check_integer("epochs", epochs, first, most)
    return Comparison(
        differs, tuple(groups), steps, measure, at, tuple(list_notes(groups, differs))
    )


def _row(group: Group, own: MeanInterval, difference: MeanInterval) -> dict[str, Any]:
    return {
        **group.values,
        "seeds": own.count,
        "mean": own.mean,
        "sd": own.sd,
        "low": own.low,
        "high": own.high,
        "difference": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "pairs": difference.count,
        "p_value": difference.p_value,
    }


def _axes(several: Sequence[Steps], *, timed: bool) -> Iterator[tuple[str, Floats, Floats]]:
    """Yield axes with what was spent, and the measure there, a row a study."""
    first, last = max(one.first for one in several), min(len(one.values) for one in several)
    spent = np.arange(first, last + 1, dtype=float)
    yield "epochs", spent, np.array([one.values[first - 1 : last] for one in several])
    if timed:
        begin = max(float(one.seconds[one.first - 1]) for one in several)
        end = min(float(one.seconds[-1]) for one in several)
        moments = np.linspace(begin, end, POINTS) if begin < end else np.empty(0)
        yield "seconds", moments, np.array([one.at_second(moments) for one in several])
