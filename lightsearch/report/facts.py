"""The content of a report, from a study's records: no layout, and no other figures."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from lightsearch.data.class_names import shorten_names
from lightsearch.formatting import (
    SURROGATE_NOTE,
    caps_text,
    duration,
    mean_figures,
    percent,
    plural,
)
from lightsearch.report.protocol import protocol
from lightsearch.report.result import SearchResult
from lightsearch.shapes import format_shape
from lightsearch.study.figures import (
    SIZES,
    describe_selection,
    format_figure,
    list_columns,
    name_column,
)
from lightsearch.study.trial import HitRule, Trial, versions
from lightsearch.study.warm_start import label_sources

OUTCOMES = {
    "complete": "trained to the last epoch",
    "pruned": "stopped early by the pruner",
    "diverged": "stopped, since the training loss was no longer finite",
    "failed": "could not be trained",
    "running": "not over yet",
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A row of the leaderboard as text."""

    rank: int
    trial: int
    figures: tuple[str, ...]  # under the `heads`
    design: str
    recipe: str
    command: str
    confirmed: str


MEANS = 10  # rows of the table of means
MINOR = tuple(map(name_column, ("test_accuracy", *SIZES[1:])))  # not shown on a narrow page


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of a study's report as text."""

    title: str
    summary: str
    settings: tuple[tuple[str, str], ...]
    space: str
    recipe: str
    candidates: tuple[tuple[str, str, str], ...]
    trials: tuple[tuple[str, str, str], ...]
    heads: tuple[str, ...]  # of the hits, in the words of `lightsearch leaderboard`
    hits: tuple[Hit, ...]
    hits_note: str  # their order, and the images of their accuracies
    misses: tuple[str, ...]  # the best ones, if there is no hit
    means: tuple[tuple[str, ...], ...]  # rank, figures, trial, design; if there are fresh seeds
    means_protocol: str
    commands: tuple[str, str]  # to train a row again: at the shell, in Python
    protocol: tuple[str, ...]
    version: str


def facts(result: SearchResult) -> Facts:
    """Return all that a report says about a study."""
    identity, trials = result.identity, result.records
    rule = identity.rule
    board = result.leaderboard
    means = result.means() if result.runs else None  # costs time, and is shown of fresh seeds only
    folder = result.folder
    return Facts(
        title=f"Study {folder.name or folder.resolve().name}",
        summary=_summary(result, board),
        settings=tuple(_settings(result)),
        space=identity.space,
        recipe=identity.recipe,
        candidates=tuple(_candidates(result)),
        trials=tuple(_trials(trials, rule)),
        heads=tuple(map(name_column, _columns(result))),
        hits=tuple(_hit(int(str(rank)), row, result) for rank, row in board.iterrows()),
        hits_note=_describe_hits(board, identity.selected_on),
        misses=() if len(board) else tuple(_misses(trials)),
        means=() if means is None else tuple(_means(means)),
        means_protocol="" if means is None else _describe_means(means),
        commands=(
            f"lightsearch train --row 1 --leaderboard {_path(result)}",
            f"from lightsearch import read, rebuild, train\n\n"
            f"row = read({str(folder / 'leaderboard.csv')!r}).loc[1]\n"
            f"for epoch in train(rebuild(row)):\n"
            f"    print(epoch.epoch, epoch.accuracy)",
        ),
        protocol=tuple(protocol(result)),
        version=f"lightsearch {versions()['lightsearch']}",
    )


def _path(result: SearchResult) -> str:
    return shlex.quote(str(result.folder / "leaderboard.csv"))


def _summary(result: SearchResult, board: pd.DataFrame) -> str:
    if result.identity.engine == "surrogate":
        return f"{SURROGATE_NOTE} {_results(result, board)}"
    return _results(result, board)


def _results(result: SearchResult, board: pd.DataFrame) -> str:
    trained = [t for t in result.records if t.epochs]
    if not trained:
        return "Nothing has been trained yet."
    if not len(board):
        best = max(trained, key=_accuracy)
        assert best.best is not None
        return (
            f"None of {plural(len(trained), 'trained design')} reached the target. The best "
            f"reached {percent(best.best.accuracy)} with {best.candidate.params:,} "
            "parameters."
        )
    first = board.iloc[0]
    highest = board.iloc[int(board["best_accuracy"].to_numpy().argmax())]
    said = f"The best one: {_run(highest)}."
    if first["confirmed"]:
        said = f"The first row is confirmed with fresh seeds: {_run(first)}."
        if highest["trial"] != first["trial"]:
            said += f" The highest run: {_run(highest)}."
    return (
        f"{len(board)} of {plural(len(trained), 'trained design')} reached the target. {said} "
        f"The smallest one has {board['params'].min():,}."
    )


def _run(row: pd.Series[Any]) -> str:
    return (
        f"{percent(row['best_accuracy'])} at epoch {row['best_epoch']}, with "
        f"{row['params']:,} parameters"
    )


def _accuracy(trial: Trial) -> Fraction:
    assert trial.best is not None
    return Fraction(trial.best.correct, trial.best.total)


