"""The parts of a space: layers, sequences, choices and repeats, all immutable values.

A design is a space without choices: the same constructors and the same notation write both.
Constructors give a canonical form, so that two ways to write a network are one value. They
flatten nested sequences, expand a repeat whose count is fixed, and drop absent parts.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lightsearch.design.choice import Choice
from lightsearch.design.fields import Spec, check_fields, is_choice, is_pair, specs
from lightsearch.errors import DesignError, quote
from lightsearch.layer_warnings import call_layer


class Fielded:
    """A frozen value whose declared fields may hold choices: a layer, or a training recipe."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_fields(self, kind_of(type(self)))
        for spec in specs(type(self)):
            if spec.kind == "body":
                object.__setattr__(self, spec.name, seq(getattr(self, spec.name)))
        self.settle()

    def settle(self) -> None:
        """Fill in derived values, and reset fields that have no effect.

        Called once, after validation. It may change fields with `set_fields`.
        """

    def __repr__(self) -> str:
        return f"{kind_of(type(self))}({', '.join(_format_arguments(self))})"

    def __str__(self) -> str:
        return _formatter(self)


class Layer(Fielded):
    """Base of every layer kind. A kind is a frozen, slotted dataclass that is registered.

    `integer`, `real`, `word`, `flag` and `body` declare its fields.
    """

    __slots__ = ()

    def unwrap(self) -> tuple[Part, ...]:
        """Return the parts that a sequence holds in place of this layer: most often itself."""
        return (self,)

    def most_passes(self) -> int:
        """Return how often the bodies are applied, at most."""
        return 1


@dataclass(frozen=True, slots=True, repr=False)
class Seq:
    """A sequence of parts: a design, a space, or the body of a block. `seq` makes it."""

    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        for part in self.parts:
            if not isinstance(part, Layer | Repeat | Choice) or (
                isinstance(part, Choice) and not has_layer_options(part)
            ):
                raise DesignError(
                    f"a part must be a layer, a sequence or a choice, but got {quote(part)}"
                )
        unwrapped = [part.unwrap() if isinstance(part, Layer) else (part,) for part in self.parts]
        if any(len(parts) != 1 for parts in unwrapped) or any(
            parts[0] is not part for parts, part in zip(unwrapped, self.parts, strict=True)
        ):
            object.__setattr__(self, "parts", tuple(itertools.chain(*unwrapped)))

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        return f"seq({', '.join(map(repr, self.parts))})"

    def __str__(self) -> str:
        return _formatter(self)


@dataclass(frozen=True, slots=True, repr=False)
class Repeat:
    """A body that is repeated a number of times still to be chosen. `repeat` makes it."""

    body: Seq
    times: Choice

    def __repr__(self) -> str:
        return f"repeat({self.body!r}, {self.times!r})"


Part: TypeAlias = Layer | Repeat | Choice
Design: TypeAlias = Seq
Space: TypeAlias = Seq


def seq(*parts: Any) -> Seq:
    """Make a sequence of layers, blocks and choices. Nested sequences, lists and tuples flatten.

    >>> from lightsearch.design import conv, gap, linear, seq
    >>> seq(conv(8), seq(gap(), linear(10))) == seq(conv(8), gap(), linear(10))
    True
    """
    if len(parts) == 1 and isinstance(parts[0], Seq):
        return parts[0]
    return Seq(tuple(_flatten(parts)))


def _flatten(parts: Iterable[Any]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, Seq):
            yield from part.parts
        elif isinstance(part, list | tuple):
            yield from _flatten(part)
        else:
            yield part


def oneof(*options: Any, name: str | None = None) -> Any:
    """Make a choice. It may stand wherever a value, a layer or a block may stand.

    A named choice that is used twice is one decision. A single option is returned as it is. For
    type checkers, a choice has the type of its options.

    Raises `DesignError` for no options, equal options, or a mix of values and layers.
    """
    if not options:
        raise DesignError("a choice must have at least 2 options, but got none")
    if _is_part(options[0]):
        if not all(_is_part(option) for option in options):
            raise DesignError(
                f"the options of a choice must be all layers or all values, but got {options!r}"
            )
        options = tuple(seq(option) for option in options)
    elif any(_is_part(option) for option in options):
        raise DesignError(
            f"the options of a choice must be all layers or all values, but got {options!r}"
        )
    if len(options) == 1:
        return options[0]
    return Choice(tuple(options), name)


def maybe(part: Any, *, name: str | None = None) -> Any:
    """Make a part that may be absent: the same as `oneof(seq(), part)`."""
    return oneof(seq(), seq(part), name=name)


