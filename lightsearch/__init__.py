"""Search for CNNs within a hard parameter budget.

    from lightsearch import search
    result = search(budget=8000, epochs=15)
    result.leaderboard.to_csv("leaderboard.csv")

What needs torch is loaded when it is first used.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightsearch.design import (
    Layer,
    act,
    adaptive,
    add,
    avgpool,
    concat,
    conv,
    decode,
    depthwise,
    dropout,
    flag,
    gap,
    gate,
    ghost,
    integer,
    inverted,
    linear,
    loop,
    maxpool,
    maybe,
    norm,
    oneof,
    pad,
    real,
    repeat,
    residual,
    se,
    separable,
    seq,
    shuffle,
    split,
    widen,
    word,
)
from lightsearch.design.own_steps import (
    register_augmentation,
    register_loss,
    register_optimizer,
)
from lightsearch.design.parts import Design, Space
from lightsearch.design.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.errors import (
    ArgumentError,
    BudgetError,
    DataError,
    DesignError,
    EngineError,
    ExportError,
    LightsearchError,
    NotationError,
    StudyError,
    WorkerError,
)
from lightsearch.network.cost import Budget, Cost, Row, cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.network.operations import Local
from lightsearch.network.source import to_source
from lightsearch.notation.formatter import format_text
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.zoo.entries import Entry
from lightsearch.zoo.networks import zoo

if TYPE_CHECKING:
    from lightsearch.api import iter_search, search
    from lightsearch.comparing import Comparison, compare
    from lightsearch.confirming.confirm import confirm
    from lightsearch.data.dataset import DataSet, make_dataset
    from lightsearch.data.image_files import folder_dataset, torchvision_dataset
    from lightsearch.data.named import load
    from lightsearch.data.references import DataRef
    from lightsearch.engines.teacher import Teacher, make_teacher
    from lightsearch.exporting import export
    from lightsearch.exporting.predicting import Prediction, predict
    from lightsearch.exporting.scripts import export_script
    from lightsearch.exporting.teachers import find_teacher
    from lightsearch.exporting.writing import Exported
    from lightsearch.network.modules import build, register, summary
    from lightsearch.plots.plots import Plots, plot_design
    from lightsearch.result import SearchResult, load_result, load_weights, write_report
    from lightsearch.space import Survey, survey
    from lightsearch.space.default import default_space
    from lightsearch.study.leaderboard import read
    from lightsearch.study.packing import pack
    from lightsearch.study.rebuild import rebuild
    from lightsearch.study.trial import Candidate, Trial
    from lightsearch.study.unpacking import unpack
    from lightsearch.surrogate.table import curves
    from lightsearch.tracking import log_to_mlflow, log_to_wandb
    from lightsearch.training.epoch import run_epoch, train
    from lightsearch.training.epoch_result import EpochResult
    from lightsearch.training.task import Task
    from lightsearch.workers.dask import dask_slots
    from lightsearch.workers.ray import ray_slots

_LAZY = {
    "SearchResult": "result",
    "load_result": "result",
    "load_weights": "result",
    "iter_search": "api",
    "search": "api",
    "log_to_mlflow": "tracking",
    "log_to_wandb": "tracking",
    "Comparison": "comparing",
    "compare": "comparing",
    "confirm": "confirming.confirm",
    "DataSet": "data.dataset",
    "make_dataset": "data.dataset",
    "load": "data.named",
    "folder_dataset": "data.image_files",
    "torchvision_dataset": "data.image_files",
    "default_space": "space.default",
    "survey": "space.counting",
    "export": "exporting.writing",
    "export_script": "exporting.scripts",
    "find_teacher": "exporting.teachers",
    "Teacher": "engines.teacher",
    "make_teacher": "engines.teacher",
    "predict": "exporting.predicting",
    "read": "study.leaderboard",
    "rebuild": "study.rebuild",
    "pack": "study.packing",
    "unpack": "study.unpacking",
    "curves": "surrogate.table",
    "build": "network.modules",
    "register": "network.modules",
    "summary": "network.modules",
    "plot_design": "plots.plots",
    "Task": "training.task",
    "run_epoch": "training.epoch",
    "train": "training.epoch",
    "Candidate": "study.trial",
    "DataRef": "data.references",
    "EpochResult": "training.epoch_result",
    "Exported": "exporting.writing",
    "Plots": "plots.plots",
    "Prediction": "exporting.predicting",
    "Survey": "space.surveys",
    "Trial": "study.trial",
    "dask_slots": "workers.dask",
    "ray_slots": "workers.ray",
    "write_report": "result",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lightsearch' has no attribute {name!r}")
    with warnings.catch_warnings():
        # In a notebook without ipywidgets, Optuna's progress bars warn as they are imported.
        warnings.filterwarnings("ignore", "IProgress not found")
        value = getattr(import_module(f"lightsearch.{_LAZY[name]}"), name)
    globals()[name] = value  # asked for once; no submodule bears a lazy name
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "DEFAULT_RECIPE",
    "ArgumentError",
    "Budget",
    "BudgetError",
    "Candidate",
    "Comparison",
    "Cost",
    "DataError",
    "DataRef",
    "DataSet",
    "Design",
    "DesignError",
    "EngineError",
    "Entry",
    "EpochResult",
    "ExportError",
    "Exported",
    "Layer",
    "LightsearchError",
    "Local",
    "NotationError",
    "Plots",
    "Prediction",
    "Recipe",
    "Row",
    "SearchResult",
    "Space",
    "StudyError",
    "Survey",
    "Task",
    "Teacher",
    "Trial",
    "WorkerError",
    "act",
    "adaptive",
    "add",
    "avgpool",
    "build",
    "compare",
    "concat",
    "confirm",
    "conv",
    "cost",
    "curves",
    "dask_slots",
    "decode",
    "default_space",
    "depthwise",
    "dropout",
    "export",
    "export_script",
    "find_teacher",
    "fingerprint",
    "flag",
    "folder_dataset",
    "format_text",
    "gap",
    "gate",
    "ghost",
    "integer",
    "inverted",
    "iter_search",
    "linear",
    "load",
    "load_result",
    "load_weights",
    "log_to_mlflow",
    "log_to_wandb",
    "loop",
    "make_dataset",
    "make_teacher",
    "maxpool",
    "maybe",
    "norm",
    "oneof",
    "pack",
    "pad",
    "parse",
    "parse_recipe",
    "plot_design",
    "predict",
    "ray_slots",
    "read",
    "real",
    "rebuild",
    "register",
    "register_augmentation",
    "register_loss",
    "register_optimizer",
    "repeat",
    "residual",
    "run_epoch",
    "se",
    "search",
    "separable",
    "seq",
    "shuffle",
    "split",
    "summary",
    "survey",
    "to_source",
    "torchvision_dataset",
    "train",
    "unpack",
    "widen",
    "word",
    "write_report",
    "zoo",
]
