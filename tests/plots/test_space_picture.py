"""The plot of the space: what is within the budget is seen, however small or however capped."""

from __future__ import annotations

import dataclasses

import made
import matplotlib as mpl
import pytest
from matplotlib.axes import Axes

from lightsearch import Budget, default_space, survey
from lightsearch.plots.bins import make_bins, round_sizes
from lightsearch.plots.space import DRAWS
from lightsearch.result import SearchResult

TWO = "conv(2|3) gap linear(10)"
WIDE = f"[conv({'|'.join(map(str, range(8, 508)))})]*3 gap linear(10)"
SOME = "conv(4|6|8,s=1|2) conv(4|8|12) conv(4|8) gap linear(10)"


@pytest.fixture(autouse=True)
def _drawn_in_memory() -> None:
    mpl.use("agg")


def _study(budget: Budget, text: str = "") -> SearchResult:
    few = made.result(3)
    space = text or few.identity.space
    identity = dataclasses.replace(few.identity, budget=budget, space=space)
    return dataclasses.replace(few, identity=identity)


def _wide(ax: Axes, low: float, high: float) -> float:
    """The share of the axis' width between two values."""
    ends = [
        ax.transAxes.inverted().transform(ax.transData.transform((x, 1)))[0] for x in (low, high)
    ]
    return float(ends[1] - ends[0])


def _bars(ax: Axes, label: str) -> list[mpl.patches.Rectangle]:
    return [bar for c in ax.containers if str(c.get_label()).startswith(label) for bar in c]


@pytest.mark.parametrize("cap", [600, 1200])
def test_the_designs_within_a_tight_budget_have_a_part_of_the_width(cap: int) -> None:
    ax = _study(Budget(cap)).plot.space()
    bars = _bars(ax, "within")
    low = min(bar.get_x() for bar in bars)
    high = max(bar.get_x() + bar.get_width() for bar in bars)
    assert high == cap + 1 and _wide(ax, low, high) > 0.06
    over = _bars(ax, "over")
    assert len(bars) >= 4 and len(over) < 80  # the hatching of more would be solid
    texts = [text.get_text() for text in ax.get_xticklabels()]
    assert len(texts) == len(set(texts)) >= 3


def test_bars_of_two_designs_are_seen() -> None:
    ax = _study(Budget(3000), TWO).plot.space()
    bars = _bars(ax, "within")
    assert [bar.get_height() for bar in bars] == [0.5, 0.5]
    for bar in bars:
        assert _wide(ax, bar.get_x(), bar.get_x() + bar.get_width()) > 0.01
    low, high = ax.get_xlim()
    assert low < 50 and high > 3000


def test_thin_bars_have_no_edges_that_hide_them() -> None:
    """Relative: the same space in few bars, and in so many that they are thin."""
    study = _study(Budget(8000))
    few, many = (study.plot.space(bins=bins) for bins in (40, 1000))
    assert all(bar.get_linewidth() > 0 for bar in _bars(few, "within"))
    assert all(bar.get_linewidth() == 0 for bar in _bars(many, "within"))


def test_a_cap_on_activations_is_seen() -> None:
    """In a small space all designs are looked at: their shares add up to what is counted."""
    budget = Budget(activation_bytes_int8=4000)
    found = survey(SOME, budget=budget)
    assert 0 < found.within < found.designs and found.exact
    ax = _study(budget, SOME).plot.space()
    within = sum(bar.get_height() for bar in _bars(ax, "within the budget"))
    assert within == pytest.approx(found.within / found.designs)
    assert sum(bar.get_height() for bar in _bars(ax, "all designs")) == pytest.approx(1)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "within the budget" in labels and "all designs" in labels


def test_a_cap_on_macs_is_seen_beside_that_on_parameters() -> None:
    """Relative: with the cap on MACs, fewer are within; by random designs, of a large space."""
    both, params = Budget(8000, macs=1_200_000), Budget(8000)
    shares = []
    for budget in (both, params):
        ax = _study(budget).plot.space()
        bars = _bars(ax, "within")
        shares.append(sum(bar.get_height() for bar in bars))
        assert all(bar.get_x() <= 8000 for bar in bars)
    found = survey(default_space(), budget=both)
    assert shares[0] == pytest.approx(found.within / found.designs, abs=0.04)
    assert 0 < shares[0] < 0.8 * shares[1]
    labels = [text.get_text() for text in _study(both).plot.space().get_legend().get_texts()]
    assert any(f"by {DRAWS:,} random designs" in label for label in labels)


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget(1200, macs=500_000), ""),
        (Budget(8000, min_receptive_field=7), WIDE),
    ],
)
def test_few_designs_within_several_caps_are_seen(budget: Budget, text: str) -> None:
    assert _bars(_study(budget, text).plot.space(), "within the budget")


def test_a_space_of_which_the_small_designs_are_shown_has_plain_shares() -> None:
    ax = _study(Budget(8000), WIDE).plot.space()
    assert ax.get_yscale() == "linear" and ax.get_ylabel() == "share of the designs shown"
    assert sum(bar.get_height() for bar in _bars(ax, "within")) == pytest.approx(1)


@pytest.mark.parametrize("cap", [None, 0, 1, 57, 99, 100, 101, 1000, 10**6])
@pytest.mark.parametrize("most", [1, 7, 40, 10**6])
def test_every_design_is_in_one_bin_and_none_crosses_the_cap(cap: int | None, most: int) -> None:
    for sizes in ([5], [0, 3], [50, 70], list(range(57, 101)), [57, 99, 100, 5000, 90_000]):
        counts = tuple((size, size + 1) for size in sizes)
        found = make_bins(counts, cap, most)
        assert sum(found.counts) == sum(count for _, count in counts)
        assert list(found.edges) == sorted(set(found.edges)) and found.edges[0] <= sizes[0]
        inside = sum(n for number, n in enumerate(found.counts) if found.is_within(number, cap))
        assert inside == sum(n for size, n in counts if cap is None or size <= cap)
        if cap is not None and found.edges[0] <= cap < found.edges[-1]:
            assert cap + 1 in found.edges


@pytest.mark.parametrize(("low", "high"), [(1, 2), (50, 3100), (430, 31_000), (57, 10**7)])
def test_round_sizes_are_few_and_within(low: float, high: float) -> None:
    for most in (2, 5, 8):
        kept = round_sizes(low, high, most)
        assert kept and all(low <= one <= high for one in kept)
        assert len(kept) <= most
