"""From a design to Python source: a module of plain PyTorch that stands alone. No torch in here.

The blocks have names, and the tensors have those of `lightsearch.build`: block 0's convolution is
`0.conv.weight` in both, so the weights of the one load into the other. Lines are broken as
`ruff format` leaves them.
"""

from __future__ import annotations

import keyword
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lightsearch.design.parts import Design, kind_of
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network.cost import Cost, Row, cost
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    ChannelGate,
    Conv2d,
    Custom,
    Dense,
    Drop,
    GlobalPool,
    Op,
    Pool,
    Squeeze,
    Step,
)
from lightsearch.shapes import Shape, format_shape

WIDTH = 88  # of a line, as ruff has it by default
_ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "hardswish": "Hardswish"}
_TAKEN = ("block", "nn", "Gate", "OrderedDict", "Residual", "SqueezeExcitation", "Tensor")


def to_source(design: Design, name: str = "Net", shape: Shape = (1, 28, 28),
              note: str = "") -> str:
    """Python source of `design` as the class `name`, for images of (channels, height, width).

    >>> from lightsearch import conv, gap, linear, seq, to_source
    >>> source = to_source(seq(conv(8), gap(), linear(10)))
    >>> print(source[source.index("class Net"):], end="")
    class Net(nn.Sequential):
        \"\"\"178 parameters; a 1x28x28 image to 10 class scores.
    <BLANKLINE>
        conv(8) gap linear(10)
        \"\"\"
    <BLANKLINE>
        def __init__(self) -> None:
            # 8x28x28, receptive field 3
            conv = block(
                conv=nn.Conv2d(1, 8, 3, padding=1, bias=False),
                norm=nn.BatchNorm2d(8),
                act=nn.ReLU(),
            )
            # 8x1x1, receptive field 30
            gap = nn.AdaptiveAvgPool2d(1)
            # 10x1x1, receptive field 30
            linear = block(
                flatten=nn.Flatten(),
                linear=nn.Linear(8, 10),
            )
            super().__init__(conv, gap, linear)

    It needs torch and nothing else. The comment of a block is its output, (channels x height x
    width), and its receptive field in pixels of the image. `note` is put into the docstring of
    the file, as it is.

    Raises `DesignError`, as `cost` does, for a layer that does not fit its input, and for a layer
    kind of the user's own, whose code is the user's; `ArgumentError` for a `name` that no class
    can have here.
    """
    return source_of(cost(design, shape), str(design), name, shape=shape, note=note)


