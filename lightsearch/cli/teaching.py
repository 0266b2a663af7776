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

    found = [find_teacher(path, data=None if _has_images(path) else data) for path in paths]
    return make_teacher(found)


def _has_images(path: str) -> bool:
    """Whether a study has its images itself, which are of one's own."""
    from lightsearch.data.catalogue import images_file
    from lightsearch.study.identity import read_identity
    from lightsearch.study.listing import find_study

    folder = find_study(path)
    known = read_identity(folder)
    own = None if known is None else images_file(known.dataset, folder)
    return own is not None and own.is_file()
