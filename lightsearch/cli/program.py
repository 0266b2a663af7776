"""The command `lightsearch`. Its commands load torch and the like only if they need them."""

from __future__ import annotations

import click

from lightsearch.cli.compare import compare
from lightsearch.cli.completion import completion
from lightsearch.cli.confirm import confirm
from lightsearch.cli.doctor import doctor
from lightsearch.cli.export import export, predict
from lightsearch.cli.leaderboard import leaderboard
from lightsearch.cli.options import Commands
from lightsearch.cli.own_layers import OPTION, import_file
from lightsearch.cli.pack import pack, unpack
from lightsearch.cli.report import report
from lightsearch.cli.search import search
from lightsearch.cli.show import show, zoo
from lightsearch.cli.space import space
from lightsearch.cli.studies import studies
from lightsearch.cli.train import train


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from lightsearch.study.trial import versions

        numbers = versions()
        click.echo(
            f"lightsearch {numbers['lightsearch']} (torch {numbers['torch']}, "
            f"Python {numbers['python']})"
        )
        context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.option(
    OPTION,
    "files",
    multiple=True,
    type=click.Path(),
    metavar="FILE.py",
    help="Import this file first, which registers layers of your own. May stand anywhere.",
)
@click.pass_context
def main(context: click.Context, /, files: tuple[str, ...]) -> None:
    """Search for small CNNs within a hard parameter budget.

    \b
    lightsearch search --dataset digits --target 0.95   a search of minutes, no download
    lightsearch search                                  at most 8,000 parameters, on MNIST
    lightsearch studies                                 the studies here, the latest first
    lightsearch leaderboard [STUDY]                     what a study has found, or the latest
    lightsearch report [STUDY]                          the same as a page, with pictures
    lightsearch confirm [--study STUDY]                 whether its best hold with other seeds
    lightsearch compare STUDY STUDY                     which way of searching is better
    lightsearch zoo                                     published networks to compare with
    lightsearch doctor                                  what is installed and found here

    Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 stopped with Ctrl-C; `search`
    and `confirm` have 3, `train` has 4, which their --help explains.
    """
    for file in files:
        import_file(file)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    search,
    studies,
    leaderboard,
    report,
    confirm,
    compare,
    show,
    train,
    export,
    predict,
    pack,
    unpack,
    zoo,
    space,
    doctor,
    completion,
):
    main.add_command(_command)
