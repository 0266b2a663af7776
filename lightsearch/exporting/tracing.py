"""PyTorch's exporter, kept from what it leaves behind in the caller's process."""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import threading
import warnings
from collections.abc import Iterator

_ONE_AT_A_TIME = threading.RLock()


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
    lock = std.TqdmDefaultWriteLock
    with _ONE_AT_A_TIME:  # the interval is the process's
        if not hasattr(lock, "mp_lock"):
            method = multiprocessing.get_all_start_methods()[0]  # the default one, as tqdm takes
            with contextlib.suppress(ImportError, OSError):  # not every system has such locks
                lock.mp_lock = multiprocessing.get_context(method).RLock()
        interval, std.tqdm.monitor_interval = std.tqdm.monitor_interval, 0
        try:
            yield
        finally:
            std.tqdm.monitor_interval = interval


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and logs of exporters, the quantiser and readers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
