"""What the steps of an epoch are told, as tensors: a captured step reads its own part of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import purposes
from lightsearch.engines.engine import Batch
from lightsearch.randomness import keys, signed


class Tables:
    """An epoch's order of images, and a row for each step: its rate, its `towards`, its keys.

    `step` and `first` say how far the epoch has come: the step, and its first place in `order`.
    `advance` copies that step's part to `batch`, `rate`, `toward` and `row`. No tensor moves.
    """

    def __init__(self, recipe: Recipe, images: int, dropouts: int, device: torch.device) -> None:
        size = recipe.batch_size
        steps = -(-images // size)
        self.purposes, self.dropouts = purposes(recipe), dropouts
        columns = len(self.purposes) + dropouts

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.order, self.keys = zeros(images), zeros(steps, columns)
        self.rates, self.towards = (zeros(steps, dtype=torch.float32) for _ in range(2))
        self.step, self.first = zeros(1), zeros(1)
        self.batch, self.row = zeros(size + 1), zeros(columns)  # the last may have an image more
        self.rate, self.toward = (zeros(dtype=torch.float32) for _ in range(2))
        self.counting = torch.arange(size + 1, device=device)

    def tell(self, batches: Sequence[Batch]) -> None:
        """Upload what the steps of an epoch are told, and go to the first one."""
        assert max(len(batch.images) for batch in batches) <= len(self.batch)
        order = torch.cat([batch.images for batch in batches])
        self.order[: len(order)].copy_(order)
        self.rates[: len(batches)].copy_(torch.tensor([batch.rate for batch in batches]))
        self.towards[: len(batches)].copy_(torch.tensor([batch.towards for batch in batches]))
        augment = torch.tensor([signed(batch.augment_stream) for batch in batches])
        dropout = torch.tensor([signed(batch.dropout_stream) for batch in batches])
        columns = [
            *(keys(augment, purpose) for purpose in self.purposes),
            *(keys(dropout, index) for index in range(self.dropouts)),
        ]
        if columns:
            self.keys[: len(batches)].copy_(torch.stack(columns, 1))
        self.step.zero_()
        self.first.zero_()

    def advance(self, count: int, own: ModuleType | None) -> None:
        """Read the part of a step on `count` images, and count on; by `own` kernels, if any."""
        if own is not None:
            own.advance(
                (self.order, self.rates, self.towards, self.keys),
                (self.step, self.first),
                (self.batch, self.rate, self.toward, self.row),
                count,
            )
            return
        torch.index_select(
            self.order, 0, self.first + self.counting[:count], out=self.batch[:count]
        )
        self.rate.copy_(self.rates.index_select(0, self.step)[0])
        self.toward.copy_(self.towards.index_select(0, self.step)[0])
        self.row.copy_(self.keys.index_select(0, self.step)[0])
        self.first += count
        self.step += 1

    def split_row(self) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
        """Return the step's keys: those of augmentation by purpose, and one for each dropout."""
        drawn, row = len(self.purposes), self.row.unbind()
        return dict(zip(self.purposes, row[:drawn], strict=True)), row[drawn:]
