"""A model of what a study has learned: the level at the last epoch, from features of a design.

It is Bayesian linear regression on the features of `surrogate.features` and on the choices of the
recipe (scikit-learn's `BayesianRidge`; MacKay 1992, Tipping 2001). The evidence sets how strong
the features and the noise are. A draw of the weights is a guess of the whole function, so that
workers who ask at once get different proposals (Thompson sampling). Observations are the forecasts
of `surrogate.forecast`: early epochs count for less.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightsearch.statistics import assume_seed_sd
from lightsearch.surrogate.forecast import fit_line, table_line
from lightsearch.surrogate.table import EPOCHS

Array: TypeAlias = NDArray[np.float64]
KNOWN = 20  # trials that the known noise counts as
LEAST_OWN = 0.5  # of a seed's variance: what designs differ by beyond their features, at least


@dataclass(frozen=True, slots=True)
class Observations:
    """Of some trials: the forecast of the level at the last epoch, and how much it counts."""

    levels: Array
    weights: Array


def observe_curves(curves: Sequence[Sequence[float]], epochs: int) -> Observations:
    """Return the observations of curves of levels, some of which may end before `epochs`.

    With too few complete trials to forecast from, the level is relative to the mean of the trials
    that came as far.
    """
    lengths = np.array([len(curve) for curve in curves])
    last = np.array([curve[-1] for curve in curves])
    complete = [curve for curve in curves if len(curve) >= epochs]
    ends = np.array([curve[-1] for curve in complete])
    levels, weights = last.copy(), np.ones(len(last))
    for length in np.unique(lengths[lengths < epochs]):
        here = lengths == length
        share = length / epochs
        prior = table_line(max(1, round(share * EPOCHS)))
        line = fit_line(np.array([curve[length - 1] for curve in complete]), ends, share)
        if line is not None:
            levels[here] = line.center_last + line.slope * (last[here] - line.center_now)
        else:
            as_far = [curve[length - 1] for curve in curves if len(curve) >= length]
            center = ends.mean() if len(ends) else 0.0
            levels[here] = center + prior.slope * (last[here] - np.mean(as_far))
        weights[here] = prior.slope
    return Observations(levels, weights)


def assume_noise(levels: Array, images: int) -> float:
    """Return the variance of levels that features are expected not to explain, at least.

    It is that of a seed, with so many `images`, and of what is special of a design.
    """
    error = math.exp(np.clip(np.median(levels), math.log(0.5 / images), math.log(0.9)))
    seed = assume_seed_sd(1 - error, images) / error
    return (1 + LEAST_OWN) * seed**2


class LevelModel:
    """The regression, fitted to features (a row a trial) and their observations.

    Of several `groups`, such as studies with other numbers of epochs, only differences within each
    one count: features and levels are taken from the group's means (fixed effects). What is
    predicted is the level in the last group.

    A `noise` that is given counts as that of `KNOWN` more trials. Without it a dozen trials are
    fitted nearly exactly, which does no harm where proposals are drawn of it, but is no forecast
    (docs/benchmarks/search.md).
    """

    def __init__(
        self,
        features: Array,
        seen: Observations,
        groups: NDArray[np.intp] | None = None,
        noise: float | None = None,
    ) -> None:
        from sklearn.linear_model import BayesianRidge

        rows, levels = features, seen.levels
        self._home: tuple[Array | float, float] = 0.0, 0.0
        if groups is not None:
            rows, levels = rows.copy(), levels.copy()
            for group in np.unique(groups):
                here = groups == group
                weights = seen.weights[here]
                self._home = (
                    np.average(rows[here], axis=0, weights=weights),
                    float(np.average(levels[here], weights=weights)),
                )
                rows[here] -= self._home[0]
                levels[here] -= self._home[1]
        self._center = rows.mean(axis=0)
        spread = rows.std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, 1.0)
        known = {} if noise is None else {"alpha_1": KNOWN / 2, "alpha_2": KNOWN / 2 * noise}
        self._ridge: Any = BayesianRidge(max_iter=50, **known)
        self._ridge.fit(self._scaled(rows), levels, sample_weight=seen.weights)

    def _scaled(self, features: Array) -> Array:
        scaled: Array = (features - self._center) / self._scale
        return scaled

    def predict(self, features: Array) -> Array:
        """Return the expected level of each row; lower is better."""
        expected: Array = self._ridge.predict(self._scaled(features - self._home[0]))
        return expected + self._home[1]

    @functools.cached_property
    def _root(self) -> Array:
        """A root of the covariance of the weights."""
        values, vectors = np.linalg.eigh(self._ridge.sigma_)
        root: Array = vectors * np.sqrt(np.maximum(values, 0))
        return root

    def sample(self, features: Array, seed: int) -> Array:
        """Return the level of each row by one draw of the weights."""
        generator = np.random.Generator(np.random.PCG64(seed))
        normal = generator.standard_normal(len(self._root))
        weights = self._ridge.coef_ + self._root @ normal
        drawn: Array = self._scaled(features - self._home[0]) @ weights + self._ridge.intercept_
        return drawn + self._home[1]
