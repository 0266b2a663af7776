"""The figures of a leaderboard's row as text, and the names of its columns for people."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from lightsearch.formatting import name_split, percent

_fine = functools.partial(percent, digits=3)
_large = "{:,}".format
_whole = "{:.0f}".format
_FORMS: dict[str, Callable[[Any], str]] = {
    "best_accuracy": percent,
    "best_epoch": _whole,
    "last_accuracy": percent,
    "last3_accuracy": percent,
    "test_accuracy": percent,
    "first_hit_epoch": _whole,
    "confirmed_n": _whole,
    "confirmed_mean": _fine,
    "confirmed_bound": _fine,
    "params": _large,
    "macs": _large,
    "activation_bytes": _large,
    "activation_bytes_int8": _large,
}
SIZES = ("params", "macs", "activation_bytes", "activation_bytes_int8", "receptive_field")


def list_columns(selected_on: str) -> tuple[str, ...]:
    """Return the columns of accuracies that a leaderboard shows, by its `selected_on`."""
    held_out = name_split(selected_on) == "val"
    tested = ("test_accuracy",) if held_out else ()  # else it is the last accuracy
    return "best_accuracy", "best_epoch", "last_accuracy", *tested, "first_hit_epoch"


def name_column(column: str) -> str:
    """Return the name of a column of the CSV as the head of a table for people.

    >>> from lightsearch.study.figures import name_column
    >>> name_column("best_accuracy"), name_column("macs")
    ('best accuracy', 'MACs')
    """
    return "MACs" if column == "macs" else column.replace("_", " ")


def format_figure(column: str, value: Any) -> str:
    """Return the value of a column as text, or a dash if there is none."""
    if value is None or value != value:
        return "-"
    return _FORMS.get(column, str)(value)


def describe_selection(selected_on: str) -> str:
    """Return the images that a search's accuracies are of, and that they selected.

    >>> from lightsearch.study.figures import describe_selection
    >>> describe_selection("test")
    'of the test images, which selected the designs'
    >>> describe_selection("val(size=500,seed=0)")
    'of held-out images, val(size=500,seed=0), which selected the designs'
    """
    images = "the test images"
    if name_split(selected_on) == "val":
        kind = "held-out" if "seed=" in selected_on else "validation"
        images = f"{kind} images, {selected_on}"
    return f"of {images}, which selected the designs"


_ABOUT = re.compile(r", (selected on|not selected on|[\d,]+ of [\d,]+ images seen before)$")
_SELECTED = {
    "selected on": "which selected the design",
    "not selected on": "which did not select the design",
}


def describe_images(label: str) -> str:
    """Return the images of a confirmation in words, from the label in its table (`on`).

    >>> from lightsearch.study.figures import describe_images
    >>> describe_images("digits test, selected on")
    'digits test images, which selected the design'
    >>> describe_images("qmnist-test50k, 3 of 50,000 images seen before")
    'qmnist-test50k images, 3 of 50,000 images seen before'
    >>> describe_images("mine, cropped test")
    'mine, cropped test images'
    """
    found = _ABOUT.search(label)  # a name of one's own may have commas, too
    if found is None:
        return f"{label} images"
    return f"{label[: found.start()]} images, {_SELECTED.get(found[1], found[1])}"
