"""From a design to Python source: a module in plain PyTorch that stands alone.

Writing it does not need torch. Tensors have the same names as in `lightsearch.build`: the
convolution of block 0 is `0.conv.weight` in both, so the weights of one load into the other.
`ruff format` leaves the lines as they are.
"""

from __future__ import annotations

import keyword
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from lightsearch.checks import check_kind
from lightsearch.design.parts import Design, kind_of
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network.cost import Cost, Row, cost
from lightsearch.network.leaf_source import write_leaf
from lightsearch.network.operations import (
    Add,
    BatchNorm,
    Branches,
    Custom,
    Dense,
    Iterate,
    Op,
    PerPass,
    Step,
    list_bodies,
)
from lightsearch.network.source_helpers import HELPERS, list_helpers
from lightsearch.network.source_lines import WIDTH, Call, Expression, write_lines
from lightsearch.notation.reading import read_design
from lightsearch.shapes import Shape, format_shape

_RESERVED = (*HELPERS, "nn", "OrderedDict", "Tensor")


def to_source(
    design: Design | str, name: str = "Net", shape: Shape = (1, 28, 28), note: str = ""
) -> str:
    """Return Python source of `design` as a class, for images of (channels, height, width).

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

    The source needs torch alone. The comment of a block states its output (channels x height x
    width) and its receptive field in pixels of the image. `note` goes unchanged into the docstring
    of the file.

    Raises `DesignError` for a layer that does not fit its input, as `cost` does, and for a user's
    own layer kind, whose code lightsearch does not have. Raises `ArgumentError` for a `name` that
    this class cannot have.
    """
    design = read_design(design)
    check_kind("name", name, str, "a string")
    return source_of(cost(design, shape), str(design), name, shape=shape, note=note)


def source_of(costed: Cost, text: str, name: str = "Net", *, shape: Shape, note: str = "") -> str:
    """Return the source of lowered layers. `text` describes them in the class's docstring."""
    definitions = define_net(costed, text, name, shape=shape)
    needs = "\n".join(definitions[:-1])
    imports = ["from collections import OrderedDict", ""] if "OrderedDict(" in needs else []
    imports += ["import torch"] if "torch.cat(" in needs else []
    imports.append(f"from torch import {'Tensor, ' if 'Tensor' in needs else ''}nn")
    title = f"A network of {costed.params:,} parameters, in PyTorch alone."
    head = f'"""{title}\n\n{note.strip()}\n"""' if note else f'"""{title}"""'
    return "\n\n\n".join(["\n".join([head, "", *imports]), *definitions])


