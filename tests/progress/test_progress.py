"""What a search shows: from the events of a real one, and from events made by hand."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from rich.console import Console
from tiny import arguments

from lightsearch import Budget
from lightsearch.api import run
from lightsearch.formatting import duration, format_large, percent, shorten
from lightsearch.progress.display import picture, show_progress
from lightsearch.progress.lines import count_line, plan_lines
from lightsearch.progress.status import NONE, Status, after
from lightsearch.searching.events import Ended, EpochDone, Event, Planned, Retried, Started
from lightsearch.searching.question import Question, resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.study import leaderboard as tables
from lightsearch.study.leaderboard import read
from lightsearch.study.trial import Candidate, Counts, Trial, to_fraction
from lightsearch.training.epoch_result import EpochResult
from lightsearch.workers.slot import InlineSlot


def _question(folder: Path, **more: Any) -> Question:
    return resolve(SearchSettings(**arguments(study=folder, slots=[InlineSlot()], **more)))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Question, list[Event]]:
    """A question and all events of its search."""
    question = _question(tmp_path_factory.mktemp("studies") / "played")
    return question, list(run(question))


def _lines(events: list[Event], question: Question) -> list[str]:
    out = io.StringIO()
    list(show_progress(iter(events), question, console=Console(file=out)))
    return out.getvalue().splitlines()


def _drawn(events: list[Event], question: Question, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=30, _environ={})
    list(show_progress(iter(events), question, console=console))
    return out.getvalue()


# Made by hand -----------------------------------------------------------------------------------


def _trial(
    number: int = 0,
    corrects: tuple[int, ...] = (),
    total: int = 10_000,
    design: str = "conv(8) gap linear(10)",
    counts: Counts = NONE,
    **more: Any,
) -> Trial:
    candidate = Candidate(
        number, design, "recipe", {}, {}, 1, "f", 1234, 5, 6, 7, 0, 0, 1, counts, {}
    )
    return Trial(candidate, tuple(_epoch(i + 1, c, total) for i, c in enumerate(corrects)), **more)


def _epoch(epoch: int, correct: int, total: int = 10_000, seconds: float = 10.0) -> EpochResult:
    return EpochResult(epoch, 0.5, 1, 2, correct, correct, total, 0.1, seconds)


def _planned(question: Question, **more: Any) -> Planned:
    return Planned(
        **{
            "folder": question.folder,
            "trials": 4,
            "epochs": 10,
            "workers": 2,
            "resumed": 0,
            "designs": 48,
            "within": 44,
            "exact": True,
            "seconds": 200.0,
            "engine": "native",
            **more,
        }
    )


def _limited(question: Question, timeout: float) -> Question:
    settings = dataclasses.replace(question.settings, timeout=timeout)
    return dataclasses.replace(question, settings=settings)


def _status(question: Question, *events: Event) -> Status:
    status = Status(question)
    for event in events:
        status = after(status, event)
    return status


# Events -----------------------------------------------------------------------------------------


def test_the_events_go_through_as_they_are(played) -> None:
    question, events = played
    for console in (
        Console(file=io.StringIO()),
        Console(file=io.StringIO(), force_terminal=True, width=80),
    ):
        assert [id(e) for e in show_progress(iter(events), question, console=console)] == [
            id(e) for e in events
        ]


def test_closing_it_closes_the_search_and_shows_the_cursor_again(played) -> None:
    question, events = played
    closed = []

    def source() -> Iterator[Event]:
        try:
            yield from events
        finally:
            closed.append(True)

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, _environ={})
    view = show_progress(source(), question, console=console)
    next(view)
    view.close()
    del view
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1
    assert closed == [True]


# Plain lines ------------------------------------------------------------------------------------


def test_plain_lines_have_no_control_characters(played) -> None:
    question, events = played
    assert all(line.isprintable() for line in _lines(events, question))


def test_a_terminal_shows_a_strangers_control_characters_as_escapes(
    played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note about another study, or a data set's name, may hold what moves the cursor."""
    question, _ = played
    monkeypatch.setattr(
        "lightsearch.progress.display.plan_lines", lambda _: ("a\x1b[2Jb", "c\x07")
    )
    monkeypatch.setattr("lightsearch.progress.display.best_line", lambda _: "best\x1b]0;title\x07")
    text = _drawn([_planned(question)], question, 80)
    for raw in ("\x1b[2J", "\x07", "\x1b]0"):
        assert raw not in text
    assert "a\\x1b[2Jb" in text and "c\\x07" in text


