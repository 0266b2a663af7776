"""The orders of a leaderboard, and the directions of objectives.

Pandas is not loaded, so that the command line has them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

Direction: TypeAlias = Literal["maximize", "minimize"]  # in Optuna's words
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True, slots=True)
class Order:
    """An order: by a column, of the largest or the smallest values first."""

    column: str
    text: str
    largest: bool = False

    def key(self, row: Mapping[str, Any]) -> tuple[bool, Any]:
        """What rows are sorted by; those without a value come last."""
        value = row[self.column]
        if value is None or value != value:
            return (True, 0)
        return (False, -value if self.largest else value)


OrderName: TypeAlias = Literal[
    "accuracy", "params", "epochs", "last", "last3", "mean", "macs", "activation_bytes"
]
ORDERS: dict[str, Order] = {
    "accuracy": Order("best_accuracy", "accuracy of the best epoch", largest=True),
    "params": Order("params", "fewest parameters"),
    "epochs": Order("first_hit_epoch", "fewest epochs to the first hit"),
    "last": Order("last_accuracy", "accuracy of the last epoch", largest=True),
    "last3": Order("last3_accuracy", "mean accuracy of the last three epochs", largest=True),
    "mean": Order("confirmed_mean", "mean accuracy over fresh seeds", largest=True),
    "macs": Order("macs", "fewest MACs"),
    "activation_bytes": Order("activation_bytes", "least memory of activations"),
}
