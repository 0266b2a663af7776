"""What may happen to a search, and what must hold afterwards: real processes, real signals.

Afterwards (`killing.Watch`, `killing.same`): no committed epoch is lost or counted twice, plain
Optuna reads the journal, no trial is left running, and the study ends as an undisturbed one does,
weights included.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faulty
import pytest
import torch
from killing import Kennel, Watch, asked, inline, kills, plain, same, searched
from tiny import arguments, outcome

from lightsearch import api, load_result, make_dataset, search
from lightsearch.api import run
from lightsearch.engines.native.library import available
from lightsearch.errors import StudyError
from lightsearch.searching import epochs as epochs_room
from lightsearch.searching.epochs import Epochs
from lightsearch.searching.events import EpochDone
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.study.journal import read_trials
from lightsearch.training.epoch_result import EpochResult
from lightsearch.training.timing import seconds_per_epoch
from lightsearch.workers.slot import InlineSlot, WorkerDied

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork, signals and limits")
PRUNERS = ("target", "halving")
needs_engine = pytest.mark.skipif(not available(), reason="the native engine is not compiled")


@pytest.fixture(scope="module")
def kennel() -> Iterator[Kennel]:
    kennel = Kennel()
    yield kennel
    kennel.close()


@pytest.fixture(scope="module")
def undisturbed(kennel: Kennel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished study that nothing happened to, by pruner."""
    folders = {name: tmp_path_factory.mktemp("undisturbed") / name for name in PRUNERS}
    for name, folder in folders.items():
        assert kennel.run(folder, pruner=name)[0] == 0
    return folders


@pytest.fixture
def generator() -> random.Random:
    seed = random.randrange(2**32)
    print(f"drawn with seed {seed}")  # shown where the test fails
    return random.Random(seed)


# Killed ------------------------------------------------------------------------------------------


def test_the_searches_here_hit_and_prune(undisturbed: dict[str, Path]) -> None:
    outcomes = {t.outcome for name in PRUNERS for t in load_result(undisturbed[name]).records}
    assert outcomes == {"complete", "pruned"}
    assert len(load_result(undisturbed["target"]).leaderboard) > 1


@pytest.mark.parametrize("by", ["line", pytest.param("time", marks=pytest.mark.slow)])
def test_killed_at_a_few_random_moments(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path, generator: random.Random, by: str
) -> None:
    studies = (tmp_path / f"s{index}" for index in itertools.count())
    while not kills(kennel, next(studies), undisturbed["target"], generator, by):
        pass  # it came to its end before the first one


