"""A model of the table of curves, which answers for any design of small networks on MNIST.

The model has three parts. All are in a power of the error in percent (`_level`), for early epochs
its logarithm: there, noise is about as large for good designs as for bad ones.

- the *mean* curve of a design: a Gaussian process on the features of `surrogate.features`, with a
  linear and a Matern part, one for all 15 epochs. Features are kept within the table's range, so
  that nothing is extrapolated.
- the *design's own* deviation, which the features do not explain. It is drawn once for a design
  from its fingerprint, with the covariance along the epochs that is left when each design is
  predicted without its own runs. Designs of the table have their measured one.
- the *seed's* deviation, drawn from the fingerprint and the seed, with the covariance along the
  epochs among runs of one design.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightsearch.network.cost import Cost, cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.notation.parser import parse
from lightsearch.randomness import key
from lightsearch.surrogate.features import measure
from lightsearch.surrogate.table import CLASSES, EPOCHS, IMAGES, RECIPE, SHAPE, Run, read_runs

Array: TypeAlias = NDArray[np.float64]
NOISE = 0.6  # of the process: the share of variance among designs that features do not explain
POWER_START, POWER_RISE = 4.5, 0.08
LENGTH = 4.0  # of the Matern part, in standard deviations of the features
POWERS = np.clip(POWER_RISE * (np.arange(1, EPOCHS + 1) - POWER_START), 0, None)
_DIVISORS = np.where(POWERS > 0, POWERS, 1.0)


@dataclass(frozen=True, slots=True)
class Curve:
    """Correct test images of 10,000 by averaged and by raw weights, and losses, by epoch."""

    averaged: tuple[int, ...]
    raw: tuple[int, ...]
    loss: tuple[float, ...]


class CurveModel:
    """The model, fitted to runs with the table's recipe. `load_model` gives that of the table."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        runs = tuple(run for run in runs if run.recipe == RECIPE)
        self._runs = {(_print(run.design), run.seed): run for run in runs}
        groups: dict[str, list[Array]] = defaultdict(list)
        features: dict[str, list[float]] = {}
        for run in runs:
            print_ = _print(run.design)
            groups[print_].append(_level(np.array(run.averaged)))
            features[print_] = measure(cost(parse(run.design), SHAPE, CLASSES))
        self.prints = tuple(groups)
        self.features = np.array([features[one] for one in self.prints])
        self.counts = np.array([len(groups[one]) for one in self.prints])
        self.means = np.array([np.mean(groups[one], axis=0) for one in self.prints])
        self.seed_covariance = _pool([np.array(one) for one in groups.values()])
        self._low, self._high = self.features.min(axis=0), self.features.max(axis=0)
        self._center, self._scale = self.features.mean(axis=0), self.features.std(axis=0)
        self._scale[self._scale == 0] = 1
        self._process = self._fit()
        left = self.leave_one_out() - self.means
        noise = self.seed_covariance * float(np.mean(1 / self.counts))
        self.design_covariance = _positive(left.T @ left / len(left) - noise)
        self._roots = _root(self.design_covariance), _root(self.seed_covariance)
        self._known = self._deviations()
        self._gap, self._gap_spread = _fit_gap(runs)
        self._loss = _fit_loss(runs)

    def _fit(self) -> Any:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

        kernel = DotProduct(0.1) * ConstantKernel(0.06)
        kernel = kernel + ConstantKernel(0.1) * Matern(LENGTH, nu=2.5)
        noise = NOISE * (0.5 + 0.5 / self.counts)
        process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None, normalize_y=True)
        return process.fit(self._scaled(self.features), self.means)

    def _scaled(self, features: Array) -> Array:
        clipped: Array = (np.clip(features, self._low, self._high) - self._center) / self._scale
        return clipped

    def leave_one_out(self) -> Array:
        """Return the predicted levels of each design from all others, by epoch.

        The closed form is that of Rasmussen and Williams 2006, section 5.4.2.
        """
        process = self._process
        inverse = np.linalg.inv(process.L_ @ process.L_.T)
        spread, center = self.means.std(axis=0), self.means.mean(axis=0)
        standard = (self.means - center) / spread
        left = inverse @ standard / np.diag(inverse)[:, None]
        predicted: Array = (standard - left) * spread + center
        return predicted

    def _deviations(self) -> dict[str, Array]:
        """The designs of the table: how far their curves are from the mean, shrunken by noise."""
        predicted = self._process.predict(self._scaled(self.features))
        known = {}
        for index, print_ in enumerate(self.prints):
            noise = self.seed_covariance / self.counts[index]
            gain = self.design_covariance @ np.linalg.inv(self.design_covariance + noise)
            known[print_] = gain @ (self.means[index] - predicted[index])
        return known

    def mean(self, spent: Cost, print_: str) -> Array:
        """Return the mean level of a design over seeds, by epoch."""
        (predicted,) = self._process.predict(self._scaled(np.array([measure(spent)])))
        known = self._known.get(print_)
        if known is None:
            known = self._roots[0] @ _normal(EPOCHS, "design", print_)
        mean: Array = predicted + known
        return mean

    def true_accuracy(self, spent: Cost, print_: str) -> float:
        """Return the mean accuracy over seeds at the last epoch, from 0 to 1.

        The mean is over the seed's deviation, by Gauss-Hermite quadrature.
        """
        level = self.mean(spent, print_)[-1]
        nodes, weights = np.polynomial.hermite_e.hermegauss(9)
        levels = np.full((9, EPOCHS), level)
        levels[:, -1] += nodes * np.sqrt(self.seed_covariance[-1, -1])
        errors = _error(levels)[:, -1]
        return float(1 - errors @ weights / weights.sum() / 100)

    def curve(self, spent: Cost, print_: str, seed: int) -> Curve:
        """Return the curve of a run: of the table if it is there, else a drawn one."""
        known = self._runs.get((print_, seed))
        if known is not None and known.loss:
            return Curve(known.averaged, known.raw, known.loss)
        own = self._roots[1] @ _normal(EPOCHS, "seed", print_, seed)
        averaged = self.mean(spent, print_) + own
        gap = self._gap + self._gap_spread * _normal(EPOCHS, "raw", print_, seed)
        intercept, slope = self._loss
        losses = np.exp(intercept + slope * averaged)
        return Curve(
            _correct(averaged), _correct(averaged + gap), tuple(float(one) for one in losses)
        )


