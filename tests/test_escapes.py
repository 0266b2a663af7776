"""Control characters in errors and in what values show of themselves."""

from __future__ import annotations

import pickle
import sys

import pytest

from lightsearch.checks import has_controls
from lightsearch.errors import (
    ArgumentError,
    LightsearchError,
    NotationError,
    StudyError,
    escape_controls,
)
from lightsearch.presentation import Sheet

NAME = "a\x1b[2J\x07\u202e\udce9 <b>"
SHOWN = "a\\x1b[2J\\x07\\u202e\\udce9 <b>"


def test_what_is_escaped_is_escaped_once() -> None:
    assert escape_controls(NAME) == SHOWN == escape_controls(SHOWN)
    text = "".join(map(chr, range(sys.maxunicode + 1)))
    assert not has_controls(escape_controls(text))


@pytest.mark.parametrize("kind", [LightsearchError, ArgumentError, StudyError])
def test_an_error_escapes_controls_and_no_more(kind: type[LightsearchError]) -> None:
    error = kind(f"{NAME} é\n\tb")
    assert str(error) == f"{SHOWN} é\n\tb"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(kind()) == ""


def test_the_mark_of_an_error_of_notation_stays_in_its_place() -> None:
    error = NotationError("conv\x1b(8)", 4, "a bracket")
    assert str(error) == "a bracket\n  conv?(8)\n      ^"


def test_a_value_shows_no_controls() -> None:
    sheet = Sheet(NAME, ((NAME, NAME),), (NAME,), ((NAME,),))
    assert sheet.as_text() == f"{SHOWN}\n  {NAME}  {NAME}".replace(NAME, SHOWN)
    html = sheet.as_html()
    assert html.count(SHOWN.replace("<b>", "&lt;b&gt;")) == 5
    assert not set("\x1b\x07\u202e\udce9") & set(html)
