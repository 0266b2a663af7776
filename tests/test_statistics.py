"""Bounds and corrections against scipy.stats and published examples, and in simulated searches."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightsearch.statistics import ERROR, Sample, find_mean, fit_shrinkage, holm, share_bound
from lightsearch.study.confirmations import Confirmation, gather, judge

TARGET = Fraction(994, 1000)
COUNTS = st.lists(st.integers(9900, 10_000), min_size=2, max_size=12).filter(
    lambda counts: len(set(counts)) > 1
)


@given(COUNTS)
def test_mean_deviation_bound_and_p_value_are_scipys(counts: list[int]) -> None:
    sample, shares = Sample(tuple(counts), 10_000), np.array(counts) / 10_000
    assert float(sample.mean) == pytest.approx(shares.mean(), abs=1e-12)
    assert sample.sd == pytest.approx(shares.std(ddof=1), abs=1e-12)
    test = stats.ttest_1samp(shares, 0.994, alternative="greater")
    assert sample.p_value(TARGET) == pytest.approx(test.pvalue, abs=1e-8)
    for error in (0.05, 0.01):
        bound = test.confidence_interval(1 - error).low
        assert sample.bound(error) == pytest.approx(bound, abs=1e-10)
        if abs(bound - 0.994) > 1e-9:
            assert sample.above(TARGET, error) == (bound >= 0.994)
    upper = stats.ttest_1samp(shares, 0.994, alternative="less").confidence_interval(0.95).high
    if abs(upper - 0.994) > 1e-9:
        assert sample.below(TARGET) == (upper < 0.994 and len(counts) >= 3)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 10), (7, 10), (10, 10), (3, 3), (1, 2)])
def test_the_bound_of_the_share_is_clopper_and_pearsons(hits: int, count: int) -> None:
    exact = stats.binomtest(hits, count, alternative="greater").proportion_ci(0.95, "exact").low
    assert share_bound(hits, count) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [True, False, False, True]),  # a common textbook example
        ([0.04], [True]),
        ([0.03, 0.04], [False, False]),  # 0.03 fails at 0.025, so 0.04 is not looked at
        ([0.02, 0.04], [True, True]),
        ([1.0, 0.001, 1.0], [False, True, False]),
    ],
)
def test_holms_levels_reject_what_holms_procedure_rejects(p_values, rejected) -> None:
    levels = holm(p_values)
    assert [p <= level for p, level in zip(p_values, levels, strict=True)] == rejected
    assert max(levels) <= ERROR and min(levels) >= ERROR / len(p_values)


def test_a_mean_that_equals_the_target_in_every_run_is_at_the_target() -> None:
    assert Sample((9940,) * 5, 10_000).above(TARGET)
    assert not Sample((9939,) * 5, 10_000).above(TARGET)
    assert Sample((9940,) * 5, 10_000).p_value(TARGET) == 0.0


def test_one_seed_says_nothing() -> None:
    sample = Sample((10_000,), 10_000)
    assert not sample.above(TARGET) and not sample.below(TARGET)
    assert sample.p_value(TARGET) == 1.0 and math.isnan(sample.sd)


# Simulated confirmations ------------------------------------------------------------------------

SEEDS = tuple(range(10))


def _one(correct: np.ndarray) -> Confirmation:
    return gather(("design", "recipe"), SEEDS, [int(c) for c in correct], 10_000, TARGET)


def _draw(generator: np.random.Generator, mean: float, *shape: int) -> np.ndarray:
    """Draw the right images of 10,000 by seed: a standard deviation of 0.055 points."""
    return np.rint(generator.normal(10_000 * mean, 5.5, (*shape, len(SEEDS)))).clip(0, 10_000)


def test_false_confirmations_are_at_most_one_in_twenty() -> None:
    generator = np.random.default_rng(0)
    tries = 4000
    runs = _draw(generator, 0.994, tries)
    rate = np.mean([judge([_one(correct)])[0].confirmed for correct in runs])
    spread = 3 * math.sqrt(0.05 * 0.95 / tries)  # of the simulation, not of the rule
    assert rate <= 0.05 + spread
    # what the rule guards against: to stop at the first seed after which the bound is reached
    peeking = np.mean(
        [
            any(Sample(tuple(map(int, correct[:n])), 10_000).above(TARGET) for n in range(2, 11))
            for correct in runs
        ]
    )
    assert peeking > 0.10


def test_false_confirmations_of_several_designs_together_are_at_most_one_in_twenty() -> None:
    generator = np.random.default_rng(1)
    tries = 1500
    families = _draw(generator, 0.994, tries, 3)
    together = [judge([_one(correct) for correct in family]) for family in families]
    rate = np.mean([any(one.confirmed for one in family) for family in together])
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tries)
    alone = np.mean(
        [any(judge([_one(correct)])[0].confirmed for correct in family) for family in families]
    )
    assert alone > 0.10  # each by itself, without the correction


def test_a_good_design_is_confirmed_and_a_bad_one_is_given_up_early() -> None:
    generator = np.random.default_rng(2)
    good = [judge([_one(correct)])[0] for correct in _draw(generator, 0.9946, 300)]
    assert np.mean([one.confirmed for one in good]) > 0.9
    bad = [judge([_one(correct)])[0] for correct in _draw(generator, 0.9932, 300)]
    assert not any(one.confirmed for one in bad)
    assert np.mean([len(one.sample) for one in bad]) < 5


def test_only_all_seeds_confirm_and_later_runs_wait_for_earlier_ones() -> None:
    nine = [9990] * 9
    early = judge([gather(("d", "r"), SEEDS, [*nine, None], 10_000, TARGET)])[0]
    assert early.outcome == "running" and len(early.sample) == 9
    gap = gather(("d", "r"), SEEDS, [9000, None, 9000, 9001], 10_000, TARGET)
    assert gap.outcome == "running" and gap.sample.correct == (9000,)
    futile = gather(("d", "r"), SEEDS, [9000, 9001, 9000, 9999, 9999], 10_000, TARGET)
    assert futile.outcome == "futile" and futile.sample.correct == (9000, 9001, 9000)


def test_a_design_that_was_given_up_counts_in_the_correction() -> None:
    whole = gather(("a", "r"), SEEDS, [9950, 9951] * 5, 10_000, TARGET)
    futile = gather(("b", "r"), SEEDS, [9000, 9001, 9002], 10_000, TARGET)
    (alone,) = judge([whole])
    first, second = judge([whole, futile])
    assert (alone.error, first.error) == (0.05, 0.025)
    assert (first.outcome, second.outcome) == ("confirmed", "futile")
    assert first.figures()["confidence"] == 0.975


# Several designs --------------------------------------------------------------------------------


def test_shrinkage_of_a_hand_computed_case() -> None:
    fit = fit_shrinkage([[0.990, 0.992], [0.994, 0.996], [0.999]], 0.5)
    # within designs: 2e-6 + 2e-6 over 2 degrees of freedom; the mean of all five runs is 0.9942;
    # between them: 2 * 0.0032**2 + 2 * 0.0008**2 + 0.0048**2 = 44.8e-6, of which the seeds are
    # 2 * 2e-6; a design counts 5 - (4 + 4 + 1) / 5 = 3.2 times
    within, between = 2e-6, (44.8e-6 - 4e-6) / 3.2
    weights = [1 / (12.75 + 1), 1 / (12.75 + 1), 1 / (12.75 + 2)]
    center = (0.991 * weights[0] + 0.995 * weights[1] + 0.999 * weights[2]) / sum(weights)
    assert (fit.center, fit.freedom) == (pytest.approx(center), 2)
    assert fit.seed_sd**2 == pytest.approx(within) and fit.design_sd**2 == pytest.approx(between)
    for mean, count in ((0.991, 2), (0.999, 1)):
        factor = between / (between + within / count)
        assert fit.shrink(mean, count) == pytest.approx(center + (mean - center) * factor)
    assert fit.interval(0.991, 2) == pytest.approx(
        stats.t.interval(0.95, 2, 0.991, (within / 2) ** 0.5)
    )


def test_variances_are_those_of_scipys_one_way_analysis() -> None:
    generator = np.random.default_rng(1)
    groups = generator.normal(generator.normal(0.99, 0.001, (7, 1)), 0.0006, (7, 5))
    fit = fit_shrinkage(groups.tolist(), 0.5)
    between_groups = 5 * np.var(groups.mean(axis=1), ddof=1)
    assert between_groups / fit.seed_sd**2 == pytest.approx(stats.f_oneway(*groups).statistic)
    assert fit.design_sd**2 == pytest.approx((between_groups - fit.seed_sd**2) / 5)
    assert fit.freedom == 28


def test_without_two_runs_of_a_design_the_noise_is_what_was_said() -> None:
    fit = fit_shrinkage([[0.991], [0.994], [0.997]], 0.001)
    assert (fit.seed_sd, fit.freedom) == (0.001, 0)
    assert fit.design_sd**2 == pytest.approx(9e-6 - 1e-6)
    assert fit.shrink(0.997, 1) == pytest.approx(0.994 + 0.003 * 8 / 9)
    assert fit.interval(0.997, 1) == pytest.approx(stats.norm.interval(0.95, 0.997, 0.001))


def test_shrinkage_at_its_edges() -> None:
    alone = fit_shrinkage([[0.99, 0.98]], 0.001)
    assert alone.shrink(0.985, 2) == 0.985  # towards nothing
    alike = fit_shrinkage([[0.99, 0.98], [0.985, 0.9851]], 0.001)
    assert alike.design_sd == 0 and alike.shrink(0.99, 1) == alike.center
    ranks = [alike.rank(mean, count) for mean, count in ((0.99, 1), (0.989, 9), (0.98, 9))]
    assert sorted(ranks, reverse=True) == [ranks[1], ranks[0], ranks[2]]
    exact = fit_shrinkage([[0.99, 0.99], [0.98, 0.98]], 0.001)
    assert exact.seed_sd == 0 and exact.shrink(0.99, 2) == 0.99
    assert exact.interval(0.99, 2) == (0.99, 0.99)
    assert math.isnan(fit_shrinkage([], 0.001).center)


def test_shrunken_means_are_nearer_to_the_truth_and_intervals_cover_it() -> None:
    generator = np.random.default_rng(3)
    raw, shrunken, covered, count = 0.0, 0.0, 0, 0
    for _ in range(200):
        truth = generator.normal(0.9944, 0.00047, 9)
        groups = [
            generator.normal(mean, 0.0006, size).tolist()
            for mean, size in zip(truth, [11, 6, 3, 3, 1, 1, 1, 1, 1], strict=True)
        ]
        fit = fit_shrinkage(groups, 0.5)
        for mean, group in zip(truth, groups, strict=True):
            found = sum(group) / len(group)
            raw += (found - mean) ** 2
            shrunken += (fit.shrink(found, len(group)) - mean) ** 2
            low, high = fit.interval(found, len(group))
            covered, count = covered + (low <= mean <= high), count + 1
    assert shrunken < 0.75 * raw
    assert 0.93 < covered / count < 0.97


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9).filter(lambda v: np.ptp(v) > 1e-6))
def test_the_mean_and_its_interval_are_scipys(values: list[float]) -> None:
    found, test = find_mean(values), stats.ttest_1samp(values, 0)
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.p_value == pytest.approx(test.pvalue) and found.count == len(values)
    wide = find_mean(values, 0.01)
    assert (wide.low, wide.high) == pytest.approx(tuple(test.confidence_interval(0.99)))


def test_a_mean_of_one_value_or_of_equal_ones_has_no_interval() -> None:
    for values, p_value in (([0.2], math.nan), ([0.2, 0.2], math.nan), ([0.0, 0.0], 1.0)):
        found = find_mean(values)
        assert found.mean == values[0] and math.isnan(found.low) and math.isnan(found.high)
        assert found.p_value == pytest.approx(p_value, nan_ok=True)
