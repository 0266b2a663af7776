"""The text notation: what each text means, that it comes back, and how it is refused."""

from __future__ import annotations

import html
import random
import re
import time
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs, layers, recipes, spaces

import lightsearch
from lightsearch.design import (
    Layer,
    Seq,
    adaptive,
    avgpool,
    conv,
    depthwise,
    dropout,
    flag,
    gap,
    gate,
    ghost,
    integer,
    inverted,
    kinds,
    linear,
    maxpool,
    maybe,
    oneof,
    pad,
    parts,
    real,
    register_kind,
    repeat,
    residual,
    se,
    separable,
    seq,
    word,
)
from lightsearch.design.fields import body, specs
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError, DesignError, NotationError
from lightsearch.notation.formatter import format_text
from lightsearch.notation.parser import MAX_DEPTH, MAX_LAYERS, parse, parse_recipe

WIDTH = oneof(8, 16, name="w")
BLOCK = oneof([conv(8)], [separable(8), maxpool()], name="block")

# Text as the formatter writes it, and its value.
CANONICAL: list[tuple[str, Seq]] = [
    ("", seq()),
    ("gap", seq(gap())),
    ("conv(16,k=1,gelu,dropout=0.1)", seq(conv(16, kernel=1, act="gelu", dropout=0.1))),
    (
        "conv(8) maxpool conv(16,p=0) gap linear(10)",
        seq(conv(8), maxpool(), conv(16, padding=0), gap(), linear(10)),
    ),
    (
        "conv(8,k=5,s=2,g=4,bias,norm=none,act=none)",
        seq(conv(8, 5, 2, groups=4, bias=True, norm="none", act="none")),
    ),
    (
        "conv(8,act-norm,dropout=0.25,channel)",
        seq(conv(8, order="act-norm", dropout=0.25, per="channel")),
    ),
    (
        "depthwise(k=5,m=2) separable(16,inner,silu)",
        seq(depthwise(5, multiplier=2), separable(16, inner=True, act="silu")),
    ),
    (
        "maxpool(k=3,p=1) maxpool(s=1) avgpool(k=7)",
        seq(maxpool(3, padding=1), maxpool(2, 1), avgpool(7)),
    ),
    ("linear(10,bias=false) linear(10,relu)", seq(linear(10, bias=False), linear(10, act="relu"))),
    (
        "dropout(1e-05) dropout(0.5,channel) gate se se(reduction=8)",
        seq(dropout(1e-5), dropout(0.5, per="channel"), gate(), se(), se(8)),
    ),
    (
        "residual([conv(8) conv(8)],project,relu)",
        seq(residual([conv(8), conv(8)], shortcut="project", act="relu")),
    ),
    ("residual([residual([gate])])", seq(residual(residual(gate())))),
    # Two numbers, height and width.
    (
        "conv(8,k=3x1) conv(8,k=5x3,s=2x1,p=0x2,d=1x2)",
        seq(conv(8, (3, 1)), conv(8, (5, 3), (2, 1), (0, 2), dilation=(1, 2))),
    ),
    (
        "depthwise(k=1x3) separable(8,k=3x5,p=0)",
        seq(depthwise((1, 3)), separable(8, kernel=(3, 5), padding=0)),
    ),
    ("maxpool(k=2x1) avgpool(k=2x3,s=1,p=1x0)", seq(maxpool((2, 1)), avgpool((2, 3), 1, (1, 0)))),
    (
        "conv(8,k=3|3x1|1x3,p=same|1x0)",
        seq(conv(8, oneof(3, (3, 1), (1, 3)), padding=oneof("same", (1, 0)))),
    ),
    ("conv(8,k=@k:3x1|1x3) conv(8,k=@k)", seq(*[conv(8, oneof((3, 1), (1, 3), name="k"))] * 2)),
    (
        "inverted(8,k=5x3,s=1x2) ghost(8,k=1x3)",
        seq(inverted(8, kernel=(5, 3), stride=(1, 2)), ghost(8, (1, 3))),
    ),
    ("pad(1x0) pad(0,a=1x2,reflect)", seq(pad((1, 0)), pad(0, (1, 2), "reflect"))),
    (
        "adaptive(2) adaptive(4x1,max) adaptive(7|3x5,by=average|max)",
        seq(
            adaptive(2),
            adaptive((4, 1), "max"),
            adaptive(oneof(7, (3, 5)), by=oneof("average", "max")),
        ),
    ),
    # What is put around the image.
    (
        "conv(8,reflect) depthwise(k=5,replicate) separable(8,p=1x0,circular) pad(1,circular)",
        seq(
            conv(8, border="reflect"),
            depthwise(5, border="replicate"),
            separable(8, padding=(1, 0), border="circular"),
            pad(1, mode="circular"),
        ),
    ),
    (
        "conv(8,border=zeros|reflect) conv(8,k=1|3,reflect)",
        seq(conv(8, border=oneof("zeros", "reflect")), conv(8, oneof(1, 3), border="reflect")),
    ),
    # Choices of values.
    (
        "conv(8|16|32,k=3|5,act=relu|gelu)",
        seq(conv(oneof(8, 16, 32), oneof(3, 5), act=oneof("relu", "gelu"))),
    ),
    (
        "conv(8,p=same|0,bias=false|true,dropout=0|0.1)",
        seq(conv(8, padding=oneof("same", 0), bias=oneof(False, True), dropout=oneof(0.0, 0.1))),
    ),
    ("conv(@w:8|16) conv(@w) conv(@w,k=5)", seq(conv(WIDTH), conv(WIDTH), conv(WIDTH, 5))),
    ("maxpool(k=2|3) maxpool(k=2|3,s=2)", seq(maxpool(oneof(2, 3)), maxpool(oneof(2, 3), 2))),
    ("conv(8,k=@a:1|3,g=@a)", seq(conv(8, oneof(1, 3, name="a"), groups=oneof(1, 3, name="a")))),
    # Choices of layers, presence, repeats.
    ("[conv(8) | separable(8) maxpool]", seq(oneof([conv(8)], [separable(8), maxpool()]))),
    ("[@block: conv(8) | separable(8) maxpool] gap [@block]", seq(BLOCK, gap(), BLOCK)),
    (
        "conv(8)? [gap linear(3)]? conv(8)?@d [@d]",
        seq(maybe(conv(8)), maybe([gap(), linear(3)]), *[maybe(conv(8), name="d")] * 2),
    ),
    ("[conv(8) |] [| conv(8) | gap]", seq(oneof(conv(8), seq()), oneof(seq(), conv(8), gap()))),
    ("[conv(8)?]? [conv(8) | gap]?", seq(maybe(maybe(conv(8))), maybe(oneof(conv(8), gap())))),
    (
        "[conv(8) maxpool]*(2|3) conv(8)*(@n:1|2) gap*@n",
        seq(
            repeat([conv(8), maxpool()], oneof(2, 3)),
            repeat(conv(8), oneof(1, 2, name="n")),
            repeat(gap(), oneof(1, 2, name="n")),
        ),
    ),
    (
        "[conv(@w:8|16) conv(@w)?]*(0|2)",
        seq(repeat([conv(WIDTH), maybe(conv(WIDTH))], oneof(0, 2))),
    ),
    (
        "residual([conv(8) | gate],shortcut=identity|project)",
        seq(residual(oneof(conv(8), gate()), shortcut=oneof("identity", "project"))),
    ),
    ("residual([conv(8)?])", seq(residual(maybe(conv(8))))),
    (
        "[conv(8)*(1|2)]? []*(1|2)",
        seq(maybe(repeat(conv(8), oneof(1, 2))), repeat(seq(), oneof(1, 2))),
    ),
]


