"""The epochs of a study in the order in which the search took them."""

from __future__ import annotations

from collections.abc import Iterable

from lightsearch.study.trial import Trial


def order_epochs(trials: Iterable[Trial]) -> list[tuple[Trial, int]]:
    """Return each epoch as its trial and its index there, in the order of the virtual clock.

    That is the order of `searching.loop`. A study that is not repeatable took them as they came,
    which may be another order.
    """
    every = [(trial, index) for trial in trials for index in range(len(trial.epochs))]

    def moment(one: tuple[Trial, int]) -> tuple[int, int, int, int]:
        candidate, index = one[0].candidate, one[1]
        ended = candidate.start + one[0].epochs[index].epoch * candidate.work
        return ended, candidate.slot, candidate.number, index

    return sorted(every, key=moment)
