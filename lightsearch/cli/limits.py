"""The system's limits on threads and memory, met before the libraries that end the process there.

OpenBLAS and OpenMP start their threads as they are loaded or first used. Where the system refuses
them, they write lines of their own and end the process, and Python is not asked.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading

_LIBRARIES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_OTHERS = 8  # threads beside those of the libraries: torch's, the workers', the writer's
_LEAST = 300 << 20  # bytes: OpenBLAS gives up below, and torch needs several times as many


def meet_limits() -> None:
    """Let the libraries have one thread where the system refuses more.

    Raises `MemoryError` where they have no room.
    """
    if not _can_start((os.cpu_count() or 1) + _OTHERS):
        for name in _LIBRARIES:
            os.environ.setdefault(name, "1")
    if _limits_memory():
        try:
            mmap.mmap(-1, _LEAST).close()
        except OSError:
            raise MemoryError from None


def _can_start(count: int) -> bool:
    """Whether as many threads may run at once."""
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=True) for _ in range(count)]
    started = 0
    try:
        with contextlib.suppress(RuntimeError):
            for thread in threads:
                thread.start()
                started += 1
    finally:
        end.set()
        for thread in threads[:started]:
            thread.join()
    return started == count


def _limits_memory() -> bool:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
