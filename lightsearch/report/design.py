"""A report of one design in the course's own form: Target, Results, Analysis, then the evidence.

All figures are those of the study's records.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from lightsearch.data.class_names import escape_markdown
from lightsearch.errors import ArgumentError, NotationError
from lightsearch.formatting import SURROGATE_NOTE, name_split, percent
from lightsearch.notation.arguments import explain_gap
from lightsearch.notation.parser import parse
from lightsearch.report.again import train_again
from lightsearch.report.facts import OUTCOMES
from lightsearch.report.layers import describe_layers
from lightsearch.report.protocol import protocol
from lightsearch.report.result import SearchResult
from lightsearch.report.study import template
from lightsearch.report.writing import NO_PROGRAMS, Programs, check_own, write_report_text
from lightsearch.shapes import format_shape
from lightsearch.study.question import describe_question
from lightsearch.study.trial import Trial, find_train_accuracy, reaches
from lightsearch.training.epoch_result import EpochResult


def write_design(result: SearchResult, number: int, path: Path, *, force: bool = False) -> Path:
    """Write `design_text` to a file, and a training script and notebook beside it.

    They are `train_design_NUMBER.py` and `.ipynb`, in plain PyTorch and torchvision. Those that
    are there stay as they are, unless `force` is given, and the report says so of others than it
    would have written. Return `path`.

    Raises `ArgumentError` as `design_text` does, if a file cannot be written, and if one stands at
    `path` that is not a report as it was written, unless `force` replaces it.
    """
    check_own(path, force=force)
    programs = make_trial_programs(result, _find_trial(result, number), path.parent, force=force)
    text = design_text(result, number, programs=programs, page=path)
    return write_report_text(path, text, programs.files)


def make_trial_programs(
    result: SearchResult, trial: Trial, folder: Path, *, force: bool
) -> Programs:
    """Make a trial's script and notebook for a folder, with its record in their heads."""
    best, on = find_best(trial), result.identity.selection
    note = (
        f"Design {trial.number} of the study {result.folder.name}: {percent(best.accuracy)} of "
        f"the {on} images at its best epoch, {best.epoch} of {result.identity.epochs}. That was "
        "one run, and the same images picked the epoch."
    )
    if note_of(result):
        note = f"{SURROGATE_NOTE} {note}"
    story = template("story.md").render(
        note=note_of(result),
        target=describe_question(result.identity),
        results=tuple(list_results(trial, on)),
        analysis=tuple(analyse(trial, result)),
    )
    from lightsearch.report.programs import make_programs  # here, since it loads torch

    return make_programs(result, trial, folder, note=note, story=story.strip(), force=force)


def design_text(
    result: SearchResult,
    number: int,
    *,
    programs: Programs = NO_PROGRAMS,
    page: Path | None = None,
) -> str:
    """Return a report of a trial's design as Markdown, ready for a README.

    `programs` are files beside it that train the design; the report names them. `page` is the file
    that it is for: paths in it are then from its folder.

    Raises `ArgumentError` if there is no such trial, or if it has no epoch yet.
    """
    trial = _find_trial(result, number)
    shape, _ = result.images
    best, on = find_best(trial), result.identity.selection
    return template("design.md").render(
        trial=trial,
        target=describe_question(result.identity),
        results=tuple(list_results(trial, on)),
        analysis=tuple(analyse(trial, result)),
        input=format_shape(shape),
        note=note_of(result),
        log=[_log(e, name_split(result.identity.selected_on)) for e in trial.epochs],
        again=train_again(trial, result, page),
        programs=programs,
        layers=describe_layers(
            trial.candidate.design,
            shape,
            f"Trial {number} of {result.folder.name}: {percent(best.accuracy)} of the "
            f"{on} images of {result.identity.dataset} at epoch {best.epoch}.",
        ),
        protocol=tuple(protocol(result)),
    )


def _find_trial(result: SearchResult, number: int) -> Trial:
    trial = next((t for t in result.records if t.number == number), None)
    if trial is None or not trial.epochs:
        numbers = [t.number for t in result.records if t.epochs]
        rule = (
            f"a trial with an epoch, from {numbers[0]} to {numbers[-1]}"
            if numbers
            else f"a trial with an epoch, and {result.folder} has none"
        )
        raise ArgumentError(f"`design` must be the number of {rule}, but got design={number}")
    return trial


def find_best(trial: Trial) -> EpochResult:
    assert trial.best is not None
    return trial.best


def note_of(result: SearchResult) -> str:
    """Return what must be said before any figure of a study, or ""."""
    return SURROGATE_NOTE if result.identity.engine == "surrogate" else ""


def _points(share: Fraction | float) -> str:
    return f"{100 * float(share):+.2f} points"