def repeat(part: Any, times: int) -> Any:
    """Put `part` in a row `times` times. Its unnamed choices are independent in each round.

    `times` is an integer >= 0, which expands at once, or a choice of such integers.
    """
    rule = Spec("times", "integer", "times", 1, low=0, high=1000)
    inner = seq(part)
    if isinstance(times, Choice):
        return Repeat(inner, Choice(tuple(rule.accept(o) for o in times.options), times.name))
    return seq(*[inner] * rule.accept(times))


def _is_part(value: Any) -> bool:
    if isinstance(value, Choice):
        return isinstance(value.options[0], Seq)
    return isinstance(value, Layer | Seq | Repeat | list | tuple) and not is_pair(value)


def has_layer_options(choice: Choice) -> bool:
    """Whether the options of a choice are layers (True) or plain values (False)."""
    return isinstance(choice.options[0], Seq)


def is_decided(part: Seq | Fielded | Any) -> bool:
    """Whether no choice is left, so that a space is a design."""
    if isinstance(part, Seq):
        return all(is_decided(inner) for inner in part.parts)
    if not isinstance(part, Fielded):
        return False
    return all(
        is_decided(value) if spec.kind == "body" else not is_choice(value)
        for spec in specs(type(part))
        for value in [getattr(part, spec.name)]
    )


def _format_arguments(layer: Fielded) -> Iterator[str]:
    for spec, value in explicit_fields(layer):
        yield repr(value) if is_positional(spec, layer) else f"{spec.name}={value!r}"


def is_positional(spec: Spec, layer: Fielded) -> bool:
    """Whether a field is written without its name."""
    return spec in positional_specs(type(layer))


def positional_specs(cls: type[Fielded]) -> tuple[Spec, ...]:
    """Return the fields that are written without their names: required ones at the start."""
    return tuple(
        itertools.takewhile(
            lambda spec: spec.required and (spec.bare or spec is specs(cls)[0]), specs(cls)
        )
    )


@functools.lru_cache(maxsize=4096)
def explicit_fields(layer: Fielded) -> tuple[tuple[Spec, Any], ...]:
    """Return the fields of `layer` that its text must state: those that are not the default."""
    values = {spec.name: getattr(layer, spec.name) for spec in specs(type(layer))}
    return tuple(
        (spec, values[spec.name])
        for spec in specs(type(layer))
        if spec.required or not _is_default(layer, spec, values)
    )


def _is_default(layer: Fielded, spec: Spec, values: dict[str, Any]) -> bool:
    if values[spec.name] == spec.default:
        return True
    if spec.auto is None:
        return False
    try:
        with call_layer():
            return type(layer)(**{**values, spec.name: spec.default}) == layer
    except DesignError:
        return False


# The open registry: name <-> layer kind ---------------------------------------------------------

_KINDS: dict[str, type[Layer]] = {}
_NAMES: dict[type[Fielded], str] = {}


def register_kind(name: str, cls: type[Layer]) -> None:
    """Set the name of a layer kind in the notation. Users call `lightsearch.register` instead.

    Raises `DesignError` for a name that is not lower-case letters, digits and `_`, or is taken.
    """
    if not (isinstance(name, str) and name.isascii() and name.isidentifier() and name.islower()):
        raise DesignError(
            f"the name of a layer kind must be lower-case letters, digits and _, but got {name!r}"
        )
    known = _KINDS.get(name)
    if known is not None and known.__qualname__ != cls.__qualname__:
        raise DesignError(f"the layer kind {name!r} is registered already")
    _KINDS[name] = cls
    _NAMES[cls] = name
    specs(cls)  # an invalid field declaration fails here, not at its first use


def kinds() -> dict[str, type[Layer]]:
    """Return every registered layer kind by its name in the notation."""
    return dict(_KINDS)


def kind_of(cls: type[Fielded]) -> str:
    """Return the name of a layer kind, or of a recipe, in the notation."""
    return _NAMES.get(cls, cls.__name__.lower())


_formatter: Callable[[Any], str] = repr


def set_formatter(formatter: Callable[[Seq | Fielded], str]) -> None:
    """Set the function behind `str(design)`. `lightsearch.notation` calls this once."""
    global _formatter
    _formatter = formatter


__all__ = [
    "Choice",
    "Design",
    "Fielded",
    "Layer",
    "Part",
    "Repeat",
    "Seq",
    "Space",
    "has_layer_options",
    "is_decided",
    "kind_of",
    "kinds",
    "maybe",
    "oneof",
    "register_kind",
    "repeat",
    "seq",
    "set_formatter",
]
