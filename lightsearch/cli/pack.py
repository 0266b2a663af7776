"""`lightsearch pack` and `lightsearch unpack`."""

from __future__ import annotations

import click

from lightsearch.cli.options import force_option


@click.command(short_help="Write a study as one archive, to be opened elsewhere.")
@click.argument("study", type=click.Path())
@click.argument("file", type=click.Path())
@force_option
def pack(study: str, file: str, force: bool) -> None:
    """Write a study's folder as one ZIP file.

    STUDY is its folder, which no search may be using. FILE has all that the study is and needs to
    go on: trials, weights, confirmations, and images of your own, if it was of those. Names of
    this machine, paths and reports are not in it.

    \b
    lightsearch pack small small.zip
    """
    from lightsearch.study.packing import pack as pack_study

    click.echo(str(pack_study(study, file, force=force)))


@click.command(short_help="Make a study's folder of an archive.")
@click.argument("file", type=click.Path())
@click.argument("folder", type=click.Path())
@click.option(
    "--most-bytes",
    type=int,
    help="Refuse archives that have more than this in all.  [default: 8 GiB]",
)
def unpack(file: str, folder: str, most_bytes: int | None) -> None:
    """Make a study's folder of an archive that `lightsearch pack` wrote.

    FOLDER must be new. All that works on a study works on it, and the search that made it goes on
    with --study FOLDER. Nothing in FILE is run; links, and files that no study has, are refused.

    \b
    lightsearch unpack small.zip copy
    """
    from lightsearch.study.unpacking import MOST_BYTES
    from lightsearch.study.unpacking import unpack as unpack_study

    size = MOST_BYTES if most_bytes is None else most_bytes
    click.echo(str(unpack_study(file, folder, most_bytes=size)))
