"""What engines and precisions are called; without torch, so that help comes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar, get_args

EngineName: TypeAlias = Literal["auto", "native", "torch", "surrogate"]
PrecisionName: TypeAlias = Literal["float32", "tf32", "bf16"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)
Word = TypeVar("Word", bound=str)


def find_word(value: object, words: Sequence[Word]) -> Word | None:
    """Return the word that a value is, or None if it is none of them.

    >>> find_word("torch", ENGINES), find_word("jax", ENGINES), find_word(3, ENGINES)
    ('torch', None, None)
    """
    if not isinstance(value, str):  # an array would compare each of its values
        return None
    return next((word for word in words if word == value), None)
