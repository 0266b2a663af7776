"""The runs of designs that are confirmed, and the lines that a ledger has of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from lightsearch.study.confirmations import Key
from lightsearch.study.trial import epoch_from, to_json
from lightsearch.training.epoch_result import EpochResult


@dataclass(slots=True)
class Runs:
    """One design's runs: its seeds, and the epochs of each so far."""

    seeds: tuple[int, ...]
    on: str
    level: float | None = None  # of its test, if that was settled before its first run
    teacher: str = ""  # what it learned from, as the study's identity has it
    epochs: dict[int, list[EpochResult]] = dataclasses.field(default_factory=dict)
    dropped: int = 0  # whole runs as others were preferred

    def last(self, seed: int, epochs: int) -> EpochResult | None:
        """The last epoch of a run that is over."""
        done = self.epochs.get(seed, [])
        return done[-1] if len(done) >= epochs else None


def apply_line(runs: dict[Key, Runs], line: dict[str, Any]) -> None:
    """Take a ledger's next line into its runs: a design, one of its epochs, or that it is dropped.

    Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` if it cannot be that.
    """
    key = (str(line["design"]), str(line["recipe"]))
    if "seeds" in line:
        level, teacher = line.get("level"), str(line.get("teacher", ""))
        planned = Runs(tuple(line["seeds"]), str(line["on"]), level and float(level), teacher)
        runs.setdefault(key, planned)
        return
    if "dropped" in line:
        runs[key].dropped = int(line["dropped"])
        return
    done = runs[key].epochs.setdefault(line["seed"], [])
    result = epoch_from(line["epoch"])
    if not 1 <= result.epoch <= len(done) + 1 or not 0 <= result.correct <= result.total:
        raise ValueError(f"epoch {result.epoch} after {len(done)}")
    del done[result.epoch - 1 :]  # run again after its state was lost
    done.append(result)


def epoch_line(key: Key, seed: int, result: EpochResult) -> dict[str, Any]:
    """Return the line of an epoch."""
    return {"design": key[0], "recipe": key[1], "seed": seed, "epoch": to_json(result)}


def count_images(result: EpochResult) -> tuple[int, int]:
    """Right images and images: of those that the task tests on at last, else of its own."""
    if result.test_correct is not None and result.test_total is not None:
        return result.test_correct, result.test_total
    return result.correct, result.total
