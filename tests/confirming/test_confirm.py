"""Confirming designs, on the digits: what is trained, on which images, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import html5lib
import pandas as pd
import pytest
import torch
from tiny import arguments

from lightsearch import api, build, confirm, load, load_result, make_dataset, search
from lightsearch.confirming import confirm as confirming
from lightsearch.confirming import request
from lightsearch.confirming import runs as retraining
from lightsearch.data.dataset import DataSet
from lightsearch.data.references import DataRef
from lightsearch.errors import ArgumentError, DataError, NotationError, StudyError
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.report.facts import facts
from lightsearch.report.study import write_html, write_markdown
from lightsearch.study import ledger as ledgers
from lightsearch.study.confirmations import Terms
from lightsearch.study.leaderboard import _NEEDED, read
from lightsearch.study.ledger import Ledger, read_confirmations
from lightsearch.study.trial import epoch_from
from lightsearch.training.epoch import run_epoch, run_epochs, take_evaluated, train
from lightsearch.training.task import Task
from lightsearch.workers.slot import InlineSlot, WorkerDied

GOOD = "conv(8) maxpool separable(12) gap linear(10)"
WEAK = "conv(4) gap linear(10)"
RECIPE = "recipe(lr=0.2,batch=64,ema=0.9)"
COMMON = {"recipe": RECIPE, "epochs": 2, "dataset": "digits", "quiet": True, "workers": 2}

TERMS = Terms(2, "0.5", 1, "digits", "c", "test", "c")


@pytest.fixture(autouse=True, scope="module")
def inline():
    """Epochs run in this process, which saves the workers' start."""
    patch = pytest.MonkeyPatch()
    for module in (api, confirming):
        patch.setattr(module, "local_slots", lambda workers, **_: [InlineSlot()] * workers)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def found(inline, tmp_path_factory: pytest.TempPathFactory):
    """A small search with hits."""
    return search(
        **arguments(
            study=tmp_path_factory.mktemp("studies") / "found",
            epochs=2,
            target=0.5,
            recipe=RECIPE,
            trials=3,
        )
    )


def _epochs(folder: Path, name: str = "test") -> list[dict]:
    path = folder / "confirmations" / name / "runs.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "epoch" in line]


def test_each_seed_is_the_last_epoch_of_an_unpruned_training(tmp_path: Path) -> None:
    row = confirm(GOOD, 3, target=0.5, study=tmp_path, **COMMON).loc[1]
    seeds = [int(seed) for seed in row["seeds"].split()]
    assert len(set(seeds)) == 3 == row["n"] == row["planned"]
    reference = DataRef("digits", load("digits").checksum)
    last = [
        [*train(Task(parse(GOOD), parse_recipe(RECIPE), reference, 2, seed))][-1].accuracy
        for seed in seeds
    ]
    assert [float(a) for a in row["accuracies"].split()] == pytest.approx(last, abs=1e-6)
    assert row["mean"] == pytest.approx(sum(last) / 3, abs=1e-12) and row["min"] == min(last)
    assert row["on"] == "digits test"
    assert [*row.index] == [*confirming.COLUMNS]
    assert len(_epochs(tmp_path)) == 6 and not [*tmp_path.rglob("*.safetensors")]


