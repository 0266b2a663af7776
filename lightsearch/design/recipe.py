"""How a design is trained: a frozen value whose fields may hold choices, like those of a layer.

The defaults of the fields are part of the notation, so they never change. A search trains with
`DEFAULT_RECIPE` by default.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lightsearch.design.choice import Choice
from lightsearch.design.fields import integer, real, set_fields, specs, word
from lightsearch.design.own_steps import RESERVED, OwnStep, add_step, find_step, own_names
from lightsearch.design.parts import Fielded
from lightsearch.design.words import (
    DECAYS,
    FILLS,
    SCHEDULES,
    AugmentationName,
    DecayName,
    FillName,
    LossName,
    OptimizerName,
    ScheduleName,
)

AUGMENTATION = ("rotation", "shift", "scale", "shear", "flip", "erasing", "brightness", "contrast")
"""The fields that change images at random, where they are not 0."""


def _step(field: str) -> Any:
    """Declare a field that takes the name of a step, the library's or a user's."""
    words = RESERVED[field]
    return word(words[0], words, more=functools.partial(own_names, field))


@dataclass(frozen=True, slots=True, repr=False)
class Recipe(Fielded):
    """A training recipe.

    >>> from lightsearch import Recipe
    >>> str(Recipe(lr=0.3, rotation=7))
    'recipe(lr=0.3,rotation=7)'

    - `optimizer`: `sgd` (Nesterov if `momentum` > 0), `adam` or `adamw` (betas 0.9, 0.999), or one
      of your own (`register_optimizer`). So are `loss` (`register_loss`) and `augmentation`
      (`register_augmentation`), which comes after what the other fields ask for.
    - `lr`: the largest learning rate. `schedule` shapes it.
    - `schedule="onecycle"`, by batch (Smith 2018, as `torch.optim.lr_scheduler.OneCycleLR`): from
      `lr / div` up to `lr` over the first `warmup` share of the steps, then down to
      `lr / div / final_div`, both on cosines. The momentum stays constant.
    - `schedule="cosine"`, by batch: a linear warm-up over the `warmup` share, then down to zero.
    - `schedule="step"`: times `gamma` every `step_size` epochs.
    - `schedule="plateau"`: times `gamma` when an epoch's training loss has not fallen by 0.01%
      for more than `patience` epochs.
    - `schedule="constant"`: `lr` throughout.
    - `batch_size`: images per step. The last, smaller batch of an epoch counts as a step too.
    - Augmentation, drawn anew for each image: `rotation` (degrees either way), `shift` (share of
      the size, each way), `scale` (0.1 is 0.9 to 1.1), `shear` (degrees), `brightness` and
      `contrast` (0.1 is 0.9 to 1.1 times), `flip` (probability of mirroring left and right),
      `erasing` (probability of cutting out a rectangle of 2 to 15% of the area).
    - `fill`: what is put there, for each channel: `black`, the `mean` of all training images, or
      the mean of the image's `own` pixels.
    - `clean`: share of the epochs, the last ones, that see the images as they are. It is rounded
      to whole epochs, a half up: of 15, 0.25 are 4.
    - `smoothing`: label smoothing.
    - `distill`: weight of the teacher's answers in the loss, beside 1 - `distill` for the labels;
      without a `teacher` it must be 0. Both are softened by `temperature`.
    - `decay_on`: what weight decay pulls: `all` parameters, or the `weights` of convolutions and
      linear layers alone, neither biases nor norms.
    - `ema`: the largest decay of the exponential moving average of the weights and of batch
      norm's statistics. The decay at step n is `min(ema, (1 + n) / (10 + n))`. With `ema=0`
      there is no average; otherwise the averaged weights are evaluated.
    """

    optimizer: OptimizerName | str = _step("optimizer")
    lr: float = real(0.1, low=1e-8, high=100.0)
    schedule: ScheduleName = word("onecycle", SCHEDULES)
    batch_size: int = integer(128, short="batch", high=65536)
    momentum: float = real(0.9, high=1.0, below=True)
    weight_decay: float = real(0.0, short="decay", high=10.0)
    warmup: float = real(0.2, high=1.0, below=True)
    div: float = real(10.0, low=1.0, high=1e9)
    final_div: float = real(100.0, low=1.0, high=1e9)
    step_size: int = integer(6, short="step")
    gamma: float = real(0.5, low=1e-6, high=1.0)
    patience: int = integer(2, low=0)
    rotation: float = real(0.0, high=180.0)
    shift: float = real(0.0, high=1.0)
    scale: float = real(0.0, high=1.0, below=True)
    shear: float = real(0.0, high=89.0)
    erasing: float = real(0.0, high=1.0)
    brightness: float = real(0.0, high=1.0)
    contrast: float = real(0.0, high=1.0)
    smoothing: float = real(0.0, high=1.0, below=True)
    ema: float = real(0.0, high=1.0, below=True)
    flip: float = real(0.0, high=1.0)
    fill: FillName = word("black", FILLS, named=True)
    loss: LossName | str = _step("loss")
    augmentation: AugmentationName | str = _step("augmentation")
    clean: float = real(0.0, high=1.0)
    decay_on: DecayName = word("all", DECAYS, named=True)
    distill: float = real(0.0, high=1.0)
    temperature: float = real(4.0, low=0.01, high=1000.0)

    def in_epoch(self, epoch: int, epochs: int) -> Recipe:
        """Return what trains an epoch (from 1) of `epochs`: no augmentation in the clean ones."""
        if epoch <= epochs - self.count_clean(epochs):
            return self
        nothing: dict[str, Any] = dict.fromkeys(AUGMENTATION, 0.0)
        return replace(self, augmentation="none", **nothing)

    def count_clean(self, epochs: int) -> int:
        """Return how many of `epochs` are without augmentation."""
        return math.floor(round(self.clean * epochs, 9) + 0.5)  # 0.7 of 45 is 31.499999999999996

    def own_steps(self) -> tuple[OwnStep, ...]:
        """Return the user's own steps that the recipe, or a choice in it, names."""
        found = []
        for field in RESERVED:
            value = getattr(self, field)
            for name in value.options if isinstance(value, Choice) else (value,):
                step = find_step(field, name)
                found += [] if step is None else [step]
        return tuple(found)

    def __reduce__(self) -> tuple[Callable[..., Recipe], tuple[Any, ...]]:
        """Pickle a recipe with the user's own steps, which workers lack."""
        values = tuple(getattr(self, spec.name) for spec in specs(type(self)))
        return _unpickle, (type(self), self.own_steps(), values)

    def settle(self) -> None:
        """Reset fields that have no effect beside the others to their defaults."""
        if self.optimizer in ("adam", "adamw"):
            set_fields(self, momentum=0.9)
        if self.schedule in ("step", "constant", "plateau"):
            set_fields(self, warmup=0.2)
        if self.schedule in ("cosine", "step", "constant", "plateau"):
            set_fields(self, div=10.0, final_div=100.0)
        if self.schedule in ("onecycle", "cosine", "constant", "plateau"):
            set_fields(self, step_size=6)
        if self.schedule in ("onecycle", "cosine", "constant", "step"):
            set_fields(self, patience=2)
        if self.schedule in ("onecycle", "cosine", "constant"):
            set_fields(self, gamma=0.5)
        if self.erasing == 0:
            set_fields(self, fill="black")
        if self.augmentation == "none" and all(getattr(self, name) == 0 for name in AUGMENTATION):
            set_fields(self, clean=0.0)
        if self.weight_decay == 0:
            set_fields(self, decay_on="all")
        if self.distill == 0:
            set_fields(self, temperature=4.0)


def _unpickle(cls: type[Recipe], steps: tuple[OwnStep, ...], values: tuple[Any, ...]) -> Recipe:
    for step in steps:
        add_step(step)
    return cls(*values)


DEFAULT_RECIPE = Recipe(lr=0.3, rotation=7.0, shift=0.05, ema=0.998, clean=0.25)
"""The recipe of a search by default. `docs/benchmarks/networks.md` shows why."""
