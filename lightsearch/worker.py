"""The process at the other end of a `ProcessSlot`: it reads calls, runs one at a time, replies.

Both ends speak frames: eight bytes of length, then a pickle. A call is `(function, args)`; a
reply is `("returned", value)`, `("raised", pickled exception, traceback)`, or `("lost", what,
traceback)` where neither can be sent. Torch is not imported here, so that a worker is soon ready,
and torch, when a call brings it in, sees the settings made before.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from collections import ChainMap
from typing import Any, ClassVar

import cloudpickle

READY = b"\0lightsearch worker is ready\n"
"""Ends what was printed to the pipe before the worker took it for its own (`sitecustomize`)."""

BOOT = "import sys; sys.path[:] = sys.argv[3:]; from lightsearch.worker import main; main()"
"""Started by `-c`: `-m` would run this module twice, and warn, where the package imports it.

Arguments: the slot's name, the number of threads, then `sys.path` of the parent.
"""

_LENGTH = struct.Struct("!Q")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_PR_SET_PDEATHSIG = 1


def write_frame(stream: io.BufferedWriter, payload: bytes | memoryview) -> None:
    """Write one frame and flush."""
    stream.write(_LENGTH.pack(len(payload)))
    stream.write(payload)
    stream.flush()


def read_frame(stream: io.BufferedReader) -> bytearray:
    """Read one frame into a buffer of its size; `EOFError` where the stream ends before."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    frame = bytearray(_LENGTH.unpack(header)[0])
    if stream.readinto(frame) < len(frame):
        raise EOFError
    return frame


def pack(value: Any) -> memoryview:
    """A pickle for the other end: cloudpickle's, but plain tensors are sent as their values.

    Torch's own way takes 0.1 to 0.3 ms a tensor each way, most of a round trip. Two views of one
    storage arrive as two tensors.
    """
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if tensor is not None:
        _REDUCERS[tensor] = _reduce_tensor
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(value)
    return buffer.getbuffer()


_REDUCERS: dict[type, Any] = {}


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    dispatch_table: ClassVar = ChainMap(_REDUCERS, cloudpickle.Pickler.dispatch_table)


def _reduce_tensor(tensor: Any) -> Any:
    plain = (
        tensor.device.type == "cpu"
        and tensor.layout is sys.modules["torch"].strided
        and not (tensor.requires_grad or tensor.is_quantized or tensor.is_conj())
        and not (tensor.is_neg() or tensor.__dict__)
        and tensor.is_contiguous()
    )
    if not plain or not tensor.numel():
        return tensor.__reduce_ex__(5)
    values = pickle.PickleBuffer(tensor.reshape(-1).view(sys.modules["torch"].uint8).numpy())
    return _tensor, (tensor.dtype, tuple(tensor.shape), tensor.stride(), values)


def _tensor(dtype: Any, shape: Any, stride: Any, values: Any) -> Any:
    # Copied to memory of torch's own alignment, on which the last bit of a sum may depend.
    import torch

    return torch.frombuffer(values, dtype=dtype).clone().as_strided(shape, stride)


def main() -> None:
    """Serve calls until the parent's end of the pipe closes."""
    # A terminal's Ctrl-C reaches the whole process group; what it means is for the parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads = int(sys.argv[2])
    del sys.argv[1:]
    calls_from, replies_to = _take_pipes()
    faulthandler.enable()
    _die_with_parent()
    _keep_freed_memory()
    calls: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    threading.Thread(target=_watch, args=(calls_from, calls), daemon=True).start()
    replies_to.write(READY)
    replies_to.flush()
    limited = False
    while True:
        reply, limited = _answer(calls.get(), threads, limited)
        # What a call printed is out before its value is.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        write_frame(replies_to, reply)
        del reply


def _take_pipes() -> tuple[io.BufferedReader, io.BufferedWriter]:
    """The two pipes under descriptors of our own; prints go to stderr, reads find nothing.

    Descriptors 0 and 1 are what every system hands on, Windows too.
    """
    calls_from, replies_to = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if hasattr(os, "register_at_fork"):
        # A forked child that outlives the worker must not hide the worker's end from the parent.
        os.register_at_fork(after_in_child=lambda: _close(calls_from, replies_to))
    return os.fdopen(calls_from, "rb"), os.fdopen(replies_to, "wb")


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _watch(stream: io.BufferedReader, calls: queue.SimpleQueue[bytearray]) -> None:
    """Hand on the calls; end the process when the parent is gone, even in the middle of one."""
    try:
        while True:
            calls.put(read_frame(stream))
    finally:
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # what the call has started goes too
        os._exit(1)


def _die_with_parent() -> None:
    """Where Linux can see to it, the kernel ends the worker with the parent's thread that made it.

    `_watch` needs the interpreter's lock, which a call in C code may hold for long.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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


def _answer(call: bytearray, threads: int, limited: bool) -> tuple[bytes | memoryview, bool]:
    """The reply to a call, and whether torch's threads have been limited by now."""
    try:
        function, args = pickle.loads(call)
    except Exception as error:
        what = f"the call could not be unpickled in the worker: {_line(error)}"
        return pickle.dumps(("lost", what, _text(error))), limited
    del call
    limited = limited or _limit_torch(threads)
    try:
        value = function(*args)
    except BaseException as error:
        return _raised(error), limited
    try:
        return pack(("returned", value)), limited
    except Exception as error:
        what = f"the result, a {type(value).__qualname__}, cannot be pickled: {_line(error)}"
        return pickle.dumps(("lost", what, _text(error))), limited


def _limit_torch(threads: int) -> bool:
    """Limit torch's threads as soon as a call has brought it in; the environment did so before."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "set_num_threads"):
        return False
    torch.set_num_threads(threads)
    return True


def _raised(error: BaseException) -> bytes | memoryview:
    """The reply for an exception: itself where it survives the way, else its description."""
    text = _text(error)
    if not isinstance(error, Exception):
        # Raised again in the parent, `SystemExit` would end the parent.
        return pickle.dumps(("lost", f"the call raised {_line(error)}", text))
    try:
        pickled = pack(error)
        pickle.loads(pickled)  # many exceptions with arguments of their own pickle, and fail here
    except Exception:
        what = f"the call raised an exception that cannot be pickled: {_line(error)}"
        return pickle.dumps(("lost", what, text))
    return pickle.dumps(("raised", bytes(pickled), text))


def _line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _text(error: BaseException) -> str:
    """The traceback from the call's own frame on."""
    own = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, own)).strip()


if __name__ == "__main__":
    main()
