"""`confirm`: train designs again with fresh seeds: is their mean at the target?"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from lightsearch import data as data_room
from lightsearch.checks import integer, kind, number, path
from lightsearch.confirmation import FIGURES, FOLDER, Confirmation, Key, Ledger, Terms, slug
from lightsearch.cost import cost, fingerprint
from lightsearch.data import DataRef, DataSet
from lightsearch.design.parts import Design, Space
from lightsearch.devices import cores
from lightsearch.engines import chosen_engine
from lightsearch.errors import ArgumentError
from lightsearch.holdout import holdout_of
from lightsearch.images import open_dataset
from lightsearch.leaderboard import rebuild, refresh
from lightsearch.notation import parse, parse_recipe
from lightsearch.question import chosen_device
from lightsearch.randomness import key
from lightsearch.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.records import exact, versions
from lightsearch.retraining import Over, key_of, retrained
from lightsearch.slots import local_slots
from lightsearch.training import Task
from lightsearch.wording import percent, plural

Row: TypeAlias = "Mapping[str, Any] | pd.Series[Any]"
Asked: TypeAlias = "Design | str | Row | pd.DataFrame | Sequence[Design | str | Row]"

COLUMNS = ("design", "params", *FIGURES, "accuracies", "seeds", "target", "epochs", "recipe",
           "dataset", "checksum", "engine", "device", "versions")


def confirm(designs: Asked, seeds: int = 10, *, target: float | None = None,
            recipe: Recipe | str | None = None, epochs: int | None = None,
            dataset: str | Path | DataSet | None = None, data: str | Path | None = None,
            on: str | Path | DataSet | None = None, study: str | Path | None = None,
            workers: int | None = None, device: str | None = None, engine: str | None = None,
            quiet: bool = False) -> pd.DataFrame:
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

    - `designs`: a design or its notation, a leaderboard's row, its rows, or a sequence of them.
      Rows bring their recipe, epochs, target and data set; the others take `search`'s defaults.
    - `seeds`: runs of each design, from 2. They follow from design and recipe, and are never the
      seed that the row was found with; the same call trains the same runs.
    - `study`: the folder that keeps the runs, so that an interrupted call goes on where it was.
      Rows know their study's; without a folder nothing is kept.
    - `dataset`, `data`, `workers`, `device`, `engine`: as for `search`. `quiet`: print nothing.

    Returns a table, confirmed designs first: n seeds, mean, standard deviation and minimum of the
    accuracy, `bound` at `confidence`, `pass_rate` (the share of seeds at the target) and its lower
    95% bound `pass_bound` (Clopper and Pearson 1934), and what it takes to run it again.

    Raises `ArgumentError`, `NotationError`, `DesignError` or `DataError` before anything is
    trained, and `StudyError` where `study` is in use or holds confirmations on other terms.
    """
    rows = _rows(designs)
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    integer("seeds", seeds, 2, 1000)
    if target is not None:
        number("target", target, 0.0, 1.0)
    if epochs is not None:
        integer("epochs", epochs, 1, 10_000)
    if workers is not None:
        integer("workers", workers, 1, 1024)
    if study is not None:
        path("study", study)
    for name, images in (("dataset", dataset), ("on", on)):
        if images is not None:
            kind(name, images, str | Path | DataSet, "a name, a folder of images, or a DataSet")
    with contextlib.ExitStack() as stack:
        home = _study(designs, rows)
        given = study if study is not None else home
        root = Path(given or stack.enter_context(tempfile.TemporaryDirectory()))
        asked = _Asked(root, Path(home or root), recipe, epochs, dataset, data, device, engine)
        picks = list({pick.key: pick for pick in map(asked.pick, rows)}.values())
        known = [p.target for p in picks if p.target is not None]
        goal = _one("target", known or [0.994]) if target is None else target
        terms, label = _terms(picks, seeds, goal, on, data)
        picks = [_tested_on(pick, on, data, root / FOLDER / slug(terms.on)) for pick in picks]
        count = workers or cores()
        used = local_slots(min(count, seeds * len(picks)))
        for slot in used:
            stack.callback(slot.close)
        ledger = stack.enter_context(Ledger.open(root, terms.on, terms))
        for pick in picks:
            ledger.plan(pick.key, _fresh(pick, seeds), label(pick), versions=versions(),
                        device=pick.task.device)
        runs = retrained([pick.task for pick in picks], ledger, used)
        for line in _told(runs, picks, ledger, kept=bool(given)):
            if not quiet:
                print(line, flush=True)
        refresh(root)
        return _table(picks, ledger)


# What is asked ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pick:
    """A design to confirm: its task, whose seed is the one it was found with."""

    task: Task
    params: int
    fingerprint: str
    target: float | None = None
    selected_on: str | None = None

    @property
    def key(self) -> Key:
        return key_of(self.task)


