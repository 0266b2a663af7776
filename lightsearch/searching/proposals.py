"""Proposals: candidates that have passed the gate.

A sampler is asked in a study in memory that knows what was trained. Within one proposal it is
told that a rejected candidate is worth nothing, so it learns what fits. (If rejects were told as
failed, Optuna's TPE would ignore them and propose them again: within a tight budget nearly every
proposal failed.) With the proposal that is forgotten, so rejects and duplicates cost no trial and
leave no trace. Proposal n depends on the study's seed, on n, on what was trained before it, and on
the version of Optuna that is asked.

`"tpe"` is Optuna's `TPESampler`, made anew for each proposal. A sampler sees a window of the
latest trials, so a proposal takes no longer however long the search runs. With TPE it is one to
five draws of 67 milliseconds each, on a busy processor. Windows of 100 and 200 trials took 30 and
51, and found fewer designs that hit (docs/benchmarks/search.md).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from lightsearch.design.decoding import Choose, chooser, decode, record_decisions, replay
from lightsearch.design.parts import Design, Space
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError, DesignError, suggestion
from lightsearch.network.cost import Budget, Cost, cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.randomness import key
from lightsearch.searching.optuna_sampler import OptunaSampler, Seen, seen_trial, tpe_sampler
from lightsearch.searching.settings import SAMPLERS
from lightsearch.shapes import Shape
from lightsearch.space import Sampler
from lightsearch.study.trial import Candidate, Counts, Trial

ASKED = 40  # times that Optuna is asked for one proposal, before it is drawn uniformly
DRAWN = 500  # uniform draws for one proposal, before the space counts as exhausted
SEEN = 300  # the latest trials that are over, which a sampler sees
STARTUP = 8  # trials that are drawn uniformly before TPE is asked


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate within the budget that was not trained before."""

    design: Design
    recipe: Recipe
    decisions: dict[str, int]
    cost: Cost
    fingerprint: str
    options: dict[str, int]  # how many options each decision had


class Exhausted(Exception):
    """Nothing new was found within the budget: the search ends with this diagnosis."""


class Proposer:
    """Draws proposals from a space and a recipe space; see the module's docstring.

    Raises `BudgetError` where no design of the space is within the budget.
    """

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
    ) -> None:
        if not isinstance(sampler, optuna.samplers.BaseSampler) and sampler not in SAMPLERS:
            raise ArgumentError(
                f"`sampler` must be one of {', '.join(SAMPLERS)}, or an Optuna "
                f"sampler, but got {sampler!r}{suggestion(sampler, SAMPLERS)}"
            )
        self.space, self.recipe, self.shape, self.classes = space, recipe, shape, classes
        self.budget, self.sampler, self.seed = budget, sampler, seed
        self._uniform = Sampler(space, shape, classes, budget)
        self._known: set[tuple[str, str]] = set()
        self._counted: tuple[int, Candidate | None] = 0, None
        self._seen: dict[int, tuple[Trial, Seen]] = {}  # by number, as of the latest proposal

    def propose(self, trials: Sequence[Trial], counts: Counts) -> tuple[Proposal, Counts]:
        """The next proposal, given all trials so far, and the counts with what it took.

        Raises `Exhausted` where nothing new is found within the bounds of tries.
        """
        number = len(trials)
        known = self._list_trained(trials)
        if self.sampler != "random" and number >= STARTUP:
            asked = self._ask(trials, known, counts)
            if isinstance(asked, Counts):
                counts = asked
            else:
                return asked
        return self._draw(number, known, counts)

    def _list_trained(self, trials: Sequence[Trial]) -> set[tuple[str, str]]:
        """Fingerprint and recipe of each trial. Proposals are asked for as the trials grow."""
        count, last = self._counted
        if not (count <= len(trials) and count and trials[count - 1].candidate is last):
            self._known, count = set(), 0
        for trial in trials[count:]:
            self._known.add((trial.candidate.fingerprint, trial.candidate.recipe))
        self._counted = len(trials), trials[-1].candidate if trials else None
        return self._known

    def sample(self, index: int) -> Proposal:
        """A uniform draw from within the budget that takes no part in the study: for timing."""
        proposal, _ = self._draw(-1 - index, set(), Counts())
        return proposal

    # Drawn uniformly from within the budget ------------------------------------------------

    def _draw(
        self, number: int, known: set[tuple[str, str]], counts: Counts
    ) -> tuple[Proposal, Counts]:
        generator = random.Random(key(self.seed, "draw", number))
        for _ in range(DRAWN):
            counts = counts.plus(drawn=1)
            decisions, design = self._uniform.draw(generator)
            options: dict[str, int] = {}
            # the sampler does not say how many options there were: decode once more to learn it
            decode(self.space, _note_choices(replay(decisions), options))
            drawing = record_decisions(chooser(generator), decisions)
            recipe = decode(self.recipe, _note_choices(drawing, options))
            made = self._gate(design, recipe, decisions, options, known)
            if isinstance(made, Proposal):
                return made, counts
            counts = counts.plus(**{made: 1})
        raise Exhausted(
            f"{DRAWN} draws from within the budget in a row were designs that this "
            f"study has trained already ({number} trials): the space holds few more"
        )

    # Asked of a sampler --------------------------------------------------------------------

    def _ask(
        self, trials: Sequence[Trial], known: set[tuple[str, str]], counts: Counts
    ) -> tuple[Proposal, Counts] | Counts:
        asked = self._tell_trials(trials)
        for _ in range(ASKED):
            counts = counts.plus(drawn=1)
            decisions: dict[str, int] = {}
            options: dict[str, int] = {}
            choose = record_decisions(_note_choices(asked.ask(), options), decisions)
            made: Proposal | str
            try:
                design, recipe = decode(self.space, choose), decode(self.recipe, choose)
                made = self._gate(design, recipe, decisions, options, known)
            except DesignError:
                made = "invalid"
            if isinstance(made, Proposal):
                return made, counts
            counts = counts.plus(**{made: 1})
            asked.tell(made, decisions, options)
        return counts

    def _tell_trials(self, trials: Sequence[Trial]) -> OptunaSampler:
        known, self._seen = self._seen, {}
        for trial in _window(trials):
            before = known.get(trial.number)
            fits = before is not None and before[0] is trial
            self._seen[trial.number] = before if before and fits else (trial, seen_trial(trial))
        sampler = self.sampler
        if sampler == "tpe":
            sampler = tpe_sampler(key(self.seed, "sampler", len(trials)) % 2**32)
        return OptunaSampler(sampler, [seen for _, seen in self._seen.values()])

    # The gate ------------------------------------------------------------------------------

    def _gate(
        self,
        design: Design,
        recipe: Recipe,
        decisions: dict[str, int],
        options: dict[str, int],
        known: set[tuple[str, str]],
    ) -> Proposal | str:
        """The proposal, or the name of the count that it adds to."""
        try:
            spent = cost(design, self.shape, self.classes)
        except DesignError:
            return "invalid"
        if self.budget.exceeded(spent):
            return "over_budget"
        print_ = fingerprint(design, self.shape)
        if (print_, str(recipe)) in known:
            return "duplicate"
        return Proposal(design, recipe, decisions, spent, print_, options)


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


def _note_choices(choose: Choose, options: dict[str, int]) -> Choose:
    def noted(path: str, of: tuple[Any, ...]) -> int:
        options[path] = len(of)
        return choose(path, of)

    return noted
