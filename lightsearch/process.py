"""The parent's end of a worker process: its pipes, its standard error, its fate."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from lightsearch.errors import WorkerError
from lightsearch.forking import Forked, fork
from lightsearch.worker import BOOT, READY, read_frame, write_frame

_TAIL = 4000  # characters of what the worker wrote, kept for messages


class WorkerProcess:
    """The process and its pipes. Used by the slot's thread alone, but for `kill`."""

    def __init__(self, name: str, threads: int, env: Mapping[str, str], *,
                 forked: bool = False) -> None:
        path, whole = _search_path(), os.environ | env
        try:
            self._process = (fork(name, threads, path, whole) if forked else None) or _started(
                [sys.executable, "-c", BOOT, name, str(threads), *path], whole)
        except OSError as error:
            raise not_started(name, str(error)) from error
        self._calls_to = cast(io.BufferedWriter, self._process.stdin)
        self._replies_from = cast(io.BufferedReader, self._process.stdout)
        self.started = False
        self.tail = ""
        self._killed = False
        self._drain = threading.Thread(target=self._pass_on, name=f"{name}-stderr", daemon=True)
        self._drain.start()

    def greet(self) -> None:
        """Wait until the worker is ready."""
        seen = b""
        while seen != READY:
            byte = self._replies_from.read(1)
            if not byte:
                raise EOFError
            seen = (seen + byte)[-len(READY) :]
        self.started = True

    def call(self, payload: memoryview) -> bytearray:
        write_frame(self._calls_to, payload)
        return read_frame(self._replies_from)

    def never_was(self) -> bool:
        """Whether a worker that has ended was only to be forked, by a server that is gone."""
        if self._killed or not isinstance(self._process, Forked):
            return False
        self._process.wait()
        return self._process.pid is None

    def alive(self) -> bool:
        return not self._killed and self._process.poll() is None

    def kill(self) -> None:
        """Kill the process and what it has started; not once it is reaped: the number is free."""
        self._killed = True
        if self._process.returncode is None:
            if hasattr(os, "killpg") and isinstance(self._process, subprocess.Popen):
                with contextlib.suppress(OSError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                self._process.kill()

    def end(self) -> int:
        """Reap the process, close the pipes; its exit status.

        A process that is ending already keeps the status it ends with.
        """
        self.kill()
        exitcode = self._process.wait()
        self._drain.join(1.0)  # longer only where a process outside its group holds the pipe
        for stream in (self._calls_to, self._replies_from):
            with contextlib.suppress(OSError):
                stream.close()
        return exitcode

    def _pass_on(self) -> None:
        """Print what the worker prints, by whole lines, and keep the end of it.

        Through `sys.stderr` as it is at that moment, so that a notebook or a progress display
        gets it. What comes before the start is kept for the message in case there is none.
        """
        raw = cast(io.BufferedReader, self._process.stderr)
        with io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as stream:
            for line in iter(lambda: stream.readline(1 << 16), ""):
                self.tail = (self.tail + line)[-_TAIL:]
                if self.started and sys.stderr is not None:
                    with contextlib.suppress(OSError, ValueError):
                        sys.stderr.write(line)
                        sys.stderr.flush()


def _started(command: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
        start_new_session=True)  # out of reach of the terminal's Ctrl-C


def not_started(name: str, why: str) -> WorkerError:
    """What a call gets whose worker never became ready."""
    return WorkerError(f"worker {name!r} could not start: {why}\n`lightsearch doctor` looks for "
                       "the cause")


def fate(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is None:
        return "it was lost"
    if exitcode >= 0:
        return f"exit status {exitcode}"
    try:
        return f"killed by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"killed by signal {-exitcode}"


def _search_path() -> list[str]:
    """`sys.path` for the worker: absolute, with the place of this package as a last resort."""
    paths = [str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)]
    own = str(Path(__file__).absolute().parent.parent)
    return paths if own in paths else [*paths, own]
