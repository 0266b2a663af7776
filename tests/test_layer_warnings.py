"""What a layer of a user's own warns of: silent in a search, printed elsewhere.

A program of its own for each: pytest makes warnings errors.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightsearch.layer_warnings import call_layer, silence_layers, take_silently

LAYERS = """
import itertools, warnings
from dataclasses import dataclass
import torch
from lightsearch import Layer, Local, real, register

warnings.warn("LOUD at import")
count = itertools.count()

def loud(where):  # a text of its own each time: Python prints equal ones once
    warnings.warn(f"LOUD in {where} {next(count)}")

@dataclass(frozen=True, slots=True, repr=False)
class Loud(Layer):
    start: float = real(1.0)

    def __post_init__(self):
        Layer.__post_init__(self)
        loud("constructor")

class LoudModule(torch.nn.Module):
    def __init__(self, layer, shape):
        super().__init__()
        loud("module")
        self.weight = torch.nn.Parameter(torch.full((shape[0], 1, 1), layer.start))

    def forward(self, images):
        loud("forward")
        return images * self.weight

def cost(layer, shape):
    loud("cost")
    return Local(shape, params=shape[0])

register("loud", Loud, module=LoudModule, cost=cost)
"""
SEARCH = """
import sys, warnings
import loud_layers
from lightsearch import build, confirm, cost, parse, search
from lightsearch.workers.slot import InlineSlot
from lightsearch.workers.thread_slot import ThreadSlot

SPACE = "conv(4) loud(start=0.5|1) maxpool conv(4|8) gap linear(10)"
slots = {
    "process": [None], "inline": [InlineSlot()], "thread": [ThreadSlot()],
}[sys.argv[1]]

def told(trial):
    warnings.warn(f"CALLBACK {trial.number}")

def objective(trial):
    warnings.warn(f"OBJECTIVE {trial.number} {len(trial.epochs)}")
    return trial.epochs[-1].accuracy

print("SEARCH", file=sys.stderr, flush=True)
result = search(
    space=SPACE, dataset="digits", budget=5000, epochs=1, trials=2, target=0.01, study="s",
    on_trial=told, objective=objective,
    **({"workers": 1} if slots == [None] else {"slots": slots}),
)
assert [trial.outcome for trial in result.records] == ["complete"] * 2, result.records
if slots == [None]:
    confirm(result.leaderboard.head(1), seeds=2, workers=1)
print("OVER", file=sys.stderr, flush=True)
design = parse("conv(4) loud(start=0.25) gap linear(10)")
cost(design, (1, 8, 8))
build(design, (1, 8, 8))(__import__("torch").zeros(2, 1, 8, 8))
"""


@pytest.mark.parametrize(
    "slots",
    [*(pytest.param(one, marks=pytest.mark.slow) for one in ("process", "inline")), "thread"],
)
def test_a_search_prints_no_warning_of_a_layer_and_all_others(tmp_path: Path, slots: str) -> None:
    (tmp_path / "loud_layers.py").write_text(LAYERS)
    (tmp_path / "program.py").write_text(SEARCH)
    done = subprocess.run(
        [sys.executable, "program.py", slots], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, rest = done.stderr.split("SEARCH\n")
    during, after = rest.split("OVER\n")
    assert before.count("LOUD at import") == 2  # the warning, and its line of source
    assert "LOUD" not in during + done.stdout, during
    assert "CALLBACK 0" in during and "CALLBACK 1" in during and "OBJECTIVE 0 1" in during
    for where in ("constructor", "module", "forward", "cost"):
        assert f"LOUD in {where}" in after


def test_another_threads_warnings_are_shown_while_one_searches() -> None:
    def warn_elsewhere() -> None:
        with call_layer():
            warnings.warn("elsewhere", stacklevel=1)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with silence_layers():
            with call_layer():
                warnings.warn("of a layer", stacklevel=1)
            warnings.warn("of the search", stacklevel=1)
            thread = threading.Thread(target=warn_elsewhere)
            thread.start()
            thread.join()
    assert [str(one.message) for one in seen] == ["of the search", "elsewhere"]


def test_scopes_that_end_in_another_order_leave_what_was_there() -> None:
    before = warnings.showwarning
    one, other = silence_layers(), silence_layers()
    one.__enter__()
    other.__enter__()
    assert warnings.showwarning != before
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert warnings.showwarning is before


def test_a_warning_between_two_steps_is_shown() -> None:
    def steps() -> Iterator[int]:
        for number in range(2):
            with call_layer():
                warnings.warn(f"step {number}", stacklevel=1)
            yield number

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for number in take_silently(steps()):
            with call_layer():
                warnings.warn(f"between {number}", stacklevel=1)
    assert [str(one.message) for one in seen] == ["between 0", "between 1"]
