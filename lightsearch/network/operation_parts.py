"""Operations that several kinds of layers have: norms and activations."""

from __future__ import annotations

from lightsearch.errors import DesignError
from lightsearch.network.operations import (
    Activation,
    BatchNorm,
    Border,
    GroupNorm,
    Ops,
    PRelu,
)
from lightsearch.shapes import Shape


def make_norm(by: str, channels: int, groups: int, affine: str, name: str) -> Ops:
    """Return the norm of a layer as operations: one, or none."""
    if by == "none":
        return ()
    if by == "batch":
        return ((name, BatchNorm(channels, affine)),)
    if by == "group" and channels % groups:
        raise DesignError(
            "the groups of a group norm must divide its channels, but got "
            f"{groups} groups of {channels} channels"
        )
    return ((name, GroupNorm(channels, groups if by == "group" else 1, affine)),)


def make_activation(function: str, channels: int, name: str = "act", slope: float = 0.01) -> Ops:
    """Return the activation of a layer as operations: one, or none."""
    if function == "none":
        return ()
    if function == "prelu":
        return ((name, PRelu(channels)),)
    return ((name, Activation(function, slope)),)


def check_border(border: Border, source: Shape) -> None:
    """Raise `DesignError` if an image is too small to be reflected, or repeated, that far."""
    ends = max(border.top, border.bottom), max(border.left, border.right)
    for widest, side in zip(ends, source[1:], strict=True):
        if border.mode == "reflect" and widest >= side:
            raise DesignError(
                "a border that reflects must be narrower than its image, but got "
                f"{widest} pixels on an input of {source[1]}x{source[2]}"
            )
        if border.mode == "circular" and widest > side:
            raise DesignError(
                "a border that goes round must not be wider than its image, but got "
                f"{widest} pixels on an input of {source[1]}x{source[2]}"
            )
