"""Which training images are held out, to select on them instead of the test images."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from lightsearch.errors import ArgumentError, DataError
from lightsearch.randomness import key, permutation


@dataclass(frozen=True, slots=True)
class Holdout:
    """Training images that are kept from training and stand in for the test images.

    `size` of them, of each class as large a share as in the whole, drawn with `seed`.

    >>> from lightsearch.data.holdout import Holdout
    >>> str(Holdout(10_000, seed=0))
    'val(size=10000,seed=0)'
    """

    size: int
    seed: int = 0

    def __str__(self) -> str:
        return f"val(size={self.size},seed={self.seed})"


def holdout_of(text: str) -> Holdout | None:
    """What a record's `selected_on` says: `test`, or what `str` of a `Holdout` gives.

    Raises `ArgumentError` for anything else.
    """
    if text == "test":
        return None
    found = re.fullmatch(r"val\(size=(\d{1,18}),seed=(-?\d{1,20})\)", text)
    if found is None:
        raise ArgumentError("`selected_on` must be test, or like val(size=10000,seed=0), "
                            f"but got {text[:80]!r}")
    return Holdout(int(found[1]), int(found[2]))


def chosen_mask(labels: Tensor, classes: int, holdout: Holdout) -> Tensor:
    """A boolean mask of the held-out ones among images with these labels.

    Classes keep their shares, to within one image. Raises `DataError` where a class would have no
    image left on one side.
    """
    counts = torch.bincount(labels, minlength=classes)
    parts = counts.double() * holdout.size / len(labels)
    sizes = parts.long()
    for index in torch.argsort(sizes - parts, stable=True)[:holdout.size - int(sizes.sum())]:
        sizes[index] += 1  # to those with the largest remainders
    if not 0 < holdout.size < len(labels) or bool(((sizes < 1) | (sizes >= counts)).any()):
        raise DataError(f"`val_size` must leave images of every class on both sides, but got "
                        f"val_size={holdout.size} of {len(labels)} training images, of which the "
                        f"smallest class has {int(counts.min())}")
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for index, size in enumerate(sizes.tolist()):
        members = torch.nonzero(labels == index).flatten()
        order = permutation(key(holdout.seed, "holdout", index), len(members))
        mask[members[order[:size]]] = True
    return mask
