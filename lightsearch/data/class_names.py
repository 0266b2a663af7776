"""Names of classes: those of the named data sets, and how names are checked and written.

A name may be any text that a folder can have, so each format escapes it in its own way: here as
JSON in ASCII, as Python and as C. Nothing here needs torch.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lightsearch.errors import ArgumentError, escape_controls, quote

LONGEST = 255  # characters, as of a folder
_DIGITS = tuple("0123456789")
_MNIST = tuple(
    f"{digit} - {word}"
    for digit, word in enumerate("zero one two three four five six seven eight nine".split())
)
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "mnist": _MNIST,
    "fashion-mnist": tuple(
        "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
    ),
    "kmnist": tuple("o ki su tsu na ha ma ya re wo".split()),
    "qmnist": _MNIST,
    "qmnist-test50k": _MNIST,
    "emnist-balanced": tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
    "emnist-digits": _DIGITS,
    "emnist-letters": tuple("abcdefghijklmnopqrstuvwxyz"),
    "digits": _DIGITS,
}
"""Torchvision's names of the classes of sets that are read at their own size, in their order."""


def check_class_names(names: Any, classes: int) -> tuple[str, ...]:
    """Return names of classes as a tuple, in the order of the labels; none may be given, too.

    Raises `ArgumentError` unless there is one for each class, each another, a text without NUL.
    """
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise ArgumentError(
            f"`class_names` must be a sequence of texts, but got class_names={quote(names)}"
        )
    found = tuple(names)
    for name in found:
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST or "\0" in name:
            raise ArgumentError(
                f"`class_names` must be texts of 1 to {LONGEST} characters without NUL, but got "
                f"{quote(name)}"
            )
    if found and len(found) != classes:
        raise ArgumentError(
            f"`class_names` must be as many as there are classes, {classes}, but got {len(found)}"
        )
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise ArgumentError(f"`class_names` must be different, but got {quote(twice)} twice")
    return tuple(str(name) for name in found)


def shorten_names(names: tuple[str, ...], most: int = 90) -> str:
    """Return names of classes on one line, the first of them if they are many."""
    text = " ".join(escape_controls(", ".join(names)).split())
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def write_class_names(names: tuple[str, ...]) -> str:
    r"""Return names as JSON in ASCII, for the metadata of a file.

    >>> print(write_class_names(('a "b"\n', "\udcff")))
    ["a \"b\"\n", "\udcff"]
    """
    return json.dumps(names)


def read_class_names(text: str, classes: int) -> tuple[str, ...]:
    """Return the names that `write_class_names` wrote; "" stands for none.

    Raises `ArgumentError` for anything else.
    """
    try:
        names = json.loads(text[:100_000]) if text else ()
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list | tuple):
        raise ArgumentError(
            f"`class_names` must be a JSON list of texts, but got class_names={quote(text)}"
        )
    return check_class_names(names, classes)


def escape_text(text: str) -> str:
    r"""Return a text on one line, in printable characters.

    >>> print(escape_text("a\n\udcffb"))
    a\n\udcffb
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(text))


def escape_markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is, also in a cell of a table.

    >>> print(escape_markdown("<b>a*|"))
    \<b\>a\*\|
    """
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", escape_text(text))


def quote_python(text: str) -> str:
    r"""Return a text as a literal of Python, in printable characters and in `ruff`'s quotes.

    >>> print(quote_python("it's"), quote_python('a "b"\n'), quote_python("\udcff"))
    "it's" 'a "b"\n' "\udcff"
    """
    literal = repr(text)
    return literal if '"' in text or literal[0] == '"' else f'"{literal[1:-1]}"'


def quote_c(text: str) -> str:
    r"""Return a text as a literal of C in ASCII: UTF-8, or the bytes that a folder's name has.

    >>> print(quote_c('\u00e9"\\??/\n'), quote_c("\udcff1"))
    "\303\251\042\134\077\077/\012" "\3771"
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a half of a character that no folder's name has
        data = text.encode("utf-8", "surrogatepass")
    plain = (
        chr(byte) if 0x20 <= byte < 0x7F and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in data
    )
    return f'"{"".join(plain)}"'
