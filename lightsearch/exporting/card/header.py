"""The YAML header of a model card, as the Hugging Face Hub reads it.

Its fields: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lightsearch.data.class_names import escape_text
from lightsearch.exporting.trained import TrainedNet, is_held_out

LICENSES = frozenset(
    (
        "apache-2.0 mit openrail afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause "
        "bsd-3-clause-clear cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
        "cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 "
        "cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 wtfpl ecl-2.0 epl-1.0 "
        "epl-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc "
        "mpl-2.0 ms-pl ncsa odbl osl-3.0 ofl-1.1 pddl postgresql unlicense zlib unknown other"
    ).split()
)
"""Identifiers that the Hub knows; other names are written as `license_name`."""

_HUB = {
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}


_RESIZED = re.compile(r"^(cifar10|cifar100)-\d+(x\d+)?(-gray)?$")  # as `torchvision_dataset` names


def list_header(
    net: TrainedNet, path: Path, accuracy: float, license: str | None
) -> tuple[str, ...]:
    """Return the lines of the header, without the lines of dashes around it."""
    return tuple(_write_header(net, path, accuracy, license))


def _write_header(
    net: TrainedNet, path: Path, accuracy: float, license: str | None
) -> Iterator[str]:
    data = net.data
    hub = _HUB.get(_RESIZED.sub(r"\1", data.name))
    split = "validation" if is_held_out(net.record) else "test"
    yield "library_name: lightsearch"
    yield "pipeline_tag: image-classification"
    if license is not None:
        yield from _write_license(license)
    yield from ("tags:", "- image-classification", "- tinyml")
    if hub is not None:
        yield from ("datasets:", f"- {hub}")
    yield from ("metrics:", "- accuracy")
    yield from ("model-index:", f"- name: {_quote(path.stem)}", "  results:")
    yield from ("  - task:", "      type: image-classification")
    yield from ("    dataset:", f"      name: {_quote(data.name)}")
    yield from (f"      type: {_quote(hub or _slug(data.name))}", f"      split: {split}")
    yield from ("    metrics:", "    - type: accuracy", f"      value: {accuracy!r}")


def _write_license(license: str) -> Iterator[str]:
    known = license.strip().lower()
    if known in LICENSES:
        yield f"license: {known}"
    else:
        yield from ("license: other", f"license_name: {_quote(license.strip())}")


def _slug(name: str) -> str:
    """Return a name as the Hub's names of data sets are."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "own"


def _quote(text: str) -> str:
    """Return a text as a scalar of YAML, which a string of JSON is."""
    return json.dumps(escape_text(text), ensure_ascii=False)
