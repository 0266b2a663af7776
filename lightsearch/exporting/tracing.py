"""PyTorch's exporter, kept from what it leaves behind in the caller's process."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
from collections.abc import Iterator


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Keep tqdm from what the exporter's bars, which it never shows, would leave for good.

    The first bar of a process makes a lock, which settles the start method of the user's own
    processes, and starts a thread. So it gets a lock that settles nothing, and no thread.
    """
    try:
        std = importlib.import_module("tqdm.std")
    except ImportError:  # then PyTorch makes no bars
        yield
        return
    lock, interval = std.TqdmDefaultWriteLock, std.tqdm.monitor_interval
    if not hasattr(lock, "mp_lock"):
        method = multiprocessing.get_all_start_methods()[0]  # the default one, as tqdm takes
        with contextlib.suppress(ImportError, OSError):  # not every system has such locks
            lock.mp_lock = multiprocessing.get_context(method).RLock()
    std.tqdm.monitor_interval = 0
    try:
        yield
    finally:
        std.tqdm.monitor_interval = interval
