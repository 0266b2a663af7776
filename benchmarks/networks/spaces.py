"""Compare the default space with others: train designs drawn uniformly within the budget.

    python benchmarks/networks/spaces.py --designs 8 --out spaces.jsonl
    python benchmarks/networks/spaces.py --out spaces.jsonl --table

Spaces take turns, so that their numbers stay equal if the benchmark is stopped early. Every
training is one line of the file, and is not repeated.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import RECIPE, add_line, lines

from lightsearch import Budget, Task, default_space, parse, train
from lightsearch.data.named import load
from lightsearch.data.references import DataRef
from lightsearch.space import Sampler

# One skeleton, the default space's; what a block may be differs.
SKELETON = (
    "conv(8|10|12|16,p=same|0,order=@order:norm-act|act-norm) {b} {b}? maxpool "
    "{b} {b} {b}? {b}? {b}? {end}gap linear(10)"
)
WIDE, NARROW = "8|10|12|16|20|24|32|40", "8|10|12|14|16|20"
ORDER = "order=@order"
SPACES = {
    "default": str(default_space()),
    "separable blocks only": SKELETON.format(b=f"separable({WIDE},{ORDER})", end="gate? "),
    "plain 3x3 and 1x1 blocks only": SKELETON.format(
        b=f"[conv({NARROW},p=same|0,{ORDER}) | conv(8|10|12|14,k=1,{ORDER})]", end="gate? "
    ),
    "default, with GELU and SiLU": "",
    "default, with dropout of 0.05 to 0.1": "",
}


def variants() -> dict[str, str]:
    """Return the spaces by name, with those that change every convolution of the default one."""
    found = dict(SPACES)
    for name, field, options in (
        ("default, with GELU and SiLU", "act", "relu|gelu|silu"),
        ("default, with dropout of 0.05 to 0.1", "dropout", "0.05|0.1"),
    ):
        # a named choice is one decision: its first place has the options
        found[name] = (
            found["default"]
            .replace("order=@", f"{field}=@{field},order=@")
            .replace(f"=@{field},", f"=@{field}:{options},", 1)
        )
    return {name: str(parse(text)) for name, text in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--designs", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="number of the first design")
    parser.add_argument("--spaces", nargs="+", default=list(SPACES))
    parser.add_argument("--budget", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        run(options)
    print_table(options.out)


def run(options: argparse.Namespace) -> None:
    data = load("mnist", options.data)
    reference = DataRef(data.name, data.checksum, options.data or "")
    known = {(line["space"], line["number"]) for line in lines(options.out)}
    samplers = {
        name: Sampler(parse(text), budget=Budget(params=options.budget))
        for name, text in variants().items()
        if name in options.spaces
    }
    for number in range(options.first, options.first + options.designs):
        for name, sampler in samplers.items():
            if (name, number) in known:
                continue
            _, design = sampler.draw(Random(f"{name} {number}"))
            task = Task(design, RECIPE, reference, options.epochs, 100 + number)
            results = list(train(task))
            add_line(
                options.out,
                space=name,
                number=number,
                design=str(design),
                correct=[r.correct for r in results],
                seconds=sum(r.seconds for r in results),
            )


def print_table(path: Path) -> None:
    found = defaultdict(list)
    for line in lines(path):
        found[line["space"]].append(line)
    print("| space | designs | at 99.4 | best epoch: median | highest | last epoch: median |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, runs in found.items():
        best = [max(r["correct"]) / 100 for r in runs]
        hits = sum(b >= 99.4 for b in best)
        last = statistics.median(r["correct"][-1] / 100 for r in runs)
        print(
            f"| {name} | {len(runs)} | {hits} | {statistics.median(best):.3f} | {max(best):.2f} "
            f"| {last:.3f} |"
        )


if __name__ == "__main__":
    main()
