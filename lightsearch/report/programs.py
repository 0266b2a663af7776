"""A design's training script and notebook, beside its page."""

from __future__ import annotations

from pathlib import Path

from lightsearch.checks import read_regular
from lightsearch.data.holdout import holdout_of
from lightsearch.errors import ArgumentError, DesignError, NotationError
from lightsearch.notation.arguments import explain_gap
from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.report.result import SearchResult
from lightsearch.report.writing import Programs
from lightsearch.standalone import Job, notebook_text, script_text
from lightsearch.study.signing import encode
from lightsearch.study.trial import Trial

FILE = "data.safetensors"  # of a study's folder


def make_programs(
    result: SearchResult, trial: Trial, folder: Path, *, note: str, story: str, force: bool
) -> Programs:
    """Make a trial's script and notebook for a folder.

    A file that is there stays unless `force` is given: its owner may have changed it, and a
    notebook holds its outputs. There are none for a layer kind or a step of the recipe that is the
    user's own, whose code lightsearch does not have.
    """
    name = f"train_design_{trial.number}"
    try:
        job = _make_job(result, trial, note, story)
        texts = {f"{name}.py": script_text(job), f"{name}.ipynb": notebook_text(job)}
    except NotationError as error:  # it is not registered here
        return Programs(gap=explain_gap(error))
    except (ArgumentError, DesignError) as error:
        return Programs(gap=str(error))
    own: list[str] = []
    kept: list[str] = []
    files: dict[Path, bytes] = {}
    for file, text in texts.items():
        content = encode(text)
        if force or not (folder / file).exists():
            files[folder / file] = content
        is_own = folder / file in files or _holds(folder / file, content)
        (own if is_own else kept).append(file)
    return Programs(tuple(own), tuple(kept), files=files)


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file has just this content."""
    try:
        return read_regular(path) == content
    except OSError:
        return False


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
