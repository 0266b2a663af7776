"""The result of a study, and loading it from the study's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lightsearch.checks import check_free, check_integer, check_kind, check_path
from lightsearch.data.catalogue import IMAGES, images_file
from lightsearch.data.class_names import CLASS_NAMES
from lightsearch.engines.engine import State
from lightsearch.errors import ArgumentError, DataError, StudyError, quote
from lightsearch.plots.plots import Plots
from lightsearch.presentation import Presented, Sheet
from lightsearch.shapes import Shape
from lightsearch.study import leaderboard as tables
from lightsearch.study.board import check_order
from lightsearch.study.confirmations import Confirmation, Key
from lightsearch.study.disk import load_state
from lightsearch.study.identity import Identity
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import gather_confirmations, read_families
from lightsearch.study.listing import find_study, read_question
from lightsearch.study.means import Run, gather_runs, tabulate_means
from lightsearch.study.orders import Direction, OrderName
from lightsearch.study.pareto import find_front, find_front_by
from lightsearch.study.rows import Row, row_of, with_study
from lightsearch.study.sheet import make_sheet
from lightsearch.study.terms import LOOKS_FOLDER, SHORTER
from lightsearch.study.trial import Counts, Trial

if TYPE_CHECKING:
    from lightsearch.data.dataset import DataSet

FRONT: tuple[OrderName, ...] = ("accuracy", "params")


@dataclass(frozen=True, slots=True, repr=False)
class SearchResult(Presented):
    """The result of a study: the leaderboard, all trials, and the counts of rejected designs."""

    folder: Path
    identity: Identity
    records: tuple[Trial, ...]
    reason: str = ""
    confirmations: dict[Key, Confirmation] = field(default_factory=dict)
    runs: dict[Key, tuple[Run, ...]] = field(default_factory=dict)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The designs that reached the target, by accuracy. `ranked` has other orders."""
        return self.ranked()

    def ranked(self, by: OrderName | Callable[[Trial], float] = "accuracy") -> pd.DataFrame:
        """Return the leaderboard in another order.

        Most accurate first: `"accuracy"` (of the best epoch), `"last"` (the last epoch),
        `"last3"` (mean of the last three), `"mean"` (over fresh seeds, see `confirm`; designs
        without any come last). Smallest first: `"params"`, `"macs"`, `"activation_bytes"`,
        `"epochs"` (to the hit). Confirmed designs come first in each.

        Or a function of a trial, such as the search's `objective`: its largest value comes first,
        whatever is confirmed, and the values are the column `objective`.
        """
        if callable(by):
            return tables.order_by(by, self.ranked(), self.records)
        frame = tables.leaderboard(
            self.records, self.identity, by=by, confirmed=self.confirmations
        )
        return with_study(frame, self.folder)  # `confirm` stores its runs there

    @property
    def best(self) -> pd.Series[Any] | None:
        """The design that the search was for, as a row of the leaderboard; None if none is known.

        - `goal="best"`: the hit with the highest shrunken mean over all its runs (`means`), or if
          none has one, the first of the leaderboard.
        - `goal="smallest"`: the confirmed one with the fewest parameters.
        - `goal="fastest"`: the confirmed one with the fewest epochs, which may be of one of the
          shorter studies in the study's folder.
        """
        board = self.leaderboard
        if self.identity.goal == "fastest":
            for folder in sorted(self.folder.glob(SHORTER)):
                found = load_result(folder).best
                if found is not None:
                    return found
        if self.identity.goal != "best":
            board = board[board["confirmed"].astype(bool)].sort_values("params", kind="stable")
        else:
            hits = set(board["trial"])
            first = next((trial for trial in self.means()["trial"] if trial in hits), None)
            if first is not None:
                board = board[board["trial"] == first]
        return board.iloc[0] if len(board) else None

    def pareto(
        self,
        *by: OrderName | Callable[[Trial], Sequence[float]],
        directions: Sequence[Direction] | None = None,
    ) -> pd.DataFrame:
        """Return the Pareto front of the trials that are complete, hits or not.

            result.pareto("accuracy", "macs")

        `by` are two of the orders of `ranked` or more; by default `"accuracy"` and `"params"`. A
        row is a trial that no other is at least as good as in all of them and better in one.

        Or one function of a trial that gives several numbers, such as the search's `objective`.
        `directions` says where each is to go, `"maximize"` or `"minimize"`; by default as in the
        search. The values are the columns `objective_0`, `objective_1`, ...
        """
        trials = self.trials
        complete = trials[trials["outcome"] == "complete"]
        functions = [one for one in by if callable(one)]
        if not functions:
            return find_front(complete, [check_order(str(one)) for one in by or FRONT])
        if len(by) > 1:
            raise ArgumentError(f"`by` must be orders, or one function alone, but got {by!r:.100}")
        given = self.identity.directions if directions is None else directions
        return find_front_by(functions[0], complete, self.records, given)

    def means(self) -> pd.DataFrame:
        """Return the mean accuracy of each design over all its runs, by shrunken mean.

        A row is a design that has a whole run: the search's own trial if it was trained to the
        end, and the runs with fresh seeds of `confirm`. Accuracies are of the last epoch, on the
        test images.

        - `seeds`: runs; `fresh_seeds`: those of them with fresh seeds. The other one is the
          search's own, which the design was selected on; `search_accuracy` is its accuracy. A
          search with `select_on="val"` trained it on fewer images, so it does not count there.
        - `mean`, and its 95% interval from `low` to `high`, by the standard deviation over seeds
          that is pooled within designs.
        - `shrunken`: what to expect of one more run. The mean, drawn the more the fewer seeds it
          has (empirical Bayes): towards what all trials lead to expect of a design with its
          features, or if there are few trials, towards the mean of all designs of this table.
        - `hits`: runs that are hits.

        `means().attrs["protocol"]` has the estimates in a sentence.
        """
        try:
            images = self.images
        except DataError:  # the user's own, which are gone
            images = None
        frame = tabulate_means(self.records, self.identity, self.runs, images)
        return with_study(frame, self.folder)

    @property
    def trials(self) -> pd.DataFrame:
        """All trials, also the pruned ones."""
        frame = tables.trials_table(self.records, self.identity, self.confirmations)
        return with_study(frame, self.folder)

    @property
    def counts(self) -> Counts:
        """The numbers of candidates, rejects and duplicates up to the latest trial."""
        return self.records[-1].candidate.counts if self.records else Counts()

    def _sheet(self) -> Sheet:
        return make_sheet(self.folder, self.identity, self.records, self.leaderboard, self.reason)

    @property
    def images(self) -> tuple[Shape, int]:
        """(channels, height, width) of an image, and the number of classes."""
        file = images_file(self.identity.dataset, self.folder)
        if file is None:
            return IMAGES[self.identity.dataset]
        own = self._fetch_own(file)
        return own.shape, own.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of the labels; none if they are not known."""
        file = images_file(self.identity.dataset, self.folder)
        known = CLASS_NAMES.get(self.identity.dataset, ())
        return known if file is None else self._fetch_own(file).class_names

    def _fetch_own(self, file: Path) -> DataSet:
        from lightsearch.data import references  # here, since it loads torch

        reference = references.DataRef(self.identity.dataset, self.identity.checksum, str(file))
        return references.fetch(reference)

    @property
    def plot(self) -> Plots:
        """The plots of the study, such as `result.plot.pareto()`. Each returns matplotlib axes."""
        return Plots(self)

    def report(
        self,
        row: int | Row | None = None,
        folder: str | Path | None = None,
        *,
        force: bool = False,
    ) -> Path:
        """Write a report, and return its path.

            result.report()   # the study: report.html
            result.report(1)  # the row at rank 1: design-NUMBER.md, its script and its notebook

        Without `row` it is the page of the study, which is written anew each time. What somebody
        has changed since is only replaced with `force`. `row` is a rank
        of the leaderboard, or a row of it or of `trials`; see
        `lightsearch.report.write_design` for its files. `folder` is the study's by default.

        Raises `ArgumentError` for a rank that is not there, and for a file that cannot be written.
        """
        from lightsearch.report import write_design, write_html  # here, since it loads Jinja

        if isinstance(row, str | os.PathLike):
            raise ArgumentError(
                f"`row` must be a rank or a row, but got row={quote(row)}: the folder to write to "
                "is `folder`, and `write_report(result, PATH)` writes a page elsewhere"
            )
        place = self.folder if folder is None else check_path("folder", folder)
        if row is None:
            return write_html(self, place / "report.html", force=force)
        number = self._find_number(row)
        return write_design(self, number, place / f"design-{number}.md", force=force)

    def _find_number(self, row: int | Row) -> int:
        """Return the number of a row's trial."""
        if isinstance(row, bool) or not isinstance(row, Integral):
            return check_integer("trial", row_of(row)["trial"], 0, 10**9)
        board = self.leaderboard
        if row not in board.index:
            rows = f"from 1 to {len(board)}" if len(board) else "of a row, and there is none"
            raise ArgumentError(f"`row` must be a rank {rows}, but got row={row}")
        return int(board["trial"].loc[int(row)])


