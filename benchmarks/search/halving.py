"""Ways to give fresh seeds to the hits of a search, simulated: what each loses and claims.

    python benchmarks/search/halving.py

Designs have true means that are normally distributed, and a run adds the noise of its seed. The
search has run each design once, and has picked the hits by that run. Fresh runs are added by
several ways, among them `confirm(..., halving=True)` with its own rounds and choices. The hit that
comes first in `result.means()`, by the shrunken mean over all its runs, is returned. It loses what
the truly best hit has more; it claims too much by what its mean is above its true one.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lightsearch.confirming.halving import halving_rounds, keep_best
from lightsearch.study.means import fit_runs

TOTAL = 10_000  # test images
CENTER = 0.9944


@dataclass
class Hits:
    """The hits of a study: their true means, and their runs so far, the search's own first.

    `others` are the runs of the other designs.
    """

    truth: np.ndarray
    seed_sd: float
    random: np.random.Generator
    others: list[list[float]]
    runs: list[list[float]] = field(default_factory=list)

    @property
    def all(self) -> list[int]:
        return list(range(len(self.runs)))

    def train(self, which: Sequence[int], seeds: int) -> None:
        """Bring designs to so many fresh seeds."""
        for one in which:
            missing = seeds + 1 - len(self.runs[one])
            self.runs[one] += self.random.normal(self.truth[one], self.seed_sd, missing).tolist()

    def winner(self) -> tuple[int, float]:
        """The design that the table of means has first, and its shrunken mean."""
        fit = fit_runs([*self.runs, *self.others], TOTAL)
        ranks = [fit.rank(sum(runs) / len(runs), len(runs)) for runs in self.runs]
        first = max(self.all, key=lambda one: ranks[one])
        return first, ranks[first][0]

    def best(self, left: Sequence[int], keep: int) -> list[int]:
        return keep_best(self.runs, left, keep, TOTAL)


def top(count: int, seeds: int) -> Callable[[Hits], None]:
    """The first by their own run get all seeds."""
    return lambda hits: hits.train(hits.best(hits.all, count), seeds)


def rounds(plan: list[tuple[int, int]]) -> Callable[[Hits], None]:
    """So many designs are left, and have so many seeds, round by round."""

    def way(hits: Hits) -> None:
        left = hits.all
        for keep, seeds in plan:
            left = hits.best(left, keep)
            hits.train(left, seeds)

    return way


def two_by_two(budget: int) -> Callable[[Hits], None]:
    """Each next run goes to the leader or to its likeliest rival, whichever has fewer runs.

    It knows the noise and the spread of the designs, which nobody does.
    """

    def way(hits: Hits) -> None:
        spread = np.std(hits.truth, ddof=1) ** 2
        for _ in range(budget):
            counts = np.array([len(runs) for runs in hits.runs])
            means = np.array([sum(runs) / len(runs) for runs in hits.runs])
            noise = hits.seed_sd**2 / counts
            found = CENTER + (means - CENTER) * spread / (spread + noise)
            variance = spread * noise / (spread + noise)
            leader = int(found.argmax())
            chance = (found - found[leader]) / np.sqrt(variance + variance[leader])
            chance[leader] = -np.inf
            rival = int(chance.argmax())
            one = leader if counts[leader] <= counts[rival] else rival
            hits.train([one], int(counts[one]))

    return way


def draw(designs: int, hits: int, design_sd: float, seed_sd: float, seed: int) -> Hits:
    """A study's best designs by one run each."""
    random = np.random.default_rng(seed)
    truth = random.normal(CENTER, design_sd, designs)
    own = random.normal(truth, seed_sd)
    order = np.argsort(-own)
    runs = [[float(run)] for run in own[order]]
    return Hits(truth[order[:hits]], seed_sd, random, runs[hits:], runs[:hits])


def ways(hits: int, seeds: int) -> dict[str, Callable[[Hits], None]]:
    plan = halving_rounds(hits, seeds)
    named = ", ".join(f"{count} to {each}" for count, each in plan)
    spent = sum(
        count * (each - before)
        for (count, each), (_, before) in zip(plan, [(0, 0), *plan], strict=False)
    )
    found = {"no fresh seed: the best single run": top(0, 0)}
    for count, each in ((3, 3), (3, seeds), (5, 3), (5, seeds), (hits, 3), (hits, 4), (hits, 5)):
        if count <= hits:
            found[f"first {count}, {each} each" if count < hits else f"all, {each} each"] = top(
                count, each
            )
    found[f"all, {seeds} each"] = top(hits, seeds)
    found[f"**halving: {named}**"] = rounds(plan)
    found[f"halving on to one: {named}, 1 to {2 * seeds}"] = rounds([*plan, (1, 2 * seeds)])
    low = [(count, max(1, each // 2)) for count, each in plan]
    found["halving, half the seeds: " + ", ".join(f"{c} to {n}" for c, n in low)] = rounds(low)
    found["leader and rival, one run at a time"] = two_by_two(spent)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--designs", type=int, nargs="+", default=[9, 28])
    parser.add_argument("--hits", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--design-sd", type=float, default=0.047, help="in points")
    parser.add_argument("--seed-sd", type=float, default=0.06, help="in points")
    options = parser.parse_args()
    for designs in options.designs:
        print(f"\n{options.hits} hits of {designs} designs, {options.studies} studies:\n")
        print("| way | fresh runs | loses | its mean claims too much | its shrunken mean |")
        print("|---|---:|---:|---:|---:|")
        for name, way in ways(options.hits, options.seeds).items():
            figures = np.array(
                [
                    judge(
                        draw(
                            designs,
                            options.hits,
                            options.design_sd / 100,
                            options.seed_sd / 100,
                            study,
                        ),
                        way,
                    )
                    for study in range(options.studies)
                ]
            )
            loss, claim, shrunken = 100 * figures[:, 1:].mean(axis=0)
            error = 100 * figures[:, 1].std(ddof=1) / math.sqrt(options.studies)
            print(
                f"| {name} | {figures[:, 0].mean():.0f} | {loss:.4f} ± {error:.4f} "
                f"| {claim:.3f} | {shrunken:.3f} |"
            )


def judge(hits: Hits, way: Callable[[Hits], None]) -> tuple[float, float, float, float]:
    """Fresh runs spent, accuracy lost, and how much the winner's two means claim too much."""
    way(hits)
    winner, shrunken = hits.winner()
    truth, runs = hits.truth[winner], hits.runs[winner]
    spent = sum(len(one) - 1 for one in hits.runs)
    return spent, hits.truth.max() - truth, sum(runs) / len(runs) - truth, shrunken - truth


if __name__ == "__main__":
    main()
