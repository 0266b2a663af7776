"""docs/microcontroller.md, typed word for word: its commands, its C, its table of a board."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from lightsearch import load
from lightsearch.cli import main
from lightsearch.exporting.c.compiling import read_lines

PAGE = (Path(__file__).parents[2] / "docs" / "microcontroller.md").read_text(encoding="utf-8")


def _block(language: str, start: str) -> str:
    (code,) = re.findall(rf"^```{language}\n({re.escape(start)}.*?)^```", PAGE, re.M | re.DOTALL)
    return str(code)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("cc") and shutil.which("bash")), reason="needs cc and bash")
def test_the_page_as_it_is_typed(tmp_path: Path) -> None:
    typed = _block("sh", "lightsearch search --budget 2000")
    run = f'lightsearch() {{ "{sys.executable}" -m lightsearch "$@"; }}\nset -e\n{typed}'
    subprocess.run(["bash", "-c", run], cwd=tmp_path, check=True, capture_output=True)
    images = load("digits").test[0][:3]
    pixels = images.numpy().tobytes()
    said = subprocess.run(["./net8"], input=pixels, cwd=tmp_path, check=True, capture_output=True)
    scores = read_lines(said.stdout.decode())
    (tmp_path / "use.c").write_text(_block("c", "#include") + _MAIN)
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "use.c", "net8.c"]
    subprocess.run([*command, "-o", "use"], cwd=tmp_path, check=True)
    said = subprocess.run(["./use"], input=pixels, cwd=tmp_path, check=True, capture_output=True)
    assert torch.tensor([int(word) for word in said.stdout.split()]).equal(scores.argmax(1))


_MAIN = """
#include <stdio.h>

int main(void)
{
    static unsigned char pixels[NET8_PIXELS];
    while (fread(pixels, 1, NET8_PIXELS, stdin) == NET8_PIXELS)
        printf("%d\\n", classify(pixels));
    return 0;
}
"""


def test_the_table_of_a_board() -> None:
    typed = _block("sh", "lightsearch show").splitlines()[0]
    words = re.findall(r"'[^']*'|\S+", typed)[1:]
    said = CliRunner().invoke(main, [word.strip("'") for word in words], env={"COLUMNS": "160"})
    assert _block("", "board ").rstrip() in said.output
