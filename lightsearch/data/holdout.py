"""The images that a search selects on instead of the test images: its own, or held out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from lightsearch.errors import ArgumentError, DataError
from lightsearch.randomness import key, permutation


@dataclass(frozen=True, slots=True)
class Holdout:
    """The `size` validation images that are used in place of the test images.

    They are a stratified sample of the training images that `seed` determines, or without one the
    data set's own validation images.

    >>> from lightsearch.data.holdout import Holdout
    >>> str(Holdout(10_000, seed=0))
    'val(size=10000,seed=0)'
    >>> str(Holdout(500, seed=None))
    'val(size=500)'
    """

    size: int
    seed: int | None = 0

    @property
    def sampled(self) -> int:
        """How many training images are held out."""
        return 0 if self.seed is None else self.size

    def __str__(self) -> str:
        if self.seed is None:
            return f"val(size={self.size})"
        return f"val(size={self.size},seed={self.seed})"


def holdout_of(text: str) -> Holdout | None:
    """Parse a record's `selected_on`: `test` gives None, other texts are `str` of a `Holdout`.

    Raises `ArgumentError` for anything else.
    """
    if text == "test":
        return None
    match = re.fullmatch(r"val\(size=(\d{1,18})(?:,seed=(-?\d{1,20}))?\)", text)
    if match is None:
        raise ArgumentError(
            f"`selected_on` must be test, or like val(size=10000,seed=0), but got {text[:80]!r}"
        )
    return Holdout(int(match[1]), None if match[2] is None else int(match[2]))


def make_holdout_mask(labels: Tensor, classes: int, size: int, seed: int) -> Tensor:
    """Return a boolean mask of the images, among those with these labels, that are held out.

    Classes keep their shares, to within one image. Raises `DataError` if a class would have no
    image on one side.
    """
    counts = torch.bincount(labels, minlength=classes)
    parts = counts.double() * size / len(labels)
    sizes = parts.long()
    for index in torch.argsort(sizes - parts, stable=True)[: size - int(sizes.sum())]:
        sizes[index] += 1  # the largest remainders get the images that rounding left over
    if not 0 < size < len(labels) or bool(((sizes < 1) | (sizes >= counts)).any()):
        raise DataError(
            f"`val_size` must leave images of every class on both sides, but got "
            f"val_size={size} of {len(labels)} training images, of which the "
            f"smallest class has {int(counts.min())}"
        )
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for index, held in enumerate(sizes.tolist()):
        members = torch.nonzero(labels == index).flatten()
        order = permutation(key(seed, "holdout", index), len(members))
        mask[members[order[:held]]] = True
    return mask
