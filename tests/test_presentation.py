"""What values show of themselves, and what messages show of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
import torch

import lightsearch as ls
from lightsearch.errors import LightsearchError, quote
from lightsearch.presentation import Sheet

DESIGN = ls.parse("conv(8) maxpool separable(16) gap linear(10)")


def _values() -> dict[str, Any]:
    found = made.result(300)
    return {
        "result": found,
        "plots": found.plot,
        "trial": found.records[3],
        "identity": found.identity,
        "candidate": found.records[3].candidate,
        "survey": ls.survey(ls.default_space(), budget=ls.Budget(8000)),
        "cost": ls.cost(DESIGN),
        "data": ls.load("digits"),
        "entry": ls.zoo["s1-final"],
        "task": ls.Task(DESIGN, ls.DEFAULT_RECIPE, ls.DataRef("digits", "0"), 15, 3),
        "exported": ls.Exported(
            Path("net.onnx"), 90, 100, 100, 5, 12, 20, 0.9, "kept", EXPORTED_METADATA
        ),
    }


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return _values()


EXPORTED_METADATA = {
    "selected_on": "test",
    "protocol": "one run",
    **dict.fromkeys("abcdef", "x" * 999),
}
SAYS = {
    "result": ("Study made: ", " of 300 trials", "99.40% of the test images of mnist", "best"),
    "plots": ("Plots of made", ".pareto()"),
    "trial": ("Trial 3: complete, best 99.", "epoch"),
    "identity": ("Identity of a study", "epochs"),
    "candidate": ("Candidate 3: ", " parameters, ", " MACs, seed ", "recipe("),
    "task": ("Task: 15 epochs with seed 3, engine auto, cpu", "conv(8)", "digits"),
    "exported": ("net.onnx: 20 bytes", "90.00% of 100 test images", "weights", "on record"),
    "survey": ("Survey of a space", "of at most 8,000 parameters", "smallest", "largest"),
    "cost": ("Cost: 490 parameters", "output 10x1x1"),
    "data": ("DataSet digits: 1,437 training and 360 test images of 1x8x8, 10 classes",),
    "entry": ("s1-final", "8,546 parameters", "conv(10,p=0,act-norm)"),
}


@pytest.mark.parametrize("name", SAYS)
def test_a_value_shows_itself_in_a_few_lines(values: dict[str, Any], name: str) -> None:
    text = repr(values[name])
    assert len(text) < 1800 and text.count("\n") < 25
    for part in SAYS[name]:
        assert part in text or part in getattr(values[name], "_repr_html_", str)()


@pytest.mark.parametrize("name", sorted(SAYS))
def test_a_notebook_shows_it_as_html(values: dict[str, Any], name: str) -> None:
    page = values[name]._repr_html_()
    assert page.startswith("<div><b>") and len(page) < 12_000
    assert page.count("<table>") == page.count("</table>")


def test_the_tables_of_a_notebook(values: dict[str, Any]) -> None:
    assert values["cost"]._repr_html_().count("<tr>") == 1 + len(values["cost"].rows)
    board = values["result"].leaderboard
    assert f'<td style="text-align: left">{board.iloc[0]["design"]}</td>' in (
        values["result"]._repr_html_()
    )
    assert values["trial"]._repr_html_().count("<tr>") == 1 + len(values["trial"].epochs)


def test_nothing_of_a_value_is_markup() -> None:
    page = Sheet("<b>", (("<i>", "<script>"),), ("<u>",), (("<s>",),)).as_html()
    for tag in ("<i>", "<script>", "<u>", "<s>"):
        assert tag not in page


def test_an_empty_study_shows_itself() -> None:
    text = repr(made.result(0))
    assert "0 hits of 0 trials" in text and "none yet" in text


TENSOR, TABLE = torch.zeros(60, 28, 28), pd.DataFrame({"a": range(1000)})


@pytest.mark.parametrize("value", [TENSOR, TENSOR.numpy(), TABLE, [TENSOR, TENSOR], "x" * 600])
@pytest.mark.parametrize(
    "call",
    [
        lambda value: ls.cost(DESIGN, value),
        lambda value: ls.cost(value),
        lambda value: ls.build(DESIGN, value),
        lambda value: ls.conv(value),
        lambda value: ls.survey(value),
        lambda value: ls.Budget(value),
        lambda value: ls.search(epochs=value, dataset="digits"),
        lambda value: ls.search(recipe=value, dataset="digits"),
        lambda value: ls.search(target=value, dataset="digits"),
        lambda value: ls.DataSet("x", value, value, 10),
        lambda value: ls.load_weights("nowhere", value),
        lambda value: ls.predict(value, Path("x.png")),
    ],
)
def test_no_message_has_a_tensor_or_a_table(call: Any, value: Any) -> None:
    with pytest.raises(LightsearchError) as caught:
        call(value)
    text = str(caught.value)
    assert len(text) < 900 and "tensor(" not in text and "array(" not in text
    assert "0.," not in text and "...,\n" not in text


def test_what_a_message_shows_of_values() -> None:
    assert quote(TENSOR) == "Tensor of shape (60, 28, 28)"
    assert quote((TENSOR, 3)) == "tuple of Tensor of shape (60, 28, 28), 3"
    assert quote({"params": TENSOR}) == "dict of Tensor of shape (60, 28, 28)"
    assert quote([[TENSOR], 3]) == "list of list of Tensor of shape (60, 28, 28), 3"
    assert quote([{"a": (TENSOR,)}]).count("of Tensor of shape") == 1
    assert quote(TABLE) == "DataFrame of shape (1000, 1)"
    assert quote(np.int64(3)) == repr(np.int64(3))
    assert quote(torch.Tensor) == repr(torch.Tensor)
    assert quote("a\nb") == repr("a\nb")
