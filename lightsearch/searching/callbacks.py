"""Functions of the caller's that a search calls as it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator

from lightsearch.searching.events import Ended, EpochDone, Event
from lightsearch.searching.question import Question
from lightsearch.study.trial import Trial


def tell(
    events: Iterator[Event], question: Question, stop: threading.Event
) -> Generator[Event, None, None]:
    """The same events; of those that are about a trial, `on_epoch` and `on_trial` are told first.

    What a function is told is on disk. Its first error sets `stop`, and nothing is told after it:
    the epochs that run are finished and committed, and then the error is raised.
    """
    failure: Exception | None = None
    for event in events:
        told = _listener(event, question)
        if told is not None and failure is None:
            name, function, trial = told
            try:
                function(trial)
            except Exception as error:
                error.add_note(
                    f"raised by `{name}` for trial {trial.number} after epoch "
                    f"{len(trial.epochs)}; the search stopped, and the same call continues "
                    f"{question.folder}"
                )
                failure = error
                stop.set()
        yield event
    if failure is not None:
        raise failure


def _listener(
    event: Event, question: Question
) -> tuple[str, Callable[[Trial], object], Trial] | None:
    """Who is told of an event, and the trial that it is about."""
    settings = question.settings
    if isinstance(event, EpochDone) and settings.on_epoch is not None:
        return "on_epoch", settings.on_epoch, event.trial
    if isinstance(event, Ended) and settings.on_trial is not None:
        return "on_trial", settings.on_trial, event.trial
    return None
