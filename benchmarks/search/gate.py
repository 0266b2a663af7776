"""Gate speed: how many designs a second are decoded and costed, and how many torchinfo manages.

    python benchmarks/search/gate.py [--json gate.json]

Contenders take turns, round by round; the table has the median over the rounds and the extremes.
Seconds are those of the processor (`time.process_time`), so that other programs on the machine
matter little; everything runs on one thread. "Cold" is a fresh Python process, its first draws
included; "warm" is a process that has drawn before (other designs). All draws of a round differ
from those of other rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lightsearch.design import (
    Design,
    Space,
    chooser,
    conv,
    decode,
    gap,
    linear,
    maxpool,
    maybe,
    oneof,
    separable,
    seq,
)
from lightsearch.errors import DesignError
from lightsearch.network.cost import Budget, Cost, cost
from lightsearch.space import Sampler, survey

SHAPE = (1, 28, 28)
BUDGET = Budget(params=8000)


def representative_space() -> Space:
    """Separable, plain and 1x1 blocks of many widths; activation and order are named choices."""
    style: dict[str, Any] = {
        "act": oneof("relu", "gelu", name="act"),
        "order": oneof("norm-act", "act-norm", name="order"),
    }
    padding: Any = oneof("same", 0)
    block = oneof(
        separable(oneof(8, 12, 16, 20, 24, 32, 40), **style),
        conv(oneof(8, 10, 12, 14, 16, 20), padding=padding, **style),
        conv(oneof(8, 10, 12, 16), kernel=1, **style),
    )
    return seq(
        conv(oneof(8, 12, 16, 24), padding=padding, **style),
        maybe(block),
        maxpool(),
        block,
        block,
        [maybe(block)] * 4,
        gap(),
        linear(10),
    )


def drawn(space: Space, count: int, seed: int) -> list[tuple[Design, Cost | None]]:
    """`count` random designs with their exact cost, None where a layer does not fit."""
    choose = chooser(random.Random(seed))
    found: list[tuple[Design, Cost | None]] = []
    for _ in range(count):
        design = decode(space, choose)
        try:
            found.append((design, cost(design, SHAPE, 10)))
        except DesignError:
            found.append((design, None))
    return found


def gate_rate(space: Space, count: int, seed: int) -> tuple[float, int]:
    """Designs a second, and how many of them were different."""
    start = time.process_time()
    found = drawn(space, count, seed)
    seconds = time.process_time() - start
    return count / seconds, len({design for design, _ in found})


def module_rates(designs: list[tuple[Design, Cost]]) -> tuple[float, float]:
    """Designs a second by building the module: asking torchinfo, and summing `numel`."""
    import torch
    import torchinfo

    from lightsearch.network.modules import build

    torch.set_num_threads(1)
    rates = []
    for ask in ("torchinfo", "numel"):
        start = time.process_time()
        for design, price in designs:
            module = build(design, SHAPE)
            if ask == "torchinfo":
                params = torchinfo.summary(module, input_size=(1, *SHAPE), verbose=0).total_params
            else:
                params = sum(weight.numel() for weight in module.parameters())
            assert params == price.params, (design, params, price.params)
        rates.append(len(designs) / (time.process_time() - start))
    return rates[0], rates[1]


def cold(count: int, seed: int) -> dict[str, float]:
    """What is measured in a fresh process: the gate first, then tables, then uniform draws."""
    space = representative_space()
    rate, different = gate_rate(space, count, seed)
    return {"gate, cold": rate, "different, cold": different}


def cold_tables(seed: int) -> dict[str, float]:
    """Tables in a fresh process, then uniform draws from them."""
    space = representative_space()
    start = time.process_time()
    sampler = Sampler(space, SHAPE, 10, BUDGET)
    sampler_seconds = time.process_time() - start
    generator = random.Random(seed)
    start = time.process_time()
    designs = {sampler.draw(generator)[1] for _ in range(5000)}
    draws = 5000 / (time.process_time() - start)
    start = time.process_time()
    told = survey(space, SHAPE, 10, BUDGET)  # the graph is there already, its tables are not
    survey_seconds = time.process_time() - start
    assert told.exact and told.within == sampler.total
    return {
        "sampler tables, s": sampler_seconds,
        "uniform draws": draws,
        "different, uniform": len(designs),
        "survey after that, s": survey_seconds,
    }


def in_fresh_process(mode: str, count: int, seed: int) -> dict[str, float]:
    line = [sys.executable, __file__, "--part", mode, "--draws", str(count), "--seed", str(seed)]
    made = subprocess.run(line, capture_output=True, text=True, check=True)
    return dict(json.loads(made.stdout))


def measured(rounds: int, count: int, modules: int) -> dict[str, list[float]]:
    space = representative_space()
    gate_rate(space, count, seed=10_000)  # warms the caches of this process
    module_rates([(d, c) for d, c in drawn(space, 20, seed=10_001) if c is not None])
    table: dict[str, list[float]] = {}
    for turn in range(rounds):
        values = in_fresh_process("gate", count, turn)
        values["gate, warm"], values["different, warm"] = gate_rate(space, count, 1000 + turn)
        fitting = [(d, c) for d, c in drawn(space, 2 * modules, 2000 + turn) if c is not None]
        values["torchinfo"], values["numel"] = module_rates(fitting[:modules])
        values |= in_fresh_process("tables", count, turn)
        for name in ("cold", "warm"):
            values[f"times torchinfo, {name}"] = values[f"gate, {name}"] / values["torchinfo"]
        for key, value in values.items():
            table.setdefault(key, []).append(value)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    return table


LABELS = {
    "gate, cold": "decode + exact cost, cold (designs/s)",
    "gate, warm": "decode + exact cost, warm (designs/s)",
    "torchinfo": "build the module, ask torchinfo (designs/s)",
    "numel": "build the module, sum `numel` (designs/s)",
    "times torchinfo, cold": "gate cold / torchinfo",
    "times torchinfo, warm": "gate warm / torchinfo",
    "different, cold": "different designs among the draws, cold",
    "different, warm": "different designs among the draws, warm",
    "sampler tables, s": "tables of `Sampler(budget=8000)` (s)",
    "uniform draws": "uniform draws within the budget (draws/s)",
    "different, uniform": "different designs among 5,000 uniform draws",
    "survey after that, s": "`survey`, full histogram, after that (s)",
}


def markdown(table: dict[str, list[float]]) -> str:
    lines = ["| what | median | least | most |", "|---|---:|---:|---:|"]
    for key, label in LABELS.items():
        shown = [statistics.median(table[key]), min(table[key]), max(table[key])]
        digits = 2 if label.endswith("(s)") else 0 if shown[0] >= 1000 else 1
        lines.append(f"| {label} | " + " | ".join(f"{v:,.{digits}f}" for v in shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=24_000, help="designs a round (24000)")
    parser.add_argument("--modules", type=int, default=200, help="modules built a round (200)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--part", choices=["gate", "tables"], help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        made = cold(asked.draws, asked.seed) if asked.part == "gate" else cold_tables(asked.seed)
        print(json.dumps(made))
        return
    table = measured(asked.rounds, asked.draws, asked.modules)
    print(markdown(table))
    if asked.json:
        about = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "draws": asked.draws,
            "modules": asked.modules,
            "rounds": asked.rounds,
        }
        asked.json.write_text(json.dumps({"about": about, "rounds": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
