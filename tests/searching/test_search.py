"""Whole searches on the digits, with real workers."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
from tiny import arguments, outcome

from lightsearch import api, confirm, iter_search, load_result, pack, read, rebuild, search, train
from lightsearch.confirming import confirm as confirming
from lightsearch.data.dataset import make_dataset
from lightsearch.data.holdout import holdout_of
from lightsearch.data.named import load
from lightsearch.data.references import DataRef, fetch, lend
from lightsearch.engines.selection import parse_engine
from lightsearch.errors import (
    ArgumentError,
    BudgetError,
    DataError,
    DesignError,
    StudyError,
    WorkerError,
)
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.report.protocol import protocol
from lightsearch.searching.events import EpochDone
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.training import epoch as training
from lightsearch.training.task import Task
from lightsearch.workers.slot import InlineSlot


@pytest.fixture(autouse=True, scope="module")
def inline():
    """Epochs run in this process, which saves a worker's start for each search. What they give is
    the same: the tests with real processes compare against it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(
        api, "local_slots", lambda workers, **more: [InlineSlot() for _ in range(workers)]
    )
    yield
    patch.undo()


@pytest.fixture(scope="module")
def finished(inline, tmp_path_factory: pytest.TempPathFactory):
    return search(**arguments(study=tmp_path_factory.mktemp("studies") / "finished"))


def test_search_ends_with_all_trials_and_a_leaderboard(finished) -> None:
    assert len(finished.records) == 4
    assert {t.outcome for t in finished.records} <= {"complete", "pruned"}
    board = finished.leaderboard
    assert len(board) >= 1
    assert list(board.index) == list(range(1, len(board) + 1))
    assert (board["params"] <= 900).all()
    assert (board["best_accuracy"] >= 0.8).all()
    assert list(board["best_accuracy"]) == sorted(board["best_accuracy"], reverse=True)
    assert (board["selected_on"] == "test").all()


def test_the_file_holds_the_leaderboard(finished) -> None:
    written = read(finished.folder / "leaderboard.csv")
    pd.testing.assert_frame_equal(written, finished.leaderboard, check_dtype=False)


def test_a_row_of_the_file_retrains_to_the_same_accuracies(finished) -> None:
    row = read(finished.folder / "leaderboard.csv").loc[1]
    epochs = list(train(rebuild(row)))
    assert max(e.accuracy for e in epochs) == row["best_accuracy"]
    assert epochs[-1].accuracy == row["last_accuracy"]
    assert next(e.epoch for e in epochs if e.accuracy >= 0.8) == row["first_hit_epoch"]


def test_plain_optuna_reads_the_journal(finished) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(finished.folder / "journal.log"))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 4
    for trial, record in zip(study.trials, finished.records, strict=True):
        assert trial.intermediate_values == {e.epoch: e.accuracy for e in record.epochs}
        assert {
            path: kind.to_internal_repr(trial.params[path])
            for path, kind in trial.distributions.items()
        } == record.candidate.decisions
        # what a dashboard shows is what stands in the design and the recipe
        assert record.candidate.design.startswith(f"conv({trial.params['[0].out']}")
        assert parse_recipe(record.candidate.recipe).lr == trial.params["recipe.lr"]
        assert trial.params["[1]"] == 0 or str(trial.params["[1]"]).startswith(
            ("conv", "separable")
        )
        if record.outcome == "complete":
            assert trial.value == record.epochs[-1].accuracy


def test_the_same_line_again_trains_nothing_more(finished) -> None:
    before = (finished.folder / "journal.log").read_bytes()
    again = search(**arguments(study=finished.folder))
    assert outcome(again) == outcome(finished)
    assert (finished.folder / "journal.log").read_bytes() == before


