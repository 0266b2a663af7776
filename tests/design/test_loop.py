"""Loops as values: their canonical form, their notation, their choices."""

from __future__ import annotations

import pytest

from lightsearch.design import (
    conv,
    decode,
    designs,
    enumerate_choices,
    loop,
    oneof,
    replay,
    residual,
    separable,
    seq,
)
from lightsearch.design.encoding import encode
from lightsearch.errors import DesignError, NotationError
from lightsearch.notation.parser import parse


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("loop(separable(16),3)", "loop([separable(16)],3)"),
        ("loop(body=[separable(16) conv(8)],passes=2)", "loop([separable(16) conv(8)],2)"),
        ("loop(separable(16),3,share=all)", "loop([separable(16)],3)"),
        ("loop(separable(16),3,share=depthwise)", "loop([separable(16)],3,depthwise)"),
        ("loop(separable(12|16),2|3|4)", "loop([separable(12|16)],2|3|4)"),
        ("loop(conv(8),@n:2|3) conv(8)*@n", "loop([conv(8)],@n:2|3) conv(8)*@n"),
        # One pass is the body itself.
        ("loop(conv(8),1)", "conv(8)"),
        ("loop([conv(8) conv(4)],1) gap", "conv(8) conv(4) gap"),
        ("loop(conv(8)?,1)", "conv(8)?"),
        ("loop(conv(8),1,depthwise)", "conv(8)"),
        ("residual(loop(conv(8),1))", "residual([conv(8)])"),
        # A loop of a loop is one loop.
        ("loop(loop(conv(8),2),3)", "loop([conv(8)],6)"),
        ("loop(loop(conv(8),2,depthwise),3,depthwise)", "loop([conv(8)],6,depthwise)"),
        ("loop(loop(loop(conv(8),1),2),1)", "loop([conv(8)],2)"),
        # These are not.
        ("loop(loop(conv(8),2,depthwise),3)", "loop([loop([conv(8)],2,depthwise)],3)"),
        ("loop([loop(conv(8),2) gate],3)", "loop([loop([conv(8)],2) gate],3)"),
        ("loop(loop(conv(8),50),3)", "loop([loop([conv(8)],50)],3)"),
        ("loop(loop(conv(8),2|3),3)", "loop([loop([conv(8)],2|3)],3)"),
    ],
)
def test_loops_have_one_form(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_python_makes_the_same_values() -> None:
    assert seq(loop(separable(16), 3)) == parse("loop([separable(16)],3)")
    assert seq(loop([conv(8), residual(conv(8))], oneof(2, 3), share="depthwise")) == parse(
        "loop([conv(8) residual([conv(8)])],2|3,depthwise)"
    )
    assert seq(loop(conv(8), 1)) == seq(conv(8)) and str(loop(conv(8), 1)) == "conv(8)"
    assert loop(loop(conv(8), 2), 3) == loop(conv(8), 6)


def test_every_pass_makes_the_same_decisions() -> None:
    found = [str(design) for design in designs(parse("loop([separable(12|16)],1|2)"))]
    assert found == [
        "separable(12)",
        "loop([separable(12)],2)",
        "separable(16)",
        "loop([separable(16)],2)",
    ]


@pytest.mark.parametrize(
    "space",
    [
        "loop([separable(12|16)],2|3|4) gap",
        "loop([conv(8) conv(8|16)?],1|2|3) conv(8)? gap",
        "loop(loop(conv(8|9),2|3),1|2|3)",
        "loop(loop(loop(conv(8),1|2),1|2),1|4,share=all|depthwise)",
        "loop([conv(8)*(1|2) residual(conv(@w:8|16))],@n:1|2) loop(conv(@w),@n) conv(4)*@n",
        "[loop(conv(8),2) | loop(loop(conv(8),3),1|2)] gap",
    ],
)
def test_each_design_is_encoded(space: str) -> None:
    whole = parse(space)
    for _, design in enumerate_choices(lambda choose: decode(whole, choose)):
        record = encode(whole, design)
        assert record is not None and decode(whole, replay(record)) == design


@pytest.mark.parametrize(
    ("space", "design"),
    [
        ("loop(conv(8),2|3)", "loop(conv(8),4)"),
        ("loop(conv(8),2|3)", "conv(8)"),
        ("loop(loop(conv(8),2|3),2)", "loop(conv(8),5)"),
        ("loop(conv(8),2|3)", "loop(conv(8),2,depthwise)"),
        ("loop(conv(8),2|3)", "loop([conv(8) gate],2)"),
        ("loop(conv(8)?,1|2) gap", "loop(conv(8),2)"),
    ],
)
def test_other_designs_are_none_of_it(space: str, design: str) -> None:
    assert encode(parse(space), parse(design)) is None


def test_what_is_no_loop_is_refused() -> None:
    with pytest.raises(DesignError, match="`body` must have at least one layer, but got none"):
        loop([], 3)
    with pytest.raises(DesignError, match="`passes` must be an integer from 1 to 100"):
        loop(conv(8), 101)
    with pytest.raises(DesignError, match="`share` must be one of all, depthwise"):
        loop(conv(8), 2, share="norm")
    with pytest.raises(NotationError, match=r"`passes` must be .*, but got nothing"):
        parse("loop(conv(8))")
    with pytest.raises(NotationError, match=r"at most 10000 layers") as caught:
        parse("gap loop([conv(8) loop([conv(8) loop(conv(8)*2,50)],50)],50)")
    assert caught.value.position == 4
