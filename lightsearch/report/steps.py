"""A study as the course asks for it: a first, a better, a final design, each with its analysis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightsearch.errors import ArgumentError
from lightsearch.formatting import caps_text, percent
from lightsearch.report.design import (
    analyse,
    find_best,
    list_results,
    make_trial_programs,
    note_of,
)
from lightsearch.report.protocol import protocol
from lightsearch.report.result import SearchResult
from lightsearch.report.study import template
from lightsearch.report.writing import Programs, check_own, write_report_text
from lightsearch.study.question import describe_question
from lightsearch.study.trial import Trial


@dataclass(frozen=True, slots=True)
class _Step:
    number: int
    trial: int
    params: str
    target: str
    results: tuple[tuple[str, str], ...]
    analysis: tuple[str, ...]
    design: str
    recipe: str
    programs: Programs


def pick_steps(result: SearchResult) -> tuple[Trial, ...]:
    """Return the first trial, the one in the middle of those that were the best so far, the best.

    Fewer if no other was the best in between.
    """
    leaders: list[Trial] = []
    for trial in result.records:
        if trial.best is not None and (
            not leaders or trial.best.correct > find_best(leaders[-1]).correct
        ):
            leaders.append(trial)
    places = sorted({0, len(leaders) // 2, len(leaders) - 1} & set(range(len(leaders))))
    return tuple(leaders[place] for place in places)


def write_steps(result: SearchResult, path: Path, *, force: bool = False) -> Path:
    """Write the steps as Markdown, and each step's training script and notebook beside it.

    All figures are those of the study's records. Files are kept as in `write_design`.

    Raises `ArgumentError` for a study that has not trained anything yet, and if a file cannot be
    written.
    """
    check_own(path, force=force)
    trials = pick_steps(result)
    if not trials:
        raise ArgumentError(
            f"`steps` must be of a study with a trained design, and {result.folder} has none"
        )
    steps = []
    for index, trial in enumerate(trials):
        before = trials[index - 1] if index else None
        on = result.identity.selection
        steps.append(
            _Step(
                index + 1,
                trial.number,
                f"{trial.candidate.params:,}",
                _target(result, before, final=index == len(trials) - 1),
                tuple(list_results(trial, on)),
                tuple(analyse(trial, result, before)),
                trial.candidate.design,
                trial.candidate.recipe,
                make_trial_programs(result, trial, path.parent, force=force),
            )
        )
    text = template("steps.md").render(
        steps=steps,
        question=describe_question(result.identity),
        note=note_of(result),
        protocol=tuple(protocol(result)),
    )
    files = {file: content for step in steps for file, content in step.programs.files.items()}
    return write_report_text(path, text, files)


def _target(result: SearchResult, before: Trial | None, *, final: bool) -> str:
    if final:
        return describe_question(result.identity)
    if before is None:
        caps = caps_text(result.identity.budget)
        return "a first design that trains" + (f", with at most {caps}" if caps else "")
    return f"more than the {percent(find_best(before).accuracy)} of the step before"
