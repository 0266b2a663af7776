"""The option `--teacher`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lightsearch.engines.teacher import Teacher

teacher_option = click.option(
    "--teacher",
    multiple=True,
    type=click.Path(),
    metavar="PATH",
    help=(
        "A trained network whose answers designs learn from, beside the labels: the first row of "
        "a study, by its folder, or a .safetensors of `lightsearch export`. Several of them teach "
        "together. Recipes need `distill`, which the default one then has."
    ),
)


def find_teachers(paths: Sequence[str], data: str | None) -> Teacher | None:
    """Return what the networks at the paths teach together, or None if there are none.

    Raises what `find_teacher` raises.
    """
    if not paths:
        return None
    from lightsearch.engines.teacher import make_teacher
    from lightsearch.exporting.teachers import find_teacher

    return make_teacher([find_teacher(path, data=data) for path in paths])
