"""Copy states between main memory and a GPU, where the tensors stay: one copy for each type."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lightsearch.engines.engine import State


def copy_in(state: State, places: State) -> None:
    """Copy a state to its places."""
    for names, tensors in _by_type(places):
        flat = torch.cat([state[name].reshape(-1) for name in names]).to(tensors[0])
        torch._foreach_copy_(tensors, _split(flat, tensors))


def copy_out(places: State) -> State:
    """Return a copy of a state in main memory."""
    found: State = {}
    for names, tensors in _by_type(places):
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu()
        parts = [part.clone() for part in _split(flat, tensors)]
        found |= dict(zip(names, parts, strict=True))
    return {name: found[name] for name in places}


def _by_type(places: State) -> Iterator[tuple[list[str], list[Tensor]]]:
    for kind in dict.fromkeys(tensor.dtype for tensor in places.values()):
        names = [name for name, tensor in places.items() if tensor.dtype == kind]
        yield names, [places[name].detach() for name in names]


def _split(flat: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Split an array into parts of the shapes of `tensors`."""
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
