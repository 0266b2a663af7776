"""Every error that lightsearch raises on purpose.

All derive from `LightsearchError`, so one `except` at a boundary is enough. A message has the
rule, the value and the place: "`kernel` must be odd, but got kernel=4 at [2]".
"""

import difflib
import re
from collections.abc import Iterable, Sequence

# What moves a terminal's cursor, or turns what it shows. Line feeds and tabs are not among them.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """Return a text with control characters as escapes.

    >>> escape_controls("a\\x1b[2J")
    'a\\\\x1b[2J'
    """
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


class LightsearchError(Exception):
    """Base of every error raised by lightsearch. As text it has control characters as escapes."""

    def __str__(self) -> str:
        return escape_controls(super().__str__())


class DesignError(LightsearchError, ValueError):
    """A design or space that breaks a rule: a bad value, a kernel larger than its input, ..."""


class NotationError(LightsearchError, ValueError):
    """Text that is not in the notation. The message shows the text with a mark under the place.

    Attributes: `text`, `position` (index of the first character that does not fit), `expected`.
    """

    def __init__(self, text: str, position: int, expected: str) -> None:
        self.text = text
        self.position = position
        self.expected = expected
        super().__init__(f"{expected}\n{_point_at(text, position)}")

    def __reduce__(self) -> tuple[type["NotationError"], tuple[str, int, str]]:
        return NotationError, (self.text, self.position, self.expected)


class ArgumentError(LightsearchError, ValueError):
    """An argument of the public interface that is out of range or of the wrong type."""


class BudgetError(LightsearchError, ValueError):
    """A budget that no design of the space meets."""


class DataError(LightsearchError):
    """A data set that cannot be found, downloaded or used."""


class EngineError(LightsearchError):
    """A training engine that is not built or cannot be loaded."""


class ExportError(LightsearchError):
    """A network that cannot be exported, a file with wrong outputs, or a missing dependency."""


class StudyError(LightsearchError):
    """A study folder that is locked, damaged, or made with other settings."""


class WorkerError(LightsearchError):
    """A worker process that died or failed to start too often."""


def explain_refusal(error: Exception) -> str:
    """What a system says that refuses a thread, with what to do about it."""
    return (
        f"a thread must start, but the system refuses it ({error}): close other programs, "
        "take fewer workers, or allow more threads or memory (`ulimit -u`, `ulimit -v`)"
    )


def suggestion(value: object, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: a similar known name, or "".

    >>> from lightsearch.errors import suggestion
    >>> suggestion("mnits", ["mnist", "digits"])
    "; did you mean 'mnist'?"
    >>> suggestion("EMNIST", ["mnist", "emnist-digits", "emnist-letters"])
    "; did you mean 'emnist-digits' or 'emnist-letters'?"
    """
    folded = {name.casefold(): name for name in known}
    family = [repr(folded[one]) for one in folded if one.startswith(f"{value}-".casefold())]
    if len(family) > 1 and str(value).casefold() not in folded:
        return f"; did you mean {', '.join(family[:-1])} or {family[-1]}?"
    near = difflib.get_close_matches(str(value)[:40].casefold(), folded, 1)
    return f"; did you mean {folded[near[0]]!r}?" if near else ""


_LONGEST = 200


def quote(value: object) -> str:
    """Return a value for a message: on one line, and of a tensor or a table only its shape.

    >>> from lightsearch.errors import quote
    >>> quote((8, 8, 1)), quote("x" * 10**6)[-5:]
    ('(8, 8, 1)', 'xx...')
    """
    inside = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inside, tuple | list) and _holds_array(inside):
        return f"{type(value).__name__} of {', '.join(map(quote, inside[:4]))}"
    if _is_array(value):
        return f"{type(value).__name__} of shape {tuple(getattr(value, 'shape', ()))}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _holds_array(values: Sequence[object], depth: int = 3) -> bool:
    """Whether an array is among values, or in lists and dictionaries among them."""
    return any(
        _is_array(one)
        or (isinstance(one, tuple | list) and depth > 0 and _holds_array(one, depth - 1))
        or (isinstance(one, dict) and depth > 0 and _holds_array([*one.values()], depth - 1))
        for one in values
    )


def _is_array(value: object) -> bool:
    """Whether a value is a tensor, an array or a table with any axis."""
    has_type = hasattr(value, "dtype") or hasattr(value, "dtypes")
    return has_type and not isinstance(value, type) and bool(getattr(value, "shape", ()))


_WINDOW = 60


def _point_at(text: str, position: int) -> str:
    """Return the part of `text` around `position`, with a caret under it."""
    start = max(0, position - _WINDOW)
    end = min(len(text), position + _WINDOW)
    head = "..." if start else ""
    tail = "..." if end < len(text) else ""
    excerpt = "".join(c if c.isprintable() else "?" for c in text[start:end])
    return f"  {head}{excerpt}{tail}\n  {' ' * (len(head) + position - start)}^"
