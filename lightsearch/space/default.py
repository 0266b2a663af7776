"""The space that a search uses by default."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

from lightsearch.checks import check_integer
from lightsearch.design.layers import conv, gate, linear, residual, separable
from lightsearch.design.parts import Space, maybe, oneof, seq
from lightsearch.design.pooling import gap, maxpool
from lightsearch.network.cost import Budget, cost
from lightsearch.shapes import Shape, check_shape
from lightsearch.space.caps import read_budget

STEM = (8, 10, 12, 16)
WIDTHS = (8, 10, 12, 16, 20, 24, 32, 40)
PLAIN = (8, 10, 12, 14, 16, 20)  # a 3x3 convolution costs nine times a 1x1 one
ADDED = (8, 12, 16)
SMALL = 40  # pixels; larger images get more than one pooling
_HALVES = range(2, 200)  # of the widths: up to 99 times as wide, for 100 million parameters
LEAST = 4  # pixels that a further stage must have left, and the shorter side after the stem
REACH = (
    2.4  # times the cap, so that the space for 10,000 on MNIST is still the one that was measured
)


def default_space(
    shape: Shape = (1, 28, 28), classes: int = 10, budget: int | Budget | None = None
) -> Space:
    """Make a space of small CNNs for images of `shape` (channels, height, width).

    >>> from lightsearch import Budget, default_space, survey
    >>> survey(default_space(), (1, 28, 28), 10).smallest_params < 1000
    True
    >>> default_space(budget=Budget(params=8000)) == default_space(budget=8000)
    True

    A design has a stem, one or two blocks at full resolution, a pooling, two to five blocks, an
    optional gate, a global average and a linear layer. A block is a separable convolution, a plain
    3x3 one (the source documents' stacks), a 1x1 transition, or a residual addition with
    projection (document 004). Batch norm and ReLU come in one of the two orders throughout.
    Images of more than 40 pixels get one more pooling after the stem for each halving they need,
    as far as the shorter side keeps 4 pixels.

    The space grows with the cap on parameters, so that the cap binds. All widths are multiplied by
    the first of 1, 1.5, 2, 2.5, ... with which the widest chain of plain 3x3 convolutions has at
    least 2.4 times the cap. Twice as wide, a third stage follows (a pooling, one or two blocks),
    and four times as wide a fourth, as far as the last stage keeps 4 pixels.
    """
    shape = check_shape(shape)
    classes = check_integer("classes", classes, 1, 10**6)
    cap = read_budget(budget).params or 1
    plans = [_Plan(shape, classes, halves) for halves in _HALVES]
    wide = bisect.bisect_left(plans, REACH * cap, hi=len(plans) - 1, key=_Plan.count_widest)
    return plans[wide].make_space()


@dataclass(frozen=True, slots=True)
class _Plan:
    """A default space before it is made. Its widths are `halves` halves of the constants."""

    shape: Shape
    classes: int
    halves: int = 2

    def scale(self, widths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(width * self.halves // 2 for width in widths)  # all widths are even

    def count_pools(self) -> int:
        """Return the number of poolings after the stem."""
        count, short, long = 0, min(self.shape[1:]), max(self.shape[1:])
        while long >> count > SMALL and short >> (count + 1) >= LEAST:
            count += 1
        return count

    def count_stages(self) -> int:
        """Return the number of stages after the second."""
        side = min(self.shape[1:]) >> (self.count_pools() + 1)
        wanted = (self.halves >= 4) + (self.halves >= 8)
        return sum(side >> stage >= LEAST for stage in range(1, wanted + 1))

    def make_space(self) -> Space:
        order = oneof("norm-act", "act-norm", name="order")
        block = self._make_block(order)
        return seq(
            conv(oneof(*self.scale(STEM)), padding=oneof("same", 0), order=order),
            [maxpool()] * self.count_pools(),
            block,
            maybe(block),
            maxpool(),
            block,
            block,
            [maybe(block) for _ in range(3)],
            [seq(maxpool(), block, maybe(block))] * self.count_stages(),
            maybe(gate()),
            gap(),
            linear(self.classes),
        )

    def count_widest(self) -> int:
        """Return the parameters of the widest plain convolutions at each place of the space."""
        wide = conv(max(self.scale(PLAIN)))
        stem, blocks = conv(max(self.scale(STEM))), 7 + 2 * self.count_stages()
        chain = seq(stem, [wide] * blocks, gap(), linear(self.classes))
        return cost(chain, self.shape, self.classes).params

    def _make_block(self, order: Any) -> Any:
        plain = self.scale(PLAIN)
        return oneof(
            separable(oneof(*self.scale(WIDTHS)), order=order),
            conv(oneof(*plain), padding=oneof("same", 0), order=order),
            conv(oneof(*plain[:4]), kernel=1, order=order),
            residual([conv(oneof(*self.scale(ADDED)), order=order)], shortcut="project"),
        )
