"""Coverage-guided fuzzing of all readers of foreign text and files: they may only raise
`LightsearchError`.

    python benchmarks/faults/fuzz.py --seconds 600
    python benchmarks/faults/fuzz.py --seconds 60 --targets notation csv

Needs atheris (libFuzzer for Python, Linux). The targets share the time; each is a process of its
own. An input that raises anything else is written to the working directory and ends the run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from lightsearch import (
    LightsearchError,
    export,
    load_result,
    load_weights,
    parse,
    parse_recipe,
    predict,
    read,
    rebuild,
    search,
)
from lightsearch.data.image_reader import read_image
from lightsearch.searching.pruning import make_pruner
from lightsearch.study.disk import load_state
from lightsearch.study.identity import read_identity
from lightsearch.study.study import Study

TEXTS = (
    "conv(8|16,k=5) [separable(16|24) | conv(12,k=1)]*(2|3) maxpool? gap linear(10)",
    "conv(@w:8|16,p=0,act-norm) [@b: residual([conv(8)],project) | se] [@b]?@x gate linear(@w)",
    "recipe(adamw,lr=0.1|0.3,cosine,batch=@b:64|128,rotation=7.5,ema=0.998,smoothing=1e-2)",
)
LONGEST = 10_000


def notation(data: bytes, place: Path) -> None:
    """Text: what can be parsed is formatted and parsed again."""
    text = data.decode("utf-8", "replace")
    for reader in (parse, parse_recipe):
        with contextlib.suppress(LightsearchError):
            value = reader(text)
            assert reader(str(value)) == value


def csv(data: bytes, place: Path) -> None:
    """A leaderboard's file, and the tasks of its rows."""
    path = place / "leaderboard.csv"
    path.write_bytes(data)
    with contextlib.suppress(LightsearchError):
        for _, row in read(path).iterrows():
            with contextlib.suppress(LightsearchError):
                rebuild(row)


def study(data: bytes, place: Path) -> None:
    """A study's files, loaded and opened to continue. The first byte says which file."""
    name = "study.json" if data[:1] == b"s" else "journal.log"
    folder = place / "study"
    whole = {file: (folder / file).read_bytes() for file in ("study.json", "journal.log")}
    try:
        (folder / name).write_bytes(data[1:])
        with contextlib.suppress(LightsearchError):
            found = load_result(folder)
            assert len(found.trials) == len(found.records)
            assert len(found.leaderboard) <= len(found.trials)
        with contextlib.suppress(LightsearchError):
            identity = read_identity(folder)
            if identity is not None:
                with Study.open(folder, identity, make_pruner("none", Fraction("0.9"), 2)):
                    pass
    finally:
        for file, before in whole.items():
            (folder / file).write_bytes(before)


def tensors(data: bytes, place: Path) -> None:
    """Weights and states."""
    path = place / "weights" / "trial-00000.safetensors"
    path.write_bytes(data)
    load_state(path)  # None, where it is none
    with contextlib.suppress(LightsearchError):
        load_weights(place, 0)


def images(data: bytes, place: Path) -> None:
    """An image file, in gray and in colour."""
    path = place / "image.png"
    path.write_bytes(data)
    for gray in (True, False):
        with contextlib.suppress(LightsearchError):
            assert read_image(path, gray=gray).mode == ("L" if gray else "RGB")


def networks(data: bytes, place: Path) -> None:
    """An exported network, asked for the class of an image. The first byte says its kind."""
    path = place / ("net.onnx" if data[:1] == b"o" else "net.safetensors")
    path.write_bytes(data[1:])
    with contextlib.suppress(LightsearchError):
        (found,) = predict(path, place / "shown.png")
        assert 0 <= found.label < len(found.probabilities)


Target = Callable[[bytes, Path], None]
TARGETS: dict[str, Target] = {
    f.__name__: f for f in (notation, csv, study, tensors, images, networks)
}


@contextlib.contextmanager
def prepared() -> Iterator[tuple[Path, dict[str, list[bytes]]]]:
    """Make a folder for the targets to write in, and first inputs from a real study's files."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = place / "study"
        search(
            2000,
            2,
            dataset="digits",
            space="conv(4|6) maxpool separable(8|12) gap linear(10)",
            target=0.2,
            trials=2,
            workers=1,
            study=folder,
            quiet=True,
        )
        files = {
            file: (folder / file).read_bytes()
            for file in ("study.json", "journal.log", "leaderboard.csv")
        }
        (place / "weights").mkdir()
        weights = next((folder / "weights").iterdir()).read_bytes()
        shown = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
        shown.save(place / "shown.png")
        yield (
            place,
            {
                "notation": [text.encode() for text in TEXTS],
                "csv": [files["leaderboard.csv"]],
                "study": [b"s" + files["study.json"], b"j" + files["journal.log"]],
                "tensors": [weights, weights[:200]],
                "images": [_encode(shown, kind) for kind in FORMATS],
                "networks": list(_export_all(folder, place)),
            },
        )
        shutil.rmtree(folder)


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


def _encode(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _export_all(study: Path, place: Path) -> Iterator[bytes]:
    """Yield exported networks after the letter of their kind, of the kinds that can be written."""
    packages = {".onnx": ("onnx", "onnxruntime"), ".safetensors": ()}
    for suffix, needed in packages.items():
        if all(map(find_spec, needed)):
            yield suffix[1:2].encode() + export(study, place / f"first{suffix}").path.read_bytes()


ONE = """
import sys, atheris
sys.path.insert(0, sys.argv[1])
with atheris.instrument_imports(include=["lightsearch"]):
    import fuzz
fuzz.fuzz(sys.argv[2], int(sys.argv[3]))
"""


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target, in a process of its own: libFuzzer ends it."""
    import atheris

    with prepared() as (place, inputs):
        corpus = place / "corpus"
        corpus.mkdir()
        for index, data in enumerate(inputs[name]):
            (corpus / str(index)).write_bytes(data)
        target = TARGETS[name]
        longest = max(LONGEST, *map(len, inputs[name]))
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={longest}",
            "-timeout=30",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: target(data, place))
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    options = parser.parse_args()
    each = max(1, options.seconds // len(options.targets))
    for name in options.targets:
        here = str(Path(__file__).absolute().parent)
        ran = subprocess.run(
            [sys.executable, "-c", ONE, here, name, str(each)],
            capture_output=True,
            text=True,
            check=False,
        )
        stats = dict(
            line.removeprefix("stat::").split(":")
            for line in ran.stderr.splitlines()
            if line.startswith("stat::")
        )
        print(
            f"{name}: {int(stats.get('number_of_executed_units', 0)):,} inputs in {each} "
            f"seconds, {'nothing' if ran.returncode == 0 else 'something'} else came out",
            flush=True,
        )
        if ran.returncode:
            sys.exit(ran.stderr[-3000:])


if __name__ == "__main__":
    main()
