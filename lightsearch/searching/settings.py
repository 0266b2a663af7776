"""The question that a search answers: its arguments, checked, in one frozen value."""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightsearch.checks import integer, kind, number, path
from lightsearch.data import catalogue, references
from lightsearch.data.dataset import DataSet
from lightsearch.data.holdout import Holdout
from lightsearch.data.image_files import open_dataset
from lightsearch.data.references import DataRef
from lightsearch.design.decoding import named_choices
from lightsearch.design.parts import Design, Fielded, Space
from lightsearch.design.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.engines.native.library import trouble
from lightsearch.engines.selection import checked_precision, chosen_engine
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.network.cost import Budget
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.space import Survey, survey
from lightsearch.space.default import default_space
from lightsearch.study.identity import Identity, default_folder, plain, read_identity
from lightsearch.study.trial import exact
from lightsearch.training.task import Task
from lightsearch.workers.devices import chosen_device, trials_at_once


@dataclass(frozen=True, slots=True)
class Question:
    """A checked search: make it with `ask`."""

    budget: Budget
    epochs: int
    target: float
    space: Space
    recipe: Recipe
    data: DataSet
    data_folder: str
    trials: int
    timeout: float | None
    epoch_timeout: float
    stop_after_hits: int | None
    sampler: Any
    pruner: Any
    workers: int
    seed: int
    device: str
    engine: str
    folder: Path
    survey: Survey
    holdout: Holdout | None = None
    repeatable: bool = True
    untimed: bool = False
    precision: str = "float32"

    def identity(self) -> Identity:
        """What must stay the same for the study to be continued."""
        return Identity(self.budget, self.epochs, exact(self.target),
                        str(self.space), str(self.recipe), self.data.name, self.data.checksum,
                        plain(self.sampler), plain(self.pruner), self.workers, self.seed,
                        self.device, self.engine, self.selected_on, self.repeatable,
                        precision=self.precision)

    @property
    def selected_on(self) -> str:
        """What drives pruning and ranking: `test`, or the images held out of the training ones."""
        return "test" if self.holdout is None else str(self.holdout)

    def task(self, design: Design, recipe: Recipe, seed: int) -> Task:
        """The training of one candidate."""
        where = self.data_folder
        if self.data.name not in catalogue.NAMES:
            where = str((self.folder / "data.safetensors").resolve())
        whole = DataRef(self.data.name, self.data.checksum, where)
        task = Task(design, recipe, whole, self.epochs, seed, self.engine, self.device,
                    self.precision)
        if self.holdout is None:
            return task
        held = dataclasses.replace(whole, holdout=self.holdout)
        return dataclasses.replace(task, data=held, tested_on=whole)


