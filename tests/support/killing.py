"""Searches that are killed: in processes forked from one that has loaded everything, so that a
start takes a tenth of a second. Also what must hold of a study afterwards.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
from safetensors.torch import load_file
from tiny import arguments, outcome

from lightsearch import api, load_result, make_dataset, search
from lightsearch.data.dataset import DataSet
from lightsearch.data.named import load
from lightsearch.engines.native.library import available
from lightsearch.workers.slot import InlineSlot

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lightsearch"
TRACED = (
    str(PACKAGE / "study"),
    str(PACKAGE / "searching" / "loop.py"),
    str(PACKAGE / "searching" / "proposals.py"),
    str(PACKAGE / "searching" / "pruning.py"),
    str(PACKAGE / "api.py"),
    str(PACKAGE / "goals"),
    str(PACKAGE / "confirming"),
    str(Path(optuna.__file__).parent / "storages" / "journal"),
)


def images() -> DataSet:
    """Two hundred of the digits, under a name of their own, so that the study holds them."""
    digits = load("digits")
    return make_dataset(
        (digits.train[0][:200], digits.train[1][:200]),
        (digits.test[0][:100], digits.test[1][:100]),
        name="few",
    )


def asked(folder: Path, **more: Any) -> dict[str, Any]:
    """A search of about a second in which designs hit, are pruned and are complete."""
    return arguments(
        study=folder,
        **{
            "dataset": images(),
            "workers": 2,
            "epochs": 4,
            "trials": 6,
            "recipe": "recipe(lr=0.2|0.3,batch=25,ema=0.9)",
            "target": 0.3,
            **more,
        },
    )


def inline(count: int, **_: Any) -> list[InlineSlot]:
    """Slots that run their epochs in this process."""
    return [InlineSlot() for _ in range(count)]


def searched(folder: Path, **more: Any) -> Any:
    """The search with its epochs in this process."""
    real, api.local_slots = api.local_slots, inline
    try:
        return search(**asked(folder, **more))
    finally:
        api.local_slots = real


# What must hold ----------------------------------------------------------------------------------


@dataclass
class Watch:
    """A study that is disturbed again and again, and what it had committed so far."""

    folder: Path
    epochs: dict[int, tuple[Any, ...]]

    def check(self) -> None:
        """After a disturbance: plain Optuna reads the journal, no committed epoch is lost or
        there twice."""
        if not (self.folder / "journal.log").exists():
            assert not self.epochs
            return
        plain(self.folder)
        found = {t.number: t.epochs for t in load_result(self.folder).records}
        for number, before in self.epochs.items():
            assert found[number][: len(before)] == before, f"trial {number} lost an epoch"
        for epochs in found.values():
            assert [e.epoch for e in epochs] == list(range(1, len(epochs) + 1))
        self.epochs = found


def plain(folder: Path) -> list[Any]:
    """The trials as Optuna alone reads them; none before there is a study."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    storage = optuna.storages.JournalStorage(backend)
    if not storage.get_all_studies():
        return []
    trials: list[Any] = optuna.load_study(study_name=None, storage=storage).get_trials()
    return trials


def same(folder: Path, undisturbed: Path) -> None:
    """A finished study is the same as an undisturbed one: trials, leaderboard, weights, files."""
    one, other = load_result(folder), load_result(undisturbed)
    assert outcome(one) == outcome(other)
    assert _board(folder) == _board(undisturbed)
    differing = sorted(_files(folder) ^ _files(undisturbed))
    assert not differing, differing
    for path in (undisturbed / "weights").iterdir():
        tensors, found = load_file(path), load_file(folder / "weights" / path.name)
        assert tensors.keys() == found.keys()
        assert all((found[name] == tensors[name]).all() for name in tensors)
    assert not any(t.state.name in ("RUNNING", "WAITING") for t in plain(folder))


