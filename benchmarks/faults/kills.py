"""Kill studies with SIGKILL at random moments, continue them, and check that nothing is lost.

    python benchmarks/faults/kills.py --kills 200
    python benchmarks/faults/kills.py --kills 200 --seed 7

Half of the kills come after a random time, with the epochs in threads. Half come before a random
line of the study's code, with the epochs in the main thread. After each, plain Optuna must read
the journal and every committed epoch must be there once. At each end the study must be the same as
one that nothing happened to: trials, epochs, leaderboard, weights.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).absolute().parents[2] / "tests" / "support"))

from killing import Kennel, kills

from lightsearch import load_result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"kill points are drawn with seed {options.seed}", flush=True)
    generator, kennel = random.Random(options.seed), Kennel()
    with tempfile.TemporaryDirectory() as name:
        place, counts, studies, epochs = Path(name), {"line": 0, "time": 0}, 0, 0
        undisturbed = {}
        for pruner in ("target", "halving"):
            undisturbed[pruner] = place / pruner
            assert kennel.run(undisturbed[pruner], pruner=pruner)[0] == 0
        while sum(counts.values()) < options.kills:
            by = min(counts, key=lambda way: counts[way])
            pruner = ("target", "halving")[studies % 2]
            folder = place / f"study-{studies}"
            counts[by] += kills(kennel, folder, undisturbed[pruner], generator, by, pruner=pruner)
            studies += 1
            epochs += sum(len(t.epochs) for t in load_result(folder).records)
            print(
                f"{sum(counts.values())} kills survived ({counts['time']} after a time, "
                f"{counts['line']} before a line), {studies} studies of {epochs} epochs ended "
                "as undisturbed, no committed epoch lost",
                flush=True,
            )
    kennel.close()


if __name__ == "__main__":
    main()