def source_of(costed: Cost, text: str, name: str = "Net", *, shape: Shape,
              note: str = "") -> str:
    """The same of lowered layers; `text` says in the docstring what they are."""
    if not name.isidentifier() or keyword.iskeyword(name) or name in _TAKEN:
        raise ArgumentError("`name` must be a name for a class, and none of "
                            f"{', '.join(_TAKEN)}, but got name={name!r}")
    body = "\n".join(_blocks(costed))
    helpers = [text for word, text in _HELPERS.items() if f"{word}(" in body]
    needs = "\n".join(helpers)
    imports = ["from collections import OrderedDict", ""] if "OrderedDict(" in needs else []
    imports.append(f"from torch import {'Tensor, ' if 'Tensor' in needs else ''}nn")
    said = f"A network of {costed.params:,} parameters, in PyTorch alone."
    head = f'"""{said}\n\n{note.strip()}\n"""' if note else f'"""{said}"""'
    scores = format_shape(costed.shape if costed.shape[1:] != (1, 1) else costed.shape[:1])
    about = (f"{costed.params:,} parameters; a {format_shape(shape)} image to {scores} "
             f"{'class scores' if costed.shape[1:] == (1, 1) else 'values'}.")
    notation = textwrap.fill(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    doc = textwrap.indent(f'"""{about}\n\n{notation}\n"""' if text else f'"""{about}"""', "    ")
    cls = f"class {name}(nn.Sequential):\n{doc}\n\n    def __init__(self) -> None:\n{body}\n"
    return "\n\n\n".join(["\n".join([head, "", *imports]), *helpers, cls])


# Blocks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    """A call as it is written; `comments` stand before its arguments, where there are any."""

    head: str
    arguments: tuple[tuple[str, _Expression], ...] = ()
    comments: tuple[str, ...] = field(default=())
    broken: bool = False


_Expression: TypeAlias = "str | _Call"


def _blocks(costed: Cost) -> Iterator[str]:
    """The lines of the constructor."""
    rows = {row.place: row for row in costed.rows}
    names = _names(costed.steps)
    last = len(costed.steps) - 1
    for index, (step, name) in enumerate(zip(costed.steps, names, strict=True)):
        yield f"        # {_comment(rows[f'[{index}]'])}"
        block = _block(step, f"[{index}]", rows, final=index == last)
        yield from _written(f"{name} = ", block, "", 8)
    flat = costed.shape[1:] == (1, 1)
    ends = [("", "nn.Flatten()")] if flat and not _ends_flat(costed.steps) else []
    whole = _Call("super().__init__", (*(("", name) for name in names), *ends))
    yield from _written("", whole, "", 8)


def _names(steps: Iterable[Step]) -> list[str]:
    """What the blocks are called: their kind, numbered where there are several of it."""
    kinds = [kind_of(type(step.layer)) for step in steps]
    totals, seen, names = Counter(kinds), Counter[str](), []
    for kind in kinds:
        seen[kind] += 1
        names.append(kind if totals[kind] == 1 else f"{kind}{seen[kind]}")
    return names


def _comment(row: Row) -> str:
    whole = " and the whole image" if row.whole_image else ""
    return f"{format_shape(row.shape)}, receptive field {row.receptive_field}{whole}"


def _ends_flat(steps: tuple[Step, ...]) -> bool:
    return bool(steps) and any(isinstance(op, Dense) for _, op in steps[-1].ops)


def _block(step: Step, place: str, rows: dict[str, Row], *, final: bool = False) -> _Expression:
    """A layer's operations by name; one without weights needs none.

    A linear layer takes and gives vectors; where more follows, that is made an image again.
    """
    named: list[tuple[str, _Expression]] = []
    for name, op in step.ops:
        if isinstance(op, Dense):
            named.append(("flatten", "nn.Flatten()"))
        named.append((name, _operation(op, place, rows)))
        if isinstance(op, Dense) and not final:
            named.append(("unflatten", f"nn.Unflatten(1, ({op.outputs}, 1, 1))"))
    if len(named) == 1 and not step.params:
        return named[0][1]
    return _Call("block", tuple(named), broken=len(named) > 1)


def _operation(op: Op, place: str, rows: dict[str, Row]) -> _Expression:
    if isinstance(op, Conv2d):
        return _convolution(op)
    if isinstance(op, BatchNorm):
        return _call("nn.BatchNorm2d", op.channels)
    if isinstance(op, Activation):
        return f"nn.{_ACTIVATIONS[op.name]}()"
    if isinstance(op, Drop):
        return _call("nn.Dropout" if op.per == "element" else "nn.Dropout2d", op.rate)
    if isinstance(op, Pool):
        return _call("nn.MaxPool2d" if op.by == "max" else "nn.AvgPool2d", op.kernel,
                     stride=(op.stride, op.kernel), padding=(op.padding, 0))
    if isinstance(op, GlobalPool):
        return "nn.AdaptiveAvgPool2d(1)"
    if isinstance(op, Dense):
        return _call("nn.Linear", op.inputs, op.outputs, bias=(op.bias, True))
    if isinstance(op, ChannelGate):
        return "Gate()"
    if isinstance(op, Squeeze):
        return _call("SqueezeExcitation", op.channels, op.hidden)
    if isinstance(op, Add):
        return _residual(op, place, rows)
    assert isinstance(op, Custom)
    raise DesignError("source can be written for the library's own layer kinds, but got "
                      f"{kind_of(type(op.layer))!r} at {place}: its code is yours")


def _convolution(op: Conv2d) -> _Call:
    return _call("nn.Conv2d", op.inputs, op.outputs, op.kernel, stride=(op.stride, 1),
                 padding=(op.padding, 0), groups=(op.groups, 1), bias=(op.bias, True))


def _residual(op: Add, place: str, rows: dict[str, Row]) -> _Call:
    places = [f"{place}.body[{index}]" for index in range(len(op.body))]
    arguments: list[tuple[str, _Expression]] = [
        ("", _block(step, at, rows)) for step, at in zip(op.body, places, strict=True)]
    if op.size is not None:
        arguments.append(("size", f"({op.size[0]}, {op.size[1]})"))
    if op.project is not None:
        arguments.append(("project", _convolution(op.project)))
    return _Call("Residual", tuple(arguments), tuple(_comment(rows[at]) for at in places),
                 broken=True)


def _call(head: str, *values: Any, **more: tuple[Any, Any]) -> _Call:
    """A call with `more` arguments, pairs of a value and the default that need not be written."""
    named = [(name, repr(value)) for name, (value, default) in more.items() if value != default]
    return _Call(head, (*(("", repr(value)) for value in values), *named))


# Lines -------------------------------------------------------------------------------------------


def _written(before: str, value: _Expression, after: str, indent: int) -> Iterator[str]:
    """`before`, the value and `after`, on one line if it may be, else an argument a line."""
    margin = " " * indent
    line = f"{margin}{before}{_flat(value)}{after}"
    if isinstance(value, str) or not (_is_broken(value) or len(line) > WIDTH):
        yield line
        return
    yield f"{margin}{before}{value.head}("
    for index, (name, argument) in enumerate(value.arguments):
        if index < len(value.comments):
            yield f"{margin}    # {value.comments[index]}"
        yield from _written(f"{name}=" if name else "", argument, ",", indent + 4)
    yield f"{margin}){after}"


def _is_broken(value: _Expression) -> bool:
    return isinstance(value, _Call) and (
        value.broken or any(_is_broken(argument) for _, argument in value.arguments))


def _flat(value: _Expression) -> str:
    if isinstance(value, str):
        return value
    parts = (f"{name}={_flat(argument)}" if name else _flat(argument)
             for name, argument in value.arguments)
    return f"{value.head}({', '.join(parts)})"


# What a file has besides its class, where it is used --------------------------------------------

_HELPERS = {"block": '''\
def block(**parts: nn.Module) -> nn.Sequential:
    """The parts one after the other, by name."""
    return nn.Sequential(OrderedDict(parts))''', "Gate": '''\
class Gate(nn.Module):
    """Each channel times the sigmoid of its average over the image."""

    def forward(self, images: Tensor) -> Tensor:
        return images * images.mean((2, 3), keepdim=True).sigmoid()''', "SqueezeExcitation": '''\
class SqueezeExcitation(nn.Module):
    """Channels weighted by two layers on their averages over the image (Hu et al. 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.reduce(images.mean((2, 3), keepdim=True)).relu()
        return images * self.expand(hidden).sigmoid()''', "Residual": '''\
class Residual(nn.Module):
    """What the body gives plus its input, which is brought to its size and channels."""

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
        return output + images'''}
