"""A flag that asks an epoch to stop; engines look at it between batches.

Whoever starts epochs in threads cannot kill them, as it can a process. It runs each call under
`heed(flag)` and sets the flag from another thread; the engine then raises `EpochStopped`.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

from lightsearch.errors import LightsearchError

_OF_THREAD = threading.local()


class EpochStopped(LightsearchError):
    """An epoch that ended early because its flag was set."""


class StopFlag:
    """Not set at first; once set it stays so. Compiled code reads it at `address`."""

    def __init__(self) -> None:
        self._value = ctypes.c_int64(0)

    @property
    def address(self) -> int:
        """Where the 64-bit integer is that is not zero once the flag is set."""
        return ctypes.addressof(self._value)

    def set(self) -> None:
        """Ask what runs under this flag to stop."""
        self._value.value = 1

    def is_set(self) -> bool:
        """Whether it was asked."""
        return bool(self._value.value)

    def check(self) -> None:
        """Raise `EpochStopped` if the flag is set."""
        if self.is_set():
            raise EpochStopped("the epoch was asked to stop")


@contextlib.contextmanager
def heed(flag: StopFlag) -> Iterator[None]:
    """Have the engines that this thread makes meanwhile look at `flag`."""
    before = current_flag()
    _OF_THREAD.flag = flag
    try:
        yield
    finally:
        _OF_THREAD.flag = before


def current_flag() -> StopFlag:
    """The flag of this thread; one that nobody sets, if there is none."""
    flag: StopFlag = getattr(_OF_THREAD, "flag", _NEVER)
    return flag


_NEVER = StopFlag()
