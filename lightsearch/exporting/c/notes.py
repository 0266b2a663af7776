"""What the C files say of a network: its facts in a comment, and the names of its classes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lightsearch.data.class_names import quote_c
from lightsearch.exporting.c.constants import LINE

MOST_NAMES = 4096  # characters of class names that a header has as an array


@dataclass(frozen=True, slots=True)
class Notes:
    """What the files say of a network: the file's name, how pixels are normalised, metadata."""

    stem: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    metadata: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """What the names of the C functions begin with."""
        word = re.sub(r"[^a-z0-9]", "_", self.stem.lower())
        return word if word[:1].isalpha() else f"net{word}"


def write_class_names(notes: Notes) -> str:
    """Return the array of the class names with its comment, or "" if there are none or too many.

    It is static: a program that does not use it does not hold it.
    """
    literals = [quote_c(name) for name in notes.classes]
    if not 0 < sum(map(len, literals)) <= MOST_NAMES:
        return ""
    lines = "".join(f"    {literal},\n" for literal in literals)
    array = f"{notes.prefix}_class_names[{notes.prefix.upper()}_CLASSES]"
    return (
        "\n/* The names of the classes, in UTF-8. They take memory only where they are used. */\n"
        f"static const char *const {array} = {{\n{lines}}};\n"
    )


def write_facts(notes: Notes) -> Iterator[str]:
    """Yield the lines of the header's comment: what the network is, and how it was made."""
    for name, value in notes.metadata.items():
        yield f"   {comment(f'{name}={value}', 6)}"


def comment(text: str, indent: int = 3) -> str:
    """Return a text that can stand in a comment, in ASCII, on lines that fit."""
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", plain)
    return textwrap.fill(
        " ".join(plain.split()),
        LINE - 4,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )
