"""Where and how an engine computes on a GPU: its stream, PyTorch's flags, capture."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

from lightsearch.engines.resident import forget

# Autograd runs all backward passes on a GPU in one thread of its own, with one cuDNN handle. If
# one trial's pass is captured there while another's runs, cuDNN fails with an internal error (seen
# on an H200 with four trials in threads). Replays need no lock: they call neither.
BACKWARD = threading.Lock()

UNUSED = 0.25  # share of a device's memory that may lie unused when a graph is captured


def backward_alone(stream: torch.cuda.Stream | None) -> contextlib.AbstractContextManager[object]:
    """Keep other threads' backward passes on the GPU and their captures away."""
    return contextlib.nullcontext() if stream is None else BACKWARD


def new_stream(device: str) -> torch.cuda.Stream | None:
    """A stream of its own on a GPU."""
    if not device.startswith("cuda"):
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def give_back_unused(stream: torch.cuda.Stream | None) -> None:
    """Give memory of the graphs of earlier trials back to the device. Call it under `BACKWARD`.

    PyTorch keeps it until an allocation fails, and cannot give it back where that one is part of a
    capture. The device is waited for, so this is not done each time.
    """
    if stream is None:
        return
    reserved, used = (
        told(stream.device) for told in (torch.cuda.memory_reserved, torch.cuda.memory_allocated)
    )
    if reserved - used > UNUSED * torch.cuda.mem_get_info(stream.device)[1]:
        torch.cuda.empty_cache()


def capture(
    work: Callable[[], None], stream: torch.cuda.Stream | None, pool: Any
) -> Callable[[], None]:
    """`work` as one call: a graph's replay, or itself on a processor. Call it under `BACKWARD`.

    Graphs may share the memory of `pool` if none is replayed beside another. `torch.cuda.graph`
    would first wait for the whole device and give all unused memory back, each time;
    `give_back_unused` does so where it is worth it.
    """
    if stream is None:
        return work
    graph = torch.cuda.CUDAGraph()
    collects = gc.isenabled()
    gc.disable()  # what it would let go of may not be let go of during a capture
    try:
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            work()
        finally:
            graph.capture_end()
    finally:
        if collects:
            gc.enable()
    replay: Callable[[], None] = graph.replay
    return replay


@contextlib.contextmanager
def use_stream(stream: torch.cuda.Stream | None, precision: str) -> Iterator[None]:
    """Compute on the stream and in the precision.

    Raises `MemoryError` if the device's memory is used up, and lets go of the thread's engine.
    """
    with _on_stream(stream, precision):
        try:
            yield
        except torch.OutOfMemoryError as error:
            forget()
            raise MemoryError(
                "there is not enough memory on the GPU for this design and batch size beside what "
                "else runs there: fewer trials at once (`slots_per_gpu`) take less. "
                f"PyTorch said: {str(error).splitlines()[0]}"
            ) from error


@contextlib.contextmanager
def _on_stream(stream: torch.cuda.Stream | None, precision: str) -> Iterator[None]:
    if stream is None:
        yield
        return
    with (
        torch.cuda.device(stream.device),
        torch.cuda.stream(stream),
        FLAGS.hold(tf32=precision == "tf32"),
    ):
        yield


class _Flags:
    """PyTorch's flags of cuDNN and cuBLAS, which are the process's, while an engine works.

    Its own defaults let convolutions compute in TF32. Engines that work at the same time in
    threads of one process must have the same precision.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._kept: tuple[bool, ...] = ()

    @contextlib.contextmanager
    def hold(self, *, tf32: bool) -> Iterator[None]:
        with self._lock:
            if self._holders == 0:
                self._kept = read_flags()
            self._holders += 1
            # No benchmarking: what it picks depends on the moment. Matrix products, the maps of
            # augmentation among them, stay exact.
            _write_flags((tf32, True, False, False))
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    _write_flags(self._kept)


FLAGS = _Flags()


def read_flags() -> tuple[bool, ...]:
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, products.allow_tf32)


def _write_flags(flags: tuple[bool, ...]) -> None:
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, products.allow_tf32 = flags
