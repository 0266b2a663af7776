"""Make the package's table of curves from the files that `curves.py` wrote.

    python benchmarks/search/table.py benchmarks/results/curves.jsonl MORE.jsonl

Writes lightsearch/surrogate/curves.csv: a line a run, the first of equal design, recipe and seed.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "lightsearch" / "surrogate" / "curves.csv"
COLUMNS = ("design", "recipe", "seed", "drawn", "engine", "averaged", "raw", "loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    runs: dict[tuple[str, str, int], dict[str, Any]] = {}
    for path in parser.parse_args().files:
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if line["epochs"] == 15:
                runs.setdefault((line["design"], line["recipe"], line["seed"]), line)
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (design, recipe, seed), line in sorted(runs.items()):
            loss = [round(value * 1e5) for value in line.get("loss", [])]
            counts = (" ".join(map(str, line[name])) for name in ("averaged", "raw"))
            losses = " ".join(map(str, loss))
            writer.writerow(
                [design, recipe, seed, origin(line), line.get("engine", "native"), *counts, losses]
            )
    print(f"{len(runs)} runs, {TARGET.stat().st_size:,} bytes: {TARGET}")


def origin(line: dict[str, Any]) -> str:
    """Where a design comes from: the plan's word for it, or the words of an earlier file."""
    if "run" not in line:
        words = str(line["drawn"])
        return "near-" + words.rsplit(" ", 1)[1] if words.startswith("uniform within") else words
    parts = line["run"].split("/")
    return str(parts[1] if parts[0].startswith("seed-") else parts[0])


if __name__ == "__main__":
    main()
