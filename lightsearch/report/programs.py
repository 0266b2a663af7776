"""A design's training script and notebook, beside its page."""

from __future__ import annotations

from pathlib import Path

from lightsearch.data.holdout import holdout_of
from lightsearch.errors import ArgumentError, DesignError, NotationError
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.report.result import SearchResult
from lightsearch.report.writing import write_text
from lightsearch.standalone import Job, notebook_text, script_text
from lightsearch.study.trial import Trial

FILE = "data.safetensors"  # of a study's folder


def write_programs(
    result: SearchResult, trial: Trial, folder: Path, *, note: str, story: str, force: bool
) -> tuple[str, ...]:
    """Write a trial's script and notebook into a folder, and return their names.

    A file that is there stays unless `force` is given: its owner may have changed it, and a
    notebook holds its outputs. There are none for a layer kind or a step of the recipe that is the
    user's own, whose code lightsearch does not have.

    Raises `ArgumentError` if a file cannot be written.
    """
    name = f"train_design_{trial.number}"
    try:
        job = _make_job(result, trial, note, story)
        texts = {f"{name}.py": script_text(job), f"{name}.ipynb": notebook_text(job)}
    except (ArgumentError, DesignError, NotationError):  # the last if it is not registered here
        return ()
    for file, text in texts.items():
        if force or not (folder / file).exists():
            write_text(folder / file, text)
    return tuple(texts)


def _make_job(result: SearchResult, trial: Trial, note: str, story: str) -> Job:
    """Return what trains a trial's design on all training images."""
    shape, classes = result.images
    held_out = holdout_of(result.identity.selected_on)
    images = trial.epochs[0].train_total + (held_out.sampled if held_out else 0)
    if held_out is not None and held_out.sampled:
        note += (
            f" The search held {held_out.size:,} training images out for that. This program "
            "trains on all of them, and tests on the test images."
        )
    return Job(
        parse(trial.candidate.design),
        parse_recipe(trial.candidate.recipe),
        result.identity.epochs,
        trial.candidate.seed,
        result.identity.dataset,
        shape,
        classes,
        images,
        file=FILE,
        class_names=result.class_names,
        note=f"{note}\n\nRecipe: {trial.candidate.recipe}",
        story=story,
    )
