"""The tokens of the notation: words, numbers and marks."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from lightsearch.design.fields import Spec, specs
from lightsearch.errors import NotationError

_TOKEN = re.compile(
    r"(?P<space>\s+)"  # an alternative of its own: a leading \s* would make long gaps quadratic
    r"|(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[^\W\d][\w-]*)"
    r"|(?P<mark>[()\[\]|,=@:?*])"
    r"|(?P<stray>.)"
)
_LONGEST_NUMBER = 100  # characters; Python itself refuses integers of more than 4,300 digits


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text. `kind` is "number", "word", "stray", "end", or the mark itself."""

    kind: str
    text: str
    start: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the text"
        return repr(self.text if len(self.text) <= 40 else self.text[:37] + "...")


class Tokens:
    """The tokens of a text, in order. All errors of the parser are raised here."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = _tokenize(text)
        self._next = 0

    def peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self.peek()
        self._next += 1
        return token

    def skip(self, kind: str) -> bool:
        """Take the next token if it is of `kind`. Return whether it was."""
        if self.peek().kind != kind:
            return False
        self._next += 1
        return True

    def expect(self, kind: str, expected: str) -> Token:
        """Take the next token, which must be of `kind`. An error names it as `expected`."""
        if self.peek().kind != kind:
            self.refuse(expected)
        return self.take()

    def refuse(self, expected: str) -> NoReturn:
        """Raise `NotationError` at the next token."""
        token = self.peek()
        self.fail(f"expected {expected}, but got {token}", token.start)

    def fail(self, message: str, position: int) -> NoReturn:
        """Raise `NotationError` at `position`."""
        raise NotationError(self.text, position, message) from None


def parse_number(token: Token, tokens: Tokens) -> int | float:
    """Return the value of a number token: an integer if the text has no point or exponent."""
    if len(token.text) > _LONGEST_NUMBER:
        tokens.fail(
            f"a number must have at most {_LONGEST_NUMBER} characters, but got {len(token.text)}",
            token.start,
        )
    if token.text.lstrip("+-").isdigit():
        return int(token.text)
    return float(token.text)


def _tokenize(text: str) -> list[Token]:
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        if kind == "space":
            continue
        piece = match[kind]
        tokens.append(Token(piece if kind == "mark" else kind, piece, match.start(kind)))
    tokens.append(Token("end", "", len(text)))
    return tokens


def format_scalar(value: Any) -> str:
    """Return a plain value as the notation writes it: `3x1` for (height, width) = (3, 1)."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _list_meanings(cls: type) -> dict[str, list[tuple[Spec, Any]]]:
    words: dict[str, list[tuple[Spec, Any]]] = {}
    for spec in specs(cls):
        if spec.kind == "flag":
            for name in {spec.name, spec.short}:
                words.setdefault(name, []).append((spec, True))
        for option in () if spec.named else spec.options:
            words.setdefault(option, []).append((spec, option))
    return words


meanings: Callable[[type], dict[str, list[tuple[Spec, Any]]]] = functools.cache(_list_meanings)
"""The meanings of each bare word: an option of a word field, or a flag that is True."""

__all__ = ["Token", "Tokens", "format_scalar", "meanings", "parse_number"]
