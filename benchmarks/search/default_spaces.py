"""The default space by image and budget: does the cap on parameters bind?

    python benchmarks/search/default_spaces.py --draws 2000

For each image and cap: the first widths of the stem, the poolings, the parameters of the smallest
and of the largest design of the space, and of uniform draws within the cap the median and the
share with 0.88 to 1 of it. Nothing is trained.
"""

from __future__ import annotations

import argparse
import random
import statistics

from lightsearch import Budget, cost, default_space
from lightsearch.shapes import Shape, format_shape
from lightsearch.space import Sampler
from lightsearch.space.sampling import LIMIT, try_graph

SHAPES: tuple[Shape, ...] = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 60, 60), (3, 224, 224))
CAPS = (3_000, 5_000, 8_000, 10_000, 12_000, 20_000, 50_000, 200_000, 1_000_000)
CLASSES = 10
NEAR = 0.88  # of the cap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--caps", type=int, nargs="+", default=CAPS)
    options = parser.parse_args()
    print("| image | cap | stem | poolings | smallest | median draw | largest | near the cap |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for shape in SHAPES:
        for cap in options.caps:
            print(describe(shape, cap, options.draws), flush=True)


def describe(shape: Shape, cap: int, draws: int) -> str:
    """Return a row of the table."""
    budget = Budget(params=cap)
    space = default_space(shape, CLASSES, budget)
    graph = try_graph(space, shape, CLASSES, LIMIT)
    assert graph is not None
    sampler, generator = Sampler(space, shape, CLASSES, budget), random.Random(0)
    params = [cost(sampler.draw(generator)[1], shape).params for _ in range(draws)]
    near = sum(count >= NEAR * cap for count in params) / draws
    stem, pools = str(space).split(",")[0].removeprefix("conv("), str(space).count("maxpool")
    low, high = graph.low[graph.start], graph.high[graph.start]
    return (
        f"| {format_shape(shape)} | {cap:,} | {stem.replace('|', ', ')} | {pools} | {low:,} | "
        f"{round(statistics.median(params)):,} | {high:,} | {near:.0%} |"
    )


if __name__ == "__main__":
    main()