@pytest.mark.parametrize(("text", "value"), CANONICAL, ids=[text for text, _ in CANONICAL])
def test_a_text_means_its_value_and_comes_back(text: str, value: Seq) -> None:
    assert parse(text) == value
    assert format_text(value) == text
    assert str(value) == text


# Other ways to write the same, which are read too.
@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  conv( 8 ,\tkernel = 3 )\n gap ( ) ", "conv(8) gap"),
        ("conv(out=8,act=gelu,norm=batch,padding=1)", "conv(8,gelu)"),
        ("conv(8,k=3,p=same,stride=1,bias=false)", "conv(8)"),
        ("linear(10,bias) linear(10,bias=true)", "linear(10) linear(10)"),
        ("conv(+8,dropout=.10) conv(8,dropout=1e-1)", "conv(8,dropout=0.1) conv(8,dropout=0.1)"),
        ("[conv(8)]*3", "conv(8) conv(8) conv(8)"),
        ("[conv(8) gap]*(2) gap*0 gap*1", "conv(8) gap conv(8) gap gap"),
        ("[conv(8) [gap]] []", "conv(8) gap"),
        ("[ | conv(8)] [@x: | gap]", "conv(8)? gap?@x"),
        ("conv(8)?? conv(8)*(1|2)?", "[conv(8)?]? [conv(8)*(1|2)]?"),
        ("conv(8)?@d?", "[conv(8)?@d]?"),
        ("[[conv(8)|gap]]?", "[conv(8) | gap]?"),
        ("residual(conv(8),project)", "residual([conv(8)],project)"),
        ("residual([conv(8) conv(8)]*2)", "residual([conv(8) conv(8) conv(8) conv(8)])"),
        ("residual(act=relu,body=[gate])", "residual([gate],relu)"),
        ("conv(8,dropout=0,channel) conv(8,act=none,act-norm)", "conv(8) conv(8,act=none)"),
        ("conv(@w:8|16) conv(@w:8|16)", "conv(@w:8|16) conv(@w)"),
        ("conv(8)[gap|gate]conv(8)gap", "conv(8) [gap | gate] conv(8) gap"),
        ("[conv(@w:8|16)]*0 conv(@w)", "conv(@w:8|16)"),
        ("conv(8,k=3x3,stride=2x2,p=1x1,d=1x1)", "conv(8,s=2)"),
        ("conv(8,kernel=03x01) maxpool(3x1,s=3x1)", "conv(8,k=3x1) maxpool(k=3x1)"),
        ("conv(8,k=3x1,d=2x3) conv(8,k=1x3,d=4x2)", "conv(8,k=3x1,d=2) conv(8,k=1x3,d=2)"),
        ("conv(8,zeros) conv(8,k=1,reflect)", "conv(8) conv(8,k=1)"),
        ("conv(8,p=0,border=circular) conv(8,border=reflect)", "conv(8,p=0) conv(8,reflect)"),
        ("conv(8,k=5x3|3,d=1) pad(1x2,a=1x2)", "conv(8,k=5x3|3) pad(1x2)"),
    ],
)
def test_other_ways_to_write_the_same(text: str, same: str) -> None:
    assert str(parse(text)) == same


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("recipe", Recipe()),
        ("recipe(lr=0.3,rotation=7,ema=0.998)", Recipe(lr=0.3, rotation=7, ema=0.998)),
        ("recipe(erasing=0.5,flip=0.5,fill=mean)", Recipe(flip=0.5, erasing=0.5, fill="mean")),
        (
            "recipe(adamw,lr=0.001|0.003,cosine,batch=64|128)",
            Recipe(
                optimizer="adamw",
                lr=oneof(0.001, 0.003),
                schedule="cosine",
                batch_size=oneof(64, 128),
            ),
        ),
        (
            "recipe(lr=@r:0.1|0.3,decay=1e-05,shift=@r)",
            Recipe(
                lr=oneof(0.1, 0.3, name="r"), weight_decay=1e-5, shift=oneof(0.1, 0.3, name="r")
            ),
        ),
    ],
)
def test_recipes(text: str, value: Recipe) -> None:
    assert parse_recipe(text) == value
    assert str(value) == text


