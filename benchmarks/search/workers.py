"""Two ways of running workers side by side: epochs an hour, memory, time to the first epoch.

Each is a checkout of this repository, with its native engine compiled in place. In every round
both run the same search from the command line, one after the other, so that other load on the
machine meets both alike. The order changes from round to round. Linux gives each session of
processes its own share of a busy machine, so neither may begin sessions here: the one with more of
them would look faster.

    python benchmarks/search/workers.py --old PATH --engine native

- Epochs an hour: from the beginning of the first epoch to the end of the last one.
- Processor seconds an epoch: of all processes, start included; other load hardly changes it.
- Memory: the proportional set size (PSS) of the whole process tree, at its peak.
- Seconds to the first epoch: from the command line to when its first epoch begins, which is when
  its state is seen on disk, less the seconds that it took.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

import lightsearch

NEW = Path(lightsearch.__file__).parent.parent
LOOK = 0.005  # seconds between looks at the study's folder
FIGURES = {
    "hourly": "epochs an hour",
    "processor": "processor seconds an epoch",
    "memory": "MB",
    "first": "seconds to the first epoch",
}
ONE_SESSION = """
import os, subprocess
os.setsid = lambda: None
class Popen(subprocess.Popen):
    def __init__(self, *args, start_new_session=False, **more):
        super().__init__(*args, **more)
subprocess.Popen = Popen
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one search showed."""

    hourly: float
    processor: float  # seconds an epoch
    memory: float  # MB
    first: float  # seconds


def main() -> None:
    """Compare, and print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--engine", default="native")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    places = {"old": options.old.resolve(), "new": NEW}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        (Path(folder) / "sitecustomize.py").write_text(ONE_SESSION)
        for workers in options.workers:
            found: dict[str, list[Run]] = {name: [] for name in places}
            for index in range(options.rounds + 1):  # the first one warms caches
                names = list(places)[:: -1 if index % 2 else 1]
                for name in names:
                    study = Path(folder) / f"{name}-{workers}-{index}"
                    run = measure(places[name], study, workers, options)
                    if index:
                        found[name].append(run)
                        print(
                            f"  {name}: {run.hourly:,.0f} epochs an hour, {run.processor:.2f} "
                            f"processor seconds each, {run.memory:,.0f} MB, first epoch after "
                            f"{run.first:.2f} s",
                            flush=True,
                        )
            _summary(workers, found)


def measure(place: Path, study: Path, workers: int, options: argparse.Namespace) -> Run:
    """Run one search with the code at `place`."""
    begin, before = time.time(), _processor()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lightsearch",
            "search",
            "--dataset",
            options.dataset,
            "--engine",
            options.engine,
            "--workers",
            str(workers),
            "--trials",
            str(options.trials),
            "--epochs",
            str(options.epochs),
            "--sampler",
            "random",
            "--pruner",
            "none",
            "--target",
            "0.05",
            "--study",
            str(study),
            "--quiet",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(study.parent), str(place)])},
        cwd=study.parent,
        stdout=subprocess.DEVNULL,
    )
    peak = [0.0]
    watch = threading.Thread(target=_watch_memory, args=(process, peak), daemon=True)
    watch.start()
    seen: dict[str, float] = {}
    while process.poll() is None:
        for path in study.glob("states/*.safetensors"):
            seen.setdefault(path.name, time.time())
        time.sleep(LOOK)
    watch.join()
    if process.returncode:
        raise SystemExit(f"the search of {place} failed")
    epochs = {
        (t.number, e.epoch): e.seconds
        for t in lightsearch.load_result(study).records
        for e in t.epochs
    }
    name, done = min(seen.items(), key=lambda item: item[1])
    number, epoch = (int(part) for part in name.removesuffix(".safetensors").split("-")[1::2])
    start = done - epochs[number, epoch]
    hours = (max(seen.values()) - start) / 3600
    return Run(len(epochs) / hours, (_processor() - before) / len(epochs), peak[0], start - begin)


def _processor() -> float:
    """Seconds that all children that are over took, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch_memory(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            tree = [psutil.Process(process.pid)]
            tree += tree[0].children(recursive=True)
            peak[0] = max(peak[0], sum(map(_proportional, tree)) / 2**20)
        time.sleep(0.2)


def _proportional(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error, OSError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1]) * 1024
    return 0.0


def _summary(workers: int, found: dict[str, list[Run]]) -> None:
    """Medians of each kind, and the median of the ratios within the rounds."""
    print(f"{workers} at once, medians of {len(found['new'])} rounds, old and new:")
    for field, what in FIGURES.items():
        old, new = ([getattr(run, field) for run in found[name]] for name in ("old", "new"))
        ratio = statistics.median(mine / theirs for mine, theirs in zip(new, old, strict=True))
        print(
            f"  {what}: {statistics.median(old):,.2f} {statistics.median(new):,.2f} "
            f"({ratio:.2f} times)",
            flush=True,
        )


if __name__ == "__main__":
    main()
