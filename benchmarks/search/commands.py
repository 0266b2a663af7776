"""Processor time and memory of commands that only look: doctor, leaderboard, report.

    python benchmarks/search/commands.py --data FOLDER --rounds 3

`leaderboard` is asked about a study of 3,000 trials, `report` about one of 300; a third of them
complete, or all (throughput.py fills them). Each command is a process of its own; the commands and
a bare `import torch` take turns. User and system time of the process and its children, the largest
resident memory, medians over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from simulated import SimulatedSlot
from throughput import filled

from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings

CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", help="folder of the data set")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, trials, complete in (("300", 300, 3), ("3000", 3000, 3), ("whole", 3000, 1)):
            study = Path(folder) / name
            slots = [SimulatedSlot()]
            question = resolve(Settings(data=options.data, study=study, slots=slots))
            filled(question, trials, complete)
        tool = [sys.executable, "-m", "lightsearch"]
        data = ["--data", options.data] if options.data else []
        commands = {
            "import torch": [sys.executable, "-c", "import torch"],
            "import torchvision": [sys.executable, "-c", "import torchvision"],
            "doctor": [*tool, "doctor", *data],
            "leaderboard, 3,000 trials": [*tool, "leaderboard", f"{folder}/3000"],
            "leaderboard, 3,000 trials, all complete": [*tool, "leaderboard", f"{folder}/whole"],
            "report, 300 trials": [*tool, "report", f"{folder}/300"],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                found[name].append(measure(command))
    print("| command | seconds of processor | MB |\n|---|---:|---:|")
    for name, rounds in found.items():
        seconds, memory = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"| {name} | {seconds:.2f} | {memory:.0f} |")


def measure(command: list[str]) -> tuple[float, float]:
    """Return the seconds of processor time and the megabytes of a command."""
    said = subprocess.run(
        [sys.executable, "-c", CHILD, *command], check=True, capture_output=True, text=True
    )
    seconds, memory = said.stdout.split()
    return float(seconds), float(memory)


if __name__ == "__main__":
    main()
