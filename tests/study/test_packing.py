"""Archives of studies: they go on elsewhere, name no machine, and strangers' ones are refused."""

from __future__ import annotations

import json
import os
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tiny import arguments, outcome

from lightsearch import DataSet, load, load_result, load_weights, pack, search, unpack
from lightsearch.cli import main
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.study.disk import lock
from lightsearch.study.journal import read_trials
from lightsearch.study.trial import Trial


def _turned() -> DataSet:
    """The digits upside down: images of one's own."""
    digits = load("digits")
    images, labels = digits.train
    return DataSet("turned", (images.flip(2), labels), digits.test, 10)


def _interrupt(after: int) -> Callable[[Trial], None]:
    told = []

    def stop(trial: Trial) -> None:
        told.append(trial)
        if len(told) == after:
            raise RuntimeError("enough")

    return stop


def _half(folder: Path, after: int = 6, **more: Any) -> Path:
    """A study that was stopped on its way."""
    with pytest.raises(RuntimeError, match="enough"):
        search(**arguments(study=folder, on_epoch=_interrupt(after), **more))
    return folder


def _contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


# Going on elsewhere ------------------------------------------------------------------------------


def test_a_study_goes_on_elsewhere_as_it_would_have_here(tmp_path: Path) -> None:
    given = {"dataset": _turned()}
    whole = search(**arguments(study=tmp_path / "whole", **given))
    half = _half(tmp_path / "half", **given)
    archive = pack(half, tmp_path / "half.zip")
    other = unpack(archive, tmp_path / "elsewhere" / "study")
    assert outcome(load_result(other)) == outcome(load_result(half)) != outcome(whole)
    assert load_result(other).images == whole.images
    assert (other / "leaderboard.csv").read_text() == (half / "leaderboard.csv").read_text()
    assert any(t.outcome == "running" for t in load_result(other).records)
    states = [load_file(path) for path in sorted(other.glob("states/*"))]
    assert states and len(states) == len(list(half.glob("states/*")))
    ended = search(**arguments(study=other, **given))
    assert outcome(ended) == outcome(whole)
    for trial in ended.records:
        one, same = (load_weights(r.folder, trial.number) for r in (ended, whole))
        assert all(torch.equal(one[name], same[name]) for name in same)


def test_all_files_of_a_study_are_packed(tmp_path: Path) -> None:
    more = {"target": 0.3, "epochs": 3, "trials": 3}
    search(**arguments(study=tmp_path / "a", confirm=2, confirm_top=1, **more))
    search(**arguments(study=tmp_path / "b", goal="fastest", **more))
    for name in ("a", "b"):
        folder = tmp_path / name
        packed = set(_contents(pack(folder, tmp_path / f"{name}.zip")))
        files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        beside = {f for f in files if Path(f).name in ("lock", "leaderboard.csv")}
        assert packed == files - beside and len(packed) > 4
        other = unpack(tmp_path / f"{name}.zip", tmp_path / f"{name}-2")
        one, same = load_result(other), load_result(folder)
        assert one.runs == same.runs and one.confirmations == same.confirmations
        assert (one.best is None) == (same.best is None)
        assert one.leaderboard.equals(same.leaderboard)
    assert any("epochs-" in name for name in packed) and any("looks/" in name for name in packed)
    before = outcome(load_result(other))
    assert outcome(search(**arguments(study=other, goal="fastest", **more))) == before


def test_the_same_study_is_the_same_archive(tmp_path: Path) -> None:
    half = _half(tmp_path / "half")
    (half / "notes.txt").write_text("mine")
    first = pack(half, tmp_path / "a.zip").read_bytes()
    os.utime(half / "study.json", (0, 0))
    assert pack(half, tmp_path / "b.zip").read_bytes() == first
    assert "notes.txt" not in _contents(tmp_path / "a.zip")


# Nothing of the machine --------------------------------------------------------------------------


