"""The same as a notebook: a cell for each part, to open in Jupyter or Colab."""

from __future__ import annotations

import json
from typing import Any

from lightsearch.errors import escape_controls
from lightsearch.standalone.job import Job
from lightsearch.standalone.parts import list_parts, make_plan
from lightsearch.standalone.script import imports

_SUMMARY = """\
try:
    from torchinfo import summary
except ImportError:  # in Colab
    %pip install -q torchinfo
    from torchinfo import summary"""


def notebook_text(job: Job) -> str:
    """Return a notebook (nbformat 4.5) of `job`, which needs no lightsearch.

    It trains on a GPU where there is one. Raises `DesignError` as `script_text` does.
    """
    plan = make_plan(job)
    title = f"# A network of {plan.costed.params:,} parameters for {job.dataset}"
    head = "\n\n".join(text for text in (title, job.note, job.story) if text)
    cells = [
        _write("head", escape_controls(head)),
        _code("imports", f"{imports(plan, notebook=True)}\n\n{_SUMMARY}"),
    ]
    for part in list_parts(plan):
        name = part.title.lower().replace(",", "").replace(" ", "-")
        cells.append(_write(name, f"## {part.title}"))
        cells.append(_code(f"{name}-code", part.code))
        if part.action:
            cells.append(_code(f"{name}-run", part.action))
    return json.dumps({"cells": cells, **_METADATA}, indent=1, ensure_ascii=False) + "\n"


_METADATA = {
    "metadata": {
        "accelerator": "GPU",  # what Colab offers when it opens the notebook
        "colab": {"provenance": []},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


def _write(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _code(name: str, text: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": [],
        "source": text,
    }
