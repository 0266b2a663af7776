"""The data sets that have a name, and their properties. This file needs neither them nor torch."""

from __future__ import annotations

from pathlib import Path

from lightsearch.shapes import Shape

IMAGES: dict[str, tuple[Shape, int]] = {
    "mnist": ((1, 28, 28), 10),
    "fashion-mnist": ((1, 28, 28), 10),
    "kmnist": ((1, 28, 28), 10),
    "qmnist": ((1, 28, 28), 10),
    "qmnist-test50k": ((1, 28, 28), 10),
    "emnist-balanced": ((1, 28, 28), 47),
    "emnist-digits": ((1, 28, 28), 10),
    "emnist-letters": ((1, 28, 28), 26),
    "digits": ((1, 8, 8), 10),
}
"""Image shape and number of classes, by name."""

LAYOUT = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "qmnist": "QMNIST",
    "qmnist-test50k": "QMNIST",
    "emnist-balanced": "EMNIST",
    "emnist-digits": "EMNIST",
    "emnist-letters": "EMNIST",
}
NAMES = (*LAYOUT, "digits")

TORCHVISION = {
    name.lower(): name
    for name in (
        "CIFAR10",
        "CIFAR100",
        "SVHN",
        "STL10",
        "USPS",
        "GTSRB",
        "EuroSAT",
        "FER2013",
        "Flowers102",
        "Food101",
        "DTD",
        "FGVCAircraft",
        "OxfordIIITPet",
        "PCAM",
        "RenderedSST2",
        "StanfordCars",
        "Imagenette",
        "SEMEION",
        "Caltech101",
        "CLEVRClassification",
    )
}
"""Classification sets of at most 200 classes, beside those of `NAMES`, by lower-case name."""


def images_file(dataset: str, study: Path) -> Path | None:
    """Return the file in a study's folder that holds its images, or None if `dataset` is public.

    >>> images_file("mnist", Path("study")) is None
    True
    >>> images_file("my-signs", Path("study")).name
    'data.safetensors'
    """
    return None if dataset in NAMES else study / "data.safetensors"