def test_more_trials_grow_the_study(finished, tmp_path: Path) -> None:
    first = search(**arguments(study=tmp_path / "s", trials=2))
    grown = search(**arguments(study=tmp_path / "s"))
    assert outcome(first) == outcome(grown)[:2]
    assert outcome(grown) == outcome(finished)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 5},
        {"target": 0.81},
        {"budget": 800},
        {"seed": 4},
        {"workers": 2},
        {"sampler": "random"},
        {"pruner": "none"},
        {"repeatable": False},
        {"recipe": "recipe(lr=0.1,batch=64)"},
        {"space": "conv(4|6) gap linear(10)"},
    ],
)
def test_another_question_is_refused_with_the_difference(finished, change) -> None:
    name = next(iter(change))
    with pytest.raises(StudyError, match=f"{name}=.* there, .* asked for"):
        search(**arguments(study=finished.folder, **change))


def test_the_generator_gives_the_same_trials(finished, tmp_path: Path) -> None:
    given = arguments(study=tmp_path / "s")
    del given["quiet"]
    seen = [(t.number, t.outcome) for t in iter_search(**given)]
    assert sorted(seen) == [(t.number, t.outcome) for t in finished.records]


def test_closing_the_generator_leaves_a_study_that_goes_on(finished, tmp_path: Path) -> None:
    given = arguments(study=tmp_path / "s")
    del given["quiet"]
    trials = iter_search(**given)
    next(trials)
    trials.close()
    assert outcome(search(**arguments(study=tmp_path / "s"))) == outcome(finished)


def test_stop_after_hits_leaves_the_rest_for_later(finished, tmp_path: Path) -> None:
    early = search(**arguments(study=tmp_path / "s", stop_after_hits=1))
    assert len(early.leaderboard) == 1
    assert len(early.records) < 4
    assert early.leaderboard.loc[1, "epochs_trained"] == 4
    assert "1 designs reached the target" in early.reason
    assert outcome(search(**arguments(study=tmp_path / "s"))) == outcome(finished)


def test_a_hit_may_be_asked_to_be_consistent(tmp_path: Path) -> None:
    given = arguments(study=tmp_path / "s", consistent=2, target=0.7, pruner="none", trials=6)
    question = resolve(SearchSettings(**given))
    hits = [event for event in api.run(question) if isinstance(event, EpochDone) and event.hit]
    result = load_result(tmp_path / "s")
    expected = {t.number for t in result.records if min(e.accuracy for e in t.epochs[2:]) >= 0.7}
    once = {t.number for t in result.records if t.best.accuracy >= 0.7}
    assert {event.trial.number for event in hits} == expected < once
    assert {event.result.epoch for event in hits} == {4} and len(hits) == len(expected)
    assert {*result.leaderboard["trial"]} == expected
    written = read(tmp_path / "s/leaderboard.csv")
    assert {*written["trial"]} == expected and {*written["consistent"]} == {2}
    early = search(**{**given, "study": tmp_path / "early", "stop_after_hits": 1})
    assert [t.number for t in early.records] == list(range(min(expected) + 1))


def test_a_time_limit_stops_and_the_study_goes_on(finished, tmp_path: Path) -> None:
    early = search(**arguments(study=tmp_path / "s", timeout=0.01))
    assert "time limit" in early.reason
    assert outcome(search(**arguments(study=tmp_path / "s"))) == outcome(finished)


def test_a_small_space_ends_with_a_diagnosis(tmp_path: Path) -> None:
    result = search(
        **arguments(
            study=tmp_path / "s",
            space="conv(4|6) gap linear(10)",
            epochs=1,
            recipe="recipe(batch=256)",
            trials=10,
        )
    )
    assert len(result.records) == 2
    assert "trained already (2 trials)" in result.reason
    assert result.counts.drawn == 2 + result.counts.duplicate  # as of the latest trial


