"""Lines of text about a search: the plan, the trials, the summary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from lightsearch.formatting import (
    SURROGATE_NOTE,
    caps_text,
    duration,
    format_large,
    one_line,
    percent,
    plural,
    shorten,
)
from lightsearch.progress.status import Status
from lightsearch.searching.events import Ended, EpochDone, Event, Judged, Retried, Stopping
from lightsearch.searching.question import Question
from lightsearch.study import leaderboard as tables
from lightsearch.study.figures import describe_selection
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_confirmations, read_families
from lightsearch.study.means import gather_runs, tabulate_means
from lightsearch.study.trial import Trial
from lightsearch.study.warm_start import explain_warm_start

TOP = 10  # rows of the leaderboard in the summary

STYLES = {"hit": "bold green", "pruned": "dim", "diverged": "yellow", "failed": "red"}


def plan_lines(status: Status) -> tuple[str, ...]:
    """Return the plan: the most that will be trained, the time it takes here, the folder."""
    plan, question = status.planned, status.question
    assert plan is not None
    caps = caps_text(question.identity.budget)
    about = "" if plan.exact else "about "
    before = (
        (
            f", continuing: {plural(plan.resumed, 'trial')} so far, "
            f"{len(status.outcomes)} of them over"
        )
        if plan.resumed
        else ""
    )
    epochs = plural(plan.epochs, "epoch")
    precision = question.identity.precision
    survey = question.survey
    within = survey.describe_within() if survey.guided else format_large(plan.within)
    shortfall = survey.explain_shortfall()
    exactness = "" if precision == "float32" else f" in {precision}"
    rule = question.identity.rule
    when = f", {rule}" if rule.consistent else ""
    return (
        *([SURROGATE_NOTE] if question.identity.engine == "surrogate" else []),
        f"Searching for designs {f'of at most {caps} ' if caps else ''}that reach "
        f"{percent(status.target)} on {question.data.name} ({_selection(question)}) within "
        f"{epochs}{when}.",
        *_warm_start_lines(question),
        f"  space     {about}{format_large(plan.designs)} designs, {within} within the budget",
        *([f"  note      {shortfall}"] if shortfall else []),
        f"  proposals {plan.proposals}",
        f"  training  at most {plural(plan.trials, 'trial')} x {epochs}, "
        f"{plan.workers} at a time, engine {plan.engine}{exactness}, "
        f"pruner {question.identity.pruner}{before}",
        f"  time      {_time_line(status)}",
        f"  study     {plan.folder}",
        "Leaving with Ctrl-C is safe: the same line again continues from the last epochs.",
    )


def _warm_start_lines(question: Question) -> Iterator[str]:
    explained = explain_warm_start(question.identity.warm_start, question.identity.selected_on)
    if explained:
        yield explained
        warm_start = question.warm_start
        first, runs = len(warm_start.first), sum(len(one.runs) for one in warm_start.lessons)
        parts = [f"{plural(first, 'design')} to try first"] if first else []
        parts += [f"{plural(runs, 'run')} of others to learn from"] if runs else []
        yield f"  before    {', '.join(parts)}"
        yield from (f"  note      {line}" for line in warm_start.left_out)


def _selection(question: Question) -> str:
    if question.holdout is None:
        return "test"
    if question.holdout.seed is None:
        return f"val: the {question.holdout.size:,} validation images"
    return f"val: {question.holdout.size:,} training images held out"


def _time_line(status: Status) -> str:
    assert status.planned is not None
    seconds, limit = status.planned.seconds, status.question.settings.timeout
    if seconds is None:
        return "nothing is left to train" if not status.epochs_left() else "not estimated"
    estimate = f"about {duration(seconds)} here at most, less with pruning"
    return estimate if limit is None else f"{estimate}; stops after {duration(limit)}"


def count_line(status: Status) -> str:
    """Return the counts of candidates and trials so far."""
    counts, plan = status.counts, status.planned
    total = f"/{max(plan.trials, len(status.outcomes))}" if plan else ""
    parts = [f"{len(status.outcomes)}{total} trials over", f"{counts.drawn:,} drawn"]
    parts += [
        f"{count:,} {name}"
        for count, name in (
            (counts.over_budget, "over budget"),
            (counts.invalid, "invalid"),
            (counts.duplicate, "duplicate"),
        )
    ]
    parts += [
        f"{status.tally(name)} {name}" for name in ("diverged", "failed") if status.tally(name)
    ]
    return ", ".join([*parts, f"{status.tally('pruned')} pruned", plural(len(status.hits), "hit")])


def best_line(status: Status) -> str:
    """Return the best design so far, in words."""
    if status.best is None or status.best.best is None:
        return "no epoch is over yet"
    best, candidate = status.best.best, status.best.candidate
    return (
        f"best {percent(best.accuracy)} {status.images} at epoch {best.epoch} of "
        f"#{status.best.number}, {candidate.params:,} parameters: {candidate.design}"
    )


def left_line(status: Status) -> str:
    """Return an upper estimate of the time left, or "" if there is none."""
    seconds = status.seconds_left(time.monotonic())
    return "" if seconds is None else f"at most {duration(seconds)} left"


def event_line(event: Event, status: Status) -> tuple[str, str]:
    """Return a permanent line about an event and its style, or two empty strings.

    A hit has one line, when its trial is over.
    """
    if isinstance(event, Retried):
        return f"retried   #{event.trial.number:<4} {one_line(event.reason)}", "yellow"
    if isinstance(event, Judged):
        return _judged_line(event), STYLES["hit"] if event.passed else "yellow"
    if isinstance(event, Stopping):
        return (
            f"stopping  {plural(event.running, 'running epoch')} first; Ctrl-C again stops at once"
        ), "yellow"
    if not isinstance(event, Ended):
        return "", ""
    trial, best = event.trial, event.trial.best
    why = f" ({one_line(event.trial.reason)})" if event.trial.reason else ""
    epochs = plural(len(trial.epochs), "epoch")
    is_hit = trial.outcome == "complete" and trial.number in status.hits
    word = "hit" if is_hit else trial.outcome
    accuracy = best.accuracy if best else None
    return _trial_line(word, trial, f"best of {epochs}{why}", accuracy, status.images), STYLES.get(
        word, ""
    )


def _judged_line(event: Judged) -> str:
    last = "confirmed" if event.passed else "not held"
    word = last if event.last else "passed" if event.passed else "failed"
    when = f"mean of {plural(event.seeds, 'fresh seed')}"
    return _trial_line(word, event.trial, when, event.mean, "test")


def _trial_line(word: str, trial: Trial, when: str, accuracy: float | None, images: str) -> str:
    score = "-" if accuracy is None else f"{percent(accuracy)} {images}"
    return (
        f"{word:<9} #{trial.number:<4} {score:>12} {when:<17} "
        f"{trial.candidate.params:>7,} parameters  {trial.candidate.design}"
    )


def epoch_line(event: EpochDone, status: Status) -> str:
    """Return a line about an epoch, for displays without a live picture."""
    trial, result = event.trial, event.result
    line = (
        f"trial #{trial.number:<4} epoch {result.epoch:>2}/{status.question.identity.epochs}  "
        f"{percent(result.accuracy):>7} {status.images}"
    )
    if event.hit:
        line += "  reaches the target"
    if result.epoch == 1:
        line += f"  {trial.candidate.params:,} parameters: {trial.candidate.design}"
    left = left_line(status)
    return f"{line}  ({left})" if left else line


# At the end --------------------------------------------------------------------------------------


def summary_lines(status: Status, width: int) -> Iterator[str]:
    """Yield the leaderboard's first rows and its file, or advice if it has no rows."""
    folder = status.question.folder
    trials = read_trials(folder)
    frame = tables.leaderboard(
        trials, status.question.identity, confirmed=read_confirmations(folder)
    )
    if status.question.identity.engine == "surrogate":
        yield SURROGATE_NOTE
    yield count_line(status)
    identity = status.question.identity
    if explained := explain_warm_start(identity.warm_start, identity.selected_on):
        yield explained
    if not len(frame):
        yield from _diagnosis(status)
        return
    yield "  rank  best accuracy  best epoch   params  design"
    for rank, row in frame.head(TOP).iterrows():
        yield shorten(
            f"  {rank!s:>4}  {percent(row['best_accuracy']):>13}  "
            f"{row['best_epoch']:>10}  {row['params']:>7,}  {row['design']}",
            width,
        )
    if len(frame) > TOP:
        yield f"  ... and {len(frame) - TOP:,} more"
    yield f"One run each; accuracies {describe_selection(identity.selected_on)}."
    if frame["confirmed"].any():
        held = plural(int(frame["confirmed"].sum()), "design")
        yield f"Confirmed with fresh seeds come first: {held} (lightsearch leaderboard)."
    yield from _expected(status, trials, dict(zip(frame["trial"], frame.index, strict=True)))
    yield f"The leaderboard with whole designs: {folder / 'leaderboard.csv'}"


