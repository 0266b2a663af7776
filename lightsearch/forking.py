"""Workers forked from a process that has imported torch once for all of them (Linux).

To import torch takes seconds and some 500 MB, of which 300 MB are written to and so are a
process's own. Forked workers are ready at once and share that memory. Forking a process that has
run something, or has threads, is not safe; so the fork server imports, and does nothing else. It
ends with its last worker.

The parent asks over a socket: one byte, with the worker's three standard streams, a line of its
own, and a file in memory that says in JSON what it is to be. Over that line the worker's process
number comes back, and later how it ended. To hang up kills a worker that lives, or was to be; one
that ended is reaped then, and its number free to be given to others. While the lock that workers
share is held nothing waits for the server, but for its end, and for that two seconds at most.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
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
from typing import IO, Any, TypeVar

_BOOT = ("import sys; sys.path[:] = sys.argv[3:]; from lightsearch.forking import serve; "
         "serve(int(sys.argv[1]), int(sys.argv[2]))")
_TOLD = struct.Struct("!cq")  # what a line says: `_NUMBER` and its number, `_END` and its status
_NUMBER, _END = b"n", b"e"
_DESCRIPTORS = 5  # that come with a request
_Opened = TypeVar("_Opened", bound=contextlib.AbstractContextManager[Any])
_READ_EARLY = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "VECLIB_", "NUMEXPR_", "CUDA_",
               "NVIDIA_", "TORCH", "PYTORCH_", "ATEN_", "MALLOC_", "GLIBC_", "LD_", "PYTHON")
"""Names of variables that are read when a program or a library is loaded begin like this."""


class Forked:
    """A worker's process as `subprocess.Popen` shows one. Its parent is the fork server.

    `pid` is None until the server has told it: it may still be importing.
    """

    def __init__(self, server: _Server, line: socket.socket, stdin: IO[bytes],
                 stdout: socket.socket, stderr: IO[bytes]) -> None:
        self.stdin, self.stderr = stdin, stderr
        self.stdout: IO[bytes] = stdout.makefile("rb")
        self.pid: int | None = None
        self.returncode: int | None = None
        self._called_off = False
        self._server, self._line, self._replies = server, line, stdout
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        with self._lock:
            # Nothing is being called: all that can come is the end of the stream.
            if self.returncode is None and _readable(self._replies):
                while self.returncode is None:
                    self._learn()
            self._catch_up()
        return self.returncode

    def wait(self) -> int:
        """Wait until it has ended."""
        with self._lock:
            while self.returncode is None:
                self._learn()
        return self.returncode

    def kill(self) -> None:
        """Kill it and what it has started, or call it off. What has ended keeps its status."""
        if self._lock.acquire(blocking=False):  # else `wait` is learning
            try:
                self._catch_up()
            finally:
                self._lock.release()
        if self.returncode is not None:
            return
        with contextlib.suppress(OSError):
            if self.pid is None:
                self._called_off = True
                self._line.shutdown(socket.SHUT_RDWR)
                self._replies.shutdown(socket.SHUT_RDWR)  # who waits for the first need not
            else:  # the number is its own until we hang up
                os.kill(self.pid, signal.SIGKILL)
                os.killpg(self.pid, signal.SIGKILL)

    def _catch_up(self) -> None:
        while self.returncode is None and _readable(self._line):
            self._learn()

    def _learn(self) -> None:
        told = _received(self._line, _TOLD.size)
        # Without the server, or once we have hung up, it does not live.
        what, number = _TOLD.unpack(told) if told else (_END, -signal.SIGKILL)
        if what == _NUMBER:
            self.pid, self._server.ready = number, True
            return
        self.returncode = number
        if self.pid is None and not self._called_off:
            _UNABLE.append(self._server.early)
        with contextlib.suppress(OSError):  # a forked copy of this process may have it, too
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        self._replies.close()  # `stdout` keeps it open for what is still to be read
        self._server.let_go()


class _Server:
    """The fork server, seen from the parent."""

    def __init__(self, path: Sequence[str], env: Mapping[str, str]) -> None:
        self.early, self.workers = _early(env), 0
        self.ready = False  # whether it has forked
        with contextlib.ExitStack() as unless_started:
            self._socket, theirs = socket.socketpair()
            unless_started.enter_context(self._socket)
            with theirs:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", _BOOT, str(theirs.fileno()), str(os.getpid()), *path],
                    env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                    start_new_session=True)
            unless_started.pop_all()

    def fork(self, asked: Mapping[str, Any]) -> Forked:
        """A new worker, as soon as the server gets to it.

        Raises `OSError` where the server is gone, or more is asked for than it has got to.
        """
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            line, far = map(_kept, (ours, theirs), socket.socketpair())
            # unlike a pipe's, its reader can be woken
            replies, answers = map(_kept, (ours, theirs), socket.socketpair())
            calls_from, calls_to = (_kept(stack, os.fdopen(end, mode)) for stack, end, mode in
                                    zip((theirs, ours), os.pipe(), ("rb", "wb"), strict=True))
            said, said_to = (_kept(stack, os.fdopen(end, mode)) for stack, end, mode in
                             zip((ours, theirs), os.pipe(), ("rb", "wb"), strict=True))
            wanted = theirs.enter_context(os.fdopen(os.memfd_create("lightsearch"), "wb"))
            wanted.write(json.dumps(asked).encode())
            wanted.flush()
            given = [f.fileno() for f in (calls_from, answers, said_to, far, wanted)]
            self._socket.sendmsg([b"?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                           array.array("i", given))], socket.MSG_DONTWAIT)
            ours.pop_all()
        self.workers += 1
        return Forked(self, line, calls_to, replies, said)

    def let_go(self) -> None:
        """A worker has ended; with the last one the server does."""
        global _server
        with _LOCK:
            self.workers -= 1
            if not self.workers:
                self.end()
                if _server is self:
                    _server = None

    def end(self) -> None:
        self._socket.close()
        if self.ready:  # it reaps its last worker, which would else be left to who reaps nothing
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2.0)
        self.process.kill()  # it may be importing
        self.process.wait()


_LOCK = threading.Lock()
_UNABLE: list[dict[str, str]] = []  # environments that a server did not come up with
_server: _Server | None = None


def _forget() -> None:
    global _server, _LOCK
    _server, _LOCK = None, threading.Lock()


if hasattr(os, "register_at_fork"):  # a forked copy of the parent starts a server of its own
    os.register_at_fork(after_in_child=_forget)


def fork(name: str, threads: int, path: Sequence[str], env: Mapping[str, str]) -> Forked | None:
    """A worker process with this `sys.path` and environment, which has torch already.

    None where this system has no such thing, or where torch was loaded with another environment
    than it is to have: then a process of its own is needed. So it is where the server turns out
    to be unable to start; the worker's streams end then before anything came.
    """
    if sys.platform != "linux":
        return None
    global _server
    with _LOCK:
        if _early(env) in _UNABLE:
            return None
        if _server is None or _server.process.poll() is not None:
            _server = _Server(path, env)
        if _server.early == _early(env):
            with contextlib.suppress(OSError):
                return _server.fork({"name": name, "threads": threads, "path": list(path),
                                     "env": dict(env), "folder": _folder()})
        if not _server.workers:
            _server.end()
            _server = None
        return None


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # deleted
        return "/"


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


def _kept(stack: contextlib.ExitStack, opened: _Opened) -> _Opened:
    stack.enter_context(opened)
    return opened


def _readable(line: socket.socket) -> bool:
    ready = select.poll()  # unlike `select`, it takes any number
    ready.register(line, select.POLLIN)
    return bool(ready.poll(0))


# In the fork server -----------------------------------------------------------------------------


def serve(descriptor: int, parent: int) -> None:
    """Fork a worker whenever asked to, until the parent hangs up or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = socket.socket(fileno=descriptor)
    import lightsearch.engines.native.engine
    import lightsearch.training  # noqa: F401

    gc.collect()
    gc.freeze()  # else each worker's first collection would write to what is shared
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    workers: dict[int, socket.socket] = {}  # by process number, the line of each
    ended: set[int] = set()
    while os.getppid() == parent:
        waiting = select.poll()
        for line in (asked, woken, *workers.values()):
            waiting.register(line, select.POLLIN)
        ready = {number for number, _ in waiting.poll(1000)}
        if woken.fileno() in ready:
            woken.recv(4096)
        for pid in [pid for pid in workers if pid not in ended]:
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if end is not None:
                status = end.si_status
                _tell(workers[pid], _END, status if end.si_code == os.CLD_EXITED else -status)
                ended.add(pid)
        hung_up = [pid for pid in workers if workers[pid].fileno() in ready]
        for pid in hung_up:
            with contextlib.suppress(ProcessLookupError):  # it may not lead its group yet
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            workers.pop(pid).close()
            ended.discard(pid)
        if asked.fileno() in ready and not _take(asked, (asked, woken, wakes), workers):
            break
    os._exit(0)  # the kernel kills the workers


