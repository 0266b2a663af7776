"""The threads that write a study's files, where the system refuses more of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lightsearch.errors import WorkerError
from lightsearch.study.states import Files


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_first_thread_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    with pytest.raises(WorkerError, match=r"a thread must start, .* \(`ulimit -u`"):
        Files(tmp_path)


def test_a_further_thread_that_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its call waits for the first thread, and runs once."""
    files, busy, ran = Files(tmp_path), threading.Event(), []
    first = files.later(busy.wait)
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    second = files.later(lambda: ran.append(1))
    busy.set()
    assert first.result(timeout=60) is True and second.result(timeout=60) is None
    files.close([])
    assert ran == [1]
    with pytest.raises(RuntimeError, match="after shutdown"):
        files.later(int)
