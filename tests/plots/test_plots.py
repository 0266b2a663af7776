"""The pictures: that what is drawn is what the records say, and that nothing is written over."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import made
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from scipy import stats

from lightsearch import Budget, cost, decode, default_space, parse, plot_design, survey, zoo
from lightsearch.design.decoding import chooser, record_decisions
from lightsearch.errors import ArgumentError, DesignError, StudyError
from lightsearch.plots.choices import decision_name
from lightsearch.plots.plots import Plots
from lightsearch.plots.style import HIT, LIMIT, MISS
from lightsearch.result import SearchResult
from lightsearch.study.importances import importances
from lightsearch.study.trial import to_fraction
from lightsearch.zoo.published import front, published_designs, published_front

PICTURES = ("pareto", "curves", "progress", "choices", "space")


@pytest.fixture(autouse=True)
def _plain_matplotlib() -> Iterator[None]:
    mpl.use("agg")
    with mpl.rc_context():
        yield


@pytest.fixture(scope="module")
def few() -> SearchResult:
    return made.result(5, seed=8)


@pytest.fixture(scope="module")
def many() -> SearchResult:
    return made.result(500)


def _texts(ax: Axes) -> list[Text]:
    """All texts that are drawn; ticks beyond the limits exist, but are not."""
    figure = ax.get_figure(root=True)
    figure.canvas.draw()
    found = figure.findobj(
        lambda one: isinstance(one, Text) and one.get_visible() and bool(one.get_text().strip())
    )
    for axis in (axis for one in figure.axes if one.axison for axis in (one.xaxis, one.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                found = [one for one in found if one not in (tick.label1, tick.label2)]
    return [one for one in found if one.axes is None or one.axes.axison or one in ax.texts]


@pytest.mark.parametrize(
    ("count", "picture"),
    [
        *((5, picture) for picture in PICTURES),
        *((500, picture) for picture in PICTURES[:3]),
        pytest.param(500, "choices", marks=pytest.mark.slow),  # the space is that of 5
    ],
)
def test_no_label_is_over_another_or_cut_off(few, many, count, picture) -> None:
    ax = getattr((few if count == 5 else many).plot, picture)()
    texts = _texts(ax)
    assert len(texts) > 8
    _check_apart(texts)
    edge = ax.get_figure(root=True).bbox
    for text in texts:
        box = text.get_window_extent()
        assert edge.x0 <= box.x0 and box.x1 <= edge.x1, text.get_text()
        assert edge.y0 <= box.y0 and box.y1 <= edge.y1, text.get_text()


def _check_apart(texts: list[Text]) -> None:
    for one, other in itertools.combinations(texts, 2):
        a, b = (t.get_window_extent().padded(-0.5) for t in (one, other))
        assert not a.overlaps(b), (one.get_text(), other.get_text())


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_text_and_marks_stand_out_from_a_light_and_a_dark_ground(few, style: str) -> None:
    """By the contrast of WCAG 2: 4.5 for text, 3 for what is drawn."""
    with plt.style.context(style):
        ax = few.plot.pareto()
        ground = ax.get_figure().get_facecolor()
        for text in _texts(ax):
            assert _contrast(text.get_color(), ground) >= 4.5, text.get_text()
        for colour in (HIT, MISS, LIMIT):
            assert _contrast(colour, ground) >= 3


def _contrast(one: object, other: object) -> float:
    def light(colour: object) -> float:
        parts = np.asarray(mpl.colors.to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_it_draws_on_the_axes_that_are_given(few) -> None:
    _, given = plt.subplots(1, 5, figsize=(30, 5))
    for picture, ax in zip(PICTURES, given, strict=True):
        assert getattr(few.plot, picture)(ax=ax) is ax
    assert plt.get_fignums() == [1]


@pytest.mark.parametrize("given", ["pareto.png", Path("pareto.png"), 3])
def test_what_are_no_axes_is_named(few, given) -> None:
    for picture in PICTURES:
        with pytest.raises(ArgumentError, match="`ax` must be the axes of matplotlib"):
            getattr(few.plot, picture)(ax=given)


@pytest.mark.parametrize("picture", PICTURES[:4])
def test_a_study_without_an_epoch_says_so(few, picture) -> None:
    empty = dataclasses.replace(few, records=())
    with pytest.raises(StudyError, match="trial"):
        getattr(empty.plot, picture)()


# Pareto -----------------------------------------------------------------------------------------


def _points(ax: Axes, label: str) -> list[tuple[float, float]]:
    (found,) = (c for c in ax.collections if str(c.get_label()).startswith(label))
    return [(float(x), float(y)) for x, y in found.get_offsets()]


def test_pareto_has_every_trial_at_its_place(many) -> None:
    ax = many.plot.pareto()
    goal = to_fraction(0.994)
    hits = {t.number: t for t in many.records if t.first_hit(goal)}
    cut = [t for t in many.records if t.outcome != "complete" and t.number not in hits]
    expected = [(t.candidate.params, pytest.approx(100 * t.best.accuracy)) for t in hits.values()]
    assert _points(ax, "hit") == expected and f"hit ({len(hits)})" in _legend(ax)
    assert len(_points(ax, "pruned or failed")) == len(cut) > 100
    below = sum(100 * t.best.accuracy < ax.get_ylim()[0] for t in many.records)
    assert below and f"{below} trials below the axis" in ax.get_title(loc="left")


def _legend(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


def test_pareto_labels_are_of_hits_that_no_other_beats(many) -> None:
    ax = many.plot.pareto()
    labels = {t.get_text() for t in ax.texts if t.get_text().startswith("#")}
    hits = [t for t in many.records if t.first_hit(to_fraction(0.994))]
    best = {
        f"#{t.number}"
        for t in hits
        if not any(
            o.candidate.params <= t.candidate.params
            and o.best.correct >= t.best.correct
            and o is not t
            for o in hits
        )
    }
    assert len(labels) >= 3 and labels <= best


def test_published_designs_are_drawn_for_mnist_only(few) -> None:
    assert len(_points(few.plot.pareto(), "published, one run each")) == sum(
        row.params <= 1.35 * 8000 for row in published_designs()
    )
    other = dataclasses.replace(
        few, identity=dataclasses.replace(few.identity, dataset="fashion-mnist")
    )
    assert not any("published" in text for text in _legend(other.plot.pareto()))


def test_confirmed_rows_have_their_interval(few) -> None:
    board = few.leaderboard
    assert len(board) >= 2
    board["confirmed_n"] = [9, 1, *[None] * (len(board) - 2)]
    board["confirmed_mean"], board["confirmed_sd"] = 0.9945, 0.0006

    class Confirmed:
        folder, identity, records = few.folder, few.identity, few.records
        images, leaderboard = few.images, board

    ax = Plots(Confirmed()).pareto()
    (bars,) = (c for c in ax.containers if "interval" in str(c.get_label()))
    (segment,) = bars.lines[2][0].get_segments()
    low, high = stats.t.interval(0.95, 8, 99.45, 0.06 / 3)
    assert segment[:, 1] == pytest.approx([low, high])
    assert segment[:, 0] == pytest.approx([board["params"].iloc[0]] * 2)


# The others -------------------------------------------------------------------------------------


def test_curves_end_where_trials_were_cut(many) -> None:
    ax = many.plot.curves()
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    goal = to_fraction(0.994)
    cut = [t for t in many.records if t.outcome != "complete" and not t.first_hit(goal)]
    assert sorted(crosses.get_xdata()) == sorted(len(t.epochs) for t in cut)
    target = next(line for line in ax.lines if "target," in str(line.get_label()))
    assert list(target.get_ydata()) == [99.4, 99.4]
    hits = next(line for line in ax.lines if line.get_label() == "hit")
    drawn = np.isfinite(np.asarray(hits.get_ydata(), dtype=float)).sum()
    assert drawn == sum(len(t.epochs) for t in many.records if t.first_hit(goal))


def test_progress_counts_epochs_and_hits(many) -> None:
    ax = many.plot.progress()
    best = next(line for line in ax.lines if line.get_label() == "best so far")
    xs, ys = best.get_data()
    epochs = sum(len(t.epochs) for t in many.records)
    assert list(xs) == list(range(1, epochs + 1)) and list(ys) == sorted(ys)
    assert ys[-1] == pytest.approx(100 * max(t.best.accuracy for t in many.records))
    (counts,) = (one for one in ax.figure.axes if one is not ax)
    hits = sum(t.first_hit(to_fraction(0.994)) is not None for t in many.records)
    assert counts.lines[0].get_ydata()[-1] == hits


def test_all_images_right_is_drawn_and_called_100() -> None:
    few = made.result(3)
    perfect = [
        dataclasses.replace(
            t, epochs=tuple(dataclasses.replace(e, correct=e.total) for e in t.epochs)
        )
        for t in few.records
    ]
    ax = dataclasses.replace(few, records=tuple(perfect)).plot.curves()
    ax.figure.canvas.draw()
    assert "100" in [t.get_text() for t in ax.get_yticklabels()]
    assert ax.get_ylim()[1] > 99.99


def test_a_space_with_a_layer_that_is_not_known_here_is_drawn_by_its_trials(few, many) -> None:
    """Of a study that was made elsewhere, with layers of somebody's own."""
    strange = "conv(8|16) nosuch(4|5) gap linear(10)"
    elsewhere = dataclasses.replace(few, identity=dataclasses.replace(few.identity, space=strange))
    ax = elsewhere.plot.space()
    gap = "the layer kind 'nosuch' is not registered here"
    said = f"{len(few.records)} trials of the space, which is not counted:\n{gap}"
    assert ax.get_title("left") == said
    sizes = np.array([trial.candidate.params for trial in few.records])
    for bar in ax.patches:
        low, high = bar.get_x(), bar.get_x() + bar.get_width()
        inside = ((low <= sizes) & (sizes < high)).mean()
        assert bar.get_height() == pytest.approx(inside)
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
    elsewhere = dataclasses.replace(
        many, identity=dataclasses.replace(many.identity, space=strange)
    )
    ax = elsewhere.plot.choices()
    assert f"By their places in the space: {gap}" in ax.get_title("left")
    assert len(ax.patches) == len(many.plot.choices().patches)
    none = dataclasses.replace(elsewhere, records=())
    with pytest.raises(StudyError, match="must be known here or have trials"):
        none.plot.space()


