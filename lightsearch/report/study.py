"""A study's report: one HTML page that needs nothing else, or Markdown with PNGs."""

from __future__ import annotations

from pathlib import Path

import jinja2

from lightsearch.errors import ArgumentError, LightsearchError
from lightsearch.report import pictures
from lightsearch.report.facts import HEADS, facts
from lightsearch.result import SearchResult


def write_html(result: SearchResult, path: Path) -> Path:
    """Write the page, with its pictures inside and without any script; gives `path`.

    Raises `ArgumentError` where the file cannot be written.
    """
    shown = []
    for kind in pictures.KINDS:
        try:
            wide, narrow = (pictures.svg(result, kind, width)
                            for width in (pictures.WIDE, pictures.NARROW))
            shown.append((kind, wide, narrow, ""))
        except LightsearchError as error:
            shown.append((kind, "", "", pictures.why_not(error)))
    return written(path, template("study.html").render(
        facts=facts(result), heads=HEADS, pictures=shown))


def write_markdown(result: SearchResult, path: Path) -> Path:
    """Write the same as Markdown, with PNGs in a folder that bears the file's name; gives `path`.

    Raises `ArgumentError` where a file cannot be written.
    """
    folder = path.with_suffix("")
    if folder == path:
        folder = path.with_name(path.name + "-pictures")
    shown = []
    for kind in pictures.KINDS:
        try:
            image = pictures.png(result, kind)
        except LightsearchError as error:
            shown.append((kind, "", pictures.why_not(error)))
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{kind.name}.png").write_bytes(image)
        except OSError as error:
            raise ArgumentError(_unwritable(folder, error)) from None
        shown.append((kind, f"{folder.name}/{kind.name}.png", ""))
    return written(path, template("study.md").render(
        facts=facts(result), heads=HEADS, pictures=shown))


def template(name: str) -> jinja2.Template:
    """A page to be filled in; what is put into HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lightsearch.report"), trim_blocks=True, lstrip_blocks=True,
        autoescape=jinja2.select_autoescape(["html"]), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True)
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    return environment.get_template(name)


def written(path: Path, text: str) -> Path:
    """Write a file; gives its path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArgumentError(_unwritable(path, error)) from None
    return path


def _unwritable(path: Path, error: OSError) -> str:
    return f"`out` must be a file that can be written, but {path}: {error}"
