"""A search from its question: the proposer, the pruner, the open study, and the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import cast

import optuna

from lightsearch.searching.events import Event
from lightsearch.searching.loop import SearchLoop
from lightsearch.searching.objective import Objective
from lightsearch.searching.objective_proposer import ObjectiveProposer
from lightsearch.searching.objectives import ObjectivesProposer
from lightsearch.searching.proposals import Proposer
from lightsearch.searching.pruning import make_pruner
from lightsearch.searching.question import Question
from lightsearch.searching.recipes import count_clean
from lightsearch.study.objectives import Objectives, check_directions
from lightsearch.study.study import Study
from lightsearch.study.warm_start import FILE
from lightsearch.workers.slot import Slot, kill_all


def run_loop(
    question: Question,
    slots: Sequence[Slot],
    stop: threading.Event | None = None,
    *,
    timed: bool = False,
) -> Generator[Event, None, None]:
    """Run a search, or continue it, and yield its events. Closing the generator stops it.

    Once `stop` is set, the loop finishes the epochs that run. It begins others only if they end
    before those on the virtual clock. The caller closes the slots. If `timed`, the plan says how
    long all of it takes.

    Raises `StudyError` for a folder that cannot be used, `BudgetError` for a budget that nothing
    meets, `WorkerError` if workers cannot work.
    """
    pruner, proposer = pruner_of(question), proposer_of(question)
    text = question.warm_start.to_text()
    kept = {FILE: text} if text else {}
    with Study.open(question.folder, question.identity, pruner, kept) as study:
        loop = SearchLoop(question, proposer, study, slots, stop or threading.Event(), timed)
        try:
            yield from loop.run()
        finally:
            kill_all(slots)


def pruner_of(question: Question) -> optuna.pruners.BasePruner:
    """Who prunes the trials of a question."""
    identity = question.identity
    images = len(question.data.test[1]) if question.holdout is None else question.holdout.size
    return make_pruner(
        question.settings.pruner or identity.pruner,
        identity.target,
        identity.epochs,
        identity.consistent,
        images,
        count_clean(question.recipe, identity.epochs),
    )


def proposer_of(question: Question) -> Proposer:
    """Who proposes the designs of a question."""
    identity = question.identity
    objective = question.settings.objective
    make: Callable[..., Proposer] = Proposer
    if objective is not None:
        make = partial(ObjectiveProposer, cast(Objective, objective))
        if identity.directions:
            directions = check_directions(identity.directions)
            make = partial(ObjectivesProposer, cast(Objectives, objective), directions)
    return make(
        question.space,
        question.recipe,
        shape=question.data.shape,
        classes=question.data.classes,
        budget=question.budget,
        sampler=question.settings.sampler or identity.sampler,
        startup=identity.startup,
        seed=identity.seed,
        epochs=identity.epochs,
        workers=identity.workers,
        warm_start=question.warm_start,
        reach=float(identity.target) if identity.goal == "smallest" else None,
    )
