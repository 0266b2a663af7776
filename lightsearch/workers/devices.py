"""Which GPUs a search has, how many trials it trains at once, and which GPU a worker sees."""

from __future__ import annotations

import os

from lightsearch.errors import ArgumentError
from lightsearch.workers.slot import check_threads

SLOTS_PER_GPU = 4  # more gave no more trials a minute on an H200: docs/decisions/gpu.md


def gpus(device: str) -> tuple[str, ...]:
    """The GPUs of a device, as `CUDA_VISIBLE_DEVICES` names them: all that this process sees for
    `cuda`, one for `cuda:1`, none for `cpu`."""
    if not device.startswith("cuda"):
        return ()
    import torch  # here, since `lightsearch doctor` asks for the cores alone

    count, told = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = told.split(",")[:count] if told else list(map(str, range(count)))
    index = torch.device(device).index
    return tuple(name.strip() for name in (seen if index is None else seen[index : index + 1]))


def trials_at_once(workers: int | None, slots_per_gpu: int | None, device: str) -> int:
    """How many trials a search trains at once: as many as asked for, else one a core, or
    `SLOTS_PER_GPU` a GPU.

    Raises `ArgumentError` for slots on a processor, and for both numbers together.
    """
    if slots_per_gpu is not None and device == "cpu":
        raise ArgumentError(
            "`slots_per_gpu` must be left out on a cpu device, "
            f"but got slots_per_gpu={slots_per_gpu}"
        )
    if slots_per_gpu is not None and workers is not None:
        raise ArgumentError(
            "`workers` and `slots_per_gpu` must not be given together, but got "
            f"workers={workers}, slots_per_gpu={slots_per_gpu}"
        )
    if workers is not None:
        return workers
    return len(gpus(device)) * (slots_per_gpu or SLOTS_PER_GPU) if device != "cpu" else cores()


def worker_environments(workers: int, device: str) -> list[dict[str, str]]:
    """What is laid over each worker's environment: of the GPUs of `cuda`, each sees one, in turn.

    So a worker pays for the context of one GPU, and the same task, on `cuda`, fits any worker. On
    `cuda:1` all use that one.
    """
    seen = gpus(device) if device == "cuda" else ()
    return [
        {"CUDA_VISIBLE_DEVICES": seen[index % len(seen)]} if seen else {}
        for index in range(workers)
    ]


def check_room() -> None:
    """Raise `WorkerError` unless this process may start the threads that it needs beside workers:
    PyTorch's own, and one each that watches workers and draws progress."""
    import torch

    check_threads(torch.get_num_threads() + 2)


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
