"""From a value to its text in the notation: `parse(format_text(x)) == x`, and `str(x)` is it."""

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
    is_positional,
    kind_of,
    set_formatter,
    told,
)
from lightsearch.errors import ArgumentError
from lightsearch.notation.tokens import meanings, scalar_text


def format_text(value: Seq | Fielded) -> str:
    """A space, design, layer or recipe in the notation; `str(value)` gives the same.

    >>> from lightsearch import conv, maybe, seq
    >>> from lightsearch.notation import format_text
    >>> format_text(seq(conv(8, padding=0), maybe(conv(16, act="gelu"))))
    'conv(8,p=0) conv(16,gelu)?'
    """
    if isinstance(value, Seq):
        return _sequence_text(value, {})
    if isinstance(value, Fielded):
        return _fielded_text(value, {})
    raise ArgumentError("`value` must be a design, space, layer or recipe, "
                        f"but got value={value!r}")


_Names: TypeAlias = dict[str, Any]  # the named choices written so far


def _sequence_text(space: Seq, names: _Names) -> str:
    return " ".join(_part_text(part, names) for part in space.parts)


def _part_text(part: Part, names: _Names) -> str:
    if isinstance(part, Layer):
        return _fielded_text(part, names)
    if isinstance(part, Repeat):
        block = _block_text(part.body, names)
        times = _choice_text(part.times, names)
        return f"{block}*{times}" if times.startswith("@") and ":" not in times \
            else f"{block}*({times})"
    name = part.name
    if name is not None and names.get(name) == part:
        return f"[@{name}]"
    if len(part.options) == 2 and not part.options[0].parts:
        text = _block_text(part.options[1], names) + ("?" if name is None else f"?@{name}")
    else:
        options = " | ".join(_sequence_text(option, names) for option in part.options).strip()
        text = f"[{options}]" if name is None else f"[@{name}: {options}]"
    if name is not None:
        names[name] = part
    return text


def _block_text(block: Seq, names: _Names) -> str:
    """What `?` and `*` may follow: one layer, or something in brackets."""
    text = _sequence_text(block, names)
    if len(block.parts) == 1:
        part = block.parts[0]
        if isinstance(part, Layer) or (isinstance(part, Choice) and text.endswith("]")):
            return text
    return f"[{text}]"


def _fielded_text(layer: Fielded, names: _Names) -> str:
    fields = ",".join(_field_text(layer, spec, value, names) for spec, value in told(layer))
    return f"{kind_of(type(layer))}({fields})" if fields else kind_of(type(layer))


def _field_text(layer: Fielded, spec: Spec, value: Any, names: _Names) -> str:
    if isinstance(value, Choice):
        text = _choice_text(value, names)
    elif isinstance(value, Seq):
        text = _sequence_text(value, names)
        lone = len(value.parts) == 1 and isinstance(value.parts[0], Choice) and text.endswith("]")
        text = text if lone else f"[{text}]"
    else:
        text = scalar_text(value)
    if is_positional(spec, layer):
        return text
    bare = spec.short if value is True else text
    if spec.kind in ("word", "flag") and meanings(type(layer)).get(bare) == [(spec, value)]:
        return bare
    return f"{spec.short}={text}"


def _choice_text(choice: Choice, names: _Names) -> str:
    options = "|".join(map(scalar_text, choice.options))
    if choice.name is None:
        return options
    # Compared as text: (True, False) == (1, 0), but they are not written alike.
    if names.get(choice.name) == options:
        return f"@{choice.name}"
    names[choice.name] = options
    return f"@{choice.name}:{options}"


set_formatter(format_text)
