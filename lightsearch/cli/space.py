"""`lightsearch space`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.images import dataset_option, images_of, shape_option, size_options
from lightsearch.cli.options import budget_of, budget_options, json_option, notation
from lightsearch.cli.output import print_json
from lightsearch.data.image_size import Size
from lightsearch.formatting import caps_text, format_large
from lightsearch.shapes import Shape

if TYPE_CHECKING:
    from lightsearch.design.parts import Space
    from lightsearch.space import Survey

_BAR = 40  # columns of the longest bar


@click.command(short_help="Count the designs of a space, and those within the budget.")
@click.argument("text", metavar="[NOTATION]", required=False, callback=notation)
@budget_options
@dataset_option
@size_options
@shape_option
@click.option(
    "--classes",
    type=click.IntRange(2),
    help=("Number of classes, where no data set says it."),
)
@click.option(
    "--bins",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Bars of the histogram.",
)
@click.option(
    "--notation",
    "as_notation",
    is_flag=True,
    help="Print only the space's notation, to be edited and used with --space @FILE.",
)
@json_option
def space(
    text: str | None,
    budget: int | str | None,
    budget_macs: int | None,
    budget_activation_bytes: int | None,
    budget_activation_bytes_int8: int | None,
    min_receptive_field: int | None,
    dataset: str | None,
    size: Size | None,
    gray: bool,
    shape: Shape | None,
    classes: int | None,
    bins: int,
    as_notation: bool,
    as_json: bool,
) -> None:
    """Count the designs of a space, and those within the budget.

    NOTATION is a space's, or @FILE; without it, the default space for the data set and the budget
    is looked at.

    \b
    lightsearch space
    lightsearch space 'conv(8|16|32) maxpool separable(16|32)*(1|2|3) gap linear(10)'
    lightsearch space --dataset digits --notation > space.txt
    lightsearch space @space.txt --dataset digits --budget 1000
    lightsearch space --shape 3x60x80 --classes 7
    """
    from lightsearch.notation.parser import parse
    from lightsearch.space import survey
    from lightsearch.space.default import default_space

    if as_notation and as_json:
        raise click.UsageError("--notation and --json must not be given together")
    sizes, labels = images_of(dataset, shape, classes, size=size, gray=gray)
    sizes_of_caps = budget_activation_bytes, budget_activation_bytes_int8
    caps = budget_of(budget, budget_macs, *sizes_of_caps, min_receptive_field)
    search_space = default_space(sizes, labels, caps) if text is None else parse(text)
    if as_notation:
        click.echo(str(search_space))
        return
    found = survey(search_space, sizes, labels, caps)
    if as_json:
        print_json(_as_json(search_space, found, bins))
    else:
        _show(search_space, found, bins)


def _show(space: Space, found: Survey, bins: int) -> None:
    about = "" if found.exact else "about "
    click.echo(f"{space}\n")
    click.echo(
        f"designs   {about}{format_large(found.designs)}{_interval(found.designs_interval)}"
    )
    caps = caps_text(found.budget)
    click.echo(f"within    {_within(found)}" + (f", of at most {caps}" if caps else ""))
    click.echo(f"smallest  {found.smallest_params:,} parameters: {found.smallest}")
    if found.largest is not None:
        drawn = "" if found.exact else ", of those drawn"
        click.echo(f"largest   {found.largest_params:,} parameters{drawn}: {found.largest}")
    if found.falls_short:
        click.echo(f"note      {found.explain_shortfall()}")
    if not found.exact:
        click.echo(f"method    {found.method}")
    click.echo("\ndesigns by parameters")
    for line in _bars(found, bins):
        click.echo(line)


def _within(found: Survey) -> str:
    if found.guided:
        return found.describe_within()
    about = "" if found.exact else "about "
    return f"{about}{found.describe_within()}{_interval(found.interval)}{_share(found)}"


def _share(found: Survey) -> str:
    share = (
        100 * found.within / found.designs
        if found.designs < 10**300
        else 100.0 * (found.within // (found.designs // 10**12)) / 10**12
    )
    return f" ({share:.1f}%)" if share >= 0.1 else f" ({share:.1g}%)"


def _interval(interval: tuple[int, int] | None) -> str:
    return (
        ""
        if interval is None
        else f" ({format_large(interval[0])} to {format_large(interval[1])})"
    )


def _bars(found: Survey, bins: int) -> list[str]:
    classes = found.histogram(bins)
    most = max(count for *_, count in classes)
    wide = len(f"{classes[-1][1]:,}")
    cap = found.budget.params
    lines = []
    for low, high, count in classes:
        bar = "#" * (-(-count * _BAR // most))
        mark = "  < budget" if cap is not None and low <= cap <= high else ""
        lines.append(
            f"  {low:>{wide},} - {high:>{wide},}  {bar:<{_BAR}}  {format_large(count)}{mark}"
        )
    if found.beyond:
        lines.append(f"  and {format_large(found.beyond)} designs beyond")
    return lines


def _as_json(space: Space, found: Survey, bins: int) -> dict[str, Any]:
    return {
        "space": str(space),
        "budget": dataclasses.asdict(found.budget),
        "designs": found.designs,
        "within": found.within,
        "exact": found.exact,
        "method": found.method,
        "designs_interval": found.designs_interval,
        "interval": found.interval,
        "smallest": str(found.smallest),
        "smallest_params": found.smallest_params,
        "largest": None if found.largest is None else str(found.largest),
        "largest_params": found.largest_params,
        "guided": found.guided,
        "falls_short": found.falls_short,
        "beyond": found.beyond,
        "histogram": [
            {"from": low, "to": high, "designs": count}
            for low, high, count in found.histogram(bins)
        ],
    }
