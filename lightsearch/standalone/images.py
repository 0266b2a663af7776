"""The part of a script that loads its images: by the name of the data set."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import Any

from lightsearch.data.catalogue import LAYOUT, TORCHVISION
from lightsearch.data.class_names import quote_python
from lightsearch.data.image_size import format_size
from lightsearch.data.torchvision_parts import list_part_arguments
from lightsearch.errors import escape_controls
from lightsearch.network.source_lines import Call, format_list, write_lines
from lightsearch.standalone.job import Job

_RESIZED = re.compile(r"(.+)-(\d+(?:x\d+)?)(-gray)?")  # as `torchvision_dataset` names them
_AS_THEY_ARE = {"cifar10", "cifar100", "svhn"}  # in colour, of 32 pixels
_NAMES = {
    "fashion-mnist": "datasets.FashionMNIST.classes",
    "kmnist": "datasets.KMNIST.classes",
}


@dataclass(frozen=True, slots=True)
class Source:
    """How a script loads its images.

    `kind` is a case of the template. `maker` is torchvision's class, and `part` the argument that
    tells its training images from its test images. `names` is an expression for the names of the
    classes.
    """

    kind: str
    names: str
    maker: str = ""
    part: str = ""
    more: tuple[str, ...] = ()  # further arguments
    size: tuple[int, int] | None = None  # that images are cut and resized to; None: they stay
    mode: str = "RGB"  # of Pillow
    has_words: bool = False  # whether the names are too long to stand side by side
    has_dollars: bool = False  # which matplotlib would take for formulas

    @property
    def says_size(self) -> str:
        """What images are cut to, in words."""
        height, width = self.size or (0, 0)
        return f"a square of {width}" if height == width else f"{height}x{width}"

    @property
    def reading(self) -> str:
        """The line, or the lines, that open the data set of torchvision."""
        arguments = ("DATA", *([self.part] if self.part else []), *self.more)
        call = Call(f"datasets.{self.maker}", tuple(("", one) for one in arguments))
        return "\n".join(write_lines("data = ", call, "", 4))


def find_source(job: Job) -> Source:
    """Return how the script of a job loads its images.

    A data set of torchvision that was read at another size than its own has both in its name. A
    set without test images is split as `torchvision_dataset` does by default.
    """
    source = _choose_source(job, _NAMES.get(job.dataset) or _write_names(job))
    names = _list_names(job)
    return dataclasses.replace(
        source,
        has_words=job.dataset in _NAMES or any(len(name) > 2 for name in names),
        has_dollars=any("$" in name for name in names),
    )


def _choose_source(job: Job, names: str) -> Source:
    if job.dataset == "digits":
        return Source("digits", names)
    if job.dataset in LAYOUT:
        return _named(job.dataset, names)
    found = _RESIZED.fullmatch(job.dataset)
    size = job.shape[1:]
    if found is not None and found[1] in TORCHVISION and format_size(size) == found[2]:
        return _resized(found[1], names, size, gray=found[3] is not None)
    return Source("file", names)


def _list_names(job: Job) -> tuple[str, ...]:
    """Return the names of the classes for the pictures, in which digits may be called by theirs.

    A name is escaped as for a terminal: matplotlib cannot draw all that it may have.
    """
    digits = tuple("0123456789")
    if job.dataset in LAYOUT and job.classes == len(digits):
        return digits
    return tuple(map(escape_controls, job.class_names)) or tuple(map(str, range(job.classes)))


def _write_names(job: Job) -> str:
    """Return an expression for the names of the classes."""
    names = _list_names(job)
    if names == tuple(map(str, range(job.classes))):
        digits = 'list("0123456789")'
        return digits if job.classes == 10 else f"[str(number) for number in range({job.classes})]"
    literals = [quote_python(name) for name in names]
    return format_list("CLASSES = ", literals).removeprefix("CLASSES = ")


def needs_file(job: Job) -> bool:
    """Whether a job's script reads its images from a file of lightsearch's."""
    return find_source(job).kind == "file"


def _named(name: str, names: str) -> Source:
    maker, part = LAYOUT[name], "train=train"
    more: tuple[str, ...] = ("download=True",)
    if maker == "QMNIST":
        test = "test10k" if name == "qmnist" else "test50k"
        part = f'what="train" if train else "{test}"'
    if maker == "EMNIST":
        more = (f'split="{name.removeprefix("emnist-")}"', "download=True")
    kinds = {"QMNIST": "qmnist", "EMNIST": "emnist"}
    kind = "letters" if name == "emnist-letters" else kinds.get(maker, "mnist")
    return Source(kind, names, maker, part, more)


def _resized(name: str, names: str, size: tuple[int, int], gray: bool) -> Source:
    from torchvision import datasets  # here, since this import takes a second

    maker = TORCHVISION[name]
    parts = list_part_arguments(getattr(datasets, maker))
    as_is = name in _AS_THEY_ARE and size == (32, 32) and not gray
    takes = inspect.signature(getattr(datasets, maker)).parameters
    more = ("download=True",) if "download" in takes else ()
    return Source(
        "pillow" if len(parts) == 2 else "split",
        names,
        maker,
        _part(parts),
        more,
        None if as_is else size,
        "L" if gray else "RGB",
    )


def _part(parts: list[dict[str, Any]]) -> str:
    if len(parts) == 1:
        return ""
    (name, train), (_, test) = (next(iter(part.items())) for part in parts)
    return "train=train" if name == "train" else f'{name}="{train}" if train else "{test}"'
