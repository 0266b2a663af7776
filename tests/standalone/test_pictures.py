"""The pictures of a script: ticks of whole epochs, titles that do not overlap."""

from __future__ import annotations

import itertools
from types import ModuleType

import matplotlib as mpl
import pytest
import torch

from lightsearch import parse, parse_recipe
from lightsearch.standalone import Job, script_text

LONG = ("bright day", "nacht ü", "grün_x", "a very long name of a class", "internationalisation")
SHORT = tuple("01234")


@pytest.fixture(autouse=True)
def _drawn_in_memory() -> None:
    mpl.use("agg")


def _script(names: tuple[str, ...]) -> ModuleType:
    job = Job(
        parse(f"gap linear({len(names)})"),
        parse_recipe("recipe()"),
        epochs=1,
        seed=0,
        dataset="my own",
        shape=(3, 20, 24),
        classes=len(names),
        images=100,
        class_names=names,
    )
    module = ModuleType("script")
    exec(compile(script_text(job), "script", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("epochs", [1, 2, 15])
def test_curves_have_ticks_at_whole_epochs(epochs: int) -> None:
    history = {
        f"{part}_{what}": [0.5] * epochs
        for part in ("train", "test")
        for what in ("loss", "accuracy")
    }
    figure = _script(SHORT).plot_curves(history)
    figure.canvas.draw()
    for ax in figure.axes:
        low, high = ax.get_xlim()
        shown = [at for at in ax.get_xticks() if low <= at <= high]
        assert shown and all(at == round(at) for at in shown)


def _titles(names: tuple[str, ...]) -> list[mpl.text.Text]:
    labels = torch.arange(60) % len(names)
    wrong = (labels + 1 + torch.arange(60) // len(names) % (len(names) - 1)) % len(names)
    figure = _script(names).plot_mistakes(torch.rand(60, 3, 20, 24), wrong, labels)
    figure.canvas.draw()
    return [ax.title for ax in figure.axes]


@pytest.mark.parametrize("names", [LONG, SHORT])
def test_titles_of_mistakes_are_apart_and_whole(names: tuple[str, ...]) -> None:
    titles = _titles(names)
    assert len(titles) == 25 and all("taken for" in title.get_text() for title in titles)
    boxes = [title.get_window_extent() for title in titles]
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    edge = titles[0].get_figure(root=True).bbox
    assert all(edge.x0 <= box.x0 and box.x1 <= edge.x1 for box in boxes)


def test_long_names_have_more_lines_than_digits() -> None:
    """Relative: the titles of digits stay on one line; names that fit are not cut."""
    few, more = (_titles(names)[0].get_text() for names in (SHORT, LONG))
    assert few == "0, taken for 1" and more == "bright day,\ntaken for nacht ü"
