"""A report of one design in the course's own form: Target, Results, Analysis, then the evidence.

All figures are those of the study's records.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from lightsearch.data.catalogue import IMAGES
from lightsearch.data.class_names import escape_markdown
from lightsearch.errors import ArgumentError, DesignError, NotationError
from lightsearch.formatting import percent
from lightsearch.network.cost import Row, cost
from lightsearch.network.source import to_source
from lightsearch.notation.parser import parse
from lightsearch.report.facts import OUTCOMES
from lightsearch.report.protocol import protocol
from lightsearch.report.result import SearchResult
from lightsearch.report.study import template
from lightsearch.report.writing import NO_PROGRAMS, Programs, check_own, write_report_text
from lightsearch.shapes import Shape, format_shape
from lightsearch.study.question import describe_question
from lightsearch.study.trial import Trial, reaches
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
    text = design_text(result, number, programs=programs)
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
    story = template("story.md").render(
        target=describe_question(result.identity),
        results=tuple(list_results(trial, on)),
        analysis=tuple(analyse(trial, result)),
    )
    from lightsearch.report.programs import make_programs  # here, since it loads torch

    return make_programs(result, trial, folder, note=note, story=story.strip(), force=force)


def design_text(result: SearchResult, number: int, *, programs: Programs = NO_PROGRAMS) -> str:
    """Return a report of a trial's design as Markdown, ready for a README.

    `programs` are files beside it that train the design; the report names them.

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
        log=[_log(e) for e in trial.epochs],
        again=_command(trial, result),
        programs=programs,
        **_describe_layers(
            trial.candidate.design,
            shape,
            f"Trial {number} of {result.folder.name}: {percent(best.accuracy)} of the "
            f"{on} images of {result.identity.dataset} at epoch {best.epoch}.",
        ),
        protocol=tuple(protocol(result)),
    )


def _describe_layers(text: str, shape: Shape, note: str) -> dict[str, Any]:
    """Return the summary, rows and code of a design. What a layer of one's own leaves out is said.

    One that is not registered here leaves out all of them, one that is only the code.
    """
    from lightsearch.network.modules import summary  # here, since it loads torch
    from lightsearch.standalone.script import escape_docstring  # likewise

    try:
        design = parse(text)
    except NotationError as error:
        return {"summary": "", "rows": [], "code": "", "gap": error.expected}
    code, gap = "", ""
    try:
        code = to_source(design, shape=shape, note=escape_docstring(note)).strip()
    except DesignError as error:
        gap = str(error)
    rows = [_layer(row) for row in cost(design, shape).rows]
    return {"summary": summary(design, shape).strip(), "rows": rows, "code": code, "gap": gap}


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


def _train(epoch: EpochResult) -> Fraction:
    return Fraction(epoch.train_correct, epoch.train_total)


def _points(share: Fraction | float) -> str:
    return f"{100 * float(share):+.2f} points"


def list_results(trial: Trial, on: str) -> Iterable[tuple[str, str]]:
    best, last = find_best(trial), trial.epochs[-1]
    train = max(trial.epochs, key=_train)
    yield "Parameters", f"{trial.candidate.params:,}"
    yield "Best train accuracy", f"{percent(_train(train))} (epoch {train.epoch})"
    yield f"Best {on} accuracy", f"{percent(best.accuracy)} (epoch {best.epoch})"
    yield (
        "Last epoch",
        (f"{percent(last.accuracy)} (epoch {last.epoch}, train {percent(_train(last))})"),
    )


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
    gap = _train(best) - Fraction(best.correct, best.total)
    yield (
        f"Train minus {result.identity.selection} accuracy at epoch {best.epoch}: "
        f"{_points(gap)}. (Training accuracy is counted while the weights change, on augmented "
        "images and with dropout, if the recipe and the design have these.)"
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
    removed, added = _layers_changed(other, trial)
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
    if trial.candidate.recipe != other.candidate.recipe:
        yield f"Recipe: `{other.candidate.recipe}` before, `{trial.candidate.recipe}` now."


def _layers_changed(one: Trial, other: Trial) -> tuple[list[str], list[str]]:
    """Return the layers that only the first design has, and those that only the second has."""
    try:
        old, new = ([str(part) for part in parse(t.candidate.design)] for t in (one, other))
    except NotationError:  # a layer that is not registered here
        return [], []
    removed: list[str] = []
    added: list[str] = []
    matched = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for word, a, b, c, d in matched.get_opcodes():
        if word != "equal":
            removed += old[a:b]
            added += new[c:d]
    return removed, added


@dataclass(frozen=True, slots=True)
class _Layer:
    layer: str
    output: str
    params: str
    field: str
    jump: int


def _layer(row: Row) -> _Layer:
    inner = "- " * row.place.count("].")
    return _Layer(
        inner + row.layer,
        format_shape(row.shape),
        f"{row.params:,}",
        f"{row.receptive_field}{'+' if row.whole_image else ''}",
        row.jump,
    )


def _log(epoch: EpochResult) -> str:
    raw = ""
    if epoch.raw_correct is not None and epoch.raw_correct != epoch.correct:
        raw = f" (raw {percent(epoch.raw_correct / epoch.total)})"
    return (
        f"epoch {epoch.epoch:>2}  train loss {epoch.train_loss:.4f}  train "
        f"{percent(_train(epoch)):>7}  test {percent(epoch.accuracy):>7} "
        f"({epoch.correct}/{epoch.total}){raw}  lr {epoch.learning_rate:.2g}  "
        f"{epoch.seconds:.1f} s"
    )


def _command(trial: Trial, result: SearchResult) -> str:
    """Return the command that trains the design again, hit or not, or "" if there is none."""
    candidate, identity = trial.candidate, result.identity
    if identity.dataset in IMAGES:
        return (
            f"lightsearch train {shlex.quote(candidate.design)} --recipe "
            f"{shlex.quote(candidate.recipe)} --epochs {identity.epochs} --seed "
            f"{candidate.seed} --dataset {identity.dataset} --engine {identity.engine}"
        )
    board = result.leaderboard
    for rank in board.index[board["trial"] == trial.number]:
        return f"lightsearch train --row {rank} --leaderboard " + shlex.quote(
            str(result.folder / "leaderboard.csv")
        )
    return ""  # a miss on one's own images, which only Python can load
