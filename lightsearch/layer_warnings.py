"""Warnings of a user's own layers, which a search does not print.

A search makes a layer thousands of times, in processes and threads: what it warns of would drown
the search's own lines. `train`, `build` and `cost` print it, as they print any warning.

`warnings.catch_warnings` changes the filters of the whole process, so threads that enter and leave
it in turn can leave them changed. Here each thread has counters of its own, and one hook for all
of them looks at those of the thread that warns. Filters that raise a warning go on raising it.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Generator, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")


class _Thread(threading.local):
    searches = 0  # scopes of `silence_layers`
    layers = 0  # scopes of `call_layer`


_THREAD = _Thread()


class _Hook:
    """Takes the place of `warnings.showwarning` while any thread searches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._searches = 0
        self._before = warnings.showwarning

    def __enter__(self) -> None:
        with self._lock:
            if warnings.showwarning != self._show:
                self._before, warnings.showwarning = warnings.showwarning, self._show
            self._searches += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._searches -= 1
            if not self._searches and warnings.showwarning == self._show:
                warnings.showwarning = self._before

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not (_THREAD.searches and _THREAD.layers):
            self._before(message, category, filename, lineno, file, line)


_HOOK = _Hook()


@contextlib.contextmanager
def silence_layers() -> Iterator[None]:
    """Print no warning of a layer's code that this thread calls."""
    with _HOOK:
        _THREAD.searches += 1
        try:
            yield
        finally:
            _THREAD.searches -= 1


@contextlib.contextmanager
def call_layer() -> Iterator[None]:
    """Mark what this thread calls as a layer's code."""
    _THREAD.layers += 1
    try:
        yield
    finally:
        _THREAD.layers -= 1


def take_silently(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield the same items, with layers silent while one is made, and not while it is used."""
    while True:
        with silence_layers():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
