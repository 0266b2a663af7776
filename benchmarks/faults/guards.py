"""Does each guard against faults have a test that fails without it?

    python benchmarks/faults/guards.py --out guards.json

Each guard in turn is removed from a copy of the sources, and the tests that should notice run
there: they must fail. Tests that pass, or do not fail in time, have not noticed. A guard takes
about half a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Guard(NamedTuple):
    """A guard: what it ensures, its file, its text, the text without it, its tests."""

    what: str
    file: str
    text: str
    without: str
    tests: str


GUARDS = (
    # What is decided again after a kill.
    Guard(
        "the latest epoch is decided about again",
        "searching/loop.py",
        "        yield from self._decide_again()\n",
        "",
        "searching/test_faults.py -k left_between",
    ),
    Guard(
        "of epochs at one virtual time, the last slot's is the latest",
        "searching/clock.py",
        "max(reversed(range(len(self.lanes))),",
        "max(range(len(self.lanes)),",
        "searching/test_faults.py -k left_between",
    ),
    # Ctrl-C.
    Guard(
        "the first Ctrl-C waits for the running epochs",
        "searching/clock.py",
        "max((self.end(slot) for slot in running), default=-1)",
        "-1",
        "searching/test_faults.py -k ctrl_c_finishes",
    ),
    Guard(
        "epochs earlier on the clock run after Ctrl-C",
        "searching/loop.py",
        "        if self.clock.allows(slot):\n            self.epochs.submit",
        "        if not self.clock.stopping:\n            self.epochs.submit",
        "searching/test_faults.py -k earlier_on_the_clock",
    ),
    Guard(
        "the first Ctrl-C raises nothing",
        "searching/interrupts.py",
        "        stop.set()\n",
        "        raise KeyboardInterrupt\n",
        "searching/test_faults.py -k ctrl_c_finishes",
    ),
    Guard(
        "the second Ctrl-C stops at once",
        "searching/interrupts.py",
        "        signal.signal(signal.SIGINT, usual)\n        stop.set()",
        "        stop.set()",
        "searching/test_faults.py -k second_ctrl_c",
    ),
    Guard(
        "a program's own handler stays",
        "searching/interrupts.py",
        " or signal.getsignal(signal.SIGINT) is not usual",
        "",
        "searching/test_faults.py -k handler_of",
    ),
    # The disk.
    Guard(
        "a full disk is a StudyError",
        "study/disk.py",
        "    except (OSError, SafetensorError) as error:",
        "    except ZeroDivisionError as error:",
        "searching/test_faults.py -k 'full_disk or cannot_grow or cannot_be_written'",
    ),
    Guard(
        "a torn line of the journal is cut",
        "study/log.py",
        "            self._file.truncate(end)\n",
        "",
        "searching/test_faults.py -k journal_and_states",
    ),
    Guard(
        "a blank line of the journal is skipped",
        "study/log.py",
        "None if line.isspace() else self._parse(line)",
        "self._parse(line)",
        "study/test_study.py -k blank_lines",
    ),
    Guard(
        "a journal that is replaced ends the search",
        "study/log.py",
        "        if not same or cut or over:",
        "        if False:",
        "study/test_study.py -k changed_under",
    ),
    Guard(
        "only regular files are opened",
        "study/log.py",
        "    if not stat.S_ISREG(os.fstat(found).st_mode):",
        "    if False:",
        "study/test_log.py -k regular",
    ),
    Guard(
        "a damaged state is not taken",
        "study/disk.py",
        "    except (OSError, SafetensorError):\n        return None",
        "    except ZeroDivisionError:\n        return None",
        "searching/test_faults.py -k journal_and_states",
    ),
    Guard(
        "best weights get their name after a kill",
        "study/states.py",
        "if best is not None and best.epoch == epoch:",
        "if False:",
        "study/test_study.py -k get_their_name",
    ),
    Guard(
        "best weights of an epoch that may be committed stay",
        "study/study.py",
        "self.trials if self._sure else None",
        "self.trials",
        "study/test_study.py -k may_be_committed",
    ),
    Guard(
        "the error of a sync in another thread is raised",
        "study/study.py",
        "            earlier.result()\n",
        "            pass\n",
        "study/test_study.py -k by_and_by",
    ),
    Guard(
        "states of trials that are over are removed",
        "study/states.py",
        ' and path.name.partition("-epoch-")[0] not in running:',
        " and False:",
        "study/test_study.py -k cleared_away",
    ),
    Guard(
        "the folder is absolute",
        "searching/setting.py",
        "path(self.name, value).absolute()",
        "path(self.name, value)",
        "searching/test_faults.py -k working_directory",
    ),
    Guard(
        "an epoch that is shown is synced",
        "searching/loop.py",
        "self.study.sync(at_once=not self.epochs.others_done(slot))",
        "self.study.sync(at_once=False)",
        "searching/test_faults.py -k shown_while",
    ),
    Guard(
        "what was committed is synced before the search waits",
        "searching/epochs.py",
        "        if not training.done():\n            self._study.sync()\n",
        "",
        "searching/test_faults.py -k before_the_search_waits",
    ),
    # Two at once.
    Guard(
        "a study is held by one process",
        "study/disk.py",
        "            lock.acquire()\n",
        "",
        "searching/test_faults.py -k second_process",
    ),
    Guard(
        "the lock of a dead process is taken over",
        "study/journal.py",
        'in folder.glob(f"{FILE}.lock*"):',
        "in ():",
        "study/test_study.py -k half_written",
    ),
    # Workers.
    Guard(
        "an epoch that hangs is run again",
        "searching/loop.py",
        "            if training.late():",
        "            if False:",
        "searching/test_faults.py -k hangs_is_run --timeout 60",
    ),
    Guard(
        "a trial that kills its workers is given up",
        "searching/loop.py",
        "        if training.deaths >= DEATHS:",
        "        if False:",
        "searching/test_faults.py -k 'without_memory or given_up' --timeout 60",
    ),
    Guard(
        "a worker that dies in the estimate ends nothing",
        "searching/planning.py",
        "    except WorkerDied:\n        return None\n",
        "    except WorkerDied:\n        raise\n",
        "searching/test_faults.py -k estimate",
    ),
    Guard(
        "a Dask worker that dies with a value is replaced",
        "workers/dask.py",
        "return future.result(timeout=FETCH)",
        "return future.result()",
        "workers/test_cluster.py -m slow -k nobody_has_fetched --timeout 90",
    ),
    # What is trained and read.
    Guard(
        "a loss that is no number ends its trial",
        "searching/loop.py",
        "if trial.epochs[-1].diverged:",
        "if False:",
        "searching/test_faults.py -k no_number",
    ),
    Guard(
        "damaged images are not trained on",
        "data/references.py",
        "    if dataset.checksum != ref.checksum:",
        "    if False:",
        "searching/test_faults.py -k images_that_are_damaged",
    ),
    Guard(
        "an identity is of the right kinds",
        "study/identity.py",
        "identity = check_types(Identity(**data))",
        "identity = Identity(**data)",
        "searching/test_faults.py -k unreadable",
    ),
    Guard(
        "records are of the right kinds",
        "study/field_types.py",
        "            if not isinstance(value, one.kind):",
        "            if False:",
        "study/test_study.py -k another_kind",
    ),
    Guard(
        "numbers of a row fit",
        "study/rebuild.py",
        "TypeError, OverflowError) as",
        "TypeError) as",
        "test_arguments.py",
    ),
    Guard(
        "a CSV is a file of this machine",
        "study/csv_file.py",
        "    text = read_text_file(path)\n",
        '    text = __import__("urllib.request").request.urlopen(str(path)).read().decode()\n',
        "test_fuzz.py -k network",
    ),
    Guard(
        "halving keeps no notes of its own",
        "searching/pruning.py",
        "        return HalvingPruner(min(3, epochs))",
        "        return optuna.pruners.SuccessiveHalvingPruner(min_resource=min(3, epochs), "
        "reduction_factor=2)",
        "study/test_study.py -k pruners_by_name",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="guards with this in their name")
    parser.add_argument("--seconds", type=float, default=300, help="for the tests of one guard")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build"))
        for guard in GUARDS:
            if options.only in guard.what:
                results[guard.what] = result = run_tests(guard, copy, options.seconds)
                print(f"{result:8} {guard.what}", flush=True)
                options.out.write_text(json.dumps(results, indent=1))
    print(f"{list(results.values()).count('noticed')} of {len(results)} are noticed")


def run_tests(guard: Guard, copy: Path, seconds: float) -> str:
    """Run the guard's tests without it. Returns noticed, missed, late, broken or gone."""
    path = copy / "lightsearch" / guard.file
    whole = path.read_text()
    if guard.text not in whole:
        return "gone"
    path.write_text(whole.replace(guard.text, guard.without))
    try:
        done = subprocess.run(
            f"{sys.executable} -m pytest -q -x -p no:cacheprovider tests/{guard.tests}",
            shell=True,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "late"
    finally:
        path.write_text(whole)
    if done.returncode == 1 or "KeyboardInterrupt" in done.stdout:
        return "noticed"
    return "broken" if done.returncode else "missed"


if __name__ == "__main__":
    main()
