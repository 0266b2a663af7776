"""What a search will do at most, and about how long that takes here."""

from __future__ import annotations

from collections.abc import Sequence

from lightsearch.engines.selection import engine_of
from lightsearch.errors import LightsearchError
from lightsearch.searching.clock import epoch_work
from lightsearch.searching.events import Planned
from lightsearch.searching.gate import Proposal
from lightsearch.searching.proposals import Proposer
from lightsearch.searching.question import Question
from lightsearch.study.trial import Trial
from lightsearch.training.timing import seconds_per_epoch
from lightsearch.workers.slot import Slot, WorkerDied, result_within

SAMPLES = 32  # draws among which the design of median work is timed


def make_plan(
    question: Question,
    proposer: Proposer,
    trials: Sequence[Trial],
    slots: Sequence[Slot],
    *,
    timed: bool,
) -> Planned:
    """The epochs that are left at most, with their time if it is to be `timed`."""
    most, length = question.settings.trials, question.identity.epochs
    running = [trial for trial in trials if trial.outcome == "running"]
    left = max(most, len(trials)) - (len(trials) - len(running))
    epochs = left * length - sum(len(trial.epochs) for trial in running)
    timed = timed and epochs > 0 and question.identity.engine != "surrogate"  # it trains nothing
    samples = [proposer.sample(index) for index in range(SAMPLES)] if timed else []
    each = _typical_seconds(question, samples, slots[0]) if timed else None
    seconds = None if each is None else epochs * each / len(slots)
    survey = question.survey
    return Planned(
        question.folder,
        most,
        length,
        len(slots),
        len(trials),
        survey.designs,
        survey.within,
        survey.exact,
        seconds,
        proposer.describe(max(most, len(trials))),
        _name_engine(question, samples),
        tuple(trials),
    )


def _name_engine(question: Question, samples: Sequence[Proposal]) -> str:
    """The study's engine, and PyTorch if some of the samples are not for the native one."""
    identity, shape = question.identity, question.data.shape
    trained_by = {
        engine_of(identity.engine, one.design, one.recipe, shape, identity.device)
        for one in samples
        if identity.engine == "native"
    }
    if trained_by == {"torch"}:
        return "torch, since native does not know such designs or recipes"
    more = ", torch for what it does not know" if "torch" in trained_by else ""
    return f"{identity.engine}{more}"


def _typical_seconds(question: Question, samples: Sequence[Proposal], slot: Slot) -> float | None:
    """Seconds of an epoch of a typical candidate: a few steps, timed in a slot.

    None if that fails. It is an estimate only, and the trials will show what is wrong.
    """
    engine = question.identity.engine
    by_work = sorted(samples, key=lambda sample: epoch_work(sample.cost, engine))
    median = by_work[len(by_work) // 2]
    task = question.task(median.design, median.recipe, seed=0)
    timeout = question.settings.epoch_timeout
    try:
        return result_within(slot.submit(seconds_per_epoch, task), timeout)
    except WorkerDied:
        return None
    except LightsearchError:
        raise
    except Exception:  # a layer of the user's, memory, or time
        slot.kill()
        return None