def test_recipe_words_and_brackets_are_optional() -> None:
    assert parse_recipe(" recipe ( schedule=step , step = 4 ) ") == Recipe(
        schedule="step", step_size=4
    )
    assert parse_recipe("recipe()") == Recipe()


# Every space, design and recipe comes back -------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(spaces())
def test_spaces_come_back(space: Seq) -> None:
    text = format_text(space)
    assert parse(text) == space
    assert "\n" not in text and "  " not in text


@settings(max_examples=100, deadline=None)
@given(designs())
def test_designs_come_back(design: Seq) -> None:
    assert parse(str(design)) == design


@settings(max_examples=100, deadline=None)
@given(recipes(open_=True))
def test_recipes_come_back(recipe: Recipe) -> None:
    assert parse_recipe(str(recipe)) == recipe


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 0.999), st.floats(1e-8, 100))
def test_numbers_come_back_to_the_last_bit(rate: float, lr: float) -> None:
    assert parse(str(dropout(rate))).parts[0].rate == rate  # type: ignore[union-attr]
    assert parse_recipe(str(Recipe(lr=lr))).lr == lr


@settings(max_examples=100, deadline=None)
@given(layers(open_=True))
def test_a_layer_alone_is_written_as_in_a_sequence(layer: Layer) -> None:
    assert format_text(layer) == format_text(seq(layer))


