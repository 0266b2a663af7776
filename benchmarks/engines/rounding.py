"""The rounding error of Winograd's algorithms by their points, which decides the points to take.

    python benchmarks/engines/rounding.py

The convolutions have 16 to 4 channels, 3 x 3 weights, and rectified normal numbers as input. They
are in single precision, with one rounding for a product and its addition, as in the native engine.
The table has the root mean square error against double precision, over that of the plain sum.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SINGLE = np.float32
CHANNELS, SIDE = 16, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    problems = [
        (
            rounded(np.maximum(generator.standard_normal((CHANNELS, SIDE + 2, SIDE + 2)), 0)),
            rounded(generator.standard_normal((4, CHANNELS, 3, 3)) / 12),
        )
        for _ in range(options.trials)
    ]
    exact = [summed(x, w, rounds=False) for x, w in problems]
    plain = error([summed(x, w, rounds=True) for x, w in problems], exact)
    print("| outputs of a tile | points beside 0 and infinity | error, of the plain sum's |")
    print("|---|---|---:|")
    for points in (
        (1.0,),
        (1.0, 2.0),
        (0.5, 1.0),
        (0.5, 2.0),
        (2 / 3, 1.5),
        (0.75, 1.5),
        (0.625, 1.625),
        (0.625, 1.5),
    ):
        found = [winograd(x, w, points) for x, w in problems]
        m = 2 * len(points)
        signs = ", ".join(f"+-{p:.4g}" for p in points)
        print(f"| {m}x{m} | {signs} | {error(found, exact) / plain:.2f} |", flush=True)


def error(found: list[Array], exact: list[Array]) -> float:
    return float(np.sqrt(np.mean([(a - b) ** 2 for a, b in zip(found, exact, strict=True)])))


def rounded(value: Array) -> Array:
    return value.astype(SINGLE).astype(float)


def summed(x: Array, w: Array, rounds: bool) -> Array:
    """Compute the convolution, tap by tap."""
    total = np.zeros((len(w), SIDE, SIDE))
    for c in range(CHANNELS):
        for r in range(3):
            for s in range(3):
                total += w[:, c, r, s, None, None] * x[c, r : r + SIDE, s : s + SIDE]
                total = rounded(total) if rounds else total
    return total


def winograd(x: Array, w: Array, points: tuple[float, ...]) -> Array:
    """Compute the same in tiles. Each of `points` stands for both signs."""
    a, g, b = matrices(points)
    m = len(a)
    weights = rounded(np.einsum("ai,ocij,bj->ocab", g, w, g))
    total = np.zeros((len(w), SIDE, SIDE))
    for y, z in tiles(m):
        tile = along(b, along(b, x[:, y : y + m + 2, z : z + m + 2], 1), 2)
        product = np.zeros((len(w), m + 2, m + 2))
        for c in range(CHANNELS):
            product = rounded(product + weights[:, c] * tile[c])
        total[:, y : y + m, z : z + m] = along(a, along(a, product, 1), 2)
    return total


def tiles(m: int) -> Iterator[tuple[int, int]]:
    return ((y, z) for y in range(0, SIDE, m) for z in range(0, SIDE, m))


def matrices(points: tuple[float, ...]) -> tuple[Array, Array, Array]:
    """Return A', G and B', by solving for the interpolation. The rows of B' end in 1."""
    finite = [0.0] + [sign * p for p in points for sign in (1, -1)]

    def powers(count: int) -> Array:
        return np.array(
            [[p**j for j in range(count)] for p in finite] + [[0.0] * (count - 1) + [1.0]]
        )

    count = len(finite) + 1
    b = np.linalg.inv(powers(count)).T
    scale = np.array([row[np.nonzero(np.abs(row) > 1e-12)[0][-1]] for row in b])[:, None]
    return powers(count - 2).T, powers(3) * scale, b / scale


def along(matrix: Array, value: Array, axis: int) -> Array:
    """Multiply the matrix by the vectors of an axis, and round after each addition."""
    value = np.moveaxis(value, axis, 0)
    rows = []
    for row in matrix:
        total = np.zeros(value.shape[1:])
        for factor, one in zip(rounded(row), value, strict=True):
            if abs(factor) > 1e-12:
                total = rounded(total + factor * one)
        rows.append(total)
    return np.moveaxis(np.array(rows), 0, axis)


if __name__ == "__main__":
    main()
