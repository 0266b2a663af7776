"""Neighbours of designs: records of decisions, changed or crossed."""

from __future__ import annotations

import random
from collections.abc import Mapping


def mutate(
    decisions: Mapping[str, int],
    options: Mapping[str, int],
    generator: random.Random,
    *,
    most: int = 2,
) -> dict[str, int]:
    """Return the decisions with 1 to `most` of them changed; `options` has how many each has."""
    changed = dict(decisions)
    free = [path for path in decisions if options[path] > 1]
    for path in generator.sample(free, min(len(free), generator.randint(1, most))):
        changed[path] = (decisions[path] + generator.randrange(1, options[path])) % options[path]
    return changed


def cross(
    one: Mapping[str, int], other: Mapping[str, int], generator: random.Random
) -> dict[str, int]:
    """Return decisions of two records: all those of a part of the space come from the same one."""
    sources: dict[str, Mapping[str, int]] = {}
    crossed = {}
    for path in [*one, *(path for path in other if path not in one)]:
        part = path.split("/")[0].split(".")[0].split("#")[0]
        source = sources.setdefault(part, generator.choice((one, other)))
        if path in source:
            crossed[path] = source[path]
    return crossed
