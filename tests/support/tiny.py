"""A search small enough for a test: the digits, a space of a few hundred tiny designs."""

from __future__ import annotations

from typing import Any

SPACE = "conv(4|6|8) [conv(6|8) | separable(8|12)] maxpool separable(8|12|16)? gap linear(10)"
RECIPE = "recipe(lr=0.1|0.2,batch=64,ema=0.9)"


def arguments(**more: Any) -> dict[str, Any]:
    """Arguments of `search` for a run of a few seconds."""
    return {
        "budget": 900,
        "epochs": 4,
        "target": 0.8,
        "dataset": "digits",
        "space": SPACE,
        "recipe": RECIPE,
        "trials": 4,
        "workers": 1,
        "seed": 3,
        "quiet": True,
        **more,
    }


def outcome(result: Any) -> list[tuple[Any, ...]]:
    """What must be equal between two runs of one study: all but times."""
    return [
        (
            t.number,
            t.candidate.design,
            t.candidate.recipe,
            t.candidate.seed,
            t.outcome,
            t.reason,
            t.candidate.slot,
            t.candidate.start,
            t.candidate.counts,
            tuple(
                (e.epoch, e.correct, e.raw_correct, e.train_correct, e.train_loss)
                for e in t.epochs
            ),
        )
        for t in result.records
    ]
