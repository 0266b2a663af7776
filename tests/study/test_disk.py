"""The folder of a study: its lock, links in it, and files that were somebody's before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from test_study import _candidate, _commit, _identity, _nop

from lightsearch.errors import StudyError
from lightsearch.study.disk import lock, save_state, write_text, writing
from lightsearch.study.ledger import Ledger
from lightsearch.study.study import Study
from lightsearch.study.terms import Terms

TERMS = Terms(2, "9/10", 3, "digits", "c", "test", "c")


def _replace(path: Path) -> None:
    path.unlink()
    path.touch()


@pytest.mark.parametrize("change", [Path.unlink, _replace])
def test_a_lock_that_is_replaced_ends_the_search_at_its_next_line(tmp_path: Path, change) -> None:
    folder = tmp_path / "s"
    with Study.open(folder, _identity(), _nop()) as study:
        study.begin(_candidate(0))
        before = (folder / "journal.log").read_bytes()
        change(folder / "lock")
        with pytest.raises(StudyError, match=r"lock must be left alone .* replaced or deleted"):
            study.begin(_candidate(1))
        assert (folder / "journal.log").read_bytes() == before
    with Study.open(folder, _identity(), _nop()) as study:
        assert len(study.trials) == 1


def test_a_lock_that_is_replaced_ends_a_confirmation(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, "test", TERMS) as ledger:
        ledger.plan(("a", "b"), (1, 2), "on")
        (tmp_path / "lock").unlink()
        with pytest.raises(StudyError, match="lock must be left alone"):
            ledger.plan(("c", "d"), (1, 2), "on")


@pytest.mark.parametrize("gone", [shutil.rmtree, lambda path: path.rename(f"{path}-moved")])
def test_a_folder_that_goes_meanwhile_is_said_to_be_gone(tmp_path: Path, gone) -> None:
    folder = tmp_path / "s"
    (folder / "states").mkdir(parents=True)
    message = r"s was moved or deleted\. Nothing more was written\. If it is back"
    with pytest.raises(StudyError, match=message), writing(folder):
        gone(folder)
        save_state(folder / "states" / "1", {"x": torch.zeros(3)})
    with pytest.raises(StudyError, match=message), writing(folder):  # and at the next write
        (folder / "journal.log.lock").open("x")


# Links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("states", "weights", "confirmations", "looks", "epochs-00007"),
        *("journal.log", "study.json", "leaderboard.csv", "lock"),
    ],
)
def test_links_in_a_study_are_refused_and_their_targets_left_alone(
    tmp_path: Path, name: str
) -> None:
    folder, target = tmp_path / "s", tmp_path / "target"
    with Study.open(folder, _identity(), _nop()) as study:
        study.begin(_candidate(0))
    place = folder / name
    if name in ("states", "weights", "confirmations", "looks", "epochs-00007"):
        target.mkdir()
        (target / "trial-00009-epoch-0001.safetensors").write_text("mine")
        if place.exists():
            place.rmdir()
    else:
        target.write_bytes(place.read_bytes() if place.exists() else b"mine")
        place.unlink(missing_ok=True)
    place.symlink_to(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with (
        pytest.raises(StudyError, match=f"must hold no links, but .*{name} is one"),
        Study.open(folder, _identity(), _nop()),
    ):
        pass
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_link_deep_in_a_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s" / "weights").mkdir(parents=True)
    (tmp_path / "s" / "weights" / "trial-00000.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="must hold no links"), lock(tmp_path / "s"):
        pass
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "looks").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="must hold no links"), lock(tmp_path / "s"):
        pass


@pytest.mark.parametrize("name", ["states", "weights"])
def test_a_link_that_is_put_there_in_mid_search_is_not_followed(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
        _commit(study, 0, 1, 900)
        study.sync()
        shutil.rmtree(tmp_path / "s" / name)
        (tmp_path / "s" / name).symlink_to(target)
        with pytest.raises(StudyError, match=f"must hold no links, but .*{name} is one"):
            _commit(study, 0, 2, 910)
    assert not list(target.iterdir())


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_part_that_is_a_link_leaves_its_target_alone(tmp_path: Path, make: str) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    for name in ("a.json", "b.safetensors"):
        getattr(tmp_path / f"{name}.part", make)(target)
    write_text(tmp_path / "a.json", "{}")
    save_state(tmp_path / "b.safetensors", {"x": torch.zeros(2)})
    assert target.read_text() == "mine"
    assert (tmp_path / "a.json").read_text() == "{}" and not (tmp_path / "a.json.part").exists()


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "disk")
    with Study.open(tmp_path / "s", _identity(), _nop()) as study:
        study.begin(_candidate(0))
    assert (tmp_path / "disk" / "study.json").exists()


# What was there before ---------------------------------------------------------------------------


def test_files_of_somebody_elses_in_the_folder_stay(tmp_path: Path) -> None:
    theirs = [
        "film.mp4.part",
        "states/ohio.csv",
        "states/.tmp",
        "weights/mine.part",
        "weights/trial.part",
        ".tmp-notes/x",
    ]
    ours = [
        "states/trial-00007-epoch-0001.safetensors",
        "states/trial-00007-epoch-0001.safetensors.part",
        "weights/trial-00007-epoch-0001.part",
        "weights/trial-00007-epoch-0001.part.part",
        "weights/.tmpAb12Cd",
        "study.json.part",
    ]
    for name in (*theirs, *ours):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with Study.open(tmp_path, _identity(), _nop()):
        pass
    assert all((tmp_path / name).exists() for name in theirs)
    assert not any((tmp_path / name).exists() for name in ours)
