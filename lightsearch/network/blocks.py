"""PyTorch modules of the blocks that have a body: residual additions, branches and loops.

In a loop a module must know which pass it is in, so that each pass has its own batch norm. A
number goes down with the input (`run_pass`), rather than a counter in a module: so a module may
run in several threads, and an exporter that traces it sees plain calls.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualAdd(nn.Module):
    """The output of `body` plus the input, resized to `size` and projected if these are given."""

    def __init__(
        self, body: nn.Sequential, size: tuple[int, int] | None, project: nn.Module | None
    ) -> None:
        super().__init__()
        self.body = body
        self.size = size
        self.project = project

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.body(input)
        shortcut = self.resize(input)
        if self.project is not None:
            shortcut = self.project(shortcut)
        return output + shortcut

    def run_pass(self, input: Tensor, number: int) -> Tensor:
        """Return the output in one pass of the loop around it."""
        output = run_pass(self.body, input, number)
        shortcut = self.resize(input)
        if self.project is not None:
            shortcut = run_pass(self.project, shortcut, number)
        return output + shortcut

    def resize(self, input: Tensor) -> Tensor:
        """Return the input in the size of the body's output."""
        if self.size is None:
            return input
        return functional.interpolate(input, size=self.size, mode="nearest")

    def extra_repr(self) -> str:
        return "" if self.size is None else f"size={self.size}"


class BranchModules(nn.Module):
    """Two branches on the same input: their sum (`by="add"`), or the channels of both."""

    def __init__(self, by: str, first: nn.Sequential, second: nn.Sequential) -> None:
        super().__init__()
        self.by = by
        self.first = first
        self.second = second

    def forward(self, input: Tensor) -> Tensor:
        return self.join(self.first(input), self.second(input))

    def run_pass(self, input: Tensor, number: int) -> Tensor:
        """Return the output in one pass of the loop around it."""
        return self.join(run_pass(self.first, input, number), run_pass(self.second, input, number))

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Return what the outputs of both branches make together."""
        return first + second if self.by == "add" else torch.cat((first, second), 1)

    def extra_repr(self) -> str:
        return f"by={self.by}"


class ChannelSlice(nn.Module):
    """The channels from `start` to before `stop`."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, input: Tensor) -> Tensor:
        return input[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class PassModules(nn.ModuleList):
    """Modules of which each pass of a loop uses its own, `each` times."""

    def __init__(self, modules: Iterable[nn.Module], each: int = 1) -> None:
        super().__init__(modules)
        self.each = each

    def run_pass(self, input: Tensor, number: int) -> Tensor:
        """Return the output of the module of one pass."""
        return run_pass(self[number // self.each % len(self)], input, number)


class Iteration(nn.Module):
    """`body` applied `passes` times with the same weights, but for its `PassModules`."""

    def __init__(self, body: nn.Sequential, passes: int) -> None:
        super().__init__()
        self.body = body
        self.passes = passes

    def forward(self, input: Tensor) -> Tensor:
        return self.run_pass(input, 0)

    def run_pass(self, input: Tensor, number: int) -> Tensor:
        """Return the output in one pass of the loop around it."""
        for inner in range(self.passes):
            input = run_pass(self.body, input, number * self.passes + inner)
        return input

    def extra_repr(self) -> str:
        return f"passes={self.passes}"


def run_pass(module: nn.Module, input: Tensor, number: int) -> Tensor:
    """Return the output of a module in pass `number` of the loop around it, from 0 on."""
    if type(module) is nn.Sequential:
        for part in module:
            input = run_pass(part, input, number)
        return input
    if isinstance(module, ResidualAdd | BranchModules | PassModules | Iteration):
        return module.run_pass(input, number)
    output: Tensor = module(input)
    return output
