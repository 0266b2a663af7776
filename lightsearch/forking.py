"""Workers forked from a process that has imported torch once for all of them (Linux).

To import torch takes seconds and some 500 MB, of which 300 MB are written to and so are a
process's own. Forked workers are ready at once and share that memory. Forking a process that has
run something, or has threads, is not safe; so the fork server imports, and does nothing else. It
ends with its last worker.

The parent asks over a socket: eight bytes of length, with the worker's three standard streams and
its end of a line of its own; then what it is to be, in JSON. Over that line the worker's process
number comes back, and later how it ended; the process is reaped, and its number free to be given
to others, when the parent has hung up.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_BOOT = ("import sys; sys.path[:] = sys.argv[2:]; from lightsearch.forking import serve; "
         "serve(int(sys.argv[1]))")
_LENGTH, _NUMBER = struct.Struct("!Q"), struct.Struct("!q")
_READ_EARLY = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "VECLIB_", "NUMEXPR_", "CUDA_",
               "NVIDIA_", "TORCH", "PYTORCH_", "ATEN_", "MALLOC_", "GLIBC_", "LD_", "PYTHON")
"""Names of variables that are read when a program or a library is loaded begin like this."""


class Forked:
    """A worker's process as `subprocess.Popen` shows one. Its parent is the fork server."""

    def __init__(self, pid: int, line: socket.socket, stdin: IO[bytes], stdout: IO[bytes],
                 stderr: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self.returncode: int | None = None
        self._line = line
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        with self._lock:
            if self.returncode is None and select.select([self._line], [], [], 0)[0]:
                self._learn()
        return self.returncode

    def wait(self) -> int:
        """Wait until it has ended."""
        with self._lock:
            return self._learn() if self.returncode is None else self.returncode

    def kill(self) -> None:
        """Kill it, if it has not been seen to end: the number may be another process's then."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def _learn(self) -> int:
        told = _received(self._line, _NUMBER.size)
        # Without the server it cannot live: the kernel kills it.
        self.returncode = _NUMBER.unpack(told)[0] if told else -signal.SIGKILL
        self._line.close()
        _let_go()
        return self.returncode


class _Server:
    """The fork server, seen from the parent."""

    def __init__(self, path: Sequence[str], env: Mapping[str, str]) -> None:
        self.early, self.workers = _early(env), 0
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), *path], env=dict(env),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True)

    def fork(self, asked: Mapping[str, Any]) -> Forked | None:
        """A new worker; None where there can be none."""
        line, theirs = socket.socketpair()
        pipes = [os.pipe() for _ in range(3)]
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        given = [pipes[0][0], pipes[1][1], pipes[2][1], theirs.fileno()]
        try:
            payload = json.dumps(asked).encode()
            socket.send_fds(self._socket, [_LENGTH.pack(len(payload))], given)
            self._socket.sendall(payload)
        except OSError:
            payload = b""
        for descriptor in given[:3]:
            os.close(descriptor)
        theirs.close()
        told = _received(line, _NUMBER.size) if payload else b""
        if not told:
            line.close()
            for descriptor in ours:
                os.close(descriptor)
            return None
        stdin, stdout, stderr = (os.fdopen(descriptor, mode) for descriptor, mode in
                                 zip(ours, ("wb", "rb", "rb"), strict=True))
        return Forked(_NUMBER.unpack(told)[0], line, stdin, stdout, stderr)

    def end(self) -> None:
        self._socket.close()
        self.process.wait()


_LOCK = threading.Lock()
_server: _Server | None = None


def fork(name: str, threads: int, path: Sequence[str], env: Mapping[str, str]) -> Forked | None:
    """A worker process with this `sys.path` and environment, which has torch already.

    None where this system has no such thing, or where torch was loaded with another environment
    than it is to have: then a process of its own is needed.
    """
    if sys.platform != "linux":
        return None
    global _server
    with _LOCK:
        if _server is None:
            _server = _Server(path, env)
        worker = None
        if _server.early == _early(env):
            with contextlib.suppress(OSError):  # without a folder to work in, say
                worker = _server.fork({"name": name, "threads": threads, "path": list(path),
                                       "env": dict(env), "folder": str(Path.cwd())})
        if worker is not None:
            _server.workers += 1
        elif not _server.workers:
            server, _server = _server, None
            server.end()
        return worker


def _let_go() -> None:
    """A worker has ended; with the last one the server does."""
    global _server
    with _LOCK:
        if _server is not None:
            _server.workers -= 1
            if not _server.workers:
                server, _server = _server, None
                server.end()


def _early(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_EARLY)}


def _received(line: socket.socket, size: int) -> bytes:
    """So many bytes; none where the other end hung up before."""
    found = b""
    with contextlib.suppress(OSError):
        while len(found) < size:
            part = line.recv(size - len(found))
            if not part:
                return b""
            found += part
    return found if len(found) == size else b""


# In the fork server -----------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Fork a worker whenever asked to, until the parent hangs up or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    asked = socket.socket(fileno=descriptor)
    import lightsearch.engines.native.engine
    import lightsearch.training  # noqa: F401

    gc.collect()
    gc.freeze()  # else each worker's first collection would write to what is shared
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    workers: dict[int, socket.socket] = {}  # the line of each
    told: set[int] = set()
    while os.getppid() == parent:
        lines = [workers[pid] for pid in told]
        ready = select.select([asked, woken, *lines], [], [], 1.0)[0]
        if woken in ready:
            woken.recv(4096)
        if asked in ready:
            forked = _take(asked, (asked, woken, wakes, *workers.values()))
            if forked is None:
                break
            workers[forked[0]] = forked[1]
        for pid in [pid for pid in workers if pid not in told]:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                status = ended.si_status
                _tell(workers[pid], status if ended.si_code == os.CLD_EXITED else -status)
                told.add(pid)
        for pid in [pid for pid in told if workers[pid] in ready]:  # the parent hung up
            os.waitpid(pid, 0)
            workers.pop(pid).close()
            told.discard(pid)
    os._exit(0)  # the kernel kills the workers


def _take(asked: socket.socket, others: Sequence[socket.socket]
          ) -> tuple[int, socket.socket] | None:
    """Read what is asked for and fork a worker; None where the parent hung up."""
    header, descriptors, _, _ = socket.recv_fds(asked, _LENGTH.size, 4)
    wanted = _received(asked, _LENGTH.unpack(header)[0]) if len(header) == _LENGTH.size else b""
    if not wanted or len(descriptors) != 4:
        return None
    line = socket.socket(fileno=descriptors.pop())
    if len(list(Path("/proc/self/task").iterdir())) > 1:  # threads are not forked
        return None
    pid = os.fork()
    if pid == 0:
        try:
            for other in (*others, line):
                other.close()
            _become(json.loads(wanted), descriptors)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(1)
    for stream in descriptors:
        os.close(stream)
    _tell(line, pid)
    return pid, line


def _become(wanted: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Turn a fresh fork into a worker."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.path[:] = wanted["path"]
    sys.argv[:] = ["-c", wanted["name"], str(wanted["threads"])]
    sys.modules["numpy"].random.seed()  # what is drawn without a seed is not to be the same in all
    from lightsearch.worker import main

    main()


def _tell(line: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):
        line.sendall(_NUMBER.pack(number))