def test_the_type_of_a_named_choice_is_kept_where_its_options_only_look_equal() -> None:
    odd = seq(conv(8, bias=oneof(True, False, name="x")), maxpool(padding=oneof(1, 0, name="x")))
    assert str(odd) == "conv(8,bias=@x:true|false) maxpool(p=@x:1|0)"
    assert parse(str(odd)) == odd
    assert [type(o) for o in parse(str(odd)).parts[1].padding.options] == [int, int]  # type: ignore


# Kinds that users add ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Shake(Layer):
    """A kind with flags that default to true, negative numbers, and ambiguous words."""

    left: str = word("none", ("none", "both", "wide"))
    right: str = word("none", ("none", "both"))
    wide: bool = flag(True, short="wide")
    deep: bool = flag(False, short="d")
    bias: float = real(0.0, low=-5.0)
    shift: int = integer(0, low=-(10**30), high=10**30)


@dataclass(frozen=True, slots=True, repr=False)
class Wrap(Layer):
    mode: str = word(MISSING, ("mean", "max"))
    inner: Seq = body()
    other: Seq = body()
    size: int = integer(1)


@pytest.fixture
def own_kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(parts, "_KINDS", dict(parts._KINDS))
    monkeypatch.setattr(parts, "_NAMES", dict(parts._NAMES))
    register_kind("shake", Shake)
    register_kind("wrap2", Wrap)
    yield


@pytest.mark.parametrize(
    "text",
    [
        "shake",
        "shake(left=both,right=both)",
        "shake(wide=false,d,bias=-0.5,shift=-3)",
        "shake(left=wide)",
        "shake(d=false|true,bias=-1|0.5)",
        "shake(shift=123456789012345678901234567890)",
        "wrap2(mean,inner=[conv(8)],other=[gap shake],size=2)",
        "wrap2(mean|max,inner=[conv(8) | gap],other=[conv(8)?])",
    ],
)
def test_a_registered_kind_is_read_and_written(own_kinds: None, text: str) -> None:
    assert str(parse(text)) == text


def test_a_registered_kind_from_python(own_kinds: None) -> None:
    assert (
        str(seq(Wrap("max", conv(8), [gap(), gate()])))
        == "wrap2(max,inner=[conv(8)],other=[gap gate])"
    )
    assert parse("wrap2(mode=max,inner=conv(8),other=[gap gate])") == seq(
        Wrap("max", conv(8), [gap(), gate()])
    )
    assert parse("shake(wide=true,deep)") == seq(Shake(deep=True))
    with pytest.raises(NotationError, match=r"must be one of .*shake.*; did you mean 'shake'"):
        parse("shke")
    with pytest.raises(NotationError, match="left=both or right=both"):
        parse("shake(both)")
    with pytest.raises(NotationError, match=r"left=wide or wide=true"):
        parse("shake(wide)")


def test_a_kind_is_unknown_before_it_is_registered() -> None:
    with pytest.raises(
        NotationError, match=r"layer kind must be one of .*conv, .* but got 'shake'"
    ):
        parse("shake")


def test_words_that_the_notation_cannot_hold_are_refused_at_registration() -> None:
    @dataclass(frozen=True, slots=True, repr=False)
    class Spaced(Layer):
        mode: str = word("a", ("a", "b c"))

    @dataclass(frozen=True, slots=True, repr=False)
    class Twice(Layer):
        size: int = integer(1, short="s")
        s: int = integer(1)

    with pytest.raises(DesignError, match=r"`mode` must be letters.* but got 'b c'"):
        register_kind("spaced", Spaced)
    with pytest.raises(DesignError, match="must differ, but got 's' twice"):
        register_kind("twice", Twice)


