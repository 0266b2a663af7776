"""`lightsearch search`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.leaderboard import print_board
from lightsearch.cli.options import (
    NO_HIT,
    STOPPED,
    budget_of,
    budget_options,
    data_option,
    dataset_option,
    defaults,
    json_option,
    notation,
    option,
)
from lightsearch.cli.output import print_json, records
from lightsearch.design.recipe import DEFAULT_RECIPE

if TYPE_CHECKING:
    import pandas as pd

    from lightsearch.result import SearchResult


@click.command(short_help="Search for designs that reach a target within a budget.")
@budget_options
@option("--epochs", "Epochs that each design is trained at most.", type=int)
@option("--target", "Test accuracy that counts as a hit, from 0 to 1.", type=float)
@option("--trials", "Designs to train in all, earlier calls included.", type=int)
@dataset_option
@data_option
@option("--space", "What is drawn from: notation, or @FILE.", callback=notation,
        otherwise="see `lightsearch space`")
@option("--recipe", "How designs are trained: notation, or @FILE.", callback=notation,
        otherwise=str(DEFAULT_RECIPE))
@option("--workers", "Trials at once.", type=int,
        otherwise="the cores of this machine, or --slots-per-gpu for each GPU")
@option("--slots-per-gpu", "Trials at once on each GPU, in place of --workers.", type=int,
        otherwise="4")
@click.option("--dask", metavar="ADDRESS", help=(
    "Train on the Dask cluster of this scheduler, as many trials at once as it has workers, or "
    "--workers."))
@click.option("--size", type=int, metavar="PIXELS", help=(
    "Side to which the images of a folder or of torchvision's sets are brought.  [default: 32]"))
@click.option("--gray", is_flag=True, help="Bring them to gray, too.")
@click.option("--keep-orientation", is_flag=True, help=(
    "Do not turn images in training: where that would change what they mean."))
@option("--study", "Folder of the study.", type=click.Path(), metavar="FOLDER",
        otherwise="by its question, under lightsearch-studies")
@option("--seed", "Seed of everything random.", type=int)
@option("--timeout", "Seconds after which the search stops, resumable.", type=float)
@option("--epoch-timeout", "Seconds after which an epoch that hangs is run again.", type=float)
@option("--stop-after-hits", "Hits after which no new design is trained.", type=int)
@option("--sampler", "Who proposes: tpe or random.", metavar="NAME")
@option("--pruner", "Who prunes: target, median, halving or none.", metavar="NAME")
@option("--device", "cpu, cuda or auto.", metavar="NAME")
@option("--engine", "What trains: native, torch or auto.", metavar="NAME")
@option("--precision", "Of training steps: float32, or with torch bf16, or on a GPU tf32.",
        metavar="NAME")
@option("--select-on", "What drives pruning, hits and ranking: test, the test images, or val, "
        "images held out of the training ones.", metavar="NAME")
@option("--val-size", "Images held out, with --select-on val.", type=int,
        otherwise="a sixth of the training images")
@option("--val-seed", "Seed by which they are drawn.", type=int)
@click.option("--repeatable/--no-repeatable", default=True, help=(
    "Whether the result depends on nothing but the question, at the cost of some waiting among "
    "workers.  [default: --repeatable]"))
@option("--confirm", "Fresh seeds with which the best hits are trained again at the end: see "
        "`lightsearch confirm`.", type=int, metavar="SEEDS", otherwise="none")
@option("--confirm-top", "How many hits that is done for.", type=int)
@click.option("--quiet", is_flag=True, help="No progress display.")
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
    lightsearch search --dataset ./leaves --size 32 --keep-orientation --target 0.9

    With --json, standard output has the result alone, and the progress goes to standard error.

    Exit codes: 0 with a hit, 3 when it is over without any, 1 if something failed, 2 for wrong
    arguments, 130 when stopped with Ctrl-C.
    """
    try:
        result, stopped = _searched(given, quiet=quiet, to_stderr=as_json)
    except KeyboardInterrupt:
        _say_how_to_go_on(context)
        context.exit(STOPPED)
    board = result.leaderboard
    if as_json:
        print_json(_result(result, board))
    elif quiet:
        print_board(board)
    if stopped:
        _say_how_to_go_on(context)
        context.exit(STOPPED)
    context.exit(0 if len(board) else NO_HIT)


def _say_how_to_go_on(context: click.Context) -> None:
    line = shlex.join(["lightsearch", *context.find_root().meta["line"]])
    click.echo(f"lightsearch: stopped; the same line again continues:\n  {line}", err=True)


def _searched(given: dict[str, Any], *, quiet: bool,
              to_stderr: bool) -> tuple[SearchResult, bool]:
    """What the study holds in the end, and whether the search was stopped before it was over."""
    from rich.console import Console

    caps = budget_of(*(given.pop(name) for name in
                       ("budget", "budget_macs", "budget_activation_bytes",
                        "budget_activation_bytes_int8")))
    arguments = {name: value for name, value in given.items() if value is not None}
    seeds = arguments.pop("confirm", None)
    top = arguments.pop("confirm_top", defaults()["confirm_top"])
    dask, size, gray = (arguments.pop(name, None) for name in ("dask", "size", "gray"))
    console = Console(stderr=to_stderr, quiet=quiet)
    with console.status("looking at the data and the space ..."):
        from lightsearch.api import check_confirm, confirm_best, run
        from lightsearch.progress.display import shown
        from lightsearch.result import load_result
        from lightsearch.searching.events import Stopped
        from lightsearch.searching.settings import ask

        check_confirm(seeds, top)
        if size is not None or gray:
            from lightsearch.data.image_files import open_dataset

            arguments["dataset"] = open_dataset(
                arguments.get("dataset") or defaults()["dataset"], arguments.get("data"),
                size=size or 32, gray=bool(gray))
        slots = None
        if dask is not None:
            from lightsearch.workers.dask import dask_slots

            slots = dask_slots(dask, arguments.get("workers"))
            arguments["workers"] = len(slots)
        question = ask(caps, **arguments, untimed=quiet)
    show = functools.partial(shown, console=console)
    last = Stopped("")
    for event in run(question, slots=slots, show=None if quiet else show):
        if isinstance(event, Stopped):
            last = event
    if seeds is not None and not last.asked:
        with contextlib.redirect_stdout(sys.stderr if to_stderr else sys.stdout):
            confirm_best(question, seeds, top, quiet=quiet)
    return load_result(question.folder, last.reason), last.asked


def _result(result: SearchResult, board: pd.DataFrame) -> dict[str, Any]:
    outcomes = [t.outcome for t in result.records]
    return {
        "study": str(result.folder), "reason": result.reason, "hits": len(board),
        "trials": {name: outcomes.count(name) for name in sorted(set(outcomes))},
        "counts": dataclasses.asdict(result.counts), "leaderboard": records(board),
    }
