"""Figures as text for people: percentages, durations, large numbers, short lines."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from lightsearch.network.cost import BYTES, Budget


def percent(share: float | Fraction, digits: int = 2) -> str:
    """Return an accuracy from 0 to 1 as a percentage. It rounds down: a miss never reads as a hit.

    >>> from lightsearch.formatting import percent
    >>> percent(0.994), percent(17871 / 17979)
    ('99.40%', '99.39%')
    """
    scale = 10**digits
    return f"{math.floor(share * 100 * scale + 1e-6) / scale:.{digits}f}%"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, rounded up.

    >>> from lightsearch.formatting import duration
    >>> [duration(s) for s in (0.2, 75, 4000, 200_000)]
    ['1 s', '1 min 15 s', '1 h 7 min', '2 d 8 h']
    """
    rest = max(1, math.ceil(seconds))
    if rest >= 3600:  # rounds up to the smaller of the two units
        unit = 60 if rest < 86_400 else 3600
        rest = unit * math.ceil(rest / unit)
    units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)]
    parts = []
    for name, size in units:
        count, rest = divmod(rest, size)
        parts.append((count, name))
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {name}" for count, name in parts[first : first + 2] if count)


def format_large(number: float) -> str:
    """Return a count in full if it is below 10**12, else in scientific notation.

    >>> from lightsearch.formatting import format_large
    >>> format_large(1234567), format_large(10**30)
    ('1,234,567', '1.0e30')
    """
    if number < 10**12:
        return f"{round(number):,}"
    magnitude = math.log10(number)  # takes integers of any length, unlike float
    return f"{10 ** (magnitude % 1):.1f}e{math.floor(magnitude)}"


def caps_text(budget: Budget) -> str:
    """Return the caps of a budget, or "" if it has none.

    >>> from lightsearch import Budget
    >>> from lightsearch.formatting import caps_text
    >>> caps_text(Budget(params=8000, macs=10**6))
    '8,000 parameters and 1,000,000 MACs'
    """
    caps = (
        ("parameters", budget.params),
        ("MACs", budget.macs),
        (activation_text(budget.activation_bytes or 0), budget.activation_bytes),
    )
    texts = [f"{cap:,} {name}" for name, cap in caps if cap is not None]
    if budget.min_receptive_field is not None:
        texts.append(f"a receptive field of at least {budget.min_receptive_field:,}")
    return " and ".join(texts)


def activation_text(size: int) -> str:
    """Return the unit of a number of activation bytes.

    >>> from lightsearch.formatting import activation_text
    >>> activation_text(31360)
    'bytes of activations (7,840 in int8)'
    """
    return f"bytes of activations ({size // BYTES:,} in int8)"


def one_line(text: str) -> str:
    """Return the text on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


SURROGATE_NOTE = "Nothing is trained: the surrogate answers, a model of real curves on MNIST."


def name_split(selected_on: str) -> str:
    """Return the short word for the images that a study selected on: `test` or `val`.

    >>> from lightsearch.formatting import name_split
    >>> name_split("test"), name_split("val(size=500,seed=0)")
    ('test', 'val')
    """
    return "test" if selected_on == "test" else "val"


def shorten(text: str, width: int) -> str:
    """Return the text, cut to `width` characters with three dots if it is longer."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."[: max(0, width)]


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 trial`, `2 trials`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


MEAN_HEADS = ("shrunken", "mean", "low to high (95%)", "seeds", "fresh seeds", "hits", "params")


def mean_figures(row: Any) -> tuple[str, ...]:
    """A row of a study's means as text, under `MEAN_HEADS`."""
    return (
        percent(row["shrunken"], 3),
        percent(row["mean"], 3),
        f"{percent(row['low'], 3)} to {percent(row['high'], 3)}",
        f"{row['seeds']}",
        f"{row['fresh_seeds']}",
        f"{row['hits']}",
        f"{row['params']:,}",
    )
