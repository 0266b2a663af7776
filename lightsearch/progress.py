"""What a search shows while it runs: a plan, then how far it is, then what it found.

In a terminal the running trials are drawn by rich and lines that stay go above them. In a notebook
(Jupyter, Colab) they are an output of their own that is replaced, and lines that stay go below it.
Elsewhere (a pipe, a log file) everything is plain lines, at most one an epoch.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lightsearch import leaderboard as tables
from lightsearch.confirmation import read_confirmations
from lightsearch.events import Ended, EpochDone, Event, Planned, Retried, Stopped, Stopping
from lightsearch.question import Question
from lightsearch.records import Trial, exact
from lightsearch.status import Status, after
from lightsearch.study.journal import read_trials
from lightsearch.wording import caps_text, duration, large, one_line, percent, plural, shortened

TOP = 10  # rows of the leaderboard in the summary
CELL = 100  # columns in a notebook
BAR = 15  # columns of a running trial's bar
_WIDTHS = {"trial": 5, "epoch": 5, "accuracy": 8, "best": 7, "params": 7}
STYLES = {"hit": "bold green", "pruned": "dim", "diverged": "yellow", "failed": "red"}

# What is said ------------------------------------------------------------------------------------


def plan_lines(status: Status) -> tuple[str, ...]:
    """What will be trained at most, about how long that takes here, and where it goes."""
    plan, question = status.planned, status.question
    assert plan is not None
    caps = caps_text(question.budget)
    about = "" if plan.exact else "about "
    before = (f", continuing: {plural(plan.resumed, 'trial')} so far, "
              f"{len(status.outcomes)} of them over") if plan.resumed else ""
    epochs = plural(plan.epochs, "epoch")
    exactness = "" if question.precision == "float32" else f" in {question.precision}"
    return (
        f"Searching for designs {f'of at most {caps} ' if caps else ''}that reach "
        f"{percent(status.target)} on {question.data.name} ({_selection(question)}) within "
        f"{epochs}.",
        f"  space     {about}{large(plan.designs)} designs, "
        f"{large(plan.within)} within the budget",
        f"  training  at most {plural(plan.trials, 'trial')} x {epochs}, "
        f"{plan.workers} at a time, engine {question.engine}{exactness}{before}",
        f"  time      {_time_line(status)}",
        f"  study     {plan.folder}",
        "Leaving with Ctrl-C is safe: the same line again continues from the last epochs.",
    )


def _selection(question: Question) -> str:
    if question.holdout is None:
        return "test"
    return f"val: {question.holdout.size:,} training images held out"


def _time_line(status: Status) -> str:
    assert status.planned is not None
    seconds, limit = status.planned.seconds, status.question.timeout
    if seconds is None:
        return "nothing is left to train" if not status.epochs_left() else "not estimated"
    said = f"about {duration(seconds)} here at most, less with pruning"
    return said if limit is None else f"{said}; stops after {duration(limit)}"


def count_line(status: Status) -> str:
    """The counts of candidates and trials so far."""
    counts, plan = status.counts, status.planned
    total = f"/{max(plan.trials, len(status.outcomes))}" if plan else ""
    said = [f"{len(status.outcomes)}{total} trials over", f"{counts.drawn:,} drawn"]
    said += [f"{count:,} {name}" for count, name in (
        (counts.over_budget, "over budget"), (counts.invalid, "invalid"),
        (counts.duplicate, "duplicate"))]
    said += [f"{status.tally(name)} {name}" for name in ("diverged", "failed")
             if status.tally(name)]
    return ", ".join([*said, f"{status.tally('pruned')} pruned",
                      plural(len(status.hits), "hit")])


def best_line(status: Status) -> str:
    """The best design so far, and what is left."""
    if status.best is None or status.best.best is None:
        return "no epoch is over yet"
    best, candidate = status.best.best, status.best.candidate
    return (f"best {percent(best.accuracy)} {status.images} at epoch {best.epoch} of "
            f"#{status.best.number}, {candidate.params:,} parameters: {candidate.design}")


def left_line(status: Status) -> str:
    seconds = status.seconds_left(time.monotonic())
    return "" if seconds is None else f"at most {duration(seconds)} left"


def event_line(event: Event, images: str) -> tuple[str, str]:
    """A line that stays, and its style, for what is worth one; else two empty strings.

    `images` says what accuracies are of: test or val.
    """
    if isinstance(event, EpochDone) and event.hit:
        return _trial_line("hit", event.trial, f"at epoch {event.result.epoch}",
                           event.result.accuracy, images), STYLES["hit"]
    if isinstance(event, Retried):
        return f"retried   #{event.trial.number:<4} {one_line(event.reason)}", "yellow"
    if isinstance(event, Stopping):
        return (f"stopping  {plural(event.running, 'running epoch')} first; Ctrl-C again stops at "
                "once"), "yellow"
    if not isinstance(event, Ended):
        return "", ""
    trial, best = event.trial, event.trial.best
    why = f" ({one_line(event.trial.reason)})" if event.trial.reason else ""
    epochs = plural(len(trial.epochs), "epoch")
    return _trial_line(trial.outcome, trial, f"best of {epochs}{why}",
                       best.accuracy if best else None, images), STYLES.get(trial.outcome, "")


def _trial_line(word: str, trial: Trial, when: str, accuracy: float | None, images: str) -> str:
    shown_as = "-" if accuracy is None else f"{percent(accuracy)} {images}"
    return (f"{word:<9} #{trial.number:<4} {shown_as:>12} {when:<17} "
            f"{trial.candidate.params:>7,} parameters  {trial.candidate.design}")


def epoch_line(event: EpochDone, status: Status) -> str:
    """A line for an epoch, where nothing can be drawn over."""
    trial, result = event.trial, event.result
    said = (f"trial #{trial.number:<4} epoch {result.epoch:>2}/{status.question.epochs}  "
            f"{percent(result.accuracy):>7} {status.images}")
    if event.hit:
        said += "  hit"
    if result.epoch == 1:
        said += f"  {trial.candidate.params:,} parameters: {trial.candidate.design}"
    left = left_line(status)
    return f"{said}  ({left})" if left else said


# What is drawn -----------------------------------------------------------------------------------


def picture(status: Status, width: int, height: int = 40) -> RenderableType:
    """Counts, the running trials, the best so far and the time left, to be drawn over."""
    return Group(
        Text(count_line(status), style="bold"),
        _running(status, width, max(1, height - 8)),
        Text(best_line(status), no_wrap=True, overflow="ellipsis"),
        Text(left_line(status), style="dim"),
    )


def _running(status: Status, width: int, rows: int) -> RenderableType:
    bar = BAR if width >= 100 else 0
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name, wide in _WIDTHS.items():
        said = f"{status.images} acc" if name == "accuracy" else name
        table.add_column(said, justify="right", no_wrap=True, min_width=wide)
        if name == "trial" and bar:
            table.add_column("", width=bar)
    table.add_column("design", no_wrap=True)
    room = width - sum(wide + 2 for wide in (*_WIDTHS.values(), bar, 0))
    for trial in status.running[:rows]:
        table.add_row(*_row(trial, status, bar, max(8, room)))
    if len(status.running) <= rows:
        return table
    return Group(table, Text(f"... and {len(status.running) - rows} more", style="dim"))


def _row(trial: Trial, status: Status, bar: int, room: int) -> Iterator[RenderableType]:
    done, of = len(trial.epochs), status.question.epochs
    yield Text(f"#{trial.number}")
    if bar:
        yield ProgressBar(total=of, completed=done, width=bar)
    yield Text(f"{done}/{of}")
    yield Text(percent(trial.epochs[-1].accuracy) if trial.epochs else "-")
    hit = trial.number in status.hits
    yield Text(percent(trial.best.accuracy) if trial.best else "-",
               style=STYLES["hit"] if hit else "")
    yield Text(f"{trial.candidate.params:,}")
    yield Text(shortened(trial.candidate.design, room))


# At the end --------------------------------------------------------------------------------------


def summary_lines(status: Status, width: int) -> Iterator[str]:
    """The leaderboard's first rows, or what to try where there is none, and where the file is."""
    folder = status.question.folder
    frame = tables.leaderboard(read_trials(folder), status.question.identity(),
                               confirmed=read_confirmations(folder))
    yield count_line(status)
    if not len(frame):
        yield from _diagnosis(status)
        return
    yield f"  {'rank':>4}  {status.images + ' acc':>8}  {'epoch':>5}  {'params':>7}  design"
    for rank, row in frame.head(TOP).iterrows():
        yield shortened(f"  {rank!s:>4}  {percent(row['best_accuracy']):>8}  "
                        f"{row['best_epoch']:>5}  {row['params']:>7,}  {row['design']}", width)
    more = f", {len(frame)} rows" if len(frame) > TOP else ""
    yield f"The leaderboard with whole designs: {folder / 'leaderboard.csv'}{more}"


