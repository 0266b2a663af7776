"""Teachers of trained networks: of a study's row, of a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lightsearch.checks import check_path
from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.engines.engine import State
from lightsearch.engines.teacher import Teacher, make_teacher
from lightsearch.errors import ArgumentError
from lightsearch.exporting.finding import Source, find_net, read_trained
from lightsearch.exporting.reading import open_net
from lightsearch.network.cost import cost
from lightsearch.network.modules import assemble_for
from lightsearch.notation.parser import parse
from lightsearch.shapes import Shape
from lightsearch.torch_modes import plain_modes


@plain_modes()
def find_teacher(
    source: Source,
    *,
    row: int | Iterable[int] = 1,
    study: str | Path | None = None,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
) -> Teacher:
    """Return the trained network of a search's result, a leaderboard's row or a file as a teacher.

        best = find_teacher(result.leaderboard.loc[1])
        for epoch in train("conv(8) maxpool gap linear(10)", teacher=best):
            print(epoch.accuracy)

    Of several rows the networks teach together, by the mean of their probabilities:
    `row=(1, 2, 3)`, or `row=result.leaderboard.index` for all hits of a study.

    The other arguments are those of `export`. The weights are those of the row's best epoch, and
    its epochs are those that it was trained up to there.

    Raises what `export` raises for its source.
    """
    rows = list(row) if isinstance(row, Iterable) else [row]
    if not rows:
        raise ArgumentError("`row` must be a rank, or some of them, but got none")
    if isinstance(source, str | os.PathLike):
        path = check_path("source", source)
        if path.suffix.lower() == ".safetensors":
            return _of_file(path)
    members = []
    for one in rows:
        net = find_net(source, row=one, study=study, dataset=dataset, data=data)
        members.append(_make(net.design, net.data.shape, net.weights, net.record))
    return make_teacher(members)


def _of_file(path: Path) -> Teacher:
    """Return the network of a file, which says the shape of its images itself."""
    shape = open_net(path).shape
    weights, metadata, record = read_trained(path)
    return _make(parse(metadata["design"]), shape, weights, record)


def _make(design: Design, shape: Shape, weights: State, record: dict[str, str]) -> Teacher:
    module = assemble_for(cost(design, shape), weights)
    return replace(make_teacher(module, epochs=int(record["epoch"])), shape=shape)
