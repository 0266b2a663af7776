"""What is to be confirmed: each design's task, the terms, the fresh seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lightsearch.confirming.runs import key_of
from lightsearch.data import catalogue, references
from lightsearch.data.dataset import DataSet
from lightsearch.data.holdout import holdout_of
from lightsearch.data.image_files import open_dataset
from lightsearch.data.references import DataRef
from lightsearch.design.parts import Design, Space
from lightsearch.design.recipe import Recipe
from lightsearch.engines.names import EngineName
from lightsearch.engines.selection import choose_device, choose_engine
from lightsearch.engines.teacher import Teacher, check_fit
from lightsearch.errors import ArgumentError, StudyError, quote
from lightsearch.network.cost import cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key
from lightsearch.searching.settings import DEFAULTS
from lightsearch.study.confirmations import Key, Terms
from lightsearch.study.identity import read_identity, same_teacher
from lightsearch.study.rebuild import rebuild
from lightsearch.study.rows import Row
from lightsearch.study.trial import to_fraction
from lightsearch.training.one_line import default_recipe
from lightsearch.training.task import Task, check_teacher


@dataclass(frozen=True, slots=True)
class Pick:
    """A design to confirm: its task, whose seed is the one it was found with."""

    task: Task
    params: int
    fingerprint: str
    target: float | None = None
    selected_on: str | None = None
    found: float | None = None  # last accuracy of the search's own whole run on the test images

    @property
    def key(self) -> Key:
        return key_of(self.task)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments that say how a design is trained."""

    folder: Path  # of the study that keeps the runs
    source: Path  # of the study that rows come from, with its images
    recipe: Recipe | str | None
    epochs: int | None
    dataset: str | Path | DataSet | None
    data: str | Path | None
    device: str | None
    engine: EngineName | None
    teacher: Teacher | None = None

    def pick_all(self, rows: Sequence[Design | str | Row]) -> list[Pick]:
        """The tasks of the designs, each once, on all training images.

        Raises `ArgumentError` for a recipe without the teacher that it needs, and for a teacher
        that none needs.
        """
        picks = list({pick.key: pick for pick in map(self._pick, rows)}.values())
        for pick in picks:
            check_teacher(pick.task)
        if self.teacher is not None and all(pick.task.teacher is None for pick in picks):
            recipes = ", ".join(dict.fromkeys(str(pick.task.recipe) for pick in picks))
            raise ArgumentError(
                f"`teacher` must be given with a recipe that has `distill`, but got {recipes}"
            )
        for pick in picks:
            self._check_study(pick.task)
        return picks

    def _check_study(self, task: Task) -> None:
        """Raise `StudyError` if the study that keeps the runs had another teacher."""
        known = read_identity(self.folder)
        if task.teacher is None or known is None or not known.teacher:
            return
        if not same_teacher(str(task.teacher), known.teacher):
            raise StudyError(
                f"the designs of a study must have one teacher, but in {self.folder} it is "
                f"{known.teacher!r}, and {str(task.teacher)!r} was asked for. Give another "
                "`study` folder to confirm anew"
            )

    def _pick(self, row: Design | str | Row) -> Pick:
        if isinstance(row, Mapping | pd.Series):
            return self._pick_row(row)
        if not isinstance(row, str | Space):
            raise ArgumentError(
                "`designs` must be designs, their notation, or rows of a "
                f"leaderboard, but got {quote(row)}"
            )
        design = parse(row) if isinstance(row, str) else row
        recipe = self.recipe or default_recipe(self.teacher)
        recipe = parse_recipe(recipe) if isinstance(recipe, str) else recipe
        wanted = DEFAULTS.engine if self.engine is None else self.engine
        device = choose_device(DEFAULTS.device if self.device is None else self.device, wanted)
        engine = choose_engine(wanted, device)
        epochs = DEFAULTS.epochs if self.epochs is None else self.epochs
        return self._make_pick(
            Task(
                design,
                recipe,
                self._images(DEFAULTS.dataset if self.dataset is None else self.dataset),
                epochs,
                DEFAULTS.seed,
                engine,
                device,
                teacher=self._teach(recipe),
            )
        )

    def _pick_row(self, row: Row) -> Pick:
        for name in ("recipe", "epochs"):
            if getattr(self, name) is not None:
                raise ArgumentError(
                    f"`{name}` must not be given with a leaderboard's row, which "
                    f"has its own, but got {name}={getattr(self, name)!r}"
                )
        own = catalogue.images_file(str(row.get("dataset")), self.source)
        data = self.source if self.data is None and own and own.is_file() else self.data
        task = rebuild(row, data=data, teacher=self._teach(str(row.get("recipe"))))
        reference = dataclasses.replace(task.data, holdout=None)
        if self.dataset is not None:
            reference = self._images(self.dataset)
            if reference.checksum != task.data.checksum:
                raise ArgumentError(
                    "`dataset` must be what the row was trained on, with the "
                    f"checksum {task.data.checksum}, but got "
                    f"{reference.name!r} with {reference.checksum}"
                )
        device = (
            task.device
            if self.device is None
            else choose_device(self.device, self.engine or "auto")
        )
        engine = (
            task.engine
            if self.engine is None and self.device is None
            else choose_engine(self.engine or "auto", device)
        )
        task = dataclasses.replace(
            task, data=reference, tested_on=None, device=device, engine=engine
        )
        selected_on = str(row["selected_on"])
        holdout_of(selected_on)  # refuses what is none
        target = float(row.get("target", math.nan))  # an older leaderboard has none
        last = float(row.get("last_accuracy", math.nan))
        whole = selected_on == "test" and row.get("epochs_trained") == task.epochs
        return self._make_pick(
            task,
            target=None if math.isnan(target) else target,
            selected_on=selected_on,
            found=last if whole and not math.isnan(last) else None,
        )

    def _make_pick(self, task: Task, **more: Any) -> Pick:
        dataset = references.fetch(task.data)
        spent = cost(task.design, dataset.shape, dataset.classes)
        if task.teacher is not None:
            check_fit(task.teacher, dataset.shape, dataset.classes)
        return Pick(task, spent.params, fingerprint(task.design, dataset.shape), **more)

    def _teach(self, recipe: Recipe | str) -> Teacher | None:
        """Return the teacher, if a recipe has any use for one."""
        return self.teacher if "distill=" in str(recipe) else None

    def _images(self, dataset: str | Path | DataSet) -> DataRef:
        return _reference(dataset, self.data, self.folder)


