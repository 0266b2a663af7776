"""Lines of Python source: a call with its arguments, on one line if it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

WIDTH = 88  # characters a line, ruff's default


@dataclass(frozen=True, slots=True)
class Call:
    """A call in the source. `comments` stand on lines before its arguments.

    If it is `broken`, each argument has a line of its own, even if one line would hold them all.
    """

    head: str
    arguments: tuple[tuple[str, Expression], ...] = ()
    comments: tuple[str, ...] = ()
    broken: bool = False


Expression: TypeAlias = "str | Call"


def make_call(head: str, *values: Any, **more: tuple[Any, Any]) -> Call:
    """Make a call. `more` are pairs of a value and a default; it leaves out equal ones."""
    named = [(name, repr(value)) for name, (value, default) in more.items() if value != default]
    return Call(head, (*(("", repr(value)) for value in values), *named))


def write_lines(before: str, value: Expression, after: str, indent: int) -> Iterator[str]:
    """Yield the lines of a value between two texts: one if it fits, else one per argument."""
    margin = " " * indent
    line = f"{margin}{before}{_format_inline(value)}{after}"
    if isinstance(value, str) or not (_is_broken(value) or len(line) > WIDTH):
        yield line
        return
    yield f"{margin}{before}{value.head}("
    for index, (name, argument) in enumerate(value.arguments):
        if index < len(value.comments):
            yield f"{margin}    # {value.comments[index]}"
        yield from write_lines(f"{name}=" if name else "", argument, ",", indent + 4)
    yield f"{margin}){after}"


def format_list(before: str, items: Sequence[str]) -> str:
    """Return a list of expressions after a text: on one line if it fits, else on one each."""
    line = f"{before}[{', '.join(items)}]"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{before}[", *(f"    {item}," for item in items), "]"])


def _is_broken(value: Expression) -> bool:
    return isinstance(value, Call) and (
        value.broken or any(_is_broken(argument) for _, argument in value.arguments)
    )


def _format_inline(value: Expression) -> str:
    if isinstance(value, str):
        return value
    parts = (
        f"{name}={_format_inline(argument)}" if name else _format_inline(argument)
        for name, argument in value.arguments
    )
    return f"{value.head}({', '.join(parts)})"
