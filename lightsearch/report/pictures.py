"""The pictures of a report: SVG that follows the page's light or dark, or PNG."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from matplotlib import style
from matplotlib.figure import Figure

from lightsearch.errors import LightsearchError
from lightsearch.plots.plots import Plots
from lightsearch.plots.result import Result

_INK = "#010203"  # stands for the page's own colour of text, and is used for nothing else
_THEME = """<style>svg{color:#1c1c1c}
@media (prefers-color-scheme:dark){svg{color:#e8e8e8}}</style>"""
_PLAIN: dict[str, str] = {"figure.facecolor": "none", "axes.facecolor": "none", **dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color",
     "ytick.color", "xtick.labelcolor", "ytick.labelcolor", "legend.labelcolor"), _INK)}


@dataclass(frozen=True, slots=True)
class Kind:
    """A picture by its name in `result.plot`, with its words and its height in inches."""

    name: str
    title: str
    text: str
    height: float = 4.5


KINDS = (
    Kind("pareto", "Parameters and accuracy", "Each mark is a design: its parameters, and the "
         "accuracy of its best epoch. The upper left is where one wants to be. Numbers are those "
         "of trials."),
    Kind("curves", "Accuracy by epoch", "One line a trial. Pruned trials end where they were "
         "cut."),
    Kind("progress", "How the search went", "The best accuracy so far, and the hits, against the "
         "epochs that were trained."),
    Kind("choices", "Which decisions matter", "Optuna's importances (PED-ANOVA), and what chance "
         "gives, by shuffling the accuracies: only what is above that says something.", 5.4),
    Kind("space", "The space", "All its designs by their number of parameters: counted, not only "
         "those that were drawn.", 3.8),
)
WIDE, NARROW = 7.2, 3.7  # inches


def figure(result: Result, kind: Kind, width: float = WIDE) -> Figure:
    """A picture in a figure of its own: no window, and nothing that pyplot would keep.

    Raises `LightsearchError` where it cannot be drawn.
    """
    made = Figure(figsize=(width, kind.height + (0.6 if width < WIDE else 0)),
                  layout="constrained")
    getattr(Plots(result), kind.name)(ax=made.subplots())
    return made


def svg(result: Result, kind: Kind, width: float) -> str:
    """A picture as an SVG in a data URI, whose ink is dark on a light page and light on a dark."""
    out = io.StringIO()
    with style.context(["default", {**_PLAIN, "svg.hashsalt": kind.name}]):
        figure(result, kind, width).savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg"):].replace(_INK, "currentColor")
    head = text.index(">") + 1
    whole = (text[:head] + _THEME + text[head:]).encode()
    return "data:image/svg+xml;base64," + base64.b64encode(whole).decode()


def png(result: Result, kind: Kind) -> bytes:
    """A picture as a PNG on a white ground of its own."""
    out = io.BytesIO()
    with style.context("default"):
        figure(result, kind).savefig(out, format="png", dpi=130)
    return out.getvalue()


def why_not(error: LightsearchError) -> str:
    """What is said in a picture's place."""
    return f"Not drawn: {error}."
