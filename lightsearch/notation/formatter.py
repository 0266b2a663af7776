"""The text of a value in the notation: `parse(format_text(x)) == x`, and `str(x)` is the same."""

from __future__ import annotations

from typing import Any, TypeAlias

from lightsearch.design.choice import Choice
from lightsearch.design.fields import Spec
from lightsearch.design.parts import (
    Fielded,
    Layer,
    Part,
    Repeat,
    Seq,
    explicit_fields,
    is_positional,
    kind_of,
    seq,
    set_formatter,
)
from lightsearch.errors import ArgumentError, quote
from lightsearch.notation.tokens import format_scalar, meanings


def format_text(value: Seq | Fielded) -> str:
    """Return a space, design, layer or recipe in the notation, as `str(value)` does.

    >>> from lightsearch import conv, maybe, seq
    >>> from lightsearch.notation import format_text
    >>> format_text(seq(conv(8, padding=0), maybe(conv(16, act="gelu"))))
    'conv(8,p=0) conv(16,gelu)?'
    """
    if isinstance(value, Seq | Layer):
        return _format_sequence(seq(value), {})
    if isinstance(value, Fielded):
        return _format_call(value, {})
    raise ArgumentError(
        f"`value` must be a design, space, layer or recipe, but got value={quote(value)}"
    )


_Names: TypeAlias = dict[str, Any]  # the named choices in the text so far


def _format_sequence(space: Seq, names: _Names) -> str:
    return " ".join(_format_part(part, names) for part in space.parts)


def _format_part(part: Part, names: _Names) -> str:
    if isinstance(part, Layer):
        return _format_call(part, names)
    if isinstance(part, Repeat):
        block = _format_block(part.body, names)
        times = _format_choice(part.times, names)
        return (
            f"{block}*{times}"
            if times.startswith("@") and ":" not in times
            else f"{block}*({times})"
        )
    name = part.name
    if name is not None and names.get(name) == part:
        return f"[@{name}]"
    if len(part.options) == 2 and not part.options[0].parts:
        text = _format_block(part.options[1], names) + ("?" if name is None else f"?@{name}")
    else:
        options = " | ".join(_format_sequence(option, names) for option in part.options).strip()
        text = f"[{options}]" if name is None else f"[@{name}: {options}]"
    if name is not None:
        names[name] = part
    return text


def _format_block(block: Seq, names: _Names) -> str:
    """Return a text that `?` and `*` may follow: one layer, or something in brackets."""
    text = _format_sequence(block, names)
    if len(block.parts) == 1:
        part = block.parts[0]
        if isinstance(part, Layer) or (isinstance(part, Choice) and text.endswith("]")):
            return text
    return f"[{text}]"


def _format_call(layer: Fielded, names: _Names) -> str:
    fields = ",".join(
        _format_field(layer, spec, value, names) for spec, value in explicit_fields(layer)
    )
    return f"{kind_of(type(layer))}({fields})" if fields else kind_of(type(layer))


def _format_field(layer: Fielded, spec: Spec, value: Any, names: _Names) -> str:
    if isinstance(value, Choice):
        text = _format_choice(value, names)
    elif isinstance(value, Seq):
        text = _format_sequence(value, names)
        bracketed = (
            len(value.parts) == 1 and isinstance(value.parts[0], Choice) and text.endswith("]")
        )
        text = text if bracketed else f"[{text}]"
    else:
        text = format_scalar(value)
    if is_positional(spec, layer):
        return text
    word = spec.short if value is True else text
    if spec.kind in ("word", "flag") and meanings(type(layer)).get(word) == [(spec, value)]:
        return word
    return f"{spec.short}={text}"


def _format_choice(choice: Choice, names: _Names) -> str:
    options = "|".join(map(format_scalar, choice.options))
    if choice.name is None:
        return options
    # Compares texts: (True, False) == (1, 0), but their texts differ.
    if names.get(choice.name) == options:
        return f"@{choice.name}"
    names[choice.name] = options
    return f"@{choice.name}:{options}"


set_formatter(format_text)
