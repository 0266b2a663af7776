"""Train a leaderboard's designs with another activation, with the same seed and recipe each.

    python benchmarks/networks/activations.py --leaderboard leaderboard.csv --out a.jsonl
    python benchmarks/networks/activations.py --leaderboard leaderboard.csv --out a.jsonl --table

A run in the file is not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import add_line, lines

from lightsearch import parse, read, rebuild, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leaderboard", type=Path, required=True)
    parser.add_argument("--acts", nargs="+", default=["silu", "gelu", "hardswish"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    board = read(options.leaderboard)
    known = {(line["params"], line["act"]) for line in lines(options.out)}
    for act in () if options.table else options.acts:
        for _, row in board.iterrows():
            if (row["params"], act) in known:
                continue
            text = re.sub(r"\b(conv|separable)\(([^()]*)\)", rf"\1(\2,act={act})", row["design"])
            task = dataclasses.replace(rebuild(row, data=options.data), design=parse(text))
            results = list(train(task))
            add_line(
                options.out,
                params=int(row["params"]),
                act=act,
                relu=[
                    round(float(row[name]) * 10_000) for name in ("best_accuracy", "last_accuracy")
                ],
                correct=[r.correct for r in results],
            )
    gains = defaultdict(list)
    print("| parameters | act | best (with relu) | last (with relu) | epoch 3 |")
    print("|---:|---|---|---|---:|")
    for line in lines(options.out):
        best, last, relu = max(line["correct"]), line["correct"][-1], line["relu"]
        gains[line["act"]].append((last - relu[1]) / 100)
        print(
            f"| {line['params']:,} | {line['act']} | {best / 100:.2f} ({relu[0] / 100:.2f}) "
            f"| {last / 100:.2f} ({relu[1] / 100:.2f}) | {line['correct'][2] / 100:.2f} |"
        )
    for act, found in gains.items():
        print(f"{act}: last epoch {statistics.mean(found):+.3f} on average over {len(found)}")


if __name__ == "__main__":
    main()
