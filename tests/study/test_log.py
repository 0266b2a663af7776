"""Files that grow by lines: what is read back, what is cut, and what others may do to them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsearch.errors import StudyError
from lightsearch.study import log as log_module
from lightsearch.study.log import Lines, Log

REMEDY = "Bring it back"


def _log(path: Path) -> Log:
    return Log(path, REMEDY)


def _read(path: Path) -> list[dict[str, object]]:
    return list(Lines(path, REMEDY).read())


def test_what_is_appended_is_read_once_by_the_writer_and_by_others(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, other = _log(path), Lines(path, REMEDY)
    log.append([{"a": 1}, {"a": 2}])
    assert list(log.read()) == [{"a": 1}, {"a": 2}] == list(other.read())
    assert list(log.read()) == [] == list(other.read())
    log.append([{"a": 3}])
    assert list(log.read()) == [{"a": 3}] == list(other.read())
    assert (log.values, log.number) == (other.values, other.number) == (3, 3)
    log.rewind()
    assert list(log.read()) == [{"a": 1}, {"a": 2}, {"a": 3}] == _read(path)
    log.close()


def test_lines_are_written_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, written = _log(tmp_path / "log"), []

    class File:
        def write(self, data: memoryview) -> int:
            written.append(bytes(data))
            return len(data) if len(written) > 1 else 3  # as a system that takes a part first

        def fileno(self) -> int:
            return real.fileno()

    real = log._file
    monkeypatch.setattr(log, "_file", File())
    log.append([{"a": 1}, {"b": 2}])
    assert written == [b'{"a":1}\n{"b":2}\n', b'":1}\n{"b":2}\n']
    real.close()


def test_own_lines_are_not_read_from_the_file_again(tmp_path: Path) -> None:
    log = _log(tmp_path / "log")
    log.append([{"a": 1}])
    assert list(log.read()) == [{"a": 1}]
    log.append([{"a": 2}])
    (tmp_path / "log").write_bytes(b"x" * 16)
    assert list(log.read()) == [{"a": 2}]
    log.close()


def test_lines_of_others_are_read_with_the_next_one_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = _log(path)
    log.append([{"a": 1}])
    with path.open("a") as file:
        file.write('{"b": 1}\n')
    log.append([{"a": 2}])
    assert list(log.read()) == [{"a": 1}, {"b": 1}, {"a": 2}]
    log.append([{"a": 3}])
    assert list(log.read()) == [{"a": 3}]
    with path.open("a") as file:
        file.write('{"b": 2}\n\n{"b": 3')  # and died
    log.append([{"a": 4}])
    assert list(log.read()) == [{"b": 2}, {"a": 4}]
    assert [one.get("a", 0) for one in _read(path)] == [1, 0, 2, 3, 0, 4]
    log.close()


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"a":1}\n{"a":')
    lines = Lines(path, REMEDY)
    assert list(lines.read()) == [{"a": 1}]
    with path.open("ab") as file:
        file.write(b"2}\n")
    assert list(lines.read()) == [{"a": 2}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"\n", b""),
        (b" \n\t\n", b""),
        (b"{", b""),
        (b"\0" * 50, b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b'{"a":1}\n\n', b'{"a":1}\n'),
        (b'{"a":1}\n{', b'{"a":1}\n'),
        (b'{"a":1}\n\n \n{"b', b'{"a":1}\n'),
        (b'{"a":1}\r\n\r\n', b'{"a":1}\r\n'),
        (b'{"a":1} \n\n', b'{"a":1} \n'),
        (b'{"a":1}\n\n{"a":2}\n', b'{"a":1}\n\n{"a":2}\n'),
    ],
)
def test_what_is_torn_or_blank_at_the_end_is_cut_when_it_is_opened(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = tmp_path / "log"
    path.write_bytes(before)
    read = _read(path)  # looking changes nothing, and sees the same
    assert path.read_bytes() == before
    log = _log(path)
    assert path.read_bytes() == after
    log.append([{"c": 3}])
    assert list(log.read()) == [*read, {"c": 3}] == _read(path)
    log.close()


@settings(deadline=None)  # the disk of a busy machine
@given(
    st.lists(st.sampled_from([b'{"a":1}\n', b"\n", b" \n", b'{"b":"' + b"x" * 40 + b'"}\n'])),
    st.sampled_from([b"", b"{", b" ", b'{"torn":"' + b"y" * 30]),
    st.sampled_from([1, 7, 1 << 16]),
)
def test_what_is_cut_does_not_depend_on_how_much_is_read_at_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, block: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"".join(lines) + torn)
    while lines and lines[-1].isspace():
        lines.pop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "BLOCK", block)
        _log(path).close()
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n\nnonsense\n{}\n', "line 3 is damaged: Expecting value"),
        ('{"a": 1}\n[1]\n', r"line 2 is damaged: \[1\] is no object"),
        ("5\n", "line 1 is damaged: 5 is no object"),
        ('{"a": "\x00"}\n', "line 1 is damaged: Invalid control character"),
        ("[" * 100_000 + "\n", "line 1 is damaged"),
        ('{"a": ' + "9" * 5000 + "}\n", "line 1 is damaged: Exceeds the limit"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    lines = Lines(path, REMEDY)
    for _ in range(2):  # it is not skipped the second time
        with pytest.raises(
            StudyError, match=f"log must have a JSON object a line, but {said}.*{REMEDY}"
        ):
            list(lines.read())


def test_bytes_that_are_no_text_are_a_damaged_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"a":"\xff"}\n')
    with pytest.raises(StudyError, match="line 1 is damaged: 'utf-8' codec"):
        _read(tmp_path / "log")


# What others do to the file ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "but it was deleted"),
        (lambda path: path.rename(path.with_name("moved")), "but it was deleted"),
        (
            lambda path: (path.rename(path.with_name("old")), path.write_bytes(b'{"a":1}\n')),
            "but it was replaced",
        ),
        (lambda path: os.truncate(path, 3), "but it was cut"),
    ],
)
def test_a_file_that_is_changed_under_the_writer_ends_it_at_once(tmp_path, change, said) -> None:
    path = tmp_path / "log"
    log = _log(path)
    log.append([{"a": 1}])
    change(path)
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    with pytest.raises(StudyError, match=f"{said}. Nothing more was written. {REMEDY}"):
        log.append([{"a": 2}])
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before
    log.close()


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
@pytest.mark.timeout(20)
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(StudyError, match="log must be a regular file"):
        _read(path)
    if kind != "folder":  # which the system refuses to open for writing
        with pytest.raises(StudyError, match="log must be a regular file"):
            _log(path)


def test_what_a_program_without_standard_streams_prints_is_no_line(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from lightsearch.study.log import Log\n"
        "for one in range(3): os.close(one)\n"
        f"log = Log(Path({str(tmp_path / 'log')!r}), '')\n"
        "for one in range(3):\n"
        "    try: os.write(one, b'printed')\n"
        "    except OSError: pass\n"
        "log.append([{'a': 1}]); log.sync(); log.close()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
    assert _read(tmp_path / "log") == [{"a": 1}]
