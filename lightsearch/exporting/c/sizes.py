"""The sizes of a design's C files, before it is trained."""

from __future__ import annotations

import torch

from lightsearch.exporting.c.limits import find_float_only
from lightsearch.exporting.c.notes import Notes
from lightsearch.exporting.c.planning import plan
from lightsearch.exporting.c.quantising import quantise
from lightsearch.exporting.c.source import write_float, write_int8
from lightsearch.exporting.folding import fold
from lightsearch.network.cost import Cost
from lightsearch.network.modules import assemble
from lightsearch.shapes import Shape
from lightsearch.torch_modes import kept_generator, plain_modes


@plain_modes()
def count_bytes(costed: Cost, shape: Shape) -> dict[str, tuple[int, int]]:
    """Return the bytes of constants and of memory of the float32 and of the int8 file, by name.

    A network that needs floating point has no int8 file.
    The files are written with weights at random, which take the same room as trained ones. An
    array of int8 may happen to be equal in two passes of a loop, and is then written once: a few
    bytes more or less.
    """
    generator = torch.Generator().manual_seed(0)
    with kept_generator():
        weights = dict(assemble(costed).state_dict())
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5 if "running_var" in name else -1.0, 1.0, generator=generator)
    folded, weights = fold(costed, weights)
    program = plan(folded, shape)
    mean, std = torch.zeros(shape[0]), torch.ones(shape[0])
    notes = Notes("net", (0.0,) * shape[0], (1.0,) * shape[0], (), dict.fromkeys(_SAID, ""))
    plain = write_float(program, weights, notes)
    sizes = {"float32": (plain.value_bytes, costed.activation_bytes)}
    if find_float_only(program) is None:
        images = torch.rand(1, *shape, generator=generator)
        int8 = write_int8(quantise(program, weights, images, mean, std), notes)
        sizes["int8"] = (int8.value_bytes, costed.activation_bytes_int8)
    return sizes


_SAID = ("design", "lightsearch", "protocol")