def load_result(study: str | Path, reason: str = "") -> SearchResult:
    """Load the result of the study in a folder, or beside a file such as its leaderboard.

    The study may still be running. Raises `StudyError` if there is no study.
    """
    folder, identity = read_question(study)
    families = list(read_families(folder))
    return SearchResult(
        folder,
        identity,
        tuple(read_trials(folder)),
        reason,
        gather_confirmations(families),
        gather_runs([*families, *read_families(folder / LOOKS_FOLDER)], identity),
    )


def write_report(
    study: SearchResult | str | Path, path: str | Path | None = None, *, force: bool = False
) -> Path:
    """Write the report of a study, and return the file's path.

        write_report(result)
        write_report("small", "docs/small.md")

    `study` is a result or a study's folder. The file is a page that needs no other, or Markdown
    with PNGs beside it if `path` ends in .md. By default it is report.html in the study's folder,
    which is written anew each time, unless somebody has changed it.

    Raises `ArgumentError` if `path` is there, unless `force` is given, or cannot be written.
    """
    from lightsearch.report import write_html, write_markdown  # here, since it loads Jinja

    if isinstance(study, str | Path):
        study = load_result(study)
    check_kind("study", study, SearchResult, "a result of a search, or a study's folder")
    if path is None:
        return write_html(study, study.folder / "report.html", force=force)
    file = check_path("path", path)
    check_free("path", file, force=force)
    write = write_markdown if file.suffix.lower() == ".md" else write_html
    return write(study, file, force=force)


def load_weights(study: str | Path, trial: int) -> State:
    """Load the weights of a trial's best epoch, for `build(design, shape).load_state_dict`.

    The file is safetensors, so reading it runs no code. Raises `StudyError` if it is missing.
    """
    trial = check_integer("trial", trial, 0, 10**9)
    file = find_study(study) / "weights" / f"trial-{trial:05d}.safetensors"
    weights = load_state(file)
    if weights is None:
        raise StudyError(
            f"the weights of trial {trial} must be in {file}, but they cannot be "
            "read: `lightsearch train --row RANK --save FILE` trains them again"
        )
    return weights
