"""`search`: the library's one line, and the same as a generator."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightsearch.checks import integer, kind
from lightsearch.confirming.confirm import confirm as confirm_designs
from lightsearch.data import catalogue, references
from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Space
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError
from lightsearch.network.cost import Budget
from lightsearch.progress.display import shown
from lightsearch.result import SearchResult, load_result
from lightsearch.searching.events import Ended, EpochDone, Event, Planned, Stopped
from lightsearch.searching.interrupts import heeding
from lightsearch.searching.loop import run_loop
from lightsearch.searching.settings import Question, ask
from lightsearch.study import leaderboard as tables
from lightsearch.study.disk import writing
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_confirmations
from lightsearch.study.trial import Trial, exact
from lightsearch.workers.devices import worker_environments
from lightsearch.workers.local import local_slots, trains_in_threads
from lightsearch.workers.slot import Slot


def search(budget: int | Budget = 8000, epochs: int = 15, *, target: float = 0.994,
           space: Space | str | None = None, recipe: Recipe | str | None = None,
           dataset: str | DataSet = "mnist", data: str | Path | None = None, trials: int = 10,
           timeout: float | None = None, epoch_timeout: float = 3600.0,
           stop_after_hits: int | None = None, sampler: Any = "tpe",
           pruner: Any = "target", workers: int | None = None,
           study: str | Path | None = None, seed: int = 0, device: str = "auto",
           engine: str = "auto", precision: str = "float32", slots_per_gpu: int | None = None,
           select_on: str = "test", val_size: int | None = None, val_seed: int = 0,
           repeatable: bool = True, keep_orientation: bool = False,
           slots: Sequence[Slot] | None = None, confirm: int | None = None, confirm_top: int = 3,
           quiet: bool = False) -> SearchResult:
    """Search for networks within a budget that reach a target accuracy within some epochs.

        result = search(budget=8000, epochs=15)
        result.leaderboard.to_csv("leaderboard.csv")

    The same line again continues the study where it was, trials in the middle included.

    Identity (a study is continued only with the same value):

    - `budget`: the largest number of parameters, or a `Budget` with caps on parameters, MACs and
      activation bytes. `epochs`: that each trial is trained at most. `target`: test accuracy that
      counts as a hit, from 0 to 1, reached at any epoch.
    - `space`, `recipe`: what is drawn from, as values or notation; the defaults follow the data.
    - `dataset`: mnist, fashion-mnist, kmnist, qmnist, emnist-balanced, emnist-digits,
      emnist-letters, digits, a classification set of torchvision such as "cifar10", a folder of
      images by class, or a `DataSet` (see `make_dataset`, `folder_dataset`).
      `keep_orientation`: leave rotation out of the default recipe, where it would change what an
      image means.
    - `sampler`: "tpe", "random" (uniform within the budget), or an Optuna sampler. `pruner`:
      "target", "median", "halving", "none", or an Optuna pruner.
    - `workers`: trials at once, one thread each; the cores of this machine, or what the study was
      started with; on GPUs `slots_per_gpu` for each of them, 4 unless told otherwise. They are
      threads of this process where the native engine trains all, else processes. `seed`: of
      everything random. `device`: "cpu", "cuda" (every visible GPU), "cuda:1", or "auto", which
      is "cuda" where there is one. `engine`: what trains, "native" (compiled, on a processor),
      "torch", or "auto", which is what the study was started with, else native where it can be;
      a design with a layer of your own is trained by torch in any case. `precision`: of training
      steps, "float32", "bf16" (with torch) or "tf32" (on a GPU); evaluation is in float32.
    - `select_on`: what drives pruning, hits and ranking. "test", the test images, is what a target
      for the test images asks for, and flatters. "val" holds `val_size` training images out (a
      sixth, unless given), of each class as large a share as in the whole, drawn with `val_seed`;
      the test images are then looked at once for each design that is trained to the end, after
      its last epoch (`test_accuracy`).
    - `repeatable`: whether the study depends on nothing but its question, at the cost of some
      waiting among workers (docs/benchmarks/speed.md); with False epochs are taken as they come.

    Growable: `trials`, the total number of designs to train, earlier calls included.

    Free: `data`, the folder of the data set (else `LIGHTSEARCH_DATA`, else a cache folder, else
    downloaded); `timeout` in seconds, after which the search stops, resumable; `epoch_timeout`
    in seconds, after which an epoch is stopped and runs again, counted from when its worker is
    ready;
    `stop_after_hits`, after which only the hits are trained on to their last epoch; `study`, the
    folder, by default under `lightsearch-studies` by its question; `quiet`, which leaves out the
    progress display; `slots`, where to train instead of here (see
    `lightsearch.workers.dask`), as many as `workers`, and closed in the end; `confirm`, a number
    of fresh seeds with which the first `confirm_top` hits are trained again at the end, here (see
    `lightsearch.confirm`).

    `selected_on` in each table says which images the accuracies are of, `confirmed` whether a
    design's mean over fresh seeds is at the target.

    Raises `ArgumentError`, `NotationError`, `BudgetError`, `DataError` or `StudyError`, all of
    them `LightsearchError`, before anything is trained; later `StudyError` where the folder
    cannot be written any more and `WorkerError` where workers cannot work.

    Ctrl-C makes it finish the epochs that run and return; a second Ctrl-C stops it at once, with
    `KeyboardInterrupt`. Either way the same line continues it.
    """
    check_confirm(confirm, confirm_top)
    if slots is not None:
        kind("slots", slots, Sequence, "a sequence of slots")
        workers = len(slots) if workers is None else workers
    question = ask(budget, epochs, target=target, space=space, recipe=recipe, dataset=dataset,
                   data=data, trials=trials, timeout=timeout, epoch_timeout=epoch_timeout,
                   stop_after_hits=stop_after_hits, sampler=sampler, pruner=pruner,
                   workers=workers, study=study, seed=seed, device=device, engine=engine,
                   precision=precision, slots_per_gpu=slots_per_gpu, select_on=select_on,
                   val_size=val_size, val_seed=val_seed, repeatable=repeatable,
                   keep_orientation=keep_orientation, untimed=quiet)
    last = Stopped("")
    for event in run(question, slots=slots, show=None if quiet else shown):
        if isinstance(event, Stopped):
            last = event
    if confirm is not None and not last.asked:
        confirm_best(question, confirm, confirm_top, quiet=quiet)
    return load_result(question.folder, last.reason)


def check_confirm(seeds: int | None, top: int) -> None:
    """Raise `ArgumentError` unless so many seeds and designs can be confirmed."""
    if seeds is not None:
        integer("confirm", seeds, 2, 1000)
    integer("confirm_top", top, 1, 1000)


def confirm_best(question: Question, seeds: int, top: int, *, quiet: bool) -> None:
    """Confirm the first `top` hits of a question's study, in the order of the search alone."""
    records = read_trials(question.folder)
    hits = tables.leaderboard(records, question.identity()).head(top)
    where = question.data_folder or None
    confirm_designs(hits, seeds, study=question.folder, data=where, workers=question.workers,
                    device=question.device, quiet=quiet)