def _diagnosis(status: Status) -> Iterator[str]:
    yield f"No design reached {percent(status.target)} so far."
    if status.best is not None:
        yield f"The best: {best_line(status).removeprefix('best ')}"
    trials = max(status.question.trials, len(status.outcomes))
    more = f"more trials (trials={2 * trials} continues this study)"
    if len(status.outcomes) < trials:
        more = "the same line again, which continues where this stopped"
    yield f"What may help: {more}; a larger budget, more epochs or a lower target, in a new study."
    yield f"All trials are kept in {status.question.folder}"


# Where it is shown -------------------------------------------------------------------------------


class _Display(Protocol):
    def show(self, event: Event, status: Status) -> None: ...


class _Lines:
    """Plain lines, for pipes, files and terminals that cannot draw."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def show(self, event: Event, status: Status) -> None:
        if isinstance(event, Planned):
            self._print(*plan_lines(status))
        elif isinstance(event, EpochDone):
            self._print(epoch_line(event, status))
        elif isinstance(event, Stopped):
            self._print(f"Over: {event.reason}.", *summary_lines(status, 1000))
        elif line := event_line(event, status.images)[0]:
            self._print(line)

    def _print(self, *lines: str) -> None:
        file = self.console.file
        encoding = getattr(file, "encoding", None) or "utf-8"
        for line in lines:
            indent = " " * (len(line) - len(line.lstrip(" ")))
            text = indent + "".join(c if c.isprintable() else "?" for c in line.lstrip(" "))
            file.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        file.flush()


class _Cell(_Lines):
    """A notebook's cell: one output that is replaced at each epoch, and plain lines below it.

    It needs nothing but IPython's own display, so it looks the same in Jupyter and Colab, and in a
    notebook that was executed without anybody looking on.
    """

    def __init__(self, console: Console) -> None:
        from IPython.display import display

        super().__init__(Console(file=sys.stdout))
        shown = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._output: Any = shown

    def show(self, event: Event, status: Status) -> None:
        if isinstance(event, Stopped):
            self._replace(count_line(status))
            self._print(f"Over: {event.reason}.", *list(summary_lines(status, 1000))[1:])
            return
        if not isinstance(event, EpochDone):
            super().show(event, status)
        elif event.hit:
            self._print(event_line(event, status.images)[0])
        if status.planned is not None:
            self._replace(_as_text(picture(status, CELL)))

    def _replace(self, text: str) -> None:
        self._output.update({"text/plain": text}, raw=True)


def _as_text(drawn: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=CELL, color_system=None, record=True,
                      force_jupyter=False)
    console.print(drawn)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


class _Drawing:
    """What stays is printed, what changes is drawn below it."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def show(self, event: Event, status: Status) -> None:
        width = self.console.width
        if isinstance(event, Planned):
            first, *rest = plan_lines(status)
            self._print(first, "bold")
            self._print("\n".join(rest) + "\n")
        elif isinstance(event, Stopped):
            self._print("\n" + one_line(f"Over: {event.reason}."))
            self._print("\n".join(summary_lines(status, width)))
        elif line := event_line(event, status.images)[0]:
            self._print(shortened(line, width), event_line(event, status.images)[1])

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style, overflow="fold"))


def shown(events: Iterator[Event], question: Question, *,
          console: Console | None = None) -> Iterator[Event]:
    """The same events, shown as they come: on standard output, unless told otherwise."""
    where = console or Console()
    status = Status(question, exact(question.target))
    with contextlib.ExitStack() as stack:
        display: _Display = _Cell(where) if where.is_jupyter else _Lines(where)
        if _can_draw(where):
            display = _Drawing(where)
            live = Live(get_renderable=lambda: _drawn(status, where), console=where,
                        refresh_per_second=2, transient=True)
            stack.enter_context(live)
        for event in events:
            status = after(status, event)
            if isinstance(event, Stopped):
                stack.close()  # what is drawn goes before the summary comes
            display.show(event, status)
            yield event


def _drawn(status: Status, console: Console) -> RenderableType:
    if status.planned is None:
        return Text("timing an epoch here ...", style="dim")
    return Padding(picture(status, console.width, console.height), (1, 0, 0, 0))


def _can_draw(console: Console) -> bool:
    return (console.is_terminal and not console.is_jupyter and not console.is_dumb_terminal
            and console.encoding.lower().startswith("utf"))
