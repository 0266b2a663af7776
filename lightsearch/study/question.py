"""The question of a study as text."""

from __future__ import annotations

from lightsearch.formatting import caps_text, percent, plural
from lightsearch.study.identity import Identity


def describe_question(identity: Identity) -> str:
    """Return the question of a study as one phrase."""
    caps = caps_text(identity.budget)
    return (
        f"{percent(identity.target)} of the {identity.selection} images of "
        f"{identity.dataset} within {plural(identity.epochs, 'epoch')}"
        + (f", {identity.rule}" if identity.consistent else "")
        + (f", with at most {caps}" if caps else "")
        + (f"; proposals for the objective {identity.objective}" if identity.objective else "")
        + (f"; learning from a teacher ({identity.teacher})" if identity.teacher else "")
    )
