"""The inputs of an epoch, as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lightsearch.checks import check_integer, check_kind
from lightsearch.data.holdout import Holdout
from lightsearch.data.references import DataRef
from lightsearch.design.parts import Design, Seq, is_decided
from lightsearch.design.recipe import Recipe
from lightsearch.engines.names import (
    ENGINES,
    PRECISIONS,
    EngineName,
    PrecisionName,
    find_word,
)
from lightsearch.engines.teacher import Teacher
from lightsearch.errors import ArgumentError, quote
from lightsearch.formatting import plural
from lightsearch.presentation import Presented, Sheet

_DEVICE = re.compile(r"cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True, repr=False)
class Task(Presented):
    """All inputs of an epoch. On one kind of machine, equal tasks train to equal bits.

    - `engine`: "native", "torch" or "auto", which is native if it can train the design. With
      "surrogate" nothing is trained: see `lightsearch.surrogate`.
    - `precision` of the training steps: "float32", "bf16" (torch) or "tf32" (torch on CUDA). See
      `lightsearch.engines`.
    - `teacher`: whose answers the design learns from, by the recipe's `distill` and `temperature`.
      The task of a row lacks it, and can be described and exported, but not trained.
    - `tested_on`: another data set, whose test images are evaluated once, after the last epoch.
    """

    design: Design
    recipe: Recipe
    data: DataRef
    epochs: int
    seed: int
    engine: EngineName = "auto"
    device: str = "cpu"
    precision: PrecisionName = "float32"
    tested_on: DataRef | None = None
    teacher: Teacher | None = None

    def _sheet(self) -> Sheet:
        images, holdout = self.data.name, self.data.holdout
        images += "" if holdout is None else f", selected on {holdout}"
        lines = [("design", str(self.design)), ("recipe", str(self.recipe)), ("images", images)]
        lines += [("teacher", str(self.teacher))] if self.teacher is not None else []
        return Sheet(
            f"Task: {plural(self.epochs, 'epoch')} with seed {self.seed}, engine {self.engine}, "
            f"{self.device}, {self.precision}",
            tuple(lines),
        )

    def __post_init__(self) -> None:
        check_kind("design", self.design, Seq, "a design (`parse` reads notation)")
        check_kind("recipe", self.recipe, Recipe, "a Recipe (`parse_recipe` reads notation)")
        for name, value in (("design", self.design), ("recipe", self.recipe)):
            if not is_decided(value):
                raise ArgumentError(f"`{name}` must have no choices left, but got {name}={value}")
        if self.teacher is not None:
            check_teacher(self)
        check_kind("data", self.data, DataRef, "a reference to a data set, as `rebuild` makes")
        for name, low, high in (("epochs", 1, 10_000), ("seed", -(2**63), 2**63 - 1)):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), low, high))
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise ArgumentError(
                f"`device` must be cpu or cuda, but got device={quote(self.device)}"
            )
        for name, words in (("engine", ENGINES), ("precision", PRECISIONS)):
            given: object = getattr(self, name)
            if find_word(given, words) is None:
                raise ArgumentError(
                    f"`{name}` must be one of {', '.join(words)}, but got {name}={quote(given)}"
                )


def check_teacher(task: Task) -> None:
    """Raise `ArgumentError` unless a task has a teacher if, and only if, its recipe needs one."""
    if (task.teacher is None) != (task.recipe.distill == 0):
        raise ArgumentError(
            "`teacher` must be given with a recipe that has `distill`, and only with one, but got "
            f"recipe={task.recipe} and teacher={task.teacher}"
        )


def hold_out(task: Task, holdout: Holdout | None) -> Task:
    """Return the task with `holdout` in place of the test images; with None, `task` itself.

    The test images become those of `tested_on`.
    """
    if holdout is None:
        return task
    return replace(task, data=replace(task.data, holdout=holdout), tested_on=task.data)
