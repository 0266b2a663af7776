"""Comparisons: what differs is named, figures are scipy's, curves are those of the records.

The studies are made up, or are answered by the surrogate.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import made
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import stats

from lightsearch import Budget, compare, parse, search
from lightsearch.cli import main
from lightsearch.comparing.groups import describe
from lightsearch.errors import ArgumentError
from lightsearch.result import SearchResult
from lightsearch.study.identity import Identity
from lightsearch.study.trial import Trial
from lightsearch.surrogate.answers import true_accuracy


def _study(seed: int, sampler: str = "model", count: int = 8, **more: Any) -> SearchResult:
    """A made-up study, which differs by its sampler too."""
    found = made.result(count, seed=seed + 100 * len(sampler), sampler=sampler, **more)
    return dataclasses.replace(
        found,
        folder=Path(f"{sampler}-{seed}"),
        identity=dataclasses.replace(found.identity, seed=seed),
    )


@pytest.fixture(scope="module")
def pairs() -> list[SearchResult]:
    return [_study(seed, sampler) for sampler in ("model", "tpe") for seed in (3, 1, 2)]


def _best_after(result: SearchResult, count: int) -> float:
    """By the definition of the virtual clock, with nothing of ours."""
    moments = [
        (t.candidate.start + e.epoch * t.candidate.work, t.candidate.slot, t.number, e.epoch, e)
        for t in result.records
        for e in t.epochs
    ]
    return max(e.correct / e.total for *_, e in sorted(moments, key=lambda m: m[:4])[:count])


# Figures ----------------------------------------------------------------------------------------


def test_the_table_is_what_scipy_finds_in_pairs_of_seeds(pairs: list[SearchResult]) -> None:
    found = compare(pairs)
    assert (found.differs, found.measure) == (("sampler",), "best")
    spent = [sum(len(t.epochs) for t in one.records) for one in pairs]
    assert found.epochs == min(spent)
    values = {
        one.identity.sampler: {
            r.identity.seed: _best_after(r, found.epochs)
            for r in pairs
            if r.identity.sampler == one.identity.sampler
        }
        for one in pairs
    }
    table = found.table
    assert list(table.index) == list(table["sampler"]) == ["model", "tpe"]
    for name, own in values.items():
        numbers = list(own.values())
        row, test = table.loc[name], stats.ttest_1samp(numbers, 0)
        assert (row["seeds"], row["mean"]) == (3, pytest.approx(np.mean(numbers)))
        assert row["sd"] == pytest.approx(np.std(numbers, ddof=1))
        assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()))
    ours = [values["tpe"][seed] for seed in (1, 2, 3)]
    theirs = [values["model"][seed] for seed in (1, 2, 3)]
    test, row = stats.ttest_rel(ours, theirs), table.loc["tpe"]
    assert row["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    interval = row["difference_low"], row["difference_high"]
    assert interval == pytest.approx(tuple(test.confidence_interval()))
    assert (row["p_value"], row["pairs"]) == (pytest.approx(test.pvalue), 3)
    assert math.isnan(table.loc["model", "difference"])
    studies = found.studies.set_index(["group", "seed"])
    for (name, seed), one in studies.iterrows():
        assert one["value"] == values[name][seed]
    assert list(studies["epochs"]) == [spent[i] for i in (1, 2, 0, 4, 5, 3)]  # by seed


def test_seeds_that_only_one_group_has_make_no_pair(pairs: list[SearchResult]) -> None:
    found = compare([*pairs[:3], *pairs[4:], _study(9, "tpe")])
    row = found.table.loc["tpe"]
    assert (row["seeds"], row["pairs"]) == (3, 2)
    (note,) = found.notes
    assert (
        note == "The seeds of tpe are not those of model: only 2 seeds that both have make pairs."
    )


def test_without_pairs_there_is_no_difference() -> None:
    found = compare([_study(1), _study(2, "tpe")])
    row = found.table.loc["tpe"]
    assert math.isnan(row["difference"]) and math.isnan(row["p_value"]) and not row["different"]
    assert math.isnan(row["low"]) and row["pairs"] == 0
    assert "A single seed has no interval." in found.notes


def test_a_large_difference_is_one_and_many_are_corrected_for() -> None:
    def moved(result: SearchResult, by: int, sampler: str) -> SearchResult:
        """The same study with other counts of right images, under another name."""
        shift = by + result.identity.seed
        records = tuple(
            dataclasses.replace(
                t,
                epochs=tuple(dataclasses.replace(e, correct=e.correct + shift) for e in t.epochs),
            )
            for t in result.records
        )
        identity = dataclasses.replace(result.identity, sampler=sampler)
        return dataclasses.replace(result, records=records, identity=identity)

    first = [_study(seed) for seed in range(4)]
    others = [
        moved(one, by, name) for name, by in (("a", -3), ("b", 5), ("c", -2)) for one in first
    ]
    found = compare([*first, *others])
    table = found.table
    assert list(10_000 * table["difference"].iloc[1:]) == pytest.approx([-1.5, 6.5, -0.5])
    plain = table["p_value"] < 0.05
    assert list(plain) == [False, False, True, False]
    assert list(table["different"]) == [False, False, True, False]
    assert table.loc["b", "p_value"] == pytest.approx(stats.ttest_1samp([5, 6, 7, 8], 0).pvalue)


def test_differences_that_are_all_the_same_have_no_interval() -> None:
    twins = [
        dataclasses.replace(one, identity=dataclasses.replace(one.identity, sampler="twin"))
        for one in (_study(0), _study(1))
    ]
    row = compare([_study(0), _study(1), *twins]).table.loc["twin"]
    assert row["difference"] == 0 and row["p_value"] == 1 and not row["different"]
    assert math.isnan(row["difference_low"])


# Curves -----------------------------------------------------------------------------------------


def test_curves_are_the_means_of_the_records(pairs: list[SearchResult]) -> None:
    found = compare(pairs)
    curves = found.curves
    assert list(curves["axis"].unique()) == ["epochs", "seconds"] and found.is_timed
    for name in ("model", "tpe"):
        own = [one for one in pairs if one.identity.sampler == name]
        shortest = min(sum(len(t.epochs) for t in one.records) for one in own)
        frame = curves[(curves["group"] == name) & (curves["axis"] == "epochs")]
        assert list(frame["spent"]) == list(range(1, shortest + 1))
        for count in (1, 7, shortest):
            mean = np.mean([_best_after(one, count) for one in own])
            assert frame.set_index("spent").loc[count, "mean"] == pytest.approx(mean)
        timed = curves[(curves["group"] == name) & (curves["axis"] == "seconds")]
        spent = timed["spent"].to_numpy()
        assert (spent[0], spent[-1]) == (1.5, 1.5 * shortest)  # each made-up epoch takes 1.5 s
        for at in (0, 77, len(spent) - 1):
            mean = np.mean([_best_after(one, int(spent[at] / 1.5)) for one in own])
            assert timed["mean"].iloc[at] == pytest.approx(mean)


def test_the_picture_shows_the_curves(pairs: list[SearchResult], tmp_path: Path) -> None:
    mpl.use("agg")
    found = compare(pairs)
    ax = found.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == ["model", "tpe"]
    frame = found.curves.query("group == 'tpe' and axis == 'epochs'")
    assert list(lines["tpe"].get_xdata()) == list(frame["spent"])
    assert list(lines["tpe"].get_ydata()) == pytest.approx(list(100 * frame["mean"]))
    assert len(ax.collections) == 2 and ax.get_ylabel() == "best test accuracy so far (%)"
    assert found.plot("seconds", ax=ax) is ax
    found.save(tmp_path / "both.png")
    with Image.open(tmp_path / "both.png") as image:
        assert image.width > 2.5 * image.height  # two panels
    with pytest.raises(ArgumentError, match=r"must end in one of .*png.*but got both\.txt"):
        found.save(tmp_path / "both.txt")
    with pytest.raises(ArgumentError, match="`axis` must be epochs or seconds, but got 'hours'"):
        found.plot("hours")


def test_groups_have_the_same_look_in_both_panels_where_one_has_no_curve() -> None:
    mpl.use("agg")
    slow = _study(1)
    records = tuple(
        dataclasses.replace(t, epochs=tuple(dataclasses.replace(e, seconds=1e6) for e in t.epochs))
        for t in slow.records
    )
    slow = dataclasses.replace(slow, records=records)
    found = compare([slow, _study(0), _study(0, "tpe"), _study(1, "tpe")])
    looks = [
        {line.get_label(): (line.get_color(), line.get_linestyle()) for line in ax.get_lines()}
        for ax in (found.plot(), found.plot("seconds"))
    ]
    assert list(looks[0]) == ["model", "tpe"] and list(looks[1]) == ["tpe"]
    assert looks[0]["tpe"] == looks[1]["tpe"]


def test_a_single_seed_is_drawn_without_a_band() -> None:
    mpl.use("agg")
    ax = compare([_study(1)]).plot()
    low, _ = ax.get_ylim()
    assert low > 50  # a band to 0 would be below


# Groups -----------------------------------------------------------------------------------------

OTHERS = {
    "budget": Budget(params=4000),
    "epochs": 14,
    "target": made.Fraction("0.99"),
    "space": "conv(8) gap linear(10)",
    "recipe": "recipe(lr=0.3)",
    "sampler": "tpe",
    "pruner": "none",
    "workers": 5,
    "device": "cuda",
    "engine": "torch",
    "repeatable": False,
    "precision": "bf16",
    "consistent": 2,
    "warm_start": ("curves",),
    "startup": 3,
    "directions": ("maximize", "minimize"),
    "objective": "cheap:0123456789ab",
    "teacher": "0123456789abcdef: 70,000 parameters, 15 epochs",
    "own_steps": "loss focal:0123456789ab",
}
SAID_WITH = {"own_steps": "recipe"}  # no argument of its own
REFUSED = {"goal": "smallest", "dataset": "digits", "checksum": "d", "selected_on": "val"}
BESIDE = {"seed", "format", "warm_start_digest"}


def test_every_field_of_an_identity_is_named_or_refused() -> None:
    names = {field.name for field in dataclasses.fields(Identity)}
    assert names == OTHERS.keys() | REFUSED.keys() | BESIDE
    for name, other in OTHERS.items():
        base = _study(0)
        identity = dataclasses.replace(base.identity, **{name: other})
        found = compare([base, dataclasses.replace(base, identity=identity, folder=Path("b"))])
        said = SAID_WITH.get(name, name)
        assert found.differs == (said,) and len(found.groups) == 2
        assert found.groups[1].values == {said: describe(identity)[said]}
    for name, other in REFUSED.items():
        identity = dataclasses.replace(base.identity, **{name: other})
        with pytest.raises(ArgumentError, match=rf"must (look for|have).* {name}='{other}'"):
            compare([base, dataclasses.replace(base, identity=identity)])


def test_two_differences_are_refused_unless_they_are_named(pairs: list[SearchResult]) -> None:
    other = _study(1, "tpe", pruner="none")
    both = [*pairs[:3], other]
    message = (
        r"must differ in one thing and in their seeds, but these differ in "
        r"sampler \(model, tpe\); pruner \(target, none\)\. Leave some out, or say"
    )
    with pytest.raises(ArgumentError, match=message):
        compare(both)
    with pytest.raises(ArgumentError, match="must differ in sampler and in their seeds, but"):
        compare(both, by="sampler")
    found = compare(both, by=("sampler", "pruner"))
    assert found.differs == ("sampler", "pruner")
    assert [g.label for g in found.groups] == [
        "sampler=model, pruner=target",
        "sampler=tpe, pruner=none",
    ]
    with pytest.raises(ArgumentError, match=r"`by` must name .*'samplr'; did you mean 'sampler'"):
        compare(pairs, by="samplr")


def test_the_same_question_twice_needs_labels(pairs: list[SearchResult]) -> None:
    again = dataclasses.replace(pairs[0], folder=Path("again"))
    with pytest.raises(
        ArgumentError, match=r"model-3 and again both have seed=3.*Python's `compare` a mapping"
    ):
        compare([pairs[0], again])
    found = compare({"first": pairs[:2], "second": again})
    assert [g.label for g in found.groups] == ["first", "second"] and found.differs == ()
    assert found.table.loc["second", "pairs"] == 1
    with pytest.raises(ArgumentError, match="one group must differ in their seeds only, but in"):
        compare({"mixed": [pairs[0], pairs[4]]})


def test_long_values_are_numbered_in_labels() -> None:
    spaces = ["conv(8) " * 10 + "gap linear(10)", "conv(9) " * 10 + "gap linear(10)"]
    found = compare([_study(0, space=one) for one in spaces])
    assert list(found.table.index) == ["space 1", "space 2"]
    assert list(found.table["space"]) == spaces


def test_first_trials_that_all_groups_share_are_said(pairs: list[SearchResult]) -> None:
    """As the draws before a sampler is asked, which are the same whatever the sampler."""
    model, tpe = (
        [one for one in pairs if one.identity.sampler == name] for name in ("model", "tpe")
    )
    assert not any("of the same designs" in note for note in compare([*model, *tpe]).notes)
    shared = [
        dataclasses.replace(b, records=(*a.records[:3], *b.records[3:]))
        for a, b in zip(model, tpe, strict=True)
    ]
    text = "The first 3 trials of each study are of the same designs in all groups."
    assert text in compare([*model, *shared]).notes
    same = [dataclasses.replace(b, records=a.records) for a, b in zip(model, tpe, strict=True)]
    text = "All trials are of the same designs in all groups: only training differs."
    assert text in compare([*model, *same]).notes
    text = "All trials with a seed that all groups have are of the same designs in all groups: "
    assert any(note.startswith(text) for note in compare([*model, *same[:2]]).notes)
    first = dataclasses.replace(tpe[0], records=(*model[0].records[:1], *tpe[0].records[1:]))
    text = "The first trial of each study is of the same design in all groups."
    assert text in compare([model[0], first]).notes


def test_a_comparison_shows_itself_in_a_few_lines(pairs: list[SearchResult]) -> None:
    found = compare(pairs)
    lines = repr(found).splitlines()
    assert len(lines) == 3 and lines[0].startswith(found.title)
    assert lines[1].split()[0] == "model" and lines[2].split()[0] == "tpe"
    assert found._repr_html_().count("<tr>") == 2 + 3
    assert lines[1].endswith("3 seeds") and repr(compare(pairs[:1])).endswith(", 1 seed")


def test_what_differs_beside_the_identity_is_said() -> None:
    one = _study(0)
    first = one.records[0]
    candidate = dataclasses.replace(first.candidate, versions={"lightsearch": "0.2.0"})
    epochs = tuple(dataclasses.replace(e, threads=2) for e in first.epochs)
    other = dataclasses.replace(_study(1), records=(Trial(candidate, epochs), *one.records[1:]))
    assert compare([one, other]).notes == (
        "Nothing differs between the studies but the seed.",
        "The trials had different versions: lightsearch 0.1.0; lightsearch 0.2.0.",
        "The trials had different numbers of threads: 1; 2.",
        "Some trials are not over: a study runs, or was stopped.",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"studies": []}, "must be at least one, but got none"),
        ({"measure": "mean"}, "`measure` must be one of best, test, true, but got 'mean'"),
        ({"measure": np.ones(3)}, r"`measure` must be one of .*, but got ndarray of shape \(3,\)"),
        (
            {"by": np.ones(3)},
            r"`by` must be the name of an argument .* by=ndarray of shape \(3,\)",
        ),
        ({"by": 3}, "`by` must be the name of an argument of a search, or a list .* by=3"),
        ({"measure": "test"}, "must select on images that were held out, but model-0"),
        ({"measure": "true"}, "must have engine='surrogate'.* engine='native'"),
        ({"epochs": 0}, "`epochs` must be an integer from 1 to"),
        ({"studies": [_study(0, count=0)]}, "each study must have a trial with an epoch"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        compare(**{"studies": [_study(0)], **arguments})


# On the surrogate and on held-out images --------------------------------------------------------


@pytest.fixture(scope="module")
def searched(blank_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of four studies that the surrogate answered."""
    root = tmp_path_factory.mktemp("searched")
    return [
        search(
            3000,
            15,
            engine="surrogate",
            trials=3,
            workers=1,
            seed=seed,
            sampler=sampler,
            pruner="none",
            study=root / f"{sampler}-{seed}",
            data=blank_mnist,
            quiet=True,
        ).folder
        for sampler in ("near-cap", "uniform")
        for seed in (0, 1)
    ]


