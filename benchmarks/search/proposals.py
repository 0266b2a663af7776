"""How long a proposal takes, by the trials so far and by the window of them that is seen.

    python benchmarks/search/proposals.py --out proposals.jsonl

The default space at 8,000 parameters, after trials drawn uniformly from within the budget, with
the made-up curves of windows.py. The times are the processor's, the median of `--proposals` in a
row. The first one, which reads all trials, is not counted. A sampler is asked again if it proposes
a design over the budget, so a proposal takes several draws; their mean is given too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from windows import curve, ended

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import add_line

from lightsearch import Budget, default_space
from lightsearch.notation.parser import parse_recipe
from lightsearch.randomness import key
from lightsearch.searching import proposals
from lightsearch.searching.gate import Proposal, count_options
from lightsearch.searching.proposals import Proposer
from lightsearch.study.trial import Candidate, Counts, Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[30, 100, 300, 1000, 10_000])
    parser.add_argument("--windows", type=int, nargs="+", default=[50, 100, 200, 300])
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--proposals", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    source = proposer("random", 0)
    trials = [trial(number, source.sample(number)) for number in range(max(options.trials))]
    print(
        "| trials | window | ms a proposal | draws a proposal | ms a draw |\n"
        "|---:|---:|---:|---:|---:|",
        flush=True,
    )
    for count in options.trials:
        for window in options.windows:
            found = measured(options.sampler, window, trials[:count], options.proposals)
            add_line(options.out, sampler=options.sampler, trials=count, window=window, **found)
            print(
                "| {:,} | {} | {ms:.0f} | {draws:.1f} | {ms_a_draw:.0f} |".format(
                    count, window, **found
                ),
                flush=True,
            )


def proposer(sampler: str, seed: int) -> Proposer:
    """Of the default space, within 8,000 parameters."""
    return Proposer(
        default_space(),
        parse_recipe("recipe()"),
        shape=(1, 28, 28),
        classes=10,
        budget=Budget(params=8000),
        sampler=sampler,
        seed=seed,
        epochs=15,
    )


def trial(number: int, proposal: Proposal) -> Trial:
    """A trial that is over, with a made-up curve."""
    spent = proposal.cost
    return ended(
        Trial(
            Candidate(
                number,
                str(proposal.design),
                "recipe()",
                proposal.decisions,
                count_options(proposal.options),
                key(0, number),
                proposal.fingerprint,
                spent.params,
                spent.macs,
                spent.activation_bytes,
                spent.receptive_field,
                0,
                0,
                1,
                Counts(),
                {},
            ),
            curve(proposal.design, spent, key(0, "noise", number)),
        )
    )


def measured(sampler: str, window: int, trials: Sequence[Trial], count: int) -> dict[str, Any]:
    """Milliseconds and draws a proposal: the median of `count` in a row, each of which becomes a
    trial."""
    proposals.SEEN = window
    asked, known = proposer(sampler, 1), list(trials)
    times, draws = [], []
    for _ in range(count + 1):
        begin = time.process_time()
        proposal, counts = asked.propose(known, Counts())
        times.append(1000 * (time.process_time() - begin))
        draws.append(counts.drawn)
        known.append(trial(len(known), proposal))
    return {
        "ms": statistics.median(times[1:]),
        "draws": statistics.mean(draws[1:]),
        "ms_a_draw": sum(times[1:]) / sum(draws[1:]),
        "times": [round(ms, 1) for ms in times[1:]],
    }


if __name__ == "__main__":
    main()
