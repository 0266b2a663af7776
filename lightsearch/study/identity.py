"""The question that a study answers, and the file in its folder that holds it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lightsearch.checks import read_regular
from lightsearch.engines.names import ENGINES, find_word
from lightsearch.errors import StudyError
from lightsearch.formatting import shorten
from lightsearch.network.cost import Budget
from lightsearch.presentation import Presented, Sheet
from lightsearch.study.disk import write_text, writing
from lightsearch.study.field_types import check_types
from lightsearch.study.trial import HitRule, parse_fraction

STUDIES = "lightsearch-studies"  # where studies go unless told otherwise
FORMAT = 1  # of the folder; a reader refuses a newer one
MAX_WORKERS = 10**5  # that slots can be asked for; each has a lane on the clock
# Fields of later versions that a study.json has only if they are not as here: so studies without
# them have the file that they had before there were any.
LATER: dict[str, Any] = {
    "consistent": None,
    "startup": None,
    "warm_start": [],
    "warm_start_digest": "",
    "goal": "best",
    "objective": "",
    "directions": [],
    "own_steps": "",
    "teacher": "",
}
LISTS = ("warm_start", "directions")  # of texts; tuples here, lists in study.json


@dataclass(frozen=True, slots=True, repr=False)
class Identity(Presented):
    """The question that a study answers. Going on with it needs the same in every field."""

    budget: Budget
    epochs: int
    target: Fraction
    space: str
    recipe: str
    dataset: str
    checksum: str
    sampler: str
    pruner: str
    workers: int
    seed: int
    device: str
    engine: str = "torch"
    selected_on: str = "test"
    repeatable: bool = True
    format: int = FORMAT
    precision: str = "float32"
    consistent: int | None = None
    warm_start: tuple[str, ...] = ()  # the sources, as they were given
    warm_start_digest: str = ""  # of what was read from them
    goal: str = "best"
    startup: int | None = None  # trials that are drawn before the sampler is asked
    objective: str = ""  # the name of a function, with a digest; "" is the accuracy
    directions: tuple[str, ...] = ()  # of an objective with several values
    own_steps: str = ""  # of the recipe: field, name and digest of each, separated by ", "
    teacher: str = ""  # its checksum, parameters and epochs

    @property
    def rule(self) -> HitRule:
        """What counts as a hit."""
        return HitRule(self.target, self.epochs, self.consistent)

    @property
    def selection(self) -> str:
        """The images that select, in a word: test, held-out or validation."""
        if self.selected_on == "test":
            return "test"
        return "held-out" if "seed=" in self.selected_on else "validation"

    def _sheet(self) -> Sheet:
        fields = ((name, shorten(str(value), 90)) for name, value in self.to_json().items())
        return Sheet("Identity of a study", tuple(fields))

    def to_json(self) -> dict[str, Any]:
        """The fields as they stand in study.json."""
        fields = {**dataclasses.asdict(self), "target": str(self.target)}
        for name in LISTS:
            fields[name] = list(fields[name])
        if self.budget.min_receptive_field is None:  # as in studies from before it was there
            del fields["budget"]["min_receptive_field"]
        return {k: v for k, v in fields.items() if k not in LATER or v != LATER[k]}

    def digest(self) -> str:
        """Six hexadecimal digits that tell questions apart. Workers and engine are left out: a
        study goes on with those it was started with, unless told otherwise. So is what the sources
        of a warm start held: a study goes on with what was in them when it began."""
        fields = {
            k: v
            for k, v in self.to_json().items()
            if k not in ("workers", "engine", "repeatable", "warm_start_digest")
            and (k, v) != ("precision", "float32")
        }
        text = json.dumps(fields, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:6]


_LONGEST = 60  # characters of a data set's name in a folder's: a file's name has 255 bytes


def default_folder(identity: Identity) -> Path:
    """Where a study goes unless told otherwise: under the working directory, by its question."""
    budget = dataclasses.asdict(identity.budget)
    caps = "-".join(f"{name.removeprefix('min_')[0]}{cap}" for name, cap in budget.items() if cap)
    name = f"{_as_file_name(identity.dataset)}-{caps}-e{identity.epochs}-{identity.digest()}"
    return Path(STUDIES) / name


def _as_file_name(dataset: str) -> str:
    """Return the name of a data set without what would lead to another folder.

    Names that become equal are told apart by the digest that follows.
    """
    return re.sub(r"[/\\:\0]", "_", dataset).lstrip(".")[:_LONGEST]


def check_identity(
    folder: Path, identity: Identity, kept: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the identity of a new study, or compare it with the one found.

    `kept` are files, by name, that a new study has beside its identity; they are written first.

    Raises `StudyError` naming every difference.
    """
    known = read_identity(folder)
    if known is None:
        with writing(folder):
            for name, content in kept.items():
                write_text(folder / name, content)
            keep_identity(folder, identity)
        return
    asked, found = identity.to_json(), known.to_json()
    differences = [
        f"{name}={found.get(name)!r:.500} there, {asked.get(name)!r:.500} asked for"
        for name in {**found, **asked}
        if asked.get(name) != found.get(name)
    ]
    if differences:
        raise StudyError(
            f"a study must be continued with the question it was started with, but "
            f"in {folder} it is: {'; '.join(differences)}. Give another `study` "
            "folder to ask anew"
        )


