"""A study's report: one HTML page without other files, or Markdown with PNGs."""

from __future__ import annotations

import html
import os
from pathlib import Path
from urllib.parse import quote

import jinja2

from lightsearch.errors import LightsearchError, escape_controls
from lightsearch.formatting import MEAN_HEADS
from lightsearch.plots.plots import Plots
from lightsearch.report import pictures
from lightsearch.report.facts import MINOR, facts
from lightsearch.report.result import SearchResult
from lightsearch.report.writing import check_own, check_own_pictures, write_report_text
from lightsearch.study.listing import is_study


def write_html(result: SearchResult, path: Path, *, force: bool = False) -> Path:
    """Write the page, with its plots inside and without scripts, and return `path`.

    Raises `ArgumentError` if the file cannot be written, or stands there and is not a report as it
    was written, unless `force` replaces it.
    """
    check_own(path, force=force)
    drawn, plots = [], Plots(result)
    for kind in pictures.KINDS:
        try:
            wide, narrow = (
                pictures.svg(plots, kind, width) for width in (pictures.WIDE, pictures.NARROW)
            )
            drawn.append((kind, wide, narrow, ""))
        except LightsearchError as error:
            drawn.append((kind, "", "", pictures.failure_text(error)))
    return write_report_text(
        path,
        template("study.html").render(
            facts=facts(result), minor=MINOR, mean_heads=MEAN_HEADS, pictures=drawn
        ),
    )


def write_markdown(result: SearchResult, path: Path, *, force: bool = False) -> Path:
    """Write the same as Markdown, with PNGs in a folder named as the file, and return `path`.

    If that is a study's folder, or the file's own name, `-pictures` is added to its name.

    Raises `ArgumentError` as `write_html` does, and for pictures there that are not the report's.
    """
    check_own(path, force=force)
    folder = path.with_suffix("")
    if folder == path or is_study(folder):
        folder = path.with_name(path.name + "-pictures")
    link = quote(os.fsencode(folder.name))  # a space would end it, and a name may not be UTF-8
    drawn, files, plots = [], {}, Plots(result)
    for kind in pictures.KINDS:
        try:
            files[folder / f"{kind.name}.png"] = pictures.png(plots, kind)
            drawn.append((kind, f"{link}/{kind.name}.png", ""))
        except LightsearchError as error:
            drawn.append((kind, "", pictures.failure_text(error)))
    check_own_pictures(path, files, force=force)
    return write_report_text(
        path,
        template("study.md").render(facts=facts(result), mean_heads=MEAN_HEADS, pictures=drawn),
        files,
    )


def template(name: str) -> jinja2.Template:
    """Load a template. It escapes what is put into HTML, and control characters everywhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lightsearch.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=jinja2.select_autoescape(["html"]),
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    environment.filters["text"] = lambda text: html.escape(str(text), quote=False)
    # A quote in its place would end that around a folder's name in a line for the shell.
    environment.filters["code"] = lambda text: str(text).replace("`", "?")
    return environment.get_template(name)


def _finalize(value: object) -> object:
    """Return what a template writes of a value. A macro's HTML has been through this already."""
    return value if hasattr(value, "__html__") else escape_controls(str(value))