def test_nothing_of_the_machine_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gabriels-box.example.org")
    other = search(**arguments(study=tmp_path / "before", trials=1)).folder
    table = tmp_path / "tables" / "best.csv"
    table.parent.mkdir()
    table.write_text("design\nconv(4) gap linear(10)\nconv(40) conv(40) gap linear(10)\n")
    sources = [str(other), str(table), "conv(6) maxpool gap linear(10)"]
    given = arguments(study=tmp_path / "s", sampler="model", warm_start=sources)
    journal = search(**given).folder / "journal.log"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    reason = f"OSError: {tmp_path}/layers/mine.py, worker 'tcp://10.0.0.3:87' on gabriels-box"
    for line in lines:
        if "outcome" in line.get("user_attr", {}):
            line["user_attr"]["outcome"] = ["failed", reason]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn')
    contents = _contents(pack(tmp_path / "s", tmp_path / "s.zip"))
    assert {"study.json", "journal.log", "warm_start.json"} < contents.keys()
    everything = b"\n".join(contents.values())
    for name in (str(tmp_path), tmp_path.name, "gabriels", str(Path.home()), "10.0.0.3", "torn"):
        assert name.encode() not in everything, name
    again = unpack(tmp_path / "s.zip", tmp_path / "again")
    reasons = {trial.reason for trial in read_trials(again)}
    assert reasons == {"OSError: mine.py, worker '(address)' on (host)"}
    identity = load_result(again).identity
    assert identity.warm_start == ("before", "best.csv", sources[2])
    more = {"study": again, "warm_start": ["before", "best.csv", sources[2]], "trials": 5}
    assert len(search(**{**given, **more}).records) == 5


# Strangers' archives -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    return pack(_half(folder / "s", 2), folder / "s.zip")


def _rewritten(
    archive: Path,
    folder: Path,
    *,
    drop: str = "",
    method: int = zipfile.ZIP_DEFLATED,
    **added: Any,
) -> Path:
    """The archive with another file in it, whose name and attributes are given."""
    path = folder / "other.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in _contents(archive).items():
            if name != drop:
                file.writestr(name, data)
        if added:
            about = zipfile.ZipInfo(added["name"])
            about.compress_type = method
            about.external_attr = added.get("mode", 0o644) << 16
            file.writestr(about, added.get("data", b"x"))
    return path


