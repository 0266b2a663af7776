"""Designs and spaces as values: what is refused, what is one value, how choices are decided."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs as any_designs
from strategies import layers, recipes, spaces

from lightsearch.design import (
    Choice,
    Layer,
    Seq,
    avgpool,
    chooser,
    conv,
    decode,
    depthwise,
    designs,
    dropout,
    enumerate_choices,
    gap,
    gate,
    integer,
    is_decided,
    kind_of,
    kinds,
    linear,
    maxpool,
    maybe,
    named_choices,
    oneof,
    parts,
    record_decisions,
    register_kind,
    repeat,
    replay,
    residual,
    se,
    separable,
    seq,
)
from lightsearch.design.recipe import Recipe
from lightsearch.errors import DesignError

# What is refused ---------------------------------------------------------------------------------

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: conv(0), "conv: `out` must be an integer from 1 to 1000000, but got out=0"),
    (lambda: conv(1_000_001), "`out` must be .* but got out=1000001"),
    (lambda: conv(True), "`out` must be an integer.*out=True"),
    (lambda: conv(8.5), "`out` must be an integer.*out=8.5"),
    (lambda: conv("8"), "`out` must be an integer.*out='8'"),
    (lambda: conv(None), "`out` must be an integer.*out=None"),
    (lambda: conv(gap()), r"`out` must be an integer.*out=gap\(\)"),
    (lambda: conv(8, 4), "`kernel` must be odd where padding='same', but got kernel=4"),
    (lambda: conv(8, 101), r"from 1 to 99, or two of them, \(height, width\), but got kernel=101"),
    (lambda: conv(8, (3, 101)), r"`kernel` must be .* but got kernel=\(3, 101\)"),
    (lambda: conv(8, (3, True)), r"`kernel` must be .* but got kernel=\(3, True\)"),
    (lambda: conv(8, (3, 1, 1)), r"`kernel` must be .* but got kernel=\(3, 1, 1\)"),
    (lambda: conv(8, (3, 2)), r"must be odd where padding='same', but got kernel=\(3, 2\)"),
    (lambda: conv((8, 2)), r"`out` must be an integer.*, but got out=\(8, 2\)"),
    (lambda: conv(8, oneof(3, (3, 3))), "the options of a choice must differ, but got 3 twice"),
    (lambda: maxpool((2, 3), padding=(1, 2)), r"at most half the kernel.*padding=\(1, 2\)"),
    (lambda: oneof((3, 1), gap()), "all layers or all values"),
    (lambda: conv(8, stride=0), "`stride` must be .* but got stride=0"),
    (lambda: conv(8, padding=-1), "`padding` must be .* or 'same', but got padding=-1"),
    (lambda: conv(8, padding="valid"), "`padding` must be .* but got padding='valid'"),
    (lambda: conv(8, groups=0), "`groups` must be an integer .* but got groups=0"),
    (lambda: conv(8, bias=1), "`bias` must be True or False, but got bias=1"),
    (
        lambda: conv(8, norm="instance"),
        "`norm` must be one of batch, group, layer, none, but got norm='instance'",
    ),
    (lambda: conv(8, act="swish"), "`act` must be one of relu, .*none, but got act='swish'"),
    (lambda: conv(8, dropout=1), "`dropout` must be a number from 0 to below 1.*dropout=1"),
    (lambda: conv(8, dropout=math.nan), "`dropout` must be .*nan"),
    (lambda: dropout(-0.1), "dropout: `rate` must be a number.*rate=-0.1"),
    (lambda: dropout(True), "`rate` must be a number.*rate=True"),
    (lambda: dropout(10**400), "`rate` must be a number"),
    (lambda: conv(oneof(8, 0)), "`out` must be an integer.*out=0"),
    (lambda: conv(8, dropout=oneof(0, 0.0)), "options of a choice must differ"),
    (lambda: conv(oneof(gap(), gate())), "`out` must be an integer"),
    (lambda: depthwise(multiplier=0), "depthwise: `multiplier` must be"),
    (lambda: separable(8, 2), "`kernel` must be odd"),
    (lambda: maxpool(2, padding=2), "`padding` must be at most half the kernel.*padding=2"),
    (lambda: avgpool(3, "same"), "avgpool: `stride` must be .*or 'kernel', but got stride='same'"),
    (lambda: linear(0), "linear: `out` must be"),
    (lambda: se(0), "se: `reduction` must be an integer"),
    (lambda: residual([]), "residual: `body` must have at least one layer"),
    (lambda: residual(gap(), shortcut="pad"), "`shortcut` must be one of identity, project"),
    (lambda: residual(oneof(1, 2)), r"a part must be a layer.*oneof\(1, 2\)"),
    (lambda: seq(8), "a part must be a layer, a sequence or a choice, but got 8"),
    (lambda: seq(gap(), "gap"), "a part must be .* but got 'gap'"),
    (lambda: seq([gap(), [None]]), "a part must be .* but got None"),
    (lambda: seq(conv), "a part must be a layer"),
    (lambda: seq(oneof(8, 16)), r"a part must be .* but got oneof\(8, 16\)"),
    (lambda: seq(Recipe()), "a part must be a layer"),
    (lambda: oneof(), "a choice must have at least 2 options, but got none"),
    (lambda: oneof(8, 16, 8), "the options of a choice must differ, but got 8 twice"),
    (lambda: oneof(gap(), [gap()]), r"must differ, but got seq\(gap\(\)\) twice"),
    (lambda: oneof(gap(), 8), "all layers or all values"),
    (lambda: oneof(8, gap()), "all layers or all values"),
    (lambda: oneof(8, oneof(16, 32)), "must not hold another choice"),
    (lambda: oneof(8, 16, name="a b"), "name of a choice must be letters.*name='a b'"),
    (lambda: oneof(8, 16, name="1st"), "name of a choice must be"),
    (lambda: oneof(8, 16, name="_w"), "name of a choice must be"),
    (lambda: oneof(8, 16, name="é"), "name of a choice must be"),
    (lambda: oneof(8, 16, name=""), "name of a choice must be"),
    (lambda: oneof(8, 16, name=Any), "name of a choice must be"),
    (lambda: maybe(seq()), "options of a choice must differ"),
    (lambda: repeat(gap(), -1), "`times` must be an integer from 0 to 1000, but got times=-1"),
    (lambda: repeat(gap(), 1001), "`times` must be .* but got times=1001"),
    (lambda: repeat(gap(), 2.5), "`times` must be an integer.*times=2.5"),
    (lambda: repeat(gap(), oneof(2, -1)), "`times` must be .* but got times=-1"),
    (lambda: repeat(8, 2), "a part must be a layer"),
    (lambda: Recipe(lr=0), "recipe: `lr` must be a number from 1e-08 to 100, but got lr=0"),
    (lambda: Recipe(optimizer="lion"), "`optimizer` must be one of sgd, adam, adamw"),
    (lambda: register_kind("My layer", gap), "name of a layer kind must be .*'My layer'"),
    (lambda: register_kind("conv", gap), "the layer kind 'conv' is registered already"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_an_invalid_value_is_refused_when_it_is_made(
    call: Callable[[], Any], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        call()


# One network, one value --------------------------------------------------------------------------

SAME: list[tuple[Any, Any]] = [
    (seq(gap(), seq(conv(8), seq()), [gate(), [se()]]), seq(gap(), conv(8), gate(), se())),
    (seq([conv(8), gap()]), seq(conv(8), gap())),
    (seq(seq(conv(8))), seq(conv(8))),
    (repeat([conv(8), gap()], 2), seq(conv(8), gap(), conv(8), gap())),
    (repeat(conv(8), 0), seq()),
    (repeat(repeat(conv(8), 2), 3), seq(*[conv(8)] * 6)),
    (maybe(conv(8)), oneof(seq(), conv(8))),
    (oneof(conv(8), gap()), oneof([conv(8)], seq(gap()))),
    (oneof(8), 8),
    (seq(oneof(conv(8))), seq(conv(8))),
    (residual(conv(8)), residual([seq(conv(8))])),
    (conv(8), conv(8, 3, 1, 1)),
    (conv(8, 5, padding="same"), conv(8, 5, padding=2)),
    (conv(8, norm="none", order="act-norm"), conv(8, norm="none")),
    (conv(8, act="none", order="act-norm"), conv(8, act="none")),
    (conv(8, dropout=0, per="channel"), conv(8)),
    (dropout(0), dropout(0.0)),
    (dropout(-0.0), dropout(0.0)),
    (maxpool(3), maxpool(3, 3)),
    (avgpool(3, "kernel"), avgpool(3, 3)),
    (conv(8, dropout=oneof(0, 0.5)), conv(8, dropout=oneof(0.0, 0.5))),
    (Recipe(lr=1, optimizer="adam", momentum=0.5), Recipe(lr=1.0, optimizer="adam")),
    (Recipe(schedule="constant", warmup=0.5, div=3), Recipe(schedule="constant")),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=[repr(other) for _, other in SAME])
def test_two_ways_to_write_a_network_are_one_value(one: Any, other: Any) -> None:
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (conv(8), conv(16)),
        (conv(8), separable(8)),
        (maxpool(), avgpool()),
        (seq(), seq(gap())),
        (seq(conv(8), gap()), seq(gap(), conv(8))),
        (oneof(8, 16), oneof(16, 8)),
        (oneof(8, 16), oneof(8, 16, name="w")),
        (conv(oneof(8, 16)), conv(8)),
        (maybe(conv(8)), oneof(conv(8), seq())),
        (conv(8, padding=oneof("same", 0)), conv(8)),
        (conv(8, order="act-norm"), conv(8)),
        (residual(conv(8)), seq(conv(8))),
    ],
)
def test_different_values_differ(one: Any, other: Any) -> None:
    assert one != other


def test_a_field_that_may_have_an_effect_is_kept() -> None:
    layer = conv(8, act=oneof("none", "gelu"), order="act-norm")
    assert layer.order == "act-norm"
    assert decode(seq(layer), lambda path, options: 0) == seq(conv(8, act="none"))
    assert decode(seq(layer), lambda path, options: 1) == seq(
        conv(8, act="gelu", order="act-norm")
    )


def test_derived_values_wait_for_undecided_fields() -> None:
    space = seq(conv(8, oneof(3, 5)), maxpool(oneof(2, 3)))
    assert (space.parts[0].padding, space.parts[1].stride) == ("same", "kernel")  # type: ignore
    design = decode(space, lambda path, options: 1)
    assert (design.parts[0].padding, design.parts[1].stride) == (2, 3)  # type: ignore


@settings(max_examples=50, deadline=None)
@given(spaces())
def test_values_are_hashable_flat_and_survive_pickling(space: Seq) -> None:
    assert pickle.loads(pickle.dumps(space)) == space
    assert hash(pickle.loads(pickle.dumps(space))) == hash(space)
    assert seq(space) == seq(*space.parts) == seq([space, seq()]) == space
    assert not any(isinstance(part, Seq) for part in space)
    assert len(space) == len(space.parts)


@settings(max_examples=50, deadline=None)
@given(layers(open_=True))
def test_a_layer_is_frozen_and_made_again_from_its_fields(layer: Layer) -> None:
    fields = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}  # type: ignore
    assert type(layer)(**fields) == layer
    for name in fields:
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
            setattr(layer, name, 1)


def test_sequences_choices_and_repeats_are_frozen() -> None:
    for value, name in [
        (seq(gap()), "parts"),
        (oneof(1, 2), "options"),
        (Recipe(), "lr"),
        (repeat(gap(), oneof(1, 2)), "times"),
    ]:
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
            setattr(value, name, 1)


def test_repr_is_the_python_constructor() -> None:
    space = seq(
        conv(oneof(8, 16, name="w"), kernel=1, act="gelu"),
        maybe(gap()),
        repeat(residual(se(), shortcut="project"), oneof(1, 2)),
    )
    assert repr(space) == (
        "seq(conv(oneof(8, 16, name='w'), kernel=1, act='gelu'), oneof(seq(), seq(gap())), "
        "repeat(seq(residual(seq(se()), shortcut='project')), oneof(1, 2)))"
    )


def test_values_that_only_look_alike_become_plain_ones() -> None:
    class Width(int):
        pass

    class Name(str):
        pass

    layer = conv(Width(8), act=Name("gelu"), dropout=Width(0))
    assert [type(v) for v in (layer.out, layer.act, layer.dropout)] == [int, str, float]
    assert math.copysign(1, dropout(-0.0).rate) == 1


# The registry ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Blur(Layer):
    width: int = integer(3)


def test_a_kind_can_be_registered_again_by_the_same_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_KINDS", dict(parts._KINDS))
    monkeypatch.setattr(parts, "_NAMES", dict(parts._NAMES))
    register_kind("blur", Blur)
    register_kind("blur", Blur)  # a notebook cell run twice
    assert kinds()["blur"] is Blur
    assert kind_of(Blur) == "blur"
    assert repr(Blur(5)) == "blur(width=5)"
    assert decode(seq(Blur(oneof(3, 5))), lambda path, options: 1) == seq(Blur(5))


def test_the_registry_is_not_changed_through_the_copy_it_gives() -> None:
    kinds().clear()
    assert kinds()["conv"] is conv


# Deciding ----------------------------------------------------------------------------------------


def _asked(space: Any, taken: int = 0) -> dict[str, tuple[Any, ...]]:
    asked: dict[str, tuple[Any, ...]] = {}

    def choose(path: str, options: tuple[Any, ...]) -> int:
        assert path not in asked, "asked twice"
        asked[path] = options
        return min(taken, len(options) - 1)

    decode(space, choose)
    return asked


def test_the_paths_of_choices() -> None:
    space = seq(
        gap(),
        conv(8, oneof(3, 5), act=oneof("relu", "gelu")),
        oneof(conv(oneof(1, 2)), [gap(), conv(oneof(4, 8)), maybe(gate())]),
        repeat([gap(), conv(oneof(8, 16))], oneof(1, 2)),
        residual([gap(), conv(oneof(8, 16))], shortcut=oneof("identity", "project")),
        conv(oneof(8, 16, name="width")),
        conv(oneof(8, 16, name="width")),
        maybe(conv(oneof(8, 16)), name="extra"),
        repeat(conv(8), oneof(1, 2, name="rounds")),
    )
    assert list(_asked(space, 0)) == [
        "[1].kernel",
        "[1].act",
        "[2]",
        "[2]/0[0].out",
        "[3].times",
        "[3]#0[1].out",
        "[4].body[1].out",
        "[4].shortcut",
        "width",
        "extra",
        "rounds",
    ]
    assert list(_asked(space, 1)) == [
        "[1].kernel",
        "[1].act",
        "[2]",
        "[2]/1[1].out",
        "[2]/1[2]",
        "[3].times",
        "[3]#0[1].out",
        "[3]#1[1].out",
        "[4].body[1].out",
        "[4].shortcut",
        "width",
        "extra",
        "[7]/1[0].out",
        "rounds",
    ]
    assert _asked(space)["[1].kernel"] == (3, 5)
    assert _asked(Recipe(lr=oneof(0.1, 0.3), ema=oneof(0, 0.9, name="e"))) == {
        "recipe.lr": (0.1, 0.3),
        "e": (0.0, 0.9),
    }


def test_a_named_choice_is_one_decision_and_unnamed_ones_are_apart() -> None:
    named, plain = oneof(8, 16, name="w"), oneof(8, 16)
    assert [str(d) for d in designs(seq(conv(named), conv(named)))] == [
        "conv(8) conv(8)",
        "conv(16) conv(16)",
    ]
    assert [str(d) for d in designs(seq(conv(plain), conv(plain)))] == [
        "conv(8) conv(8)",
        "conv(8) conv(16)",
        "conv(16) conv(8)",
        "conv(16) conv(16)",
    ]
    assert [str(d) for d in designs(seq(repeat(conv(named), oneof(1, 2))))] == [
        "conv(8)",
        "conv(16)",
        "conv(8) conv(8)",
        "conv(16) conv(16)",
    ]
    assert [str(d) for d in designs(seq(repeat(conv(plain), oneof(1, 2))))] == [
        "conv(8)",
        "conv(16)",
        "conv(8) conv(8)",
        "conv(8) conv(16)",
        "conv(16) conv(8)",
        "conv(16) conv(16)",
    ]
    # A decided repeat is expanded, and the rounds are decided apart all the same.
    assert len(list(designs(repeat(conv(plain), 3)))) == 8
    assert len(list(designs(repeat(conv(named), 3)))) == 2


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (seq(), [""]),
        (seq(gap()), ["gap"]),
        (seq(maybe(gap())), ["", "gap"]),
        (seq(oneof(gap(), [gate(), se()], seq())), ["gap", "gate se", ""]),
        (seq(maybe(conv(oneof(1, 2)))), ["", "conv(1)", "conv(2)"]),
        (seq(repeat(gap(), oneof(2, 0))), ["gap gap", ""]),
        (seq(residual(conv(oneof(1, 2)))), ["residual([conv(1)])", "residual([conv(2)])"]),
        (seq(oneof(oneof(gap(), gate()), se())), ["gap", "gate", "se"]),
        (seq(maybe(gap(), name="d"), maybe(gap(), name="d")), ["", "gap gap"]),
    ],
)
def test_designs_gives_all_of_a_space(space: Seq, expected: list[str]) -> None:
    assert [str(design) for design in designs(space)] == expected


@settings(max_examples=80, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_a_record_gives_the_same_design(space: Seq, seed: int) -> None:
    record: dict[str, int] = {}
    design = decode(space, record_decisions(chooser(random.Random(seed)), record))
    assert is_decided(design)
    assert decode(space, replay(record)) == design
    assert decode(space, chooser(random.Random(seed))) == design
    assert _asked(design) == {}
    assert decode(design, replay({})) == design


@settings(max_examples=50, deadline=None)
@given(recipes(open_=True), st.integers(0, 2**32))
def test_a_record_gives_the_same_recipe(recipe: Recipe, seed: int) -> None:
    record: dict[str, int] = {}
    decided = decode(recipe, record_decisions(chooser(random.Random(seed)), record))
    assert is_decided(decided)
    assert decode(recipe, replay(record)) == decided


@settings(max_examples=50, deadline=None)
@given(spaces(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_path_always_carries_the_same_options(space: Seq, one: int, other: int) -> None:
    seen: dict[str, tuple[Any, ...]] = {}  # Optuna refuses a categorical whose options change
    for seed in (one, other):
        asked: list[str] = []
        inner = chooser(random.Random(seed))

        def choose(
            path: str, options: tuple[Any, ...], asked: list[str] = asked, inner: Any = inner
        ) -> int:
            assert seen.setdefault(path, options) == options
            asked.append(path)
            return int(inner(path, options))

        decode(space, choose)
        assert len(asked) == len(set(asked))


@settings(max_examples=40, deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_enumeration_reaches_every_record_once(space: Seq, seed: int) -> None:
    found = list(itertools.islice(enumerate_choices(lambda choose: decode(space, choose)), 200))
    records = [tuple(record.items()) for record, _ in found]
    assert len(set(records)) == len(records)
    for record, design in found[:20]:
        assert decode(space, replay(record)) == design
    if len(found) < 200:
        drawn: dict[str, int] = {}
        decode(space, record_decisions(chooser(random.Random(seed)), drawn))
        assert tuple(drawn.items()) in records


@settings(max_examples=40, deadline=None)
@given(any_designs())
def test_a_design_is_a_space_of_one(design: Seq) -> None:
    assert is_decided(design)
    assert list(designs(design)) == [design]
    assert named_choices(design) == {}


def test_chooser_takes_each_option_equally_often() -> None:
    choose, counts = chooser(random.Random(0)), [0, 0, 0]
    for _ in range(3000):
        counts[choose("a", (1, 2, 3))] += 1
    assert all(900 < count < 1100 for count in counts)  # 1000 +- 26 (one sigma)


def test_named_choices_in_their_order() -> None:
    width, block = oneof(8, 16, name="w"), oneof([gap()], [gate()], name="b")
    space = seq(residual(conv(width)), repeat(block, oneof(1, 2, name="n")), conv(width), block)
    assert list(named_choices(space)) == ["w", "n", "b"]
    assert isinstance(named_choices(space)["w"], Choice)


def test_one_name_for_two_choices_is_refused() -> None:
    space = seq(conv(oneof(8, 16, name="w")), residual(conv(oneof(8, 24, name="w"))))
    with pytest.raises(DesignError, match="named 'w' must have the same options everywhere"):
        decode(space, chooser(random.Random(0)))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, r"the record must decide '\[0\].out', but it decides only nothing"),
        ({"[1].out": 0}, r"must decide '\[0\].out', but it decides only \[1\].out"),
        ({"[0].out": 2}, r"must give an index below 2 for '\[0\].out', but got 2"),
        ({"[0].out": -1}, "but got -1"),
        ({"[0].out": True}, "but got True"),
        ({"[0].out": 1.0}, "but got 1.0"),
        ({"[0].out": "1"}, "but got '1'"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(record: Any, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        decode(seq(conv(oneof(8, 16))), replay(record))


def test_a_choice_that_leads_to_a_bad_layer_names_the_place() -> None:
    space = seq(gap(), residual([conv(8, oneof(3, 4))]))
    with pytest.raises(DesignError, match=r"`kernel` must be odd .*kernel=4.*at \[1\].body\[0\]$"):
        decode(space, lambda path, options: 1)
    assert str(decode(space, lambda path, options: 0)) == "gap residual([conv(8)])"


def test_a_body_that_turns_out_empty_names_the_place() -> None:
    with pytest.raises(DesignError, match=r"`body` must have at least one layer.*at \[0\]"):
        decode(seq(residual(maybe(gap()))), lambda path, options: 0)


@pytest.mark.parametrize(
    ("value", "decided"),
    [
        (seq(), True),
        (seq(conv(8)), True),
        (conv(8), True),
        (conv(oneof(8, 16)), False),
        (seq(maybe(gap())), False),
        (seq(repeat(gap(), oneof(1, 2))), False),
        (seq(residual(conv(oneof(8, 16)))), False),
        (seq(residual(conv(8))), True),
        (Recipe(), True),
        (Recipe(lr=oneof(0.1, 0.2)), False),
        (oneof(8, 16), False),
    ],
)
def test_is_decided(value: Any, decided: bool) -> None:
    assert is_decided(value) is decided