def _settings(result: SearchResult) -> Iterable[tuple[str, str]]:
    identity = result.identity
    yield "Budget", caps_text(identity.budget) or "none"
    yield (
        "Target",
        f"{percent(identity.target)} of the {identity.selection} images, {identity.rule}",
    )
    yield "Epochs", f"{identity.epochs} at most"
    shape, classes = result.images
    yield (
        "Data",
        (
            f"{identity.dataset}, {format_shape(shape)}, {classes} classes, checksum "
            f"{identity.checksum}"
        ),
    )
    if result.class_names:
        yield "Classes", shorten_names(result.class_names)
    yield "Proposals", f"{identity.sampler}, seed {identity.seed}{_count_proposers(result)}"
    if identity.warm_start:
        yield "Warm start", label_sources(identity.warm_start)
    yield "Pruning", identity.pruner
    yield "Workers", str(identity.workers)
    yield "Engine", f"{_name_engines(result)} on {identity.device}"
    texts = {" ".join(f"{k} {v}" for k, v in t.candidate.versions.items()) for t in result.records}
    yield "Versions", "; ".join(sorted(texts)) or "-"
    yield "Folder", str(result.folder)


def _count_proposers(result: SearchResult) -> str:
    """Return how many trials each way of proposing made; "" where it is not recorded."""
    made = Counter(t.candidate.proposed_by for t in result.records if t.candidate.proposed_by)
    return ": " + ", ".join(f"{count:,} {by}" for by, count in made.items()) if made else ""


def _name_engines(result: SearchResult) -> str:
    """Return what trained the trials: PyTorch takes over what the native engine does not know."""
    last = [trial.epochs[-1].engine for trial in result.records if trial.epochs]
    made = Counter(last)
    if len(made) < 2:
        return next(iter(made), result.identity.engine)
    return ", ".join(f"{name} ({plural(count, 'trial')})" for name, count in made.items())


def _candidates(result: SearchResult) -> Iterable[tuple[str, str, str]]:
    counts = result.counts
    yield "drawn", f"{counts.drawn:,}", "candidates, up to the latest trial"
    yield "over budget", f"{counts.over_budget:,}", "rejected before anything was built"
    yield "invalid", f"{counts.invalid:,}", "rejected: a layer does not fit its input"
    yield "duplicate", f"{counts.duplicate:,}", "rejected: trained in this study already"


def _trials(trials: tuple[Trial, ...], rule: HitRule) -> Iterable[tuple[str, str, str]]:
    epochs = [e for t in trials for e in t.epochs]
    seconds = sum(e.seconds for e in epochs)
    note = f"in {plural(len(epochs), 'epoch')}" + (
        f", {duration(seconds)} of the workers' time" if epochs else ""
    )
    yield "trials", f"{len(trials):,}", note
    for outcome, what in OUTCOMES.items():
        count = sum(t.outcome == outcome for t in trials)
        if count or outcome in ("complete", "pruned"):
            yield outcome, f"{count:,}", what
    hits = sum(rule.is_hit(t.epochs) for t in trials)
    yield "hits", f"{hits:,}", f"reached {percent(rule.target)} {rule}"


def _columns(result: SearchResult) -> tuple[str, ...]:
    """Return the columns of a hit's figures: those of the shell's table."""
    return *list_columns(result.identity.selected_on), *SIZES


def _describe_hits(board: pd.DataFrame, selected_on: str) -> str:
    """Return by what the hits are ordered, and which images their accuracies are of."""
    order = "Confirmed ones first, then by" if board["confirmed"].any() else "By"
    return f"{order} best accuracy; one run each, accuracies {describe_selection(selected_on)}."


def _hit(rank: int, row: pd.Series[Any], result: SearchResult) -> Hit:
    return Hit(
        rank,
        int(row["trial"]),
        tuple(format_figure(name, row[name]) for name in _columns(result)),
        str(row["design"]),
        str(row["recipe"]),
        f"lightsearch train --row {rank} --leaderboard {_path(result)}",
        _fresh_seeds(row),
    )


def _fresh_seeds(row: pd.Series[Any]) -> str:
    """Return the results of fresh seeds as text, or "" if the leaderboard has none."""
    seeds = row.get("confirmed_n")
    if seeds is None or pd.isna(seeds) or not int(seeds):
        return ""
    mean, sd = float(row["confirmed_mean"]), float(row["confirmed_sd"])
    spread = "" if sd != sd else f", standard deviation {100 * sd:.3f} points"
    return f"{plural(int(seeds), 'fresh seed')}: mean {100 * mean:.3f}%{spread}"


def _describe_means(frame: pd.DataFrame) -> str:
    return f"{frame.attrs['images']} images, last epoch; {frame.attrs['protocol']}."


def _means(frame: pd.DataFrame) -> Iterable[tuple[str, ...]]:
    """Yield the best designs by their mean over all runs."""
    for rank, row in frame.head(MEANS).iterrows():
        yield str(rank), *mean_figures(row), f"#{row['trial']}", str(row["design"])


def _misses(trials: tuple[Trial, ...]) -> Iterable[str]:
    """Yield the best trials of a study without a hit."""
    for trial in sorted((t for t in trials if t.epochs), key=_accuracy, reverse=True)[:5]:
        assert trial.best is not None
        yield (
            f"#{trial.number}, {percent(trial.best.accuracy)} at epoch {trial.best.epoch}, "
            f"{trial.candidate.params:,} parameters: {trial.candidate.design}"
        )
