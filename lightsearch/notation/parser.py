"""The parser of the notation: recursive descent over the tokens of one text.

Layer kinds and their fields are read from the registry; nothing is evaluated. Depth and size are
bounded, so that any text ends in a value or in a `NotationError`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lightsearch.design.choice import Choice
from lightsearch.design.fields import Spec, specs
from lightsearch.design.parts import Fielded, Seq, kinds, oneof, repeat, seq
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError, DesignError, suggestion
from lightsearch.notation.tokens import Token, Tokens, meanings, number, scalar_text

MAX_DEPTH = 50
"""How deep blocks may nest, in a text and in what it stands for."""

MAX_LAYERS = 10_000
"""How many layers a text may stand for, all alternatives counted, repeats at their largest."""

_MAX_WORK = 10 * MAX_LAYERS  # layers copied while decided repeats expand, even to be dropped by *0

Raw: TypeAlias = int | float | str
F = TypeVar("F", bound=Fielded)


@dataclass(frozen=True, slots=True)
class _Block:
    """A parsed sequence, with how many layers it stands for and how deep it nests."""

    seq: Seq
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class _Written:
    """A value, or the options of a choice of values, as it stands in the text."""

    options: tuple[tuple[Raw, int], ...]
    name: str | None
    chosen: bool
    start: int


@dataclass(frozen=True, slots=True)
class _Named:
    """A named choice seen before: its options, and how to make it again."""

    options: tuple[Any, ...]
    written: tuple[tuple[Raw, int], ...] | None
    block: _Block | None


_ABSENT = _Block(Seq(), 0, 0)


class Parser:
    """One text being read. Each method takes the tokens of one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens = Tokens(text)
        self.kinds = kinds()
        self.names: dict[str, _Named] = {}
        self.depth = 0
        self.work = 0

    def space(self) -> Seq:
        found = self._sequence()
        after = self.tokens.peek()
        if after.kind == "|":
            self.tokens.fail("a choice of layers must stand in brackets: [a | b]", after.start)
        if after.kind == "]":
            self.tokens.fail("`]` must close a bracket, but none is open", after.start)
        return found.seq

    def recipe(self) -> Recipe:
        token = self.tokens.peek()
        if (token.kind, token.text) != ("word", "recipe"):
            self.tokens.unexpected("recipe(...)")
        found, _ = self._fielded(self.tokens.take(), Recipe)
        self.tokens.need("end", "the end of the text")
        return found

    def _sequence(self) -> _Block:
        blocks: list[_Block] = []
        size = 0
        while (token := self.tokens.peek()).kind not in ("end", "]", "|"):
            blocks.append(self._term())
            size += blocks[-1].size
            self._bounded(size, token.start)
        height = max((block.height for block in blocks), default=0)
        return _Block(seq(*(block.seq for block in blocks)), size, height)

    def _term(self) -> _Block:
        start = self.tokens.peek().start
        found = self._primary()
        while True:
            place = self.tokens.peek().start
            if self.tokens.skip("?"):
                name = self._name() if self.tokens.skip("@") else None
                found = self._alternatives((_ABSENT, found), name, start)
            elif self.tokens.skip("*"):
                found = self._repeated(found, place)
            else:
                return found

    def _primary(self) -> _Block:
        token = self.tokens.peek()
        if token.kind == "[":
            return self._group()
        if token.kind != "word":
            self.tokens.unexpected("a layer, such as conv(8), or `[`")
        self.tokens.take()
        if token.text not in self.kinds:
            self.tokens.fail(_unknown("layer kind", token.text, self.kinds), token.start)
        layer, inner = self._fielded(token, self.kinds[token.text])
        height = max((block.height + 1 for block in inner), default=0)
        self._shallow(height, token.start)
        return _Block(Seq((layer,)), 1 + sum(block.size for block in inner), height)

    def _group(self) -> _Block:
        """Brackets: a sequence, a choice of sequences, or a named choice again."""
        opening = self.tokens.take()
        self.depth += 1
        self._shallow(self.depth, opening.start)
        name = None
        if self.tokens.skip("@"):
            name = self._name()
            if self.tokens.skip("]"):
                self.depth -= 1
                return self._again(name, opening.start)
            self.tokens.need(":", "`:` and the options, or `]`")
        options = [self._sequence()]
        while self.tokens.skip("|"):
            options.append(self._sequence())
        if not self.tokens.skip("]"):
            self.tokens.fail("`[` must be closed by `]`, but the text ends", opening.start)
        self.depth -= 1
        if name is None and len(options) == 1:
            return options[0]
        return self._alternatives(tuple(options), name, opening.start)

    def _alternatives(self, options: tuple[_Block, ...], name: str | None, start: int) -> _Block:
        height = 1 + max(option.height for option in options)
        self._shallow(height, start)
        with self._marked(start):
            if len(options) < 2:
                raise DesignError("a choice must have at least 2 options, but got one")
            made = seq(oneof(*(option.seq for option in options), name=name))
        block = _Block(made, sum(option.size for option in options), height)
        if name is not None:
            self._keep(name, _Named(tuple(o.seq for o in options), None, block), start)
        return block

    def _again(self, name: str, start: int) -> _Block:
        known = self._known(name, start)
        if known.block is None:
            self.tokens.fail(f"@{name} must be a choice of layers to stand here, but it is one "
                             "of values", start)
        return known.block

    def _repeated(self, body: _Block, start: int) -> _Block:
        if self.tokens.peek().kind == "(":
            self.tokens.take()
            times = self._value(self._written(), _times)
            self.tokens.need(")", "`|` or `)`")
        elif self.tokens.peek().kind in ("number", "@"):
            times = self._value(self._written(alone=True), _times)
        else:
            self.tokens.unexpected("a number of times, such as 2 or (2|3)")
        size = body.size * (max(times.options) if isinstance(times, Choice) else times)
        height = body.height + isinstance(times, Choice)
        self._shallow(height, start)
        self._bounded(size, start)
        self.work += 0 if isinstance(times, Choice) else size
        if self.work > _MAX_WORK:
            self._bounded(self.work, start)
        return _Block(seq(repeat(body.seq, times)), size, height)

    def _fielded(self, head: Token, cls: type[F]) -> tuple[F, list[_Block]]:
        """A layer or recipe whose name, `head`, is taken already; with the blocks inside it."""
        values: dict[str, Any] = {}
        places: dict[str, int] = {}
        inner: list[_Block] = []
        if self.tokens.skip("(") and not self.tokens.skip(")"):
            while True:
                start = self.tokens.peek().start
                spec, value = self._argument(head, cls, first=not places)
                if spec.name in values:
                    self.tokens.fail(f"{head.text}: `{spec.name}` must be given once, but it is "
                                     "given twice", start)
                if isinstance(value, _Block):
                    inner.append(value)
                    value = value.seq
                values[spec.name], places[spec.name] = value, start
                if self.tokens.skip(")"):
                    break
                self.tokens.need(",", "`,` or `)`")
        for spec in specs(cls):
            if spec.required and spec.name not in values:
                self.tokens.fail(f"{head.text}: `{spec.name}` {spec.rule()}, but got nothing",
                                 head.start)
        return self._made(head, cls, values, places), inner

    def _made(self, head: Token, cls: type[F], values: dict[str, Any],
              places: dict[str, int]) -> F:
        try:
            return cls(**values)
        except DesignError as error:  # a rule between fields: mark the one that it names first
            named = (places[word] for word in re.findall(r"`(\w+)`", str(error)) if word in places)
            said = str(error).removeprefix(f"{head.text}: ")
            self.tokens.fail(f"{head.text}: {said}", next(named, head.start))

    def _argument(self, head: Token, cls: type[Fielded], *, first: bool) -> tuple[Spec, Any]:
        token = self.tokens.peek()
        declared = specs(cls)
        if token.kind == "word" and self.tokens.peek(1).kind == "=":
            spec = self._field(head, token, declared)
            self.tokens.take()
            self.tokens.take()
        elif first and declared and declared[0].required:
            spec = declared[0]
        elif token.kind == "word":
            return self._bare(head, cls)
        else:
            self.tokens.unexpected("a field, such as name=value" if declared
                                   else f"`)`, as {head.text} has no fields")
        if spec.kind == "body":
            return spec, self._body()
        return spec, self._value(self._written(), functools.partial(_accepted, spec), head.text)

    def _body(self) -> _Block:
        opening = self.tokens.peek()
        bare = opening.kind != "["  # brackets count for themselves
        self.depth += bare
        self._shallow(self.depth, opening.start)
        found = self._term()
        self.depth -= bare
        return found

    def _field(self, head: Token, token: Token, declared: tuple[Spec, ...]) -> Spec:
        for spec in declared:
            if token.text in (spec.name, spec.short):
                return spec
        if not declared:
            self.tokens.fail(f"{head.text}: there must be no fields, but got {token}", token.start)
        names = {name: None for spec in declared for name in (spec.name, spec.short)}
        self.tokens.fail(f"{head.text}: {_unknown('field', token.text, names)}", token.start)

    def _bare(self, head: Token, cls: type[Fielded]) -> tuple[Spec, Any]:
        token = self.tokens.take()
        known = meanings(cls)
        found = known.get(token.text, [])
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(f"{spec.short}={scalar_text(value)}" for spec, value in found)
            self.tokens.fail(f"{head.text}: {token.text!r} must be written with its field: {ways}",
                             token.start)
        fields = [name for spec in specs(cls) for name in (spec.name, spec.short)]
        if token.text in fields:
            self.tokens.fail(f"{head.text}: {token.text!r} must be given a value: "
                             f"{token.text}=...", token.start)
        self.tokens.fail(f"{head.text}: {_unknown('word', token.text, known)}", token.start)

    def _written(self, *, alone: bool = False) -> _Written:
        """A value, a choice of values, or (all there may be with `alone`) one number or name."""
        start = self.tokens.peek().start
        name = None
        if self.tokens.skip("@"):
            name = self._name()
            if alone or not self.tokens.skip(":"):
                known = self._known(name, start)
                if known.written is None:
                    self.tokens.fail(f"@{name} must be a choice of values to stand here, but it "
                                     "is one of layers", start)
                return _Written(tuple((raw, start) for raw, _ in known.written), name, True, start)
        options = [self._scalar()]
        while not alone and self.tokens.skip("|"):
            options.append(self._scalar())
        return _Written(tuple(options), name, name is not None or len(options) > 1, start)

    def _scalar(self) -> tuple[Raw, int]:
        token = self.tokens.peek()
        if token.kind not in ("number", "word"):
            self.tokens.unexpected("a value")
        self.tokens.take()
        return number(token, self.tokens) if token.kind == "number" else token.text, token.start

    def _value(self, written: _Written, accept: Callable[[Raw], Any], label: str = "") -> Any:
        options = []
        for raw, start in written.options:
            with self._marked(start, label):
                options.append(accept(raw))
        if not written.chosen:
            return options[0]
        with self._marked(written.start, label):
            choice = Choice(tuple(options), written.name)
        if written.name is not None:
            named = _Named(choice.options, written.options, None)
            self._keep(written.name, named, written.start)
        return choice

    def _name(self) -> str:
        return self.tokens.need("word", "the name of a choice").text

    def _known(self, name: str, start: int) -> _Named:
        if name not in self.names:
            self.tokens.fail(f"@{name} must have its options where it first stands: "
                             f"@{name}:8|16, or [@{name}: a | b]", start)
        return self.names[name]

    def _keep(self, name: str, named: _Named, start: int) -> None:
        if self.names.setdefault(name, named).options != named.options:
            self.tokens.fail(f"@{name} must have the same options everywhere, but got others "
                             "before", start)

    def _bounded(self, size: int, start: int) -> None:
        if size > MAX_LAYERS:
            self.tokens.fail(f"a text must stand for at most {MAX_LAYERS} layers, but got more",
                             start)

    def _shallow(self, depth: int, start: int) -> None:
        if depth > MAX_DEPTH:
            self.tokens.fail(f"blocks must nest at most {MAX_DEPTH} deep, but got more", start)

    @contextmanager
    def _marked(self, start: int, label: str = "") -> Iterator[None]:
        """Give a rule of the design package the place in the text where it was broken."""
        try:
            yield
        except DesignError as error:
            self.tokens.fail(f"{label}: {error}" if label else str(error), start)


