"""Holding out training images, so that a search selects on them instead of the test images."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from lightsearch.errors import ArgumentError, DataError
from lightsearch.randomness import key, permutation


@dataclass(frozen=True, slots=True)
class Holdout:
    """A stratified sample of `size` training images, used in place of the test set.

    `seed` determines the sample.

    >>> from lightsearch.data.holdout import Holdout
    >>> str(Holdout(10_000, seed=0))
    'val(size=10000,seed=0)'
    """

    size: int
    seed: int = 0

    def __str__(self) -> str:
        return f"val(size={self.size},seed={self.seed})"


def holdout_of(text: str) -> Holdout | None:
    """Parse a record's `selected_on`: `test` gives None, other texts are `str` of a `Holdout`.

    Raises `ArgumentError` for anything else.
    """
    if text == "test":
        return None
    match = re.fullmatch(r"val\(size=(\d{1,18}),seed=(-?\d{1,20})\)", text)
    if match is None:
        raise ArgumentError(
            f"`selected_on` must be test, or like val(size=10000,seed=0), but got {text[:80]!r}"
        )
    return Holdout(int(match[1]), int(match[2]))


def make_holdout_mask(labels: Tensor, classes: int, holdout: Holdout) -> Tensor:
    """Return a boolean mask of the held-out images among those with these labels.

    Classes keep their shares, to within one image. Raises `DataError` if a class would have no
    image on one side.
    """
    counts = torch.bincount(labels, minlength=classes)
    parts = counts.double() * holdout.size / len(labels)
    sizes = parts.long()
    for index in torch.argsort(sizes - parts, stable=True)[: holdout.size - int(sizes.sum())]:
        sizes[index] += 1  # the largest remainders get the images that rounding left over
    if not 0 < holdout.size < len(labels) or bool(((sizes < 1) | (sizes >= counts)).any()):
        raise DataError(
            f"`val_size` must leave images of every class on both sides, but got "
            f"val_size={holdout.size} of {len(labels)} training images, of which the "
            f"smallest class has {int(counts.min())}"
        )
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for index, size in enumerate(sizes.tolist()):
        members = torch.nonzero(labels == index).flatten()
        order = permutation(key(holdout.seed, "holdout", index), len(members))
        mask[members[order[:size]]] = True
    return mask
