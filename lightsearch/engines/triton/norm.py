"""Batch norm, with the ReLU before or after it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lightsearch.engines.triton.norm_kernels import (
    norm_apply,
    norm_back_apply,
    norm_back_sums,
    norm_sums,
)
from lightsearch.engines.triton.tiles import Tile, ceil, fits, split

TILE = Tile(0, 0, 512, 4)
PROGRAMS = 528  # about so many share a sum over a batch: four for each multiprocessor of an H200
ROWS = 128  # of a channel, at most


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        norm: nn.BatchNorm2d,
        before: bool,
        after: bool,
    ) -> Tensor:
        ctx.set_materialize_grads(False)
        x = x.contiguous()
        y, kept = normalise(x, gamma, beta, norm, before, after)
        ctx.save_for_backward(x, gamma, beta, kept)
        ctx.how = (before, after)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None) -> Any:
        if dy is None:
            return (None,) * 6
        x, gamma, beta, kept = ctx.saved_tensors
        before, after = ctx.how
        found = normalise_back(x, gamma, beta, kept, dy.contiguous(), before, after)
        return (*found, None, None, None)


def _norm_split(x: Tensor) -> tuple[tuple[int, int], tuple[int, ...], Tensor]:
    images, channels, height, width = x.shape
    parts = split(images, height * width, TILE.pixels, min(ROWS, ceil(PROGRAMS, channels)))
    sizes = (images, *parts[1:], height * width, channels)
    return (parts.programs, channels), sizes, x.new_empty(channels, parts.programs, 2)


def normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d, before: bool, after: bool
) -> tuple[Tensor, Tensor]:
    """Batch norm in training; and each channel's mean and 1 / deviation."""
    grid, sizes, sums = _norm_split(x)
    how = {"BEFORE": before, "BLOCK": TILE.pixels, "num_warps": TILE.warps}
    y, kept = torch.empty_like(x), x.new_empty(x.shape[1], 2)
    norm_sums[grid](x, sums, *sizes, **how)
    norm_apply[grid](
        x,
        y,
        sums,
        gamma,
        beta,
        norm.running_mean,
        norm.running_var,
        norm.num_batches_tracked,
        kept,
        norm.momentum,
        norm.eps,
        *sizes,
        AFTER=after,
        ROWS=ROWS,
        **how,
    )
    return y, kept


def normalise_back(
    x: Tensor, gamma: Tensor, beta: Tensor, kept: Tensor, dy: Tensor, before: bool, after: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by input, weight and bias."""
    grid, sizes, sums = _norm_split(x)
    how = {"BEFORE": before, "AFTER": after, "BLOCK": TILE.pixels, "num_warps": TILE.warps}
    dx, d_gamma, d_beta = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(beta)
    norm_back_sums[grid](x, dy, sums, gamma, beta, kept, *sizes, **how)
    norm_back_apply[grid](
        x, dy, dx, sums, gamma, beta, kept, d_gamma, d_beta, *sizes, ROWS=ROWS, **how
    )
    return dx, d_gamma, d_beta


class TritonBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, with the ReLU before or after it if there is one."""

    before = after = False

    def forward(self, input: Tensor) -> Tensor:
        values = math.prod(input.shape) // input.shape[1]
        if self.training and fits(input) and values > 1:
            result: Tensor = _Norm.apply(
                input, self.weight, self.bias, self, self.before, self.after
            )
            return result
        output = super().forward(torch.relu(input) if self.before else input)
        return torch.relu(output) if self.after else output