def _expected(status: Status, trials: Sequence[Trial], ranks: Mapping[int, int]) -> Iterator[str]:
    """Yield which hit is to be expected best of, if another than the first of the leaderboard.

    `ranks` has the hits' ranks there, by the number of the trial.
    """
    question = status.question
    if question.identity.goal != "best" or len(ranks) < 2:
        return
    images = question.data.shape, question.data.classes
    runs = gather_runs(read_families(question.folder), question.identity)
    means = tabulate_means(trials, question.identity, runs, images)
    hits = means[means["trial"].isin(list(ranks))]
    if len(hits) and ranks[hits["trial"].iloc[0]] > 1:
        best = hits.iloc[0]
        yield (
            f"With other seeds row {ranks[best['trial']]} is likely to do best: about "
            f"{percent(best['shrunken'])} in the mean (lightsearch leaderboard --means)."
        )


def _diagnosis(status: Status) -> Iterator[str]:
    rule = status.question.identity.rule
    when = f" {rule}" if rule.consistent else ""
    yield f"No design reached {percent(status.target)}{when} so far."
    if status.best is not None:
        yield f"The best: {best_line(status).removeprefix('best ')}"
    trials = max(status.question.settings.trials, len(status.outcomes))
    more = (
        f"more trials (--trials {2 * trials}, in Python trials={2 * trials}, continues this study)"
    )
    if len(status.outcomes) < trials:
        more = "the same line again, which continues where this stopped"
    yield f"What may help: {more}; a larger budget, more epochs or a lower target, in a new study."
    yield f"All trials are kept in {status.question.folder}"
