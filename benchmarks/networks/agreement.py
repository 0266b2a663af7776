"""Does the native engine reach the accuracies of the PyTorch engine? Many seeds of each.

    python benchmarks/networks/agreement.py --out agreement.jsonl
    python benchmarks/networks/agreement.py --out agreement.jsonl --table

Both engines take the same seeds. Their last bits differ, so their runs drift apart as runs of two
seeds do, and the means are compared. A run in the file is not repeated.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import DESIGNS, RECIPE, lines, reference, train_missing

from lightsearch import Task, parse, zoo

CHOSEN = {
    "s1-final (zoo)": str(zoo["s1-final"].design),
    **{name: DESIGNS[name] for name in ("depthwise, 6,316", "skips, 5,774")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    if not options.table:
        train_missing(options.out, runs(options))
    print_table(options.out)


def runs(options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Task]]:
    data = reference(options.data)
    for seed in range(options.seeds):
        for name, text in CHOSEN.items():
            for engine in ("native", "torch"):
                yield (
                    {"design": name, "engine": engine, "seed": seed},
                    Task(parse(text), RECIPE, data, options.epochs, seed, engine),
                )


def print_table(path: Path) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines(path):
        found[line["design"]][line["engine"]].append(line["correct"][-1] / 100)
    print("| design | seeds | native: mean (sd) | torch: mean (sd) | difference, 95% interval |")
    print("|---|---:|---:|---:|---|")
    for name, by in found.items():
        native, torch = by["native"], by["torch"]
        gap = statistics.mean(native) - statistics.mean(torch)
        error = math.sqrt(
            statistics.variance(native) / len(native) + statistics.variance(torch) / len(torch)
        )
        half = 2.1 * error  # Student's t at about 18 degrees of freedom
        print(
            f"| {name} | {len(native)} | {statistics.mean(native):.3f} "
            f"({statistics.stdev(native):.3f}) | {statistics.mean(torch):.3f} "
            f"({statistics.stdev(torch):.3f}) | {gap:+.3f}, {gap - half:+.3f} to "
            f"{gap + half:+.3f} |"
        )


if __name__ == "__main__":
    main()
