"""Data sets. Names that need torch are loaded at their first use, as in the package itself."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightsearch.data.dataset import DataSet, make_dataset
    from lightsearch.data.holdout import Holdout
    from lightsearch.data.image_files import folder_dataset, open_dataset, torchvision_dataset
    from lightsearch.data.named import load
    from lightsearch.data.references import DataRef

_LAZY = {
    "DataRef": "references",
    "DataSet": "dataset",
    "Holdout": "holdout",
    "folder_dataset": "image_files",
    "load": "named",
    "make_dataset": "dataset",
    "open_dataset": "image_files",
    "torchvision_dataset": "image_files",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lightsearch.data' has no attribute {name!r}")
    value = getattr(import_module(f"lightsearch.data.{_LAZY[name]}"), name)
    globals()[name] = value  # cached; no file of this room has a lazy name
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "DataRef",
    "DataSet",
    "Holdout",
    "folder_dataset",
    "load",
    "make_dataset",
    "open_dataset",
    "torchvision_dataset",
]
