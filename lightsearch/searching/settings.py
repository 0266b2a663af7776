"""The settings of a search: each with its name, type, default, help and role, written once.

`search` and `iter_search` take them as their arguments (`searching.signature`), the command line
makes its options of them, and `searching.question` resolves them. A check reads its rule here too.
Nothing here loads torch, so that the help of the command line comes at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lightsearch.data.catalogue import IMAGES
from lightsearch.design.parts import Design, Space
from lightsearch.design.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.engines.names import ENGINES, PRECISIONS, EngineName, PrecisionName
from lightsearch.network.cost import Budget
from lightsearch.searching.kinds import check_kinds
from lightsearch.searching.setting import free, growable, identity, settings_of
from lightsearch.searching.words import (
    GOALS,
    MANY_TRIALS,
    PRUNERS,
    SAMPLERS,
    SELECTIONS,
    Goal,
    PrunerName,
    SamplerName,
    Selection,
)
from lightsearch.study.orders import DIRECTIONS, Direction

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from lightsearch.data.dataset import DataSet
    from lightsearch.engines.teacher import Module, Teacher
    from lightsearch.study.trial import Trial
    from lightsearch.workers.slot import Slot


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `iter_search`, as they were given. `search` has four more.

    A study is continued only with the same *identity*. A *growable* setting may grow, a *free* one
    may change. Numbers, flags and paths are checked here, and are `ArgumentError`s. What takes the
    data, the space or the device to check is checked in `searching.question`.
    """

    budget: Annotated[
        int | Budget,
        identity(
            "Most parameters that a design may have.",
            "Or a `Budget`, with caps on parameters, MACs and activation bytes.",
        ),
    ] = 8000
    epochs: Annotated[
        int, identity("Epochs that each design is trained at most.", low=1, high=10_000)
    ] = 15
    _: KW_ONLY
    target: Annotated[
        float,
        identity(
            "Test accuracy that counts as a hit, from 0 to 1.",
            "Any epoch may reach it, unless `consistent` asks for more.",
            high=1,
        ),
    ] = 0.994
    consistent: Annotated[
        int | None,
        identity(
            "Last epochs that must all reach the target for a hit.",
            "Then a design is a hit after its last epoch, or not at all.",
            low=1,
            high=10_000,
            none="any one epoch may reach it",
        ),
    ] = None
    space: Annotated[
        Space | str | None,
        identity(
            "What designs are drawn from, in notation.",
            "Or a space as a value.",
            none="the default space for the images and the budget: `lightsearch space` shows it",
        ),
    ] = None
    recipe: Annotated[
        Recipe | str | None,
        identity(
            "How designs are trained, in notation; it may have choices too.",
            "Or a `Recipe`.",
            none=str(DEFAULT_RECIPE),
        ),
    ] = None
    keep_orientation: Annotated[
        bool,
        identity(
            "Leave rotation out of the default recipe, where it would change what an image means.",
        ),
    ] = False
    dataset: Annotated[
        "str | Path | DataSet",
        identity(
            f"Data set: {', '.join(IMAGES)}, a classification set of torchvision such as cifar10, "
            "or a folder of images by class.",
            "Or a `DataSet`: see `make_dataset` and `folder_dataset`.",
            words=tuple(IMAGES),
        ),
    ] = "mnist"
    select_on: Annotated[
        Selection | None,
        identity(
            "Images that drive pruning, hits and ranking: test, the test images, or val, the data "
            "set's validation images or else images held out of the training ones.",
            "A target for the test images asks for test, which flatters. With val, of each class "
            "as large a share is held out as of the whole; each design that is trained to the end "
            "is tested once on the test images, after its last epoch (`test_accuracy`).",
            words=SELECTIONS,
            none="test, or val if the data set has validation images",
        ),
    ] = None
    val_size: Annotated[
        int | None,
        identity(
            "Training images held out, with `select_on` val.",
            none="the data set's validation images, else a sixth of the training images",
        ),
    ] = None
    val_seed: Annotated[
        int, identity("Seed by which they are drawn.", low=-(2**63), high=2**63 - 1)
    ] = 0
    sampler: Annotated[
        "SamplerName | BaseSampler | None",
        identity(
            "Who proposes: model, which learns from the trials; near-cap or uniform (or random, "
            "its older name) draws from within the budget; evolution; tpe.",
            "Or an Optuna sampler.",
            words=SAMPLERS,
            none="what the study was started with, else model",
        ),
    ] = None
    startup: Annotated[
        int | None,
        identity(
            "Trials that are drawn before the sampler is asked; designs of a warm start count.",
            "An Optuna sampler may draw some of its own after them.",
            low=0,
            high=1_000_000,
            none="8, or 0 if there are results to learn from",
        ),
    ] = None
    warm_start: Annotated[
        "str | Path | Design | Sequence[str | Path | Design] | None",
        identity(
            "What is known beforehand: designs in notation, a leaderboard's CSV or zoo, which are "
            "tried first; the folder of another study or curves, which are only learned from.",
            "One or a sequence of them; designs may be values. curves is the table of real curves "
            "on MNIST that ships with the package (`lightsearch.curves`). What the sources hold "
            "is read once and kept with the study. Tables of a study that learned from others "
            "say that it knew their test results.",
            none="nothing",
            words=("zoo", "curves"),
        ),
    ] = None
    pruner: Annotated[
        "PrunerName | BasePruner | None",
        identity(
            "Who prunes: predicted, rungs, target, median, halving or none.",
            "Or an Optuna pruner.",
            words=PRUNERS,
            none=f"what the study was started with, else predicted, from {MANY_TRIALS} trials on "
            "rungs",
        ),
    ] = None
    workers: Annotated[
        int | None,
        identity(
            "Trials at once, of one thread each.",
            "They are threads of this process if the native engine trains all, else processes.",
            low=1,
            high=1024,
            none="what the study was started with, else the cores of this machine, or "
            "`slots_per_gpu` for each GPU",
        ),
    ] = None
    slots_per_gpu: Annotated[
        int | None,
        identity("Trials at once on each GPU, in place of `workers`.", low=1, high=64, none="4"),
    ] = None
    device: Annotated[
        str,
        identity(
            "Where to train: cpu, cuda (every visible GPU), cuda:1, or auto, which is cuda if "
            "there is one.",
            words=("auto", "cpu", "cuda"),
        ),
    ] = "auto"
    engine: Annotated[
        EngineName,
        identity(
            "What trains: native (compiled, on a processor), torch, or auto, which is what the "
            "study was started with, else native if it can be; surrogate trains nothing.",
            "Torch trains a design with a layer of your own in any case. With surrogate, a model "
            "of real curves on MNIST answers, so that searches are compared in seconds "
            "(docs/surrogate.md).",
            words=ENGINES,
        ),
    ] = "auto"
    precision: Annotated[
        PrecisionName,
        identity(
            "Precision of training steps: float32, or with torch bf16, or on a GPU tf32.",
            "Evaluation is in float32.",
            words=PRECISIONS,
        ),
    ] = "float32"
    goal: Annotated[
        Goal,
        identity(
            "What is looked for: best, the highest accuracy; smallest, the fewest parameters, or "
            "fastest, the fewest epochs, whose mean over fresh seeds is at the target.",
            "`budget` is where smallest starts, and `epochs` where fastest does (docs/goals.md).",
            words=GOALS,
        ),
    ] = "best"
    objective: Annotated[
        "Callable[[Trial], float] | Callable[[Trial], Sequence[float]] | None",
        identity(
            "Function of a trial that proposals are to make large, at most 1.",
            "It is called with a trial as it stands after an epoch, and must be written with "
            "`def`: the study keeps its name and a digest of what it computes. Hits and pruning "
            "go by accuracy all the same; `result.ranked(by=function)` has the hits by it.",
            none="the accuracy",
        ),
    ] = None
    directions: Annotated[
        Sequence[Direction] | None,
        identity(
            "For an `objective` of several values: where each is to go, maximize or minimize.",
            "The values may be any. A sampler of Optuna's that knows several, such as "
            "`NSGAIISampler` or tpe, looks for their Pareto front, and every trial is trained to "
            "its end: with `pruner='none'`. `result.pareto(objective)` is the front.",
            words=DIRECTIONS,
            none="the objective has one value, which is to be large",
        ),
    ] = None
    teacher: Annotated[
        "Teacher | Module | None",
        identity(
            "Trained network that designs learn from beside the labels.",
            "A module, or what `find_teacher` makes of a row, a study or a file. How they learn, "
            "`recipe` says by `distill` and `temperature`; the default recipe then has "
            "`distill=0.5`. The study keeps its checksum, its parameters and its epochs, which no "
            "budget counts.",
            none="nobody",
        ),
    ] = None
    seed: Annotated[int, identity("Seed of everything random.", low=-(2**63), high=2**63 - 1)] = 0
    repeatable: Annotated[
        bool,
        identity(
            "Whether the study depends on nothing but its question, at the cost of some waiting "
            "among workers (docs/benchmarks/speed.md).",
            "If not, epochs are taken as they come.",
        ),
    ] = True
    trials: Annotated[
        int, growable("Designs to train in all, earlier calls included.", low=1, high=1_000_000)
    ] = 10
    study: Annotated[
        str | Path | None,
        free("Folder of the study.", none="by its question, under lightsearch-studies"),
    ] = None
    data: Annotated[
        str | Path | None,
        free(
            "Folder of the data set, as torchvision lays it out.",
            none="LIGHTSEARCH_DATA, else a cache folder, else downloaded",
        ),
    ] = None
    timeout: Annotated[float | None, free("Seconds after which the search stops, resumable.")] = (
        None
    )
    epoch_timeout: Annotated[
        float,
        free(
            "Seconds after which an epoch is stopped and run again, counted from when its worker "
            "is ready."
        ),
    ] = 3600.0
    stop_after_hits: Annotated[
        int | None,
        free(
            "Hits after which no new design is trained.",
            "The hits train on to their last epoch.",
            low=1,
            high=1_000_000,
        ),
    ] = None
    slots: Annotated[
        "Sequence[Slot] | None",
        free(
            "Where to train instead of here, such as `lightsearch.workers.dask` makes.",
            "As many as `workers`; they are closed in the end.",
        ),
    ] = None
    on_epoch: Annotated[
        "Callable[[Trial], object] | None",
        free(
            "Function that is called with a trial after each of its epochs.",
            "The epoch is `trial.epochs[-1]`. It is called here, one at a time, in the order in "
            "which the study takes epochs, once they are on disk. An error in it ends the search, "
            "resumable, when the epochs that run are done.",
        ),
    ] = None
    on_trial: Annotated[
        "Callable[[Trial], object] | None",
        free(
            "The same for trials that are over.",
            "It is called after `on_epoch` of the last epoch, with the outcome.",
        ),
    ] = None

    def __post_init__(self) -> None:
        known = settings_of(type(self))
        for name, setting in known.items():
            # the same value in its one form: an `int`, an absolute `Path`
            object.__setattr__(self, name, setting.check(getattr(self, name)))
        check_kinds(self, known)

    @property
    def caps(self) -> Budget:
        """The budget as its caps."""
        return self.budget if isinstance(self.budget, Budget) else Budget(params=self.budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings(Settings):
    """The arguments of `search`: those of a search, and what goes with it and after it."""

    confirm: Annotated[
        int | None,
        free(
            "Fresh seeds with which the best hits are trained again at the end: see `lightsearch "
            "confirm`.",
            low=2,
            high=1000,
            none="none",
        ),
    ] = None
    confirm_top: Annotated[int, free("How many hits that is done for.", low=1, high=1000)] = 3
    confirm_halving: Annotated[
        bool,
        free(
            "Give those hits a few of the seeds, the better half more, and so on; two get all.",
        ),
    ] = False
    quiet: Annotated[bool, free("No progress display.")] = False


DEFAULTS = SearchSettings()
SETTINGS = settings_of(SearchSettings)


def check_setting(name: str, value: Any) -> Any:
    """`value` by the rule of the setting `name`, wherever else one of that name is taken.

    Raises `ArgumentError` with the rule and the value.
    """
    return SETTINGS[name].check(value)
