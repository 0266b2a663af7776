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
