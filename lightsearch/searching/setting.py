"""What is known of a setting: its role, its help, the range and the kinds of its values."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from lightsearch.checks import check_flag, check_integer, check_number, check_path

Role: TypeAlias = Literal["identity", "growable", "free"]


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a setting beside its type and default, and the range of a number.

    `help` is a sentence for Python and the command line, `more` what Python's help adds, `none`
    what None stands for. Integers lie from `low` to `high`, other numbers above `low`. `words` are
    values that a shell completes.
    """

    role: Role
    help: str
    more: str = ""
    none: str = ""
    low: int = 0
    high: float = inf
    words: Sequence[str] = ()


identity = functools.partial(About, "identity")
growable = functools.partial(About, "growable")
free = functools.partial(About, "free")


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the settings: its name, the kinds of its values, its default, what is said."""

    name: str
    annotation: Any
    default: Any
    about: About

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have; of a type that is not loaded, its name."""
        union = get_origin(self.annotation) in (Union, UnionType)
        return get_args(self.annotation) if union else (self.annotation,)

    def check(self, value: Any) -> Any:
        """`value` in its one form. Raises `ArgumentError` for what its type and range exclude."""
        if value is None and NoneType in self.kinds:
            return None
        if self.kinds[0] is int and self.about.high < inf:
            return check_integer(self.name, value, self.about.low, int(self.about.high))
        if self.kinds[0] is float:
            return check_number(self.name, value, self.about.low, self.about.high)
        if self.kinds[0] is bool:
            return check_flag(self.name, value)
        if Path in self.kinds:
            return check_path(self.name, value).absolute()  # chdir must not move it
        return value


def settings_of(owner: type[Any]) -> dict[str, Setting]:
    """The settings by name, in their order, of a dataclass whose fields are annotated so."""
    found = {}
    for field in dataclasses.fields(owner):
        annotation, about = get_args(field.type)
        found[field.name] = Setting(field.name, annotation, field.default, about)
    return found