@pytest.mark.slow
@pytest.mark.parametrize("by", ["line", "time"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_killed_at_fifty_random_moments(
    kennel: Kennel,
    undisturbed: dict[str, Path],
    tmp_path: Path,
    generator: random.Random,
    by: str,
    pruner: str,
) -> None:
    count = 0  # 13 in each of the four
    while count < 13:
        count += kills(
            kennel, tmp_path / f"after-{count}", undisturbed[pruner], generator, by, pruner=pruner
        )
    assert count >= 13


def test_left_between_an_epoch_and_its_decision(tmp_path: Path) -> None:
    """Both slots end their epochs at the same virtual times, so that the order decides."""
    given = {
        "space": "conv(4) gap linear(10)",
        "recipe": "recipe(lr=0.1|0.2|0.3|0.4,batch=25)",
        "epochs": 4,
        "trials": 4,
        "target": 0.9,
        "pruner": "halving",
    }
    expected = searched(tmp_path / "undisturbed", **given)
    assert {t.outcome for t in expected.records} == {"complete", "pruned"}
    for left in range(1, sum(len(t.epochs) for t in expected.records) + 1):
        folder = tmp_path / str(left)
        slots = [InlineSlot(), InlineSlot()]
        question = resolve(SearchSettings(**asked(folder, **given), slots=slots))
        with contextlib.closing(run(question)) as events:
            epochs = (event for event in events if isinstance(event, EpochDone))
            next(itertools.islice(epochs, left - 1, None))  # committed, not decided about yet
        searched(folder, **given)
        same(folder, tmp_path / "undisturbed")


# Cut, full, read-only ----------------------------------------------------------------------------


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much of the journal in `s` has been synced, as its one item."""
    real, found, journal = os.fsync, [0], tmp_path / "s" / "journal.log"

    def noted(file: int) -> None:
        real(file)
        if Path(f"/proc/self/fd/{file}").readlink() == journal:
            found[0] = os.fstat(file).st_size

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_an_epoch_that_is_shown_while_no_other_is_done_is_synced(
    tmp_path: Path, synced: list[int]
) -> None:
    journal = tmp_path / "s" / "journal.log"
    given, shown = asked(tmp_path / "s", workers=1, trials=1, slots=[InlineSlot()]), 0
    for event in run(resolve(SearchSettings(**given))):
        if isinstance(event, EpochDone):
            shown += 1
            assert synced[0] == journal.stat().st_size
    assert shown


def test_what_was_committed_is_synced_before_the_search_waits(
    tmp_path: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two slots is done, the second is not; the first one's epoch is not synced at
    once, as if a third one's were done, which may be synced with it."""
    monkeypatch.setattr(Epochs, "others_done", lambda *_: True)
    monkeypatch.setattr(
        "lightsearch.study.study.UNSYNCED", 1e9
    )  # nor because the last sync was long ago
    journal, shown, found = tmp_path / "s" / "journal.log", threading.Event(), []

    def late(function: Callable[..., Any], *args: Any) -> Any:
        assert shown.wait(30)
        until = time.monotonic() + 5
        while synced[0] < journal.stat().st_size and time.monotonic() < until:
            time.sleep(0.01)
        found.append((synced[0], journal.stat().st_size))
        return function(*args)

    class Late(InlineSlot):
        def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
            return pool.submit(late, function, *args)

    given = asked(
        tmp_path / "s",
        space="conv(4) gap linear(10)",
        workers=2,
        trials=2,
        epochs=1,
        recipe="recipe(lr=0.1|0.2,batch=25)",
        pruner="none",
        slots=[InlineSlot(), Late()],
    )
    with ThreadPoolExecutor(1) as pool:
        for event in run(resolve(SearchSettings(**given))):
            if isinstance(event, EpochDone):
                shown.set()
    assert found and found[0][0] == found[0][1] > 0


def _cut(path: Path, generator: random.Random) -> None:
    """A file after a power cut: a part of it, with zeros where nothing was written any more."""
    data = path.read_bytes()
    at = generator.randrange(len(data) + 1)
    path.write_bytes(data[:at] + b"\0" * (generator.random() < 0.5) * generator.randrange(5000))


def _cut_and_go_on(
    unfinished: Path,
    folder: Path,
    expected: Path,
    generator: random.Random,
) -> None:
    shutil.copytree(unfinished, folder)
    before = {t.number: t.epochs for t in load_result(folder).records}
    _cut(folder / "journal.log", generator)
    for path in sorted((folder / "states").iterdir()):
        if generator.random() < 0.5:
            _cut(path, generator)
    numbers = [int(path.stem[6:]) for path in (folder / "weights").glob("trial-*.safetensors")]
    if 2 * len(read_trials(folder)) < max(numbers) + 1:  # most of it: nothing is begun anew
        with pytest.raises(StudyError, match="must have the study's trials"):
            searched(folder)
        return
    searched(folder)
    after = {t.number: t.epochs for t in load_result(folder).records}
    for number, epochs in before.items():  # those after the cut ran again: the same numbers
        assert [(e.epoch, e.correct, e.train_loss) for e in epochs] == [
            (e.epoch, e.correct, e.train_loss) for e in after[number][: len(epochs)]
        ]
    same(folder, expected)


@pytest.fixture(scope="module")
def unfinished(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A study that was killed in the middle of its trials."""
    folder = tmp_path_factory.mktemp("unfinished") / "s"
    total = int(kennel.run(folder.with_name("count"), count=True)[1])
    assert kennel.run(folder, line=total // 2)[0] == -signal.SIGKILL
    states = list((folder / "states").glob("*.safetensors"))
    assert len(states) >= 2, "nothing was running"
    return folder


@pytest.mark.parametrize("times", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_journal_and_states_cut_at_random_bytes(
    undisturbed: dict[str, Path],
    unfinished: Path,
    tmp_path: Path,
    generator: random.Random,
    times: int,
) -> None:
    for turn in range(times):
        _cut_and_go_on(unfinished, tmp_path / str(turn), undisturbed["target"], generator)


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"the system refuses to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_and_the_study_goes_on_when_there_is_room(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    with _small_disk(tmp_path / "disk") as disk:
        ballast, folder = disk / "ballast", disk / "s"
        watch = Watch(folder, {})
        for room in (30, 60, 90, 120, 150):  # kB: it fills at different files
            shutil.rmtree(folder, ignore_errors=True)
            watch.epochs = {}
            ballast.write_bytes(b"x" * 1000 * (400 - room))
            status, said = kennel.run(folder)
            assert status == 1
            assert said.startswith("StudyError: the study's folder must be writable and have room")
            assert "No space left" in said or "os error 28" in said
            watch.check()
            status, said = kennel.run(folder)  # still full
            assert status == 1 and said.startswith("StudyError")
            watch.check()
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert kennel.run(folder)[0] == 0
        watch.check()
        same(folder, undisturbed["target"])


def test_a_file_that_cannot_grow_is_told_and_the_study_goes_on(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    watch = Watch(folder, {})
    whole = (undisturbed["target"] / "journal.log").stat().st_size
    assert kennel.run(folder, line=1000)[0] == -signal.SIGKILL  # the images are there
    for share in (0.3, 0.6, 0.9):
        status, said = kennel.run(folder, fsize=int(share * whole))
        assert status == 1 and said.startswith("StudyError: the study's folder must be writable")
        watch.check()
    assert kennel.run(folder)[0] == 0
    same(folder, undisturbed["target"])


def test_a_folder_that_cannot_be_written_is_told_and_can_be_read(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(undisturbed["target"], folder)
    user = 65534 if os.getuid() == 0 else 0  # the right to write anywhere is given up for it
    for path in (tmp_path, *tmp_path.parents):
        if user and not path.stat().st_mode & 0o001 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        status, said = kennel.run(folder, uid=user, trials=9)
        assert status == 1
        assert said.startswith("StudyError: the study's folder must be writable")
        assert "Permission denied" in said
        assert outcome(load_result(folder)) == outcome(load_result(undisturbed["target"]))
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


# Moved, relative, shared -------------------------------------------------------------------------


def test_a_folder_may_be_relative_and_may_be_moved(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    lines = int(kennel.run(tmp_path / "count", count=True)[1])
    watch = Watch(tmp_path / "one" / "deep" / "s", {})
    assert kennel.run("deep/s", cwd=str(tmp_path / "one"), line=lines // 2)[0] == -signal.SIGKILL
    watch.check()
    assert watch.epochs
    (tmp_path / "one").rename(tmp_path / "two")
    watch.folder = tmp_path / "two" / "deep" / "s"
    assert kennel.run("../two/./deep/s", cwd=str(tmp_path / "two"))[0] == 0
    watch.check()
    same(watch.folder, undisturbed["target"])


def test_the_working_directory_may_change_meanwhile(
    undisturbed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "local_slots", inline)
    given = asked(Path("s"))
    del given["quiet"]
    for _ in api.iter_search(**given):
        os.chdir(tmp_path / "elsewhere")
    same(tmp_path / "s", undisturbed["target"])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_second_process_is_refused_with_the_firsts_number_and_host(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = tmp_path / "s", []
    real = epochs_room.run_epochs

    def epochs(*args: Any) -> Any:
        if not said:
            said.append(kennel.run(folder))  # another process, in the middle of this one's epoch
        return real(*args)

    monkeypatch.setattr(epochs_room, "run_epochs", epochs)
    searched(folder)
    ((status, text),) = said
    assert status == 1 and text.startswith("StudyError: a study must be run by one process")
    assert f"held by process {os.getpid()} on {socket.gethostname()}" in text
    same(folder, undisturbed["target"])


def test_the_lock_of_a_dead_process_is_taken_over(
    kennel: Kennel, undisturbed: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    assert kennel.run(folder, line=4000)[0] == -signal.SIGKILL
    assert (folder / "holder").exists() and (folder / "lock").exists()
    (folder / "journal.log.lock").touch()  # Optuna's own, had it died in a write
    assert kennel.run(folder)[0] == 0
    same(folder, undisturbed["target"])


# Ctrl-C ------------------------------------------------------------------------------------------


def _interrupting(at: int, times: int) -> Callable[..., Any]:
    """Epochs of which the `at`-th gets SIGINT, as from a terminal, `times` times."""
    real, seen = epochs_room.run_epochs, [0]

    def epochs(*args: Any) -> Any:
        seen[0] += 1
        if seen[0] == at:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
        return real(*args)

    return epochs


@pytest.mark.parametrize("at", [1, 2, 7, 12])
def test_ctrl_c_finishes_the_running_epochs(
    undisturbed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    folder = tmp_path / "s"
    with monkeypatch.context() as patch:
        patch.setattr(epochs_room, "run_epochs", _interrupting(at, 1))
        result = searched(folder)  # comes back with what there is
    assert result.reason == "stopped as asked; the same call continues it"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    watch = Watch(folder, {})
    watch.check()
    epochs = sum(map(len, watch.epochs.values()))
    assert at <= epochs < 24, "the running epochs are committed, and no others are begun"
    assert searched(folder).reason == "all 6 trials are done"
    watch.check()
    same(folder, undisturbed["target"])


@pytest.mark.parametrize("at", [1, 2, 9])
def test_after_ctrl_c_epochs_run_that_are_earlier_on_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """An epoch of one slot lasts for several of the other's, which decisions must know of."""
    folder = tmp_path / "s"
    given = {
        "sampler": "uniform",
        "space": "conv(1|24,k=7) gap linear(10)",
        "recipe": "recipe(batch=300)",
        "budget": 2000,
        "trials": 2,
        "epochs": 30,
        "pruner": "none",
    }
    with monkeypatch.context() as patch:
        patch.setattr(epochs_room, "run_epochs", _interrupting(at, 1))
        stopped = searched(folder, **given)
    ends = {
        t.number: [
            t.candidate.start + (index + 1) * t.candidate.work for index in range(len(t.epochs))
        ]
        for t in stopped.records
    }
    running = [t for t in stopped.records if t.outcome == "running"]
    works = [t.candidate.work for t in running]
    assert max(works) > 3 * min(works)
    horizon = max(itertools.chain(*ends.values()))
    assert all(
        t.candidate.start + (len(t.epochs) + 1) * t.candidate.work > horizon for t in running
    )
    searched(folder, **given)
    searched(tmp_path / "whole", **given)
    same(folder, tmp_path / "whole")


@pytest.mark.parametrize("at", [1, 7])
def test_a_second_ctrl_c_stops_at_once(
    undisturbed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    folder = tmp_path / "s"
    with monkeypatch.context() as patch:
        patch.setattr(epochs_room, "run_epochs", _interrupting(at, 2))
        with pytest.raises(KeyboardInterrupt):
            searched(folder)
    watch = Watch(folder, {})
    watch.check()
    assert sum(map(len, watch.epochs.values())) < at
    searched(folder)
    watch.check()
    same(folder, undisturbed["target"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_while_the_leaderboard_is_written_ends_the_search_before_it_is_raised(
    undisturbed: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    """A second Ctrl-C, or a full disk. What the loop does at its end was done as the interpreter
    ended, where it hung."""
    folder = tmp_path / "s"

    def broken(*_: Any) -> None:
        raise error("in between")

    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, StudyError)) as raised:
        patch.setattr("lightsearch.api.tables.write", broken)
        searched(folder)
    assert not (folder / "holder").exists()  # while the error keeps every frame alive
    searched(folder)
    same(folder, undisturbed["target"])
    assert raised.value is not None


def test_ctrl_c_while_the_caller_looks_at_a_trial_is_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "local_slots", inline)
    given = asked(tmp_path / "s")
    del given["quiet"]
    with contextlib.closing(api.iter_search(**given)) as trials:
        next(trials)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)


def test_a_handler_of_the_programs_own_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(epochs_room, "run_epochs", _interrupting(2, 1))
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        assert searched(tmp_path / "s", trials=1).reason == "its one trial is done"
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def _repeated() -> dict[str, Any]:
    """A search of the digits' size whose epochs last for a second or so."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (200_000, 1, 8, 8), dtype=torch.uint8, generator=draw)
    labels = torch.arange(200_000) % 10
    images = make_dataset((pixels, labels), (pixels[:100], labels[:100]))
    return arguments(dataset=images, workers=2, trials=2, pruner="none")


SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from test_faults import _repeated
from lightsearch import search
print(search(**{**_repeated(), "quiet": False}, study="s").reason)
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_at_a_terminal_with_real_workers(tmp_path: Path, times: int) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "script.py", str(root / "tests" / "support"), str(Path(__file__).parent)],
        cwd=tmp_path,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    last = ""
    for number in range(times):
        awaited = ("epoch  2/4", "Ctrl-C again stops at once")[number]
        while awaited not in last:
            last = process.stdout.readline()
            assert last, process.communicate()
        os.killpg(process.pid, signal.SIGINT)  # the whole group, as a terminal does
    out, errors = process.communicate(timeout=120)
    if times == 1:
        assert process.returncode == 0 and errors == ""
        assert out.splitlines()[-1] == "stopped as asked; the same call continues it"
        assert "Ctrl-C again stops at once" in out and "trials over" in out  # the summary
    else:
        assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in errors
    watch = Watch(tmp_path / "s", {})
    watch.check()
    final = search(**_repeated(), study=tmp_path / "s")
    watch.check()
    expected = search(**_repeated(), study=tmp_path / "expected")
    assert outcome(final) == outcome(expected)


# Workers -----------------------------------------------------------------------------------------


class _Stuck(InlineSlot):
    """A slot whose worker hangs, the first `times` times that it is given a second epoch."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.kills = times, 0

    def submit(self, function: Any, /, *args: Any) -> Future[Any]:
        if args[-1] == 2 and self.times:
            self.times -= 1
            hanging: Future[Any] = Future()
            hanging.set_running_or_notify_cancel()
            return hanging
        return super().submit(function, *args)

    def kill(self) -> None:
        self.kills += 1


@pytest.mark.parametrize(
    ("times", "outcomes"), [(2, ["complete", "complete"]), (3, ["failed", "complete"])]
)
def test_an_epoch_that_hangs_is_run_again_and_given_up_the_third_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, outcomes: list[str]
) -> None:
    slot = _Stuck(times)
    monkeypatch.setattr(api, "local_slots", lambda count, **_: [slot])
    result = search(**asked(tmp_path / "s", workers=1, trials=2, epoch_timeout=1.5))
    assert [t.outcome for t in result.records] == outcomes
    assert slot.kills == times + 1  # and once at the end
    if times == 3:
        assert (
            result.records[0].reason
            == "an epoch must take at most `epoch_timeout`=1.5 seconds, 3 times in one epoch"
        )
        assert len(result.records[0].epochs) == 1


class _SlowStart(InlineSlot):
    """A slot whose worker takes longer to be ready than an epoch may take."""

    def submit(self, function: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            time.sleep(0.8)
            future.set_running_or_notify_cancel()
            future.set_result(function(*args))

        threading.Thread(target=work).start()
        return future

    def kill(self) -> None:
        self.kills = 1 + getattr(self, "kills", 0)


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_epochs_time_counts_from_when_its_worker_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeatable: bool
) -> None:
    def brief(task: Any, state: Any, first: int, last: int) -> Any:
        return {"model.x": torch.zeros(1)}, EpochResult(last, 0.5, 0, 9, 8, 8, 9, 0.1, 0.0)

    monkeypatch.setattr(epochs_room, "run_epochs", brief)
    slots = [_SlowStart(), _SlowStart()]
    monkeypatch.setattr(api, "local_slots", lambda count, **_: slots)
    result = search(
        **asked(
            tmp_path / "s", workers=2, trials=2, epochs=2, epoch_timeout=0.6, repeatable=repeatable
        )
    )
    assert [(t.outcome, len(t.epochs)) for t in result.records] == [("complete", 2)] * 2
    assert [slot.kills for slot in slots] == [1, 1]  # at the end


def _long() -> dict[str, Any]:
    """A search whose native epochs last for a minute, batches of 4096 images for seconds."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (100_000, 1, 10, 10), dtype=torch.uint8, generator=draw)
    images = make_dataset((pixels, torch.arange(100_000) % 10), (pixels[:10], torch.arange(10)))
    return arguments(
        dataset=images,
        budget=200_000,
        space="conv(48) conv(64) gap linear(10)",
        recipe="recipe(batch=4096,lr=0.1|0.2)",
        trials=2,
        workers=2,
        epochs=2,
    )


@needs_engine
def test_a_native_epoch_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    begin = time.monotonic()
    result = search(**_long(), study=tmp_path / "s", epoch_timeout=1, engine="native")
    assert time.monotonic() - begin < 60
    assert [t.outcome for t in result.records] == ["failed"] * 2
    assert (
        result.records[0].reason
        == "an epoch must take at most `epoch_timeout`=1 seconds, 3 times in one epoch"
    )
    end = time.monotonic() + 60
    while any(thread.name.startswith("worker-") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


INTERRUPTED = """
import sys, time
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from test_faults import _long
from lightsearch import search
print("begins", flush=True)
try:
    search(**_long(), study="s", engine="native")
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
"""


@needs_engine
def test_a_second_ctrl_c_ends_native_epochs_within_two_seconds(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(INTERRUPTED)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "script.py", str(root / "tests" / "support"), str(Path(__file__).parent)],
        cwd=tmp_path,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    while (
        not (tmp_path / "s" / "journal.log").exists()
        or (tmp_path / "s" / "journal.log").read_bytes().count(b'"candidate"') < 2
    ):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(2)  # both trials train
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None  # it finishes the epochs that run
    sent = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert float(out) - sent < 2
    assert {t.outcome for t in load_result(tmp_path / "s").records} == {"running"}


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_and_its_epoch_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = searched(tmp_path / "expected", workers=1, trials=2, engine="torch")
    mark = tmp_path / "mark"
    monkeypatch.setattr(
        epochs_room, "run_epochs", functools.partial(faulty.stopped_once, str(mark))
    )
    result = search(**asked(tmp_path / "s", workers=1, trials=2, epoch_timeout=20, engine="torch"))
    assert mark.exists()
    assert outcome(result) == outcome(expected)


@pytest.mark.slow
def test_a_worker_without_memory_costs_its_trial_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = searched(
        tmp_path / "expected", workers=1, trials=4, pruner="none", sampler="random", engine="torch"
    )
    seeds = [t.candidate.seed for t in expected.records]
    monkeypatch.setattr(epochs_room, "run_epochs", functools.partial(faulty.starved, *seeds[1:3]))
    result = search(
        **asked(
            tmp_path / "s", workers=1, trials=4, pruner="none", sampler="random", engine="torch"
        )
    )
    whole, hungry, doomed, last = result.records
    assert (hungry.outcome, hungry.reason) == ("failed", "MemoryError: ")
    assert doomed.outcome == "failed"
    assert doomed.reason == (
        "worker 'worker-0' died in the middle of a call: killed by SIGKILL, 3 times in one epoch"
    )
    for trial in (whole, last):
        assert [e.correct for e in trial.epochs] == [
            e.correct for e in expected.records[trial.number].epochs
        ]
    states = [t.state.name for t in plain(tmp_path / "s")]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]


def test_the_workers_death_while_an_epoch_is_timed_costs_the_estimate_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(InlineSlot):
        def submit(self, function: Any, /, *args: Any) -> Future[Any]:
            if function is seconds_per_epoch:
                future: Future[Any] = Future()
                future.set_exception(WorkerDied("worker-0", -9))
                return future
            return super().submit(function, *args)

    monkeypatch.setattr(api, "local_slots", lambda count, **_: [Dying()])
    result = search(**asked(tmp_path / "s", workers=1, trials=1, quiet=False))
    assert [t.outcome for t in result.records] == ["complete"]


# Losses and images -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_a_loss_that_is_no_number_ends_its_trial_and_no_other(tmp_path: Path, engine: str) -> None:
    if engine == "native" and not available():
        pytest.skip("there is no native engine here")
    result = searched(
        tmp_path / "s",
        workers=1,
        engine=engine,
        trials=4,
        pruner="none",
        space="conv(4|6,norm=none) gap linear(10)",
        recipe="recipe(lr=100|0.1,constant,batch=25)",
    )
    outcomes = {t.outcome for t in result.records}
    assert outcomes == {"diverged", "complete"}
    for trial in result.records:
        if trial.outcome == "diverged":
            assert trial.reason == "the training loss is not finite"
            assert "lr=100" in trial.candidate.recipe
    assert len(plain(tmp_path / "s")) == 4


@pytest.mark.parametrize("damage", ["cut", "gone", "noise"])
def test_a_studys_images_that_are_damaged_end_the_search_with_the_reason(
    undisturbed: dict[str, Path], tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "s"
    searched(folder, trials=2)
    images = folder / "data.safetensors"
    data = images.read_bytes()
    if damage == "cut":
        images.write_bytes(data[:-100])
    elif damage == "noise":
        images.write_bytes(data[:-100] + bytes(100))
    else:
        images.unlink()
    if damage == "gone":  # it is written again: the caller has it
        searched(folder)
        same(folder, undisturbed["target"])
        return
    from lightsearch.data.references import _fetch

    _fetch.cache_clear()
    with pytest.raises(Exception, match="the data set 'few' must") as error:
        searched(folder)
    assert type(error.value).__name__ == "DataError"
    images.write_bytes(data)
    searched(folder)
    same(folder, undisturbed["target"])


def test_an_unreadable_study_is_a_study_error(
    tmp_path: Path,
    undisturbed: dict[str, Path],
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(undisturbed["target"], folder)
    identity = json.loads((folder / "study.json").read_text())
    for text in (
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**identity, "target": "x"}).encode(),
        json.dumps({**identity, "epochs": "4"}).encode(),
    ):
        (folder / "study.json").write_bytes(text)
        with pytest.raises(StudyError, match="must hold a study's identity"):
            load_result(folder)
        with pytest.raises(StudyError, match="must hold a study's identity"):
            searched(folder)
        assert (folder / "study.json").read_bytes() == text  # nothing is written over it


def test_the_benchmark_of_guards_knows_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes out must be there, once: it says `gone` and proves nothing otherwise."""
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(root / "benchmarks" / "faults")
    guards = importlib.import_module("guards").GUARDS
    assert len(guards) > 20
    for guard in guards:
        assert (root / "lightsearch" / guard.file).read_text().count(guard.text) == 1, guard.what
        assert (root / "tests" / guard.tests.split()[0]).exists()
