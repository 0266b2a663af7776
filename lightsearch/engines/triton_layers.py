"""Layers that compute with our Triton kernels, in place of a module's own ones.

They have the parameters, the names and, but for rounding, the results of PyTorch's layers. They
need contiguous float32 tensors on a GPU, and Triton. `replace_layers` puts them into a module.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightsearch.design.recipe import Recipe
from lightsearch.engines import triton_kernels as kernels


class Tile(NamedTuple):
    """What a program of a kernel takes: output channels, columns, pixels; and its warps."""

    channels: int
    columns: int
    pixels: int
    warps: int


CONVOLVE = Tile(8, 0, 256, 4)
CONVOLVE_APART = Tile(1, 0, 256, 4)  # one channel a group
CORRELATE = Tile(8, 8, 128, 4)
CORRELATE_APART = Tile(1, 16, 128, 4)
NORM = Tile(0, 0, 512, 4)
ADD = Tile(0, 32, 32, 4)  # rows at once, and sums
WARP = Tile(0, 0, 256, 4)
PROGRAMS = 1024  # about so many share a sum over a batch: a few for each multiprocessor
ROWS = 128  # sums of a channel in batch norm
LARGEST = 2**31 - 1  # indices are 32-bit


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


class Split(NamedTuple):
    """How a batch of planes is split: programs, and what each is told."""

    programs: int
    chunk: int  # images of a program, so many `together` at a time
    together: int
    tiles: int  # programs that share a plane


def _split(images: int, plane: int, block: int, programs: int) -> Split:
    """Split a batch among about so many programs."""
    together = min(max(1, block // plane), images)
    tiles = _ceil(plane, block) if plane > block else 1
    turns = _ceil(images, together)
    chunk = _ceil(turns, min(turns, max(1, programs // tiles)))
    return Split(tiles * _ceil(turns, chunk), chunk * together, together, tiles)


# Convolution ------------------------------------------------------------------------------------


class _Convolution(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int,
                groups: int) -> Tensor:
        ctx.set_materialize_grads(False)
        x, w = x.contiguous(), w.contiguous()
        ctx.save_for_backward(x, w)
        ctx.how = (bias is not None, stride, padding, groups)
        return convolution(x, w, bias, stride, padding, groups)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None) -> Any:
        if dy is None:
            return (None,) * 6
        x, w = ctx.saved_tensors
        biased, *how = ctx.how
        dy = dy.contiguous()
        dx = by_input(dy, w, x.shape, *how) if ctx.needs_input_grad[0] else None
        dw, db = by_weight(x, dy, w, biased, *how)
        return dx, dw, db, None, None, None


def convolution(x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int,
                groups: int) -> Tensor:
    """As `torch.nn.functional.conv2d`, of square kernels."""
    outputs, inner, kernel, _ = w.shape
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
    y = x.new_empty(len(x), outputs, height, width)
    taps = kernel * kernel
    _convolve(x, w, bias, y, groups, inner, outputs // groups,
              (kernel, stride, -padding, 1, inner * taps, taps), 1)
    return y


def by_input(dy: Tensor, w: Tensor, shape: torch.Size, stride: int, padding: int,
             groups: int) -> Tensor:
    """The gradient by the input, of shape `shape`."""
    outputs, inner, kernel, _ = w.shape
    dx = dy.new_empty(shape)
    taps = kernel * kernel
    _convolve(dy, w, None, dx, groups, outputs // groups, inner,
              (kernel, 1, padding, -1, taps, inner * taps), stride)
    return dx


def _convolve(x: Tensor, w: Tensor, bias: Tensor | None, y: Tensor, groups: int, inner: int,
              outer: int, how: tuple[int, ...], down: int) -> None:
    tile = CONVOLVE_APART if outer == 1 else CONVOLVE
    plane = y.shape[2] * y.shape[3]
    pixels = len(y) * plane
    grid = (_ceil(pixels, tile.pixels), _ceil(outer, tile.channels), groups)
    kernels.convolve[grid](
        x, w, w if bias is None else bias, y, pixels, plane, y.shape[3], x.shape[2], x.shape[3],
        inner, outer, x[0].numel(), y[0].numel(), *how, int(bias is not None), DOWN=down,
        CO=tile.channels, BLOCK=tile.pixels, num_warps=tile.warps)


def by_weight(x: Tensor, dy: Tensor, w: Tensor, biased: bool, stride: int, padding: int,
              groups: int) -> tuple[Tensor, Tensor | None]:
    """The gradients by the weights and the bias."""
    outputs, inner, kernel, _ = w.shape
    outer = outputs // groups
    tile = CORRELATE_APART if outer == 1 else CORRELATE
    plane = dy.shape[2] * dy.shape[3]
    taps = inner * kernel * kernel
    columns = taps + int(biased)
    blocks = _ceil(columns, tile.columns) * _ceil(outer, tile.channels)
    split = _split(len(x), plane, tile.pixels, PROGRAMS // (blocks * groups))
    sums = x.new_empty(split.programs, outputs * columns)
    kernels.correlate[(split.programs, blocks, groups)](
        x, dy, sums, len(x), *split[1:], plane, dy.shape[3], x.shape[2], x.shape[3], inner, outer,
        kernel, stride, padding, x[0].numel(), dy[0].numel(), columns, taps, CO=tile.channels,
        COLUMNS=tile.columns, BLOCK=tile.pixels, num_warps=tile.warps)
    dw, db = torch.empty_like(w), w.new_empty(outputs) if biased else None
    kernels.add_rows[(_ceil(outputs * columns, ADD.pixels),)](
        sums, dw, dw if db is None else db, split.programs, outputs * columns, columns, taps,
        ROWS=ADD.columns, BLOCK=ADD.pixels, num_warps=ADD.warps)
    return dw, db


class TritonConv2d(nn.Conv2d):
    """`nn.Conv2d` with square kernels and zeros around; groups of any kind."""

    def forward(self, input: Tensor) -> Tensor:
        if not fits(input):
            return super().forward(input)
        result: Tensor = _Convolution.apply(
            input, self.weight, self.bias, self.stride[0], self.padding[0], self.groups)
        return result


def fits(input: Tensor) -> bool:
    """Whether the kernels can take it."""
    return input.dtype == torch.float32 and 0 < 8 * input.numel() <= LARGEST


# Batch norm and ReLU ----------------------------------------------------------------------------


class _Norm(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d,
                before: bool, after: bool) -> Tensor:
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
    split = _split(images, height * width, NORM.pixels, min(ROWS, _ceil(PROGRAMS, channels)))
    sizes = (images, *split[1:], height * width, channels)
    return (split.programs, channels), sizes, x.new_empty(channels, split.programs, 2)


def normalise(x: Tensor, gamma: Tensor, beta: Tensor, norm: nn.BatchNorm2d, before: bool,
              after: bool) -> tuple[Tensor, Tensor]:
    """Batch norm in training; and each channel's mean and 1 / deviation."""
    grid, sizes, sums = _norm_split(x)
    how = {"BEFORE": before, "BLOCK": NORM.pixels, "num_warps": NORM.warps}
    y, kept = torch.empty_like(x), x.new_empty(x.shape[1], 2)
    kernels.norm_sums[grid](x, sums, *sizes, **how)
    kernels.norm_apply[grid](x, y, sums, gamma, beta, norm.running_mean, norm.running_var,
                             norm.num_batches_tracked, kept, norm.momentum, norm.eps, *sizes,
                             AFTER=after, ROWS=ROWS, **how)
    return y, kept


