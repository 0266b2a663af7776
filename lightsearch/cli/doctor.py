"""`lightsearch doctor`: what is installed, what is missing, and what to do about it."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import click

from lightsearch.cli.options import FAILED, data_option, json_option, option
from lightsearch.cli.output import print_json
from lightsearch.data.catalogue import IMAGES, find_name
from lightsearch.errors import ArgumentError, DataError, quote, suggestion
from lightsearch.formatting import plural
from lightsearch.searching.settings import DEFAULTS

State: TypeAlias = Literal["ok", "note", "missing"]

GIB = 2**30
WORKER_BYTES = 0.65 * GIB  # of a worker with MNIST loaded (docs/benchmarks/speed.md)


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing, and advice if something is wrong with it."""

    what: str
    state: State
    found: str
    advice: str = ""


@click.command(short_help="Say what is installed and found here, and what to do about it.")
@option("dataset", f"Data set: {', '.join(IMAGES)}.")
@data_option
@json_option
@click.option(
    "--bench", is_flag=True, help="Time an epoch of three designs by each engine, for a minute."
)
@click.pass_context
def doctor(
    context: click.Context, /, dataset: str | None, data: str | None, as_json: bool, bench: bool
) -> None:
    """Say what is installed and found here, and what to do about the rest.

    Nothing is downloaded and nothing is changed. The data set is read whole, so that a damaged
    file is found here and not in the middle of a search.

    \b
    lightsearch doctor
    lightsearch doctor --dataset fashion-mnist --data ~/datasets
    lightsearch doctor --bench

    Exit codes: 0 a search would start, 1 something is missing.
    """
    if bench:
        _show_speed(as_json)
        return
    name = dataset or str(DEFAULTS.dataset)
    known = find_name(name)
    if known not in IMAGES:
        raise ArgumentError(
            f"`dataset` must be one of {', '.join(IMAGES)}, "
            f"but got {quote(name)}{suggestion(name, IMAGES)}"
        )
    checks = []
    for check in _checks(known, data):
        checks.append(check)
        if not as_json:
            click.echo(f"{check.what:<12} {check.state:<8} {check.found}")
            if check.advice:
                click.echo(f"{'':<22}{check.advice}")
    if as_json:
        print_json([dataclasses.asdict(check) for check in checks])
    context.exit(FAILED if any(check.state == "missing" for check in checks) else 0)


def _show_speed(as_json: bool) -> None:
    from lightsearch.cli.bench import count_params, time_engines

    found = []
    if not as_json:
        sizes = ", ".join(f"{count:,}" for count in count_params())
        click.echo(f"Seconds an epoch on images like MNIST's, of designs with {sizes} parameters:")
    for speed in time_engines():
        found.append(dataclasses.asdict(speed))
        if not as_json:
            seconds = "".join(f"{one:>9.2f}" for one in speed.seconds)
            click.echo(f"{speed.engine:<14}{seconds}   {speed.device}")
    if as_json:
        print_json(found)


def _checks(dataset: str, data: str | None) -> Iterator[Check]:
    yield Check("Python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    yield from _packages()
    yield from _training()
    yield _threads()
    yield _images(dataset, data)
    yield from _places()


def _packages() -> Iterator[Check]:
    from importlib import metadata

    for name in ("lightsearch", "torch", "torchvision", "optuna"):
        try:
            yield Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name, "missing", "not installed", f"pip install {name}")


def _training() -> Iterator[Check]:
    """Check the native engine and the device."""
    from lightsearch.engines.native.library import label, trouble

    why = trouble()
    if why:
        yield Check(
            "engine",
            "note",
            f"torch, since {why}",
            "A C++ compiler (g++ or clang++) and `pip install --force-reinstall "
            "--no-deps lightsearch` give the native engine, which is several times faster "
            "on a processor.",
        )
    else:
        yield Check("engine", "ok", label())
    yield Check("device", "ok", _find_gpu() or "cpu (no CUDA device is seen)")


def _find_gpu() -> str:
    """Return the GPU that PyTorch would train on, if any.

    PyTorch is asked only where there is a driver, since it takes longer to import than all the
    rest of the checks.
    """
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ""
    import torch

    return f"cuda: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""


def _threads() -> Check:
    from lightsearch.workers.devices import cores

    count = cores()
    text = f"{plural(count, 'core')}: {plural(count, 'trial')} at once, a thread each"
    memory = _free_memory()
    if memory is not None and memory < count * WORKER_BYTES:
        fit = max(1, int(memory / WORKER_BYTES))
        return Check(
            "workers",
            "note",
            f"{text}, but {memory / GIB:.1f} GiB of memory are free",
            f"A worker takes about {WORKER_BYTES / GIB:.2f} GiB: search with --workers {fit}.",
        )
    return Check("workers", "ok", text)


def _free_memory() -> int | None:
    """Return the bytes of memory that are available, or None if the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = dict(line.split(":", 1) for line in lines)
    return int(sizes["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in sizes else None


def _images(name: str, data: str | None) -> Check:
    from lightsearch.data.named import find

    try:
        parts, where = find(name, data)
    except DataError as error:
        return Check(
            "data", "missing", f"{error}", "Remove the damaged file, and it is downloaded again."
        )
    if parts is None:
        if data is not None:
            return Check(
                "data",
                "missing",
                f"{name} is not in {data}",
                "Give --data a folder as "
                "torchvision lays it out, or leave it away: then it is downloaded.",
            )
        return Check(
            "data",
            "note",
            f"{name} is not here yet",
            "A search downloads it through "
            "torchvision; without a network, give --data FOLDER or use --dataset digits.",
        )
    train, test = (len(labels) for _, labels in parts)
    return Check("data", "ok", f"{name} in {where}: {train:,} training and {test:,} test images")


def _places() -> Iterator[Check]:
    """Check that the folders of studies and downloads are writable and have room."""
    from lightsearch.data.named import cache_folder

    for what, folder, needed in (
        ("studies", Path.cwd(), 0.1 * GIB),
        ("cache", Path(cache_folder()), 0.2 * GIB),
    ):
        there = next(p for p in (folder, *folder.parents) if p.exists())
        free = shutil.disk_usage(there).free
        text = f"{folder}, {free / GIB:.1f} GiB free"
        if not os.access(there, os.W_OK):
            advice = (
                "Change to a folder that you may write to, or give --study FOLDER."
                if what == "studies"
                else "Give --data FOLDER with the data set in it."
            )
            yield Check(
                what,
                "missing" if what == "studies" else "note",
                f"{folder} cannot be written",
                advice,
            )
        elif free < needed:
            yield Check(
                what,
                "note",
                text,
                "Free some space: a study of a hundred trials takes about 20 MB, MNIST 120 MB.",
            )
        else:
            yield Check(what, "ok", text)
