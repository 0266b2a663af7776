"""The functions that pick an option at each choice: at random, by a record, each in turn."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral
from typing import Any, TypeAlias, TypeVar

from lightsearch.errors import DesignError

Choose: TypeAlias = Callable[[str, tuple[Any, ...]], int]
"""`choose(path, options)` returns the index of the option to take."""

V = TypeVar("V")


def chooser(generator: _random.Random) -> Choose:
    """Return a `choose` that takes each option with equal probability.

    This does not draw designs uniformly: an option that leads to many designs is as likely as
    one that leads to few. `lightsearch.space.Sampler` draws uniformly.
    """
    return lambda path, options: generator.randrange(len(options))


def replay(decisions: Mapping[str, int]) -> Choose:
    """Return a `choose` that repeats the decisions of a record.

    It raises `DesignError` if the record lacks a decision or holds one out of range.
    """

    def choose(path: str, options: tuple[Any, ...]) -> int:
        if path not in decisions:
            raise DesignError(
                f"the record must decide {path!r}, but it decides only "
                f"{', '.join(decisions) or 'nothing'}"
            )
        index = decisions[path]
        if (
            isinstance(index, bool)
            or not isinstance(index, Integral)  # perhaps of NumPy
            or not 0 <= index < len(options)
        ):
            raise DesignError(
                f"the record must give an index below {len(options)} for {path!r}, "
                f"but got {index!r}"
            )
        return int(index)

    return choose


def record_decisions(choose: Choose, decisions: dict[str, int]) -> Choose:
    """Return a `choose` that also writes each of its decisions into `decisions`."""

    def choose_and_record(path: str, options: tuple[Any, ...]) -> int:
        decisions[path] = choose(path, options)
        return decisions[path]

    return choose_and_record


def enumerate_choices(make: Callable[[Choose], V]) -> Iterator[tuple[dict[str, int], V]]:
    """Call `make` once for every way to choose. Yield each record of decisions and the result.

    `make` is any function of a `choose`, such as `lambda choose: decode(space, choose)`.
    """
    prefix: list[int] | None = []
    while prefix is not None:
        trail: list[tuple[str, int, int]] = []
        result = make(_follow_prefix(prefix, trail))
        yield {path: index for path, index, _ in trail}, result
        while trail and trail[-1][1] + 1 == trail[-1][2]:
            trail.pop()
        prefix = [index for _, index, _ in trail]
        if prefix:
            prefix[-1] += 1
        else:
            prefix = None


def _follow_prefix(prefix: list[int], trail: list[tuple[str, int, int]]) -> Choose:
    """Return a `choose` that takes the indices of `prefix`, then 0. It extends `trail`."""

    def choose(path: str, options: tuple[Any, ...]) -> int:
        index = prefix[len(trail)] if len(trail) < len(prefix) else 0
        trail.append((path, index, len(options)))
        return index

    return choose
