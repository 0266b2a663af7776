"""The arguments of a layer or recipe: which field a name or a bare word belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lightsearch.design.fields import REGISTER_FIRST, Spec, specs
from lightsearch.design.parts import Fielded
from lightsearch.errors import NotationError, suggestion
from lightsearch.notation.names import Scalar
from lightsearch.notation.tokens import Token, Tokens, format_scalar, meanings


def find_field(tokens: Tokens, head: Token, name: Token, declared: tuple[Spec, ...]) -> Spec:
    """Return the field called `name`, its short form included, of the layer called `head`."""
    for spec in declared:
        if name.text in (spec.name, spec.short):
            return spec
    if not declared:
        tokens.fail(f"{head.text}: there must be no fields, but got {name}", name.start)
    names = {name: None for spec in declared for name in (spec.name, spec.short)}
    tokens.fail(f"{head.text}: {describe_unknown('field', name.text, names)}", name.start)


def read_bare_word(tokens: Tokens, head: Token, cls: type[Fielded]) -> tuple[Spec, Any]:
    """Take a word without a field's name. Return its field and value, which must be unique."""
    token = tokens.take()
    known = meanings(cls)
    candidates = known.get(token.text, [])
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        ways = " or ".join(f"{spec.short}={format_scalar(value)}" for spec, value in candidates)
        tokens.fail(
            f"{head.text}: {token.text!r} must be written with its field: {ways}", token.start
        )
    fields = [name for spec in specs(cls) for name in (spec.name, spec.short)]
    if token.text in fields:
        tokens.fail(
            f"{head.text}: {token.text!r} must be given a value: {token.text}=...", token.start
        )
    tokens.fail(f"{head.text}: {describe_unknown('word', token.text, known)}", token.start)


def accept_scalar(spec: Spec, scalar: Scalar) -> Any:
    """Return the value of a field in its canonical type; raises `DesignError` for a bad one."""
    if spec.kind == "flag" and scalar in ("true", "false"):
        return scalar == "true"
    return spec.accept(scalar)


def describe_unknown(noun: str, word: str, known: Iterable[str]) -> str:
    """Return the message for an unknown word, with the nearest known one if one is close."""
    excerpt = word if len(word) <= 40 else word[:37] + "..."
    if noun == "layer kind" and word == "recipe":
        return "a recipe must be read with `parse_recipe`, not as a layer"
    own = ""
    if noun == "layer kind" and not suggestion(word, known):
        own = f"; {REGISTER_FIRST}"
    return (
        f"the {noun} must be one of {', '.join(known) or 'none'}, but got "
        f"{excerpt!r}{suggestion(word, known)}{own}"
    )


def find_unknown_layer(error: NotationError) -> str | None:
    """Return the layer kind that a text has and nobody registered, if the error is about one."""
    if not error.expected.startswith("the layer kind must be one of"):
        return None
    found = re.match(r"\w+", error.text[error.position :])
    return None if found is None else found[0]


def explain_gap(error: NotationError) -> str:
    """Return why a record's design or recipe cannot be read: the unknown layer, if it is one."""
    name = find_unknown_layer(error)
    if name is None:
        return error.expected
    # Short, and with the name first: the parser's own text lists all kinds that there are.
    return f"`{name}` is no layer that is known here: {REGISTER_FIRST}"
