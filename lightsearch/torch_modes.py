"""PyTorch's modes in the caller's process: default type and device, gradients, determinism, seed.

They are the caller's. What is computed here must neither depend on them nor leave them changed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

_CPU = torch.device("cpu")


@contextlib.contextmanager
def plain_thread() -> Iterator[None]:
    """Hold this thread's modes to those that PyTorch starts with: gradients, tensors on the CPU.

    Modes that are so already are left alone, since a default device costs time at each call.
    """
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        if torch.get_default_device() != _CPU:
            stack.enter_context(_CPU)
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextlib.contextmanager
def plain_modes() -> Iterator[None]:
    """Hold the process's modes too: tensors of float32, any algorithm.

    They belong to all threads. The first that comes changes them, the last that goes restores
    them.
    """
    with plain_thread(), _SHARED:
        yield


@contextlib.contextmanager
def kept_generator() -> Iterator[None]:
    """Give PyTorch's generator back as it was: a module draws weights as it is made, also where
    trained ones take their place at once.

    It belongs to all threads: one holds it at a time, and briefly, since what another one draws
    meanwhile is drawn again.
    """
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        yield


class _SharedModes:
    """The modes of the process, while at least one thread holds them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._dtype = torch.float32
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._holders:
                self._dtype = torch.get_default_dtype()
                self._level = torch.get_deterministic_debug_mode()
                self._set(torch.float32, 0)
            self._holders += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._set(self._dtype, self._level)

    @staticmethod
    def _set(dtype: torch.dtype, level: int) -> None:
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_deterministic_debug_mode() != level:
            torch.set_deterministic_debug_mode(level)


_SHARED = _SharedModes()
_GENERATOR = threading.RLock()