def _until_the_first_end(events: list[Event]) -> list[EpochDone]:
    first = next(number for number, event in enumerate(events) if isinstance(event, Ended))
    return [event for event in events[:first] if isinstance(event, EpochDone)]


def test_a_trial_has_a_line_and_an_epoch_until_the_first_is_over(played) -> None:
    question, events = played
    lines = _lines(events, question)
    epochs, ends = _until_the_first_end(events), [e for e in events if isinstance(e, Ended)]
    assert sum(line.startswith("trial #") for line in lines) == len(epochs) > 0
    assert sum(line.startswith(("hit ", "complete", "pruned")) for line in lines) == len(ends) == 4
    assert len(lines) <= 7 + len(epochs) + len(ends) + 4 + 5  # the plan, the hits, the summary


def test_an_epoch_has_a_line_if_nothing_was_said_for_a_while(
    played, monkeypatch: pytest.MonkeyPatch
) -> None:
    question, events = played
    monkeypatch.setattr("lightsearch.progress.display.SILENCE", 0.0)
    lines = _lines(events, question)
    epochs = [e for e in events if isinstance(e, EpochDone)]
    assert sum(line.startswith("trial #") for line in lines) == len(epochs)


def test_an_epoch_line_says_its_accuracy(played, monkeypatch: pytest.MonkeyPatch) -> None:
    question, events = played
    monkeypatch.setattr("lightsearch.progress.display.SILENCE", 0.0)
    lines = [line for line in _lines(events, question) if line.startswith("trial #")]
    for event, line in zip((e for e in events if isinstance(e, EpochDone)), lines, strict=True):
        result = event.result
        assert f"#{event.trial.number} " in line
        assert f" {result.epoch}/4 " in line
        assert f"{10_000 * result.correct // result.total / 100:.2f}%" in line
        assert (event.trial.candidate.design in line) == (result.epoch == 1)
        assert ("reaches the target" in line) == event.hit


def test_what_is_odd_is_brought_to_one_line(played) -> None:
    question, _ = played
    ended = Ended(_trial(0, outcome="failed", reason="Boom:\n\x1b[31mred\r\nend"), Counts(drawn=1))
    lines = _lines([_planned(question), ended, Retried(_trial(3), "worker\n'1' died")], question)
    assert "(Boom: [31mred end)" in lines[-2]
    assert lines[-2].startswith("failed") and " - " in lines[-2]  # no accuracy to show
    assert lines[-1].startswith("retried   #3") and lines[-1].endswith("worker '1' died")


def test_a_stream_that_knows_few_characters_gets_no_others(played) -> None:
    question, _ = played
    question = dataclasses.replace(question, folder=Path("st\u00fcdy\x1b[2J"))
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    list(show_progress(iter([_planned(question)]), question, console=Console(file=file)))
    file.flush()
    assert b"st\\xfcdy?[2J\n" in raw.getvalue()


# The plan ---------------------------------------------------------------------------------------


def test_the_plan_comes_before_anything_is_trained(played) -> None:
    question, events = played
    assert isinstance(events[0], Planned)
    text = "\n".join(_lines(events[:1], question))
    for said in (
        "at most 900 parameters",
        "reach 80.00% on digits (test) within 4 epochs",
        "48 designs, 44 within the budget",
        "at most 4 trials x 4 epochs, 1 at a time",
        str(question.folder),
        "Ctrl-C is safe",
    ):
        assert said in text
    assert "continuing" not in text


def test_the_plan_says_how_long_and_how_large(played) -> None:
    question, _ = played
    planned = _planned(question, seconds=4000.0, designs=10**30, exact=False)
    text = "\n".join(plan_lines(_status(question, planned)))
    assert "about 1 h 7 min here at most" in text
    assert "about 1.0e30 designs" in text
    limited = _limited(question, 90.0)
    assert "stops after 1 min 30 s" in "\n".join(plan_lines(_status(limited, planned)))


