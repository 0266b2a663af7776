"""The tree-structured Parzen estimator (Bergstra et al. 2011) over decisions, as Optuna has it.

It draws what Optuna's `TPESampler(multivariate=True, group=True, constant_liar=True,
n_startup_trials=0)` draws from the same trials with the same seed, in a fraction of the time
(`docs/benchmarks.md`; a test compares the two draw by draw). Optuna goes through all trials anew
for each group of decisions that occur together, of which the default space has 33; here a trial is
one row of a table, and all that groups share is done once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightsearch.design.decoding import Choose
from lightsearch.study.trial import Trial

CANDIDATES = 24  # drawn from the good trials' densities, of which the best ratio is taken
GOOD = 25  # trials at most that count as good: a tenth of those that are over
FULL = 25  # the latest trials, whose weight is 1; before them it falls linearly

_Rank = tuple[float, ...]  # of a trial that is over: less is better
_Mixture = tuple[NDArray[np.float64], list[NDArray[np.float64]]]
"""Weights of K kernels, and for each decision their K x options probabilities."""


class TPE:
    """Draws decisions, given trials; those that run count as bad, so that they are not repeated.

    What is rejected is told to it and counts as bad too, for as long as this object is used.
    """

    def __init__(self, trials: Sequence[Trial], seed: int) -> None:
        self._random = np.random.RandomState(seed)
        self._columns: dict[str, int] = {}  # of the table, by decision
        self._sizes: list[int] = []  # how many options each column's decision has
        self._rows: list[Mapping[str, int]] = []
        self._ranks: list[_Rank | None] = []
        self._table = np.full((0, 0), -1)  # an option's index, or -1 where it was not asked for
        for trial in trials:
            if trial.outcome == "running" or trial.epochs:  # one that failed at once says nothing
                self._add(trial.candidate.decisions, trial.candidate.options, _rank(trial))

    def ask(self) -> Choose:
        """The decisions of a candidate, for `decode`: those that occur together, drawn together,
        and those that were never met, drawn uniformly."""
        self._fill()
        drawn: dict[str, int] = {}
        for group in self._groups():
            drawn.update(self._drawn({path: self._sizes[self._columns[path]] for path in group}))

        def choose(path: str, options: tuple[Any, ...]) -> int:
            if path not in drawn:
                drawn.update(self._drawn({path: len(options)}))
            return drawn[path]

        return choose

    def tell(self, verdict: str, decisions: Mapping[str, int],
             options: Mapping[str, int]) -> None:
        """That a candidate was rejected. What is too large or does not fit is worse than every
        trial that is complete; a duplicate says nothing."""
        if verdict != "duplicate":
            self._add(decisions, options, (0.0, 0.0))

    def _add(self, decisions: Mapping[str, int], options: Mapping[str, int],
             rank: _Rank | None) -> None:
        for path in options.keys() - self._columns.keys():
            self._columns[path] = len(self._sizes)
            self._sizes.append(options[path])
        self._rows.append(decisions)
        self._ranks.append(rank)

    def _fill(self) -> None:
        """Bring the table, and what is good and bad, to the rows of now."""
        known, self._table = self._table, np.full((len(self._rows), len(self._sizes)), -1)
        self._table[:known.shape[0], :known.shape[1]] = known
        added = self._rows[len(known):]
        rows = np.repeat(np.arange(len(known), len(self._rows)), [len(row) for row in added])
        columns = [self._columns[path] for row in added for path in row]
        self._table[rows, columns] = [value for row in added for value in row.values()]
        over = [(rank, index) for index, rank in enumerate(self._ranks) if rank is not None]
        good = sorted(over)[:min(math.ceil(0.1 * len(over)), GOOD)]
        self._good = np.zeros(len(self._rows), dtype=bool)
        self._good[[index for _, index in good]] = True

    def _groups(self) -> list[list[str]]:
        """Decisions that the same trials had, of those that are over. Optuna finds them by
        splitting sets trial by trial; its order, which the draws depend on, is that of their
        columns, with what a trial had before what it had not."""
        over = np.array([rank is not None for rank in self._ranks], dtype=bool)
        absent = self._table[over] < 0
        groups: dict[bytes, list[str]] = {}
        for path, column in sorted(self._columns.items()):
            if not absent[:, column].all():
                groups.setdefault(absent[:, column].tobytes(), []).append(path)
        return [groups[pattern] for pattern in sorted(groups)]

    def _drawn(self, options: dict[str, int]) -> dict[str, int]:
        """Options of decisions that occur together: of some drawn from what good trials have, the
        one that is the likeliest among them compared with the others."""
        options = {path: size for path, size in options.items() if size > 1}
        if not options:
            return {}
        known = [self._columns[path] for path in options if path in self._columns]
        table = self._table[:, known] if known else np.full((len(self._rows), 1), -1)
        met = (table >= 0).all(axis=1)
        sizes = list(options.values())
        good = _mixture(table[met & self._good], sizes)
        bad = _mixture(table[met & ~self._good], sizes)
        drawn = self._from(good)
        best = int(np.argmax(_log_density(drawn, good) - _log_density(drawn, bad)))
        return {path: int(value) for path, value in zip(options, drawn[best], strict=True)}

    def _from(self, mixture: _Mixture) -> NDArray[np.int64]:
        weights, tables = mixture
        kernels = self._random.choice(len(weights), p=weights, size=CANDIDATES)
        drawn = np.empty((CANDIDATES, len(tables)), dtype=np.int64)
        for index, table in enumerate(tables):
            quantiles = self._random.rand(CANDIDATES)
            reached = np.cumsum(table[kernels], axis=-1)
            reached[:, -1] = 1.0  # rounding would leave it a bit below
            drawn[:, index] = (reached < quantiles[:, np.newaxis]).sum(axis=-1)
        return drawn


def _rank(trial: Trial) -> _Rank | None:
    """The trials that are complete come first, by accuracy; then the others, by their length."""
    if trial.outcome == "running":
        return None
    accuracy = trial.epochs[-1].accuracy
    if trial.outcome == "complete":
        return (0.0, -accuracy)
    return (1.0, -trial.epochs[-1].epoch, -accuracy)


def _mixture(observed: NDArray[np.int64], sizes: Sequence[int]) -> _Mixture:
    """A kernel for each trial, at its options, and a uniform one."""
    count = len(observed)
    weights = np.append(_weights(count), 1.0)
    rows = np.arange(count)
    tables = []
    for column, size in zip(observed.T, sizes, strict=True):
        table = np.full((count + 1, size), 1.0 / (count + 1))
        table[rows, column] += 1.0
        table /= table.sum(axis=1, keepdims=True)
        tables.append(table)
    return weights / weights.sum(), tables


@functools.cache
def _weights(count: int) -> NDArray[np.float64]:
    if count < FULL:
        return np.ones(count)
    return np.concatenate([np.linspace(1.0 / count, 1.0, num=count - FULL), np.ones(FULL)])


def _log_density(drawn: NDArray[np.int64], mixture: _Mixture) -> NDArray[np.float64]:
    weights, tables = mixture
    density = np.zeros((len(drawn), len(weights)))
    for values, table in zip(drawn.T, tables, strict=True):
        density += np.log(table).T[values]
    density += np.log(weights)
    largest = density.max(axis=1)
    found: NDArray[np.float64] = np.log(np.exp(density - largest[:, None]).sum(axis=1)) + largest
    return found
