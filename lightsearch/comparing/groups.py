"""Studies in groups that differ in nothing but their seeds, and what sets the groups apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lightsearch.checks import check_kind
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.result import SearchResult, load_result
from lightsearch.study.identity import Identity
from lightsearch.study.warm_start import label_sources

One: TypeAlias = "str | Path | SearchResult"
Given: TypeAlias = "Iterable[One] | Mapping[str, One | Iterable[One]]"

ALIKE = ("dataset", "checksum", "selected_on")  # else accuracies are not of the same images
LONG = 40  # characters of a value that is not a label any more


@dataclass(frozen=True, slots=True)
class Group:
    """Studies that ask the same but for the seed, by seed. `values` are of what differs."""

    label: str
    values: dict[str, Any]
    results: dict[int, SearchResult]


def describe(identity: Identity) -> dict[str, Any]:
    """Return what may differ between studies, each thing by the name of its argument.

    The seed is not among it. Neither is what no argument sets.
    """
    fields = dataclasses.asdict(identity)
    for name in ("seed", "format", "warm_start_digest"):
        del fields[name]
    caps, own = fields.pop("budget"), fields.pop("own_steps")
    known, digest = label_sources(identity.warm_start), identity.warm_start_digest
    return {
        "budget": caps["params"],
        "budget_macs": caps["macs"],
        "budget_activation_bytes": caps["activation_bytes"],
        **fields,
        "recipe": identity.recipe + (f" ({own})" if own else ""),
        "target": float(identity.target),
        "warm_start": f"{known} ({digest[:6]})" if known else "nothing",
    }


def group_studies(
    given: Given, by: str | Sequence[str] | None
) -> tuple[tuple[str, ...], list[Group]]:
    """Return what differs between studies, and the groups in the order in which they came.

    With a mapping the groups are given by their labels. Raises `ArgumentError` if more differs
    than `by` names, or than one thing if it names nothing, and for what cannot be compared.
    """
    named = isinstance(given, Mapping)
    loaded = list(_load(given))
    if not loaded:
        raise ArgumentError("studies to compare must be at least one, but got none")
    _check_questions([result for _, result in loaded])
    about = [describe(result.identity) for _, result in loaded]
    differ = tuple(name for name in about[0] if any(one[name] != about[0][name] for one in about))
    _check_differences(differ, about, by)
    groups: dict[Any, Group] = {}
    for (label, result), one in zip(loaded, about, strict=True):
        values = {name: one[name] for name in differ}
        key = label if named else tuple(values.items())
        group = groups.setdefault(key, Group(label, values, {}))
        if group.values != values:
            raise ArgumentError(
                "the studies of one group must differ in their seeds only, but in "
                f"{quote(label)} it is {group.values} and {values}"
            )
        known = group.results.setdefault(result.identity.seed, result)
        if known is not result:
            raise ArgumentError(
                "studies that ask the same must have different seeds, but "
                f"{known.folder} and {result.folder} both have seed={result.identity.seed}. If "
                "something differs that their names do not tell, such as an Optuna sampler's "
                "arguments, give Python's `compare` a mapping: compare({'label': [...], ...})"
            )
    found = list(groups.values())
    return differ, found if named else _add_labels(differ, found)


def _load(given: Given) -> Iterator[tuple[str, SearchResult]]:
    """Yield each study with its group's label, or "" where none is given."""
    if isinstance(given, Mapping):
        for label, several in given.items():
            check_kind("label", label, str, "the text that stands for a group")
            yield from ((label, result) for _, result in _load(_several(several)))
        return
    for one in _several(given):
        yield "", one if isinstance(one, SearchResult) else load_result(one)


def _several(given: One | Iterable[One]) -> Iterable[One]:
    if isinstance(given, str | Path | SearchResult):
        return [given]
    check_kind("studies", given, Iterable, "studies, or a mapping of labels to them")
    return given


def _check_questions(results: Sequence[SearchResult]) -> None:
    first = results[0]
    for result in results:
        if result.identity.goal != "best":
            raise ArgumentError(
                "studies that are compared must look for the best accuracy, but "
                f"{result.folder} has goal={result.identity.goal!r}"
            )
        for name in ALIKE:
            one, other = getattr(first.identity, name), getattr(result.identity, name)
            if one != other:
                raise ArgumentError(
                    "studies that are compared must have accuracies of the same images, but "
                    f"{first.folder} has {name}={one!r} and {result.folder} {name}={other!r}"
                )


def _check_differences(
    differ: Sequence[str], about: Sequence[dict[str, Any]], by: str | Sequence[str] | None
) -> None:
    allowed = _names_of(by)
    for name in allowed:
        if not isinstance(name, str) or name not in about[0]:
            raise ArgumentError(
                f"`by` must name arguments of a search, {', '.join(about[0])}, but got "
                f"{quote(name)}{suggestion(name, about[0])}"
            )
    beyond = [name for name in differ if name not in allowed]
    if beyond and (by is not None or len(beyond) > 1):
        rule = f"in {', '.join(allowed)}" if allowed else "in one thing"
        found = "; ".join(
            f"{name} ({', '.join(dict.fromkeys(_short(one[name]) for one in about))})"
            for name in differ
        )
        raise ArgumentError(
            f"studies that are compared must differ {rule} and in their seeds, but these differ "
            f"in {found}. Leave some out, or say by `by` (--by) that all of it is meant to differ"
        )


def _names_of(by: str | Sequence[str] | None) -> list[str]:
    if by is None:
        return []
    if isinstance(by, str):
        return [by]
    check_kind("by", by, Sequence | Set, "the name of an argument of a search, or a list of them")
    return list(by)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONG else text[: LONG - 3] + "..."


def _add_labels(differ: Sequence[str], groups: Sequence[Group]) -> list[Group]:
    """Label groups by their values. Long ones are numbered, and stand in the table only."""
    texts: dict[str, dict[str, str]] = {name: {} for name in differ}
    for group in groups:
        for name, value in group.values.items():
            text = str(value)
            number = len(texts[name]) + 1
            texts[name].setdefault(text, text if len(text) <= LONG else f"{name} {number}")
    labelled = []
    for group in groups:
        parts = {name: texts[name][str(value)] for name, value in group.values.items()}
        label = (
            next(iter(parts.values()))
            if len(parts) == 1
            else ", ".join(f"{name}={part}" for name, part in parts.items())
        )
        labelled.append(dataclasses.replace(group, label=label or "all studies"))
    return labelled
