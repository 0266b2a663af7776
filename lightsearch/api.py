"""`search`: the library's one line, and the same as a generator."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol

from lightsearch.confirming.confirm import confirm as confirm_designs
from lightsearch.data import catalogue, references
from lightsearch.errors import ArgumentError
from lightsearch.goals.fastest import find_fastest
from lightsearch.goals.rounds import run_rounds
from lightsearch.layer_warnings import take_silently
from lightsearch.progress.display import show_progress
from lightsearch.result import SearchResult, load_result
from lightsearch.searching.callbacks import tell
from lightsearch.searching.events import Ended, EpochDone, Event, Judged, Planned, Stopped
from lightsearch.searching.interrupts import stop_on_interrupt
from lightsearch.searching.question import Question, resolve
from lightsearch.searching.run import run_loop
from lightsearch.searching.settings import SearchSettings, Settings
from lightsearch.searching.signature import takes
from lightsearch.study import leaderboard as tables
from lightsearch.study.confirmations import Terms
from lightsearch.study.disk import writing
from lightsearch.study.identity import keep_identity
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_confirmations
from lightsearch.study.terms import check_terms
from lightsearch.study.trial import Trial
from lightsearch.workers.devices import worker_environments
from lightsearch.workers.local import local_slots, trains_in_threads
from lightsearch.workers.slot import Slot


@takes(SearchSettings)
def search(settings: SearchSettings) -> SearchResult:
    """Search for networks within a budget that reach a target accuracy within some epochs.

        result = search(budget=8000, epochs=15)
        result.leaderboard.to_csv("leaderboard.csv")

    The same line again continues the study where it was, trials in the middle included.

    {settings}

    `selected_on` in each table says which images the accuracies are of, `confirmed` whether a
    design's mean over fresh seeds is at the target.

    Raises `ArgumentError`, `NotationError`, `BudgetError`, `DataError` or `StudyError`, all of
    them `LightsearchError`, before anything is trained; later `StudyError` if the folder cannot
    be written any more and `WorkerError` if workers cannot work.

    Ctrl-C makes it finish the epochs that run and return; a second Ctrl-C stops it at once, with
    `KeyboardInterrupt`. Either way the same line continues it.
    """
    question = resolve(settings)
    last = run_to_end(question, settings, None if settings.quiet else show_progress)
    return load_result(question.folder, last.reason)


@takes(Settings)
def iter_search(settings: Settings) -> Generator[Trial, None, None]:
    """The search as a generator of finished trials, for those who want to look on.

        for trial in iter_search(budget=8000, epochs=15, trials=5):
            print(trial.outcome, trial.best.accuracy, trial.candidate.design)

    Takes the arguments of `search` but `quiet` and those of confirming; shows no progress.
    Closing it stops the search, resumable.
    """
    with contextlib.closing(run(resolve(settings))) as events:
        for event in events:
            if isinstance(event, Ended):
                yield event.trial


Show = Callable[[Iterator[Event], Question], Iterator[Event]]


class Runner(Protocol):
    """Runs a question's study in slots and yields its events, until the end or `stop`."""

    def __call__(
        self,
        question: Question,
        slots: Sequence[Slot],
        stop: threading.Event,
        *,
        timed: bool = False,
    ) -> Generator[Event, None, None]: ...


def run_to_end(question: Question, settings: SearchSettings, show: Show | None) -> Stopped:
    """Run a question to its end, confirm the best designs if asked to, return the last event."""
    if settings.confirm is not None:
        if settings.goal != "best":
            raise ArgumentError(
                f"`confirm` must not be given with goal={settings.goal!r}, which gives fresh "
                f"seeds itself, but got confirm={settings.confirm}"
            )
        _check_terms(question, settings.confirm)
    last = Stopped("")
    for event in run(question, show):
        if isinstance(event, Stopped):
            last = event
    if settings.confirm is not None and not last.asked:
        _confirm_best(question, settings, settings.confirm)
    return last


def _check_terms(question: Question, seeds: int) -> None:
    """Refuse before the search what would be refused after it."""
    one = question.identity
    target, checksum = str(one.target), one.checksum
    check_terms(
        question.folder,
        Terms(seeds, target, one.epochs, one.dataset, checksum, "test", checksum),
    )


def _confirm_best(question: Question, settings: SearchSettings, seeds: int) -> None:
    """Confirm the first hits of a question's study, in the order of the search alone."""
    records, identity = read_trials(question.folder), question.identity
    hits = tables.leaderboard(records, identity).head(settings.confirm_top)
    confirm_designs(
        hits,
        seeds,
        study=question.folder,
        data=settings.data,
        workers=identity.workers,
        device=identity.device,
        teacher=question.teacher if (hits["teacher"] != "").any() else None,
        halving=settings.confirm_halving,
        quiet=settings.quiet,
    )


