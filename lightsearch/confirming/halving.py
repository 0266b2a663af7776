"""Fresh seeds by successive halving: most of them for the designs that look best.

Every design gets a few seeds, the better half more, and so on, until two have all of them. What is
dropped on the way is never confirmed, and a design that is confirmed has all its seeds: it would
be confirmed just so if all designs had been given all theirs. So the error stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from lightsearch.confirming.request import Pick
from lightsearch.confirming.runs import Job, left_of
from lightsearch.study.ledger import Ledger
from lightsearch.study.means import fit_runs

LAST = 2  # designs that get all seeds


def halving_rounds(designs: int, seeds: int) -> list[tuple[int, int]]:
    """The rounds: how many designs are left, and how many seeds each of them has after it.

    >>> from lightsearch.confirming.halving import halving_rounds
    >>> halving_rounds(9, 10)
    [(9, 1), (5, 3), (3, 5), (2, 10)]
    """
    left = [designs]
    while left[-1] > LAST:
        left.append((left[-1] + 1) // 2)
    rounds = []
    for number, count in enumerate(left):
        parts = 2 ** (len(left) - 1 - number)
        rounds.append((count, max(1, (2 * seeds + parts) // (2 * parts))))  # rounded
    return rounds


def keep_best(
    groups: Sequence[Sequence[float]], left: Sequence[int], keep: int, total: int
) -> list[int]:
    """The indices of `left` with the highest shrunken means of all `groups`, best first.

    Of equals the first. `total` is how many images the accuracies are of.
    """
    shrinkage = fit_runs(groups, total)
    ranks = [shrinkage.rank(fmean(group), len(group)) for group in groups]
    return sorted(left, key=lambda index: ranks[index], reverse=True)[:keep]


def halve(picks: Sequence[Pick], ledger: Ledger) -> Iterator[list[Job]]:
    """The runs of each round that are left, the next round when those are over.

    A round looks at nothing but the seeds up to it, so that an interrupted confirmation goes on
    as it would have. Designs that are dropped are noted in the ledger.
    """
    left, before = list(range(len(picks))), 0
    for keep, count in halving_rounds(len(picks), ledger.terms.seeds):
        if before:
            groups, total, futile = _results(picks, ledger, before)
            able = [index for index in left if index not in futile]
            kept = keep_best(groups, able, keep, total)
            for index in able:
                if index not in kept:
                    ledger.drop(picks[index].key)
            left = [index for index in left if index in kept]
        yield [job for index in left for job in left_of(picks[index].task, ledger, count)]
        before = count


def _results(
    picks: Sequence[Pick], ledger: Ledger, count: int
) -> tuple[list[list[float]], int, set[int]]:
    """Each design's accuracies of its first seeds and its search's run, the number of images, and
    the designs that are given up."""
    groups, total, futile = [], 1, set()
    for index, pick in enumerate(picks):
        found = ledger.judge_alone(pick.key, count)
        total = found.sample.total
        own = [] if pick.found is None or ledger.terms.on != "test" else [pick.found]
        groups.append([*own, *(right / total for right in found.sample.correct)])
        if found.outcome == "futile":
            futile.add(index)
    return groups, total, futile