def test_without_a_folder_the_same_comes_out_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (confirm(GOOD, 2, target=0.5, **COMMON) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert not [*tmp_path.iterdir()]


def test_seeds_are_never_the_searchs(found) -> None:
    board = found.leaderboard
    table = confirm(board, 3, quiet=True)
    by_design = {row["design"]: row for _, row in table.iterrows()}
    for _, row in board.iterrows():
        assert str(row["seed"]) not in by_design[row["design"]]["seeds"].split()
    pick = request.Pick(Task(parse(GOOD), parse_recipe(RECIPE), DataRef("d", "c"), 2, 0), 1, "f")
    one, two, three = request.fresh_seeds(pick, 3)
    found_with_two = request.Pick(
        Task(parse(GOOD), parse_recipe(RECIPE), DataRef("d", "c"), 2, two), 1, "f"
    )
    assert request.fresh_seeds(found_with_two, 2) == (one, three)


def test_rows_bring_their_study_target_and_recipe(found) -> None:
    table = confirm(found.leaderboard.head(2), 3, quiet=True)
    assert (table["target"] == 0.5).all() and (table["epochs"] == 2).all()
    assert (table["on"] == "digits test, selected on").all()
    kept = read_confirmations(found.folder)
    for _, row in table.iterrows():
        one = kept[row["design"], row["recipe"]]
        assert one.confirmed == row["confirmed"] and float(one.sample.mean) == row["mean"]


def test_means_are_over_the_search_and_the_confirmation(tmp_path: Path) -> None:
    given = arguments(study=tmp_path / "s", epochs=2, target=0.3, recipe=RECIPE, pruner="none")
    result = search(**given, confirm=2, confirm_top=2)
    table = result.means()
    assert sorted(table["trial"]) == [0, 1, 2, 3]
    assert sorted(table["seeds"]) == [1, 1, 3, 3] and sorted(table["fresh_seeds"]) == [0, 0, 2, 2]
    for _, row in table.iterrows():
        last = [result.records[row["trial"]].epochs[-1].accuracy]
        one = result.confirmations.get((row["design"], row["recipe"]))
        if one is not None:
            last += [count / one.sample.total for count in one.sample.correct]
        assert row["mean"] == pytest.approx(sum(last) / len(last))
        assert row["search_accuracy"] == last[0] and row["low"] < row["mean"] < row["high"]
        task = Task(
            parse(row["design"]), parse_recipe(row["recipe"]),
            DataRef("digits", load("digits").checksum), 2, one.seeds[0] if one else 0,
        )  # fmt: skip
        if one is not None:
            assert [*train(task)][-1].accuracy == pytest.approx(last[1])
    assert list(table["shrunken"]) == sorted(table["shrunken"], reverse=True)
    said = facts(load_result(tmp_path / "s"))
    assert [row[0] for row in said.means] == ["1", "2", "3", "4"]
    assert said.means_protocol.startswith("digits test images, last epoch; standard deviation")
    text = write_markdown(result, tmp_path / "s.md").read_text("utf-8")
    page = write_html(result, tmp_path / "s.html").read_text("utf-8")
    for row in said.means:
        assert f"| {' | '.join(row[:-1])} | `{row[-1]}` |" in text
        assert all(f'<td class="n">{cell}</td>' in page for cell in row[:-1])
    html5lib.HTMLParser(strict=True).parse(page)


def test_a_weak_design_is_given_up_and_confirms_nothing(tmp_path: Path) -> None:
    table = confirm([WEAK, GOOD], 6, target=0.4, study=tmp_path, **COMMON)
    weak, good = (table.set_index("design").loc[d] for d in (WEAK, GOOD))
    assert weak["confirmation"] == "futile" and not weak["confirmed"] and weak["n"] < 6
    assert good["n"] == 6 and good["confirmation"] == "confirmed"
    assert list(table["confirmed"]) == sorted(table["confirmed"], reverse=True)
    assert {line["design"] for line in _epochs(tmp_path)} == {WEAK, GOOD}
    assert sum(line["design"] == WEAK for line in _epochs(tmp_path)) <= 2 * (weak["n"] + 1)
    assert not [*tmp_path.rglob("*.safetensors")]


def test_an_interruption_loses_no_committed_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = confirm(GOOD, 3, target=0.5, study=tmp_path / "whole", **COMMON)
    ran = []

    def counting(task, state, epoch, last):
        ran.append((task.seed, epoch))
        if len(ran) == 4:
            raise KeyboardInterrupt
        return run_epochs(task, state, epoch, last)

    monkeypatch.setattr(retraining, "run_epochs", counting)
    with pytest.raises(KeyboardInterrupt):
        confirm(GOOD, 3, target=0.5, study=tmp_path / "cut", **COMMON)
    assert len(_epochs(tmp_path / "cut")) in (2, 3)
    with (tmp_path / "cut/confirmations/test/runs.jsonl").open("a") as file:
        file.write('{"design": "conv(')  # what a power cut leaves
    resumed = confirm(GOOD, 3, target=0.5, study=tmp_path / "cut", **COMMON)
    pd.testing.assert_frame_equal(resumed, expected)
    assert len(set(ran)) == 6 and len(ran) == 7 + (len(_epochs(tmp_path / "cut")) - 6)


def test_a_lost_state_costs_the_run_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = confirm(GOOD, 2, target=0.5, study=tmp_path / "whole", **COMMON)

    def failing(task, state, epoch, last):
        if epoch == 2:
            raise KeyboardInterrupt
        return run_epochs(task, state, epoch, last)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(retraining, "run_epochs", failing)
        confirm(GOOD, 2, target=0.5, study=tmp_path / "cut", **COMMON)
    states = [*tmp_path.rglob("*.safetensors")]
    assert states
    for path in states:
        path.write_bytes(path.read_bytes()[:100])
    resumed = confirm(GOOD, 2, target=0.5, study=tmp_path / "cut", **COMMON)
    pd.testing.assert_frame_equal(resumed, expected)


def test_states_that_are_never_read_back_end_a_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that gives back other bytes, say. Their epochs would be trained for ever."""
    monkeypatch.setattr(ledgers, "load_state", lambda path: None)
    with pytest.raises(StudyError, match=r"must be readable, .* 3 times in a row"):
        confirm(GOOD, 2, target=0.5, study=tmp_path / "s", **COMMON)
    assert len(_epochs(tmp_path / "s")) >= 3


def test_the_name_of_a_folder_need_not_be_utf8(tmp_path: Path) -> None:
    expected = confirm(GOOD, 2, target=0.5, study=tmp_path / "plain", **COMMON)
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    found = confirm(GOOD, 2, target=0.5, study=os.fsdecode(folder), **COMMON)
    pd.testing.assert_frame_equal(found, expected)
    assert len(_epochs(Path(os.fsdecode(folder)))) == len(_epochs(tmp_path / "plain"))


def test_a_worker_that_dies_costs_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = confirm(GOOD, 2, target=0.5, **COMMON)
    died = []

    def dying(task, state, epoch, last):
        if len(died) < 2 and epoch == 2:
            died.append(task.seed)
            raise WorkerDied("worker-0", -9)
        return run_epochs(task, state, epoch, last)

    monkeypatch.setattr(retraining, "run_epochs", dying)
    pd.testing.assert_frame_equal(confirm(GOOD, 2, target=0.5, **COMMON), expected)
    monkeypatch.setattr(retraining, "run_epochs", lambda *_: dying(*_[:2], 2, 2) and 1 / 0)
    died.clear()
    with pytest.raises((WorkerDied, ArgumentError)):
        confirm(GOOD, 2, target=0.5, **COMMON)


@pytest.mark.parametrize("change", [{"seeds": 3}, {"target": 0.6}, {"epochs": 1}])
def test_other_terms_are_refused_with_the_difference(tmp_path: Path, change) -> None:
    asked = {"seeds": 2, "target": 0.5, "study": tmp_path, **COMMON}
    confirm(GOOD, **asked)
    name = next(iter(change))
    with pytest.raises(
        StudyError, match=f"settled before the first run.*{name}=.* there, .* asked for"
    ):
        confirm(GOOD, **{**asked, **change})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("runs.jsonl", "[1]\n"),
        ("runs.jsonl", '{"design": "a"}\n'),
        ("runs.jsonl", "{\n"),
        ("runs.jsonl", '{"design": "a", "recipe": "b", "seed": 1, "epoch": {}}\n'),
        ("terms.json", "[]"),
        ("terms.json", "{}"),
        ("terms.json", "\x00"),
        ("terms.json", '{"format": 9}'),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: str) -> None:
    confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    (tmp_path / "confirmations/test" / name).write_text(content)
    with pytest.raises(StudyError, match=name.replace(".", r"\.")):
        read_confirmations(tmp_path)


def test_blank_lines_among_the_runs_are_skipped(tmp_path: Path) -> None:
    confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    before, path = read_confirmations(tmp_path), tmp_path / "confirmations/test/runs.jsonl"
    path.write_text("\n" + path.read_text().replace("\n", "\n \n"))
    assert read_confirmations(tmp_path) == before
    path.write_text(path.read_text() + "[1]\n")
    number = path.read_text().count("\n")
    with pytest.raises(StudyError, match=f"line {number} is damaged.*Move .* away"):
        read_confirmations(tmp_path)


def test_runs_that_are_replaced_meanwhile_end_the_confirmation(tmp_path: Path) -> None:
    with (
        pytest.raises(StudyError, match=r"runs\.jsonl must not be changed.*was deleted"),
        Ledger.open(tmp_path, "test", TERMS) as ledger,
    ):
        ledger.plan((GOOD, RECIPE), (1, 2), "test")
        (ledger.folder / "runs.jsonl").unlink()
        ledger.plan((WEAK, RECIPE), (3, 4), "test")


def test_a_state_left_by_a_kill_at_the_end_of_its_run_is_cleared_away(tmp_path: Path) -> None:
    confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    family = Ledger.read(tmp_path / "confirmations/test")
    assert family is not None
    ((key, runs),) = family.runs.items()
    left, other = family._state_path(key, runs.seeds[0], 1), tmp_path / "mine.safetensors"
    for path in (left, other):
        path.write_bytes(b"left")
    confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    assert other.exists() and not left.exists()


def test_runs_that_the_disk_does_not_take_are_a_study_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("no room")

    with Ledger.open(tmp_path, "test", TERMS) as ledger:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StudyError, match=r"must be writable and have room.*no room"):
            ledger.plan((GOOD, RECIPE), (1, 2), "test")


def test_an_older_leaderboards_row_is_confirmed(found, tmp_path: Path) -> None:
    older = [*_NEEDED]
    found.leaderboard[older].to_csv(tmp_path / "older.csv")
    row = read(tmp_path / "older.csv").loc[1]
    assert not row["confirmed"]
    assert confirm(row, 2, target=0.5, quiet=True).loc[1, "n"] == 2


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Seed and number of every epoch that a confirmation trains."""
    epochs: list[tuple[int, int]] = []

    def noted(task, state, epoch, last):
        epochs.append((task.seed, epoch))
        return run_epochs(task, state, epoch, last)

    monkeypatch.setattr(retraining, "run_epochs", noted)
    return epochs


def test_a_search_that_confirms_takes_up_the_runs_that_are_there(tmp_path: Path, ran) -> None:
    given = arguments(study=tmp_path / "s", epochs=1, target=0.1, recipe=RECIPE, trials=2)
    first = search(**given, confirm=2, confirm_top=9)
    assert len(ran) == 2 * len(first.leaderboard) > 0
    ran.clear()
    again = search(**given, confirm=2, confirm_top=9)
    assert not ran and again.confirmations == first.confirmations
    confirm(again.leaderboard, 2, quiet=True)
    assert not ran
    grown = search(**{**given, "trials": 3}, confirm=2, confirm_top=9)
    new = grown.confirmations.keys() - first.confirmations.keys()
    assert len(new) == 1 and sorted(seed for seed, _ in ran) == sorted(
        seed for key in new for seed in grown.confirmations[key].seeds
    )


def test_a_search_refuses_other_terms_before_it_trains(tmp_path: Path, monkeypatch) -> None:
    given = arguments(study=tmp_path / "s", epochs=1, target=0.1, recipe=RECIPE, trials=1)
    search(**given, confirm=2)
    monkeypatch.setattr(api, "run", lambda *_: pytest.fail("it ran"))
    with pytest.raises(StudyError, match=r"settled before the first run.*seeds=2 there, 3 asked"):
        search(**{**given, "trials": 9}, confirm=3)


def test_runs_judged_on_other_images_are_taken_up_for_the_designs_own(
    tmp_path: Path, ran, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = confirm(GOOD, 2, target=0.5, study=tmp_path / "alone", **COMMON)
    elsewhere = confirm(GOOD, 2, target=0.5, on=_others(), study=tmp_path / "s", **COMMON)
    assert elsewhere.loc[1, "accuracies"] != expected.loc[1, "accuracies"]
    ran.clear()
    found = confirm(GOOD, 2, target=0.5, study=tmp_path / "s", **{**COMMON, "quiet": False})
    assert not ran
    pd.testing.assert_frame_equal(found, expected)
    assert "2 runs of them are there already" in capsys.readouterr().out
    mine, theirs = _epochs(tmp_path / "s"), _epochs(tmp_path / "alone")
    for lines in (mine, theirs):
        lines.sort(key=lambda line: (line["seed"], line["epoch"]["epoch"]))
        for line in lines:
            line["epoch"].pop("seconds")
    assert mine == theirs


def test_runs_that_do_not_have_the_answer_are_trained(tmp_path: Path, ran) -> None:
    confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    ran.clear()
    confirm(GOOD, 2, target=0.5, on=_others(), study=tmp_path, **COMMON)
    assert len(ran) == 4  # no weights are kept to look at other images with
    ran.clear()
    (tmp_path / "confirmations/test").rename(tmp_path / "elsewhere")
    confirm(GOOD, 2, target=0.5, study=tmp_path, **{**COMMON, "epochs": 1})
    assert len(ran) == 2  # whole runs of two epochs are other trainings


def test_a_run_that_was_begun_gives_way_to_a_whole_one(tmp_path: Path, monkeypatch) -> None:
    def failing(task, state, epoch, last):
        if epoch == 2:
            raise KeyboardInterrupt
        return run_epochs(task, state, epoch, last)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(retraining, "run_epochs", failing)
        confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    assert [*tmp_path.rglob("*.safetensors")]
    confirm(GOOD, 2, target=0.5, on=_others(), study=tmp_path, **COMMON)
    monkeypatch.setattr(retraining, "run_epochs", lambda *_: pytest.fail("it trained"))
    found = confirm(GOOD, 2, target=0.5, study=tmp_path, **COMMON)
    assert found.loc[1, "n"] == 2
    assert not [*(tmp_path / "confirmations").rglob("states/*")]


# Other images -----------------------------------------------------------------------------------


def _others() -> DataSet:
    """Images that are none of the digits': their mirror images."""
    digits = load("digits")
    return make_dataset(digits.train, (digits.test[0].flip(-1), digits.test[1]), name="mirrored")


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_accuracy_on_other_images_is_pytorchs(tmp_path: Path, engine: str) -> None:
    others = _others()
    row = confirm(GOOD, 2, target=0.5, on=others, study=tmp_path, engine=engine, **COMMON).loc[1]
    assert row["on"] == "mirrored" or row["on"].startswith("mirrored, ")
    task = Task(
        parse(GOOD),
        parse_recipe(RECIPE),
        DataRef("digits", load("digits").checksum),
        2,
        int(row["seeds"].split()[0]),
        engine,
    )
    state = None
    for epoch in (1, 2):
        state, result = run_epoch(task, state, epoch)
    net = build(parse(GOOD), (1, 8, 8)).eval()
    net.load_state_dict(take_evaluated(state))
    mean, std = load("digits").mean_std
    with torch.no_grad():
        scores = net((others.test[0] / 255 - mean[:, None, None]) / std[:, None, None])
    right = int((scores.argmax(1) == others.test[1]).sum())
    assert float(row["accuracies"].split()[0]) == pytest.approx(right / 360, abs=1e-6)
    assert right != result.correct
    lines = [epoch_from(line["epoch"]) for line in _epochs(tmp_path, "mirrored")]
    assert {line.test_total for line in lines if line.epoch == 2} == {360}
    assert {line.test_total for line in lines if line.epoch == 1} == {None}


def test_images_seen_before_are_counted_on_the_label(found, tmp_path: Path) -> None:
    digits = load("digits")
    images = torch.cat([digits.test[0][:7].flip(-1), digits.test[0][:3], digits.train[0][:2]])
    labels = torch.cat([digits.test[1][:7], digits.test[1][:3], digits.train[1][:2]])
    mixed = make_dataset(digits.train, (images, labels), name="mixed")
    table = confirm(found.leaderboard.head(1), 2, on=mixed, study=tmp_path, quiet=True)
    assert table.loc[1, "on"] == "mixed, 5 of 12 images seen before"
    again = make_dataset(digits.train, digits.test, name="mine")
    assert (
        confirm(found.leaderboard.head(1), 2, on=again, quiet=True, study=tmp_path).loc[1, "on"]
        == "digits test, selected on"
    )


def test_images_of_another_kind_are_refused(tmp_path: Path) -> None:
    large = make_dataset(
        (torch.zeros(20, 9, 9), torch.arange(20) % 2),
        (torch.zeros(20, 9, 9), torch.arange(20) % 2),
        name="large",
    )
    with pytest.raises(DataError, match=r"images to test on must be as those trained on"):
        confirm(GOOD, 2, on=large, study=tmp_path, **COMMON)


def test_designs_on_images_of_ones_own(tmp_path: Path) -> None:
    digits = load("digits")
    mine = make_dataset(digits.train, digits.test, name="mine")
    result = search(
        **arguments(study=tmp_path / "s", epochs=1, target=0.1, trials=1, dataset=mine)
    )
    row = confirm(result.leaderboard, 2, quiet=True).loc[1]
    assert row["dataset"] == "mine" and row["on"] == "mine test, selected on"
    alone = confirm(
        row["design"],
        2,
        target=0.1,
        recipe=row["recipe"],
        epochs=1,
        dataset=mine,
        study=tmp_path / "alone",
        quiet=True,
    ).loc[1]
    assert alone["accuracies"] == row["accuracies"]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            {"seeds": 1},
            ArgumentError,
            "`seeds` must be an integer from 2 to 1000, but got seeds=1",
        ),
        ({"seeds": 2.5}, ArgumentError, "`seeds` must be an integer"),
        ({"target": 99.4}, ArgumentError, "`target` must be a number above 0 and at most 1"),
        ({"epochs": 0}, ArgumentError, "`epochs` must be an integer from 1"),
        ({"workers": 0}, ArgumentError, "`workers` must be an integer from 1"),
        ({"designs": 5}, ArgumentError, "`designs` must be a design, its notation, or rows"),
        ({"designs": [5]}, ArgumentError, "`designs` must be designs, their notation, or rows"),
        ({"designs": "conv(8"}, NotationError, "conv"),
        ({"on": "minst"}, ArgumentError, "`dataset` must be one of mnist"),
        ({"engine": "fast"}, ArgumentError, "`engine` must be one of auto, native, torch"),
    ],
)
def test_bad_arguments_are_refused_before_anything_happens(bad, error, message, tmp_path) -> None:
    with pytest.raises(error, match=message):
        confirm(**{"designs": GOOD, "study": tmp_path / "s", **COMMON, **bad})
    assert not (tmp_path / "s").exists()


