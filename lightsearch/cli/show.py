"""`lightsearch show` and `lightsearch zoo`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import click

from lightsearch.cli.design_argument import Picked, design_options, pick, pick_row
from lightsearch.cli.images import (
    check_dataset,
    check_sizes,
    dataset_option,
    images_of,
    shape_of_row,
    shape_option,
    size_options,
)
from lightsearch.cli.options import json_option
from lightsearch.cli.output import print_json, print_table
from lightsearch.data.image_size import Size
from lightsearch.errors import NotationError
from lightsearch.formatting import activation_text
from lightsearch.network.cost import Cost, cost
from lightsearch.network.fingerprint import fingerprint
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape, format_shape
from lightsearch.zoo.entries import ZooName
from lightsearch.zoo.networks import Entry
from lightsearch.zoo.networks import zoo as entries

if TYPE_CHECKING:
    from lightsearch.exporting.c.boards import Board


@click.command(short_help="Show a design layer by layer.")
@design_options
@dataset_option
@size_options
@shape_option
@click.option("--torchinfo", is_flag=True, help="Print torchinfo's summary of the module instead.")
@click.option(
    "--board",
    metavar="NAME",
    help="Show also what of its C files fits a board: uno-r4, pico, ..., or all.",
)
@json_option
def show(
    design: str | None,
    row: int | None,
    leaderboard: str | None,
    torchinfo: bool,
    board: str | None,
    as_json: bool,
    **images: Any,
) -> None:
    """Show a design layer by layer: output shape, parameters, MACs, receptive field.

    DESIGN is notation, @FILE, or a name of the zoo. The receptive field is in pixels of the
    image, the jump is the distance on it between neighbouring outputs. A `+` marks layers that
    see the whole image besides, as squeeze-and-excitation does.

    \b
    lightsearch show 'conv(8) maxpool separable(16) gap linear(10)'
    lightsearch show s1-final
    lightsearch show s1-final --torchinfo
    lightsearch show --row 1
    lightsearch show s1-final --board uno-r4
    lightsearch show --row 1 --leaderboard small/leaderboard.csv
    lightsearch show 'conv(8) gap linear(7)' --shape 3x60x80
    """
    if torchinfo and as_json:
        raise click.UsageError("--torchinfo and --json must not be given together")
    boards = _find_boards(board)
    picked = (pick if as_json else _pick)(design, row, leaderboard)
    if picked is None:
        return
    sizes = _find_shape(picked, **images)
    costs = cost(picked.design, sizes)
    if as_json:
        about_boards = {"boards": _fits(boards, costs, sizes)} if boards else {}
        print_json({**_as_json(picked, costs, sizes), **about_boards})
    elif torchinfo:
        from lightsearch.network.modules import summary

        click.echo(summary(picked.design, sizes))
    else:
        click.echo(f"{picked.design}\n")
        _print_layers(costs, sizes)
        click.echo(
            f"\n{_totals(costs)}\nfingerprint {fingerprint(picked.design, sizes)}, for "
            f"images of {format_shape(sizes)}"
        )
    if boards and not as_json:
        _show_boards(boards, costs, sizes)


def _pick(design: str | None, row: int | None, leaderboard: str | None) -> Picked | None:
    """Return what is to be shown. A row whose layers are not known here is shown without them."""
    if design is not None or row is None:
        return pick(design, row, leaderboard)
    found, path = pick_row(row, leaderboard)
    try:
        return Picked(parse(str(found["design"])), row=found, path=path)
    except NotationError as error:
        click.echo(
            f"{found['design']}\n\n{found['params']:,} parameters, {found['macs']:,} MACs, "
            f"receptive field {found['receptive_field']}, by the row\n"
            f"its layers cannot be shown: {error.expected}"
        )
        return None


def _find_shape(
    picked: Picked, *, dataset: str | None, size: Size | None, gray: bool, shape: Shape | None
) -> Shape:
    """Return the shape of the images: as given, of the data set, or of the row's own images."""
    check_sizes(dataset, size, gray)
    if shape is not None and (size is not None or gray):
        raise click.UsageError("--shape must be given without --size and --gray")
    if shape is not None:
        if dataset is not None:
            check_dataset(dataset)
        return shape
    if dataset is None and picked.row is not None and picked.path is not None:
        return shape_of_row(picked.row, picked.path)
    return images_of(dataset, None, classes=1, size=size, gray=gray)[0]  # whatever the classes


def _print_layers(costs: Cost, shape: Shape) -> None:
    heads = ["place", "layer", "output", "params", "MACs", "field", "jump"]
    rows = (
        [
            row.place,
            row.layer,
            format_shape(row.shape),
            f"{row.params:,}",
            f"{row.macs:,}",
            f"{row.receptive_field}{'+' if row.whole_image else ''}",
            row.jump,
        ]
        for row in costs.rows
    )
    print_table(
        heads, [["", "image", format_shape(shape), "", "", 1, 1], *rows], left=("place", "layer")
    )


