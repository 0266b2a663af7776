"""Confirmations on disk: every committed epoch is a line of `runs.jsonl`, and an unfinished
run goes on from its state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from lightsearch.engines.engine import State
from lightsearch.errors import StudyError
from lightsearch.study.confirmations import Confirmation, Key, Terms, gather, judge
from lightsearch.study.disk import load_state, lock, save_state, write_text, writing
from lightsearch.study.identity import same_teacher
from lightsearch.study.log import Lines, Log
from lightsearch.study.runs import Runs, apply_line, count_images, epoch_line
from lightsearch.study.terms import FOLDER, check_same, read_terms, remedy_of, slug
from lightsearch.training.epoch_result import EpochResult

FILE = "runs.jsonl"


class Ledger:
    """The runs of a family in a folder. Open it with `Ledger.open`, which locks the folder."""

    def __init__(self, folder: Path, terms: Terms, lines: Lines) -> None:
        self.folder, self.terms = folder, terms
        self.runs: dict[Key, Runs] = {}
        self._lines = lines
        self._read()

    @classmethod
    @contextlib.contextmanager
    def open(cls, root: Path, name: str, terms: Terms) -> Iterator[Ledger]:
        """The family `name` of a study's folder (or any other), locked until the block ends.

        Raises `StudyError` where the folder is in use or its family has other terms.
        """
        folder = root / FOLDER / slug(name)
        with lock(root) as check_held:
            folder.mkdir(parents=True, exist_ok=True)
            known = read_terms(folder)
            if known is None:
                text = json.dumps(dataclasses.asdict(terms), indent=1)
                write_text(folder / "terms.json", text + "\n")
            else:
                check_same(folder, known, terms)
            with writing(folder):
                log = Log(folder / FILE, remedy_of(folder), check_held)
            with contextlib.closing(log):
                ledger = cls(folder, terms, log)
                ledger._clear()
                yield ledger

    @classmethod
    def read(cls, folder: Path) -> Ledger | None:
        """The family of a folder as it is, without a lock; None where there is none."""
        terms = read_terms(folder)
        return (
            None if terms is None else cls(folder, terms, Lines(folder / FILE, remedy_of(folder)))
        )

    def _read(self) -> None:
        try:
            for line in self._lines.read():
                apply_line(self.runs, line)
        except FileNotFoundError:  # no design was settled yet
            return
        except OSError as error:
            raise StudyError(
                f"{self._lines.path} must be readable, but it is not: {error}"
            ) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StudyError(
                f"{self._lines.path} must have designs and their epochs in order, "
                f"but line {self._lines.number} has not: {error!r}"
            ) from None

    def plan(
        self, key: Key, seeds: tuple[int, ...], on: str, *, teacher: str = "", **about: Any
    ) -> None:
        """Settle a design's seeds, once; `about` is kept beside them. A `level` in it is that of
        the design's own test, in place of Holm's correction.

        Raises `StudyError` if its runs had another teacher.
        """
        if key not in self.runs:
            taught = {"teacher": teacher} if teacher else {}
            line = {"design": key[0], "recipe": key[1], "seeds": seeds, "on": on}
            self._write([line | taught | about])
        elif not same_teacher(self.runs[key].teacher, teacher):
            raise StudyError(
                f"the runs of a design must have one teacher, but in {self.folder} it is "
                f"{self.runs[key].teacher!r} for {key[0]}, and {teacher!r} was asked for. Give "
                "another `study` folder to confirm anew"
            )

    def whole(self, key: Key) -> list[int]:
        """The seeds of a design's runs that are over."""
        runs = self.runs[key]
        return [s for s in runs.seeds if runs.last(s, self.terms.epochs) is not None]

    def take_up(self, key: Key, others: Iterable[Ledger]) -> int:
        """Copy whole runs of a design that other families have, and return how many.

        Those are runs with one of its seeds, trained on the same images for as many epochs, whose
        accuracy on this family's images is known.
        """
        seeds, taken = self.runs[key].seeds, 0
        for other in others:
            for seed in seeds if self._trains_as(other, key) else ():
                run = other.runs[key].epochs.get(seed, [])
                known = self.runs[key].last(seed, self.terms.epochs) is not None
                if known or other.runs[key].last(seed, self.terms.epochs) is None:
                    continue
                results = [self._judged_here(result, other) for result in run]
                self._write([epoch_line(key, seed, result) for result in results])
                for path in self._states(key, seed):
                    path.unlink()
                taken += 1
        return taken

    def _clear(self) -> None:
        """Delete the states of runs that are over, left where a run's end was the last moment."""
        for key in self.runs:
            for seed in self.whole(key):
                for path in self._states(key, seed):
                    path.unlink()

    def _trains_as(self, other: Ledger, key: Key) -> bool:
        """Whether another family's runs of a design, if there are any, are trained alike, and
        their accuracy is known here."""
        if key not in other.runs:
            return False
        if not same_teacher(self.runs[key].teacher, other.runs[key].teacher):
            return False
        mine, theirs = self.terms, other.terms
        alike = (mine.epochs, mine.checksum) == (theirs.epochs, theirs.checksum)
        return alike and mine.on_checksum in (theirs.on_checksum, theirs.checksum)

    def _judged_here(self, result: EpochResult, other: Ledger) -> EpochResult:
        """An epoch of another family with the accuracy on this one's images."""
        if self.terms.on_checksum == other.terms.on_checksum:
            return result
        return dataclasses.replace(result, test_correct=None, test_total=None)

    def commit(self, key: Key, seed: int, state: State, result: EpochResult) -> None:
        """Commit an epoch: its state first, the line last."""
        over = result.epoch >= self.terms.epochs
        if not over:
            with writing(self.folder):
                save_state(self._state_path(key, seed, result.epoch), state)
        self._write([epoch_line(key, seed, result)])
        for path in self._states(key, seed):
            if over or path != self._state_path(key, seed, result.epoch):
                path.unlink()

    def state(self, key: Key, seed: int) -> tuple[State | None, int]:
        """The state that a run goes on from, and the epochs behind it: 0 where it was lost."""
        done = len(self.runs[key].epochs.get(seed, []))
        found = load_state(self._state_path(key, seed, done)) if done else None
        return found, 0 if found is None else done

    def drop(self, key: Key) -> None:
        """Note that a design is given up for others. More runs may follow all the same."""
        count = len(self.judge_alone(key).sample)
        if self.runs[key].dropped != count:
            self._write([{"design": key[0], "recipe": key[1], "dropped": count}])

    def drop_states(self, key: Key) -> None:
        """Forget the unfinished runs' states of a design that was given up."""
        for path in (self.folder / "states").glob(f"{_digest(key)}-*.safetensors"):
            path.unlink()

    def confirmations(self) -> list[Confirmation]:
        """Every design's, judged together."""
        return judge([self.judge_alone(key) for key in self.runs])

    def futile(self, key: Key) -> bool:
        """Whether a design is given up, by its runs so far."""
        return self.judge_alone(key).outcome == "futile"

    def count_correct(self, key: Key, seed: int) -> tuple[int, int]:
        """Right images, and images, of a run that is over."""
        result = self.runs[key].last(seed, self.terms.epochs)
        assert result is not None
        return count_images(result)

    def engine(self, key: Key) -> str:
        """What trained a design's runs."""
        results = (result for run in self.runs[key].epochs.values() for result in run)
        return " ".join(sorted({result.engine for result in results}))

    def judge_alone(self, key: Key, count: int | None = None) -> Confirmation:
        """One design's confirmation by its first `count` seeds, or all, before it is judged with
        the others."""
        runs = self.runs[key]
        last = [runs.last(seed, self.terms.epochs) for seed in runs.seeds[:count]]
        right = [None if result is None else count_images(result) for result in last]
        total = next((one[1] for one in right if one is not None), 1)
        found = gather(
            key,
            runs.seeds,
            [one and one[0] for one in right],
            total,
            Fraction(self.terms.target),
            runs.on,
        )
        found = dataclasses.replace(found, level=runs.level)
        if found.outcome == "running" and 0 < runs.dropped == len(found.sample):
            return dataclasses.replace(found, outcome="dropped")
        return found

    def _states(self, key: Key, seed: int) -> list[Path]:
        return list((self.folder / "states").glob(f"{_digest(key)}-{seed}-*.safetensors"))

    def _state_path(self, key: Key, seed: int, epoch: int) -> Path:
        (self.folder / "states").mkdir(exist_ok=True)
        return self.folder / "states" / f"{_digest(key)}-{seed}-{epoch:04d}.safetensors"

    def _write(self, lines: list[dict[str, Any]]) -> None:
        assert isinstance(self._lines, Log)
        with writing(self.folder):
            self._lines.append(lines)
            self._lines.sync()
        self._read()


def read_families(root: Path) -> Iterator[Ledger]:
    """The families of a study as they are, without its lock.

    That on the study's own test images comes first. Raises `StudyError` for a damaged file.
    """
    for folder in sorted((root / FOLDER).glob("*/"), key=lambda f: (f.name != "test", f.name)):
        ledger = Ledger.read(folder)
        if ledger is not None:
            yield ledger


def read_confirmations(root: Path) -> dict[Key, Confirmation]:
    """The confirmations of a study by design and recipe, without its lock.

    Raises `StudyError` for a damaged file.
    """
    return gather_confirmations(read_families(root))


def gather_confirmations(families: Iterable[Ledger]) -> dict[Key, Confirmation]:
    """The confirmations of families by design and recipe, the latest family's of each.

    As `read_families` orders them it is the one on images that nobody selected on: the study's own
    test images come last.
    """
    found: dict[Key, Confirmation] = {}
    for ledger in families:
        for one in ledger.confirmations():
            found[one.design, one.recipe] = one
    return found


def _digest(key: Key) -> str:
    return hashlib.sha256("\n".join(key).encode()).hexdigest()[:12]