def _rows(designs: Asked) -> list[Design | str | Row]:
    if isinstance(designs, pd.DataFrame):
        return [row for _, row in designs.iterrows()]
    if isinstance(designs, str | Space | Mapping | pd.Series):
        return [designs]
    if isinstance(designs, Sequence):
        return list(designs)
    raise ArgumentError("`designs` must be a design, its notation, or rows of a leaderboard, but "
                        f"got {type(designs).__name__}")


def _study(designs: Asked, rows: Sequence[Design | str | Row]) -> str | None:
    """The folder of the study that rows come from, where they know it."""
    known = (one.attrs.get("study") for one in (designs, *rows)
             if isinstance(one, pd.DataFrame | pd.Series))
    return next((str(folder) for folder in known if folder), None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The arguments that say how a design is trained."""

    root: Path
    home: Path  # of the rows' study, with its images
    recipe: Recipe | str | None
    epochs: int | None
    dataset: str | Path | DataSet | None
    data: str | Path | None
    device: str | None
    engine: str | None

    def pick(self, row: Design | str | Row) -> _Pick:
        """One design's task, on all training images."""
        if isinstance(row, Mapping | pd.Series):
            return self._of_row(row)
        if not isinstance(row, str | Space):
            raise ArgumentError("`designs` must be designs, their notation, or rows of a "
                                f"leaderboard, but got {row!r}")
        design = parse(row) if isinstance(row, str) else row
        recipe = self.recipe or DEFAULT_RECIPE
        recipe = parse_recipe(recipe) if isinstance(recipe, str) else recipe
        device = chosen_device(self.device or "auto")
        engine = chosen_engine(self.engine or "auto", device)
        return self._made(Task(design, recipe, self._images(self.dataset or "mnist"),
                               15 if self.epochs is None else self.epochs, 0, engine, device))

    def _of_row(self, row: Row) -> _Pick:
        for name in ("recipe", "epochs"):
            if getattr(self, name) is not None:
                raise ArgumentError(f"`{name}` must not be given with a leaderboard's row, which "
                                    f"has its own, but got {name}={getattr(self, name)!r}")
        task = rebuild(row)
        own = task.data.name not in data_room.NAMES
        where = str(self.data or (self.home / "data.safetensors" if own else ""))
        reference = dataclasses.replace(task.data, holdout=None, where=where)
        if self.dataset is not None:
            reference = self._images(self.dataset)
            if reference.checksum != task.data.checksum:
                raise ArgumentError("`dataset` must be what the row was trained on, with the "
                                    f"checksum {task.data.checksum}, but got "
                                    f"{reference.name!r} with {reference.checksum}")
        device = task.device if self.device is None else chosen_device(self.device)
        engine = task.engine if self.engine is None and self.device is None \
            else chosen_engine(self.engine or "auto", device)
        task = dataclasses.replace(task, data=reference, tested_on=None, device=device,
                                   engine=engine)
        selected_on = str(row["selected_on"])
        holdout_of(selected_on)  # refuses what is none
        target = float(row.get("target", math.nan))  # an older leaderboard has none
        return self._made(task, target=None if math.isnan(target) else target,
                          selected_on=selected_on)

    def _made(self, task: Task, **more: Any) -> _Pick:
        dataset = data_room.fetch(task.data)
        spent = cost(task.design, dataset.shape, dataset.classes)
        return _Pick(task, spent.params, fingerprint(task.design, dataset.shape), **more)

    def _images(self, dataset: str | Path | DataSet) -> DataRef:
        return _reference(dataset, self.data, self.root / "data.safetensors")


def _reference(dataset: str | Path | DataSet, data: str | Path | None, path: Path) -> DataRef:
    """A reference that workers can follow; a data set of one's own is written to `path`."""
    found = dataset if isinstance(dataset, DataSet) else open_dataset(dataset, data)
    if found.name in data_room.NAMES:
        data_room.share(found)
        return DataRef(found.name, found.checksum, "" if data is None else str(data))
    if not path.exists():  # never over a study's images: another checksum is refused later
        path.parent.mkdir(parents=True, exist_ok=True)
        data_room.save(found, path)
    return DataRef(found.name, found.checksum, str(path.resolve()))


def _one(name: str, values: Iterable[Any]) -> Any:
    """The one value that all designs share."""
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        raise ArgumentError(f"designs that are confirmed together must have one `{name}`, but got "
                            f"{', '.join(map(str, found))}")
    return found[0]


def _terms(picks: Sequence[_Pick], seeds: int, target: float, on: str | Path | DataSet | None,
           data: str | Path | None) -> tuple[Terms, Callable[[_Pick], str]]:
    """The terms, and how each design's images are labelled."""
    reference = _one("dataset", [p.task.data for p in picks])
    epochs = _one("epochs", [p.task.epochs for p in picks])
    own = data_room.fetch(reference)
    other = own if on is None else on if isinstance(on, DataSet) else open_dataset(on, data)
    name = "test" if other.checksum == own.checksum else other.name
    terms = Terms(seeds, str(exact(target)), epochs, reference.name, reference.checksum, name,
                  other.checksum)

    def label(pick: _Pick) -> str:
        if name == "test":
            said = {None: "", "test": ", selected on"}.get(pick.selected_on, ", not selected on")
            return f"{reference.name} test{said}"
        known = (own.train[0], own.test[0]) if pick.selected_on in (None, "test") \
            else (own.train[0],)
        met = data_room.overlap(other.test[0], *known)
        return name + (f", {met:,} of {len(other.test[1]):,} images seen before" if met else "")

    return terms, label


def _tested_on(pick: _Pick, on: str | Path | DataSet | None, data: str | Path | None,
               folder: Path) -> _Pick:
    if on is None:
        return pick
    reference = _reference(on, data, folder / "data.safetensors")
    if reference.checksum == pick.task.data.checksum:
        return pick
    data_room.tested_on(pick.task.data, reference)  # refuses images of another kind
    return dataclasses.replace(pick, task=dataclasses.replace(pick.task, tested_on=reference))


def _fresh(pick: _Pick, count: int) -> tuple[int, ...]:
    """Seeds that follow from the design and its recipe, none of them the search's."""
    found: dict[int, None] = {}
    index = 0
    while len(found) < count:
        seed = key(0, "confirm", pick.fingerprint, str(pick.task.recipe), index) % 2**31
        index += 1
        if seed != pick.task.seed:
            found[seed] = None
    return tuple(found)


# What is said -----------------------------------------------------------------------------------


def _told(runs: Iterator[Over], picks: Sequence[_Pick], ledger: Ledger,
          *, kept: bool) -> Iterator[str]:
    """A line for the plan, for each run that is over, and for each design at the end."""
    terms = ledger.terms
    designs = plural(len(picks), "design")
    yield (f"Confirming {designs} with {terms.seeds} fresh seeds each, "
           f"{plural(terms.epochs, 'epoch')} a seed, on {ledger.runs[picks[0].key].on}: is the "
           f"mean of the last epoch at {percent(Fraction(terms.target))}?")
    if kept:
        yield f"  kept in {ledger.folder}; the same call continues"
    order = {pick.key: number for number, pick in enumerate(picks, 1)}
    for job, result in runs:
        planned = ledger.runs[job.key].seeds
        right, total = ledger.right(job.key, job.task.seed)
        yield (f"  design {order[job.key]}/{len(picks)}  seed {planned.index(job.task.seed) + 1}/"
               f"{len(planned)} ({job.task.seed})  {percent(right / total)} on "
               f"{ledger.runs[job.key].on}, {result.seconds * terms.epochs:.0f} s")
    found = {(c.design, c.recipe): c for c in ledger.confirmations()}
    for pick in picks:
        yield f"{said(found[pick.key])}: {pick.task.design}"


def said(one: Confirmation) -> str:
    """A confirmation in a line."""
    sample = one.sample
    if len(sample) < 2:
        return f"{one.outcome}, {len(sample)} of {one.planned} seeds on {one.on}"
    return (f"{one.outcome}, {len(sample)} of {one.planned} seeds on {one.on}: mean "
            f"{percent(sample.mean, 3)}, sd {100 * sample.sd:.3f}, min "
            f"{percent(min(sample.correct) / sample.total)}, lower bound "
            f"{percent(sample.bound(one.error), 3)} at {percent(1 - one.error)} confidence, "
            f"{sample.hits(one.target)} of {len(sample)} seeds at {percent(one.target)}")


def _table(picks: Sequence[_Pick], ledger: Ledger) -> pd.DataFrame:
    """The designs that were asked for, confirmed ones first, then by mean."""
    found = {(c.design, c.recipe): c for c in ledger.confirmations()}
    rows = []
    for pick in picks:
        one, task = found[pick.key], pick.task
        accuracies = (right / one.sample.total for right in one.sample.correct)
        rows.append({
            "design": one.design, "params": pick.params, **one.figures(),
            "accuracies": " ".join(f"{accuracy:.6g}" for accuracy in accuracies),
            "seeds": " ".join(map(str, one.seeds)), "target": float(one.target),
            "epochs": task.epochs, "recipe": one.recipe, "dataset": task.data.name,
            "checksum": task.data.checksum, "engine": ledger.engine(pick.key),
            "device": task.device,
            "versions": " ".join(f"{k}={v}" for k, v in versions().items())})
    rows.sort(key=lambda row: (not row["confirmed"], -row["mean"]))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="rank")
    return frame
