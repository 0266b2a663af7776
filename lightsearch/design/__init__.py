"""Designs and spaces as values: layers, choices, the registry of layer kinds, decoding."""

from lightsearch.design.choice import Choice
from lightsearch.design.decoding import (
    Choose,
    chooser,
    decode,
    designs,
    enumerate_choices,
    named_choices,
    recording,
    replay,
)
from lightsearch.design.fields import flag, integer, real, word
from lightsearch.design.layers import (
    avgpool,
    conv,
    depthwise,
    dropout,
    gap,
    gate,
    linear,
    maxpool,
    residual,
    se,
    separable,
)
from lightsearch.design.parts import (
    Design,
    Layer,
    Part,
    Repeat,
    Seq,
    Space,
    is_decided,
    kind_of,
    kinds,
    maybe,
    oneof,
    register_kind,
    repeat,
    seq,
)

__all__ = [
    "Choice", "Choose", "Design", "Layer", "Part", "Repeat", "Seq", "Space", "avgpool", "chooser",
    "conv", "decode", "depthwise", "designs", "dropout", "enumerate_choices", "flag", "gap",
    "gate", "integer", "is_decided", "kind_of", "kinds", "linear", "maxpool", "maybe",
    "named_choices", "oneof", "real", "recording", "register_kind", "repeat", "replay",
    "residual", "se", "separable", "seq", "word",
]