def define_net(costed: Cost, text: str, name: str = "Net", *, shape: Shape) -> list[str]:
    """Return the definitions of a source: what the class needs, then the class."""
    if not name.isidentifier() or keyword.iskeyword(name) or name in _RESERVED:
        raise ArgumentError(
            "`name` must be a name for a class, and none of "
            f"{', '.join(_RESERVED)}, but got name={name!r}"
        )
    body = "\n".join(_write_blocks(costed))
    scores = format_shape(costed.shape if costed.shape[1:] != (1, 1) else costed.shape[:1])
    about = (
        f"{costed.params:,} parameters; a {format_shape(shape)} image to {scores} "
        f"{'class scores' if costed.shape[1:] == (1, 1) else 'values'}."
    )
    notation = textwrap.fill(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    doc = textwrap.indent(f'"""{about}\n\n{notation}\n"""' if text else f'"""{about}"""', "    ")
    cls = f"class {name}(nn.Sequential):\n{doc}\n\n    def __init__(self) -> None:\n{body}\n"
    return [*list_helpers(body), cls]


# Blocks ------------------------------------------------------------------------------------------


def _write_blocks(costed: Cost) -> Iterator[str]:
    """Yield the lines of the constructor."""
    rows = {row.place: row for row in costed.rows}
    names = name_blocks(costed.steps)
    last = len(costed.steps) - 1
    for index, (step, name) in enumerate(zip(costed.steps, names, strict=True)):
        yield f"        # {_format_comment(rows[f'[{index}]'])}"
        block = _make_block(step, f"[{index}]", rows, final=index == last)
        yield from write_lines(f"{name} = ", block, "", 8)
    flat = costed.shape[1:] == (1, 1)
    ends = [("", "nn.Flatten()")] if flat and not _ends_in_linear(costed.steps) else []
    call = Call("super().__init__", (*(("", name) for name in names), *ends))
    yield from write_lines("", call, "", 8)


def name_blocks(steps: Iterable[Step]) -> list[str]:
    """Return the names of the blocks: their kinds, numbered if a kind occurs several times."""
    kinds = [kind_of(type(step.layer)) for step in steps]
    totals, numbers, names = Counter(kinds), Counter[str](), []
    for kind in kinds:
        numbers[kind] += 1
        names.append(kind if totals[kind] == 1 else f"{kind}{numbers[kind]}")
    return names


def _format_comment(row: Row) -> str:
    suffix = " and the whole image" if row.whole_image else ""
    return f"{format_shape(row.shape)}, receptive field {row.receptive_field}{suffix}"


def _ends_in_linear(steps: tuple[Step, ...]) -> bool:
    return bool(steps) and any(isinstance(op, Dense) for _, op in steps[-1].ops)


def _make_block(
    step: Step, place: str, rows: dict[str, Row], *, final: bool = False
) -> Expression:
    """Return a layer's operations by name; a single one without tensors needs no name.

    A linear layer takes and returns vectors. If another layer follows, `Unflatten` makes the
    vector an image again.
    """
    named: list[tuple[str, Expression]] = []
    for name, op in step.ops:
        inner = op.core if isinstance(op, PerPass) else op
        if isinstance(inner, Dense):
            named.append(("flatten", "nn.Flatten()"))
        named.append((name, _make_operation(op, place, rows)))
        if isinstance(inner, Dense) and not final:
            named.append(("unflatten", f"nn.Unflatten(1, ({inner.outputs}, 1, 1))"))
    cores = [op.core if isinstance(op, PerPass) else op for _, op in step.ops]
    if len(named) == 1 and not step.params and not isinstance(cores[0], BatchNorm):
        return named[0][1]
    return Call("block", tuple(named), broken=len(named) > 1)


def _make_operation(op: Op, place: str, rows: dict[str, Row]) -> Expression:
    if isinstance(op, PerPass):
        one = _make_operation(op.op, place, rows)
        each = (("each", str(op.each)),) if op.each > 1 else ()
        return Call("PerPass", ((("", one),) * op.passes) + each)
    if isinstance(op, Add | Iterate):
        return _make_body(op, place, rows)
    if isinstance(op, Branches):
        return _make_branches(op, place, rows)
    if isinstance(op, Custom):
        raise DesignError(
            "source can be written for the library's own layer kinds, but got "
            f"{kind_of(type(op.layer))!r} at {place}: its code is yours"
        )
    return write_leaf(op)


def _make_branches(op: Branches, place: str, rows: dict[str, Row]) -> Call:
    branches: list[tuple[str, Expression]] = []
    for name, body in list_bodies(op):
        places = [f"{place}.{name}[{index}]" for index in range(len(body))]
        layers = tuple(
            ("", _make_block(step, at, rows)) for step, at in zip(body, places, strict=True)
        )
        comments = tuple(_format_comment(rows[at]) for at in places)
        branches.append((name, Call("nn.Sequential", layers, comments, broken=bool(body))))
    return Call("Branches", (*branches, ("by", f'"{op.by}"')), broken=True)


def _make_body(op: Add | Iterate, place: str, rows: dict[str, Row]) -> Call:
    places = [f"{place}.body[{index}]" for index in range(len(op.body))]
    arguments: list[tuple[str, Expression]] = [
        ("", _make_block(step, at, rows)) for step, at in zip(op.body, places, strict=True)
    ]
    if isinstance(op, Iterate):
        arguments.append(("passes", str(op.passes)))
    elif op.size is not None:
        arguments.append(("size", f"({op.size[0]}, {op.size[1]})"))
    if isinstance(op, Add) and op.project is not None:
        arguments.append(("project", _make_operation(op.project, place, rows)))
    return Call(
        "Residual" if isinstance(op, Add) else "Loop",
        tuple(arguments),
        tuple(_format_comment(rows[at]) for at in places),
        broken=True,
    )
