"""Draws near the cap, of which the cheapest is taken."""

from __future__ import annotations

import random

import torchinfo

from lightsearch import Budget, build, default_space
from lightsearch.searching.gate import draw_cheapest, draw_near_cap
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