def ask(budget: int | Budget = 8000, epochs: int = 15, *, target: float = 0.994,
        space: Space | str | None = None, recipe: Recipe | str | None = None,
        dataset: str | DataSet = "mnist", data: str | Path | None = None, trials: int = 10,
        timeout: float | None = None, epoch_timeout: float = 3600.0,
        stop_after_hits: int | None = None, sampler: Any = "tpe", pruner: Any = "target",
        workers: int | None = None, study: str | Path | None = None,
        seed: int = 0, device: str = "auto", engine: str = "auto", precision: str = "float32",
        slots_per_gpu: int | None = None, select_on: str = "test", val_size: int | None = None,
        val_seed: int = 0, repeatable: bool = True, keep_orientation: bool = False,
        untimed: bool = False) -> Question:
    """Check the arguments of a search; see `lightsearch.search` for what they mean.

    Raises `ArgumentError` for a value out of range, and whatever the notation, the data and the
    budget raise.
    """
    epochs = integer("epochs", epochs, 1, 10_000)
    trials = integer("trials", trials, 1, 1_000_000)
    seed = integer("seed", seed, -2**63, 2**63 - 1)
    kind("repeatable", repeatable, bool, "True or False")
    if stop_after_hits is not None:
        integer("stop_after_hits", stop_after_hits, 1, 1_000_000)
    number("target", target, 0.0, 1.0)
    if timeout is not None:
        number("timeout", timeout, 0.0, math.inf)
    number("epoch_timeout", epoch_timeout, 0.0, math.inf)
    kind("quiet", untimed, bool, "True or False")
    data = "" if data is None else str(path("data", data).absolute())  # chdir must not move it
    kind("dataset", dataset, str | os.PathLike | DataSet,
         "the name of a data set, a folder of images, or a DataSet")
    caps = budget if isinstance(budget, Budget) else Budget(params=budget)
    dataset = dataset if isinstance(dataset, DataSet) else open_dataset(dataset, data or None)
    holdout = _holdout(dataset, select_on, val_size, val_seed)
    chosen = default_space(dataset.shape, dataset.classes) if space is None else space
    chosen = parse(chosen) if isinstance(chosen, str) else chosen
    kind("keep_orientation", keep_orientation, bool, "True or False")
    if keep_orientation and recipe is not None:
        raise ArgumentError("`keep_orientation` must not be given with a `recipe`, which says "
                            "itself whether images are turned")
    usual = dataclasses.replace(DEFAULT_RECIPE, rotation=0) if keep_orientation else DEFAULT_RECIPE
    how = usual if recipe is None else recipe
    how = parse_recipe(how) if isinstance(how, str) else how
    if not isinstance(chosen, Space) or isinstance(chosen, Fielded):
        raise ArgumentError(f"`space` must be a sequence of layers or its notation, "
                            f"but got {chosen!r}")
    if not isinstance(how, Recipe):
        raise ArgumentError(f"`recipe` must be a Recipe or its notation, but got {how!r}")
    shared = named_choices(chosen).keys() & named_choices(how).keys()
    if shared:
        raise ArgumentError("the choices of `space` and `recipe` must have different names, but "
                            f"got {', '.join(sorted(shared))} in both")
    where = chosen_device(device)
    if workers is not None:
        integer("workers", workers, 1, 1024)
    if slots_per_gpu is not None:
        integer("slots_per_gpu", slots_per_gpu, 1, 64)
    at_once = trials_at_once(workers, slots_per_gpu, where)
    whole = survey(chosen, dataset.shape, dataset.classes, caps)
    question = Question(
        caps, epochs, target, chosen, how, dataset, data, trials,
        timeout, epoch_timeout, stop_after_hits, sampler, pruner, at_once, seed, where,
        chosen_engine(engine, where), Path(), whole, holdout, repeatable, untimed, precision)
    question = _placed(question, study, workers is None and slots_per_gpu is None, engine)
    checked_precision(precision, question.engine, where)
    return question


def _holdout(dataset: DataSet, select_on: str, size: int | None, seed: int) -> Holdout | None:
    """The images that select, where it is not the test images; a sixth of the training images
    unless told otherwise, which on MNIST is as many as there are test images."""
    integer("val_seed", seed, -2**63, 2**63 - 1)
    if select_on not in ("test", "val"):
        raise ArgumentError(f"`select_on` must be test or val, but got {select_on!r}")
    if select_on == "test":
        if size is not None:
            raise ArgumentError("`val_size` must be given with select_on='val', but got "
                                f"val_size={size!r} with select_on='test'")
        return None
    images = len(dataset.train[1])
    if size is not None:
        integer("val_size", size, 1, images - 1)
    holdout = Holdout(images // 6 if size is None else size, seed)
    references.held_out(dataset, holdout)  # refuses one that leaves a class empty
    return holdout


def _placed(question: Question, study: str | Path | None, any_workers: bool,
            engine: str) -> Question:
    """The question with its folder, and with what a study there was started with: its workers
    and its engine, where nothing else is asked for."""
    folder = default_folder(question.identity()) if study is None else path("study", study)
    known = read_identity(folder)
    if known is not None and any_workers:
        question = dataclasses.replace(question, workers=known.workers)
    if known is not None and engine == "auto" and known.device == question.device:
        if known.engine == "native" and trouble():
            raise StudyError(f"the study in {folder} must be continued with the native engine, "
                             f"which trained it, but: {trouble()}. Give another `study` folder "
                             "to ask anew")
        question = dataclasses.replace(question, engine=known.engine)
    return dataclasses.replace(question, folder=folder.absolute())  # chdir must not move it
