"""What a study's result shows of itself, in a console and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lightsearch.formatting import SURROGATE_NOTE, plural
from lightsearch.presentation import Sheet
from lightsearch.study.figures import format_figure, name_column
from lightsearch.study.identity import Identity
from lightsearch.study.question import describe_question
from lightsearch.study.trial import Trial

SHOWN = 5  # rows of the leaderboard
_COLUMNS = ("best_accuracy", "best_epoch", "params", "macs", "design")


def make_sheet(
    folder: Path, identity: Identity, trials: Sequence[Trial], board: pd.DataFrame, reason: str
) -> Sheet:
    """Return a study's question, trials and end, and the first rows of its leaderboard."""
    outcomes = [trial.outcome for trial in trials]
    ends = ", ".join(f"{outcomes.count(one)} {one}" for one in sorted(set(outcomes)))
    lines = [("note", SURROGATE_NOTE)] if identity.engine == "surrogate" else []
    lines += [("question", describe_question(identity)), ("trials", ends or "none yet")]
    figures = [
        (str(rank), *(format_figure(column, row[column]) for column in _COLUMNS))
        for rank, row in board.head(SHOWN).iterrows()
    ]
    if figures:
        _, accuracy, epoch, params, _, design = figures[0]
        found = f"best {accuracy} at epoch {epoch}, {params} parameters"
        lines.append(("first", f"{found}: {design}"))
    if reason:
        lines.append(("ended", reason))
    return Sheet(
        f"Study {folder}: {plural(len(board), 'hit')} of {plural(len(trials), 'trial')}",
        tuple(lines),
        ("rank", *map(name_column, _COLUMNS)),
        tuple(figures),
    )
