"""The command `lightsearch`."""

from lightsearch.cli.program import main

__all__ = ["main"]