def test_the_true_mean_is_that_of_the_design_picked(searched: list[Path]) -> None:
    found = compare(searched, measure="true", epochs=30)
    assert (found.differs, found.is_timed) == (("sampler",), False)
    values = iter(found.studies["value"])
    for group in found.groups:
        for seed in (0, 1):
            whole = group.results[seed].records[:2]
            picked = max(whole, key=lambda t: (t.epochs[-1].correct, -t.number))
            assert next(values) == true_accuracy(parse(picked.candidate.design))
    assert set(found.curves["axis"]) == {"epochs"} and found.curves["spent"].min() == 15
    with pytest.raises(ArgumentError, match="`axis` must be epochs where the surrogate answered"):
        found.plot("seconds")


def test_on_held_out_images_the_test_accuracy_is_compared(tmp_path: Path) -> None:
    from tiny import arguments

    result = search(**arguments(select_on="val", study=tmp_path / "val", pruner="none"))
    found = compare([result], measure="test")
    picked = max(result.records, key=lambda t: (t.epochs[-1].correct, -t.number))
    assert found.studies["value"].item() == picked.epochs[-1].test_accuracy
    assert found.title == "test accuracy of the design picked so far"


def _run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["compare", *map(str, arguments)], prog_name="lightsearch")
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_the_command_prints_and_writes_what_python_gives(
    searched: list[Path], tmp_path: Path
) -> None:
    found, picture, curves = compare(searched), tmp_path / "c.png", tmp_path / "c.csv"
    files = ["--picture", picture, "--curves", curves]
    text = _run(*searched, *files)
    assert text.startswith("Nothing is trained") and "paired by seed" in text
    assert text.splitlines()[2].split()[:2] == ["near-cap", "2"]
    assert picture.stat().st_size > 10_000
    pd.testing.assert_frame_equal(pd.read_csv(curves), found.curves, check_dtype=False)
    assert _run(*searched, "--csv") == found.table.to_csv()
    assert _run(*searched, "--csv", "--each") == found.studies.set_index("group").to_csv()
    assert '"difference": null' in _run(*searched, "--json")
    assert "uniform-1" in _run(*searched, "--each", "--measure", "true")
    assert "must be a new file" in _run(*searched, *files, code=2)
    assert "both have seed=0" in _run(searched[0], searched[0], code=2)
    assert "must not be given together" in _run(*searched, "--csv", "--json", code=2)
