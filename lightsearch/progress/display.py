"""Show a running search: first its plan, then its progress, then its results.

In a terminal, rich draws the running trials and prints permanent lines above them. In a notebook
(Jupyter, Colab), the running trials are one output that is replaced, with permanent lines below
it. Elsewhere (a pipe, a log file) there are plain lines: one a trial, and one an epoch until the
first trial is over, or if nothing was said for a while.
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

from lightsearch.errors import escape_controls
from lightsearch.formatting import one_line, percent, shorten
from lightsearch.progress.lines import (
    STYLES,
    best_line,
    count_line,
    epoch_line,
    event_line,
    left_line,
    plan_lines,
    summary_lines,
)
from lightsearch.progress.status import Status, after
from lightsearch.searching.events import EpochDone, Event, Planned, Stopped
from lightsearch.searching.question import Question
from lightsearch.study.trial import Trial

CELL = 100  # columns in a notebook
BAR = 15  # columns of a running trial's bar
SILENCE = 60.0  # seconds without a line in a log, after which the next epoch has one
_WIDTHS = {"\ntrial": 5, "\nepoch": 5, "last\naccuracy": 8, "best\naccuracy": 8, "\nparams": 7}


# The live picture --------------------------------------------------------------------------------


def picture(status: Status, width: int, height: int = 40) -> RenderableType:
    """Return the live picture: the counts, the running trials, the best trial, the time left."""
    return Group(
        Text(count_line(status), style="bold"),
        _running_table(status, width, max(1, height - 9)),
        Text(escape_controls(best_line(status)), no_wrap=True, overflow="ellipsis"),
        Text(left_line(status), style="dim"),
    )


def _running_table(status: Status, width: int, rows: int) -> RenderableType:
    bar = BAR if width >= 100 else 0
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name, wide in _WIDTHS.items():
        table.add_column(name, justify="right", no_wrap=True, min_width=wide)
        if name == "\ntrial" and bar:
            table.add_column("", width=bar)
    table.add_column("\ndesign", no_wrap=True)
    room = width - sum(wide + 2 for wide in (*_WIDTHS.values(), bar, 0))
    for trial in status.running[:rows]:
        table.add_row(*_cells(trial, status, bar, max(8, room)))
    if len(status.running) <= rows:
        return table
    return Group(table, Text(f"... and {len(status.running) - rows} more", style="dim"))


def _cells(trial: Trial, status: Status, bar: int, room: int) -> Iterator[RenderableType]:
    done, of = len(trial.epochs), status.question.identity.epochs
    yield Text(f"#{trial.number}")
    if bar:
        yield ProgressBar(total=of, completed=done, width=bar)
    yield Text(f"{done}/{of}")
    yield Text(percent(trial.epochs[-1].accuracy) if trial.epochs else "-")
    hit = trial.number in status.hits
    yield Text(
        percent(trial.best.accuracy) if trial.best else "-", style=STYLES["hit"] if hit else ""
    )
    yield Text(f"{trial.candidate.params:,}")
    yield Text(shorten(escape_controls(trial.candidate.design), room))


# Displays ----------------------------------------------------------------------------------------


class _Display(Protocol):
    def show(self, event: Event, status: Status) -> None: ...


class _Lines:
    """Plain lines, for pipes, files and terminals that cannot draw.

    An epoch has a line only if a reader may wonder whether the search goes on: 100 trials of 15
    epochs would bury the hits in 1,500 lines.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._latest = 0.0  # when a line was printed

    def show(self, event: Event, status: Status) -> None:
        if isinstance(event, Planned):
            self._print(*plan_lines(status))
        elif isinstance(event, EpochDone):
            if not status.outcomes or time.monotonic() - self._latest >= SILENCE:
                self._print(epoch_line(event, status))
        elif isinstance(event, Stopped):
            self._print(f"Over: {event.reason}.", *summary_lines(status, 1000))
        elif line := event_line(event, status)[0]:
            self._print(line)

    def _print(self, *lines: str) -> None:
        self._latest = time.monotonic()
        file = self.console.file
        encoding = getattr(file, "encoding", None) or "utf-8"
        for line in lines:
            indent = " " * (len(line) - len(line.lstrip(" ")))
            text = indent + "".join(c if c.isprintable() else "?" for c in line.lstrip(" "))
            file.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        file.flush()


class _Cell(_Lines):
    """A notebook's cell: one output that is replaced at each epoch, and plain lines below it.

    It needs only IPython's own display, so it looks the same in Jupyter, in Colab, and in a
    notebook that was executed without a viewer.
    """

    def __init__(self, console: Console) -> None:
        from IPython.display import display

        super().__init__(Console(file=sys.stdout))
        handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._output: Any = handle

    def show(self, event: Event, status: Status) -> None:
        if isinstance(event, Stopped):
            self._replace(count_line(status))
            self._print(f"Over: {event.reason}.", *list(summary_lines(status, 1000))[1:])
            return
        if not isinstance(event, EpochDone):
            super().show(event, status)
        if status.planned is not None:
            self._replace(_as_text(picture(status, CELL)))

    def _replace(self, text: str) -> None:
        self._output.update({"text/plain": text}, raw=True)


def _as_text(renderable: RenderableType) -> str:
    console = Console(
        file=io.StringIO(), width=CELL, color_system=None, record=True, force_jupyter=False
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


class _Terminal:
    """A terminal: permanent lines are printed, and the live picture is drawn below them."""

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
        elif line := event_line(event, status)[0]:
            self._print(shorten(line, width), event_line(event, status)[1])

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(escape_controls(text), style=style, overflow="fold"))


def show_progress(
    events: Iterator[Event], question: Question, *, console: Console | None = None
) -> Iterator[Event]:
    """Yield the same events, each after it is shown on `console`: by default standard output."""
    where = console or Console()
    status = Status(question)
    with contextlib.ExitStack() as stack:
        display: _Display = _Cell(where) if where.is_jupyter else _Lines(where)
        if _can_draw(where):
            display = _Terminal(where)
            live = Live(
                get_renderable=lambda: _live_picture(status, where),
                console=where,
                refresh_per_second=2,
                transient=True,
            )
            stack.enter_context(live)
        for event in events:
            status = after(status, event)
            if isinstance(event, Stopped):
                stack.close()  # clears the live picture before the summary
            display.show(event, status)
            yield event


def _live_picture(status: Status, console: Console) -> RenderableType:
    if status.planned is None:
        return Text("timing an epoch here ...", style="dim")
    return Padding(picture(status, console.width, console.height), (1, 0, 0, 0))


def _can_draw(console: Console) -> bool:
    return (
        console.is_terminal
        and not console.is_jupyter
        and not console.is_dumb_terminal
        and console.encoding.lower().startswith("utf")
    )
