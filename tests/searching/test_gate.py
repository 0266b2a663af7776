"""Draws near the cap, of which the cheapest is taken where images are not small."""

from __future__ import annotations

import random
import statistics

import pytest
import torchinfo

from lightsearch import DEFAULT_RECIPE, Budget, build, default_space
from lightsearch.searching.gate import draw_cheapest, draw_near_cap
from lightsearch.searching.proposals import Proposer
from lightsearch.shapes import Shape
from lightsearch.space import Sampler

SHAPE = (1, 28, 28)


def test_the_draw_with_the_fewest_macs_is_taken() -> None:
    space = default_space(SHAPE, 10)
    near, _ = draw_near_cap(Sampler(space, SHAPE, 10, Budget(params=8000)))
    generator = random.Random(5)
    draws = [near.draw(generator) for _ in range(4)]
    macs = [
        torchinfo.summary(build(design, SHAPE), (1, *SHAPE), verbose=0).total_mult_adds
        for _, design in draws
    ]
    for count in (2, 3, 4):
        cheapest = macs.index(min(macs[:count]))
        assert draw_cheapest(near, random.Random(5), count) == draws[cheapest][0]


@pytest.mark.parametrize(("shape", "cheap"), [((1, 28, 28), True), ((1, 8, 8), False)])
def test_the_model_starts_with_cheap_draws_if_images_are_not_small(
    shape: Shape, cheap: bool
) -> None:
    def draw(sampler: str) -> list[int]:
        proposer = Proposer(
            default_space(shape, 10),
            DEFAULT_RECIPE,
            shape=shape,
            classes=10,
            budget=Budget(params=3000),
            sampler=sampler,
            seed=1,
            epochs=15,
        )
        return [proposer.sample(index).cost.macs for index in range(60)]

    uniform, model = draw("near-cap"), draw("model")
    below = sum(macs < statistics.median(uniform) for macs in model)
    # of two draws the cheaper one is below the median three times of four
    assert 38 <= below <= 52 if cheap else model == uniform