@cache
def load_model() -> CurveModel:
    """Return the model of the table that the package ships."""
    return CurveModel(read_runs())


# Parts -------------------------------------------------------------------------------------------


@cache
def _print(design: str) -> str:
    return fingerprint(parse(design), SHAPE)


def _level(correct: Any) -> Array:
    """The Box-Cox transform of the error in percent, by epoch. Half an image stands for none."""
    wrong = np.maximum(IMAGES - correct, 0.5) * (100 / IMAGES)
    levels: Array = np.where(POWERS > 0, (1 - wrong**-POWERS) / _DIVISORS, np.log(wrong))
    return levels


def _error(level: Array) -> Array:
    """The error in percent, by epoch: the inverse of `_level`, at most 99."""
    base = np.maximum(1 - POWERS * level, 1e-6)
    errors: Array = np.where(POWERS > 0, base ** (-1 / _DIVISORS), np.exp(np.minimum(level, 5)))
    return np.minimum(errors, 99.0)


def _correct(level: Array) -> tuple[int, ...]:
    wrong = _error(level) * (IMAGES / 100)
    return tuple(int(one) for one in np.clip(np.rint(IMAGES - wrong), 0, IMAGES))


def _pool(groups: list[Array]) -> Array:
    """Return the covariance within groups of runs, along the epochs, shrunken (Ledoit, Wolf)."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    several = [group for group in groups if len(group) > 1]
    rows = np.concatenate([group - group.mean(axis=0) for group in several])
    freedom = sum(len(group) - 1 for group in several)
    plain = rows.T @ rows / freedom
    share = ledoit_wolf_shrinkage(rows, assume_centered=True)
    # towards its own diagonal: noise falls with the epochs
    shrunken: Array = (1 - share) * plain + share * np.diag(np.diag(plain))
    return shrunken


def _positive(matrix: Array) -> Array:
    """Return the nearest covariance: negative eigenvalues are set to zero."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    positive: Array = (vectors * np.maximum(values, 0)) @ vectors.T
    return positive


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Array = vectors * np.sqrt(np.maximum(values, 0))
    return root


def _normal(count: int, *parts: str | int) -> Array:
    generator = np.random.Generator(np.random.PCG64(key(0, "surrogate", *parts) % 2**64))
    return generator.standard_normal(count)


def _fit_gap(runs: tuple[Run, ...]) -> tuple[Array, Array]:
    """By epoch, how much larger the level of raw weights is: mean and spread."""
    gaps = np.array([_level(np.array(run.raw)) - _level(np.array(run.averaged)) for run in runs])
    return gaps.mean(axis=0), gaps.std(axis=0)


def _fit_loss(runs: tuple[Run, ...]) -> tuple[Array, Array]:
    """By epoch, the logarithm of the training loss as a line in the level."""
    known = [run for run in runs if run.loss]
    errors = np.array([_level(np.array(run.averaged)) for run in known])
    losses = np.log(np.array([run.loss for run in known]))
    slope = np.array(
        [
            np.cov(errors[:, i], losses[:, i])[0, 1] / max(errors[:, i].var(ddof=1), 1e-9)
            for i in range(EPOCHS)
        ]
    )
    intercept = losses.mean(axis=0) - slope * errors.mean(axis=0)
    return intercept, slope
