"""Optuna's log kept out of the terminal, and a decision as Optuna knows it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from functools import cache

import optuna


@cache
def categorical(count: int) -> optuna.distributions.CategoricalDistribution:
    """A decision as Optuna knows it: an index below the number of options."""
    return optuna.distributions.CategoricalDistribution(range(count))


@cache
def named(options: tuple[int | float | str, ...]) -> optuna.distributions.CategoricalDistribution:
    """A decision as a dashboard shows it: one of these options."""
    return optuna.distributions.CategoricalDistribution(options)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No line of Optuna's on standard error about studies made and trials ended."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Once(logging.Filter):
    """Lets each line of Optuna's code that warns do so once in this process."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[tuple[str, int], logging.LogRecord] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place = record.pathname, record.lineno
        return self._first.setdefault(place, record) is record  # each handler asks


_ONCE = _Once()


@contextlib.contextmanager
def warn_once() -> Iterator[None]:
    """One line of each warning, where a sampler warns for each decision of each proposal."""
    handlers = list(logging.getLogger("optuna").handlers)
    for handler in handlers:
        handler.addFilter(_ONCE)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_ONCE)
