"""The parser of the notation: recursive descent over the tokens of one text.

It reads layer kinds and their fields from the registry, and evaluates nothing. Depth and size
are bounded, so that any text ends in a value or in a `NotationError`.
"""

from __future__ import annotations

import functools
import re
from typing import Any, TypeVar

from lightsearch.design.choice import Choice
from lightsearch.design.fields import Spec, specs
from lightsearch.design.parts import Fielded, Seq, kinds, oneof, positional_specs, repeat, seq
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError, DesignError, quote
from lightsearch.layer_warnings import call_layer
from lightsearch.notation.arguments import (
    accept_scalar,
    describe_unknown,
    find_field,
    read_bare_word,
)
from lightsearch.notation.names import Block, NamedChoice, Names, Scalar
from lightsearch.notation.tokens import Token, Tokens
from lightsearch.notation.values import Values, locate_errors

MAX_DEPTH = 50
"""How deep blocks may nest, in a text and in its value."""

MAX_LAYERS = 10_000
"""The most layers that a text may stand for. All alternatives count, and each repeat counts with
its largest number of rounds."""

_MAX_WORK = 10 * MAX_LAYERS  # layers copied by fixed repeats, even if a later *0 drops them

F = TypeVar("F", bound=Fielded)

_ABSENT = Block(Seq(), 0, 0)