def normalise_back(x: Tensor, gamma: Tensor, beta: Tensor, kept: Tensor, dy: Tensor, before: bool,
                   after: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by input, weight and bias."""
    grid, sizes, sums = _norm_split(x)
    how = {"BEFORE": before, "AFTER": after, "BLOCK": NORM.pixels, "num_warps": NORM.warps}
    dx, d_gamma, d_beta = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(beta)
    kernels.norm_back_sums[grid](x, dy, sums, gamma, beta, kept, *sizes, **how)
    kernels.norm_back_apply[grid](x, dy, dx, sums, gamma, beta, kept, d_gamma, d_beta, *sizes,
                                  ROWS=ROWS, **how)
    return dx, d_gamma, d_beta


class TritonBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, with the ReLU before or after it if there is one."""

    before = after = False

    def forward(self, input: Tensor) -> Tensor:
        values = math.prod(input.shape) // input.shape[1]
        if self.training and fits(input) and values > 1:
            result: Tensor = _Norm.apply(
                input, self.weight, self.bias, self, self.before, self.after)
            return result
        output = super().forward(torch.relu(input) if self.before else input)
        return torch.relu(output) if self.after else output


# Images -----------------------------------------------------------------------------------------


def warp(images: Tensor, batch: Tensor, key: Tensor, recipe: Recipe,
         normal: tuple[Tensor, Tensor] | None) -> Tensor:
    """`augment`'s affine map of the images (bytes) at `batch`, as floats in [0, 1].

    `normal` is a mean and a deviation for each channel, to subtract and to divide by.
    """
    count = len(batch)
    _, channels, height, width = images.shape
    y = torch.empty(count, channels, height, width, device=images.device)
    mean, deviation = (y, y) if normal is None else normal
    kernels.warp[(count, _ceil(height * width, WARP.pixels))](
        images, batch, key, y, mean, deviation, math.radians(recipe.rotation),
        math.radians(recipe.shear), float(recipe.scale), float(recipe.shift), count, channels,
        height, width, NORMAL=normal is not None, BLOCK=WARP.pixels, num_warps=WARP.warps)
    return y


# A module's layers ------------------------------------------------------------------------------


def replace_layers(module: nn.Module) -> None:
    """Let the layers of a built module compute with our kernels, if they can.

    Parameters and their names stay; a ReLU beside a batch norm becomes part of it.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d:
                setattr(parent, name, _with_class(child, TritonConv2d))
            elif type(child) is nn.BatchNorm2d:
                setattr(parent, name, _with_class(child, TritonBatchNorm2d))
        if type(parent) is nn.Sequential:
            _take_relu(parent)


def _with_class(child: nn.Module, kind: type[nn.Module]) -> nn.Module:
    made = kind.__new__(kind)
    made.__dict__.update(child.__dict__)
    return made


def _take_relu(stack: nn.Sequential) -> None:
    names = list(stack._modules)
    for name, following in itertools.pairwise(names):
        one, two = stack._modules[name], stack._modules[following]
        if isinstance(two, TritonBatchNorm2d) and type(one) is nn.ReLU:
            two.before = True
            stack._modules[name] = nn.Identity()
        elif isinstance(one, TritonBatchNorm2d) and not one.before and type(two) is nn.ReLU:
            one.after = True
            stack._modules[following] = nn.Identity()
