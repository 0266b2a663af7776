"""A search on a Dask cluster of many workers: epochs a second, memory, a scheduler that is killed.

    python benchmarks/search/cluster.py --workers 64 --trials 10000 --out cluster.json

The surrogate answers the epochs, so all time is that of the search, of Dask and of the way between
them. Scheduler, workers and search are processes of their own; the workers share `--hosts`
processes, since each would import PyTorch. With `--restart-at N` the scheduler is killed after N
epochs, comes back at the same address, and the search is called again. `--fill N` gives the study
N trials of uniform draws first, as `throughput.py` does, to see an old study in less time.
`--minutes M` ends the search after that time, wherever it is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dask
import psutil
from distributed import Client, Worker
from simulated import SimulatedSlot
from throughput import filled

from lightsearch.api import run
from lightsearch.errors import WorkerError
from lightsearch.searching.events import Ended, EpochDone
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings
from lightsearch.workers.dask import dask_slots


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--hosts", type=int, default=4, help="processes that the workers share")
    parser.add_argument("--pruner", default="predicted")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--fill", type=int, default=0, help="trials that the study has already")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--rows", type=int, default=10, help="parts of the trials, a row for each")
    parser.add_argument("--restart-at", type=int, help="epochs after which the scheduler dies")
    parser.add_argument("--inline", action="store_true", help="no cluster: slots that answer here")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)  # the part of a host
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.workers))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


async def serve(address: str, workers: int) -> None:
    """Be so many workers, and again when a scheduler has gone: as a supervisor would do."""
    with dask.config.set({"distributed.worker.memory.terminate": False}):
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                made = [Worker(address, nthreads=1, dashboard=False) for _ in range(workers)]
                await asyncio.gather(*made)
                await asyncio.gather(*(worker.finished() for worker in made))
            await asyncio.sleep(1)


@dataclass
class Cluster:
    """A scheduler and the hosts of its workers, as processes."""

    workers: int
    hosts: int
    folder: Path
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.begin_scheduler()
        for host in range(self.hosts):
            share = (self.workers + host) // self.hosts
            command = [sys.executable, __file__, "--serve", self.address, "--workers", str(share)]
            self.running.append(self._begin(command, f"host-{host}"))

    def begin_scheduler(self) -> None:
        port = self.address.rpartition(":")[2]
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        self.scheduler = self._begin([*command, "--port", port, "--no-dashboard"], "scheduler")

    def _begin(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        variables = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, env=variables, stdout=log, stderr=log)

    def kill_scheduler(self) -> None:
        assert self.scheduler
        self.scheduler.send_signal(signal.SIGKILL)
        self.scheduler.wait()

    def end(self) -> None:
        for process in [*self.running, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
            process.wait()


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, float | str]]:
    """Run the search, through a restart if one is asked for; print and return the figures."""
    cluster = Cluster(options.workers, options.hosts, folder)
    if not options.inline:
        cluster.begin()
    try:
        meter = Meter(cluster, options)
        try:
            meter.search(folder / "study")
        except WorkerError as error:
            killed, epochs = time.perf_counter() - meter.killed, meter.epochs
            print(f"{killed:.1f} s after the kill the search said: {error}", flush=True)
            cluster.begin_scheduler()
            meter.search(folder / "study")
            meter.rows.append({"said after": round(killed, 1), "epochs": epochs})
        return meter.rows
    finally:
        cluster.end()


class Meter:
    """Searches, and keeps a row of figures for each tenth of the trials."""

    def __init__(self, cluster: Cluster, options: argparse.Namespace) -> None:
        self.cluster, self.options = cluster, options
        self.epochs = self.trials = 0
        self.rows: list[dict[str, float | str]] = []
        self.killed = 0.0
        self.until = time.perf_counter() + 60 * options.minutes

    @contextlib.contextmanager
    def settings(self, study: Path) -> Iterator[Settings]:
        more = {name: getattr(self.options, name) for name in ("trials", "data", "pruner")} | {
            "engine": "surrogate"
        }
        if self.options.inline:
            slots = [SimulatedSlot() for _ in range(self.options.workers)]
            yield Settings(8000, 15, study=study, slots=slots, **more)
            return
        with Client(self.cluster.address, timeout=60) as client:
            client.wait_for_workers(self.options.workers, timeout=600)
            places = dask_slots(client, self.options.workers)
            yield Settings(8000, 15, study=study, slots=places, **more)

    def search(self, study: Path) -> None:
        with self.settings(study) as settings:
            mark = begin = time.perf_counter()
            before, used, resumes = self.epochs, self.processor(), bool(self.killed)
            every = max(1, (self.options.trials - self.options.fill) // self.options.rows)
            question = resolve(settings)
            if self.options.fill and not self.trials:
                filled(question, self.options.fill)
            for event in run(question):
                self.epochs += isinstance(event, EpochDone)
                self.trials += isinstance(event, Ended)
                if resumes and isinstance(event, EpochDone):
                    again = time.perf_counter() - begin
                    print(f"first epoch {again:.1f} s after the second call", flush=True)
                    resumes = False
                if self.epochs == self.options.restart_at and not self.killed:
                    self.killed = time.perf_counter()
                    self.cluster.kill_scheduler()
                now = time.perf_counter()
                over = now > self.until and self.epochs > before
                if over or (isinstance(event, Ended) and self.trials % every == 0):
                    self.add_row(now - mark, self.epochs - before, used)
                    mark, before, used = now, self.epochs, self.processor()
                if over:
                    return

    def processes(self) -> dict[str, list[int]]:
        """The search, and where there is a cluster its scheduler and the hosts of its workers."""
        found = {"search": [os.getpid()]}
        if not self.options.inline:
            assert self.cluster.scheduler
            found["scheduler"] = [self.cluster.scheduler.pid]
            found["workers"] = [process.pid for process in self.cluster.running]
        return found

    def processor(self) -> dict[str, float]:
        """Seconds of processor time so far."""
        return {name: processor_seconds(these) for name, these in self.processes().items()}

    def add_row(self, seconds: float, epochs: int, used: dict[str, float]) -> None:
        row: dict[str, float | str] = {
            "trials": self.options.fill + self.trials,
            "epochs": self.epochs,
            "epochs/s": round(epochs / seconds, 1),
        }
        for name, these in self.processes().items():
            row[f"{name} ms"] = round(1000 * (processor_seconds(these) - used[name]) / epochs, 1)
            row[f"{name} MB"] = memory(these)
        row["load"] = round(os.getloadavg()[0], 1)
        self.rows.append(row)
        print(row, flush=True)


def memory(processes: list[int]) -> int:
    """Memory that belongs to these processes alone, in MB."""
    return round(sum(psutil.Process(one).memory_full_info().uss for one in processes) / 2**20)


def processor_seconds(processes: list[int]) -> float:
    times = [psutil.Process(one).cpu_times() for one in processes]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    main()
