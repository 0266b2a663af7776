"""The default space follows the image and the budget."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from lightsearch import Budget, default_space, parse, survey
from lightsearch.shapes import Shape
from lightsearch.space.sampling import LIMIT, try_graph

MNIST = (1, 28, 28)
SHAPES: tuple[Shape, ...] = ((1, 8, 8), MNIST, (3, 32, 32), (1, 60, 60), (3, 224, 224))

BLOCK = (
    "[separable(8|10|12|16|20|24|32|40,order=@order) | "
    "conv(8|10|12|14|16|20,p=same|0,order=@order) | conv(8|10|12|14,k=1,order=@order) | "
    "residual([conv(8|12|16,order=@order)],project)]"
)
MEASURED = (
    f"conv(8|10|12|16,p=same|0,order=@order:norm-act|act-norm) {BLOCK} {BLOCK}? maxpool {BLOCK} "
    f"{BLOCK} {BLOCK}? {BLOCK}? {BLOCK}? gate? gap linear(10)"
)
"""The space for MNIST that the published tables and curves were measured in."""


@pytest.mark.parametrize("cap", [None, 1, 1500, 3000, 5000, 8000, 10_000])
def test_the_space_that_was_measured_stays_as_it_is(cap: int | None) -> None:
    text = str(default_space(MNIST, 10, Budget(params=cap)))
    assert text == MEASURED == str(default_space())
    # Studies keep this text: a change of the formatter would part them from it, too.
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "4d98c281aa9703f3"
    assert str(default_space(MNIST, 10, Budget(macs=10**9))) == text


def test_larger_images_get_more_poolings() -> None:
    for side, pools in ((40, 1), (41, 2), (80, 2), (90, 3), (224, 4)):
        assert str(default_space((3, side, side), 10)).count("maxpool") == pools


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cap", [12_000, 29_000, 50_000, 200_000, 1_000_000])
def test_the_cap_binds(shape: Shape, cap: int) -> None:
    space = default_space(shape, 10, Budget(params=cap))
    graph = try_graph(space, shape, 10, LIMIT)
    assert graph is not None  # it is not too large to be counted exactly
    assert graph.low[graph.start] < cap / 8 and graph.high[graph.start] > 2 * cap
    assert parse(str(space)) == space


@pytest.mark.slow
def test_half_of_the_cap_is_reached_by_most_draws() -> None:
    shape, budget = (3, 32, 32), Budget(params=50_000)
    space = default_space(shape, 10, budget)
    whole, below = survey(space, shape, 10, budget), survey(space, shape, 10, Budget(25_000))
    assert whole.exact and not whole.falls_short and below.within < whole.within / 4
    small = survey(default_space(shape), shape, 10, Budget(params=200_000))
    assert small.falls_short and small.largest_params == 29_018


@pytest.mark.parametrize("shape", SHAPES)
def test_spaces_grow_with_the_budget_alone(shape: Shape) -> None:
    caps = [10_000 * 2**n for n in range(18)]
    texts = [str(default_space(shape, 10, Budget(params=cap))) for cap in caps]
    widths = [int(text.split("|")[0].removeprefix("conv(")) for text in texts]
    pools = [text.count("maxpool") for text in texts]
    assert widths[0] == 8 and widths == sorted(widths) and pools == sorted(pools)
    assert all(big <= 2 * small for small, big in itertools.pairwise(widths))
    # Each stage has its pooling, and the last keeps four pixels.
    assert pools[-1] - pools[0] == (0 if shape == (1, 8, 8) else 1 if shape[2] != 32 else 2)


def test_many_classes_take_their_share_of_the_cap() -> None:
    stems = {
        classes: str(default_space(MNIST, classes, Budget(params=60_000))).split(",")[0]
        for classes in (10, 1000)
    }
    assert stems == {10: "conv(20|25|30|40", 1000: "conv(16|20|24|32"}