def test_the_plan_says_if_the_space_falls_short_of_the_cap(played) -> None:
    question, _ = played
    planned = _planned(question)
    assert "note" not in "\n".join(plan_lines(_status(question, planned)))
    wide = dataclasses.replace(question.survey, budget=Budget(params=9000))
    short = dataclasses.replace(question, survey=wide)
    lines = plan_lines(_status(short, planned))
    assert sum("note      the largest design within the budget has" in line for line in lines) == 1
    assert any("less than half of the 9,000 allowed" in line for line in lines)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "8 draws near the cap, then model"),
        ({"sampler": "near-cap"}, "draws near the cap"),
        ({"sampler": "uniform", "startup": 3}, "uniform draws"),
        ({"sampler": "tpe", "startup": 1}, "1 uniform draw, then tpe"),
        ({"trials": 8}, "8 draws near the cap"),
        (
            {"warm_start": ["conv(4) gap linear(10)", "conv(5) gap linear(10)"]},
            "2 designs to try first, then 6 draws near the cap, then model",
        ),
        (
            {"sampler": RandomSampler(seed=0)},
            "8 uniform draws, then RandomSampler, which may begin with draws of its own",
        ),
        (
            {"sampler": RandomSampler(seed=0), "startup": 0},
            "RandomSampler, which may begin with draws of its own",
        ),
    ],
)
def test_the_plan_says_what_proposes(given: dict[str, Any], text: str, tmp_path: Path) -> None:
    """The same first draws make the first trials of any two samplers the same."""
    settings = SearchSettings(study=tmp_path / "s", engine="surrogate", **{"trials": 9, **given})
    events = run(resolve(settings))
    plan = next(event for event in events if isinstance(event, Planned))
    events.close()
    assert plan.proposals == text
    question = _question(tmp_path / "t", sampler="tpe")
    lines = plan_lines(_status(question, _planned(question, proposals=text)))
    assert f"  proposals {text}" in lines


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ("conv(4|6) gap linear(10)", "native"),
        ("conv(4|6,kernel=3x1) gap linear(10)", "torch, since native does not know"),
        ("conv(4|6,kernel=3|3x1) gap linear(10)", "native, torch for what it does not know"),
    ],
)
def test_the_plan_says_what_trains(space: str, text: str, tmp_path: Path) -> None:
    settings = SearchSettings(
        space=space, dataset="digits", study=tmp_path / "s", trials=1, epochs=1, engine="native"
    )
    events = run(resolve(settings), lambda events, _: events)
    plan = next(event for event in events if isinstance(event, Planned))
    events.close()
    assert plan.engine.startswith(text)
    question = _question(tmp_path / "t")
    lines = plan_lines(_status(question, _planned(question, engine=text)))
    assert any(f"2 at a time, engine {text}, pruner" in line for line in lines)


def test_the_plan_says_if_draws_are_guided(played) -> None:
    question, _ = played
    rare = dataclasses.replace(question.survey, guided=True, interval=(1, 7000), within=1)
    text = "\n".join(
        plan_lines(_status(dataclasses.replace(question, survey=rare), _planned(question)))
    )
    assert "designs, 1 to 7,000 (draws are guided) within the budget" in text


def test_a_continued_study_starts_with_what_it_has(played) -> None:
    question, events = played
    text = "\n".join(_lines(list(run(question)), question))
    assert "continuing: 4 trials so far, 4 of them over" in text
    assert "nothing is left to train" in text
    last = [e for e in events if isinstance(e, Ended)][-1]
    assert f"4/4 trials over, {last.counts.drawn} drawn" in text
    hits = sum(isinstance(e, EpochDone) and e.hit for e in events)
    assert f"{hits} hit" in text


# Status -----------------------------------------------------------------------------------------


def test_the_counts(played) -> None:
    question, _ = played
    counts = Counts(drawn=3456, over_budget=1200, invalid=3, duplicate=17)
    status = _status(
        question,
        _planned(question),
        Started(_trial(0, counts=counts)),
        EpochDone(_trial(0, (9000,)), _epoch(1, 9000), True),
        Started(_trial(1)),
        Ended(_trial(1, (500,), outcome="pruned"), counts),
        Started(_trial(2)),
        Ended(_trial(2, outcome="failed", reason="x"), counts),
    )
    assert count_line(status) == (
        "2/4 trials over, 3,456 drawn, 1,200 over budget, 3 invalid, "
        "17 duplicate, 1 failed, 1 pruned, 1 hit"
    )
    assert [t.number for t in status.running] == [0]
    assert status.best is not None and status.best.number == 0