def test_a_rows_own_recipe_is_not_replaced(found) -> None:
    with pytest.raises(ArgumentError, match="`recipe` must not be given with a leaderboard's row"):
        confirm(found.leaderboard, 2, recipe=RECIPE)
    with pytest.raises(ArgumentError, match="must have one `epochs`, but got 2, 15"):
        confirm([found.leaderboard.loc[1], GOOD], 2, dataset="digits")


def test_an_empty_leaderboard_confirms_nothing(found) -> None:
    assert [*confirm(found.leaderboard.head(0), 2).columns] == [*confirming.COLUMNS]


def test_what_is_printed_says_which_images_and_how_many_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confirm(GOOD, 2, target=0.5, study=tmp_path, **{**COMMON, "quiet": False})
    first, kept, *runs, last = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "Confirming 1 design with 2 fresh seeds each, 2 epochs a seed, on "
        "digits test images: is the mean of the last epoch at 50.00%?"
    )
    assert str(tmp_path) in kept and len(runs) == 2
    assert all("on digits test images" in line for line in runs)
    assert "2 of 2 seeds on digits test images: mean" in last and GOOD in last


# A real process and a real signal ---------------------------------------------------------------

SCRIPT = """
import sys
from lightsearch import confirm
confirm(sys.argv[1], 4, target=0.5, recipe=sys.argv[2], epochs=2, dataset="digits", workers=2,
        study=sys.argv[3])
"""


@pytest.mark.slow
def test_killed_it_goes_on_and_a_second_process_is_refused(tmp_path: Path) -> None:
    expected = confirm(GOOD, 4, target=0.5, **COMMON)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    folder = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, script, GOOD, RECIPE, folder],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
    )
    limit = time.monotonic() + 240
    runs = folder / "confirmations/test/runs.jsonl"
    while not runs.exists() or runs.read_bytes().count(b"\n") < 4:
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.005)
    with pytest.raises(StudyError, match=f"held by process {process.pid} on "):
        confirm(GOOD, 4, target=0.5, study=folder, **COMMON)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = runs.read_text()
    pd.testing.assert_frame_equal(confirm(GOOD, 4, target=0.5, study=folder, **COMMON), expected)
    whole, _, _ = before.rpartition("\n")
    assert runs.read_text().startswith(whole)  # what was committed was not trained again
