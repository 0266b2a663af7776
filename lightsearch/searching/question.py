"""The question that a search answers: its settings, and the data, space and device they name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lightsearch.checks import check_integer
from lightsearch.data import catalogue, references
from lightsearch.data.dataset import DataSet
from lightsearch.data.holdout import Holdout
from lightsearch.data.image_files import open_dataset
from lightsearch.data.references import DataRef
from lightsearch.design.decoding import named_choices
from lightsearch.design.parts import Design, Fielded, Space
from lightsearch.design.recipe import Recipe
from lightsearch.engines.names import EngineName, PrecisionName
from lightsearch.engines.selection import check_precision, choose_device, choose_engine
from lightsearch.engines.teacher import Teacher
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.layer_warnings import silence_layers
from lightsearch.network.cost import Budget
from lightsearch.notation.parser import parse
from lightsearch.searching.continuing import choose_folder, continue_study
from lightsearch.searching.objective import name_objective
from lightsearch.searching.objectives import directions_of
from lightsearch.searching.recipes import choose_recipe, choose_teacher
from lightsearch.searching.settings import Settings, check_setting
from lightsearch.searching.sources import TAUGHT, list_sources, open_warm_start
from lightsearch.searching.words import (
    DEFAULT_SAMPLER,
    GOALS,
    SELECTIONS,
    PrunerName,
    default_pruner,
)
from lightsearch.space import Survey, survey
from lightsearch.space.default import default_space
from lightsearch.study.identity import Identity, name_of
from lightsearch.study.trial import Trial, to_fraction
from lightsearch.study.warm_start import WarmStart, kind_of_source
from lightsearch.surrogate.answers import check_surrogate
from lightsearch.training.task import Task, hold_out
from lightsearch.workers.devices import check_room, trials_at_once


@dataclass(frozen=True, slots=True)
class Question:
    """A search that can begin: make it with `resolve`.

    `settings` are as they were given. `identity` has those that make the study, in the exact form
    that `study.json` keeps. The other fields are the values that an identity has by name only.
    With a `cap`, designs are proposed within that many parameters, whatever the budget allows. The
    search stops at once, resumable, with a trial of which `until` holds.
    """

    settings: Settings
    identity: Identity
    space: Space
    recipe: Recipe
    data: DataSet
    holdout: Holdout | None
    survey: Survey
    folder: Path
    warm_start: WarmStart
    teacher: Teacher | None = None
    cap: int | None = None
    until: Callable[[Trial], bool] | None = None

    @property
    def budget(self) -> Budget:
        """What designs are proposed within."""
        budget = self.identity.budget
        return budget if self.cap is None else dataclasses.replace(budget, params=self.cap)

    def task(self, design: Design, recipe: Recipe, seed: int) -> Task:
        """The training of one candidate."""
        images = catalogue.images_file(self.data.name, self.folder)
        where = self.settings.data or "" if images is None else images.resolve()
        whole = DataRef(self.data.name, self.data.checksum, str(where))
        task = Task(
            design,
            recipe,
            whole,
            self.identity.epochs,
            seed,
            cast("EngineName", self.identity.engine),  # a task checks both words
            self.identity.device,
            cast("PrecisionName", self.identity.precision),
            teacher=self.teacher if recipe.distill else None,
        )
        return hold_out(task, self.holdout)


@silence_layers()
def resolve(settings: Settings) -> Question:
    """Load the data, parse the notation, choose the device and survey the space.

    Raises `ArgumentError` for values that do not go together or that this machine does not have,
    `StudyError` for a study that cannot be continued here, and whatever the notation, the data and
    the budget raise.
    """
    check_room()
    data, holdout = load_images(settings)
    space, recipe = choose_space(settings, data), choose_recipe(settings)
    _check_names(space, recipe)
    _check_goal(settings)
    teacher = choose_teacher(settings, recipe, data)
    identity = _identify(settings, space, recipe, data, holdout, teacher)
    whole = survey(space, data.shape, data.classes, settings.caps)
    folder = choose_folder(identity, settings)
    identity = continue_study(identity, folder, settings)
    check_precision(identity.precision, identity.engine, identity.device)
    _check_surrogate(identity, data, holdout, recipe)
    warm_start = open_warm_start(identity, folder, data)
    identity = dataclasses.replace(identity, warm_start_digest=warm_start.digest())
    return Question(
        settings, identity, space, recipe, data, holdout, whole, folder, warm_start, teacher
    )


def _identify(
    settings: Settings,
    space: Space,
    recipe: Recipe,
    data: DataSet,
    holdout: Holdout | None,
    teacher: Teacher | None,
) -> Identity:
    """Return the question as it is asked, before a study is looked for that it continues."""
    device = choose_device(settings.device, settings.engine)
    return Identity(
        budget=settings.caps,
        epochs=settings.epochs,
        target=to_fraction(settings.target),
        space=str(space),
        recipe=str(recipe),
        dataset=data.name,
        checksum=data.checksum,
        sampler=name_of(DEFAULT_SAMPLER if settings.sampler is None else settings.sampler),
        startup=settings.startup,
        pruner=name_of(_default_pruner(settings) if settings.pruner is None else settings.pruner),
        workers=count_workers(settings, device),
        seed=settings.seed,
        device=device,
        engine=choose_engine(settings.engine, device),
        selected_on=str(holdout or "test"),
        repeatable=settings.repeatable,
        precision=settings.precision,
        consistent=settings.consistent,
        warm_start=list_sources(settings.warm_start),
        goal=settings.goal,
        objective=name_objective(settings.objective),
        directions=directions_of(settings),
        own_steps=", ".join(map(str, recipe.own_steps())),
        teacher="" if teacher is None else str(teacher),
    )


# Subject by subject ------------------------------------------------------------------------------


def _check_names(space: Space, recipe: Recipe) -> None:
    shared = named_choices(space).keys() & named_choices(recipe).keys()
    if shared:
        raise ArgumentError(
            "the choices of `space` and `recipe` must have different names, but "
            f"got {', '.join(sorted(shared))} in both"
        )


def _check_surrogate(
    identity: Identity, data: DataSet, holdout: Holdout | None, recipe: Recipe
) -> None:
    """Raise `ArgumentError` if the engine is the surrogate and cannot answer this question."""
    if identity.engine != "surrogate":
        return
    images = len(data.test[1]) if holdout is None else holdout.size
    check_surrogate(data.name, data.shape, images, identity.epochs, recipe, identity.device)
    if holdout is not None:
        raise ArgumentError("with engine='surrogate', `select_on` must be 'test'")


def _check_goal(settings: Settings) -> None:
    if settings.consistent is not None and settings.consistent > settings.epochs:
        raise ArgumentError(
            f"`consistent` must be at most `epochs`, {settings.epochs}, but got "
            f"consistent={settings.consistent}"
        )
    goal = settings.goal
    if not isinstance(goal, str) or goal not in GOALS:
        raise ArgumentError(
            f"`goal` must be one of {', '.join(GOALS)}, but got {quote(goal)}"
            f"{suggestion(goal, GOALS)}"
        )
    if goal != "best" and settings.stop_after_hits is not None:
        raise ArgumentError(
            f"`stop_after_hits` must not be given with goal={goal!r}, which tests each hit with "
            f"fresh seeds, but got stop_after_hits={settings.stop_after_hits}"
        )
    if goal == "fastest" and settings.engine == "surrogate":
        raise ArgumentError(
            "`goal` must be best or smallest with engine='surrogate', whose curves are all of one "
            "number of epochs, but got goal='fastest'"
        )
    if settings.objective is not None:
        taught = [
            one for one in list_sources(settings.warm_start) if kind_of_source(one) in TAUGHT
        ]
        if goal != "best" or taught:
            got = f"goal={goal!r}" if goal != "best" else f"warm_start={taught[0]!r}"
            raise ArgumentError(
                "`objective` must be given with goal='best', and without others' results to learn "
                f"from, which are accuracies, but got {got}"
            )
    if goal == "smallest" and settings.caps.params is None:
        raise ArgumentError(
            "`budget` must have a cap on parameters with goal='smallest', which starts there, "
            f"but got {settings.caps}"
        )


def load_images(settings: Settings) -> tuple[DataSet, Holdout | None]:
    """The data set, and the images that select if it is not the test images.

    Those are by default the data set's own validation images. With `select_on="val"` and none of
    its own, a sixth of the training images: on MNIST as many as there are test images.
    """
    given = settings.dataset
    data = given if isinstance(given, DataSet) else open_dataset(given, settings.data)
    size, select_on = settings.val_size, settings.select_on
    if select_on is not None and not (isinstance(select_on, str) and select_on in SELECTIONS):
        raise ArgumentError(
            f"`select_on` must be {' or '.join(SELECTIONS)}, but got {quote(select_on)}"
        )
    if select_on is None:
        select_on = "test" if data.val is None else "val"
    if select_on == "test":
        if size is not None:
            raise ArgumentError(
                "`val_size` must be given with select_on='val', but got "
                f"val_size={quote(size)} with select_on='test'"
            )
        return data, None
    if data.val is not None and size is None:
        return data, Holdout(len(data.val[1]), seed=None)
    images = len(data.train[1])
    size = images // 6 if size is None else check_integer("val_size", size, 1, images - 1)
    holdout = Holdout(size, settings.val_seed)
    references.split_holdout(data, holdout)  # refuses one that leaves a class empty
    return data, holdout


def choose_space(settings: Settings, data: DataSet) -> Space:
    """The space as a value: by default one for images such as these, and for this budget."""
    given = settings.space
    space = (
        default_space(data.shape, data.classes, settings.caps)
        if given is None
        else parse(given)
        if isinstance(given, str)
        else given
    )
    if not isinstance(space, Space) or isinstance(space, Fielded):
        raise ArgumentError(
            f"`space` must be a sequence of layers or its notation, but got {quote(space)}"
        )
    return space


def _default_pruner(settings: Settings) -> PrunerName:
    for_the_best = settings.goal == "best" and settings.objective is None
    return default_pruner(settings.trials, for_the_best)


def count_workers(settings: Settings, device: str) -> int:
    """How many trials are trained at once, if nothing is known of the study."""
    workers = settings.workers
    if workers is None and settings.slots is not None:
        workers = check_setting("workers", len(settings.slots))
    return trials_at_once(workers, settings.slots_per_gpu, device)
