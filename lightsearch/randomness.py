"""One counter-based generator for shuffling, augmentation, dropout and initial weights.

Value `i` of the stream with key `k` is `mix(k + (i + 1) * GOLDEN)`. This is SplitMix64 (Steele,
Lea and Flood 2014, with Stafford's 13th mixer) at any position. It has no state, so it is equal in
every process and thread, and in every engine that can multiply 64-bit integers. It does not use
torch's own generators. A stream's key may be a tensor (int64, without dimensions) on the device
that draws, since a captured CUDA graph reads its keys at each replay.
"""

from __future__ import annotations

import functools
import hashlib

import torch
from torch import Tensor

_MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def key(seed: int, *parts: int | str) -> int:
    """Return the key of a stream for a purpose: `key(seed, "dropout", epoch, step, layer)`.

    A key has 64 bits. The seed is any integer, modulo 2**64.
    """
    state = mix(seed)
    for part in parts:
        number = part if isinstance(part, int) else _hash_text(part)
        state = mix((state + GOLDEN) ^ mix(number))
    return state


def keys(streams: Tensor, part: int | str) -> Tensor:
    """`key(stream, part)` of each of some streams; keys are int64, as `signed` gives them."""
    number = part if isinstance(part, int) else _hash_text(part)
    return _mix_tensor(
        _mix_tensor(streams.clone()).add_(signed(GOLDEN)).bitwise_xor_(signed(mix(number)))
    )


def indexed_keys(count: int, seed: int, *parts: int | str) -> list[int]:
    """Return `key(seed, *parts, index)` for each index below `count`."""
    last = _mix_tensor(torch.arange(count)).bitwise_xor_(signed(key(seed, *parts) + GOLDEN))
    return [value & _MASK for value in _mix_tensor(last).tolist()]


def mix(value: int) -> int:
    """Return SplitMix64's finalizer of a Python integer, modulo 2**64."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


@functools.cache  # a dozen purposes, asked for at each step
def _hash_text(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def signed(value: int) -> int:
    """Return the int64 that has the same 64 bits as a key."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def bits(stream: int | Tensor, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the first `count` values of a stream, as int64 (the 64 bits, read as signed)."""
    z = torch.arange(1, count + 1, dtype=torch.int64, device=device)
    return _mix_tensor(
        z.mul_(signed(GOLDEN)).add_(signed(stream) if isinstance(stream, int) else stream)
    )


def _mix_tensor(z: Tensor) -> Tensor:
    """`mix` of each value, in place."""
    z.bitwise_xor_((z >> 30).bitwise_and_((1 << 34) - 1)).mul_(signed(_FIRST))
    z.bitwise_xor_((z >> 27).bitwise_and_((1 << 37) - 1)).mul_(signed(_SECOND))
    return z.bitwise_xor_((z >> 31).bitwise_and_((1 << 33) - 1))


def uniform(stream: int | Tensor, *shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Return a float32 tensor of the given shape, in [0, 1), on a grid of 2**-24."""
    count = 1
    for size in shape:
        count *= size
    top = (bits(stream, count, device) >> 40).bitwise_and_((1 << 24) - 1)
    return (top.to(torch.float32) * 2.0**-24).reshape(shape)


def permutation(stream: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return a permutation of `range(count)`, int64."""
    return torch.sort(bits(stream, count, device), stable=True).indices


def keep(
    stream: int | Tensor, rate: float, count: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Return a boolean mask of `count` values, each False with probability `rate`.

    Each value uses sixteen bits, so `rate` is rounded to a multiple of 2**-16 (`rounded`). Four
    values share one 64-bit draw, lowest bits first.
    """
    words = bits(stream, (count + 3) // 4, device).view(torch.int16)[:count]
    return words >= threshold(rate) - 32768


def round_rate(rate: float) -> float:
    """Return the exact drop rate of `keep`."""
    return threshold(rate) / 65536


def threshold(rate: float) -> int:
    """Return how many of 65,536 equally likely values mean a drop."""
    return min(round(rate * 65536), 65535)
