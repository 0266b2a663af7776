"""An objective of several values, by samplers of Optuna's that look for a Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightsearch.errors import ArgumentError, quote
from lightsearch.searching.optuna_sampler import Seen, seen_trial
from lightsearch.searching.proposals import DRAWS_ALONE, Proposer
from lightsearch.searching.settings import Settings
from lightsearch.study.objectives import Objectives, check_directions, judge_all
from lightsearch.study.orders import Direction
from lightsearch.study.trial import Trial

KNOWING = ("tpe", *DRAWS_ALONE)  # samplers by name that know several objectives, or need none


class ObjectivesProposer(Proposer):
    """A proposer for an objective of several values, which are judged when a trial is complete."""

    def __init__(
        self, objective: Objectives, directions: Sequence[Direction], *given: Any, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self.directions = directions
        self._objective = objective

    def _see(self, trial: Trial) -> Seen:
        return seen_trial(trial, lambda one: judge_all(self._objective, one, len(self.directions)))


def directions_of(settings: Settings) -> tuple[Direction, ...]:
    """Return the directions of a search, none if its objective has one value.

    Raises `ArgumentError` for what does not go with several.
    """
    if settings.directions is None:
        return ()
    directions = check_directions(settings.directions)
    if settings.objective is None:
        raise ArgumentError(
            "`directions` must be given with an `objective` of as many values, but got "
            f"{list(directions)} and none"
        )
    sampler = settings.sampler
    if (sampler is None or isinstance(sampler, str)) and sampler not in KNOWING:
        raise ArgumentError(
            f"`sampler` must be one of {', '.join(KNOWING)}, or an Optuna sampler, with "
            f"`directions`, but got {quote(sampler)}"
        )
    if settings.pruner != "none":
        raise ArgumentError(
            "`pruner` must be 'none' with `directions`, since a trial has its values at its end, "
            f"but got {quote(settings.pruner)}"
        )
    return directions