def _times(raw: Raw) -> Raw:
    repeat((), raw)  # type: ignore[arg-type]  # refuses what is not a number of times
    return raw


def _accepted(spec: Spec, raw: Raw) -> Any:
    if spec.kind == "flag" and raw in ("true", "false"):
        return raw == "true"
    return spec.accept(raw)


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    shown = word if len(word) <= 40 else word[:37] + "..."
    if what == "layer kind" and word == "recipe":
        return "a recipe must be read with `parse_recipe`, not as a layer"
    return (f"the {what} must be one of {', '.join(known) or 'none'}, but got "
            f"{shown!r}{suggestion(word, known)}")


__all__ = ["MAX_DEPTH", "MAX_LAYERS", "Parser"]


def parse(text: str) -> Seq:
    """The space, or design, that `text` stands for.

    >>> from lightsearch import conv, gap, oneof, parse, seq
    >>> parse("conv(8|16,k=5) gap") == seq(conv(oneof(8, 16), kernel=5), gap())
    True

    Raises `NotationError`, with a mark under the place, for text that is not a valid space.
    """
    return Parser(_checked(text)).space()


def parse_recipe(text: str) -> Recipe:
    """The training recipe, perhaps with choices, that `text` stands for.

    >>> from lightsearch.notation import parse_recipe
    >>> parse_recipe("recipe(lr=0.1|0.3,rotation=7)").rotation
    7.0

    Raises `NotationError`, with a mark under the place, for text that is not a valid recipe.
    """
    return Parser(_checked(text)).recipe()


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentError(f"`text` must be a string, but got text={text!r}")
    return text
