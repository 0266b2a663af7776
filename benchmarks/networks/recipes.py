"""Compare a recipe with variants of it, on a few designs: accuracy by epoch.

    python benchmarks/networks/recipes.py --out recipes.jsonl
    python benchmarks/networks/recipes.py --out recipes.jsonl --variants "" flip=0.1 loss=focal
    python benchmarks/networks/recipes.py --out recipes.jsonl --table

Every run is one line of the file. A run in the file is not repeated, so the benchmark can be
stopped and continued, with more seeds or designs. The variant "", `common.RECIPE`, is always
trained in the same batch: the table gives each variant's difference to it over the same designs
and seeds. With `distill`, the teacher is trained first, by that recipe for as many epochs; its
weights lie beside the file.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
import steps  # noqa: F401 (registers them)
from common import DESIGNS, RECIPE, lines, reference, train_missing

from lightsearch import (
    Recipe,
    Task,
    Teacher,
    build,
    make_teacher,
    parse,
    parse_recipe,
    run_epoch,
)
from lightsearch.data.references import fetch
from lightsearch.training.epoch import take_evaluated

NAMES = ("small, 1,902", "separable, 4,360", "plain, 7,546")
TEACHER = (
    "conv(24,act-norm) conv(32,act-norm) maxpool conv(48,act-norm) conv(48,act-norm) maxpool "
    "conv(64,act-norm) gap linear(10)"
)
TEACHER_SEED = 1000
VARIANTS = (
    "",
    "lr=0.1",
    "lr=0.2",
    "lr=0.4",
    "rotation=0,shift=0",
    "shift=0",
    "rotation=0",
    "rotation=10,shift=0.1",
    "ema=0",
    "ema=0.99",
    "ema=0.995",
    "ema=0.999",
    "decay=0.0001",
    "batch=64",
    "smoothing=0.1",
    "scale=0.1",
    "shear=5",
    "warmup=0.3",
    "schedule=cosine",
    "optimizer=adamw,lr=0.01,decay=0.01",
    "flip=0.1",
    "erasing=0.3",
    "erasing=0.3,fill=mean",
    "erasing=0.3,fill=own",
    "brightness=0.1,contrast=0.1",
    "clean=0.15",
    "clean=0.25",
    "decay=0.0005",
    "decay=0.0005,decay_on=weights",
    "distill=0.5",
    "distill=0.9",
    "distill=0.5,temperature=2",
    "optimizer=lion,lr=0.003",
    "optimizer=muon,lr=0.03",
    "optimizer=muon,lr=0.1",
    "optimizer=lookahead",
    "optimizer=schedule-free,lr=1,schedule=constant",
    "optimizer=schedule-free,lr=3,schedule=constant",
    "loss=focal",
    "augmentation=grain",
    "augmentation=elastic",
)


# Runs --------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--designs", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument(
        "--dataset",
        default="mnist",
        help="digits to see whether a variant runs, without the plain design",
    )
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--at-once", type=int, default=1, help="runs at once")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        run(options)
    print_table(options.out)


def variant(changes: str) -> Recipe:
    """`RECIPE` with some fields changed, in the notation."""
    fields = dict(item.split("=") for item in f"{RECIPE}"[7:-1].split(","))
    fields |= dict(item.split("=") for item in changes.split(",") if item)
    text = ",".join(f"{name}={value}" for name, value in fields.items())
    return parse_recipe(f"recipe({text})")


def run(options: argparse.Namespace) -> None:
    data = reference(options.data, options.dataset)
    variants = {changes: variant(changes) for changes in ["", *options.variants]}
    teacher = None
    if any(recipe.distill for recipe in variants.values()):
        teacher = make_a_teacher(options)
    train_missing(
        options.out,
        (
            (
                {"design": name, "variant": changes, "seed": seed, "epochs": options.epochs}
                | {"teacher": str(teacher) if recipe.distill else ""},
                Task(
                    parse(DESIGNS[name]),
                    recipe,
                    data,
                    options.epochs,
                    seed,
                    options.engine,
                    options.device,
                    teacher=teacher if recipe.distill else None,
                ),
            )
            for seed in options.seeds
            for name in options.designs
            for changes, recipe in variants.items()
        ),
        options.at_once,
    )


def make_a_teacher(options: argparse.Namespace) -> Teacher:
    """The teacher: its weights are read, or trained and kept."""
    data, epochs = reference(options.data, options.dataset), options.epochs
    path = options.out.with_suffix(f".teacher-{epochs}.safetensors")
    how = (options.engine, options.device)
    task = Task(parse(TEACHER), RECIPE, data, epochs, TEACHER_SEED, *how)
    if not path.exists():
        state = None
        for epoch in range(1, epochs + 1):
            state, result = run_epoch(task, state, epoch)
        print(f"The teacher has {result.correct} of {result.total} images right.", flush=True)
        assert state is not None
        save_file(take_evaluated(state), path)
    module = build(task.design, fetch(data).shape)
    module.load_state_dict(load_file(path))
    return make_teacher(module, epochs=epochs)


def print_table(path: Path) -> None:
    found = defaultdict(list)
    for line in lines(path):
        found[line["variant"]].append(line)
    plain = {key(line): last(line) for line in found[""]}
    print("| change | trained by | runs | last epoch, mean | to none, mean (sd) | at 99.4 |")
    print("|---|---|---:|---:|---:|---:|")
    for changes, runs in sorted(found.items(), key=lambda item: -mean(item[1])):
        hits = sum(max(r["correct"]) >= 0.994 * r["total"] for r in runs)
        gains = [last(r) - plain[key(r)] for r in runs if key(r) in plain]
        spread = f" ({statistics.stdev(gains):.3f})" if len(gains) > 1 else ""
        print(
            f"| {changes or 'none: ' + str(RECIPE)} | {runs[0]['trained_by']} "
            f"| {len(runs)} | {mean(runs):.3f} | {statistics.mean(gains):+.3f}{spread} | {hits} |"
        )
    for teacher in sorted({line.get("teacher", "") for line in lines(path)} - {""}):
        print(f"\nTeacher {teacher}")


def key(line: dict) -> tuple[str, int, int]:
    return line["design"], line["seed"], line["epochs"]


def last(run: dict) -> float:
    """Per cent of the test images after the last epoch."""
    return 100 * run["correct"][-1] / run["total"]


def mean(runs: list[dict]) -> float:
    return statistics.mean(last(run) for run in runs)


if __name__ == "__main__":
    main()
