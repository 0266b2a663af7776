"""The plots of a report: SVG that adapts to a light or dark page, or PNG."""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from lightsearch.errors import LightsearchError
from lightsearch.plots.plots import Plots
from lightsearch.plots.style import Layout

_INK = "#010203"  # stands for the page's colour of text; nothing else has it
_THEME = """<style>svg{color:#1c1c1c}
@media (prefers-color-scheme:dark){svg{color:#e8e8e8}}</style>"""
_PLAIN: dict[str, str] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "xtick.labelcolor",
            "ytick.labelcolor",
            "legend.labelcolor",
        ),
        _INK,
    ),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A plot: its name in `result.plot`, its title and caption, its height in inches."""

    name: str
    title: str
    text: str
    height: float = 4.5


KINDS = (
    Kind(
        "pareto",
        "Parameters and accuracy",
        "Each mark is a design: its parameters, and the "
        "accuracy of its best epoch. The upper left is where one wants to be. Numbers are those "
        "of trials.",
    ),
    Kind(
        "curves", "Accuracy by epoch", "One line a trial. Pruned trials end where they were cut."
    ),
    Kind(
        "progress",
        "How the search went",
        "The best accuracy so far, and the hits, against the epochs that were trained.",
    ),
    Kind(
        "choices",
        "Which decisions matter",
        "Optuna's importances (PED-ANOVA), and what chance "
        "gives, by shuffling the accuracies: only what is above that says something.",
        5.4,
    ),
    Kind(
        "space",
        "The space",
        "All its designs by their number of parameters: counted, not only those that were drawn.",
        3.8,
    ),
)
WIDE, NARROW = 7.2, 3.7  # inches


def figure(plots: Plots, kind: Kind, width: float = WIDE) -> Figure:
    """Draw a plot in a figure of its own, which pyplot neither shows nor keeps.

    Raises `LightsearchError` if it cannot be drawn.
    """
    high = kind.height + (0.6 if width < WIDE else 0)
    canvas = Figure(figsize=(width, high), layout=Layout())
    getattr(plots, kind.name)(ax=canvas.subplots())
    return canvas


def svg(plots: Plots, kind: Kind, width: float) -> str:
    """Return a plot as a data URI of SVG: dark ink on a light page, light ink on a dark one."""
    out = io.StringIO()
    with style.context(["default", {**_PLAIN, "svg.hashsalt": kind.name}]), _without_glyphs():
        canvas = FigureCanvasSVG(figure(plots, kind, width))
        # `savefig` would draw it twice, to the same text.
        canvas.print_svg(out, metadata={"Date": None})  # type: ignore[no-untyped-call]
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    head = text.index(">") + 1
    whole = (text[:head] + _THEME + text[head:]).encode()
    return "data:image/svg+xml;base64," + base64.b64encode(whole).decode()


def png(plots: Plots, kind: Kind) -> bytes:
    """Return a plot as a PNG on a white background."""
    out = io.BytesIO()
    with style.context("default"), _without_glyphs():
        figure(plots, kind).savefig(out, format="png", dpi=130)
    return out.getvalue()


@contextlib.contextmanager
def _without_glyphs() -> Iterator[None]:
    """Draw a character that the font does not have as a box, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def failure_text(error: LightsearchError) -> str:
    """Return the text in place of a plot that cannot be drawn."""
    return f"Not drawn: {error}."