# The document ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for n, cls in kinds().items() if cls.__module__.startswith("lightsearch.")]
)
def test_the_table_of_layers_in_the_docs_is_complete(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
    fields = []
    for spec in specs(kinds()[name]):
        short = f" (`{spec.short}`)" if spec.short != spec.name else ""
        default = ", required" if spec.required else f" = {_as_text(spec.default)}"
        fields.append(f"`{spec.name}`{short}{default}")
    assert f"\n| `{name}` | {'; '.join(fields) or 'none'} |\n" in text


def test_the_two_sides_of_the_table_in_the_docs_are_equal() -> None:
    text = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)`[^|]*\| (?:`|<code>)([^`<]+)", text, re.MULTILINE)
    written = [(python, html.unescape(notation)) for python, notation in rows if "(" in python]
    assert len(written) == 19
    for python, notation in written:
        value = eval(
            python, vars(lightsearch) | {n: getattr(lightsearch, n) for n in lightsearch.__all__}
        )
        read = parse_recipe if notation.startswith("recipe(") else parse
        assert read(notation) == (value if isinstance(value, lightsearch.Recipe) else seq(value))


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


# Errors ------------------------------------------------------------------------------------------

# Each text is followed by a line with a caret under the place.
ERRORS = [
    ("cnv(8)\n^", "layer kind must be one of .*conv.*but got 'cnv'; did you mean 'conv'"),
    ("conv(8) pool\n        ^", "did you mean 'maxpool'|but got 'pool'"),
    ("recipe(lr=1)\n^", "a recipe must be read with `parse_recipe`"),
    ("conv(8,kern=3)\n       ^", "conv: the field must be one of out, kernel, k.*'kernel'"),
    ("gap(k=3)\n    ^", "gap: there must be no fields, but got 'k'"),
    ("gap(3)\n    ^", r"expected `\)`, as gap has no fields, but got '3'"),
    ("conv(8,k=3,kernel=3)\n           ^", "`kernel` must be given once"),
    ("conv(8,relu,gelu)\n            ^", "`act` must be given once"),
    ("conv(0)\n     ^", "conv: `out` must be an integer from 1 to 1000000, but got out=0"),
    ("conv(1.5)\n     ^", "`out` must be an integer.*out=1.5"),
    ("conv(8|x)\n       ^", "`out` must be an integer.*out='x'"),
    ("conv(8,k=3|100)\n           ^", "`kernel` must be an integer from 1 to 99.*kernel=100"),
    ("conv(8,k=3|3x100)\n           ^", r"`kernel` must be .* two of them.*kernel=\(3, 100\)"),
    ("conv(8,k=3x2)\n       ^", r"`kernel` must be odd where padding='same'.*kernel=\(3, 2\)"),
    ("adaptive\n^", "adaptive: `size` must be an integer from 1 to 99, or two of them"),
    ("adaptive(2x0)\n         ^", r"`size` must be .* but got size=\(2, 0\)"),
    ("adaptive(2,min)\n           ^", "the word must be one of average, max, but got 'min'"),
    ("conv(8,border=mirror)\n              ^", "`border` must be one of zeros, .*border='mirror'"),
    ("conv(8,reflekt)\n       ^", "the word must be one of .*'reflekt'; did you mean 'reflect'"),
    ("conv(8,border)\n       ^", "'border' must be given a value: border=..."),
    ("conv(8x2)\n     ^", r"`out` must be an integer from 1 to 1000000, but got out=\(8, 2\)"),
    ("conv(8,k=3|3x3)\n         ^", "the options of a choice must differ, but got 3 twice"),
    ("conv(8,k=3 x1)\n           ^", "expected `,` or `\\)`, but got 'x1'"),
    ("conv(8,k=3x)\n          ^", "expected `,` or `\\)`, but got 'x'"),
    ("conv(8,k=3x1x1)\n          ^", "expected `,` or `\\)`, but got 'x1x1'"),
    ("conv(8,k=1.5x1)\n         ^", "`kernel` must be .*kernel=1.5"),
    ("conv(8)*(2x1)\n         ^", r"`times` must be an integer.*times=\(2, 1\)"),
    ("conv(8)*2x1\n         ^", "the layer kind must be one of .*'x1'"),
    ("conv(8,dropout=1)\n               ^", "`dropout` must be a number from 0 to below 1"),
    ("conv(8,dropout=1e999)\n               ^", "dropout=inf"),
    ("conv(8,act=gleu)\n           ^", "`act` must be one of relu, gelu.*act='gleu'"),
    ("conv(8,gleu)\n       ^", "the word must be one of .*'gleu'; did you mean 'gelu'"),
    ("conv(8,none)\n       ^", "'none' must be written with its field: norm=none or act=none"),
    ("conv(8,stride)\n       ^", "'stride' must be given a value: stride="),
    ("conv(8,bias=1)\n            ^", "`bias` must be True or False, but got bias=1"),
    ("conv(8,3)\n       ^", "expected a field, such as name=value, but got '3'"),
    ("maxpool(3,2)\n          ^", "expected a field, such as name=value, but got '2'"),
    ("norm(3)\n     ^", "expected a field, such as name=value, but got '3'"),
    ("conv(k=4,8)\n         ^", "expected a field"),
    ("gap conv(8,s=2,k=4)\n               ^", "conv: `kernel` must be odd where padding='same'"),
    ("conv(8,s=2,k=4,p=same)\n           ^", "`kernel` must be odd"),
    ("maxpool(p=2)\n        ^", "maxpool: `padding` must be at most half the kernel"),
    ("gap conv\n    ^", "conv: `out` must be an integer.*but got nothing"),
    ("conv(k=3)\n^", "`out`.*but got nothing"),
    ("residual(project)\n         ^", "layer kind must be one of .*'project'"),
    ("residual([])\n         ^", "residual: `body` must have at least one layer"),
    ("residual(8)\n         ^", r"expected a layer, such as conv\(8\), or `\[`, but got '8'"),
    ("conv(8|)\n       ^", r"expected a value, but got '\)'"),
    ("conv(8|8)\n     ^", "options of a choice must differ, but got 8 twice"),
    ("dropout(0|0.0)\n        ^", "must differ, but got 0.0 twice"),
    ("conv([8|16])\n     ^", r"expected a value, but got '\['"),
    ("conv(8,)\n       ^", "expected a field"),
    ("conv(8 k=3)\n       ^", r"expected `,` or `\)`, but got 'k'"),
    ("conv(8\n      ^", "expected `,` or `\\)`, but got the end of the text"),
    ("conv(\n     ^", "expected a value, but got the end of the text"),
    ("gap [conv(8) | gap\n    ^", r"`\[` must be closed by `\]`, but the text ends"),
    ("conv(8)]\n       ^", r"`\]` must close a bracket, but none is open"),
    ("conv(8) | gap\n        ^", r"a choice of layers must stand in brackets: \[a \| b\]"),
    ("conv(8), gap\n       ^", "expected a layer.* but got ','"),
    ("conv(8) $ gap\n        ^", "expected a layer.* but got '\\$'"),
    ("conv(8)) gap\n       ^", "expected a layer"),
    ("8\n^", "expected a layer"),
    ("gap*\n    ^", "expected a number of times.*but got the end"),
    ("gap*x\n    ^", "expected a number of times"),
    ("gap*-1\n    ^", "`times` must be an integer from 0 to 1000, but got times=-1"),
    ("gap*(2|1001)\n       ^", "`times` must be an integer from 0 to 1000.*1001"),
    ("gap*(2\n      ^", r"expected `\|` or `\)`, but got the end"),
    ("gap?*(2|2)\n      ^", "options of a choice must differ, but got 2 twice"),
    ("[gap | gap]\n^", r"options of a choice must differ, but got seq\(gap\(\)\) twice"),
    ("[@b: gap]\n^", "a choice must have at least 2 options, but got one"),
    ("conv(@w:8)\n     ^", "a choice must have at least 2 options"),
    ("[]?\n^", "options of a choice must differ, but got seq\\(\\) twice"),
    ("conv(@w)\n     ^", "@w must have its options where it first stands"),
    ("[@b]\n^", "@b must have its options where it first stands"),
    ("conv(@w:8|16) conv(@w:8|24)\n                   ^", "@w must have the same options"),
    ("[@b: gap | gate] gap?@b\n                 ^", "@b must have the same options everywhere"),
    ("[@b: gap | gate] conv(@b)\n                      ^", "@b must be a choice of values"),
    ("conv(@b:8|9) [@b]\n             ^", "@b must be a choice of layers"),
    (
        "conv(8,act=@f:relu|gelu,k=@f)\n                          ^",
        "`kernel` must be an integer.*'relu'",
    ),
    ("conv(8,bias=@f:true|false,act=@f)\n                              ^", "`act` must be one of"),
    ("conv(@:8|16)\n      ^", "expected the name of a choice, but got ':'"),
    ("conv(@a-b:8|16)\n     ^", "name of a choice must be letters, digits and _.*'a-b'"),
    ("conv(@_a:8|16)\n     ^", "name of a choice must be letters, digits and _"),
    ("[@b conv(8)]\n    ^", r"expected `:` and the options, or `\]`"),
    ("conv(" + "9" * 101 + ")\n     ^", "a number must have at most 100 characters"),
    ("[" * 51 + "\n" + " " * 50 + "^", "blocks must nest at most 50 deep"),
    ("gap" + "?" * 51 + "\n^", "blocks must nest at most 50 deep"),
    ("[gap*1000]*11\n          ^", "at most 10000 layers"),
    ("gap [[gap*1000]*1000]*0\n               ^", "at most 10000 layers"),
    ("[gap*(1|1000)]*(1|11)\n              ^", "at most 10000 layers"),
]


@pytest.mark.parametrize(("marked", "message"), ERRORS, ids=range(len(ERRORS)))
def test_an_error_shows_the_place(marked: str, message: str) -> None:
    text, mark = marked.split("\n")
    with pytest.raises(NotationError, match=message) as caught:
        parse(text)
    assert caught.value.position == mark.index("^")
    assert caught.value.text == text
    if len(text) < 60:
        assert str(caught.value).endswith(f"  {text}\n  {mark}")


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, r"expected recipe\(\.\.\.\), but got the end of the text"),
        ("conv(8)", 0, r"expected recipe\(\.\.\.\), but got 'conv'"),
        ("recipe(lr=0.1) gap", 15, "expected the end of the text, but got 'gap'"),
        ("recipe(lr=-1)", 10, "recipe: `lr` must be a number from 1e-08 to 100, but got lr=-1"),
        ("recipe(sdg)", 7, "did you mean 'sgd'"),
        ("recipe(mean)", 7, "recipe: the word must be one of sgd"),
        ("recipe(flip=2)", 12, "recipe: `flip` must be a number from 0 to 1, but got flip=2"),
        ("recipe(fill=grey)", 12, "recipe: `fill` must be one of black, mean, own, but got"),
        ("recipe(learning=1)", 7, "recipe: the field must be one of optimizer, lr"),
        ("recipe(ema=[gap])", 11, "expected a value"),
    ],
)
def test_recipe_errors(text: str, position: int, message: str) -> None:
    with pytest.raises(NotationError, match=message) as caught:
        parse_recipe(text)
    assert caught.value.position == position


@pytest.mark.parametrize("value", [None, 3, b"gap", ["gap"], gap(), seq(gap())])
def test_a_value_that_is_not_text_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="`text` must be a string, but got text="):
        parse(value)
    with pytest.raises(ArgumentError, match="`text` must be a string, but got text="):
        parse_recipe(value)


@pytest.mark.parametrize("value", ["gap", None, oneof(1, 2), [gap()]])
def test_a_value_without_notation_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="`value` must be a design, space, layer or recipe"):
        format_text(value)


# Any text ----------------------------------------------------------------------------------------

PIECES = [
    "conv",
    "gap",
    "residual",
    "maxpool",
    "linear",
    "dropout",
    "recipe",
    "(",
    ")",
    "[",
    "]",
    "|",
    ",",
    "=",
    "@",
    ":",
    "?",
    "*",
    " ",
    "8",
    "0.5",
    "-1",
    "1e9",
    "w",
    "k",
    "act",
    "relu",
    "none",
    "true",
    "bias",
    "same",
    "3x1",
    "x2",
    "conv(8)",
    "(1|2)",
    "@w:8|16",
    "\n",
    "é",
    "\0",
    "٣",
    "$",
]


def _survives(text: str) -> None:
    for read in (parse, parse_recipe):
        try:
            value: Any = read(text)
        except NotationError as error:
            assert 0 <= error.position <= len(text)
            assert error.text == text
        else:
            assert read(str(value)) == value


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    _survives(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_pieces_are_read_or_refused(text: str) -> None:
    _survives(text)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([text for text, _ in CANONICAL] + ["recipe(sgd,lr=@r:0.1|0.3,shift=@r)"]),
    st.randoms(use_true_random=False),
)
def test_a_text_with_a_mistake_is_read_or_refused(text: str, generator: random.Random) -> None:
    for _ in range(generator.randrange(1, 4)):
        start = generator.randrange(len(text) + 1)
        end = min(len(text), start + generator.randrange(3))
        text = text[:start] + generator.choice([*PIECES, "", "", text[:9]]) + text[end:]
    _survives(text)


# Bounds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nested",
    [
        "[" * MAX_DEPTH + "gap | gate" + "]" * MAX_DEPTH,
        "residual([" * MAX_DEPTH + "gate" + "])" * MAX_DEPTH,
        "residual(" * MAX_DEPTH + "gate" + ")" * MAX_DEPTH,
        "gap" + "?" * MAX_DEPTH,
        "gap" + "*(0|1)" * MAX_DEPTH,
        "[" * 25 + "gap" + "??]" * 25,
    ],
)
def test_the_deepest_allowed_nesting_comes_back(nested: str) -> None:
    space = parse(nested)
    assert parse(str(space)) == space


@pytest.mark.parametrize(
    "text",
    [
        "residual(" * 1000 + "gate" + ")" * 1000,
        "[" * 5000 + "]" * 5000,
        "gap" + "?" * 9997,
        "gap" + "*(0|1)" * 1000,
        "[gap?]?" * 10 + "[" * 9000,
        "[" * 26 + "gap" + "??]" * 26,
        "gap?*(1|2)" + "?*(1|2)" * 500,
    ],
)
def test_deeper_is_refused(text: str) -> None:
    with pytest.raises(NotationError, match=r"at most 50 deep|at most 10000 layers"):
        parse(text)


def test_the_number_of_layers_is_bounded() -> None:
    assert len(parse("[gap*1000]*10")) == MAX_LAYERS
    assert len(parse("[gap*(0|1000)]*(0|10)")) == 1
    doubled = "[@a: gap gap | gate]" + "".join(
        f" [@{chr(98 + i)}: [@{chr(97 + i)}] [@{chr(97 + i)}] | gate]" for i in range(20)
    )
    with pytest.raises(NotationError, match="at most 10000 layers"):
        parse(doubled)
    with pytest.raises(NotationError, match="at most 10000 layers"):
        parse("[gap*1000]*9 " * 2)
    with pytest.raises(NotationError, match="at most 10000 layers"):
        parse("[[gap*1000]*9]*0 " * 50)


@pytest.mark.parametrize(
    "unit",
    [
        "conv(8) ",
        "conv(8|16,k=3|5,act=relu|gelu) ",
        "[conv(8) | gap] ",
        "residual([gap]) ",
        "gap? ",
        "gap*(1|2) ",
        "[",
        "[gap|",
        "(",
        "1",
        "x",
        "x ",
        " ",
        "@",
        "conv(8,k=3,",
        "?",
        "gap*",
        "-",
        "|",
        "conv(@w:8|16) ",
        "1e",
        "$",
        "\n",
        "[[gap*1000]*9]*0 ",
        "conv(8,p=same|0|1|2|3,bias=true|false) ",
    ],
)
def test_ten_thousand_characters_take_far_less_than_a_second(unit: str) -> None:
    text = (unit * (10_000 // len(unit) + 1))[:10_000]
    start = time.process_time()
    try:
        str(parse(text))
    except NotationError:
        pass
    assert time.process_time() - start < 1.0


def test_time_grows_linearly() -> None:
    def seconds(copies: int) -> float:
        best = 9.0
        for _ in range(2):
            start = time.process_time()
            parse("conv(8|16,k=3) [gap | gate]? " * copies)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(400) < 16 * seconds(50)  # 8 times the text