@pytest.mark.parametrize("cap", [600, 1200])
def test_a_tight_budget_is_seen(few, cap: int) -> None:
    """The designs within it are few of all, and as high and as wide on the page as one can see."""
    identity = dataclasses.replace(few.identity, budget=Budget(cap))
    ax = dataclasses.replace(few, identity=identity).plot.space()
    found = survey(default_space(), budget=Budget(cap))
    assert 0 < found.within / found.designs < 1e-4
    within = [bar for bar in ax.patches if bar.get_x() <= cap]
    assert all(bar.get_x() + bar.get_width() <= cap + 1 for bar in within) and len(within) >= 2
    assert sum(bar.get_height() for bar in within) == pytest.approx(found.within / found.designs)
    page = ax.get_window_extent()
    for bar in within:
        top = ax.transData.transform((cap, bar.get_height()))[1]
        assert (top - page.y0) / page.height > 0.05
    low, high = (ax.transData.transform((x, 1))[0] for x in (within[0].get_x(), cap))
    assert high - low > 2  # pixels


def test_the_space_is_counted_and_its_classes_end_at_the_budget(few) -> None:
    ax = few.plot.space()
    found = survey(default_space(), budget=Budget(8000))
    within = [b for c in ax.containers if c.get_label() == "within the budget" for b in c]
    assert max(b.get_x() + b.get_width() for b in within) == 8001
    assert sum(b.get_height() for b in within) == pytest.approx(found.within / found.designs)


