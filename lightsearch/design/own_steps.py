"""Steps of a recipe that are a user's own: an optimizer, a loss, an augmentation, by name.

The names are words of a recipe's fields. What the functions compute is for the PyTorch engine
(`engines.own_steps`). No torch is needed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from lightsearch.checks import check_kind
from lightsearch.design.fields import WORD
from lightsearch.design.words import AUGMENTATIONS, LOSSES, OPTIMIZERS
from lightsearch.errors import DesignError
from lightsearch.naming import digest_source

F = TypeVar("F", bound=Callable[..., Any])
RESERVED: dict[str, tuple[str, ...]] = {
    "optimizer": OPTIMIZERS,
    "loss": LOSSES,
    "augmentation": AUGMENTATIONS,
}
"""The library's own steps of each field."""


@dataclass(frozen=True, slots=True)
class OwnStep:
    """A function that is registered as a step: the field, its name there, its source's digest."""

    field: str
    name: str
    function: Callable[..., Any]
    digest: str

    def __str__(self) -> str:
        return f"{self.field} {self.name}" + (f":{self.digest}" if self.digest else "")


_STEPS: dict[tuple[str, str], OwnStep] = {}


def own_names(field: str) -> tuple[str, ...]:
    """Return the registered names of a field, in the order of their registration."""
    return tuple(name for known, name in _STEPS if known == field)


def find_step(field: str, name: object) -> OwnStep | None:
    """Return the user's own step of a field that has this name, if there is one."""
    return _STEPS.get((field, name)) if isinstance(name, str) else None


def add_step(step: OwnStep) -> None:
    """Register a step that another process registered, in place of one of its name."""
    _STEPS[step.field, step.name] = step


def _register(field: str, name: str, function: Callable[..., Any]) -> None:
    check_kind("function", function, Callable, "a function")
    if not isinstance(name, str) or not WORD.fullmatch(name):
        raise DesignError(
            f"the name of a step must be letters, digits, _ and -, starting with a letter, but "
            f"got {name!r}"
        )
    known = find_step(field, name)
    if name in RESERVED[field] or (known and _place(known.function) != _place(function)):
        raise DesignError(f"the {field} {name!r} is registered already")
    add_step(OwnStep(field, name, function, digest_source(function)))


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    """Where a function is from: a cell of a notebook that runs again defines the same one."""
    return (
        getattr(function, "__module__", ""),
        getattr(function, "__qualname__", repr(function)),
    )


@overload
def register_optimizer(name: str) -> Callable[[F], F]: ...
@overload
def register_optimizer(name: str, function: F) -> F: ...
def register_optimizer(name: str, function: F | None = None) -> F | Callable[[F], F]:
    """Add an optimizer for recipes: `Recipe(optimizer=name)`. Without a function, a decorator.

    >>> import torch
    >>> from lightsearch import Recipe, register_optimizer
    >>> @register_optimizer("rms")
    ... def rms(parameters, recipe, generator):
    ...     return torch.optim.RMSprop(parameters, lr=recipe.lr, momentum=recipe.momentum)
    >>> str(Recipe(optimizer="rms", lr=0.01))
    'recipe(optimizer=rms,lr=0.01)'

    `function(parameters, recipe, generator)` returns a `torch.optim.Optimizer` of the list of
    parameters. The recipe's schedule sets `lr` of all its groups before each step. What it
    remembers must lie in its `state` and in its groups, as tensors and numbers: these are kept
    with the trial. `generator` is a `torch.Generator` for what it draws; before each step it gets
    a seed that follows from the trial's seed and the step, and so does torch's own.

    Raises `DesignError` for a name that is no word or is taken.
    """
    return _decorate("optimizer", name, function)


@overload
def register_loss(name: str) -> Callable[[F], F]: ...
@overload
def register_loss(name: str, function: F) -> F: ...
def register_loss(name: str, function: F | None = None) -> F | Callable[[F], F]:
    """Add a training loss for recipes: `Recipe(loss=name)`. Without a function, a decorator.

    `function(scores, labels, recipe, generator)` returns the mean loss of a batch, a tensor
    without dimensions, of scores (N, classes) and labels (N,), int64. `generator` is as in
    `register_optimizer`.
    """
    return _decorate("loss", name, function)


@overload
def register_augmentation(name: str) -> Callable[[F], F]: ...
@overload
def register_augmentation(name: str, function: F) -> F: ...
def register_augmentation(name: str, function: F | None = None) -> F | Callable[[F], F]:
    """Add an augmentation for recipes: `Recipe(augmentation=name)`, or decorate a function.

    `function(images, recipe, generator)` returns as many images of the same shape (N, C, H, W),
    float32 from 0 to 1. It comes after those that the recipe's other fields ask for. `generator`
    is as in `register_optimizer`.
    """
    return _decorate("augmentation", name, function)


def _decorate(field: str, name: str, function: F | None) -> F | Callable[[F], F]:
    def decorate(given: F) -> F:
        _register(field, name, given)
        return given

    return decorate if function is None else decorate(function)