def run(question: Question, show: Show | None = None) -> Generator[Event, None, None]:
    """Run a question to its end and yield its events, keeping `leaderboard.csv` up to date.

    With `show`, an epoch is timed first. Ctrl-C means what it means to `search`.

    Raises `ArgumentError` unless there are as many `slots` as the question has workers, if any
    are given.
    """
    slots = _open_slots(question)
    try:
        if question.identity.goal == "fastest":
            yield from _run_stages(question, slots, show)
        elif question.identity.goal == "smallest":
            yield from _run_one(question, slots, show, run_rounds)
        else:
            yield from _run_one(question, slots, show, run_loop)
    finally:
        for slot in slots:
            slot.close()


def _open_slots(question: Question) -> Sequence[Slot]:
    identity, slots = question.identity, question.settings.slots
    if slots is not None:
        if len(slots) != identity.workers:
            raise ArgumentError(
                f"`slots` must be as many as the study's workers, {identity.workers}, but got "
                f"{len(slots)}"
            )
        return slots
    in_threads = trains_in_threads(
        identity.engine, identity.device, [question.space], question.recipe
    )
    if not in_threads:
        references.share(question.data)
    return local_slots(
        identity.workers,
        in_threads=in_threads,
        environments=worker_environments(identity.workers, identity.device),
    )


def _run_stages(
    question: Question, slots: Sequence[Slot], show: Show | None
) -> Generator[Event, None, None]:
    """Run the studies of a search for the fewest epochs, each shown like a search."""
    timeout = question.settings.timeout
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    for stage in find_fastest(question, lambda: time.monotonic() > deadline):
        one = stage.question
        if timeout is not None:
            left = max(1e-3, deadline - time.monotonic())
            settings = dataclasses.replace(one.settings, timeout=left)
            one = dataclasses.replace(one, settings=settings)
        runner = functools.partial(run_rounds, last_test=stage.last, others=stage.others)
        for event in _run_one(one, slots, show, runner):
            yield event
            if isinstance(event, Stopped) and event.asked:
                return


def _run_one(
    question: Question, slots: Sequence[Slot], show: Show | None, runner: Runner
) -> Generator[Event, None, None]:
    """Run one study."""
    images = catalogue.images_file(question.data.name, question.folder)
    if images is not None and not images.exists():
        with writing(question.folder):
            question.folder.mkdir(parents=True, exist_ok=True)
            references.save(question.data, images)  # never over another study's images
    stop = threading.Event()
    loop = runner(question, slots, stop, timed=show is not None)
    events = tell(_written(take_silently(loop), question), question, stop)
    # Images of one's own are read from the study's folder, so that damage there is noticed.
    own = question.data.name not in catalogue.NAMES
    lending = contextlib.nullcontext() if own else references.share_in_process(question.data)
    # The loop too: Ctrl-C while the leaderboard is written is not raised in it.
    with lending, contextlib.closing(loop), contextlib.closing(events):
        yield from stop_on_interrupt(show(events, question) if show is not None else events, stop)


def _written(events: Iterator[Event], question: Question) -> Generator[Event, None, None]:
    """The same events, with the leaderboard on disk as of each that changes it.

    A long leaderboard takes its time to write. Where epochs come so fast that it would take more
    than a tenth of the search's, it is written with a later event; at the end it is right always.
    """
    hits: dict[int, Trial] = {}
    confirmed = read_confirmations(question.folder)
    rule, stale, due = question.identity.rule, True, 0.0
    for event in events:
        if isinstance(event, Planned) and event.resumed:
            hits = {t.number: t for t in event.earlier if rule.is_hit(t.epochs)}
        if isinstance(event, EpochDone | Ended):
            hit = isinstance(event, EpochDone) and event.hit
            if hit or event.trial.number in hits:
                hits[event.trial.number] = event.trial
                stale = stale or hit or isinstance(event, Ended)
        if isinstance(event, Judged) and event.last:
            confirmed, stale = read_confirmations(question.folder), True
        begin = time.monotonic()
        if isinstance(event, Stopped) or (stale and begin >= due):
            frame = tables.leaderboard(hits.values(), question.identity, confirmed=confirmed)
            with writing(question.folder):
                keep_identity(question.folder, question.identity)
                tables.write(frame, question.folder / "leaderboard.csv")
            now = time.monotonic()
            stale, due = False, now + 9 * (now - begin)
        yield event
