"""Proposals from what was trained: a pool of neighbours, and the one of them that is guessed best.

A pool has mutations of the best designs so far, crossings of them, and fresh draws near the cap.
All are within the budget and near its cap. `"model"` takes the one that a draw of the model's
weights holds for best (`surrogate.level_model`). `"evolution"` mutates one decision of the best of
a few recent designs (regularised evolution, Real et al. 2019).
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightsearch.design.parts import is_decided
from lightsearch.network.cost import Cost, cost
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.searching.gate import Gate, Proposal, count_options
from lightsearch.searching.variation import cross, mutate
from lightsearch.study.expectations import list_choices, measure_choices, observe
from lightsearch.study.trial import Candidate, Trial
from lightsearch.study.warm_start import Lesson
from lightsearch.surrogate.features import NAMES
from lightsearch.surrogate.forecast import level
from lightsearch.surrogate.level_model import Array, LevelModel, Observations, observe_curves

PARENTS = 8  # designs that are mutated and crossed
MUTATIONS, CROSSINGS = 0.5, 0.2  # shares of the pool; fresh draws are the rest
POOL, BUSY_POOL, BUSY = 60, 16, 17  # its size, and from so many trials at once a smaller one
BLOCK = 50  # trials between two models, with so many at once
RECENT, BEST = 400, 100  # trials that the model sees: the latest, and the best before them
POPULATION, RIVALS = 20, 5  # of evolution
LOG_PARAMS = NAMES.index("log_params")
LEAST_ERROR = 1e-6  # of an accuracy to reach


@dataclass(frozen=True, slots=True)
class Variant:
    """A member of the pool: decisions, some of which may be missing, and how it was made."""

    decisions: Mapping[str, int]
    by: str


@dataclass(frozen=True, slots=True)
class Parent:
    """A design of the space that is mutated and crossed, and how many options decisions had."""

    decisions: Mapping[str, int]
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Taught:
    """A lesson of the warm start: features and observations, and those of its runs that may be
    parents, by their row."""

    rows: Array
    seen: Observations
    parents: Mapping[int, Parent]


class Learner:
    """What a study's trials say about designs, and the lessons of its warm start.

    It is a function of these: what it keeps between proposals only saves time. With `BUSY` trials
    at once or more, proposals share a model of the whole blocks of trials that are over.
    """

    def __init__(
        self,
        gate: Gate,
        epochs: int,
        lessons: Sequence[Lesson] = (),
        workers: int = 1,
        reach: float | None = None,
    ) -> None:
        self.gate, self.epochs, self._busy = gate, epochs, workers >= BUSY
        self._kept: tuple[Trial, LevelModel, list[Parent]] | None = None
        self._reach = None if reach is None else math.log(max(1 - reach, LEAST_ERROR))
        self._options = list_choices(gate.recipe)
        self._seen = Seen()
        self._settled: tuple[int, Trial | None] = 0, None  # so many are over, and the last of them
        self._features: dict[int, tuple[Candidate, list[float]]] = {}  # by number
        self._whole = is_decided(gate.space)
        self.taught = [self._learn(lesson) for lesson in lessons]

    def choose_seen(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that a proposal learns from: see `Seen`."""
        return self._seen.choose(trials)

    def learn(self, trials: Sequence[Trial]) -> tuple[LevelModel, list[Parent]] | None:
        """Return the model of a study's trials so far, and the parents of a pool.

        None if there is nothing to learn from.
        """
        count = self._count_settled(trials) if self._busy else 0
        last = trials[count - 1] if count else None
        if self._kept is not None and self._kept[0] is last:
            return self._kept[1:]
        seen = self.choose_seen(trials[:count] if count else trials)
        if not seen and not self.taught:
            return None
        model = self.fit(seen)
        parents = self.best(model, seen)
        self._kept = (last, model, parents) if last is not None else None
        return model, parents

    def _count_settled(self, trials: Sequence[Trial]) -> int:
        """Return how many trials the whole blocks before the first one that runs hold."""
        count, last = self._settled
        if not (count and count <= len(trials) and trials[count - 1] is last):
            count = 0
        while count < len(trials) and trials[count].outcome != "running":
            count += 1
        self._settled = count, trials[count - 1] if count else None
        return count // BLOCK * BLOCK

    def fit(self, trials: Sequence[Trial]) -> LevelModel:
        """Return the model of some trials that have epochs, and of the lessons."""
        if not self.taught:
            return LevelModel(self._matrix(trials), observe(trials, self.epochs))
        parts = [(one.rows, one.seen) for one in self.taught]
        if trials:
            parts.append((self._matrix(trials), observe(trials, self.epochs)))
        seen = Observations(
            np.concatenate([one.levels for _, one in parts]),
            np.concatenate([one.weights for _, one in parts]),
        )
        groups = np.repeat(np.arange(len(parts)), [len(rows) for rows, _ in parts])
        return LevelModel(np.concatenate([rows for rows, _ in parts]), seen, groups)

    def best(self, model: LevelModel, trials: Sequence[Trial]) -> list[Parent]:
        """Return the parents of a pool: what the model expects to be best of what is known."""
        rows: list[Array] = []
        parents: list[Parent] = []
        for trial in self.choose_parents(trials):
            rows.append(np.array(self._measure_trial(trial.candidate)))
            parents.append(Parent(trial.candidate.decisions, trial.candidate.options))
        for one in self.taught:
            for index, parent in one.parents.items():
                rows.append(one.rows[index])
                parents.append(parent)
        if not parents:
            return []
        order = self._order(np.array(rows), model.predict(np.array(rows)))
        return [parents[index] for index in order[:PARENTS]]

    def _order(self, rows: Array, levels: Array) -> NDArray[np.intp]:
        """Return the order of designs by their guessed levels, best first; if they are to reach
        one, by parameters among those that do."""
        if self._reach is None:
            return np.argsort(levels, kind="stable")
        enough = levels <= self._reach
        return np.lexsort((np.where(enough, rows[:, LOG_PARAMS], levels), ~enough))

    def choose_parents(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials of designs of the space: those tried first may be of none."""
        return [trial for trial in trials if self._is_of_space(trial.candidate.decisions)]

    def _is_of_space(self, decisions: Mapping[str, int]) -> bool:
        return self._whole or any(path not in self._options for path in decisions)

    def _learn(self, lesson: Lesson) -> Taught:
        rows, parents = [], {}
        for index, run in enumerate(lesson.runs):
            design, recipe = parse(run.design), parse_recipe(run.recipe)
            one = self.gate.read(design, recipe, "", lambda path, options: 0)
            rows.append(self._measure(one.cost, one.decisions))
            fits = not self.gate.budget.exceeded(one.cost)
            if fits and self._is_of_space(one.decisions):
                parents[index] = Parent(one.decisions, count_options(one.options))
        curves = [[level(c, lesson.images) for c in run.correct] for run in lesson.runs]
        return Taught(np.array(rows), observe_curves(curves, lesson.epochs), parents)

    def rank(self, model: LevelModel, made: Sequence[Proposal], seed: int) -> list[int]:
        """Return the order of some proposals, by one guess of the model, best first."""
        rows = np.array([self._measure(one.cost, one.decisions) for one in made])
        return [int(index) for index in self._order(rows, model.sample(rows, seed))]

    def _matrix(self, trials: Sequence[Trial]) -> Array:
        return np.array([self._measure_trial(trial.candidate) for trial in trials])

    def _measure_trial(self, candidate: Candidate) -> list[float]:
        known = self._features.get(candidate.number)
        if known is None or known[0] is not candidate:
            spent = cost(parse(candidate.design), self.gate.shape, self.gate.classes)
            known = candidate, self._measure(spent, candidate.decisions)
            self._features[candidate.number] = known
        return known[1]

    def _measure(self, spent: Cost, decisions: Mapping[str, int]) -> list[float]:
        return measure_choices(spent, decisions, self._options)


class Seen:
    """Chooses the trials that a proposal learns from: the latest, and the best before them.

    The best are taken from before the first trial that runs. They are kept from one proposal to
    the next, which only saves time.
    """

    def __init__(self) -> None:
        self._best: list[Trial] = []  # of the first `_over` trials, which are over
        self._over = 0

    def choose(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the chosen ones of all trials of a study so far, in their order."""
        recent: list[Trial] = []
        for trial in reversed(trials):
            if trial.epochs and not trial.epochs[-1].diverged:
                recent.append(trial)
            if len(recent) == RECENT:
                break
        if self._over > len(trials) or (
            self._best and trials[self._best[0].number] is not self._best[0]
        ):
            self._best, self._over = [], 0  # another study's
        end = self._over
        while end < len(trials) and trials[end].outcome != "running":
            end += 1
        added = [trial for trial in trials[self._over : end] if trial.outcome == "complete"]
        self._best = heapq.nsmallest(BEST, [*self._best, *added], key=_by_last_epoch)
        self._over = end
        first = recent[-1].number if recent else 0
        return [*(trial for trial in self._best if trial.number < first), *reversed(recent)]


def _by_last_epoch(trial: Trial) -> tuple[float, int]:
    return -trial.epochs[-1].accuracy, trial.number


def size_for(workers: int) -> int:
    """Return the size of a pool: many workers leave the parent little time for each."""
    return POOL if workers < BUSY else BUSY_POOL


def vary(parents: Sequence[Parent], generator: random.Random, size: int) -> Iterator[Variant]:
    """Yield the mutations and crossings of a pool of `size`; fresh draws make it whole."""
    if not parents:
        return
    for _ in range(round(size * MUTATIONS)):
        parent = generator.choice(parents)
        yield Variant(mutate(parent.decisions, parent.options, generator), "mutation")
    if len(parents) > 1:
        for _ in range(round(size * CROSSINGS)):
            one, other = (parent.decisions for parent in generator.sample(parents, 2))
            yield Variant(cross(one, other, generator), "crossing")


def evolve(trials: Sequence[Trial], epochs: int, generator: random.Random) -> Variant:
    """Return a mutation of the best of a few recent trials, which must have epochs."""
    recent = trials[-POPULATION:]
    levels = observe(recent, epochs).levels
    rivals = generator.sample(range(len(recent)), min(RIVALS, len(recent)))
    parent = recent[min(rivals, key=lambda index: levels[index])].candidate
    return Variant(mutate(parent.decisions, parent.options, generator, most=1), "mutation")
