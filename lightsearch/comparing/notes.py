"""What else to know of a comparison, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lightsearch.comparing.groups import Group
from lightsearch.formatting import plural


def list_notes(groups: Sequence[Group], differs: Sequence[str]) -> Iterator[str]:
    """Yield what differs beside the identities, and what the statistics lack."""
    if not differs and len(groups) == 1:
        yield "Nothing differs between the studies but the seed."
    seeds = [set(group.results) for group in groups]
    for group, own in zip(groups, seeds, strict=True):
        if own != seeds[0]:
            yield (
                f"The seeds of {group.label} are not those of {groups[0].label}: only "
                f"{plural(len(own & seeds[0]), 'seed')} that both have make pairs."
            )
    if min(map(len, seeds)) < 2:
        yield "A single seed has no interval."
    if len(groups) > 1:
        common = set.intersection(*seeds)
        where = "" if common == set.union(*seeds) else " with a seed that all groups have"
        yield from _count_shared(groups, sorted(common), where)
    trials = [t for group in groups for r in group.results.values() for t in r.records]
    found = {
        "versions": {
            " ".join(f"{k} {v}" for k, v in t.candidate.versions.items()) for t in trials
        },
        "engines": {e.engine for t in trials for e in t.epochs},
        "kinds of device": {e.device_kind for t in trials for e in t.epochs},
        "numbers of threads": {str(e.threads) for t in trials for e in t.epochs},
    }
    for name, several in found.items():
        if len(several) > 1:
            yield f"The trials had different {name}: {'; '.join(sorted(several))}."
    if any(not r.identity.repeatable for group in groups for r in group.results.values()):
        yield "Of a study that is not repeatable, the order of its epochs is not known exactly."
    if any(t.outcome == "running" for t in trials):
        yield "Some trials are not over: a study runs, or was stopped."


def _count_shared(groups: Sequence[Group], seeds: Sequence[int], where: str) -> Iterator[str]:
    """Yield how many first trials are the same in all groups: samplers may begin with the same
    draws."""
    counts: list[int] = []
    lengths: list[int] = []
    for seed in seeds:
        several = [group.results[seed].records for group in groups]
        designs = [[(t.candidate.design, t.candidate.recipe) for t in one] for one in several]
        same = [len(set(trials)) == 1 for trials in zip(*designs, strict=False)]
        counts.append([*same, False].index(False))
        lengths.append(len(max(designs, key=len)))
    shared: int = min(counts, default=0)
    if counts and counts == lengths:
        yield f"All trials{where} are of the same designs in all groups: only training differs."
    elif shared:
        first = "The first trial" if shared == 1 else f"The first {shared:,} trials"
        verb = "is" if shared == 1 else "are"
        noun = "design" if shared == 1 else "designs"
        yield f"{first} of each study{where} {verb} of the same {noun} in all groups."
