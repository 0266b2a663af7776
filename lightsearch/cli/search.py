"""`lightsearch search`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.images import check_dataset, open_images, size_options
from lightsearch.cli.leaderboard import print_board
from lightsearch.cli.options import (
    NO_HIT,
    STOPPED,
    F,
    budget_of,
    budget_options,
    json_option,
    notation,
    option,
)
from lightsearch.cli.output import print_json, records
from lightsearch.cli.teaching import find_teachers, teacher_option
from lightsearch.searching.settings import SETTINGS, SearchSettings

if TYPE_CHECKING:
    import pandas as pd

    from lightsearch.result import SearchResult


# Caps have options of their own, slots come of --dask, and functions are for Python.
ELSEWHERE = {"budget", "slots", "objective", "directions", "teacher", "on_epoch", "on_trial"}
SPECIAL: dict[str, dict[str, Any]] = {
    "space": {"also": "Or @FILE.", "callback": notation},
    "recipe": {"also": "Or @FILE.", "callback": notation},
    "warm_start": {
        "metavar": "SOURCE",
        "multiple": True,
        "also": "May be given several times.",
        "callback": lambda context, parameter, several: list(several) or None,
    },
    "confirm": {"metavar": "SEEDS"},
}


def search_options(function: F) -> F:
    """An option for each setting."""
    for name in reversed(SETTINGS):
        if name not in ELSEWHERE:
            function = option(name, **SPECIAL.get(name, {}))(function)
    return function


@click.command(short_help="Search for designs that reach a target within a budget.")
@budget_options
@search_options
@click.option(
    "--dask",
    metavar="ADDRESS",
    help=(
        "Train on the Dask cluster of this scheduler, as many trials at once as it has workers, "
        "or --workers."
    ),
)
@size_options
@teacher_option
@json_option
@click.pass_context
def search(context: click.Context, /, quiet: bool, as_json: bool, **given: Any) -> None:
    """Search for designs within a budget that reach a target accuracy.

    It says first what it will train at most and about how long that takes here. Ctrl-C finishes
    the epochs that run and stops, a second Ctrl-C stops at once: either way the same line again
    continues the study. leaderboard.csv in the study's folder always holds the hits so far.

    \b
    lightsearch search --dataset digits --budget 3000 --epochs 12 --target 0.95 --trials 4
    lightsearch search --budget 5000 --trials 40 --study small
    lightsearch search --space 'conv(8|16) maxpool separable(16|32)*(1|2|3) gap linear(10)'
    lightsearch search --space @space.txt --recipe 'recipe(lr=0.1|0.3,ema=0.998)' --json
    lightsearch search --select-on val --confirm 10
    lightsearch search --goal smallest --trials 1000 --timeout 36000
    lightsearch search --budget 3000 --teacher large --study taught
    lightsearch search --dataset ./leaves --size 32 --keep-orientation --target 0.9
    lightsearch search --dataset ./leaves --size 60x80 --keep-orientation --target 0.9

    With --json, standard output has the result alone, and the progress goes to standard error.

    Exit codes: 0 with a hit, 3 when it is over without any, 1 if something failed, 2 for wrong
    arguments, 130 when stopped with Ctrl-C.
    """
    try:
        result, stopped = _run_search(given, quiet=quiet, to_stderr=as_json)
    except KeyboardInterrupt:
        _say_how_to_go_on(context)
        context.exit(STOPPED)
    board = result.leaderboard
    if as_json:
        print_json(_result(result, board))
    elif quiet:
        from lightsearch.study.board import rank_hits

        print_board(rank_hits(result.records, result.identity, confirmed=result.confirmations))
    if stopped:
        _say_how_to_go_on(context)
        context.exit(STOPPED)
    context.exit(0 if len(board) else NO_HIT)


def _say_how_to_go_on(context: click.Context) -> None:
    line = shlex.join(["lightsearch", *context.find_root().meta["line"]])
    click.echo(f"lightsearch: stopped; the same line again continues:\n  {line}", err=True)


def _run_search(
    given: dict[str, Any], *, quiet: bool, to_stderr: bool
) -> tuple[SearchResult, bool]:
    """What the study holds in the end, and whether the search was stopped before it was over."""
    from rich.console import Console

    console = Console(stderr=to_stderr, quiet=quiet)
    with console.status("looking at the data and the space ..."):
        from lightsearch.api import run_to_end
        from lightsearch.progress.display import show_progress
        from lightsearch.result import load_result
        from lightsearch.searching.question import resolve

        settings = _settings(given, quiet=quiet)
        question = resolve(settings)
    show = None if quiet else functools.partial(show_progress, console=console)
    with contextlib.redirect_stdout(sys.stderr if to_stderr else sys.stdout):
        last = run_to_end(question, settings, show)
    return load_result(question.folder, last.reason), last.asked


def _settings(given: dict[str, Any], *, quiet: bool) -> SearchSettings:
    """The settings that the options stand for."""
    caps = budget_of(
        *(
            given.pop(name)
            for name in (
                "budget",
                "budget_macs",
                "budget_activation_bytes",
                "budget_activation_bytes_int8",
                "min_receptive_field",
            )
        )
    )
    dask, sides, gray, teachers = (given.pop(name) for name in ("dask", "size", "gray", "teacher"))
    settings = SearchSettings(
        caps,
        quiet=quiet,
        teacher=find_teachers(teachers, given["data"]),
        **{name: value for name, value in given.items() if value is not None},
    )
    check_dataset(str(settings.dataset))
    if sides is not None or gray:
        data = None if settings.data is None else str(settings.data)
        images = open_images(str(settings.dataset), data, sides, gray)
        settings = dataclasses.replace(settings, dataset=images)
    if dask is not None:
        from lightsearch.workers.dask import dask_slots

        settings = dataclasses.replace(settings, slots=dask_slots(dask, settings.workers))
    return settings


def _result(result: SearchResult, board: pd.DataFrame) -> dict[str, Any]:
    outcomes = [t.outcome for t in result.records]
    return {
        "study": str(result.folder),
        "reason": result.reason,
        "hits": len(board),
        "trials": {name: outcomes.count(name) for name in sorted(set(outcomes))},
        "counts": dataclasses.asdict(result.counts),
        "best": None if (best := result.best) is None else str(best["design"]),
        "leaderboard": records(board),
    }
