"""Does the script of an export reach the library's accuracies? Many seeds of each, on MNIST.

    python benchmarks/networks/scripts.py --out scripts.jsonl
    python benchmarks/networks/scripts.py --out scripts.jsonl --table

The library trains with the native engine where it is built. The script runs in a process of its
own, in which lightsearch cannot be imported. Both draw other random numbers from one seed, so
their runs are as far apart as those of two seeds, and the means are compared. A run in the file is
not repeated.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import RECIPE, add_line, lines, reference
from scipy.stats import ttest_ind

from lightsearch import Recipe, Task, parse, parse_recipe, train
from lightsearch.data.references import fetch
from lightsearch.standalone import Job, script_text

DESIGN = "conv(8,p=0) maxpool conv(10) separable(16) conv(12,p=0) gap linear(10)"
RECIPES = {
    "the default": RECIPE,
    "another": parse_recipe(
        "recipe(adamw,lr=0.01,cosine,batch=256,decay=0.01,shear=5,scale=0.1,erasing=0.2,"
        "brightness=0.2,contrast=0.2,smoothing=0.1)"
    ),
}
_BLOCKED = """
import runpy, sys
class Blocked:
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "lightsearch":
            raise ImportError("a script must not need lightsearch")
sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", default=os.environ.get("LIGHTSEARCH_DATA"))
    parser.add_argument("--recipe", choices=[*RECIPES], default="the default")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        train_missing(options)
    print_table(options.out)


def train_missing(options: argparse.Namespace) -> None:
    known = {(line["recipe"], line["by"], line["seed"]) for line in lines(options.out)}
    recipe = RECIPES[options.recipe]
    for seed in range(options.first, options.first + options.seeds):
        for by, run in (("library", run_library), ("script", run_script)):
            if (options.recipe, by, seed) in known:
                continue
            right = run(recipe, options.epochs, seed, options.data)
            add_line(options.out, recipe=options.recipe, by=by, seed=seed, correct=right)


def run_library(recipe: Recipe, epochs: int, seed: int, data: str | None) -> list[int]:
    task = Task(parse(DESIGN), recipe, reference(data), epochs, seed)
    return [result.correct for result in train(task)]


def run_script(recipe: Recipe, epochs: int, seed: int, data: str | None) -> list[int]:
    """Return the correct test images by epoch, as the script prints them."""
    images = fetch(reference(data))
    job = Job(
        parse(DESIGN),
        recipe,
        epochs,
        seed,
        "mnist",
        images.shape,
        images.classes,
        len(images.train[1]),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train_net.py"
        text = script_text(job)
        if data is not None:
            text = text.replace('DATA = "data"', f"DATA = {data!r}")
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", _BLOCKED, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # as the library; and runs may be parallel
        )
    return [int(right) for right in re.findall(r"Accuracy: (\d+)/10000 ", done.stdout)]


def print_table(path: Path) -> None:
    """Print the last epoch's accuracies, and the difference of the means."""
    found: dict[str, dict[str, list[float]]] = {}
    for line in lines(path):
        by = found.setdefault(line["recipe"], {"library": [], "script": []})
        by[line["by"]].append(line["correct"][-1] / 100)
    print("| recipe | seeds | library: mean (sd) | script: mean (sd) | difference, 95% interval |")
    print("|---|---:|---:|---:|---|")
    for name, by in found.items():
        library, script = by["library"], by["script"]
        if min(len(library), len(script)) < 2:
            continue
        cells = [f"{statistics.mean(v):.3f} ({statistics.stdev(v):.3f})" for v in by.values()]
        gap = statistics.mean(script) - statistics.mean(library)
        low, high = ttest_ind(script, library, equal_var=False).confidence_interval()
        print(
            f"| {name} | {len(library)} and {len(script)} | {cells[0]} | {cells[1]} | "
            f"{gap:+.3f}, {low:+.3f} to {high:+.3f} |"
        )


if __name__ == "__main__":
    main()
