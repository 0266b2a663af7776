"""The engine that a thread keeps from epoch to epoch, with its graphs: a cache, and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

_KEPT = threading.local()
Kept = TypeVar("Kept")


def keep(wanted: Hashable, make: Callable[[], Kept]) -> Kept:
    """Return what this thread has kept for `wanted`, or else what it makes now, and keeps."""
    if getattr(_KEPT, "wanted", None) != wanted:
        forget()
        _KEPT.engine = make()
        _KEPT.wanted = wanted
    engine: Kept = _KEPT.engine
    return engine


def forget() -> None:
    """Let go of this thread's engine, its graphs and their memory."""
    _KEPT.wanted = _KEPT.engine = None