def test_a_budget_that_nothing_meets_names_the_smallest(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"smallest.*conv\(4\).*") as error:
        search(**arguments(study=tmp_path / "s", budget=50))
    assert "50" in str(error.value)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"budget": 0}, "`budget.params` must be an integer >= 1 or None, but got params=0"),
        ({"budget": 8000.5}, "`budget.params` must be an integer"),
        ({"epochs": 0}, "`epochs` must be an integer from 1 to 10000, but got epochs=0"),
        ({"trials": -1}, "`trials` must be an integer from 1"),
        ({"target": 99.4}, "`target` must be a number above 0 and at most 1, but got target=99.4"),
        ({"workers": 0}, "`workers` must be an integer from 1"),
        ({"seed": "a"}, "`seed` must be an integer"),
        ({"timeout": 0}, "`timeout` must be a number above 0"),
        ({"consistent": 0}, "`consistent` must be an integer from 1 to 10000"),
        ({"consistent": 5}, "`consistent` must be at most `epochs`, 4, but got consistent=5"),
        ({"stop_after_hits": 0}, "`stop_after_hits` must be an integer from 1"),
        (
            {"sampler": "best"},
            "`sampler` must be one of model, near-cap, uniform, evolution, tpe, random, or an",
        ),
        (
            {"pruner": "best"},
            "`pruner` must be one of predicted, rungs, target, median, halving, none, or an",
        ),
        ({"dataset": "minst"}, "`dataset` must be one of mnist"),
        ({"device": "gpu"}, "`device` must be"),
        ({"space": 3}, "`space` must be"),
        ({"recipe": 3}, "`recipe` must be"),
        ({"select_on": "train"}, "`select_on` must be test or val, but got 'train'"),
        ({"val_size": 100}, "`val_size` must be given with select_on='val', but got val_size=100"),
        ({"select_on": "val", "val_size": 0}, "`val_size` must be an integer from 1 to 1436"),
        ({"select_on": "val", "val_size": 5}, "`val_size` must leave images of every class"),
        ({"repeatable": "yes"}, "`repeatable` must be True or False, but got repeatable='yes'"),
        ({"val_seed": 1.5}, "`val_seed` must be an integer"),
        ({"confirm": 1}, "`confirm` must be an integer from 2 to 1000, but got confirm=1"),
        ({"confirm_top": 0}, "`confirm_top` must be an integer from 1 to 1000"),
        (
            {"space": "conv(@w:4|6) gap linear(10)", "recipe": "recipe(batch=@w:64|128)"},
            "must have different names, but got w in both",
        ),
    ],
)
def test_bad_arguments_are_refused_before_anything_happens(bad, message, tmp_path) -> None:
    with pytest.raises((ArgumentError, DataError, DesignError), match=message.replace("(", r"\(")):
        search(**arguments(study=tmp_path / "s", **bad))
    assert not (tmp_path / "s").exists()


