"""The words that fields of layers and recipes take."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

ActivationName: TypeAlias = Literal[
    "relu",
    "gelu",
    "silu",
    "hardswish",
    "relu6",
    "leakyrelu",
    "prelu",
    "tanh",
    "sigmoid",
    "hardsigmoid",
    "none",
]
NormName: TypeAlias = Literal["batch", "group", "layer", "none"]
AffineName: TypeAlias = Literal["both", "shift", "none"]
OrderName: TypeAlias = Literal["norm-act", "act-norm"]
PerName: TypeAlias = Literal["element", "channel"]
ShortcutName: TypeAlias = Literal["identity", "project"]
ShareName: TypeAlias = Literal["all", "depthwise"]
BorderName: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
PoolName: TypeAlias = Literal["average", "max"]
OptimizerName: TypeAlias = Literal["sgd", "adam", "adamw"]
ScheduleName: TypeAlias = Literal["onecycle", "cosine", "step", "constant", "plateau"]
LossName: TypeAlias = Literal["cross-entropy"]
AugmentationName: TypeAlias = Literal["none"]
FillName: TypeAlias = Literal["black", "mean", "own"]
DecayName: TypeAlias = Literal["all", "weights"]

ACTIVATIONS: tuple[ActivationName, ...] = get_args(ActivationName)
NORMS: tuple[NormName, ...] = get_args(NormName)
AFFINES: tuple[AffineName, ...] = get_args(AffineName)
ORDERS: tuple[OrderName, ...] = get_args(OrderName)
PER: tuple[PerName, ...] = get_args(PerName)
SHORTCUTS: tuple[ShortcutName, ...] = get_args(ShortcutName)
SHARES: tuple[ShareName, ...] = get_args(ShareName)
BORDERS: tuple[BorderName, ...] = get_args(BorderName)
POOLS: tuple[PoolName, ...] = get_args(PoolName)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
LOSSES: tuple[LossName, ...] = get_args(LossName)
AUGMENTATIONS: tuple[AugmentationName, ...] = get_args(AugmentationName)
FILLS: tuple[FillName, ...] = get_args(FillName)
DECAYS: tuple[DecayName, ...] = get_args(DecayName)