def test_the_best_is_the_first_of_equals(played) -> None:
    question, _ = played
    status = _status(
        question,
        _planned(question),
        EpochDone(_trial(0, (9000, 8000)), _epoch(2, 8000), False),
        EpochDone(_trial(1, (9000,)), _epoch(1, 9000), False),
    )
    assert status.best is not None and status.best.number == 0


def test_the_time_left(played) -> None:
    question, _ = played
    status = _status(question, _planned(question))  # 200 s for 4 x 10 epochs by 2: 10 s each
    assert status.seconds_left(status.since) == 200
    status = _status(question, _planned(question), Started(_trial(0)), Started(_trial(1)))
    assert status.seconds_left(status.since + 7) == pytest.approx(193)
    assert status.seconds_left(status.since + 10**6) == 190  # 38 epochs do not run yet
    ended = Ended(_trial(1, (1, 2), outcome="pruned"), Counts())
    assert after(status, ended).seconds_left(after(status, ended).since) == pytest.approx(150)
    slower = status
    for epoch in range(1, 60):
        done = EpochDone(_trial(0, (1,) * min(epoch, 10)), _epoch(epoch, 1, seconds=20), False)
        slower = after(slower, done)
    assert slower.seconds_left(slower.since) == 300  # 30 epochs, 20 s each, by 2
    limited = _status(_limited(question, 60.0), _planned(question))
    assert limited.seconds_left(limited.since) == pytest.approx(60)


def test_nothing_is_left_at_the_end(played) -> None:
    question, events = played
    status = _status(question, *events)
    assert status.seconds_left(status.since) is None
    assert status.running == ()


# Drawn ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [20, 60, 140])
def test_it_is_drawn_within_the_width(played, width: int) -> None:
    question, _ = played
    design = " ".join(["conv(8) [separable(16,p=0)]"] * 9)
    status = _status(
        question,
        _planned(question),
        Started(_trial(0, design=design)),
        EpochDone(_trial(0, (9876, 9800), design=design), _epoch(2, 9800), False),
        *(Started(_trial(n)) for n in range(1, 50)),
    )
    console = Console(file=io.StringIO(), record=True, width=width, height=24)
    console.print(picture(status, width, 24))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24 or width == 20
    text = "\n".join(lines)
    if width >= 60:
        for said in ("2/4", "98.00%", "98.76%", "1,234", "conv(8)", "... and 35 more"):
            assert said in text
        assert text.count("...") >= 2  # the design is shortened
    if width == 140:
        assert "[separable(16,p=0)]" in text  # not taken for rich's own markup


@pytest.mark.parametrize("width", [60, 140])
def test_a_search_is_drawn_in_a_terminal(played, width: int) -> None:
    question, events = played
    text = _drawn(events, question, width)
    assert "\x1b[" in text
    hits = {e.trial.number for e in events if isinstance(e, EpochDone) and e.hit}
    for event in events:
        if isinstance(event, Ended):
            is_hit = event.trial.number in hits and event.trial.outcome == "complete"
            word = "hit" if is_hit else event.trial.outcome
            assert text.count(f"{word:<9} #{event.trial.number:<4}") == 1
    assert hits and text.count("hit       #") == len(hits)
    assert "rank" in text and "leaderboard.csv" in text.replace("\n", "")


def test_terminals_that_cannot_draw_get_plain_lines(played) -> None:
    question, events = played
    out = io.StringIO()
    dumb = Console(file=out, force_terminal=True, _environ={"TERM": "dumb"})
    list(show_progress(iter(events), question, console=dumb))
    assert "\x1b" not in out.getvalue() and "\ntrial #0 " in out.getvalue()


# The summary ------------------------------------------------------------------------------------


