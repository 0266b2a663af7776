"""`confirm`: train designs again with fresh seeds: is their mean at the target?"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightsearch.checks import check_flag, check_integer, check_kind
from lightsearch.confirming.announcing import announce
from lightsearch.confirming.designs import Asked, rows_of, study_of, table_of
from lightsearch.confirming.halving import halve
from lightsearch.confirming.request import (
    Arguments,
    Pick,
    fresh_seeds,
    one_value,
    terms_of,
    test_on,
)
from lightsearch.confirming.runs import left_of, retrain_all
from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.names import EngineName
from lightsearch.engines.teacher import Module, Teacher, as_teacher
from lightsearch.layer_warnings import silence_layers
from lightsearch.searching.settings import DEFAULTS, check_setting
from lightsearch.study.confirmations import FIGURES
from lightsearch.study.leaderboard import refresh
from lightsearch.study.ledger import Ledger, read_families
from lightsearch.study.listing import find_study
from lightsearch.study.rows import Row
from lightsearch.study.terms import FOLDER, slug
from lightsearch.study.trial import versions
from lightsearch.training.task import Task
from lightsearch.workers.devices import check_room, trials_at_once
from lightsearch.workers.local import local_slots, trains_in_threads
from lightsearch.workers.slot import Slot

COLUMNS = (
    "design",
    "params",
    *FIGURES,
    "accuracies",
    "seeds",
    "target",
    "epochs",
    "recipe",
    "teacher",
    "dataset",
    "checksum",
    "engine",
    "device",
    "versions",
)


@silence_layers()
def confirm(
    designs: Asked,
    seeds: int = 10,
    *,
    target: float | None = None,
    recipe: Recipe | str | None = None,
    epochs: int | None = None,
    dataset: str | Path | DataSet | None = None,
    data: str | Path | None = None,
    on: str | Path | DataSet | None = None,
    study: str | Path | None = None,
    workers: int | None = None,
    device: str | None = None,
    engine: EngineName | None = None,
    teacher: Teacher | Module | None = None,
    halving: bool = False,
    quiet: bool = False,
) -> pd.DataFrame:
    """Train designs again with fresh seeds, unpruned, and say whether their mean is at the target.

        result = search(budget=8000, epochs=15)
        confirm(result.leaderboard.head(3), seeds=10)

    Accuracy is that of the last epoch, on the test images of `on`: by default of the design's own
    data set. Where the search selected on these, they still flatter the choice of the design,
    and the `on` column says so. Nobody selected on `on="qmnist-test50k"`, for designs found on
    MNIST, nor on images of your own.

    A design is *confirmed* where, after all its seeds, the one-sided lower 95% t bound of its mean
    is at or above `target`. Designs confirmed together, or one after the other in one `study`, are
    corrected for their number (Holm 1979): `confidence` says what level the bound has. A design is
    given up early only where the upper 95% bound is below the target (`futile`).

    - `designs`: a design or its notation, a leaderboard's row, its rows, or a sequence of them;
      or a search's result, a study's folder or a leaderboard's CSV, whose three best are taken.
      Rows bring their recipe, epochs, target and data set; the others take `search`'s defaults.
    - `seeds`: runs of each design, from 2. They follow from design and recipe, and are never the
      seed that the row was found with; the same call trains the same runs.
    - `halving`: give every design a few of the seeds, the better half more, and so on, until two
      have all: see docs/confirming.md. What is left behind is `dropped`, never confirmed.
    - `study`: the folder that keeps the runs, so that an interrupted call goes on where it was.
      Rows know their study's; without a folder nothing is kept. A run that is there is not
      trained again, also if it was judged on other images, as long as the accuracy on these is
      known.
    - `dataset`, `data`, `workers`, `device`, `engine`: as for `search`. `quiet`: print nothing.
    - `teacher`: as for `search`. Designs whose recipe has `distill` need the one that they were
      found with.

    Returns a table, confirmed designs first: n seeds, mean, standard deviation and minimum of the
    accuracy, `bound` at `confidence`, `pass_rate` (the share of seeds at the target) and its lower
    95% bound `pass_bound` (Clopper and Pearson 1934), and what it takes to run it again.

    Raises `ArgumentError`, `NotationError`, `DesignError` or `DataError` before anything is
    trained, and `StudyError` where `study` is in use or holds confirmations on other terms.
    """
    designs = table_of(designs)
    rows = rows_of(designs)
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    seeds = check_integer("seeds", seeds, 2, 1000)
    halving = check_flag("halving", halving)
    target, epochs, workers, study = _check(
        target=target, epochs=epochs, workers=workers, study=study
    )
    _check_images(dataset=dataset, on=on)
    check_room()
    with contextlib.ExitStack() as stack:
        source = study_of(designs, rows)
        kept = study if study is not None else source
        folder = find_study(kept or stack.enter_context(tempfile.TemporaryDirectory()))
        asked = Arguments(
            folder,
            Path(source or folder),
            recipe,
            epochs,
            dataset,
            data,
            device,
            engine,
            None if teacher is None else as_teacher(teacher),
        )
        return _confirm(
            asked, rows, seeds, target, on, workers, halving=halving, kept=bool(kept), quiet=quiet
        )


def _confirm(
    asked: Arguments,
    rows: Sequence[Design | str | Row],
    seeds: int,
    target: float | None,
    on: str | Path | DataSet | None,
    workers: int | None,
    *,
    halving: bool,
    kept: bool,
    quiet: bool,
) -> pd.DataFrame:
    """Train the designs of rows, print how it goes, and return the table."""
    picks = asked.pick_all(rows)
    known = [p.target for p in picks if p.target is not None]
    goal = one_value("target", known or [DEFAULTS.target]) if target is None else target
    terms, label = terms_of(picks, seeds, goal, on, asked.data)
    folder = asked.folder
    picks = [test_on(pick, on, asked.data, folder / FOLDER / slug(terms.on)) for pick in picks]
    with contextlib.ExitStack() as stack:
        used = _make_slots([pick.task for pick in picks], workers, seeds * len(picks))
        for slot in used:
            stack.callback(slot.close)
        ledger = stack.enter_context(Ledger.open(folder, terms.on, terms))
        others = [one for one in read_families(folder) if one.folder != ledger.folder]
        for pick in picks:
            _plan(pick, seeds, label(pick), ledger, others)
        all_at_once = [[job for pick in picks for job in left_of(pick.task, ledger)]]
        runs = retrain_all(halve(picks, ledger) if halving else all_at_once, ledger, used)
        for line in announce(runs, picks, ledger, halving=halving, kept=kept):
            if not quiet:
                print(line, flush=True)
        refresh(folder)
        return _table(picks, ledger)


def _check(**given: Any) -> Iterator[Any]:
    """Yield the checked values of arguments that `search` has too; None where it is not given."""
    for name, value in given.items():
        yield None if value is None else check_setting(name, value)


def _check_images(**given: Any) -> None:
    for name, images in given.items():
        if images is not None:
            check_kind(
                name, images, str | Path | DataSet, "a name, a folder of images, or a DataSet"
            )


def _make_slots(tasks: Sequence[Task], workers: int | None, runs: int) -> list[Slot]:
    """The slots that train `runs` runs, as many at once as every task allows."""
    count = min(trials_at_once(workers, None, task.device) for task in tasks)
    # Trials in threads of one process must have one precision on a GPU.
    in_threads = len({task.precision for task in tasks}) == 1 and all(
        trains_in_threads(task.engine, task.device, [task.design], task.recipe) for task in tasks
    )
    return local_slots(min(count, runs), in_threads=in_threads)


def _plan(pick: Pick, seeds: int, on: str, ledger: Ledger, others: Sequence[Ledger]) -> None:
    """Note a design and its seeds in the ledger, with the runs of them that others have."""
    ledger.plan(
        pick.key,
        fresh_seeds(pick, seeds),
        on,
        versions=versions(),
        device=pick.task.device,
        teacher=str(pick.task.teacher or ""),
    )
    ledger.take_up(pick.key, others)


def _table(picks: Sequence[Pick], ledger: Ledger) -> pd.DataFrame:
    """The designs that were asked for, confirmed ones first, then by mean."""
    found = {(c.design, c.recipe): c for c in ledger.confirmations()}
    rows = []
    for pick in picks:
        one, task = found[pick.key], pick.task
        accuracies = (right / one.sample.total for right in one.sample.correct)
        rows.append(
            {
                "design": one.design,
                "params": pick.params,
                **one.figures(),
                "accuracies": " ".join(f"{accuracy:.6g}" for accuracy in accuracies),
                "seeds": " ".join(map(str, one.seeds)),
                "target": float(one.target),
                "epochs": task.epochs,
                "recipe": one.recipe,
                "teacher": str(task.teacher or ""),
                "dataset": task.data.name,
                "checksum": task.data.checksum,
                "engine": ledger.engine(pick.key),
                "device": task.device,
                "versions": " ".join(f"{k}={v}" for k, v in versions().items()),
            }
        )
    rows.sort(
        key=lambda row: (not row["confirmed"], row["confirmation"] == "dropped", -row["mean"])
    )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    return frame
