"""The layers of a design in a report: summary, receptive fields, code; and what is left out."""

from __future__ import annotations

from dataclasses import dataclass

from lightsearch.errors import DesignError, NotationError
from lightsearch.network.cost import Row, cost
from lightsearch.network.source import to_source
from lightsearch.notation.arguments import explain_gap
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape, format_shape


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of the table of receptive fields, as text."""

    layer: str
    output: str
    params: str
    field: str
    jump: int


@dataclass(frozen=True, slots=True)
class Layers:
    """What a page says of a design's layers. `gap` says why there is no summary and no table."""

    summary: str = ""
    rows: tuple[Layer, ...] = ()
    code: str = ""
    gap: str = ""
    code_gap: str = ""


def describe_layers(text: str, shape: Shape, note: str) -> Layers:
    """Return the summary, rows and code of a design.

    A layer that is not registered here leaves all of them out, one of the user's own the code.
    """
    from lightsearch.network.modules import summary  # here, since it loads torch
    from lightsearch.standalone.script import escape_docstring  # likewise

    try:
        design = parse(text)
    except NotationError as error:
        gap = explain_gap(error)
        return Layers(gap=gap, code_gap=gap)
    code, gap = "", ""
    try:
        code = to_source(design, shape=shape, note=escape_docstring(note)).strip()
    except DesignError as error:
        gap = str(error)
    rows = tuple(_layer(row) for row in cost(design, shape).rows)
    return Layers(summary(design, shape).strip(), rows, code, code_gap=gap)


def _layer(row: Row) -> Layer:
    inner = "- " * row.place.count("].")
    return Layer(
        inner + row.layer,
        format_shape(row.shape),
        f"{row.params:,}",
        f"{row.receptive_field}{'+' if row.whole_image else ''}",
        row.jump,
    )