class Parser:
    """The parser of one text. Each method takes the tokens of one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens = Tokens(text)
        self.names = Names(self.tokens)
        self.values = Values(self.tokens, self.names)
        self.kinds = kinds()
        self.depth = 0
        self.work = 0

    def parse_space(self) -> Seq:
        block = self._parse_sequence()
        after = self.tokens.peek()
        if after.kind == "|":
            self.tokens.fail("a choice of layers must stand in brackets: [a | b]", after.start)
        if after.kind == "]":
            self.tokens.fail("`]` must close a bracket, but none is open", after.start)
        return block.seq

    def parse_recipe(self) -> Recipe:
        token = self.tokens.peek()
        if (token.kind, token.text) != ("word", "recipe"):
            self.tokens.refuse("recipe(...)")
        recipe, _ = self._parse_arguments(self.tokens.take(), Recipe)
        self.tokens.expect("end", "the end of the text")
        return recipe

    # Sequences, choices and repeats --------------------------------------------------------------

    def _parse_sequence(self) -> Block:
        blocks: list[Block] = []
        size = 0
        while (token := self.tokens.peek()).kind not in ("end", "]", "|"):
            blocks.append(self._parse_term())
            size += blocks[-1].size
            self._check_size(size, token.start)
        height = max((block.height for block in blocks), default=0)
        return Block(seq(*(block.seq for block in blocks)), size, height)

    def _parse_term(self) -> Block:
        """A layer or a bracket, with the `?` and `*` that follow it."""
        start = self.tokens.peek().start
        block = self._parse_primary()
        while True:
            place = self.tokens.peek().start
            if self.tokens.skip("?"):
                name = self.names.read() if self.tokens.skip("@") else None
                block = self._make_choice((_ABSENT, block), name, start)
            elif self.tokens.skip("*"):
                block = self._parse_repeat(block, place)
            else:
                return block

    def _parse_primary(self) -> Block:
        token = self.tokens.peek()
        if token.kind == "[":
            return self._parse_brackets()
        if token.kind != "word":
            self.tokens.refuse("a layer, such as conv(8), or `[`")
        self.tokens.take()
        if token.text not in self.kinds:
            self.tokens.fail(describe_unknown("layer kind", token.text, self.kinds), token.start)
        layer, bodies = self._parse_arguments(token, self.kinds[token.text])
        height = max((block.height + 1 for block in bodies), default=0)
        self._check_depth(height, token.start)
        size = 1 + layer.most_passes() * sum(block.size for block in bodies)
        self._check_size(size, token.start)
        return Block(Seq((layer,)), size, height)

    def _parse_brackets(self) -> Block:
        """A sequence, a choice of sequences, or the name of an earlier choice."""
        opening = self.tokens.take()
        self.depth += 1
        self._check_depth(self.depth, opening.start)
        name = None
        if self.tokens.skip("@"):
            name = self.names.read()
            if self.tokens.skip("]"):
                self.depth -= 1
                return self._repeat_choice(name, opening.start)
            self.tokens.expect(":", "`:` and the options, or `]`")
        options = [self._parse_sequence()]
        while self.tokens.skip("|"):
            options.append(self._parse_sequence())
        if not self.tokens.skip("]"):
            self.tokens.fail("`[` must be closed by `]`, but the text ends", opening.start)
        self.depth -= 1
        if name is None and len(options) == 1:
            return options[0]
        return self._make_choice(tuple(options), name, opening.start)

    def _make_choice(self, options: tuple[Block, ...], name: str | None, start: int) -> Block:
        height = 1 + max(option.height for option in options)
        self._check_depth(height, start)
        with locate_errors(self.tokens, start):
            if len(options) < 2:
                raise DesignError("a choice must have at least 2 options, but got one")
            choice = seq(oneof(*(option.seq for option in options), name=name))
        block = Block(choice, sum(option.size for option in options), height)
        if name is not None:
            sequences = tuple(option.seq for option in options)
            self.names.add(name, NamedChoice(sequences, block=block), start)
        return block

    def _repeat_choice(self, name: str, start: int) -> Block:
        block = self.names.get(name, start).block
        if block is None:
            self.tokens.fail(
                f"@{name} must be a choice of layers to stand here, but it is one of values", start
            )
        return block

    def _parse_repeat(self, body: Block, start: int) -> Block:
        if self.tokens.peek().kind == "(":
            self.tokens.take()
            times = self.values.read(_check_times)
            self.tokens.expect(")", "`|` or `)`")
        elif self.tokens.peek().kind in ("number", "@"):
            times = self.values.read(_check_times, single=True)
        else:
            self.tokens.refuse("a number of times, such as 2 or (2|3)")
        size = body.size * (max(times.options) if isinstance(times, Choice) else times)
        height = body.height + isinstance(times, Choice)
        self._check_depth(height, start)
        self._check_size(size, start)
        self.work += 0 if isinstance(times, Choice) else size
        if self.work > _MAX_WORK:
            self._check_size(self.work, start)
        return Block(seq(repeat(body.seq, times)), size, height)

    # Layers and recipes --------------------------------------------------------------------------

    def _parse_arguments(self, head: Token, cls: type[F]) -> tuple[F, list[Block]]:
        """Return the layer or recipe whose name, `head`, is taken already, and its bodies."""
        values: dict[str, Any] = {}
        places: dict[str, int] = {}
        bodies: list[Block] = []
        if self.tokens.skip("(") and not self.tokens.skip(")"):
            while True:
                start = self.tokens.peek().start
                spec, value = self._parse_argument(head, cls, len(places))
                if spec.name in values:
                    self.tokens.fail(
                        f"{head.text}: `{spec.name}` must be given once, but it is given twice",
                        start,
                    )
                if isinstance(value, Block):
                    bodies.append(value)
                    value = value.seq
                values[spec.name], places[spec.name] = value, start
                if self.tokens.skip(")"):
                    break
                self.tokens.expect(",", "`,` or `)`")
        for spec in specs(cls):
            if spec.required and spec.name not in values:
                self.tokens.fail(
                    f"{head.text}: `{spec.name}` {spec.rule()}, but got nothing", head.start
                )
        return self._construct(head, cls, values, places), bodies

    def _construct(
        self, head: Token, cls: type[F], values: dict[str, Any], places: dict[str, int]
    ) -> F:
        try:
            with call_layer():
                return cls(**values)
        except DesignError as error:  # a rule between fields: mark the one that it names first
            named = (places[word] for word in re.findall(r"`(\w+)`", str(error)) if word in places)
            message = str(error).removeprefix(f"{head.text}: ")
            self.tokens.fail(f"{head.text}: {message}", next(named, head.start))

    def _parse_argument(self, head: Token, cls: type[Fielded], number: int) -> tuple[Spec, Any]:
        token = self.tokens.peek()
        declared, positional = specs(cls), positional_specs(cls)
        if token.kind == "word" and self.tokens.peek(1).kind == "=":
            spec = find_field(self.tokens, head, token, declared)
            self.tokens.take()
            self.tokens.take()
        elif number < len(positional):
            spec = positional[number]
        elif number == 0 and token.kind in ("number", "@") and _takes_number(declared):
            spec = declared[0]  # maxpool(3), as in Python
        elif token.kind == "word":
            return read_bare_word(self.tokens, head, cls)
        else:
            self.tokens.refuse(
                "a field, such as name=value" if declared else f"`)`, as {head.text} has no fields"
            )
        if spec.kind == "body":
            return spec, self._parse_body()
        return spec, self.values.read(functools.partial(accept_scalar, spec), head.text)

    def _parse_body(self) -> Block:
        opening = self.tokens.peek()
        bare = opening.kind != "["  # brackets count for themselves
        self.depth += bare
        self._check_depth(self.depth, opening.start)
        block = self._parse_term()
        self.depth -= bare
        return block

    # Limits --------------------------------------------------------------------------------------

    def _check_size(self, size: int, start: int) -> None:
        if size > MAX_LAYERS:
            self.tokens.fail(
                f"a text must stand for at most {MAX_LAYERS} layers, but got more", start
            )

    def _check_depth(self, depth: int, start: int) -> None:
        if depth > MAX_DEPTH:
            self.tokens.fail(f"blocks must nest at most {MAX_DEPTH} deep, but got more", start)


def _takes_number(declared: tuple[Spec, ...]) -> bool:
    """Whether the first field may be written without its name where it is given as a number."""
    return bool(declared) and declared[0].kind in ("integer", "real")


def _check_times(scalar: Scalar) -> Scalar:
    repeat((), scalar)  # type: ignore[arg-type]  # raises for what is not a number of times
    return scalar


def parse(text: str) -> Seq:
    """Return the space, or design, that `text` stands for.

    >>> from lightsearch import conv, gap, oneof, parse, seq
    >>> parse("conv(8|16,k=5) gap") == seq(conv(oneof(8, 16), kernel=5), gap())
    True

    Raises `NotationError` for text that is not a valid space. Its message marks the place.
    """
    return Parser(_check_text(text)).parse_space()


def parse_recipe(text: str) -> Recipe:
    """Return the training recipe, perhaps with choices, that `text` stands for.

    >>> from lightsearch.notation import parse_recipe
    >>> parse_recipe("recipe(lr=0.1|0.3,rotation=7)").rotation
    7.0

    Raises `NotationError` for text that is not a valid recipe. Its message marks the place.
    """
    return Parser(_check_text(text)).parse_recipe()


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise ArgumentError(f"`text` must be a string, but got text={quote(text)}")
    return text


__all__ = ["MAX_DEPTH", "MAX_LAYERS", "Parser", "parse", "parse_recipe"]
