"""Definitions that a written file needs beside its class."""

from __future__ import annotations

HELPERS = {
    "block": '''\
def block(**parts: nn.Module) -> nn.Sequential:
    """The parts one after the other, by name."""
    return nn.Sequential(OrderedDict(parts))''',
    "without_gain": '''\
def without_gain(norm: nn.Module) -> nn.Module:
    """The norm with a shift a channel, but no gain: a GPU's needs ones to train the shift."""
    ones = norm.weight.detach()
    del norm.weight
    norm.register_buffer("weight", ones, persistent=False)
    return norm''',
    "Gate": '''\
class Gate(nn.Module):
    """Each channel times the sigmoid of its average over the image."""

    def forward(self, images: Tensor) -> Tensor:
        return images * images.mean((2, 3), keepdim=True).sigmoid()''',
    "SqueezeExcitation": '''\
class SqueezeExcitation(nn.Module):
    """Channels weighted by two layers on their averages over the image (Hu et al. 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.reduce(images.mean((2, 3), keepdim=True)).relu()
        return images * self.expand(hidden).sigmoid()''',
    "Residual": '''\
class Residual(nn.Module):
    """The output of the body plus the input, brought to its size and channels."""

    def __init__(
        self,
        *body: nn.Module,
        size: tuple[int, int] | None = None,
        project: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.size = size
        self.project = project

    def forward(self, images: Tensor) -> Tensor:
        output = self.body(images)
        if self.size is not None:
            images = nn.functional.interpolate(images, size=self.size, mode="nearest")
        if self.project is not None:
            images = self.project(images)
        return output + images''',
    "Branches": '''\
class Branches(nn.Module):
    """Two branches on the same input: their sum, or the channels of both."""

    def __init__(self, first: nn.Module, second: nn.Module, by: str) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.by = by

    def forward(self, images: Tensor) -> Tensor:
        return self.join(self.first(images), self.second(images))

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second if self.by == "add" else torch.cat((first, second), 1)''',
    "Channels": '''\
class Channels(nn.Module):
    """The channels from start to before stop."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start = start
        self.stop = stop

    def forward(self, images: Tensor) -> Tensor:
        return images[:, self.start : self.stop]''',
    "PerPass": '''\
class PerPass(nn.ModuleList):
    """Modules of which each pass of a loop uses its own, `each` times."""

    def __init__(self, *modules: nn.Module, each: int = 1) -> None:
        super().__init__(modules)
        self.each = each''',
    "Loop": '''\
class Loop(nn.Module):
    """A body applied several times with the same weights, but for its `PerPass` modules."""

    def __init__(self, *body: nn.Module, passes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.passes = passes

    def forward(self, images: Tensor) -> Tensor:
        return run_pass(self, images, 0)''',
    "run_pass": '''\
def run_pass(module: nn.Module, images: Tensor, number: int) -> Tensor:
    """The output of a module in pass `number` of the loop around it."""
    if isinstance(module, nn.Sequential):
        for part in module:
            images = run_pass(part, images, number)
        return images
    if isinstance(module, Loop):
        for inner in range(module.passes):
            images = run_pass(module.body, images, number * module.passes + inner)
        return images
    if isinstance(module, PerPass):
        return run_pass(module[number // module.each % len(module)], images, number)
    return module(images)''',
}

_LOOP = ("PerPass", "Loop", "run_pass")
_MARK = "    if isinstance(module, PerPass)"
_RESIDUAL_PASS = """\
    if isinstance(module, Residual):
        output = run_pass(module.body, images, number)
        if module.size is not None:
            images = nn.functional.interpolate(images, size=module.size, mode="nearest")
        if module.project is not None:
            images = run_pass(module.project, images, number)
        return output + images
"""

_BRANCH_PASS = """\
    if isinstance(module, Branches):
        first = run_pass(module.first, images, number)
        return module.join(first, run_pass(module.second, images, number))
"""


def list_helpers(body: str) -> list[str]:
    """Return the definitions that the lines of a constructor need."""
    needed = {word for word in HELPERS if f"{word}(" in body}
    if "Loop" in needed:
        needed.update(_LOOP)
    helpers = {word: text for word, text in HELPERS.items() if word in needed}
    for word, lines in (("Residual", _RESIDUAL_PASS), ("Branches", _BRANCH_PASS)):
        if {"Loop", word} <= needed:
            helpers["run_pass"] = helpers["run_pass"].replace(_MARK, lines + _MARK)
    return list(helpers.values())
