"""The model card of an exported file: Markdown, with the header that the Hugging Face Hub reads.

Every figure is one of the file, of its record or of its study. What is not known is said.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from lightsearch.checks import check_kind, has_controls
from lightsearch.data.class_names import escape_markdown
from lightsearch.errors import ArgumentError
from lightsearch.exporting.card.header import list_header
from lightsearch.exporting.card.results import History, list_notes, list_results
from lightsearch.exporting.card.usage import list_usage
from lightsearch.exporting.trained import TrainedNet, is_held_out
from lightsearch.formatting import plural
from lightsearch.network.cost import Cost, cost
from lightsearch.shapes import format_shape

MARKER = (
    "<!-- Written by lightsearch. Its next export to here replaces this card, unless this line is "
    "gone. -->"
)
_LIMITS = (
    "The accuracy is that of the images named above. Others, such as those of another camera, "
    "were not tried.",
    "It names one of its classes for any image, also for one that shows none of them.",
    "The softmax of its scores is not calibrated: it is no probability that the class is right.",
    "Errors by class, and what noise or an attack does to them, were not measured.",
)


@dataclass(frozen=True, slots=True)
class File:
    """What a card says of the exported file itself; `right` of `total` images are of its own."""

    path: Path
    size: int
    right: int
    total: int
    metadata: dict[str, str]


def check_license(license: Any) -> None:
    """Raise `ArgumentError` unless a license is None or a short text on one line."""
    if license is None:
        return
    check_kind("license", license, str, "the name of a license")
    if not license.strip() or len(license) > 200 or has_controls(license) or "\n" in license:
        raise ArgumentError(
            f"`license` must be a name of 1 to 200 characters on one line, but got {license!r:.60}"
        )


def format_card(net: TrainedNet, file: File, history: History, license: str | None) -> str:
    """Return the card of a file as Markdown."""
    costed = cost(net.design, net.data.shape, net.data.classes)
    images = format_shape(net.data.shape)
    command, language, usage_is, usage = list_usage(file.path, net.data, file.metadata)
    return _load_template().render(
        head=list_header(net, file.path, file.right / file.total, license),
        title=file.path.name,
        about=(
            f"A convolutional network of {costed.params:,} parameters that classifies {images} "
            f"images into {net.data.classes} classes, trained by lightsearch."
        ),
        network=tuple(_list_network(costed, net, file)),
        design=str(net.design),
        data=tuple(_list_data(net, file.metadata)),
        names=net.data.class_names,
        recipe=net.record["recipe"],
        training=tuple(_list_training(net, history)),
        results=tuple(list_results(net, file.right, file.total, file.metadata, history)),
        notes=tuple(list_notes(net, history)),
        command=command,
        language=language,
        usage_is=usage_is,
        usage=usage,
        limits=_LIMITS,
        license="Not stated." if license is None else license,
        marker=MARKER,
    )


def _list_network(costed: Cost, net: TrainedNet, file: File) -> Iterator[tuple[str, str]]:
    yield "Input", f"{format_shape(net.data.shape)} (channels, height, width)"
    yield "Output", f"{net.data.classes} scores, before any softmax"
    yield "Parameters", f"{costed.params:,}"
    yield "Multiply-accumulates an image", f"{costed.macs:,}"
    yield (
        "Activation memory of one image",
        f"{costed.activation_bytes:,} bytes in float32, {costed.activation_bytes_int8:,} in int8",
    )
    whole = ", and the whole image through a gate" if costed.whole_image else ""
    yield "Receptive field", f"{costed.receptive_field} pixels{whole}"
    folded = ", batch norm folded" if file.metadata["batch_norm"] == "folded" else ""
    kind = "int8" if "int8_accuracy" in file.metadata else "float32"
    yield "File", f"{file.path.name}: {kind}{folded}, {plural(file.size, 'byte')}"


def _list_data(net: TrainedNet, metadata: dict[str, str]) -> Iterator[tuple[str, str]]:
    data, held = net.data, is_held_out(net.record)
    yield "Data set", data.name
    yield "Checksum of images and labels", data.checksum
    yield "Training images", f"{len(data.train[1]):,}"
    yield ("Held-out images" if held else "Test images"), f"{len(data.test[1]):,}"
    yield "Selected on", _SELECTED.get(net.record["selected_on"], net.record["selected_on"])
    yield "Input range", metadata["input_range"]
    yield "Mean by channel", metadata["mean"]
    yield "Standard deviation by channel", metadata["std"]
    yield "Classes", f"{data.classes}"


_SELECTED = {
    "test": "the test images: design and epoch were picked by their accuracy on them",
    "none": "nothing: the design was given, and the epoch is the last one",
}


def _list_training(net: TrainedNet, history: History) -> Iterator[tuple[str, str]]:
    yield "Epochs", net.record["epochs"]
    yield "Weights of epoch", f"{net.record['epoch']}, {net.record['weights']}"
    yield "Seed", net.record["seed"]
    if history.trials:
        yield "Search", f"{plural(history.trials, 'design')} trained, seed {history.seed}"
    yield "Engine", net.record["engine"]
    yield "Software", net.record["versions"]
    yield "Origin of the weights", net.record["origin"]


@functools.cache
def _load_template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lightsearch.exporting.card"),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # it writes Markdown: `text` escapes
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = escape_markdown
    environment.filters["code"] = lambda text: str(text).replace("```", "'''")
    return environment.get_template("card.md")
