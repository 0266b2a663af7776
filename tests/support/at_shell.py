"""The command line as its users start it: a process of its own in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(folder: Path, *line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `lightsearch` in a folder. It must end with `code`, and never with a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "lightsearch", *line], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done