def _reference(dataset: str | Path | DataSet, data: str | Path | None, folder: Path) -> DataRef:
    """Return a reference that workers can follow. Images of one's own are written to `folder`."""
    if not isinstance(dataset, DataSet):
        dataset = open_dataset(dataset, data)
    file = catalogue.images_file(dataset.name, folder)
    if file is None:
        references.share(dataset)
        return DataRef(dataset.name, dataset.checksum, "" if data is None else str(data))
    if not file.exists():  # never over a study's images: `fetch` refuses another checksum
        folder.mkdir(parents=True, exist_ok=True)
        references.save(dataset, file)
    return DataRef(dataset.name, dataset.checksum, str(file.resolve()))


def one_value(name: str, values: Iterable[Any]) -> Any:
    """The one value that all designs share."""
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        raise ArgumentError(
            f"designs that are confirmed together must have one `{name}`, but got "
            f"{', '.join(map(str, found))}"
        )
    return found[0]


def terms_of(
    picks: Sequence[Pick],
    seeds: int,
    target: float,
    on: str | Path | DataSet | None,
    data: str | Path | None,
) -> tuple[Terms, Callable[[Pick], str]]:
    """The terms, and how each design's images are labelled."""
    reference = one_value("dataset", [p.task.data for p in picks])
    epochs = one_value("epochs", [p.task.epochs for p in picks])
    own = references.fetch(reference)
    other = own if on is None else on if isinstance(on, DataSet) else open_dataset(on, data)
    name = "test" if other.checksum == own.checksum else other.name
    terms = Terms(
        seeds,
        str(to_fraction(target)),
        epochs,
        reference.name,
        reference.checksum,
        name,
        other.checksum,
    )

    def label(pick: Pick) -> str:
        if name == "test":
            said = {None: "", "test": ", selected on"}.get(pick.selected_on, ", not selected on")
            return f"{reference.name} test{said}"
        part = "test" if pick.selected_on in (None, "test") else "val"
        known = [images for name, (images, _) in own.parts() if name in ("train", part)]
        met = references.overlap(other.test[0], *known)
        return name + (f", {met:,} of {len(other.test[1]):,} images seen before" if met else "")

    return terms, label


def test_on(
    pick: Pick, on: str | Path | DataSet | None, data: str | Path | None, folder: Path
) -> Pick:
    if on is None:
        return pick
    reference = _reference(on, data, folder)
    if reference.checksum == pick.task.data.checksum:
        return pick
    references.tested_on(pick.task.data, reference)  # refuses images of another kind
    return dataclasses.replace(pick, task=dataclasses.replace(pick.task, tested_on=reference))


def fresh_seeds(pick: Pick, count: int) -> tuple[int, ...]:
    """Seeds that follow from the design and its recipe, none of them the search's."""
    found: dict[int, None] = {}
    index = 0
    while len(found) < count:
        seed = key(0, "confirm", pick.fingerprint, str(pick.task.recipe), index) % 2**31
        index += 1
        if seed != pick.task.seed:
            found[seed] = None
    return tuple(found)
