"""How many epochs a second the parent of a search handles, by slots and by the study's age.

    python benchmarks/search/throughput.py --slots 2 16 128 --trials 1 1000 10000 --out out.json

Slots are simulated and answer at once (simulated.py), with states of real size, so all time is the
parent's: proposals by the default sampler, decisions by the default pruner, states, journal and
leaderboard on disk. The study is first filled with trials drawn uniformly from the default space.
What is counted begins once as many trials are begun as there are slots, twice: then the model is
there, and loaded. Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import TrialState
from simulated import SimulatedSlot, epoch_result

from lightsearch.api import run
from lightsearch.randomness import key
from lightsearch.searching.clock import epoch_work
from lightsearch.searching.events import Ended, EpochDone, Started
from lightsearch.searching.gate import count_options
from lightsearch.searching.proposals import Proposer
from lightsearch.searching.question import Question, resolve
from lightsearch.searching.settings import Settings
from lightsearch.study.disk import lock
from lightsearch.study.identity import check_identity
from lightsearch.study.journal import NAME, Journal
from lightsearch.study.optuna_tools import categorical, quiet
from lightsearch.study.trial import Candidate, Counts, to_json, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="+", default=[2, 16, 128])
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=20, help="measured, of each")
    parser.add_argument("--sampler", default="model")
    parser.add_argument("--pruner", default="rungs")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--folder", help="where the studies go, for a while")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.out is None:  # one measurement
        print(json.dumps(measured(options.slots[0], options.trials[0], options)))
        return
    found = []
    print(
        "| slots | trials before | epochs a second | trials a second | processor ms an epoch |"
        " peak memory, MB |\n|---:|---:|---:|---:|---:|---:|",
        flush=True,
    )
    for slots, trials in itertools.product(options.slots, options.trials):
        command = [
            sys.executable,
            __file__,
            "--slots",
            str(slots),
            "--trials",
            str(trials),
            "--seconds",
            str(options.seconds),
            "--sampler",
            options.sampler,
            "--pruner",
            options.pruner,
        ]
        command += ["--data", options.data] if options.data else []
        command += ["--folder", options.folder] if options.folder else []
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(said.splitlines()[-1]))
        options.out.write_text(json.dumps(found, indent=1))
        print(
            "| {slots} | {trials:,} | {rate:.0f} | {proposals:.1f} | {ms:.1f} | {memory} |".format(
                **found[-1]
            ),
            flush=True,
        )


def measured(slots: int, trials: int, options: argparse.Namespace) -> dict[str, Any]:
    """Epochs a second of a study that has `trials` trials, and what they took."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        question = resolve(
            Settings(
                8000,
                15,
                data=options.data,
                trials=10**6,
                study=folder,
                sampler=options.sampler,
                pruner=options.pruner,
                slots=[SimulatedSlot() for _ in range(slots)],
            )
        )
        filled(question, trials)
        epochs = ended = started = 0
        begin = busy = 0.0
        events = run(question)
        for event in events:
            started += isinstance(event, Started)
            if not begin and started >= 2 * slots and isinstance(event, EpochDone):
                begin, busy = time.perf_counter(), time.process_time()
                continue
            if begin:
                epochs += isinstance(event, EpochDone)
                ended += isinstance(event, Ended)
                if time.perf_counter() > begin + options.seconds:
                    break
        spent, busy = time.perf_counter() - begin, time.process_time() - busy
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        events.close()
    return {
        "sampler": options.sampler,
        "pruner": options.pruner,
        "slots": slots,
        "trials": trials,
        "epochs": epochs,
        "seconds": spent,
        "rate": epochs / spent,
        "proposals": ended / spent,
        "busy": busy / spent,
        "ms": 1000 * busy / epochs,
        "memory": memory,
    }


def filled(question: Question, trials: int, complete: int = 3) -> None:
    """Give the question's study trials that are over, one in `complete` of them complete."""
    identity = question.identity
    proposer = Proposer(
        question.space,
        question.recipe,
        shape=question.data.shape,
        classes=question.data.classes,
        budget=identity.budget,
        sampler="random",
        seed=1,
        epochs=identity.epochs,
    )
    free = [0] * identity.workers
    with lock(question.folder), quiet(), contextlib.ExitStack() as stack:
        check_identity(question.folder, identity)
        journal = stack.enter_context(contextlib.closing(Journal(question.folder)))
        study = optuna.create_study(
            study_name=NAME, direction="maximize", storage=optuna.storages.JournalStorage(journal)
        )
        for number in range(trials):
            drawn = proposer.sample(number)
            slot = min(range(len(free)), key=lambda slot: free[slot])
            candidate = Candidate(
                number=number,
                design=str(drawn.design),
                recipe=str(drawn.recipe),
                decisions=drawn.decisions,
                options=count_options(drawn.options),
                seed=key(identity.seed, number) % 2**31,
                fingerprint=drawn.fingerprint,
                params=drawn.cost.params,
                macs=drawn.cost.macs,
                activation_bytes=drawn.cost.activation_bytes,
                receptive_field=drawn.cost.receptive_field,
                slot=slot,
                start=free[slot],
                work=epoch_work(drawn.cost, identity.engine),
                counts=Counts(drawn=number),
                versions=versions(),
                dataset=identity.dataset,
                checksum=identity.checksum,
                epochs=identity.epochs,
            )
            length = identity.epochs if number % complete == 0 else 5
            task = question.task(drawn.design, drawn.recipe, candidate.seed)
            results = [epoch_result(task, epoch) for epoch in range(1, length + 1)]
            outcome = "complete" if length == identity.epochs else "pruned"
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState[outcome.upper()],
                    params=dict(candidate.decisions),
                    distributions={k: categorical(n) for k, n in candidate.options.items()},
                    value=results[-1].accuracy if outcome == "complete" else None,
                    intermediate_values={e.epoch: e.accuracy for e in results},
                    user_attrs={
                        "design": candidate.design,
                        "candidate": to_json(candidate),
                        "outcome": [outcome, ""],
                        **{f"epoch-{e.epoch:04d}": to_json(e) for e in results},
                    },
                )
            )
            free[slot] += length * candidate.work


if __name__ == "__main__":
    main()