def iter_search(budget: int | Budget = 8000, epochs: int = 15,
                **arguments: Any) -> Iterator[Trial]:
    """The search as a generator of finished trials, for those who want to look on.

        for trial in iter_search(budget=8000, epochs=15, trials=5):
            print(trial.outcome, trial.best.accuracy, trial.candidate.design)

    Takes the arguments of `search` but `confirm`; shows no progress. Closing it stops the search,
    resumable.
    """
    question = ask(budget, epochs, untimed=True, **arguments)
    with contextlib.closing(run(question)) as events:
        for event in events:
            if isinstance(event, Ended):
                yield event.trial


Show = Callable[[Iterator[Event], Question], Iterator[Event]]


def run(question: Question, *, slots: Sequence[Slot] | None = None,
        show: Show | None = None) -> Generator[Event, None, None]:
    """Run a question to its end and yield its events, keeping `leaderboard.csv` up to date.

    Ctrl-C means what it means to `search`. Raises `ArgumentError` unless there are as many
    `slots` as the question has workers, where they are given.
    """
    if slots is not None and len(slots) != question.workers:
        raise ArgumentError(f"`slots` must be as many as the study's workers, {question.workers}, "
                            f"but got {len(slots)}")
    images = question.folder / "data.safetensors"
    if question.data.name not in catalogue.NAMES and not images.exists():
        with writing(question.folder):
            question.folder.mkdir(parents=True, exist_ok=True)
            references.save(question.data, images)  # never over another study's images
    in_threads = slots is None and trains_in_threads(question.engine, [question.space])
    if not in_threads:
        references.share(question.data)
    if slots is None:
        slots = local_slots(question.workers, in_threads=in_threads,
                            environments=worker_environments(question.workers, question.device))
    stop = threading.Event()
    try:
        events = _written(run_loop(question, slots, stop), question)
        with references.lent(question.data), contextlib.closing(events):
            yield from heeding(show(events, question) if show is not None else events, stop)
    finally:
        for slot in slots:
            slot.close()


def _written(events: Iterator[Event], question: Question) -> Generator[Event, None, None]:
    """The same events, with the leaderboard on disk as of each that changes it.

    A long leaderboard takes its time to write. Where epochs come so fast that it would take more
    than a tenth of the search's, it is written with a later event; at the end it is right always.
    """
    hits: dict[int, Trial] = {}
    confirmed = read_confirmations(question.folder)
    target, stale, due = exact(question.target), True, 0.0
    for event in events:
        if isinstance(event, Planned) and event.resumed:
            found = read_trials(question.folder)
            hits = {t.number: t for t in found if t.first_hit(target) is not None}
        if isinstance(event, EpochDone | Ended):
            hit = isinstance(event, EpochDone) and event.hit
            if hit or event.trial.number in hits:
                hits[event.trial.number] = event.trial
                stale = stale or hit or isinstance(event, Ended)
        begin = time.monotonic()
        if isinstance(event, Stopped) or (stale and begin >= due):
            frame = tables.leaderboard(hits.values(), question.identity(), confirmed=confirmed)
            with writing(question.folder):
                tables.write(frame, question.folder / "leaderboard.csv")
            now = time.monotonic()
            stale, due = False, now + 9 * (now - begin)
        yield event
