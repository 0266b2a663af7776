"""The values of fields, and choices of values, as the notation writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lightsearch.design.choice import Choice
from lightsearch.errors import DesignError
from lightsearch.notation.names import NamedChoice, Names, Scalar, Scalars
from lightsearch.notation.tokens import Tokens, parse_number

_WIDTH = re.compile("x([0-9]{1,100})")  # the second half of a pair, such as 3x1


@dataclass(frozen=True, slots=True)
class _Text:
    """A value or a choice of values as the text has it, before any rule is applied."""

    options: Scalars
    name: str | None
    is_choice: bool
    start: int


class Values:
    """Reads values and choices of values from the tokens of a text."""

    def __init__(self, tokens: Tokens, names: Names) -> None:
        self._tokens = tokens
        self._names = names

    def read(
        self, accept: Callable[[Scalar], Any], label: str = "", *, single: bool = False
    ) -> Any:
        """Take a value or a choice. With `single`, take one number or one name.

        `accept` returns the canonical form of an option, or raises `DesignError`. The `label` is
        put before that error's message.
        """
        text = self._read_text(single)
        options = []
        for scalar, start in text.options:
            with locate_errors(self._tokens, start, label):
                options.append(accept(scalar))
        if not text.is_choice:
            return options[0]
        with locate_errors(self._tokens, text.start, label):
            choice = Choice(tuple(options), text.name)
        if text.name is not None:
            self._names.add(text.name, NamedChoice(choice.options, text.options), text.start)
        return choice

    def _read_text(self, single: bool) -> _Text:
        start = self._tokens.peek().start
        name = None
        if self._tokens.skip("@"):
            name = self._names.read()
            if single or not self._tokens.skip(":"):
                return self._repeat_choice(name, start)
        options = [self._read_scalar(pairs=not single)]
        while not single and self._tokens.skip("|"):
            options.append(self._read_scalar(pairs=True))
        return _Text(tuple(options), name, name is not None or len(options) > 1, start)

    def _repeat_choice(self, name: str, start: int) -> _Text:
        """Return the options of an earlier choice, all at the position of its name."""
        scalars = self._names.get(name, start).scalars
        if scalars is None:
            self._tokens.fail(
                f"@{name} must be a choice of values to stand here, but it is one of layers", start
            )
        return _Text(tuple((scalar, start) for scalar, _ in scalars), name, True, start)

    def _read_scalar(self, *, pairs: bool) -> tuple[Scalar, int]:
        token = self._tokens.peek()
        if token.kind not in ("number", "word"):
            self._tokens.refuse("a value")
        self._tokens.take()
        if token.kind == "word":
            return token.text, token.start
        number, after = parse_number(token, self._tokens), self._tokens.peek()
        # A pair is a number and a word without space. In `gap*3x1`, x1 may be a layer.
        joined = pairs and after.start == token.start + len(token.text)
        if isinstance(number, int) and joined and (width := _WIDTH.fullmatch(after.text)):
            self._tokens.take()
            return (number, int(width[1])), token.start
        return number, token.start


@contextmanager
def locate_errors(tokens: Tokens, start: int, label: str = "") -> Iterator[None]:
    """Turn a `DesignError` into a `NotationError` that points at `start` in the text."""
    try:
        yield
    except DesignError as error:
        tokens.fail(f"{label}: {error}" if label else str(error), start)
