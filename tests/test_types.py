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


@pytest.mark.slow
@pytest.mark.needs("mypy")
def test_a_type_checker_reads_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    line = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    ran = subprocess.run(
        [*line, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    lines = ran.stdout.splitlines()
    revealed = [text for text in lines if "Revealed type" in text]
    assert len(revealed) == len(TYPES), ran.stdout
    for text, kind in zip(revealed, TYPES, strict=True):
        assert text.endswith(f'{kind}"')
    assert [text.split(": ")[1:2] for text in lines if ": error: " in text] == [["error"]] * 2
    assert "Literal['best', 'smallest', 'fastest']" in ran.stdout
    assert 'did you mean "epochs"?' in ran.stdout
