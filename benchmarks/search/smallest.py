"""How small a design `goal="smallest"` confirms, against what one does by hand, on the surrogate.

    python benchmarks/search/smallest.py --out smallest.jsonl --seeds 20

For each seed a search starts at 8,000 parameters. All epochs count, those of fresh seeds included;
after `BEGUN` of them no design is begun any more, and what is best then has its last test. As many
epochs go into what one does by hand: near-cap draws within caps that are settled beforehand
(`CAPS`), an equal share of `SEARCHED` of all epochs for each; then hits are confirmed one
after the other, with `confirm` and 20 fresh seeds each, until one is confirmed or the epochs are
spent: of each cap the one with the best last epoch, from the smallest cap on; or all hits, from
the smallest on. Both use the default pruner, and 15 epochs a run.

Each line has the parameters of what was confirmed, and its *true* mean over seeds, as the
surrogate has it. For the search by hand it has the smallest hit by a single run, too. A study that
is in the file is not run again. A seed takes a minute or two on one processor if folders are in
memory (`TMPDIR=/dev/shm`).
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import common

from lightsearch import api, confirm, cost, load_result, parse
from lightsearch.searching.events import EpochDone, Judged
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import Settings
from lightsearch.study.journal import read_trials
from lightsearch.study.ledger import read_families
from lightsearch.surrogate.answers import true_accuracy
from lightsearch.surrogate.table import EPOCHS

START, TARGET = 8000, 0.994
CAPS = (8000, 6500, 5500, 4500, 3500, 2500)  # by hand
BEGUN = 0.9
SEARCHED = 0.6  # share of the epochs by hand that goes into the searches
SEEDS = 20
GOAL, CAPPED = 'goal="smallest"', 'goal="smallest", near-cap draws'
HAND, FIRST = "by hand, the best of each cap", "by hand, the smallest hits"
SINGLE = "by hand, the smallest single hit, not confirmed"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3000)
    parser.add_argument("--at-once", type=int, default=1, help="studies at once")
    parser.add_argument("--data", help="folder of MNIST, as torchvision lays it out")
    options = parser.parse_args()
    known = {(one["budget"], one["seed"]) for one in common.lines(options.out)}
    left = [
        (options.epochs, seed, options.data)
        for seed in range(options.seeds)
        if (options.epochs, seed) not in known
    ]
    with ProcessPoolExecutor(options.at_once) as pool:
        for lines in pool.map(compare, left):
            for line in lines:
                common.add_line(options.out, **line)
    print_table([x for x in common.lines(options.out) if x["budget"] == options.epochs])


def compare(job: tuple[int, int, str | None]) -> list[dict[str, Any]]:
    """All methods with one seed."""
    budget, seed, data = job
    lines = [
        search_smallest(GOAL, budget, seed, data, sampler="model"),
        search_smallest(CAPPED, budget, seed, data, sampler="near-cap"),
        *search_by_hand(budget, seed, data),
    ]
    return [{"budget": budget, "seed": seed, **line} for line in lines]


def search_smallest(
    method: str, budget: int, seed: int, data: str | None, **more: Any
) -> dict[str, Any]:
    """A search that begins no design any more once `BEGUN` of the epochs are spent."""
    with tempfile.TemporaryDirectory() as folder:
        asked: dict[str, Any] = {
            "target": TARGET,
            "goal": "smallest",
            "engine": "surrogate",
            "workers": 1,
            "seed": seed,
            "study": folder,
            "data": data,
            **more,
        }
        settings = Settings(START, EPOCHS, trials=10_000, **asked)
        with contextlib.closing(api.run(resolve(settings))) as events:
            spent = 0
            for event in events:
                spent += isinstance(event, EpochDone)
                spent += event.seeds * EPOCHS if isinstance(event, Judged) else 0
                if spent >= BEGUN * budget:
                    break
        settings = Settings(START, EPOCHS, trials=len(read_trials(Path(folder))), **asked)
        for _ in api.run(resolve(settings)):
            pass
        best = load_result(folder).best
        design = "" if best is None else str(best["design"])
        return {"method": method, **describe(design, epochs_of(Path(folder)))}


def search_by_hand(budget: int, seed: int, data: str | None) -> list[dict[str, Any]]:
    """Searches within fixed caps, then confirmations from the smallest hit on."""
    rows: list[dict[str, Any]] = []
    spent = 0
    with contextlib.ExitStack() as stack:
        for cap in CAPS:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            settings = Settings(
                cap,
                EPOCHS,
                target=TARGET,
                engine="surrogate",
                sampler="near-cap",
                trials=10_000,
                workers=1,
                seed=seed,
                study=folder,
                data=data,
            )
            share = int(SEARCHED * budget / len(CAPS))
            with contextlib.closing(api.run(resolve(settings))) as events:
                for event in events:
                    share -= isinstance(event, EpochDone)
                    if share <= 0:
                        break
            board = load_result(folder).ranked("params")
            whole = board[board["epochs_trained"] == EPOCHS].assign(cap=cap)
            rows += [{str(k): v for k, v in row.items()} for row in whole.to_dict("records")]
            spent += epochs_of(Path(folder))
        rows.sort(key=lambda row: row["params"])
    best = [
        max((row for row in rows if row["cap"] == cap), key=lambda row: row["last_accuracy"])
        for cap in sorted({row["cap"] for row in rows})
    ]
    return [
        {"method": HAND, **confirm_first(best, spent, budget, data)},
        {"method": FIRST, **confirm_first(rows, spent, budget, data)},
        {"method": SINGLE, **describe(rows[0]["design"] if rows else "", spent)},
    ]


def confirm_first(
    rows: list[dict[str, Any]], spent: int, budget: int, data: str | None
) -> dict[str, Any]:
    """The first of some hits that is confirmed before the epochs are spent."""
    with tempfile.TemporaryDirectory() as kept:
        for row in rows:
            if spent >= budget:
                break
            table = confirm(row, SEEDS, study=kept, data=data, workers=1, quiet=True)
            spent += int(table["n"][1]) * EPOCHS
            if table.loc[1, "confirmed"]:
                return describe(row["design"], spent)
    return describe("", spent)


def describe(design: str, spent: int) -> dict[str, Any]:
    if not design:
        return {"params": None, "true": None, "epochs": spent}
    value = parse(design)
    params = cost(value, (1, 28, 28), 10).params
    return {"params": params, "true": 100 * true_accuracy(value), "epochs": spent}


def epochs_of(folder: Path) -> int:
    """All epochs that a study has trained."""
    own = sum(len(trial.epochs) for trial in read_trials(folder))
    families = [*read_families(folder), *read_families(folder / "looks")]
    runs = [
        run for one in families for design in one.runs.values() for run in design.epochs.values()
    ]
    return own + sum(map(len, runs))


def print_table(lines: list[dict[str, Any]]) -> None:
    """The parameters that each method comes to; a study that confirms nothing counts as START."""
    print(
        "| method | seeds | epochs | parameters: median | mean | quartiles | nothing confirmed "
        "| truly below the target |"
    )
    print("|---|" + "---:|" * 7)
    for method in (GOAL, CAPPED, HAND, FIRST, SINGLE):
        own = [line for line in lines if line["method"] == method]
        if len(own) < 2:
            continue
        params = [line["params"] or START for line in own]
        low, _, high = statistics.quantiles(params, n=4)
        error = statistics.stdev(params) / len(params) ** 0.5
        nothing = sum(line["params"] is None for line in own)
        wrong = sum(line["true"] is not None and line["true"] < 100 * TARGET for line in own)
        spent = statistics.mean(line["epochs"] for line in own)
        print(
            f"| {method} | {len(own)} | {spent:,.0f} | {statistics.median(params):,.0f} "
            f"| {statistics.mean(params):,.0f} ± {error:,.0f} | {low:,.0f} to {high:,.0f} "
            f"| {nothing} | {wrong} |"
        )


if __name__ == "__main__":
    main()
