"""What a search gains by another study that it learns from, on the surrogate.

    python benchmarks/search/warm_start.py --out warm.jsonl --seeds 20

For each seed a study with another cap (5,000 parameters, 40 trials) is made. Then the default
search is run at each cap twice, without and with that study as its `warm_start`. The regret is
that of `compare.py`, by epochs that the search itself spends; the other study's are not counted.

`warm_start="curves"` is not compared: the surrogate is fitted to the table that it would learn
from, so that it would be told the answers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import common
import compare

from lightsearch import search
from lightsearch.surrogate.table import EPOCHS

OTHER_CAP, OTHER_TRIALS = 5000, 40
DEFAULT, WARM = "model, predicted", "the same, warm"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--caps", type=int, nargs="+", default=[8000, 3000])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", help="folder of MNIST, as torchvision lays it out")
    options = parser.parse_args()
    known = {(one["method"], one["cap"], one["seed"]) for one in common.lines(options.out)}
    for seed in range(options.seeds):
        left = [
            (method, cap, seed)
            for cap in options.caps
            for method in (DEFAULT, WARM)
            if (method, cap, seed) not in known
        ]
        if not left:
            continue
        with tempfile.TemporaryDirectory() as folder:
            search(
                OTHER_CAP,
                EPOCHS,
                engine="surrogate",
                trials=OTHER_TRIALS,
                workers=1,
                seed=10_000 + seed,
                study=folder,
                data=options.data,
                quiet=True,
            )
            compare.METHODS[WARM] = {**compare.METHODS[DEFAULT], "warm_start": folder}
            for method, cap, _ in left:
                line = compare.run((method, cap, seed, options.data))
                common.add_line(options.out, **line)
    print_table(options.out, options.caps)


def print_table(path: Path, caps: list[int]) -> None:
    """The mean regret at each look, in points, and the mean of what a warm start saves."""
    regrets = {(x["method"], x["cap"], x["seed"]): x["regrets"] for x in common.lines(path)}
    print("| cap | method | seeds |", " | ".join(map(str, compare.LOOKS)), "|")
    print("|---:|---|---:|" + "---:|" * len(compare.LOOKS))
    for cap in caps:
        seeds = [s for method, c, s in regrets if (method, c) == (WARM, cap)]
        cold = [regrets[DEFAULT, cap, seed] for seed in seeds]
        warm = [regrets[WARM, cap, seed] for seed in seeds]
        saved = [
            [a - b for a, b in zip(x, y, strict=True)] for x, y in zip(cold, warm, strict=True)
        ]
        for method, rows in ((DEFAULT, cold), (WARM, warm), ("difference", saved)):
            cells = []
            for values in zip(*rows, strict=True):
                error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
                cells.append(f"{statistics.mean(values):.3f} ± {error:.3f}")
            print(f"| {cap:,} | {method} | {len(rows)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
