"""A training script as text: one file in plain PyTorch and torchvision."""

from __future__ import annotations

import textwrap

from lightsearch.errors import escape_controls
from lightsearch.network.source_lines import WIDTH
from lightsearch.standalone.job import Job
from lightsearch.standalone.parts import (
    Plan,
    build_action,
    fit_action,
    list_parts,
    load_action,
    make_plan,
)

PACKAGES = ("torch", "torchvision", "torchinfo", "tqdm", "matplotlib")


def script_text(job: Job) -> str:
    """Return a training script of `job`, which needs no lightsearch.

    It loads the images, prints the summary and the receptive fields, trains with a progress bar
    and the log of the course, and saves pictures in a folder named as the script.

    Raises `DesignError` for a layer kind of the user's own, whose code lightsearch does not have.
    """
    plan = make_plan(job)
    parts = [part.code for part in list_parts(plan)]
    settings, definitions = parts[0], parts[1:]
    body = "\n\n\n".join([*definitions, _main(plan)])
    text = f"{_head(plan)}\n\n{imports(plan)}\n\n{settings}\n\n{body}\n"
    return text


def _head(plan: Plan) -> str:
    title = f"Train a network of {plan.costed.params:,} parameters on "
    title += f"{escape_docstring(plan.job.dataset)}."
    packages = ["scikit-learn"] * _needs_sklearn(plan) + ["safetensors"] * _needs_file(plan)
    names = ", ".join([*PACKAGES, *packages])
    needs = f"Written by lightsearch, without which it runs. It needs {names}."
    paragraphs = [title, *_fill(escape_docstring(plan.job.note)), *_fill(needs)]
    return '"""' + "\n\n".join(paragraphs) + '\n"""'


def escape_docstring(text: str) -> str:
    r"""Return a text for a docstring, which it neither ends nor changes.

    >>> print(escape_docstring('C:\\new \x1b'))
    C:\\new \x1b
    """
    return escape_controls(text.replace("\\", r"\\").replace('"""', r"\"\"\""))


def _fill(text: str) -> list[str]:
    return [
        textwrap.fill(one, WIDTH, break_long_words=False, break_on_hyphens=False)
        for one in text.split("\n\n")
        if one.strip()
    ]


def imports(plan: Plan, *, notebook: bool = False) -> str:
    """Return the imports, in ruff's order."""
    recipe, source = plan.job.recipe, plan.source
    standard = [] if notebook else ["import argparse"]
    standard += ["import copy"] * bool(recipe.ema)
    if plan.schedule == "cosine" or recipe.rotation or recipe.shear or recipe.erasing:
        standard.append("import math")
    net = "\n".join(part.code for part in list_parts(plan) if part.title == "Network")
    standard += ["from collections import OrderedDict"] * ("OrderedDict(" in net)
    standard += [] if notebook else ["from pathlib import Path"]
    standard.append("from typing import TypeAlias")
    others = ["import matplotlib.pyplot as plt", "import torch", "import torch.nn.functional as F"]
    others.append("from matplotlib.figure import Figure")
    if source.kind in ("pillow", "split"):
        others.append(
            "from PIL import Image, ImageOps" if source.size else "from PIL import Image"
        )
    others += ["from safetensors.torch import load_file"] * _needs_file(plan)
    if source.kind == "digits":
        others.append("from sklearn.datasets import load_digits")
    if _needs_sklearn(plan):
        others.append("from sklearn.model_selection import train_test_split")
    others += ["from torch import Tensor, nn"]
    others += [] if notebook else ["from torchinfo import summary"]
    used = "transforms" if source.kind in ("file", "digits") else "datasets, transforms"
    others += [f"from torchvision import {used}", "from tqdm import tqdm"]
    return "\n".join(standard) + "\n\n" + "\n".join(others)


def _needs_sklearn(plan: Plan) -> bool:
    return plan.source.kind in ("digits", "split")


def _needs_file(plan: Plan) -> bool:
    return plan.source.kind == "file"


_SAVE = """\
folder = Path(__file__).with_suffix("")
folder.mkdir(exist_ok=True)
images, labels = test_data
predictions = predict(final, images, normalise).argmax(1)
for name, figure in {
    "curves": plot_curves(history),
    "confusion": plot_confusion(predictions, labels),
    "mistakes": plot_mistakes(images, predictions, labels),
}.items():
    figure.savefig(folder / f"{name}.png", dpi=120)
print(f"Pictures: {folder}")"""


_RUN = """\
if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()  # it takes no arguments, and says so
    main()"""


def _main(plan: Plan) -> str:
    actions = [
        load_action(),
        build_action(plan),
        "print_receptive_fields()",
        fit_action(),
        _SAVE,
    ]
    lines = textwrap.indent("\n\n".join(actions), "    ")
    return f"def main() -> None:\n{lines}\n\n\n{_RUN}"
