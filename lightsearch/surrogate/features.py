"""What is known of a design for nothing: a few figures that follow from its text and its images.

They are what the models of accuracy see: that of the table of curves (`surrogate.model`) and that
of a study's trials (`surrogate.level_model`). Graph features of this kind in a simple model beat
zero-cost proxies that need a forward pass (GRAF, Kadlecova et al. 2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lightsearch.design.layers import (
    Conv,
    Depthwise,
    Gate,
    Residual,
    Separable,
    SqueezeExcite,
)
from lightsearch.network.cost import Cost
from lightsearch.network.operations import Iterate, Step, list_bodies

NAMES = (
    "log_params",
    "log_macs",
    "log_activation",
    "log_field",
    "depth",
    "params_1",
    "params_2",
    "params_4",
    "macs_1",
    "macs_2",
    "depth_1",
    "depth_2",
    "depth_4",
    "log_width",
    "log_first",
    "log_last",
    "pointwise",
    "separable",
    "residual",
    "attention",
    "pools",
    "unpadded",
    "act_norm",
    "dropout",
)
"""Names of the features, in their order.

Logarithms are natural. `log_field` is of the receptive field in pixels. A suffix is the jump of a
layer's output: 1 for full resolution, 2 for half, 4 for a quarter or less. `params_` and `macs_`
are shares of the whole. `depth` counts layers with weights, `log_width` is of their mean channels
and `log_first` and `log_last` of the first and the last ones before the classes. `pointwise`,
`separable`, `unpadded` and `act_norm` are shares of the convolutions, `dropout` is their mean
rate. `residual`, `attention` (gate or squeeze-and-excitation) and `pools` are counts. The layers
of a loop count once for each pass, and their parameters once.
"""


def measure(cost: Cost) -> list[float]:
    """Return the features of a design from its cost, in the order of `NAMES`."""
    steps = list(_walk(cost.steps, 1))
    weighted = [one for one in steps if one[0].params and not _has_body(one[0])]
    kinds = [step.layer for step, *_ in weighted]
    convolutions = [one for one in kinds if isinstance(one, Conv | Separable | Depthwise)]
    widths = [step.shape[0] for step, *_ in weighted[:-1]] or [1]

    def share(test: list[bool]) -> float:
        return sum(test) / max(1, len(convolutions))

    def part(name: str, low: int, high: float) -> float:
        inside = (
            getattr(step, name)
            for step, jump, is_first in weighted
            if low <= jump < high and (is_first or name != "params")
        )
        return float(sum(inside) / max(1, getattr(cost, name)))

    def layers(low: int, high: float) -> float:
        return sum(low <= jump < high for _, jump, _ in weighted)

    return [
        math.log(max(1, cost.params)),
        math.log(max(1, cost.macs)),
        math.log(cost.activation_bytes),
        math.log(cost.receptive_field),
        len(weighted),
        part("params", 1, 2),
        part("params", 2, 4),
        part("params", 4, math.inf),
        part("macs", 1, 2),
        part("macs", 2, 4),
        layers(1, 2),
        layers(2, 4),
        layers(4, math.inf),
        math.log(sum(widths) / len(widths)),
        math.log(widths[0]),
        math.log(widths[-1]),
        share([isinstance(layer, Conv) and layer.kernel == 1 for layer in convolutions]),
        share([isinstance(layer, Separable | Depthwise) for layer in convolutions]),
        sum(isinstance(step.layer, Residual) for step, *_ in steps),
        sum(isinstance(step.layer, Gate | SqueezeExcite) for step, *_ in steps),
        sum(not step.params and _stride(step) > 1 for step, *_ in steps),
        share([layer.padding == 0 and layer.kernel != 1 for layer in convolutions]),
        share([layer.order == "act-norm" for layer in convolutions]),
        sum(layer.dropout for layer in convolutions) / max(1, len(convolutions)),
    ]


def _has_body(step: Step) -> bool:
    return any(list_bodies(op) for _, op in step.ops)


def _walk(
    steps: tuple[Step, ...], jump: int, is_first: bool = True
) -> Iterator[tuple[Step, int, bool]]:
    """Each step with the jump of its output, and whether it is the first pass of its loops.

    Those in the bodies of a block come before its own step.
    """
    for step in steps:
        for _, op in step.ops:
            for number in range(op.passes if isinstance(op, Iterate) else 1):
                for _, body in list_bodies(op):
                    yield from _walk(body, jump, is_first and number == 0)
        jump *= _stride(step)
        yield step, jump, is_first


def _stride(step: Step) -> int:
    """Return the larger stride of height and width: one number stands for the resolution."""
    return max(span.stride for span in step.spans)