def test_a_decision_that_alone_matters_comes_first_and_above_chance() -> None:
    made_up, decided = made.result(100).records, {}
    for trial in made_up:  # what is right depends on the order of norm and activation alone
        good = trial.candidate.decisions["order"]
        decided[trial.number] = tuple(
            dataclasses.replace(e, correct=9000 + 500 * good) for e in trial.epochs
        )
    records = tuple(dataclasses.replace(t, epochs=decided[t.number]) for t in made_up)
    found = importances(records)
    name = next(iter(found.shares))
    assert name == "order" and found.shares[name] > 3 * found.chance[name]
    assert found.epoch == 3 and sum(found.shares.values()) == pytest.approx(1)
    assert found.trials == sum(t.outcome in ("complete", "pruned") for t in records)


def test_importances_need_trials_that_differ(few) -> None:
    with pytest.raises(StudyError, match="at least 5 trials that are over, but there are 3"):
        importances(few.records[:3])
    with pytest.raises(StudyError, match="at least 5 trials"):
        dataclasses.replace(few, records=few.records[:3]).plot.choices()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("[0].out", "width of conv, block 1"),
        ("[1]", "which layers, block 2"),
        ("[2]", "whether it is there, block 3"),
        ("[2]/1[0]/0[0].out", "width of separable, block 3, option 1"),
        ("[1]/3[0].body[0].out", "width of conv, block 2, option 4"),
        ("order", "order"),
        ("lr", "lr"),
        ("[99].out", "[99].out"),
        ("[0].padding", "padding of conv, block 1"),
    ],
)
def test_a_decision_is_named_by_what_it_decides(path: str, said: str) -> None:
    assert decision_name(default_space(), path) == said


