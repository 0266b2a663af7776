"""Reports: what they say is what the records hold, and the page is sound and stands alone."""

from __future__ import annotations

import base64
import dataclasses
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import html5lib
import made
import pytest
from click.testing import CliRunner
from tiny import arguments

from lightsearch import load_result, search
from lightsearch.cli import main
from lightsearch.errors import ArgumentError
from lightsearch.formatting import percent
from lightsearch.report import (
    design_text,
    pictures,
    write_design,
    write_html,
    write_markdown,
    write_steps,
)
from lightsearch.report.facts import _summary, facts
from lightsearch.result import SearchResult
from lightsearch.searching.words import PRUNERS
from lightsearch.study.trial import to_fraction


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real one, of some seconds."""
    folder = tmp_path_factory.mktemp("studies") / "a study & <more>"
    search(**arguments(study=folder, trials=5, target=0.5))
    return folder


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    return write_html(load_result(study), study / "report.html").read_text("utf-8")


# The page ---------------------------------------------------------------------------------------


def test_the_page_is_html_without_a_fault(page: str) -> None:
    html5lib.HTMLParser(strict=True).parse(page)  # raises at the first fault
    assert "a study &amp; &lt;more&gt;" in page


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    assert "<script" not in page and "@import" not in page
    sources = re.findall(r"(?:src|srcset|href)=\"([^\"]*)\"", page)
    assert len(sources) == 2 * 5 + 1
    assert all(source.startswith("data:") for source in sources)
    for source in sources[1:]:
        svg = base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode()
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg") and "prefers-color-scheme:dark" in svg
        links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert links and all(link.startswith("#") for link in links)
        assert "currentColor" in svg and pictures._INK not in svg


def test_the_page_has_what_was_asked_drawn_and_hit(page: str, study: Path) -> None:
    result = load_result(study)
    tree = html5lib.parse(page, namespaceHTMLElements=False)
    text = " ".join("".join(tree.itertext()).split())
    counts = result.counts
    rows = {
        cells[0]: cells[1]
        for cells in (
            ["".join(cell.itertext()).strip() for cell in row] for row in tree.iter("tr")
        )
        if len(cells) > 1
    }
    assert rows["Budget"] == "900 parameters" and rows["Epochs"] == "4 at most"
    assert rows["drawn"] == str(counts.drawn)
    assert rows["over budget"] == str(counts.over_budget)
    assert rows["duplicate"] == str(counts.duplicate)
    assert rows["trials"] == str(len(result.records))
    hits = [t for t in result.records if t.first_hit(to_fraction(0.5)) is not None]
    assert hits and rows["hits"] == str(len(hits))
    for rank, row in result.leaderboard.iterrows():
        assert rows[str(rank)] == percent(row["best_accuracy"])
        assert row["design"] in text and f"--row {rank} --leaderboard" in text
    assert "360 test images" in text and "it flatters" in text


def test_a_confirmed_row_that_comes_first_is_not_called_the_best_run(study: Path) -> None:
    result = load_result(study)
    board = result.leaderboard
    assert len(board) > 1 and "The best one: " in facts(result).summary
    assert percent(board["best_accuracy"].max()) in facts(result).summary
    turned = board.iloc[::-1].assign(confirmed=[True, *[False] * (len(board) - 1)])
    given = _summary(result, turned)
    last = board.iloc[-1]
    text = rf"confirmed with fresh seeds: {percent(last['best_accuracy'])} at epoch "
    assert re.search(rf"{text}.* The highest run: {percent(board['best_accuracy'].max())}", given)


def test_a_study_without_a_hit_and_one_without_a_trial_are_reported(tmp_path: Path) -> None:
    few = made.result(4, target="0.9999")
    best = max(few.records, key=lambda t: t.best.correct)
    said = facts(few)
    assert said.summary.startswith("None of 4 trained designs reached the target. The best ")
    assert said.misses[0].startswith(f"#{best.number}, {percent(best.best.accuracy)} at epoch ")
    assert len(said.misses) == 4 and not said.hits
    empty = dataclasses.replace(few, records=())
    text = write_html(empty, tmp_path / "a.html").read_text("utf-8")
    assert "Nothing has been trained yet." in text and "No design has reached" in text
    assert text.count("Not drawn: ") == 4
    html5lib.HTMLParser(strict=True).parse(text)


def test_the_commands_of_the_report_run_and_say_the_same(study: Path) -> None:
    result = load_result(study)
    line = facts(result).hits[0].command
    done = CliRunner().invoke(main, shlex.split(line)[1:])
    assert done.exit_code == 0 and "the same as the row" in done.output
    text = design_text(result, result.records[0].number)
    line = re.search(r"^lightsearch train .*$", text, re.MULTILINE).group()
    done = CliRunner().invoke(main, [*shlex.split(line)[1:], "--json"])
    assert done.exit_code == 0, done.output
    assert f'"correct": {result.records[0].epochs[-1].correct}' in done.output


@pytest.mark.parametrize("kind", pictures.KINDS, ids=lambda k: k.name)
def test_no_label_of_a_narrow_picture_is_cut_off(kind: pictures.Kind) -> None:
    from test_plots import _check_apart, _texts

    figure = pictures.figure(made.result(30).plot, kind, pictures.NARROW)
    figure.draw_without_rendering()  # a legend's place is known only then
    texts = _texts(figure.axes[0])
    _check_apart(texts)
    for text in texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text.get_text()


_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_FRAMES = """<!DOCTYPE html><title>measure</title><pre id="out"></pre>
<script>
const page = atob("%s");
let left = 2;
for (const width of [400, 1400]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:800px;border:0`;
  frame.onload = () => {
    const doc = frame.contentDocument, root = doc.documentElement;
    const broken = [...doc.images].filter(i => !i.complete || !i.naturalWidth).length;
    const sizes = [...doc.querySelectorAll("p,td,li,code")].map(
      e => parseFloat(getComputedStyle(e).fontSize));
    document.getElementById("out").textContent += JSON.stringify({width,
      scroll: root.scrollWidth, client: root.clientWidth, images: doc.images.length, broken,
      smallest: Math.min(...sizes)}) + "\\n";
    if (!--left) document.title = "done";
  };
  frame.srcdoc = new TextDecoder().decode(Uint8Array.from(page, c => c.charCodeAt(0)));
  document.body.append(frame);
}
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason="needs chromium or google-chrome")
def test_a_browser_has_nothing_to_say_and_nothing_sticks_out(page: str, tmp_path: Path) -> None:
    """At 400 and at 1,400 pixels' width; the page's own console is empty."""
    import json

    (tmp_path / "page.html").write_text(page, "utf-8")
    told = _browse(tmp_path / "page.html", tmp_path)
    assert "CONSOLE" not in told.stderr, told.stderr
    assert "How the numbers came about" in told.stdout
    frames = _FRAMES % base64.b64encode(page.encode()).decode()
    (tmp_path / "frames.html").write_text(frames, "utf-8")
    told = _browse(tmp_path / "frames.html", tmp_path)
    assert "CONSOLE" not in told.stderr, told.stderr
    seen = [json.loads(line) for line in re.findall(r"\{\"width.*?\}", told.stdout)]
    assert sorted(one["width"] for one in seen) == [400, 1400]
    for one in seen:
        assert one["scroll"] <= one["client"], one
        assert one["images"] == 5 and one["broken"] == 0 and one["smallest"] >= 11, one


def _browse(file: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    assert _BROWSER is not None
    return subprocess.run(
        [
            _BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={profile / 'profile'}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


# Markdown ---------------------------------------------------------------------------------------


def test_no_picture_of_a_report_is_put_into_the_study(study: Path, tmp_path: Path) -> None:
    mine = shutil.copytree(study, tmp_path / "mine")
    before = sorted(mine.iterdir())
    text = write_markdown(load_result(mine), tmp_path / "mine.md").read_text("utf-8")
    assert sorted(mine.iterdir()) == before
    assert "](mine.md-pictures/" in text and any((tmp_path / "mine.md-pictures").iterdir())


def test_markdown_has_its_pictures_beside_it(study: Path, tmp_path: Path) -> None:
    result = load_result(study)
    text = write_markdown(result, tmp_path / "out" / "small.md").read_text("utf-8")
    paths = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(paths) == 5
    for path in paths:
        assert (tmp_path / "out" / path).read_bytes().startswith(b"\x89PNG")
    heads = next(line for line in text.splitlines() if line.startswith("| rank "))
    for _, row in result.leaderboard.iterrows():
        line = next(one for one in text.splitlines() if f"`{row['design']}`" in one)
        assert line.count("|") == heads.count("|")


# One design -------------------------------------------------------------------------------------


def test_a_design_in_the_form_of_the_course(study: Path) -> None:
    result = load_result(study)
    trial = result.records[-1]
    text = design_text(result, trial.number)
    for head in ("Target", "Results", "Analysis", "Summary", "Receptive field", "Log", "Code"):
        assert f"\n## {head}\n" in text
    best = max(trial.epochs, key=lambda e: e.correct)
    train = max(trial.epochs, key=lambda e: e.train_correct)
    assert f"- Parameters: {trial.candidate.params:,}\n" in text
    assert f"- Best test accuracy: {percent(best.accuracy)} (epoch {best.epoch})\n" in text
    assert (
        f"- Best train accuracy: {percent(train.train_correct / train.train_total)} (epoch "
        f"{train.epoch})\n"
    ) in text
    gap = 100 * (best.train_correct / best.train_total - best.correct / best.total)
    assert f"accuracy at epoch {best.epoch}: {gap:+.2f} points" in text
    assert f"Total params: {trial.candidate.params:,}" in text  # torchinfo's own count
    assert sum(line.startswith("epoch ") for line in text.splitlines()) == len(trial.epochs)
    before = max(result.records[:-1], key=lambda t: t.best.correct)
    gain = 100 * (best.correct - before.best.correct) / best.total
    assert f"#{before.number} ({percent(before.best.accuracy)}" in text
    assert f"{gain:+.2f} points" in text


def test_the_code_of_a_design_runs_and_has_its_parameters(study: Path) -> None:
    trial = load_result(study).records[0]
    code = re.search(r"```python\n(.*?)```", design_text(load_result(study), 0), re.DOTALL)
    namespace: dict[str, object] = {"__name__": "design"}
    exec(compile(code.group(1), "design", "exec"), namespace)
    net = namespace["Net"]()
    assert sum(p.numel() for p in net.parameters()) == trial.candidate.params


def test_what_changed_is_said_by_layers() -> None:
    few = made.result(2)
    new = "conv(8) conv(10,k=1) maxpool separable(16) gap linear(10)"
    old = "conv(8) maxpool separable(12) gap linear(10)"
    records = tuple(
        dataclasses.replace(t, candidate=dataclasses.replace(t.candidate, design=d))
        for t, d in zip(few.records, (old, new), strict=True)
    )
    result = dataclasses.replace(few, records=records)
    text = design_text(result, 1)
    assert "- Layers: without `separable(12)`; with `conv(10,k=1)`, `separable(16)`.\n" in text
    assert "there is nothing to compare it with" in design_text(result, 0)


@pytest.mark.parametrize("number", [-1, 99])
def test_a_trial_that_is_not_there_is_named(number: int) -> None:
    with pytest.raises(ArgumentError, match=rf"from 0 to 4, but got design={number}"):
        design_text(made.result(5), number)


def test_a_pruned_or_diverged_design_says_so() -> None:
    many: SearchResult = made.result(40)
    for outcome in ("pruned", "diverged"):
        trial = next(t for t in many.records if t.outcome == outcome)
        assert "It was stopped" in design_text(many, trial.number)


@pytest.mark.parametrize("write", [write_html, write_markdown, write_steps, "design"])
def test_words_of_ones_own_are_not_replaced(write: Any, tmp_path: Path) -> None:
    result = made.result(5)

    def again(**more: bool) -> None:
        if write == "design":
            write_design(result, 0, path, **more)
        else:
            write(result, path, **more)

    path = tmp_path / "report.md"
    again()
    first = path.read_bytes()
    again()  # it stands there as it was written
    assert path.read_bytes() == first
    for changed in (first + b"My words.\n", first.replace(b"params", b"weights", 1)[1:], b"\xff"):
        path.write_bytes(changed)
        with pytest.raises(ArgumentError, match=r"was changed since it was written, or is no rep"):
            again()
        assert path.read_bytes() == changed
    again(force=True)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("outcome", "said"), [("failed", "It could not be trained"), ("running", "It is not over yet")]
)
def test_the_end_of_a_trial_is_a_sentence_and_its_reason_a_text(outcome: str, said: str) -> None:
    result = made.result(5)
    first = dataclasses.replace(result.records[0], outcome=outcome, reason="<script>|`")
    text = design_text(dataclasses.replace(result, records=(first, *result.records[1:])), 0)
    assert f"- {said}: \\<script\\>\\|\\`." in text


# The command, event files -----------------------------------------------------------------------


def test_the_command_writes_beside_the_study_and_says_where(study: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(main, ["report", str(study), "--design", "0"])
    assert done.exit_code == 0 and done.output.strip() == str(study / "design-0.md")
    assert (study / "design-0.md").read_text("utf-8").startswith("# Design 0: ")
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = runner.invoke(
        main, ["report", str(study), "--design", "0", "--out", str(blocked / "README.md")]
    )
    assert done.exit_code == 2 and "`out` must be a file that can be written" in done.output
    first = load_result(study).leaderboard.loc[1]
    done = runner.invoke(main, ["report", str(study), "--row", "1"])
    assert done.output.strip() == str(study / f"design-{first['trial']}.md")
    done = runner.invoke(main, ["report", str(study), "--row", "99"])
    assert done.exit_code == 2 and "`row` must be a rank in" in done.output
    done = runner.invoke(main, ["report", str(study), "--row", "1", "--trial", "0"])
    assert done.exit_code == 2 and "only one of" in done.output
    done = runner.invoke(main, ["report", str(study), "--trial", "0", "--markdown"])
    assert done.exit_code == 2 and "only one of" in done.output
    done = runner.invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 1 and "study.json" in done.output


def test_a_file_that_stands_there_is_replaced_only_by_force(study: Path, tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "README.md"
    out.write_text("mine")
    for more in (["--design", "0"], ["--trial", "0"], ["--markdown"], []):
        done = runner.invoke(main, ["report", str(study), *more, "--out", str(out)])
        assert done.exit_code == 2 and "`out` must be a new file, but" in done.output
        assert out.read_text() == "mine"
    done = runner.invoke(
        main, ["report", str(study), "--design", "0", "--out", str(out), "--force"]
    )
    assert done.exit_code == 0 and out.read_text("utf-8").startswith("# Design 0: ")
    done = runner.invoke(main, ["report", str(study), "--out", str(out), "--force"])
    assert done.exit_code == 0 and out.read_text("utf-8").startswith("# ")  # by its ending
    assert "<html" not in out.read_text("utf-8")


def test_a_link_in_a_study_is_not_written_through(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (study / "report.html").unlink(missing_ok=True)
    (study / "report.html").symlink_to(target)
    for _ in range(2):  # in its own place a report is replaced without a word
        done = CliRunner().invoke(main, ["report", str(study)])
        assert done.exit_code == 0 and target.read_text() == "mine"
    assert not (study / "report.html").is_symlink()


@pytest.mark.needs("tensorboard")
def test_event_files_are_read_by_tensorboard_itself(study: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = load_result(study)
    for _ in range(2):  # the second call replaces the first one's files
        done = CliRunner().invoke(main, ["report", str(study), "--tensorboard", str(tmp_path)])
        assert done.exit_code == 0 and f"{len(result.records)} runs in" in done.output
    for trial in result.records:
        run = tmp_path / f"trial-{trial.number:05d}"
        assert len(list(run.iterdir())) == 1
        events = EventAccumulator(str(run)).Reload()
        found = events.Scalars("accuracy/test")
        assert [e.step for e in found] == [e.epoch for e in trial.epochs]
        assert [e.value for e in found] == pytest.approx([e.accuracy for e in trial.epochs])
        assert [e.value for e in events.Scalars("loss/train")] == pytest.approx(
            [e.train_loss for e in trial.epochs]
        )


@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_pruner_is_explained(pruner: str) -> None:
    result = made.result(2)
    asked = dataclasses.replace(result.identity, pruner=pruner)
    said = " ".join(facts(dataclasses.replace(result, identity=asked)).protocol)
    assert "Pruning was by" not in said and "stopped" in said
