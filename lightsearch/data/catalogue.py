"""The data sets that have a name, and their properties. This file needs neither them nor torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeAlias

from lightsearch.shapes import Shape


@dataclass(frozen=True, slots=True)
class Known:
    """A data set by its name: the class of torchvision that reads it, if any, and the image shape
    and number of classes if it is read at its own size."""

    reader: str
    images: tuple[Shape, int] | None = None


_TABLE = {
    "mnist": Known("MNIST", ((1, 28, 28), 10)),
    "fashion-mnist": Known("FashionMNIST", ((1, 28, 28), 10)),
    "kmnist": Known("KMNIST", ((1, 28, 28), 10)),
    "qmnist": Known("QMNIST", ((1, 28, 28), 10)),
    "qmnist-test50k": Known("QMNIST", ((1, 28, 28), 10)),
    "emnist-balanced": Known("EMNIST", ((1, 28, 28), 47)),
    "emnist-digits": Known("EMNIST", ((1, 28, 28), 10)),
    "emnist-letters": Known("EMNIST", ((1, 28, 28), 26)),
    "digits": Known("", ((1, 8, 8), 10)),  # of scikit-learn
    "cifar10": Known("CIFAR10"),
    "cifar100": Known("CIFAR100"),
    "svhn": Known("SVHN"),
    "stl10": Known("STL10"),
    "usps": Known("USPS"),
    "gtsrb": Known("GTSRB"),
    "eurosat": Known("EuroSAT"),
    "fer2013": Known("FER2013"),
    "flowers102": Known("Flowers102"),
    "food101": Known("Food101"),
    "dtd": Known("DTD"),
    "fgvcaircraft": Known("FGVCAircraft"),
    "oxfordiiitpet": Known("OxfordIIITPet"),
    "pcam": Known("PCAM"),
    "renderedsst2": Known("RenderedSST2"),
    "stanfordcars": Known("StanfordCars"),
    "imagenette": Known("Imagenette"),
    "semeion": Known("SEMEION"),
    "caltech101": Known("Caltech101"),
    "clevrclassification": Known("CLEVRClassification"),
}
"""All classification sets of at most 200 classes that have a name here."""

FORMULAS = tuple("=+-@")  # at the start of a cell that a spreadsheet would compute

IMAGES = {name: known.images for name, known in _TABLE.items() if known.images is not None}
"""Image shape and number of classes of those that are read at their own size."""

DataName: TypeAlias = Literal[
    "mnist",
    "fashion-mnist",
    "kmnist",
    "qmnist",
    "qmnist-test50k",
    "emnist-balanced",
    "emnist-digits",
    "emnist-letters",
    "digits",
]
"""Their names, for editors. Other spellings of them work too (`find_name`)."""

NAMES = tuple(IMAGES)
LAYOUT = {name: _TABLE[name].reader for name in NAMES if _TABLE[name].reader}
TORCHVISION = {name: known.reader for name, known in _TABLE.items() if name not in IMAGES}
"""The others: cut and resized, as folders of images are."""


def find_name(given: object) -> str | None:
    """Return the name that a spelling stands for, or None if it stands for none.

    >>> [find_name(one) for one in ("MNIST", "FashionMNIST", "CIFAR-10", "emnist_letters")]
    ['mnist', 'fashion-mnist', 'cifar10', 'emnist-letters']
    >>> [find_name(one) for one in ("./mnist", "EMNIST", 3)]
    [None, None, None]
    """
    if not isinstance(given, str | PurePath) or re.search(r"[^\w -]", str(given)):
        return None
    return _SPELLINGS.get(_spell(str(given)))


def _spell(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


_SPELLINGS = {_spell(name): name for name in _TABLE}


def images_file(dataset: str, study: Path) -> Path | None:
    """Return the file in a study's folder that holds its images, or None if `dataset` is public.

    >>> images_file("mnist", Path("study")) is None
    True
    >>> images_file("my-signs", Path("study")).name
    'data.safetensors'
    """
    return None if dataset in NAMES else study / "data.safetensors"
