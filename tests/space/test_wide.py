"""Spaces with very many widths: the part of the graph within the budget, its exact counts."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest

from lightsearch.design import Seq, conv, decode, enumerate_choices, linear, oneof, separable
from lightsearch.errors import BudgetError, DesignError
from lightsearch.network.cost import Budget, cost
from lightsearch.network.lowering import lower
from lightsearch.notation.parser import parse
from lightsearch.space import Sampler, counting, sampling, survey
from lightsearch.space.graph import Graph
from lightsearch.space.outcomes import ignores_channels

SHAPE = (2, 7, 6)


def widths(first: int, last: int) -> str:
    return "|".join(map(str, range(first, last + 1)))


def list_designs(space: Seq, classes: int) -> list[tuple[tuple[tuple[str, int], ...], int]]:
    """Return the record and the parameters of every valid design, by brute force."""

    def make(choose: Any) -> int | None:
        try:
            return cost(decode(space, choose), SHAPE, classes).params
        except DesignError:
            return None

    return [
        (tuple(record.items()), params)
        for record, params in enumerate_choices(make)
        if params is not None
    ]


SPACES = (
    f"[conv({widths(2, 21)},k=1|3)]*2 gap linear(3)",
    f"conv({widths(1, 12)},act=relu|gelu) maxpool? [conv(@w:{widths(2, 9)}) | "
    "separable(@w,k=3|5,inner)]*(1|2) linear(3)",
    f"conv({widths(1, 12)}) conv(2|4|6,groups=1|2,order=act-norm|norm-act) "
    f"separable({widths(1, 9)},norm=batch|none) gap linear(3)",
    f"conv({widths(1, 9)}) residual([conv({widths(1, 9)},k=1|3)],project) linear(3)",
    f"conv({widths(1, 9)}) loop([conv({widths(1, 9)},k=1|3)],1|2) gap linear(3)",
    f"conv({widths(1, 20)},p=0|same) conv({widths(1, 9)},k=6,p=0) conv(3,k=1) gap",
    f"add([conv({widths(1, 9)})],[conv({widths(1, 9)},k=1)]) separable(2|3|4) gap linear(3)",
)


@pytest.mark.parametrize("text", SPACES, ids=range(len(SPACES)))
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 1.0])
def test_the_part_within_the_budget_counts_what_brute_force_counts(
    text: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (counting, sampling):
        monkeypatch.setattr(module, "try_graph", lambda *arguments: None)
    space = parse(text)
    designs = list_designs(space, 3)
    sizes = sorted(params for _, params in designs)
    cap = sizes[int(share * (len(sizes) - 1))]
    inside = {record for record, params in designs if params <= cap}
    found = survey(space, SHAPE, 3, Budget(params=cap))
    assert found.exact and (found.designs, found.within) == (len(designs), len(inside))
    assert dict(found.counts) == Counter(size for size in sizes if size <= cap)
    assert found.beyond == len(designs) - len(inside)
    assert (found.smallest_params, found.largest_params) == (sizes[0], cap)
    assert dict(found.decisions) in [dict(record) for record in inside]
    assert cost(found.smallest, SHAPE, 3).params == sizes[0]
    sampler = Sampler(space, SHAPE, 3, Budget(params=cap))
    assert sampler.valid and sampler.within_params and sampler.total == len(inside)
    drawn = {
        tuple(sampler.get_candidate(number).decisions.items()) for number in range(len(inside))
    }
    assert drawn == inside
    with pytest.raises(BudgetError, match=rf"the smallest is `.*` with {sizes[0]}$"):
        survey(space, SHAPE, 3, Budget(params=sizes[0] - 1))


@pytest.mark.parametrize("text", SPACES, ids=range(len(SPACES)))
def test_the_part_draws_what_the_whole_graph_draws(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, budget = parse(text), Budget(params=400)
    whole = Sampler(space, SHAPE, 3, budget)
    monkeypatch.setattr(sampling, "try_graph", lambda *arguments: None)
    part = Sampler(space, SHAPE, 3, budget)
    for seed in range(20):
        assert part.draw(random.Random(seed)) == whole.draw(random.Random(seed))


def count_chains(options: range, layers: int, cap: int) -> dict[int, int]:
    """Count `layers` convolutions of 3x3 on one channel, and linear(10), by parameters."""
    states = Counter({(1, 10): 1})  # (channels, parameters)
    for _ in range(layers):
        ahead: Counter[tuple[int, int]] = Counter()
        for (channels, params), count in states.items():
            for out in options:
                more = params + (9 * channels + 2) * out
                if more + 10 * out > cap:
                    break
                ahead[out, more] += count
        states = ahead
    sizes: Counter[int] = Counter()
    for (channels, params), count in states.items():
        sizes[params + 10 * channels] += count
    return sizes


@pytest.mark.parametrize(("layers", "cap"), [(2, 8000), (4, 4000), (10, 5800)])
def test_a_thousand_widths_are_counted_exactly(layers: int, cap: int) -> None:
    text = f"[conv({widths(8, 1007)})]*{layers} gap linear(10)"
    found = survey(parse(text), (1, 8, 8), 10, Budget(params=cap))
    expected = count_chains(range(8, 1008), layers, cap)
    assert found.exact and found.designs == 1000**layers
    assert dict(found.counts) == expected and found.within == sum(expected.values()) > 0
    assert found.beyond == found.designs - found.within


def test_a_space_without_small_designs_names_the_smallest() -> None:
    text = f"[conv({widths(8, 1007)})]*100 gap linear(10)"
    least = 11 * 8 + 99 * (9 * 8 + 2) * 8 + 90
    with pytest.raises(BudgetError, match=rf"at most 8000 .* is `conv\(8\) .*` with {least}$"):
        survey(parse(text), (1, 8, 8), 10, Budget(params=8000))


def test_a_part_that_is_too_large_is_none_too() -> None:
    space = parse(f"[conv({widths(8, 107)},k=1|3)]*3 gap linear(10)")
    assert sampling.try_narrow(space, (1, 8, 8), 10, 300, 8000) is None
    narrow = sampling.try_narrow(space, (1, 8, 8), 10, 3000, 800)
    assert narrow is not None and isinstance(narrow.graph, Graph)
    assert narrow.total == 200**3 > narrow.graph.total > 0


@pytest.mark.parametrize(
    "layer",
    [
        conv(6, kernel=3, bias=True, act="prelu"),
        conv(6, norm="group", norm_groups=3, border="reflect"),
        separable(4, kernel=5, inner=True, act="prelu", last_bias=True),
        linear(5),
    ],
)
def test_a_layer_that_ignores_channels_has_parameters_linear_in_them(layer: Any) -> None:
    assert ignores_channels(layer)
    steps = [lower(layer, (channels, 7, 6)) for channels in range(1, 30)]
    assert len({_fits(layer, (channels, 1, 1)) for channels in range(1, 9)}) == 1
    assert len({step.shape for step in steps}) == 1
    slopes = {after.params - before.params for before, after in itertools.pairwise(steps)}
    assert len(slopes) == 1 and min(slopes) > 0


@pytest.mark.parametrize(
    ("text", "designs"),
    [
        ("conv(1|2|3) gap separable(3,k=1,norm=layer,inner) linear(3)", 2),
        *(
            (f"[{one} | {other}] linear(3)", 1)
            for one, other in itertools.permutations(
                f"conv({n}) gap separable(3,k=1,norm=layer,inner)" for n in (1, 2)
            )
        ),
        *(
            (f"[{one} | {other}] [conv(2|3)]*(@n:1|3) gap linear(3)", 20)
            for one, other in itertools.permutations(["conv(8,k=1)", "conv(8,k=@n:1|3)"])
        ),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_rare_ways_through_a_space_are_counted(
    text: str, designs: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that fit some channels only, and counts that are decided on one way only."""
    if not whole:
        for module in (counting, sampling):
            monkeypatch.setattr(module, "try_graph", lambda *arguments: None)
    space = parse(text)
    assert len(list_designs(space, 3)) == designs
    found = survey(space, SHAPE, 3, Budget(params=10**5))
    assert found.exact and (found.designs, found.within) == (designs, designs)
    sampler = Sampler(space, SHAPE, 3, Budget(params=10**5))
    drawn = {str(sampler.get_candidate(number).decisions) for number in range(designs)}
    assert sampler.total == designs == len(drawn)


def _fits(layer: Any, shape: tuple[int, int, int]) -> bool:
    try:
        lower(layer, shape)
    except DesignError:
        return False
    return True


def test_groups_of_the_input_need_its_channels() -> None:
    assert not ignores_channels(conv(6, groups=2))
    assert not ignores_channels(conv(6, groups=oneof(1, 2)))
    assert not ignores_channels(separable(6, inner=True, norm="group", norm_groups=2))
    assert not ignores_channels(separable(6, norm=oneof("batch", "group")))