def test_the_summary_shows_the_leaderboard(played) -> None:
    question, events = played
    lines = _lines(events, question)
    frame = read(question.folder / "leaderboard.csv")
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["rank"])
    assert lines[start].split("  ")[-5:] == "rank|best accuracy|best epoch| params|design".split(
        "|"
    )
    said = "One run each; accuracies of the test images, which selected the designs."
    assert lines[start + 1 + len(frame)] == said
    rows = lines[start + 1 : start + 1 + len(frame)]
    for (rank, row), line in zip(frame.iterrows(), rows, strict=True):
        cells = line.split(maxsplit=4)
        assert cells == [
            str(rank),
            percent(row["best_accuracy"]),
            str(row["best_epoch"]),
            f"{row['params']:,}",
            row["design"],
        ]
    assert lines[-1].endswith(str(question.folder / "leaderboard.csv"))


def test_the_summary_stops_at_ten(played, monkeypatch) -> None:
    question, events = played
    monkeypatch.setattr("lightsearch.progress.lines.TOP", 1)
    lines = _lines(events, question)
    frame = read(question.folder / "leaderboard.csv")
    assert len(frame) > 1
    assert lines[-3] == f"  ... and {len(frame) - 1} more"
    assert lines[-5].split()[0] == "rank"


def test_the_summary_says_that_confirmed_designs_come_first(played, monkeypatch) -> None:
    question, events = played
    board = tables.leaderboard

    def confirmed(*given: Any, **more: Any) -> Any:
        frame = board(*given, **more)
        return frame.assign(confirmed=[True, *[False] * (len(frame) - 1)])

    assert not any("Confirmed" in line for line in _lines(events, question))
    monkeypatch.setattr(tables, "leaderboard", confirmed)
    lines = _lines(events, question)
    assert "Confirmed with fresh seeds come first: 1 design (lightsearch leaderboard)." in lines


def test_without_a_hit_it_says_what_to_try(tmp_path: Path) -> None:
    question = _question(tmp_path / "s", target=0.9999, trials=1, epochs=1)
    events = list(run(question))
    text = "\n".join(_lines(events, question))
    best = next(e.result for e in events if isinstance(e, EpochDone))
    assert "No design reached 99.99% so far." in text
    assert f"The best: {percent(best.accuracy)} test at epoch 1 of #0" in text
    assert "--trials 2, in Python trials=2, continues this study" in text
    assert "a larger budget" in text and "lower target" in text


def test_the_plan_and_the_diagnosis_say_which_epochs_must_reach_the_target(tmp_path: Path) -> None:
    question = _question(tmp_path / "s", target=0.9999, trials=1, consistent=2)
    lines = _lines(list(run(question)), question)
    assert lines[0].endswith("within 4 epochs, at each of the last 2 epochs.")
    assert "No design reached 99.99% at each of the last 2 epochs so far." in lines


def test_stopped_before_its_trials_were_over_it_says_so(tmp_path: Path) -> None:
    question = _question(tmp_path / "s", timeout=0.001)
    text = "\n".join(_lines(list(run(question)), question))
    assert "Over: the time limit of 0.001 seconds is over." in text
    assert "the same line again, which continues" in text


# Words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (9940 / 10_000, "99.40%"),
        (9939 / 10_000, "99.39%"),
        (0.99399999, "99.39%"),
        (to_fraction(0.994), "99.40%"),
        (0.0, "0.00%"),
        (1.0, "100.00%"),
        (0.2899, "28.99%"),
    ],
)
def test_a_percentage_is_rounded_down(share: float, said: str) -> None:
    assert percent(share) == said


def test_every_ten_thousandth_is_written_as_it_is() -> None:
    for count in range(10_001):
        assert percent(count / 10_000) == f"{count // 100}.{count % 100:02d}%"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "1 s"),
        (59.2, "1 min"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3661, "1 h 2 min"),
        (86_399, "1 d"),
        (90_001, "1 d 2 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0"),
        (999_999_999_999, "999,999,999,999"),
        (10**12, "1.0e12"),
        pytest.param(10**5000, "1.0e5000", id="longer than Python writes"),
    ],
)
def test_large_counts(count: int, said: str) -> None:
    assert format_large(count) == said


@pytest.mark.parametrize(("width", "said"), [(6, "abcdef"), (5, "ab..."), (2, ".."), (0, "")])
def test_a_shortened_text_fits(width: int, said: str) -> None:
    assert shorten("abcdef", width) == said