def test_a_trial_that_diverges_ends_with_its_reason(tmp_path: Path) -> None:
    result = search(
        **arguments(
            study=tmp_path / "s",
            trials=1,
            recipe="recipe(lr=100,constant,batch=64)",
            space="conv(4|6,norm=none) gap linear(10)",
        )
    )
    (trial,) = result.records
    assert trial.outcome == "diverged" and trial.reason == "the training loss is not finite"
    assert len(trial.epochs) < 4
    assert outcome(
        search(
            **arguments(
                study=tmp_path / "s",
                trials=1,
                recipe="recipe(lr=100,constant,batch=64)",
                space="conv(4|6,norm=none) gap linear(10)",
            )
        )
    ) == outcome(result)


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(
    finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.run_epoch
    bad = finished.records[1].candidate.seed

    def failing(task, state, epoch):
        if task.seed == bad and epoch == 2:
            raise RuntimeError("not enough memory")
        return real(task, state, epoch)

    monkeypatch.setattr(training, "run_epoch", failing)
    result = search(**arguments(study=tmp_path / "s"))
    failed = result.records[1]
    assert (failed.outcome, failed.reason) == ("failed", "RuntimeError: not enough memory")
    assert len(failed.epochs) == 1
    assert [t.outcome for t in result.records].count("failed") == 1
    assert len(result.records) == 4


def test_a_question_that_is_deleted_meanwhile_is_written_again(
    tmp_path: Path, inline: None
) -> None:
    place, kept = tmp_path / "s" / "study.json", list[bytes]()

    def delete(_: object) -> None:
        if not kept:
            kept.append(place.read_bytes())
            place.unlink()

    result = search(**arguments(study=tmp_path / "s", trials=2, epochs=1, on_epoch=delete))
    assert place.read_bytes() == kept[0]
    assert len(result.records) == 2


def test_a_search_in_which_everything_fails_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(task, state, epoch):
        raise RuntimeError("no")

    monkeypatch.setattr(training, "run_epoch", failing)
    with pytest.raises(WorkerError, match=r"5 trials in a row failed.*RuntimeError: no"):
        search(**arguments(study=tmp_path / "s", trials=50))


# Selected on held-out images --------------------------------------------------------------------


@pytest.fixture(scope="module")
def held(inline, tmp_path_factory: pytest.TempPathFactory):
    return search(
        **arguments(
            study=tmp_path_factory.mktemp("studies") / "held",
            select_on="val",
            val_size=200,
            val_seed=5,
            pruner="median",
            trials=8,
        )
    )


def test_held_out_images_drive_the_search_and_test_images_are_looked_at_once(held) -> None:
    assert {t.outcome for t in held.records} == {"complete", "pruned"}
    for trial in held.records:
        for epoch in trial.epochs:
            assert (epoch.total, epoch.train_total) == (200, 1437 - 200)
            finished = epoch.epoch == held.identity.epochs
            assert epoch.test_total == (360 if finished else None)
    assert (held.leaderboard["selected_on"] == "val(size=200,seed=5)").all()
    seen = held.trials[held.trials["outcome"] == "pruned"]
    assert seen["test_accuracy"].isna().all() and held.leaderboard["test_accuracy"].notna().all()


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_held_out_images_are_not_trained_on(held, engine: str) -> None:
    """The same as training on a data set that does not have them, with the same seed."""
    task = dataclasses.replace(rebuild(held.leaderboard.loc[1]), engine=engine)
    apart = fetch(task.data)
    alone = dataclasses.replace(task, data=lend(apart), tested_on=None)
    ours, theirs = list(train(task)), list(train(alone))
    assert [(e.correct, e.raw_correct, e.train_loss) for e in ours] == [
        (e.correct, e.raw_correct, e.train_loss) for e in theirs
    ]
    digits = load("digits")
    tested = make_dataset(apart.train, digits.test, name="whole")
    whole = list(train(dataclasses.replace(alone, data=lend(tested))))
    assert ours[-1].test_correct == whole[-1].correct


def test_a_row_selected_on_held_out_images_is_rebuilt_with_them(held) -> None:
    row = read(held.folder / "leaderboard.csv").loc[1]
    epochs = list(train(rebuild(row)))
    assert max(e.accuracy for e in epochs) == row["best_accuracy"]
    assert epochs[-1].test_accuracy == row["test_accuracy"]


def test_a_design_selected_on_held_out_images_is_confirmed_with_all(held, monkeypatch) -> None:
    monkeypatch.setattr(confirming, "local_slots", lambda workers, **_: [InlineSlot()])
    row = confirm(held.leaderboard.head(1), 2, quiet=True).loc[1]
    assert row["on"] == "digits test, not selected on"
    task = dataclasses.replace(
        rebuild(held.leaderboard.loc[1]),
        tested_on=None,
        data=DataRef("digits", load("digits").checksum),
        seed=int(row["seeds"].split()[0]),
    )
    *_, last = train(task)
    assert last.train_total == 1437
    assert float(row["accuracies"].split()[0]) == pytest.approx(last.accuracy, abs=1e-6)


def test_validation_images_of_ones_own_drive_the_search_unless_told_otherwise(
    tmp_path: Path, inline: None
) -> None:
    digits = load("digits")
    images, labels = digits.train
    data = make_dataset(
        (images[200:], labels[200:]), digits.test, name="own", val=(images[:200], labels[:200])
    )
    given = {"dataset": data, "trials": 1, "epochs": 1, "target": 0.05}
    result = search(**arguments(study=tmp_path / "own", **given))
    assert result.identity.selected_on == "val(size=200)"
    (epoch,) = result.records[0].epochs
    assert (epoch.train_total, epoch.total, epoch.test_total) == (1237, 200, 360)
    assert "of the validation images of own" in repr(result)
    assert "the 200 validation images" in " ".join(protocol(result))
    report = result.report(1, tmp_path)
    beside = report.with_name("train_design_0.py").read_text()
    assert "training images out" not in " ".join(beside.split())
    assert list(train(rebuild(result.leaderboard)))[-1].correct == epoch.correct
    row = confirm(result.leaderboard, 2, quiet=True).loc[1]
    assert row["on"] == "own test, not selected on"
    held = search(**arguments(study=tmp_path / "held", select_on="val", val_size=100, **given))
    assert held.identity.selected_on == "val(size=100,seed=0)"
    tested = search(**arguments(study=tmp_path / "test", select_on="test", **given))
    assert tested.identity.selected_on == "test"


@pytest.mark.parametrize(
    "change", [{"val_size": 201}, {"val_seed": 6}, {"val_size": None, "select_on": "test"}]
)
def test_a_study_goes_on_with_the_same_held_out_images(held, change) -> None:
    given = arguments(study=held.folder, pruner="median", trials=8)
    with pytest.raises(StudyError, match=r"selected_on='val\(size=200,seed=5\)' there"):
        search(**{**given, "select_on": "val", "val_size": 200, "val_seed": 5, **change})


def test_a_trials_record_has_all_that_it_takes_to_run_it_again(held) -> None:
    path = held.folder / "journal.log"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    record = study.trials[0].user_attrs["candidate"]
    assert record["decisions"] and record["versions"].keys() >= {
        "lightsearch",
        "torch",
        "optuna",
        "scikit-learn",
        "numpy",
        "python",
        "machine",
    }
    last = study.trials[0].user_attrs["epoch-0004"]
    assert last["threads"] == 1 and last["device_kind"] and last["engine"]
    data = DataRef(
        record["dataset"], record["checksum"], holdout=holdout_of(record["selected_on"])
    )
    task = Task(
        parse(record["design"]),
        parse_recipe(record["recipe"]),
        data,
        record["epochs"],
        record["seed"],
        parse_engine(last["engine"]),
        record["device"],
    )
    again = list(train(task))
    assert [e.correct for e in again] == [e.correct for e in held.records[0].epochs]


# Real processes and real signals ----------------------------------------------------------------

SCRIPT = """
import json, sys
from lightsearch import search
sys.path.insert(0, sys.argv[1])
from tiny import arguments
search(**arguments(study=sys.argv[2], **json.loads(sys.argv[3])))
"""


def _start(folder: Path, **more: object) -> subprocess.Popen[bytes]:
    """A search in a process of its own: a script without a `__main__` guard."""
    script = folder.parent / "script.py"
    script.write_text(SCRIPT)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    support = str(Path(__file__).parents[1] / "support")
    return subprocess.Popen(
        [sys.executable, script, support, str(folder), json.dumps(more)],
        env={**os.environ, "PYTHONPATH": paths},
    )


def _epochs_in(folder: Path) -> int:
    try:
        return (folder / "journal.log").read_bytes().count(b'"epoch-')
    except FileNotFoundError:
        return 0


def _wait_for(folder: Path, epochs: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 240
    while _epochs_in(folder) < epochs:
        assert process.poll() is None, "the search ended too early"
        assert time.monotonic() < limit, "the search did not get on"
        time.sleep(0.01)


def test_killed_in_the_middle_it_goes_on_from_the_last_epoch(finished, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    process = _start(folder)
    _wait_for(folder, 6, process)  # in the middle of the second trial
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = {t.number: t.epochs for t in load_result(folder).records}
    assert 6 <= sum(map(len, committed.values())) < 16
    resumed = search(**arguments(study=folder))
    assert outcome(resumed) == outcome(finished)
    for trial in resumed.records:  # what was committed was not trained again
        before = committed.get(trial.number, ())
        assert trial.epochs[: len(before)] == before


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"kill points drawn with seed {seed}")
    generator = random.Random(seed)
    expected = search(**arguments(study=tmp_path / "undisturbed", workers=2, epochs=6, trials=6))
    folder = tmp_path / "s"
    for _ in range(8):
        process = _start(folder, workers=2, epochs=6, trials=6)
        try:
            process.wait(generator.uniform(4, 12))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    final = search(**arguments(study=folder, workers=2, epochs=6, trials=6))
    assert outcome(final) == outcome(expected)


def test_a_second_process_is_refused_with_the_first_ones_name(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    process = _start(folder)
    try:
        _wait_for(folder, 1, process)
        with pytest.raises(StudyError, match=f"held by process {process.pid} on "):
            search(**arguments(study=folder))
        assert load_result(folder).records  # looking on is allowed
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in /proc")
def test_a_killed_worker_costs_one_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    process = _start(folder, engine="torch")
    _wait_for(folder, 2, process)
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [pid for task in tasks for pid in task.read_text().split()]
    workers = [
        pid
        for pid in children  # not the processes in which loky keeps its books
        if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    assert len(workers) == 1
    os.kill(int(workers[0]), signal.SIGKILL)
    assert process.wait(240) == 0
    undisturbed = search(**arguments(study=tmp_path / "undisturbed", engine="torch"))
    assert outcome(load_result(folder)) == outcome(undisturbed)


def test_two_workers_give_the_same_study_whatever_the_timing(tmp_path: Path) -> None:
    runs = [search(**arguments(study=tmp_path / str(i), workers=2)) for i in range(2)]
    assert outcome(runs[0]) == outcome(runs[1])
    assert {t.candidate.slot for t in runs[0].records} == {0, 1}


def test_the_library_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    search(**arguments(study=tmp_path / "s", trials=10, epochs=1))  # far enough for Optuna to ask
    assert capfd.readouterr() == ("", "")


def test_another_data_set_of_ones_own_is_refused_and_the_studys_images_stay(
    tmp_path: Path,
) -> None:
    digits = load("digits")
    first = make_dataset(digits.train, digits.test, name="mine")
    second = make_dataset((digits.train[0] // 2, digits.train[1]), digits.test, name="mine")
    asked = arguments(study=tmp_path / "study", trials=1, epochs=1)
    search(**{**asked, "dataset": first})
    kept = (tmp_path / "study" / "data.safetensors").read_bytes()
    with pytest.raises(StudyError, match="checksum="):
        search(**{**asked, "dataset": second})
    assert (tmp_path / "study" / "data.safetensors").read_bytes() == kept
    search(**{**asked, "dataset": first, "trials": 2})


def test_a_study_is_known_by_a_file_in_it(tmp_path: Path) -> None:
    folder, notes = tmp_path / "s", tmp_path / "notes.txt"
    first = search(**arguments(study=folder))
    again = search(**arguments(study=folder / "leaderboard.csv"))
    assert (again.folder, again.records) == (first.folder, first.records)
    assert pack(folder / "leaderboard.csv", tmp_path / "s.zip").is_file()
    design = "conv(4) gap linear(10)"
    table = confirm(design, 2, study=folder / "leaderboard.csv", dataset="digits", epochs=1)
    assert len(table) == 1 and (folder / "confirmations").is_dir()
    notes.write_text("mine")
    for study in (notes, notes / "s"):  # of no study
        with pytest.raises(StudyError, match=r"notes\.txt"):
            search(**arguments(study=study))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "s", "s.zip"]
