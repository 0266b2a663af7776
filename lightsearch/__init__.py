"""Search for CNNs within a hard parameter budget.

    from lightsearch import search
    result = search(budget=8000, epochs=15)
    result.leaderboard.to_csv("leaderboard.csv")

What needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightsearch.cost import Budget, cost, fingerprint
from lightsearch.design import (
    Layer,
    avgpool,
    conv,
    decode,
    depthwise,
    dropout,
    flag,
    gap,
    gate,
    integer,
    linear,
    maxpool,
    maybe,
    oneof,
    real,
    repeat,
    residual,
    se,
    separable,
    seq,
    word,
)
from lightsearch.errors import LightsearchError
from lightsearch.notation import format_text, parse, parse_recipe
from lightsearch.ops import Local
from lightsearch.recipe import DEFAULT_RECIPE, Recipe
from lightsearch.source import to_source
from lightsearch.zoo import zoo

if TYPE_CHECKING:
    from lightsearch.api import SearchResult, iter_search, load_result, load_weights, search
    from lightsearch.confirming import confirm
    from lightsearch.data import DataSet, load, make_dataset
    from lightsearch.defaults import default_space
    from lightsearch.exporting import export
    from lightsearch.images import folder_dataset, torchvision_dataset
    from lightsearch.leaderboard import read, rebuild
    from lightsearch.modules import build, register, summary
    from lightsearch.plots import plot_design
    from lightsearch.predicting import predict
    from lightsearch.space import survey
    from lightsearch.training import Task, run_epoch, train

_LAZY = {
    "SearchResult": "api", "iter_search": "api", "load_result": "api", "load_weights": "api",
    "search": "api", "confirm": "confirming", "DataSet": "data", "load": "data",
    "make_dataset": "data", "default_space": "defaults", "export": "exporting",
    "folder_dataset": "images", "torchvision_dataset": "images", "read": "leaderboard",
    "rebuild": "leaderboard", "build": "modules", "register": "modules", "summary": "modules",
    "plot_design": "plots", "predict": "predicting", "survey": "space", "Task": "training",
    "run_epoch": "training", "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lightsearch' has no attribute {name!r}")
    value = getattr(import_module(f"lightsearch.{_LAZY[name]}"), name)
    globals()[name] = value  # asked for once; no submodule bears a lazy name
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "DEFAULT_RECIPE", "Budget", "DataSet", "Layer", "LightsearchError", "Local", "Recipe",
    "SearchResult", "Task", "avgpool", "build", "confirm", "conv", "cost", "decode",
    "default_space", "depthwise", "dropout", "export", "fingerprint", "flag", "folder_dataset",
    "format_text", "gap", "gate", "integer", "iter_search", "linear", "load", "load_result",
    "load_weights", "make_dataset", "maxpool", "maybe", "oneof", "parse", "parse_recipe",
    "plot_design", "predict", "read", "real", "rebuild", "register", "repeat", "residual",
    "run_epoch", "se", "search", "separable", "seq", "summary", "survey", "to_source",
    "torchvision_dataset", "train", "word", "zoo",
]