def _take(asked: socket.socket, others: Sequence[socket.socket],
          workers: dict[int, socket.socket]) -> bool:
    """Read what is asked for and fork a worker; False where the parent hung up."""
    header, descriptors, _, _ = socket.recv_fds(asked, 1, _DESCRIPTORS)
    if not header or len(list(Path("/proc/self/task").iterdir())) > 1:  # threads are not forked
        return False
    if len(descriptors) < _DESCRIPTORS:  # there are no more to be had
        for descriptor in descriptors:
            os.close(descriptor)
        return True
    with os.fdopen(descriptors.pop(), "rb") as file:
        file.seek(0)
        wanted = json.load(file)
    line = socket.socket(fileno=descriptors.pop())
    try:
        pid = None if _readable(line) else os.fork()  # it may not be wanted any more
    except OSError:  # no more processes: the parent tries one of its own, and says why
        pid = None
    if pid is None:
        line.close()
    elif pid:
        _tell(line, _NUMBER, pid)
        workers[pid] = line
    else:
        try:
            for other in (*others, *workers.values(), line):
                other.close()
            _become(wanted, descriptors)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(1)
    for stream in descriptors:
        os.close(stream)
    return True


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
    importlib.invalidate_caches()
    sys.argv[:] = ["-c", wanted["name"], str(wanted["threads"])]
    sys.modules["numpy"].random.seed()  # what is drawn without a seed is not to be the same in all
    from lightsearch.worker import main

    main()


def _tell(line: socket.socket, what: bytes, number: int) -> None:
    with contextlib.suppress(OSError):
        line.sendall(_TOLD.pack(what, number))
