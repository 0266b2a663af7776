"""Ctrl-C while a search runs: the first one asks it to stop, the second one stops it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


def stop_on_interrupt(events: Iterator[T], stop: threading.Event) -> Generator[T, None, None]:
    """The same events; while they are made, the first Ctrl-C sets `stop` and no more.

    A second one raises `KeyboardInterrupt`, and so does any that comes while the caller looks at
    an event. Only the main thread gets signals, and a handler that the program has set itself
    stays in its place: elsewhere Ctrl-C means what it meant before.
    """
    while True:
        with _heed_first_interrupt(stop):
            try:
                event = next(events)
            except StopIteration:
                return
        yield event


@contextlib.contextmanager
def _heed_first_interrupt(stop: threading.Event) -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    usual = signal.default_int_handler
    if not main or stop.is_set() or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        stop.set()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