NAMES = [
    "../evil",
    "weights/../../evil",
    "/etc/evil",
    "C:/evil",
    "weights\\..\\evil",
    "weights/",
    "evil.py",
    "confirmations/../terms.json",
    "confirmations/../x/terms.json",
    "states/trial-00000-epoch-0001.safetensors/x",
    "holder",
    "looks/looks/confirmations/test/terms.json",
    "study.json\n",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_study_has_are_refused(name: str, archive: Path, tmp_path: Path) -> None:
    other = _rewritten(archive, tmp_path, name=name)
    _check_refused(other, tmp_path, "must have the files of a study alone, but in")


def _check_refused(archive: Path, folder: Path, message: str, **more: Any) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(StudyError, match=message):
        unpack(archive, folder / "new", **more)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices_are_refused(mode: int, archive: Path, tmp_path: Path) -> None:
    other = _rewritten(archive, tmp_path, name="data.safetensors", mode=mode, data=b"/etc/passwd")
    _check_refused(other, tmp_path, "'data.safetensors' is a link or no regular file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["study.json", "journal.log"])
def test_a_file_that_is_there_twice_is_refused(name: str, archive: Path, tmp_path: Path) -> None:
    _check_refused(_rewritten(archive, tmp_path, name=name), tmp_path, f"'{name}' is there twice")


def test_what_is_too_large_is_refused_before_it_is_unpacked(archive: Path, tmp_path: Path) -> None:
    bomb = _rewritten(archive, tmp_path, name="data.safetensors", data=bytes(50 << 20))
    assert bomb.stat().st_size < 1 << 20
    _check_refused(bomb, tmp_path, r"at most 52,428,800 bytes unpacked", most_bytes=50 << 20)
    size = sum(map(len, _contents(archive).values()))
    assert unpack(archive, tmp_path / "fits", most_bytes=size)
    _check_refused(archive, tmp_path, "--most-bytes", most_bytes=size - 1)


def test_a_file_that_is_larger_than_it_says_is_refused(archive: Path, tmp_path: Path) -> None:
    bomb = _rewritten(archive, tmp_path, name="data.safetensors", data=bytes(1 << 20))
    data = bytearray(bomb.read_bytes())
    for size in (
        data.find((1 << 20).to_bytes(4, "little")),
        data.rfind((1 << 20).to_bytes(4, "little")),
    ):
        data[size : size + 4] = (1000).to_bytes(4, "little")
    bomb.write_bytes(data)
    _check_refused(bomb, tmp_path, "cannot be read: Bad CRC-32 for file 'data.safetensors'")


def test_other_ways_of_compression_and_encryption_are_refused(
    archive: Path, tmp_path: Path
) -> None:
    other = _rewritten(archive, tmp_path, method=zipfile.ZIP_BZIP2)
    _check_refused(other, tmp_path, "is compressed in another way")
    data = bytearray(_rewritten(archive, tmp_path).read_bytes())
    central = data.find(b"PK\x01\x02")
    data[central + 8] |= 1
    other.write_bytes(data)
    _check_refused(other, tmp_path, "is encrypted")


def test_many_files_are_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("packing", "unpacking"):
        monkeypatch.setattr(f"lightsearch.study.{module}.MOST_FILES", 2)
    _check_refused(archive, tmp_path, "must have at most 2 files, but")
    with pytest.raises(StudyError, match="must have at most 2 files, but"):
        pack(archive.parent / "s", tmp_path / "s.zip")
    assert not list(tmp_path.iterdir())


def _damages(archive: Path) -> dict[str, bytes]:
    data = archive.read_bytes()
    middle = data.find(b"journal.log") + 60
    return {
        "empty": b"",
        "text": b"no archive",
        "cut": data[: len(data) // 2],
        "flipped": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :],
    }


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "flipped"])
def test_what_is_no_archive_or_damaged_is_refused(
    kind: str, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.zip").write_bytes(_damages(archive)[kind])
    _check_refused(tmp_path / "bad.zip", tmp_path, "must be a file that `lightsearch pack` wrote")


def test_what_is_no_study_inside_is_refused(archive: Path, tmp_path: Path) -> None:
    other = _rewritten(archive, tmp_path, drop="study.json")
    _check_refused(other, tmp_path, "must have its study.json|must have a study.json")
    other = _rewritten(archive, tmp_path, drop="journal.log", name="journal.log", data=b"{}\n[]\n")
    _check_refused(other, tmp_path, "damaged")
    other = _rewritten(archive, tmp_path, drop="study.json", name="study.json", data=b"[]")
    _check_refused(other, tmp_path, "must hold a study's identity")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of Unix")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    _check_refused(tmp_path / "pipe.zip", tmp_path, "it is no regular file")


# What is there already ---------------------------------------------------------------------------


def test_nothing_is_written_over(archive: Path, tmp_path: Path) -> None:
    study = unpack(archive, tmp_path / "s")
    with pytest.raises(ArgumentError, match="`folder` must be a new file"):
        unpack(archive, study)
    (tmp_path / "s.zip").write_text("mine")
    with pytest.raises(ArgumentError, match="`archive` must be a new file"):
        pack(study, tmp_path / "s.zip")
    assert pack(study, tmp_path / "s.zip", force=True).read_bytes() == archive.read_bytes()
    with pytest.raises(StudyError, match=r"must hold a study\.json"):
        pack(tmp_path, tmp_path / "t.zip")


def test_a_study_that_a_process_holds_is_refused(archive: Path, tmp_path: Path) -> None:
    study = unpack(archive, tmp_path / "s")
    with lock(study), pytest.raises(StudyError, match="is held by process"):
        pack(study, tmp_path / "t.zip")
    assert not (tmp_path / "t.zip").exists()


def test_the_commands(archive: Path, tmp_path: Path) -> None:
    def run(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(main, list(map(str, arguments)), prog_name="lightsearch")
        assert done.exit_code == code, (done.output, done.exception)
        return done.output.strip()

    assert run("unpack", archive, tmp_path / "s") == str(tmp_path / "s")
    assert run("pack", tmp_path / "s", tmp_path / "s.zip") == str(tmp_path / "s.zip")
    assert (tmp_path / "s.zip").read_bytes() == archive.read_bytes()
    assert "must be a new file" in run("pack", tmp_path / "s", tmp_path / "s.zip", code=2)
    assert "at most 9 bytes" in run("unpack", archive, tmp_path / "t", "--most-bytes", 9, code=1)
