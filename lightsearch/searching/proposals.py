"""Proposals: candidates that have passed the gate and were not trained before.

Proposal n depends on the study's seed, on n, on what was trained before it, and on the version of
Optuna or scikit-learn that is asked. These samplers make them:

- `"model"`, the default: near the cap first, of two draws the one with fewer MACs, but for small
  images; then the best of a pool of neighbours, by what the trials so far have taught
  (`searching.pool`).
- `"near-cap"`: uniform draws from the designs with 0.88 to 1 times the cap on parameters.
- `"uniform"`, or by its older name `"random"`: uniform draws from all within the budget.
- `"evolution"`: near the cap first, then mutations (`searching.pool`).
- `"tpe"`, and Optuna samplers: asked in a study in memory that knows what was trained. Within one
  proposal it is told that a rejected candidate is worth nothing, so it learns what fits. (If
  rejects were told as failed, Optuna's TPE would ignore them and propose them again: within a
  tight budget nearly every proposal failed.) With the proposal that is forgotten, so rejects and
  duplicates cost no trial and leave no trace.

With an accuracy to `reach`, the fewest parameters are looked for that reach it: `"model"` takes
the smallest of those in its pool that a draw of its weights holds for good enough.

Designs of a warm start come before all others (`study.warm_start`). If it has lessons, `"model"`
learns from them too, and is asked from the first proposal on.

`"tpe"` is Optuna's `TPESampler`, made anew for each proposal. An Optuna sampler sees a window of
the latest trials, so a proposal takes no longer however long the search runs. With TPE it is one
to five draws of 67 milliseconds each, on a busy processor. Windows of 100 and 200 trials took 30
and 51, and found fewer designs that hit (docs/benchmarks/search.md).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import optuna

from lightsearch.design.parts import Space
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.formatting import plural
from lightsearch.network.cost import Budget
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key
from lightsearch.searching import pool
from lightsearch.searching.gate import (
    CHEAP_FROM,
    CHEAPEST_OF,
    NEAR,
    NEAR_SMALLEST,
    Gate,
    Proposal,
    Rejected,
    count_options,
    draw_cheapest,
    draw_near_cap,
    follow,
)
from lightsearch.searching.optuna_sampler import OptunaSampler, Seen, seen_trial, tpe_sampler
from lightsearch.searching.words import SAMPLERS
from lightsearch.shapes import Shape
from lightsearch.space import Sampler
from lightsearch.study.identity import name_of
from lightsearch.study.orders import Direction
from lightsearch.study.trial import Candidate, Counts, Trial
from lightsearch.study.warm_start import NOTHING, First, WarmStart

ASKED = 40  # times that Optuna is asked for one proposal, before it is drawn uniformly
DRAWN = 500  # uniform draws for one proposal, before the space counts as exhausted
SEEN = 300  # the latest trials that are over, which an Optuna sampler sees
STARTUP = 8  # trials that are drawn before a sampler is asked, unless told otherwise
NEAR_CAP = ("model", "near-cap", "evolution")
DRAWS_ALONE = ("near-cap", "uniform", "random")


class Exhausted(Exception):
    """Nothing new was found within the budget: the search ends with this diagnosis."""


class Proposer:
    """Makes proposals from a space and a recipe space; see the module's docstring.

    Raises `BudgetError` where no design of the space is within the budget.
    """

    directions: Sequence[Direction] = ("maximize",)  # of what a sampler of Optuna's is told

    def __init__(
        self,
        space: Space,
        recipe: Recipe,
        *,
        shape: Shape,
        classes: int,
        budget: Budget,
        sampler: Any,
        seed: int,
        startup: int | None = None,
        epochs: int,
        workers: int = 1,
        warm_start: WarmStart = NOTHING,
        reach: float | None = None,
    ) -> None:
        if not isinstance(sampler, optuna.samplers.BaseSampler) and sampler not in SAMPLERS:
            raise ArgumentError(
                f"`sampler` must be one of {', '.join(SAMPLERS)}, or an Optuna "
                f"sampler, but got {quote(sampler)}{suggestion(sampler, SAMPLERS)}"
            )
        self.gate = Gate(space, recipe, shape, classes, budget)
        self.sampler, self.seed = sampler, seed
        self._uniform = Sampler(space, shape, classes, budget)
        self._near, self._least = self._uniform, 0
        if sampler in NEAR_CAP:
            shares = NEAR if reach is None else NEAR_SMALLEST
            self._near, self._least = draw_near_cap(self._uniform, shares)
        small = min(shape[1:]) < CHEAP_FROM
        self._draws = 1 if small or sampler != "model" else CHEAPEST_OF
        self._learner = pool.Learner(self.gate, epochs, warm_start.lessons, workers, reach)
        usual = 0 if warm_start.lessons else STARTUP
        self._startup = usual if startup is None else startup
        self._first = [self._read(one, n) for n, one in enumerate(warm_start.first)]
        self._pool_size = pool.size_for(workers)
        self._known: set[tuple[str, str]] = set()
        self._counted: tuple[int, Candidate | None] = 0, None
        self._seen: dict[int, tuple[Trial, Seen]] = {}  # by number, as of the latest proposal

    def propose(self, trials: Sequence[Trial], counts: Counts) -> tuple[Proposal, Counts]:
        """The next proposal, given all trials so far, and the counts with what it took.

        Raises `Exhausted` where nothing new is found within the bounds of tries.
        """
        number = len(trials)
        known = self._list_trained(trials)
        for one in self._first:
            if (one.fingerprint, str(one.recipe)) not in known:
                return one, counts.plus(drawn=1)
        by = "near-cap" if self._least else "uniform"
        if number >= self._startup and self.sampler not in DRAWS_ALONE:
            made: Proposal | None
            if self.sampler in ("model", "evolution"):
                made, counts = self._choose_variant(trials, known, counts)
            else:
                made, counts = self._ask(trials, known, counts)
            if made is not None:
                return made, counts
            by += f", since {name_of(self.sampler)} found nothing new"
        return self._draw(number, known, counts, by)

    def _read(self, first: First, number: int) -> Proposal:
        """The proposal of a design to try first."""
        generator = random.Random(key(self.seed, "warm start", number))
        recipe = parse_recipe(first.recipe) if first.recipe else None
        made = self.gate.read(parse(first.design), recipe, "warm start", follow({}, generator))
        return self.gate.name(made)

    def describe(self, trials: int) -> str:
        """Say in a few words what proposes which of so many trials."""
        where = " near the cap" if self._least else ""
        kind = "draw" if where else "uniform draw"
        given = len(self._first)
        parts = [f"{plural(given, 'design')} to try first"] if given else []
        if self.sampler in DRAWS_ALONE:
            return ", then ".join([*parts, f"{kind}s{where}"])
        drawn = min(self._startup, trials) - given
        parts += [f"{plural(drawn, kind)}{where}"] if drawn > 0 else []
        if max(self._startup, given) < trials:
            own = isinstance(self.sampler, optuna.samplers.BaseSampler)
            more = ", which may begin with draws of its own" if own else ""
            parts.append(f"{name_of(self.sampler)}{more}")
        return ", then ".join(parts)

    def sample(self, index: int) -> Proposal:
        """A uniform draw from within the budget that takes no part in the study: for timing."""
        proposal, _ = self._draw(-1 - index, set(), Counts(), "timing")
        return proposal

    def _list_trained(self, trials: Sequence[Trial]) -> set[tuple[str, str]]:
        """Fingerprint and recipe of each trial. Proposals are asked for as the trials grow."""
        count, last = self._counted
        if not (count <= len(trials) and count and trials[count - 1].candidate is last):
            self._known, count = set(), 0
        for trial in trials[count:]:
            self._known.add((trial.candidate.fingerprint, trial.candidate.recipe))
        self._counted = len(trials), trials[-1].candidate if trials else None
        return self._known

    def _first_new(
        self,
        made: Iterable[Proposal | Rejected],
        known: set[tuple[str, str]],
        counts: Counts,
    ) -> tuple[Proposal | None, Counts]:
        """The first of some candidates that was not trained before, and the counts with all."""
        for one in made:
            if isinstance(one, Rejected):
                counts = counts.plus(drawn=1, **{one.reason: 1})
                continue
            named = self.gate.name(one)
            if (named.fingerprint, str(named.recipe)) not in known:
                return named, counts.plus(drawn=1)
            counts = counts.plus(drawn=1, duplicate=1)
        return None, counts

    # Drawn uniformly from within the budget, or from near its cap ------------------------------

    def _draw(
        self, number: int, known: set[tuple[str, str]], counts: Counts, by: str
    ) -> tuple[Proposal, Counts]:
        generator = random.Random(key(self.seed, "draw", number))
        sources = [(self._near, by, self._draws if self._least else 1)]
        if self._least:
            sources.append((self._uniform, "uniform, since nothing near the cap is new", 1))
        for sampler, name, count in sources:
            draws = (self._draw_one(sampler, generator, name, count) for _ in range(DRAWN))
            made, counts = self._first_new(draws, known, counts)
            if made is not None:
                return made, counts
        raise Exhausted(
            f"{DRAWN} draws from within the budget in a row were designs that this "
            f"study has trained already ({number} trials): the space holds few more"
        )

    def _draw_one(
        self, sampler: Sampler, generator: random.Random, by: str, count: int = 1
    ) -> Proposal | Rejected:
        decisions = draw_cheapest(sampler, generator, count)
        return self.gate.make(follow(decisions, generator), by)

    # Made of what was trained ------------------------------------------------------------------

    def _choose_variant(
        self, trials: Sequence[Trial], known: set[tuple[str, str]], counts: Counts
    ) -> tuple[Proposal | None, Counts]:
        """The proposal of `"model"` or `"evolution"`; None if nothing in its pool is new."""
        generator = random.Random(key(self.seed, "pool", len(trials)))
        if self.sampler == "evolution":
            seen = self._learner.choose_parents(self._learner.choose_seen(trials))
            return self._first_new(self._evolve(seen, generator), known, counts)
        learned = self._learner.learn(trials)
        if learned is None:
            return None, counts
        model, parents = learned
        variants = list(pool.vary(parents, generator, self._pool_size))
        by = "near-cap" if self._least else "uniform"
        made = [self._make(variant, generator) for variant in variants]
        left = range(self._pool_size - len(made))
        made += [self._draw_one(self._near, generator, by) for _ in left]
        whole = [one for one in made if isinstance(one, Proposal)]
        for one in made:
            if isinstance(one, Rejected):
                counts = counts.plus(drawn=1, **{one.reason: 1})
        if not whole:
            return None, counts
        order = self._learner.rank(model, whole, key(self.seed, "weights", len(trials)))
        found, after = self._first_new((whole[index] for index in order), known, counts)
        return found, after.plus(drawn=len(whole) - (after.drawn - counts.drawn))

    def _evolve(
        self, seen: Sequence[Trial], generator: random.Random
    ) -> Iterator[Proposal | Rejected]:
        for _ in range(pool.POOL if seen else 0):
            yield self._make(pool.evolve(seen, self._learner.epochs, generator), generator)

    def _make(self, variant: pool.Variant, generator: random.Random) -> Proposal | Rejected:
        choose = follow(variant.decisions, generator)
        return self.gate.make(choose, variant.by, least=self._least)

    # Asked of a sampler of Optuna ----------------------------------------------------------------

    def _ask(
        self, trials: Sequence[Trial], known: set[tuple[str, str]], counts: Counts
    ) -> tuple[Proposal | None, Counts]:
        asked = self._tell_trials(trials)
        for _ in range(ASKED):
            one = self.gate.make(asked.ask(), name_of(self.sampler))
            if isinstance(one, Proposal) and asked.drew_alone:
                one = dataclasses.replace(one, by=f"{one.by}, its independent sampler")
            made, after = self._first_new([one], known, counts)
            if made is not None:
                return made, after
            verdict = one.reason if isinstance(one, Rejected) else "duplicate"
            asked.tell(verdict, one.decisions, count_options(one.options))
            counts = after
        return None, counts

    def _tell_trials(self, trials: Sequence[Trial]) -> OptunaSampler:
        known, self._seen = self._seen, {}
        for trial in _window(trials):
            before = known.get(trial.number)
            fits = before is not None and before[0] is trial
            self._seen[trial.number] = before if before and fits else (trial, self._see(trial))
        sampler = self.sampler
        if sampler == "tpe":
            sampler = tpe_sampler(key(self.seed, "sampler", len(trials)) % 2**32)
        seen = [seen for _, seen in self._seen.values()]
        return OptunaSampler(sampler, seen, self.directions)

    def _see(self, trial: Trial) -> Seen:
        return seen_trial(trial)


def _window(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that a sampler sees, in their order: the latest that are over, and those that
    run and were begun after them. Its time grows with their number."""
    seen: list[Trial] = []
    over = 0
    for trial in reversed(trials):
        over += trial.outcome != "running"
        if over > SEEN:
            break
        seen.append(trial)
    return seen[::-1]
