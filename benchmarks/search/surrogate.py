"""How well the surrogate predicts designs that it has not seen, and how much its runs vary.

    python benchmarks/search/surrogate.py

By epoch, over all designs of the table with the default recipe: the rank correlation of the mean
curve, predicted from all others, with the design's own mean, and the root mean square of the
difference in points. Then, near each cap: the rank correlation at the last epoch, the standard
deviation of single runs, of the table's draws and of as many new draws of the surrogate, and the
rank correlation of single runs between an early epoch and the last one: what a pruner lives on.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
from curves import CAPS, near, sampler
from scipy.stats import spearmanr

from lightsearch import parse
from lightsearch.surrogate.answers import answer
from lightsearch.surrogate.model import CurveModel, _error, _print
from lightsearch.surrogate.table import EPOCHS, IMAGES, RECIPE, Run, read_runs

DRAWN = 200  # of the surrogate, for the rank correlations


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    runs = tuple(run for run in read_runs() if run.recipe == RECIPE)
    model = CurveModel(runs)
    predicted, means = model.leave_one_out(), model.means
    print(f"{len(runs)} runs of {len(model.prints)} designs\n")
    print("| epoch | rank correlation | error, points |\n|---:|---:|---:|")
    wrong = _error(predicted) - _error(means)
    for epoch in (1, 3, 5, 8, 15):
        rank = spearmanr(predicted[:, epoch - 1], means[:, epoch - 1]).statistic
        error = np.sqrt(np.mean(wrong[:, epoch - 1] ** 2))
        print(f"| {epoch} | {rank:.2f} | {error:.3f} |")
    print(
        "\n| cap | designs | rank correlation | deviation, table | surrogate | "
        "epochs 1 and 15, table | surrogate | 3 and 15, table | surrogate |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for cap in CAPS:
        print(row(cap, first_runs(runs, cap), model, predicted[:, -1], means[:, -1]))


def row(
    cap: int, drawn: list[Run], model: CurveModel, predicted: np.ndarray, means: np.ndarray
) -> str:
    places = [model.prints.index(_print(run.design)) for run in drawn]
    rank = spearmanr(predicted[places], means[places]).statistic
    real = np.array([run.averaged for run in drawn]) / IMAGES
    made = np.array(draw_curves(cap, DRAWN)) / IMAGES
    deviations = [100 * curves[: len(drawn), -1].std(ddof=1) for curves in (real, made)]
    ranks = [
        spearmanr(curves[:, epoch - 1], curves[:, -1]).statistic
        for epoch in (1, 3)
        for curves in (real, made)
    ]
    shown = " | ".join([f"{one:.3f}" for one in deviations] + [f"{one:.2f}" for one in ranks])
    return f"| {cap} | {len(drawn)} | {rank:.2f} | {shown} |"


def draw_curves(cap: int, count: int) -> list[list[int]]:
    """Curves of the surrogate, of new draws near a cap."""
    found: list[list[int]] = []
    generator = random.Random(f"surrogate {cap}")
    while len(found) < count:
        design = str(sampler(cap).draw(generator)[1])
        if near(design, cap):
            epochs = range(1, EPOCHS + 1)
            found.append([answer(parse(design), len(found), n).correct for n in epochs])
    return found


def first_runs(runs: tuple[Run, ...], cap: int) -> list[Run]:
    """One run of each design that was drawn near a cap."""
    return list({r.design: r for r in reversed(runs) if r.drawn == f"near-{cap}"}.values())


if __name__ == "__main__":
    main()
