"""A report by one call, as `lightsearch report` writes it."""

from __future__ import annotations

from pathlib import Path

from lightsearch.checks import check_free, check_kind, check_path
from lightsearch.report.study import write_html, write_markdown
from lightsearch.result import SearchResult, load_result


def write_report(
    study: SearchResult | str | Path, path: str | Path | None = None, *, force: bool = False
) -> Path:
    """Write the report of a study, and return the file's path.

        write_report(result)
        write_report("small", "docs/small.md")

    `study` is a result or a study's folder. The file is a page that needs no other, or Markdown
    with PNGs beside it if `path` ends in .md. By default it is report.html in the study's folder,
    which is written anew each time.

    Raises `ArgumentError` if `path` is there, unless `force` is given, or cannot be written.
    """
    if isinstance(study, str | Path):
        study = load_result(study)
    check_kind("study", study, SearchResult, "a result of a search, or a study's folder")
    if path is None:
        return write_html(study, study.folder / "report.html")
    file = check_path("path", path)
    check_free("path", file, force=force)
    return write_markdown(study, file) if file.suffix == ".md" else write_html(study, file)
