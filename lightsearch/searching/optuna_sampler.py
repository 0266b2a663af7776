"""Optuna's samplers, asked in a study in memory."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from lightsearch.design.decoding import Choose
from lightsearch.study.optuna_tools import categorical, quiet, warn_once
from lightsearch.study.orders import Direction
from lightsearch.study.trial import Trial


def tpe_sampler(seed: int) -> optuna.samplers.TPESampler:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), as a search asks it.

    It draws the decisions that occur together from one density, and counts trials that run as bad,
    so that they are not repeated. It asks the estimator at once: how many trials are drawn
    uniformly before is for the search to say.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True
        )


class OptunaSampler:
    """An Optuna sampler, asked in a study in memory, of one direction or of several."""

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        seen: Iterable[Seen],
        directions: Sequence[Direction] = ("maximize",),
    ) -> None:
        storage = InMemoryStorage()
        with quiet():
            self._study = optuna.create_study(
                directions=directions, storage=storage, sampler=sampler
            )
        self._has_worst = len(directions) == 1
        takes = inspect.signature(type(sampler).__init__).parameters
        self._has_other = "independent_sampler" in takes
        id_ = storage.get_study_id_from_name(self._study.study_name)
        for trial in seen:
            storage.create_new_trial(id_, trial)

    def ask(self) -> Choose:
        with warn_once():
            self._trial = self._study.ask()
        return self._suggest

    def _suggest(self, path: str, options: Sequence[Any]) -> int:
        with warn_once():
            return int(self._trial.suggest_categorical(path, range(len(options))))

    @property
    def drew_alone(self) -> bool:
        """Whether the latest decisions are all the sampler's independent sampler's.

        CMA-ES leaves to it what is no number, as all decisions are, and others their first draws.
        """
        return self._has_other and not self._trial.relative_params

    def tell(self, verdict: str, decisions: dict[str, int], options: dict[str, int]) -> None:
        with quiet():  # what is too large or does not fit is worst; a duplicate says nothing
            if verdict == "duplicate" or not self._has_worst:
                self._study.tell(self._trial, state=TrialState.FAIL)
            else:
                self._study.tell(self._trial, 0.0)


class Seen(FrozenTrial):
    """A trial that a storage takes as it is. Its values are never changed, and to copy all of them
    for each proposal took a third of its time."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Seen:
        return copy.copy(self)


def seen_trial(trial: Trial, judge: Callable[[Trial], Sequence[float]] | None = None) -> Seen:
    """A trained or running trial as the sampler sees it: only its decisions and its accuracy.

    With `judge` it has that function's values in place of the accuracy, if it is complete; Optuna
    does not take values of unfinished trials where there are several.
    """
    decisions, options = trial.candidate.decisions, trial.candidate.options
    values = {e.epoch: e.accuracy for e in trial.epochs}
    state = TrialState.RUNNING
    if trial.outcome == "complete":
        state = TrialState.COMPLETE
    elif trial.outcome != "running":
        state = TrialState.PRUNED if values and judge is None else TrialState.FAIL
    found: Sequence[float] | None = None
    if state == TrialState.COMPLETE:
        found = [trial.epochs[-1].accuracy] if judge is None else judge(trial)
    return Seen(
        number=-1,
        trial_id=-1,
        state=state,
        datetime_start=None,
        datetime_complete=None,
        params=dict(decisions),
        user_attrs={},
        system_attrs={},
        distributions={k: categorical(n) for k, n in options.items()},
        value=None,
        values=found,
        intermediate_values=values if judge is None else {},
    )