def keep_identity(folder: Path, identity: Identity) -> None:
    """Write the identity of a study unless it is there. Without it the trials would be lost, so a
    search does it again if somebody deletes it meanwhile."""
    if not (folder / "study.json").exists():
        write_text(folder / "study.json", json.dumps(identity.to_json(), indent=1) + "\n")


def read_identity(folder: Path) -> Identity | None:
    """The identity of the study in a folder; None where there is no study yet."""
    try:
        text = read_regular(folder / "study.json")
    except (FileNotFoundError, NotADirectoryError):
        if (folder / "journal.log").exists():
            raise StudyError(
                f"a study must have its study.json, but {folder} has only a "
                "journal: bring the file back, or give another `study` folder"
            ) from None
        return None
    except OSError as error:
        raise StudyError(
            f"the study in {folder} must be readable, but: {error}. Mend its rights, "
            "or give another `study` folder"
        ) from None
    try:
        data = json.loads(text)
        if data.get("format", 0) > FORMAT:
            raise StudyError(
                f"the study in {folder} was written by a newer lightsearch (format "
                f"{data['format']}, this one reads up to {FORMAT}): update this one"
            )
        identity = check_types(Identity(**data))
        _check_inherited(identity)
        if not isinstance(data["target"], str):
            raise TypeError(f"target must be str, but is {data['target']!r:.60}")
        if identity.consistent is not None and not 1 <= identity.consistent <= identity.epochs:
            raise ValueError(
                f"consistent must be from 1 to {identity.epochs}, but is {identity.consistent}"
            )
        lists = {name: data.get(name, []) for name in LISTS}
        for name, texts in lists.items():
            if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
                raise TypeError(f"{name} must be a list of texts, but is {texts!r:.60}")
        target = parse_fraction(data["target"])
        if target > 1:
            raise ValueError(f"target must be at most 1, but is {data['target']:.60}")
        return dataclasses.replace(
            identity,
            budget=Budget(**data["budget"]),
            target=target,
            warm_start=tuple(lists["warm_start"]),
            directions=tuple(lists["directions"]),
        )
    except (ValueError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise StudyError(
            f"{folder / 'study.json'} must hold a study's identity, but it does not: "
            f"{error}. Bring the file back, or give another `study` folder"
        ) from None


def _check_inherited(identity: Identity) -> None:
    """Raise `ValueError` for what a search goes on with, though nobody asks for it, and cannot."""
    if find_word(identity.engine, ENGINES[1:]) is None:  # without "auto"
        raise ValueError(f"engine must be one of {', '.join(ENGINES[1:])}")
    if not 0 <= identity.workers <= MAX_WORKERS:
        raise ValueError(f"workers must be from 0 to {MAX_WORKERS:,}")


def same_teacher(one: str, other: str) -> bool:
    """Whether two teachers, as an identity has them, are one network: by the checksum.

    >>> from lightsearch.study.identity import same_teacher
    >>> same_teacher("7407: 1,106 parameters, 3 epochs", "7407: 1,106 parameters, unknown epochs")
    True
    """
    return one.partition(":")[0] == other.partition(":")[0]


def name_of(value: Any) -> str:
    """How an argument that may be a user's own object is written into an identity."""
    return value if isinstance(value, str) else type(value).__name__
