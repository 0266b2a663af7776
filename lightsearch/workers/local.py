"""The slots of this machine: which kind trains what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lightsearch.checks import check_integer
from lightsearch.design.parts import Space
from lightsearch.design.recipe import Recipe
from lightsearch.engines.native.recipes import is_known
from lightsearch.network.lowering import has_own_layers
from lightsearch.workers.devices import gpus
from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.slot import InlineSlot, Slot
from lightsearch.workers.thread_slot import ThreadSlot


def trains_in_threads(engine: str, device: str, spaces: Iterable[Space], recipe: Recipe) -> bool:
    """Whether threads train all designs of some spaces at least as fast as processes do.

    So it is where the native engine trains, and for the surrogate. On a processor, PyTorch holds
    Python's lock too long; it also trains designs with a layer of a user's own there, and recipes
    that the native engine does not know, even if the engine is native. On a GPU it replays graphs:
    threads share one GPU, where processes take turns (docs/decisions/gpu.md). Of several GPUs each
    has processes of its own.
    """
    if engine == "surrogate":
        return True
    plain = not any(map(has_own_layers, spaces))
    if device == "cpu":
        return plain and engine == "native" and is_known(recipe)
    return plain and len(gpus(device)) == 1


def local_slots(
    workers: int,
    threads: int = 1,
    environments: Sequence[Mapping[str, str]] = (),
    *,
    in_threads: bool = False,
) -> list[Slot]:
    """Slots on this machine: `workers` processes, or threads, or this very thread for 0.

    Of processes, `threads` is what PyTorch may use in each, and `environments`, if given, has
    what is laid over the environment of each.

    >>> from lightsearch.workers.local import local_slots
    >>> local_slots(2)
    [ProcessSlot(threads=1, name='worker-0'), ProcessSlot(threads=1, name='worker-1')]
    >>> local_slots(1, in_threads=True)
    [ThreadSlot(name='worker-0')]
    """
    workers = check_integer("workers", workers, 0, 10**5)
    if workers == 0:
        return [InlineSlot()]
    names = [f"worker-{index}" for index in range(workers)]
    if in_threads:
        return [ThreadSlot(name) for name in names]
    laid_over = environments or [{}] * workers
    return [ProcessSlot(threads, env, name) for name, env in zip(names, laid_over, strict=True)]
