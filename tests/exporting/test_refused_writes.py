"""Files that the system refuses to write: one clear error, and what stood there stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import linux

import lightsearch as ls
from lightsearch.cli import main
from lightsearch.errors import ArgumentError, StudyError
from lightsearch.study import packing

pytestmark = linux
FORMATS = [
    *(("net.safetensors", False), ("net.pt2", False), ("net.py", False)),
    *(("net.c", False), ("net.c", True), ("NET.PT2", False)),
    *(
        pytest.param("net.onnx", int8, marks=pytest.mark.needs("onnxscript", "onnxruntime"))
        for int8 in (False, True)
    ),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused") / "study"
    ls.search(
        900, 1, target=0.05, dataset="digits", trials=1, workers=1, quiet=True, study=folder
    )  # fmt: skip
    return folder


@contextlib.contextmanager
def _at_most(size: int) -> Iterator[None]:
    """No file may be longer, as on a full disk: Python and C get an error from `write`."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("name", "int8"), FORMATS)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_network(study: Path, tmp_path: Path, name: str, int8: bool, is_there: bool) -> None:
    if is_there:
        ls.export(study, tmp_path / name, int8=int8)
    before = _contents(tmp_path)
    with _at_most(700), pytest.raises(ArgumentError, match=r"`path` .*written, but .*too large"):
        ls.export(study, tmp_path / name, int8=int8)
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("name", ["train.py", "train.ipynb"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_program(study: Path, tmp_path: Path, name: str, is_there: bool) -> None:
    (tmp_path / f"{name}.part").write_text("somebody's")
    if is_there:
        ls.export_script(study, tmp_path / name)
    before = _contents(tmp_path)
    with _at_most(700), pytest.raises(ArgumentError, match=r"`path` .*written, but .*too large"):
        ls.export_script(study, tmp_path / name, force=True)
    assert _contents(tmp_path) == before


def test_a_network_that_cannot_take_its_place_leaves_no_new_card(
    study: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.safetensors").mkdir()
    before = list(tmp_path.iterdir())
    with pytest.raises(ArgumentError, match="`path` must be a file that can be written"):
        ls.export(study, tmp_path / "net.safetensors", card=tmp_path / "card.md", force=True)
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("is_there", [False, True])
def test_a_card_and_with_it_its_network(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    net, card = tmp_path / "net.safetensors", tmp_path / "card.md"
    if is_there:
        ls.export(study, net, card=card, fold=True)
    before = _contents(tmp_path)
    monkeypatch.setattr("lightsearch.exporting.writing.format_card", lambda *_: "long" * 99_999)
    with _at_most(90_000), pytest.raises(ArgumentError, match=r"`card` .*but .*card\.md: .*large"):
        ls.export(study, net, card=card)
    assert _contents(tmp_path) == before
    monkeypatch.undo()
    assert ls.export(study, net, card=card).card == card
    assert set(_contents(tmp_path)) == {"net.safetensors", "card.md"}


def test_what_train_saves(study: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    line = ["train", "--row", "1", "--leaderboard", str(study), "--save", str(path)]
    for _ in range(2):
        before = _contents(tmp_path)
        with _at_most(700):
            said = CliRunner().invoke(main, line)
        assert isinstance(said.exception, SystemExit) and said.exit_code == 2
        assert "`save` must be a file that can be written" in " ".join(said.output.split())
        assert _contents(tmp_path) == before
        assert CliRunner().invoke(main, line).exit_code == 0
    assert set(_contents(tmp_path)) == {"net.safetensors"}


@pytest.mark.parametrize("is_there", [False, True])
def test_an_archive(study: Path, tmp_path: Path, is_there: bool) -> None:
    path = tmp_path / "study.zip"
    if is_there:
        ls.pack(study, path)
    before = _contents(tmp_path)
    with _at_most(700), pytest.raises(ArgumentError, match=r"`archive` .*study\.zip: .*large"):
        ls.pack(study, path, force=True)
    assert _contents(tmp_path) == before


def test_a_study_that_cannot_be_read_is_not_the_archives_fault(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = study / "journal.log.gone"
    monkeypatch.setattr(packing, "list_members", lambda _: [study / "study.json", gone])
    with pytest.raises(StudyError, match=r"the files of a study must be readable, but .*\.gone"):
        ls.pack(study, tmp_path / "study.zip")
    with pytest.raises(ArgumentError, match="`archive` must be a file that can be written"):
        ls.pack(study, tmp_path / "nowhere" / "study.zip")
    assert not list(tmp_path.iterdir())
