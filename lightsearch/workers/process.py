"""What runs at the other end of a `ProcessSlot`, in loky's process.

A call is the pickle of `(function, args)`. A reply is that of `("returned", value)`, of
`("raised", pickled exception, traceback)`, or of `("lost", what, traceback)` if neither can be
sent. Torch is not imported here, so that it sees the settings made before.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from typing import Any

import cloudpickle

LOOK = 0.5  # seconds between looks at whether the parent lives
_THREADS = 1
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def begin(parent: int, threads: int) -> None:
    """Set up a process that has just been started by `parent`."""
    global _THREADS
    _THREADS = threads
    # What Ctrl-C means is for the parent to say. A session of its own is also out of reach of a
    # terminal's Ctrl-C, and can be killed with all that calls have started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # until now it was held back
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _die_with_parent()
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
        with contextlib.suppress(RuntimeError):  # no thread is left: the kernel watches alone
            threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    os.dup2(2, 1)  # prints go to standard error
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    _keep_freed_memory()


def _die_with_parent() -> None:
    """If Linux can see to it, the kernel kills this process with the thread that made it.

    `_watch` needs Python's lock, which a call in C code may hold for long.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _watch(parent: int) -> None:
    """End the process, even in the middle of a call, once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # what calls have started goes too
    os._exit(1)


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MiB instead of giving them back at once.

    Activations of a batch are a few MB each: mapped and unmapped at every step, they cost page
    faults (14% of a training step, measured).
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        _ = libc.gnu_get_libc_version  # another C library gives these numbers no meaning
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def prepare(call: bytes) -> None:
    """Import what a call needs. Whatever is wrong with it, `answer` will say."""
    with contextlib.suppress(Exception):
        _unpickle(call)
    _limit_torch()


def _unpickle(call: bytes) -> Any:
    """Read a call, without the warnings of modules that are imported: the parent has had them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pickle.loads(call)


def answer(call: bytes) -> bytes:
    """Run a call; the reply."""
    reply = _answer(call)
    for stream in (sys.stdout, sys.stderr):  # what a call printed is out before its value is
        with contextlib.suppress(Exception):
            stream.flush()
    return reply


def _answer(call: bytes) -> bytes:
    try:
        function, args = _unpickle(call)
    except Exception as error:
        what = f"the call could not be unpickled in the worker: {_line(error)}"
        return pickle.dumps(("lost", what, _text(error)))
    _limit_torch()
    try:
        value = function(*args)
    except BaseException as error:
        return _pack_error(error)
    try:
        return _pack(("returned", value))
    except Exception as error:
        what = f"the result, a {type(value).__qualname__}, cannot be pickled: {_line(error)}"
        return pickle.dumps(("lost", what, _text(error)))


def _pack(value: Any) -> bytes:
    packed: bytes = cloudpickle.dumps(value)
    return packed


def _limit_torch() -> None:
    """Limit torch's threads as soon as a call has brought it in; the environment did so before."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(_THREADS)


def _pack_error(error: BaseException) -> bytes:
    """The reply for an exception: itself if it survives the way, else its description."""
    text = _text(error)
    if not isinstance(error, Exception):
        # Raised again in the parent, `SystemExit` would end the parent.
        return pickle.dumps(("lost", f"the call raised {_line(error)}", text))
    try:
        pickled = _pack(error)
        pickle.loads(pickled)  # many exceptions with arguments of their own pickle, and fail here
    except Exception:
        what = f"the call raised an exception that cannot be pickled: {_line(error)}"
        return pickle.dumps(("lost", what, text))
    return pickle.dumps(("raised", pickled, text))


def _line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _text(error: BaseException) -> str:
    """The traceback from the call's own frame on."""
    own = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, own)).strip()