def _totals(costs: Cost) -> str:
    whole = " (and the whole image)" if costs.whole_image else ""
    return (
        f"{costs.params:,} parameters, {costs.macs:,} MACs, {costs.activation_bytes:,} "
        f"{activation_text(costs.activation_bytes)}, "
        f"receptive field {costs.receptive_field}{whole}"
    )


def _find_boards(name: str | None) -> list[Board]:
    if name is None:
        return []
    from lightsearch.exporting.c.boards import BOARDS, find_board

    if name == "all":
        return list(BOARDS.values())
    return [find_board(name)]


def _fits(boards: list[Board], costs: Cost, shape: Shape) -> list[dict[str, Any]]:
    from lightsearch.exporting.c.boards import fit
    from lightsearch.exporting.c.sizes import count_bytes

    sizes = count_bytes(costs, shape).items()
    return [
        {**dataclasses.asdict(board), **dataclasses.asdict(fit(board, kind, *bytes_of))}
        for board in boards
        for kind, bytes_of in sizes
    ]


def _show_boards(boards: list[Board], costs: Cost, shape: Shape) -> None:
    from lightsearch.exporting.c.boards import CODE, STACK

    heads = ["board", "flash", "RAM", "C file", "constants", "memory", "", "source"]
    numbers = ("flash", "ram", "kind", "constants", "memory")
    fits = _fits(boards, costs, shape)
    rows = [
        [
            one["name"],
            *(f"{one[n]:,}" if n != "kind" else one[n] for n in numbers),
            f"too little {' and '.join(one['lacks'])}" if one["lacks"] else "fits",
            one["source"],
        ]
        for one in fits
    ]
    click.echo()
    print_table(heads, rows, left=("board", "C file", "", "source"))
    click.echo(
        f"in bytes; it fits if {CODE:,} of flash are left for code, {STACK:,} of RAM for the stack"
    )
    if all(one["kind"] != "int8" for one in fits):
        click.echo("it has no int8 file: a group or layer norm needs floating point")


def _as_json(picked: Picked, costs: Cost, shape: Shape) -> dict[str, Any]:
    totals = (
        "params",
        "macs",
        "activation_bytes",
        "activation_bytes_int8",
        "receptive_field",
        "jump",
        "whole_image",
    )
    return {
        "design": str(picked.design),
        "name": picked.entry.name if picked.entry else None,
        "fingerprint": fingerprint(picked.design, shape),
        "input": shape,
        "output": costs.shape,
        **{name: getattr(costs, name) for name in totals},
        "layers": [dataclasses.asdict(row) for row in costs.rows],
    }


# The zoo -----------------------------------------------------------------------------------------


@click.command(short_help="List the published networks, or show one.")
@click.argument("name", required=False)
@json_option
def zoo(name: str | None, as_json: bool) -> None:
    """List the networks that the source documents publish, or show one.

    Accuracies are the documents' own, in percent of MNIST's test images, one run each. Train one
    with `lightsearch train NAME`.

    \b
    lightsearch zoo
    lightsearch zoo s1-final
    lightsearch zoo --json
    """
    if name is not None:
        entry = entries[cast("ZooName", name)]  # which refuses others, and says what it has
        print_json(_entry(entry)) if as_json else _show(entry)
    elif as_json:
        print_json([_entry(entry) for entry in entries.values()])
    else:
        heads = ["name", "params", "MACs", "field", "layers", "epochs", "published", "source"]
        print_table(heads, map(_line, entries.values()), left=("name", "source"))


def _line(entry: Entry) -> list[object]:
    costs = cost(entry.design)
    return [
        entry.name,
        f"{costs.params:,}",
        f"{costs.macs:,}",
        costs.receptive_field,
        len(costs.rows),
        entry.epochs,
        f"{entry.best:.2f}%",
        entry.source,
    ]


def _show(entry: Entry) -> None:
    costs = cost(entry.design)
    click.echo(f"{entry.name}, {entry.source}\n{entry.design}\n")
    _print_layers(costs, (1, 28, 28))
    click.echo(f"\n{_totals(costs)}")
    click.echo(f"published  {entry.best:.2f}% at best within {entry.epochs} epochs")
    if entry.accuracies:
        click.echo("by epoch   " + " ".join(f"{one:.2f}" for one in entry.accuracies))
    click.echo(f"recipe     {entry.recipe}")
    if entry.assumed:
        click.echo(f"assumed    {', '.join(entry.assumed)}")
    if entry.note:
        click.echo(f"note       {entry.note}")


def _entry(entry: Entry) -> dict[str, Any]:
    costs = cost(entry.design)
    return {
        "name": entry.name,
        "source": entry.source,
        "design": str(entry.design),
        "params": costs.params,
        "macs": costs.macs,
        "receptive_field": costs.receptive_field,
        "best": entry.best,
        "accuracies": entry.accuracies,
        "epochs": entry.epochs,
        "recipe": str(entry.recipe),
        "assumed": entry.assumed,
        "note": entry.note,
    }
