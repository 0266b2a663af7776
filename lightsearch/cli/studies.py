"""`lightsearch studies`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from lightsearch.checks import check_path
from lightsearch.cli.options import json_option
from lightsearch.cli.output import print_json, print_table
from lightsearch.errors import ArgumentError, StudyError, quote


@click.command(short_help="List the studies here: question, trials, hits, when.")
@click.argument("folder", required=False, default=".", type=click.Path(file_okay=False))
@json_option
def studies(folder: str, as_json: bool) -> None:
    """List the studies in FOLDER, by default here, the latest first.

    These are FOLDER itself, the folders in it, and those in its lightsearch-studies. Where another
    command is not told which study is meant, it takes the first of this list. `when` is when the
    study was last written to.

    \b
    lightsearch studies
    lightsearch studies ~/courses --json
    """
    place = check_path("folder", folder)
    if not place.is_dir():
        raise ArgumentError(
            f"`folder` must be a folder that is there, but got folder={quote(folder)}"
        )
    found = list(_describe(place))
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no study here yet: `lightsearch search` begins one")
    else:
        heads = ["study", "when", "trials", "hits", "question"]
        rows = ([_cell(study[name]) for name in heads] for study in found)
        print_table(heads, rows, left=("study", "question"))


def _describe(place: Path) -> Iterator[dict[str, Any]]:
    """Yield what is said of each study. One that cannot be read has its error as the question."""
    from lightsearch.study.identity import read_identity
    from lightsearch.study.journal import read_trials
    from lightsearch.study.listing import changed_at, find_studies
    from lightsearch.study.question import describe_question

    for folder in find_studies(place):
        when = datetime.fromtimestamp(changed_at(folder)).strftime("%Y-%m-%d %H:%M")
        about: dict[str, Any] = {"study": str(folder), "when": when, "trials": None, "hits": None}
        try:
            identity = read_identity(folder)
            assert identity is not None
            about["question"] = describe_question(identity)
            trials = read_trials(folder)
            about["trials"] = len(trials)
            about["hits"] = sum(identity.rule.is_hit(trial.epochs) for trial in trials)
        except StudyError as error:
            about["question"] = f"cannot be read: {error}"
        yield about


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
