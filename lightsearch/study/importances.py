"""Which decisions matter: Optuna's importances of a study's decisions."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from lightsearch.errors import StudyError
from lightsearch.study.optuna_tools import categorical, quiet
from lightsearch.study.trial import Trial

FEWEST = 5  # trials: of fewer, any picture is chance
SHUFFLES = 20


@dataclass(frozen=True, slots=True)
class Importances:
    """Shares by decision, the largest first, adding up to 1.

    `chance` is the share that a decision without any effect exceeds one time in twenty: it is
    taken from the same trials with their accuracies shuffled.
    """

    shares: dict[str, float]
    chance: dict[str, float]
    epoch: int
    trials: int


def importances(trials: Sequence[Trial], *, seed: int = 0) -> Importances:
    """How much each decision has to do with being among the best tenth of the trials.

    By PED-ANOVA (Watanabe et al. 2023), Optuna's default. What is compared is the accuracy after
    the last epoch that all trials have: pruning then leaves no trial out, where the accuracy at
    the end would compare the survivors alone. Trials that failed or diverged, and those that
    still run, take no part.

    Raises `StudyError` for fewer than 5 trials, or where they are all equally good.
    """
    used = [t for t in trials if t.outcome in ("complete", "pruned") and t.epochs]
    if len(used) < FEWEST:
        raise StudyError(
            f"importances must be of at least {FEWEST} trials that are over, "
            f"but there are {len(used)}: more `trials` make the study larger"
        )
    epoch = min(len(t.epochs) for t in used)
    values = [t.epochs[epoch - 1].accuracy for t in used]
    study = _study(used)
    found = _rate(study, values)
    whole = sum(found.values())
    if not whole > 0:
        raise StudyError(
            "importances must be of trials that differ, but there is no decision in "
            f"which the best of {len(used)} trials do: more `trials` make the study "
            "larger"
        )
    generator = random.Random(seed)
    shuffled = [_rate(study, generator.sample(values, len(values))) for _ in range(SHUFFLES)]
    ranked = sorted(found.items(), key=lambda one: -one[1])
    return Importances(
        {name: value / whole for name, value in ranked},
        {name: sorted(one[name] for one in shuffled)[-SHUFFLES // 20] / whole for name in found},
        epoch,
        len(used),
    )


def _study(trials: Sequence[Trial]) -> optuna.Study:
    """Only the decisions; Optuna wants values too, and is given others when it is asked."""
    with quiet():
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params=dict(t.candidate.decisions),
                    value=0.0,
                    distributions={k: categorical(n) for k, n in t.candidate.options.items()},
                )
                for t in trials
            ]
        )
    for trial in study.get_trials(deepcopy=False):  # to compare Optuna's copies takes longer
        options = trials[trial.number].candidate.options
        trial.distributions = {name: categorical(count) for name, count in options.items()}
    return study


def _rate(study: optuna.Study, accuracies: Sequence[float]) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few trials say little is what `chance` shows
        return get_param_importances(  # which takes low values for good ones
            study,
            evaluator=PedAnovaImportanceEvaluator(),
            normalize=False,
            target=lambda trial: -accuracies[trial.number],
        )


__all__ = ["Importances", "importances"]
