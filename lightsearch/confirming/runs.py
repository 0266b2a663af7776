"""The runs of a confirmation: epochs in slots, each committed before the next begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TypeAlias

from lightsearch.engines.engine import State
from lightsearch.errors import StudyError
from lightsearch.study.confirmations import Key
from lightsearch.study.ledger import Ledger
from lightsearch.training.epoch import run_epochs
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.task import Task
from lightsearch.workers.slot import Slot, WorkerDied, kill_all

DEATHS = 3  # of workers over one epoch, before the confirmation is given up


def key_of(task: Task) -> Key:
    """What a task's runs are kept under."""
    return str(task.design), str(task.recipe)


@dataclass(slots=True)
class Job:
    """One seed of one design, how often a worker died over its epoch, and how far it came."""

    key: Key
    task: Task
    deaths: int = 0
    epochs: int = 0
    lost: int = 0  # states in a row that could not be read back


Over: TypeAlias = tuple[Job, EpochResult]


def left_of(task: Task, ledger: Ledger, count: int | None = None) -> list[Job]:
    """A design's runs that are not over, of its first `count` seeds, or all."""
    key = key_of(task)
    over = ledger.whole(key)
    seeds = ledger.runs[key].seeds[:count]
    return [Job(key, dataclasses.replace(task, seed=s)) for s in seeds if s not in over]


def never() -> bool:
    """A `halt` that asks for nothing."""
    return False


def retrain_all(
    batches: Iterable[Sequence[Job]],
    ledger: Ledger,
    slots: Sequence[Slot],
    halt: Callable[[], bool] = never,
) -> Iterator[Over]:
    """Train the jobs of each batch in their order; yields the runs that are over.

    The next batch is asked for when all of one is over. Once `halt` says so, the epochs that run
    are the last ones.
    """
    try:
        for jobs in batches:
            yield from _retrain(jobs, ledger, slots, halt)
            if halt():
                return
    finally:
        kill_all(slots)


def _retrain(
    jobs: Sequence[Job], ledger: Ledger, slots: Sequence[Slot], halt: Callable[[], bool]
) -> Iterator[Over]:
    waiting = list(jobs)
    free = list(slots)
    running: dict[Future[tuple[State, EpochResult]], tuple[Job, Slot]] = {}
    try:
        while True:
            waiting = [job for job in waiting if not ledger.futile(job.key)]
            while free and waiting and not halt():
                job, slot = waiting.pop(0), free.pop(0)
                running[_submit(job, ledger, slot)] = job, slot
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, slot = running.pop(future)
                over = _commit(job, future, ledger)
                futile = ledger.futile(job.key)
                if futile:
                    ledger.drop_states(job.key)
                if over is not None or futile or halt():
                    free.append(slot)
                else:
                    running[_submit(job, ledger, slot)] = job, slot
                if over is not None:
                    yield job, over
    finally:
        for future, (job, _) in running.items():  # interrupted: what is done is kept
            if future.done() and future.exception() is None:
                _commit(job, future, ledger)


def _submit(job: Job, ledger: Ledger, slot: Slot) -> Future[tuple[State, EpochResult]]:
    state, done = ledger.state(job.key, job.task.seed)
    job.lost = job.lost + 1 if done < job.epochs else 0
    if job.lost >= DEATHS:
        raise StudyError(
            f"the states in {ledger.folder} must be readable, but that of seed {job.task.seed} "
            f"after epoch {job.epochs} was not, {DEATHS} times in a row. What is committed is kept"
        )
    return slot.submit(run_epochs, job.task, state, done + 1, done + 1)


def _commit(
    job: Job, future: Future[tuple[State, EpochResult]], ledger: Ledger
) -> EpochResult | None:
    """Commit an epoch; its result where it was the run's last."""
    try:
        state, result = future.result()
    except WorkerDied:
        job.deaths += 1
        if job.deaths >= DEATHS:
            raise
        return None
    job.deaths = 0
    ledger.commit(job.key, job.task.seed, state, result)
    job.epochs = result.epoch
    return result if result.epoch == job.task.epochs else None
