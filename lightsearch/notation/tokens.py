"""The words, numbers and marks of the notation: how each is read, written and understood."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from lightsearch.design.fields import Spec, specs
from lightsearch.errors import NotationError

_TOKEN = re.compile(
    r"(?P<space>\s+)"  # its own alternative: a leading \s* would make long gaps quadratic
    r"|(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[^\W\d][\w-]*)"
    r"|(?P<mark>[()\[\]|,=@:?*])"
    r"|(?P<stray>.)"
)
_LONGEST_NUMBER = 100  # characters; Python itself refuses integers of more than 4,300 digits


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "number", "word", "stray", "end", or the mark itself."""

    kind: str
    text: str
    start: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the text"
        return repr(self.text if len(self.text) <= 40 else self.text[:37] + "...")


class Tokens:
    """The tokens of a text, read from left to right, with one place to raise errors."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self.peek()
        self._next += 1
        return token

    def skip(self, kind: str) -> bool:
        """Take the next token if it is a `kind`."""
        if self.peek().kind != kind:
            return False
        self._next += 1
        return True

    def need(self, kind: str, expected: str) -> Token:
        if self.peek().kind != kind:
            self.unexpected(expected)
        return self.take()

    def unexpected(self, expected: str) -> NoReturn:
        """Refuse the next token."""
        token = self.peek()
        self.fail(f"expected {expected}, but got {token}", token.start)

    def fail(self, message: str, position: int) -> NoReturn:
        raise NotationError(self.text, position, message) from None


def number(token: Token, tokens: Tokens) -> int | float:
    """The value of a number token: an integer where it is written as one."""
    if len(token.text) > _LONGEST_NUMBER:
        tokens.fail(f"a number must have at most {_LONGEST_NUMBER} characters, "
                    f"but got {len(token.text)}", token.start)
    if token.text.lstrip("+-").isdigit():
        return int(token.text)
    return float(token.text)


def _tokens(text: str) -> list[Token]:
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        if kind == "space":
            continue
        said = match[kind]
        found.append(Token(said if kind == "mark" else kind, said, match.start(kind)))
    found.append(Token("end", "", len(text)))
    return found


def scalar_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _meanings(cls: type) -> dict[str, list[tuple[Spec, Any]]]:
    found: dict[str, list[tuple[Spec, Any]]] = {}
    for spec in specs(cls):
        if spec.kind == "flag":
            for name in {spec.name, spec.short}:
                found.setdefault(name, []).append((spec, True))
        for option in spec.options:
            found.setdefault(option, []).append((spec, option))
    return found


meanings: Callable[[type], dict[str, list[tuple[Spec, Any]]]] = functools.cache(_meanings)
"""What a bare word may mean: an option of a word field, or a flag that is True."""

__all__ = ["Token", "Tokens", "meanings", "number", "scalar_text"]