def list_results(trial: Trial, on: str) -> Iterable[tuple[str, str]]:
    """Yield names and figures of a trial; of training images only where some were trained on."""
    best, last = find_best(trial), trial.epochs[-1]
    shares = [(share, e) for e in trial.epochs if (share := find_train_accuracy(e)) is not None]
    train = find_train_accuracy(last)
    yield "Parameters", f"{trial.candidate.params:,}"
    if shares:
        most, epoch = max(shares, key=lambda one: one[0])
        yield "Best train accuracy", f"{percent(most)} (epoch {epoch.epoch})"
    yield f"Best {on} accuracy", f"{percent(best.accuracy)} (epoch {best.epoch})"
    trained = "" if train is None else f", train {percent(train)}"
    yield "Last epoch", f"{percent(last.accuracy)} (epoch {last.epoch}{trained})"
    if last.test_accuracy is not None:
        yield "Test accuracy after the last epoch", percent(last.test_accuracy)


def analyse(trial: Trial, result: SearchResult, other: Trial | None = None) -> Iterable[str]:
    rule, best = result.identity.rule, find_best(trial)
    first = rule.hit_epoch(trial.epochs)
    reached = sum(reaches(e, rule.target) for e in trial.epochs)
    of = f"in {reached} of {len(trial.epochs)} epochs"
    if not reached:
        short = rule.target - Fraction(best.correct, best.total)
        yield f"It missed the target by {100 * float(short):.2f} points."
    elif first is None:
        yield f"It reached the target {of}, but not {rule}: it is no hit."
    elif rule.consistent is None:
        yield f"It reached the target first at epoch {first}, and {of}."
    else:
        yield f"It reached the target {rule}, and {of}."
    if trial.outcome != "complete":
        verb = {"failed": "It", "running": "It is"}.get(trial.outcome, "It was")
        reason = f": {escape_markdown(trial.reason)}" if trial.reason else ""
        yield f"{verb} {OUTCOMES[trial.outcome]}{reason}."
    last = trial.epochs[-3:]
    yield (f"The last {len(last)} epochs: " + ", ".join(percent(e.accuracy) for e in last) + ".")
    train = find_train_accuracy(best)
    if train is not None:
        gap = _points(train - Fraction(best.correct, best.total))
        yield (
            f"Train minus {result.identity.selection} accuracy at epoch {best.epoch}: {gap}. "
            "(Training accuracy is counted while the weights change, on augmented images and with "
            "dropout, if the recipe and the design have these.)"
        )
    yield from _comparison(trial, result, other)


def _comparison(trial: Trial, result: SearchResult, other: Trial | None) -> Iterable[str]:
    """Yield the differences from another trial, by default the best of the earlier ones."""
    before = [t for t in result.records if t.number < trial.number and t.epochs]
    if other is not None:
        whom = f"the step before, #{other.number}"
    elif before:
        other = max(before, key=lambda t: (find_best(t).correct, -t.number))
        whom = f"the best of the {len(before)} before it, #{other.number}"
    else:
        yield "It was the first one: there is nothing to compare it with."
        return
    gain = Fraction(find_best(trial).correct - find_best(other).correct, find_best(trial).total)
    yield (
        f"Against {whom} "
        f"({percent(find_best(other).accuracy)}, {other.candidate.params:,} parameters): "
        f"{_points(gain)}, {trial.candidate.params - other.candidate.params:+,} parameters."
    )
    yield from _compare_layers(other, trial)
    if trial.candidate.recipe != other.candidate.recipe:
        yield f"Recipe: `{other.candidate.recipe}` before, `{trial.candidate.recipe}` now."


def _compare_layers(one: Trial, other: Trial) -> Iterable[str]:
    """Yield the layers that only the first design has, and those that only the second has."""
    try:
        old, new = ([str(part) for part in parse(t.candidate.design)] for t in (one, other))
    except NotationError as error:  # a layer that is not registered here
        yield f"Layers: not compared, since {explain_gap(error)}."
        return
    removed: list[str] = []
    added: list[str] = []
    matched = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for word, a, b, c, d in matched.get_opcodes():
        if word != "equal":
            removed += old[a:b]
            added += new[c:d]
    if removed or added:
        yield (
            "Layers: "
            + "; ".join(
                f"{word} " + ", ".join(f"`{layer}`" for layer in layers)
                for word, layers in (("without", removed), ("with", added))
                if layers
            )
            + "."
        )


def _log(epoch: EpochResult, split: str) -> str:
    """Return an epoch's line; `split` is the word for the images that it was evaluated on."""
    train, raw, tested = find_train_accuracy(epoch), "", ""
    if epoch.raw_correct is not None and epoch.raw_correct != epoch.correct:
        raw = f" (raw {percent(epoch.raw_correct / epoch.total)})"
    if epoch.test_accuracy is not None:
        tested = f"  test {percent(epoch.test_accuracy):>7}"
    trained = "" if train is None else f"train {percent(train):>7}  "
    return (
        f"epoch {epoch.epoch:>2}  train loss {epoch.train_loss:.4f}  {trained}{split} "
        f"{percent(epoch.accuracy):>7} ({epoch.correct}/{epoch.total}){raw}{tested}  "
        f"lr {epoch.learning_rate:.2g}  {epoch.seconds:.1f} s"
    )