def _board(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def _files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# Killing -----------------------------------------------------------------------------------------


class Kennel:
    """Forks searches. Each `run` is one process from its fork to its end."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        self._measured: dict[str, tuple[int, float]] = {}

    def run(
        self,
        folder: Path | str,
        *,
        seconds: float | None = None,
        signals: tuple[float, ...] = (),
        cwd: str = "",
        line: int = 0,
        count: bool = False,
        fsize: int = 0,
        uid: int = 0,
        threads: bool = False,
        **more: Any,
    ) -> tuple[int, str]:
        """Its exit status, negative for a signal, and what it said: an error, or its lines.

        It is killed after `seconds`, or kills itself before the `line`-th line that it executes in
        the study's code and in Optuna's journal. `signals`: when it gets SIGINT. `fsize` bounds
        the size of its files, `uid` is the user that it becomes. Its epochs run in its main
        thread, or in the `threads` that a search has for the native engine.
        """
        order = {
            "folder": str(folder),
            "line": line,
            "count": count,
            "fsize": fsize,
            "uid": uid,
            "cwd": cwd,
            "threads": threads and available(),
            "more": more,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = int(self._reply())
        start = time.monotonic()
        for when in signals:
            time.sleep(max(0.0, start + when - time.monotonic()))
            os.kill(pid, signal.SIGINT)  # not reaped yet: at worst a zombie
        if seconds is not None:
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
        self._process.stdin.write("reap\n")
        self._process.stdin.flush()
        status, said = json.loads(self._reply())
        return status, said

    def measured(self, folder: Path, **more: Any) -> tuple[int, float]:
        """How many lines an undisturbed search executes, and how many seconds it takes."""
        key = json.dumps(more, sort_keys=True)
        if key not in self._measured:
            status, lines = self.run(folder, count=True, **more)
            assert status == 0, lines
            start = time.monotonic()
            assert self.run(folder.with_name(folder.name + "-again"), **more)[0] == 0
            self._measured[key] = (int(lines), time.monotonic() - start)
        return self._measured[key]

    def _reply(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks is gone"
        return line

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def kills(
    kennel: Kennel, folder: Path, undisturbed: Path, generator: random.Random, by: str, **more: Any
) -> int:
    """Kill one search at random moments, going on with it each time, until it ends; how often.

    `by` "line": before a line that is drawn, as `Kennel.run` has it. "time": after a time that is
    drawn, so that it may be in a system call.
    """
    watch, count, journal = Watch(folder, {}), 0, folder / "journal.log"
    lines, seconds = kennel.measured(folder.with_name(folder.name + "-measured"), **more)
    share = 0.6  # of the whole, so that there are several kills a study
    while True:
        before = journal.stat().st_size if journal.exists() else 0
        if by == "line":
            status, said = kennel.run(
                folder, line=generator.randrange(1, int(share * lines)), **more
            )
        else:
            status, said = kennel.run(
                folder, seconds=generator.uniform(0, share * seconds), threads=True, **more
            )
        watch.check()
        if status == 0:
            same(folder, undisturbed)
            return count
        assert status == -signal.SIGKILL, said
        count += 1
        if (journal.stat().st_size if journal.exists() else 0) == before:
            share *= 1.1  # else a machine that is slower now would never come to the end


# The process that forks --------------------------------------------------------------------------


def _serve() -> None:
    images()  # loaded before the fork
    if not available():
        import torch._dynamo  # noqa: F401  # what PyTorch's optimizers load when they are made
    while text := sys.stdin.readline():
        order = json.loads(text)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            status, said = _child(order)
            with contextlib.suppress(OSError):
                os.write(write, said.encode()[:30_000])
            os._exit(status)
        os.close(write)
        print(pid, flush=True)
        sys.stdin.readline()
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read().decode()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps([status, said]), flush=True)


def _child(order: dict[str, Any]) -> tuple[int, str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order["cwd"]:
        os.chdir(order["cwd"])
    if order["fsize"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["fsize"], order["fsize"]))
    if order["uid"]:
        os.setgroups([])
        os.setuid(order["uid"])
    lines = _Lines(order["line"])
    try:
        if order["line"] or order["count"]:
            threading.settrace(lines.enter)  # of those that write files
            sys.settrace(lines.enter)
        if order["threads"]:
            result = search(**asked(Path(order["folder"]), **order["more"]))
        else:
            result = searched(Path(order["folder"]), **order["more"])
        sys.settrace(None)
    except BaseException as error:
        return 1, f"{type(error).__name__}: {error}"
    return 0, str(lines.seen) if order["count"] else str(result.reason)


class _Lines:
    """Counts the lines executed in `TRACED`, and kills the process before one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal, self.seen = fatal, 0

    def enter(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        return self.line if frame.f_code.co_filename.startswith(TRACED) else None

    def line(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        self.seen += event == "line"
        if 0 < self.fatal <= self.seen:  # several threads count
            os.kill(os.getpid(), signal.SIGKILL)
        return self.line


if __name__ == "__main__":
    _serve()
