"""What a user's type checker reads of the package as it is installed, with mypy for the judge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """\
from lightsearch import cost, search, train
result = search(budget=8000, epochs=15)
reveal_type(result.leaderboard)
reveal_type(result.records[0].epochs[0].accuracy)
reveal_type(cost("conv(8) gap linear(10)"))
reveal_type(next(train("conv(8) gap linear(10)", dataset="mnist")))
search(8000, 15, goal="smalest")
search(8000, epoch=3)
"""
TYPES = (
    "DataFrame",
    "float",
    "lightsearch.network.cost.Cost",
    "lightsearch.training.epoch_result.EpochResult",
)


RIGHT = """\
from lightsearch import DataRef, Recipe, Task, default_space, load, parse
from lightsearch import search, survey, train, zoo
text = input()
zoo["s1-final"].design
[zoo[name].params for name in zoo]
reveal_type(zoo.get(text))
load("MNIST"), load(text)
search(device="cuda:1")
task = Task(parse(text), Recipe(), DataRef("own", ""), 1, 0, engine="native", precision="bf16")
reveal_type(task.engine)
survey(default_space(budget=1000), budget=1000)
"""
WRONG = (
    'zoo["nope"]',
    "zoo[text]",
    'Task(parse(text), Recipe(), DataRef("own", ""), 1, 0, engine="gpu")',
    'Task(parse(text), Recipe(), DataRef("own", ""), 1, 0, precision="int8")',
)


def _check(program: str, folder: Path) -> list[str]:
    """What mypy says of a program, line by line."""
    (folder / "program.py").write_text(program)
    line = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")]
    ran = subprocess.run(
        [*line, "program.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    return ran.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.needs("mypy")
def test_a_type_checker_reads_the_installed_package(tmp_path: Path) -> None:
    lines = _check(PROGRAM, tmp_path)
    revealed = [text for text in lines if "Revealed type" in text]
    assert len(revealed) == len(TYPES), lines
    for text, kind in zip(revealed, TYPES, strict=True):
        assert text.endswith(f'{kind}"')
    assert [text.split(": ")[1:2] for text in lines if ": error: " in text] == [["error"]] * 2
    assert any("Literal['best', 'smallest', 'fastest']" in text for text in lines)
    assert any('did you mean "epochs"?' in text for text in lines)


@pytest.mark.slow
@pytest.mark.needs("mypy")
def test_a_type_checker_knows_the_words(tmp_path: Path) -> None:
    said = _check(RIGHT + "\n".join(WRONG), tmp_path)
    assert any('Entry | None"' in text for text in said), said
    assert any("Literal['auto', 'native', 'torch', 'surrogate']" in text for text in said), said
    first = 1 + len(RIGHT.splitlines())
    errors = [int(text.split(":")[1]) for text in said if ": error: " in text]
    assert errors == list(range(first, first + len(WRONG))), said
