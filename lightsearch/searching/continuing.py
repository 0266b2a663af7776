"""Which study a search goes on with, and what of it stays as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lightsearch.engines.native.library import trouble
from lightsearch.errors import StudyError
from lightsearch.searching.settings import Settings
from lightsearch.searching.words import DEFAULT_PRUNERS, PRUNERS, SAMPLERS
from lightsearch.study.identity import Identity, default_folder, read_identity, same_teacher
from lightsearch.study.listing import find_study


def choose_folder(identity: Identity, settings: Settings) -> Path:
    """Where the study is. More trials than before may have another pruner by default: then the
    study that is there goes on, and not a second one."""
    if settings.study is not None:
        return find_study(settings.study)
    folder = default_folder(identity).absolute()  # chdir must not move it
    if settings.pruner is not None or (folder / "study.json").exists():
        return folder
    others = (dataclasses.replace(identity, pruner=name) for name in DEFAULT_PRUNERS)
    folders = (default_folder(other).absolute() for other in others)
    return next((other for other in folders if (other / "study.json").exists()), folder)


def continue_study(identity: Identity, folder: Path, settings: Settings) -> Identity:
    """The identity, with the workers, the sampler, the pruner and the engine that the study in
    `folder` was started with if nothing else is asked for."""
    known = read_identity(folder)
    if known is None:
        return identity
    if all(given is None for given in (settings.workers, settings.slots_per_gpu, settings.slots)):
        identity = dataclasses.replace(identity, workers=known.workers)
    if same_teacher(identity.teacher, known.teacher):  # whether its epochs are known or not
        identity = dataclasses.replace(identity, teacher=known.teacher)
    if settings.sampler is None and known.sampler in SAMPLERS:
        identity = dataclasses.replace(identity, sampler=known.sampler)
    if settings.pruner is None and known.pruner in PRUNERS:
        identity = dataclasses.replace(identity, pruner=known.pruner)
    if settings.engine != "auto" or known.device != identity.device:
        return identity
    if known.engine == "native" and trouble():
        raise StudyError(
            f"the study in {folder} must be continued with the native engine, "
            f"which trained it, but: {trouble()}. Give another `study` folder "
            "to ask anew"
        )
    return dataclasses.replace(identity, engine=known.engine)
