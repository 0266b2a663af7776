"""The parts of a training script: each a title, its definitions, and what runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2

from lightsearch.data.class_names import quote_python
from lightsearch.network.cost import Cost, cost
from lightsearch.network.source import define_net, name_blocks
from lightsearch.network.windows import are_square
from lightsearch.shapes import format_shape
from lightsearch.standalone.images import Source, find_source
from lightsearch.standalone.job import Job

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a script, a section of a notebook.

    `code` defines things, and `action` is what a notebook's cell runs; a script has its own order
    of actions, in which pictures become files.
    """

    title: str
    code: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the templates are filled with, and which imports they need."""

    job: Job
    costed: Cost
    source: Source
    schedule: str

    @property
    def moves(self) -> bool:
        """Whether images are rotated, sheared, scaled or shifted."""
        recipe = self.job.recipe
        return bool(recipe.rotation or recipe.shear or recipe.scale or recipe.shift)

    @property
    def paints(self) -> bool:
        """Whether images are mirrored, or the values of pixels changed, at random."""
        recipe = self.job.recipe
        return bool(recipe.flip or recipe.brightness or recipe.contrast or recipe.erasing)

    @property
    def fills(self) -> bool:
        """Whether what is cut out is filled with the mean of all training images."""
        return bool(self.job.recipe.fill == "mean")

    @property
    def draws(self) -> bool:
        """Whether images are changed at random."""
        return self.moves or self.paints

    @property
    def input(self) -> str:
        """The shape of a batch of one image, as Python."""
        return f"(1, {', '.join(map(str, self.job.shape))})"


def make_plan(job: Job) -> Plan:
    """Make the plan of a script.

    Raises `DesignError` for a design that does not fit, or with a layer kind of the user's own.
    """
    costed = cost(job.design, job.shape, job.classes)
    schedule = job.recipe.schedule
    if schedule == "plateau" and job.recipe.gamma == 1:
        schedule = "constant"  # PyTorch refuses the factor 1, which changes nothing
    return Plan(job, costed, find_source(job), schedule)


def list_parts(plan: Plan) -> list[Part]:
    """Return the parts of a script in their order."""
    job = plan.job
    net = "\n\n\n".join(define_net(plan.costed, str(job.design), shape=job.shape)).strip()
    augmentation = [Part("Augmentation", render("augmentation", plan))] if plan.draws else []
    return [
        Part("Settings", render("settings", plan)),
        Part("Data", render("data", plan), load_action()),
        *augmentation,
        Part("Network", net, build_action(plan)),
        Part("Receptive field", render("field", plan), "print_receptive_fields()"),
        Part("Training", render("training", plan), fit_action()),
        Part("Curves, confusion matrix, mistakes", render("pictures", plan), _show_action()),
    ]


def load_action() -> str:
    """Return the lines that load the images."""
    return (
        "train_data, test_data = load_images(train=True), load_images(train=False)\n"
        "normalise = measure_pixels(train_data[0])\n"
        "counts = len(train_data[0]), len(test_data[0])\n"
        'print(f"{counts[0]} training images, {counts[1]} test images, on {DEVICE}")'
    )


def build_action(plan: Plan) -> str:
    """Return the lines that make the network and print its summary."""
    return (
        "torch.manual_seed(SEED)\n"
        "model = Net().to(DEVICE)\n"
        f"print(summary(model, {plan.input}, depth=8, verbose=0))"
    )


def fit_action() -> str:
    """Return the lines that train the network and print what the course asks for."""
    return (
        "final, history = fit(model, train_data, test_data, normalise)\n"
        "print_results(final, history)"
    )


def _show_action() -> str:
    return (
        "images, labels = test_data\n"
        "predictions = predict(final, images, normalise).argmax(1)\n"
        "plot_curves(history)\n"
        "plot_confusion(predictions, labels)\n"
        "plot_mistakes(images, predictions, labels)\n"
        "plt.show()"
    )


def render(name: str, plan: Plan) -> str:
    """Return a part's definitions."""
    return _ENVIRONMENT.get_template(f"{name}.jinja").render(_context(plan)).strip()


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("lightsearch.standalone"),
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # it writes Python
    undefined=jinja2.StrictUndefined,
)


def _context(plan: Plan) -> dict[str, Any]:
    job, recipe = plan.job, plan.job.recipe
    return {
        "plan": plan,
        "job": job,
        "recipe": recipe,
        "clean_epochs": recipe.count_clean(job.epochs),
        "schedule": plan.schedule,
        "source": plan.source,
        "read": plan.source.reading,
        "optimizer": OPTIMIZERS[recipe.optimizer],
        "final": "average.model" if recipe.ema else "model",
        "single": has_single_image(job),
        "one_step_up": recipe.warmup * job.epochs * _count_batches(job) == 1,
        "square": job.shape[1] == job.shape[2],
        "layers": _list_layers(plan.costed),
        "uneven": _find_smaller_side(plan.costed),
        "sees_all": plan.costed.whole_image,
        "long_names": plan.source.has_words,
        "plain": ", parse_math=False" if plan.source.has_dollars else "",
        "file": quote_python(job.file),
    }


def has_single_image(job: Job) -> bool:
    """Whether the last batch of an epoch would have one image."""
    return job.images > job.recipe.batch_size and job.images % job.recipe.batch_size == 1


def _count_batches(job: Job) -> int:
    return -(-job.images // job.recipe.batch_size) - has_single_image(job)


def _find_smaller_side(costed: Cost) -> str:
    """Return the side with the smaller receptive field; "" for windows that are all square."""
    if all(are_square(step.spans) for step in costed.steps):
        return ""
    height, width = costed.receptive_fields
    return "height" if height <= width else "width"


def _list_layers(costed: Cost) -> list[str]:
    """Return a row a layer, with its window along the side of the smaller receptive field."""
    names, axis = name_blocks(costed.steps), _find_smaller_side(costed) == "width"
    spans = [step.spans[axis] for step in costed.steps]
    return [
        f'("{name}", {span.extent}, {span.stride}, "{format_shape(step.shape)}")'
        for name, span, step in zip(names, spans, costed.steps, strict=True)
    ]
