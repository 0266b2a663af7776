"""How a design is trained: a frozen value whose fields may hold choices, like those of a layer.

The defaults of the fields are part of the notation, so they never change. A search trains with
`DEFAULT_RECIPE` by default.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightsearch.design.fields import integer, real, set_fields, word
from lightsearch.design.parts import Fielded

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("onecycle", "cosine", "step", "constant", "plateau")
FILLS = ("black", "mean", "own")


@dataclass(frozen=True, slots=True, repr=False)
class Recipe(Fielded):
    """A training recipe.

    >>> from lightsearch import Recipe
    >>> str(Recipe(lr=0.3, rotation=7))
    'recipe(lr=0.3,rotation=7)'

    - `optimizer`: `sgd` (Nesterov if `momentum` > 0), `adam` or `adamw` (betas 0.9, 0.999).
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
    - `smoothing`: label smoothing.
    - `ema`: the largest decay of the exponential moving average of the weights and of batch
      norm's statistics. The decay at step n is `min(ema, (1 + n) / (10 + n))`. With `ema=0`
      there is no average; otherwise the averaged weights are evaluated.
    """

    optimizer: str = word("sgd", OPTIMIZERS)
    lr: float = real(0.1, low=1e-8, high=100.0)
    schedule: str = word("onecycle", SCHEDULES)
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
    fill: str = word("black", FILLS, named=True)

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


DEFAULT_RECIPE = Recipe(lr=0.3, rotation=7.0, shift=0.05, ema=0.998)
"""The recipe of a search by default. `docs/benchmarks/networks.md` shows why."""
