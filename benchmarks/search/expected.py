"""How well one run of a design, and what is made of it, tell the mean of its other seeds.

    python benchmarks/search/expected.py --draws 300

The real runs of the table of curves, near one cap each: of some designs one run each is taken, as
a search would have it. Where a design has three runs more, their mean is the truth, with its own
noise. For the accuracy of the run itself, the mean that is shrunken towards that of all designs,
and the one that is shrunken towards what the features lead to expect:

- the root mean square error, in points;
- the rank correlation with the truth;
- the truth of the design that looks best, in percent;
- what the figure of that design claims beyond its truth, in points.

Means over many draws of designs and runs. Nothing is trained.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.stats import spearmanr

from lightsearch.network.cost import cost
from lightsearch.notation.parser import parse
from lightsearch.statistics import assume_seed_sd, fit_shrinkage
from lightsearch.surrogate.features import measure
from lightsearch.surrogate.forecast import level
from lightsearch.surrogate.level_model import LEAST_OWN, LevelModel, assume_noise, observe_curves
from lightsearch.surrogate.table import CLASSES, EPOCHS, IMAGES, RECIPE, SHAPE, Run, read_runs

FEWEST = 3  # designs whose truth is known, in each draw
SEVERAL = 3  # runs without which a design's truth is not known
COUNTS = (10, 16, 30, 0)  # designs; 0 is all there are


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    options = parser.parse_args()
    groups: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in read_runs():
        if run.recipe == RECIPE and run.drawn.startswith("near-"):
            groups[run.drawn][run.design].append(run)
    print("| near | designs | what | error | rank correlation | truth of the first | it claims |")
    print("|---:|---:|---|---:|---:|---:|---:|")
    for drawn, designs in sorted(groups.items(), reverse=True):
        for count in COUNTS:
            print_rows(drawn.removeprefix("near-"), designs, count or len(designs), options.draws)


def print_rows(cap: str, designs: dict[str, list[Run]], count: int, draws: int) -> None:
    """Print a line for each estimate, of so many designs."""
    generator = random.Random(f"{cap} {count}")
    known = [name for name, runs in designs.items() if len(runs) >= SEVERAL]
    features = {d: np.array(measure(cost(parse(d), SHAPE, CLASSES))) for d in designs}
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for _ in range(draws):
        names = generator.sample(known, FEWEST)
        names += generator.sample([d for d in designs if d not in names], count - FEWEST)
        runs = {name: generator.choice(designs[name]) for name in names}
        truth = {
            name: 100
            * statistics.fmean(r.averaged[-1] for r in designs[name] if r is not run)
            / IMAGES
            for name, run in runs.items()
            if name in known
        }
        judged = [names.index(name) for name in truth]
        true = np.array(list(truth.values()))
        for what, values in estimate(list(runs.values()), features).items():
            mine = 100 * values[judged]
            first = int(np.argmax(mine))
            error = float(np.sqrt(np.mean((mine - true) ** 2)))
            rank = float(spearmanr(mine, true).statistic)
            found[what].append((error, rank, float(true[first]), float(mine[first] - true[first])))
    for what, rows in found.items():
        error, rank, best, claims = (
            statistics.fmean(column) for column in zip(*rows, strict=True)
        )
        print(
            f"| {cap} | {count} | {what} | {error:.3f} | {rank:.2f} | {best:.3f} | {claims:+.3f} |"
        )


def estimate(runs: list[Run], features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what each way makes of one run a design."""
    single = np.array([run.averaged[-1] / IMAGES for run in runs])
    seed_sd = assume_seed_sd(float(single.mean()), IMAGES)
    plain = fit_shrinkage([[one] for one in single], seed_sd)
    curves = [[level(one, IMAGES) for one in run.averaged] for run in runs]
    rows = np.array([features[run.design] for run in runs])
    seen = observe_curves(curves, EPOCHS)
    model = LevelModel(rows, seen, noise=assume_noise(seen.levels, IMAGES))
    expected = 1 - np.exp(model.predict(rows))
    beyond = single - expected
    fitted = fit_shrinkage([[one] for one in beyond], seed_sd).at_least(LEAST_OWN)
    return {
        "the run": single,
        # where designs differ by no more than their noise, all have one mean: the run ranks them
        "shrunken towards the mean of all": np.array([plain.shrink(one, 1) for one in single])
        + 1e-9 * single,
        "shrunken towards what is expected": expected
        + np.array([fitted.shrink(one, 1) for one in beyond]),
    }


if __name__ == "__main__":
    main()
