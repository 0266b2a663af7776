"""Trained networks whose answers a design learns from, beside the labels (distillation)."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightsearch.errors import ArgumentError, quote
from lightsearch.shapes import Shape, format_shape
from lightsearch.torch_modes import plain_modes

Module: TypeAlias = nn.Module
DIGITS = 16  # of the checksum


@dataclass(frozen=True, slots=True, repr=False)
class Teacher:
    """A trained network and what it cost: parameters, epochs if they are known. `shape` is that of
    its images, (channels, height, width), if it is known.

    Two are equal if their checksums, those of the weights and the layers, are.
    """

    module: nn.Module = field(compare=False)
    checksum: str
    params: int = field(compare=False)
    epochs: int | None = field(default=None, compare=False)
    shape: Shape | None = field(default=None, compare=False)

    def __str__(self) -> str:
        epochs = "unknown epochs" if self.epochs is None else f"{self.epochs} epochs"
        return f"{self.checksum}: {self.params:,} parameters, {epochs}"

    def __repr__(self) -> str:
        return f"Teacher({self})"


class Ensemble(nn.Module):
    """Several networks together: the logarithm of the mean of their probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (N, classes) for images (N, C, H, W)."""
        told = torch.stack([F.log_softmax(member(images), 1) for member in self.members])
        return told.logsumexp(0) - math.log(len(self.members))


@plain_modes()
def make_teacher(
    module: nn.Module | Sequence[nn.Module | Teacher], *, epochs: int | None = None
) -> Teacher:
    """Return a teacher of a trained module, which is copied, or of several together.

    A module is given images as designs are: float32 (N, C, H, W), less the mean of the training
    images, by channel, and divided by their deviation. It returns class scores (N, classes). Of
    several, or several teachers, the mean of the probabilities is what is learned from. `epochs`
    is how long it was trained, in all, if that is known; it is only recorded.

    Raises `ArgumentError` for what is no module.
    """
    if isinstance(module, Sequence) and not isinstance(module, str) and module:
        return _make_ensemble([as_teacher(one) for one in module], epochs)
    if not isinstance(module, nn.Module):
        raise ArgumentError(
            "`teacher` must be a Teacher or a PyTorch module, but got "
            f"{quote(module)} (`find_teacher` makes one of a row, a study or a file)"
        )
    own = copy.deepcopy(module).cpu().eval().requires_grad_(False)
    digest = hashlib.sha256(repr(own).encode())
    for name, tensor in own.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    params = sum(parameter.numel() for parameter in own.parameters())
    return Teacher(own, digest.hexdigest()[:DIGITS], params, epochs)


def _make_ensemble(members: Sequence[Teacher], epochs: int | None) -> Teacher:
    if len(members) == 1:
        return members[0] if epochs is None else replace(members[0], epochs=epochs)
    known = [one.epochs for one in members if one.epochs is not None]
    if epochs is None and len(known) == len(members):
        epochs = sum(known)
    together = make_teacher(Ensemble([one.module for one in members]), epochs=epochs)
    shapes = {one.shape for one in members}
    return replace(together, shape=shapes.pop() if len(shapes) == 1 else None)


def as_teacher(given: Teacher | nn.Module) -> Teacher:
    """Return a teacher that is given as such or as a module."""
    return given if isinstance(given, Teacher) else make_teacher(given)


@plain_modes()
def check_fit(teacher: Teacher, shape: Shape, classes: int) -> None:
    """Raise `ArgumentError` unless a teacher answers images of `shape` (channels, height, width)
    with class scores, (N, classes)."""
    images = torch.zeros((2, *shape), dtype=torch.float32)
    try:
        with torch.no_grad():
            scores = teacher.module(images)
    except Exception as error:  # of a user's own module, any
        own = teacher.shape or shape
        why = f"raised {error!r:.200}" if own == shape else f"takes {format_shape(own)}"
        raise ArgumentError(
            f"`teacher` must take images of {format_shape(shape)}, but it {why}"
        ) from error
    if not isinstance(scores, Tensor) or scores.shape != (2, classes):
        said = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ArgumentError(
            f"`teacher` must return class scores of the shape (2, {classes}) for two images, but "
            f"got {said}"
        )


def soft_loss(scores: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Return the mean Kullback-Leibler divergence from the answers, at a temperature.

    Both are class scores (N, classes). It is multiplied by the temperature's square, so that its
    gradient is as large at any (Hinton, Vinyals and Dean 2015).
    """
    told, wanted = (F.log_softmax(one / temperature, 1) for one in (scores, answers))
    return F.kl_div(told, wanted, reduction="batchmean", log_target=True) * temperature**2
