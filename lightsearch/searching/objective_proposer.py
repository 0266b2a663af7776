"""Proposals for an objective of the user's (see `searching.objective`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightsearch.searching.gate import Proposal
from lightsearch.searching.objective import Objective, show_trial
from lightsearch.searching.proposals import Proposer
from lightsearch.study.trial import Counts, Trial


class ObjectiveProposer(Proposer):
    """A proposer for an objective.

    The best designs need not be near the cap, so `"model"` and `"evolution"` draw from all within
    the budget, and vary whatever is best.
    """

    def __init__(self, objective: Objective, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.sampler in ("model", "evolution"):
            self._near, self._least = self._uniform, 0
        self._objective = objective
        self._shown: dict[int, tuple[Trial, Trial]] = {}  # by number: a trial, and as it is shown

    def propose(self, trials: Sequence[Trial], counts: Counts) -> tuple[Proposal, Counts]:
        return super().propose([self._show(trial) for trial in trials], counts)

    def _show(self, trial: Trial) -> Trial:
        """A trial with the objective's values for accuracies; the same for the same trial."""
        known = self._shown.get(trial.number)
        if known is None or known[0] is not trial:
            before = known[1].epochs if known and trial.epochs[:-1] else ()
            known = trial, show_trial(trial, self._objective, before)
            self._shown[trial.number] = known
        return known[1]
