"""What a script trains, as a value, and the check that a script can say it."""

from __future__ import annotations

from dataclasses import dataclass

from lightsearch.design.fields import specs
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.errors import ArgumentError
from lightsearch.shapes import Shape

WORDS = {
    "optimizer": ("sgd", "adam", "adamw"),
    "schedule": ("onecycle", "cosine", "step", "constant", "plateau"),
    "fill": ("black", "mean", "own"),
    "decay_on": ("all", "weights"),
}
NUMBERS = {
    "lr",
    "batch_size",
    "momentum",
    "weight_decay",
    "warmup",
    "div",
    "final_div",
    "step_size",
    "gamma",
    "patience",
    "rotation",
    "shift",
    "scale",
    "shear",
    "erasing",
    "brightness",
    "contrast",
    "smoothing",
    "ema",
    "flip",
    "clean",
}
"""The fields of a recipe that the templates know."""


@dataclass(frozen=True, slots=True)
class Job:
    """A network, how it is trained, and on which images.

    - `shape`, `classes`, `images`: of the data set called `dataset`, with so many training images.
    - `file`: where the script finds images that have no name, as `references.save` writes them.
    - `class_names`: in the order of the labels; without any, the classes are numbers.
    - `note`: a few sentences for the script's head. `story`: Markdown for the notebook's.

    Raises `ArgumentError` for a recipe with an option that no script can have.
    """

    design: Design
    recipe: Recipe
    epochs: int
    seed: int
    dataset: str
    shape: Shape
    classes: int
    images: int
    file: str = "data.safetensors"
    class_names: tuple[str, ...] = ()
    note: str = ""
    story: str = ""

    def __post_init__(self) -> None:
        for spec in specs(type(self.recipe)):
            value = getattr(self.recipe, spec.name)
            known = value in WORDS[spec.name] if spec.name in WORDS else spec.name in NUMBERS
            if not known and (spec.name in WORDS or value != spec.default):
                raise ArgumentError(
                    "a script can be written for a recipe without "
                    f"{spec.name}={value}, but got {self.recipe}"
                )