def test_depth_and_layers_of_a_block_are_named() -> None:
    whole = parse("[conv(8|16) conv(8|16) | gap]*(1|2) gap linear(10)")
    paths: dict[str, int] = {}
    for seed in range(30):
        decode(whole, record_decisions(chooser(random.Random(seed)), paths))
    said = [decision_name(whole, path) for path in paths]
    assert "depth, block 1" in said
    assert len(set(said)) == len(said), said


def test_the_ticks_of_shares_are_at_what_they_say(many) -> None:
    ax = many.plot.choices()
    ax.set_xlim(0, 0.08)  # ticks at 1.5, 3, 4.5%: they read 2, 3 and 4
    for at, text in zip(ax.get_xticks(), ax.xaxis.get_ticklabels(), strict=True):
        assert float(text.get_text().rstrip("%")) == pytest.approx(100 * at)


def test_names_of_the_choices_that_are_drawn_differ(many) -> None:
    paths = {path for trial in many.records for path in trial.candidate.decisions}
    whole = parse(many.identity.space)
    said = {decision_name(whole, path) for path in paths}
    assert len(said) == len(paths)


@pytest.mark.parametrize("name", ["s1-final", "s4-model3"])
def test_a_design_is_drawn_with_its_shapes_and_fields(name: str) -> None:
    spent = cost(zoo[name].design)
    ax = plot_design(zoo[name].design)
    said = [t.get_text() for t in ax.texts]
    for row in spent.rows:
        assert "x".join(map(str, row.shape)) in said
        assert f"{row.receptive_field}{'+' if row.whole_image else ''}" in said
    _check_apart(_texts(ax))
    skips = [line for line in ax.lines if len(line.get_xdata()) == 4]
    assert len(skips) == sum("add" in row.layer for row in spent.rows)


def test_a_loop_is_drawn_with_an_arrow_back() -> None:
    ax = plot_design(parse("conv(8) loop([separable(8) residual(conv(8))],3) gap linear(10)"))
    said = [t.get_text() for t in ax.texts]
    assert "loop, 3 passes" in said
    _check_apart(_texts(ax))
    lines = [line for line in ax.lines if len(line.get_xdata()) == 4]
    heads = {line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 1}
    skip, back = sorted(lines, key=lambda line: line.get_ydata()[2] - line.get_ydata()[0])
    assert heads == {skip.get_ydata()[2], back.get_ydata()[0]}


def test_a_design_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DesignError, match="kernel"):
        plot_design(zoo["s1-final"].design, (1, 8, 8))


# The published designs --------------------------------------------------------------------------


def test_the_published_rows_are_those_of_the_documents() -> None:
    """The zoo has its figures from the documents themselves."""
    rows = [row for row in published_designs() if row.source.startswith("source document")]
    assert len(rows) == 7
    for row in rows:
        (entry,) = (e for e in zoo.values() if e.params == row.params)
        assert round(100 * row.accuracy, 2) == entry.best and row.epochs == entry.epochs
        if row.last3:
            assert [round(100 * one, 2) for one in row.last3] == list(entry.accuracies[-3:])


def test_every_published_row_has_a_source_and_an_evidence() -> None:
    for row in published_designs():
        assert row.source and row.evidence in ("log", "claim", "weights and code")
        assert 0.98 < row.accuracy < 1


def test_the_front_is_of_what_nothing_beats() -> None:
    points = [(1, 5), (2, 4), (2, 6), (3, 6), (4, 9)]
    assert front(points) == (0, 2, 4)
    kept = published_front()
    for row in kept:
        assert not any(
            o.params <= row.params and o.accuracy > row.accuracy for o in published_designs()
        )


def test_the_rows_ship_with_the_package() -> None:
    import lightsearch

    path = Path(lightsearch.__file__).with_name("zoo") / "published_designs.csv"
    with path.open() as file:
        assert len(list(csv.DictReader(file))) == len(published_designs()) >= 17
