"""The fewest epochs whose mean over fresh seeds is at the target.

The number of epochs is bisected. For each there is a study of its own, whose trials are trained
with the recipe's schedule for so many epochs; the longest one is the study itself, the others are
folders in it. A study ends with the first design that passes its sequential test
(`goals.rounds`), or with all its trials. A shorter one tries first what has passed in the longer
ones, and learns from them. In the end the design of the shortest study that has one has its last
test. If it fails, that study goes on.

That assumes that what cannot be reached in some epochs cannot be reached in fewer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightsearch.goals.rounds import read_standing
from lightsearch.searching.question import Question, resolve
from lightsearch.searching.sources import list_sources
from lightsearch.study.identity import read_identity
from lightsearch.study.terms import SHORTER


@dataclass(frozen=True, slots=True)
class Stage:
    """A study of some number of epochs that is to be run or continued. `last`: for its last test.

    `others` are the folders of the other studies.
    """

    question: Question
    last: bool
    others: tuple[Path, ...]


def find_fastest(question: Question, over: Callable[[], bool]) -> Iterator[Stage]:
    """Yield one stage after the other; each must have been run when the next is asked for.

    Once the time is `over`, only last tests follow.
    """
    longest = question.identity.epochs
    stages: dict[int, Question] = {}
    reached: dict[int, bool] = {}
    while True:
        epochs = None if reached and over() else _next_length(longest, reached)
        last = epochs is None
        if epochs is None:
            able = [length for length, passed in reached.items() if passed]
            if not able:
                return
            epochs = min(able)
        if epochs not in stages:
            longer = [stages[n] for n in sorted(stages) if n > epochs]
            stages[epochs] = question if epochs == longest else _shorten(question, epochs, longer)
        stage = stages[epochs]
        others = {question.folder, *question.folder.glob(SHORTER)} - {stage.folder}
        yield Stage(stage, last, tuple(sorted(others)))
        reached[epochs] = bool(read_standing(stage).passed)
        if last and reached[epochs]:
            return


def _next_length(longest: int, reached: dict[int, bool]) -> int | None:
    """The next number of epochs to look at, by what was reached in others; None if all is said.

    >>> from lightsearch.goals.fastest import _next_length
    >>> _next_length(15, {}), _next_length(15, {15: True}), _next_length(15, {15: True, 7: False})
    (15, 7, 11)
    >>> _next_length(15, {15: True, 1: True}), _next_length(15, {15: False})
    (None, None)
    """
    able = min((length for length, passed in reached.items() if passed), default=longest + 1)
    unable = max((n for n, passed in reached.items() if not passed and n < able), default=0)
    if able - unable <= 1:
        return None
    return longest if able > longest else (able + unable) // 2


def _shorten(question: Question, epochs: int, longer: Sequence[Question]) -> Question:
    """The question with fewer epochs, which knows what was found with more of them."""
    folder, identity = question.folder / SHORTER.replace("*", f"{epochs:05d}"), question.identity
    known = read_identity(folder)
    if known is not None:  # whatever has been found since
        sources = list(known.warm_start)
    else:
        passed = [trial.candidate.design for one in longer for trial in read_standing(one).passed]
        sources = [*list_sources(question.settings.warm_start), *passed]
        if identity.sampler == "model":
            sources += [str(one.folder) for one in longer]
    settings = dataclasses.replace(
        question.settings,
        epochs=epochs,
        recipe=question.recipe,  # chosen for the study itself
        keep_orientation=False,
        study=folder,
        workers=identity.workers,
        slots_per_gpu=None,
        warm_start=sources,
        consistent=identity.consistent and min(identity.consistent, epochs),
    )
    return resolve(settings)
