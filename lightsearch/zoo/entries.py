"""The entries of the zoo: a network, its published figures, and what is assumed about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, cast, overload

from lightsearch.design.parts import Design
from lightsearch.design.recipe import AUGMENTATION, Recipe
from lightsearch.errors import ArgumentError, quote, suggestion
from lightsearch.notation.parser import parse
from lightsearch.presentation import Presented, Sheet
from lightsearch.shapes import Shape

ZooName: TypeAlias = Literal[
    "s0-large",
    "s0-small",
    "s1-final",
    "s2-final",
    "s3-model1",
    "s3-model2",
    "s3-model3",
    "s3-model4",
    "s3-model5",
    "s4-model1",
    "s4-model2",
    "s4-model3",
]

T = TypeVar("T")

_FIELDS = (
    "optimizer",
    "lr",
    "schedule",
    "batch_size",
    "weight_decay",
    *AUGMENTATION,
    "smoothing",
    "ema",
)  # of every recipe


@dataclass(frozen=True, slots=True)
class PublishedLayer:
    """A row of a published layer table. `params` leaves out batch norm's own `norm_params`."""

    kind: str
    params: int
    norm_params: int
    shape: Shape


@dataclass(frozen=True, slots=True, repr=False)
class Entry(Presented):
    """A network of the zoo and the figures that its document publishes.

    - `published`: the document's layer table, with a row for each row of `cost(design).rows`.
    - `accuracies`: test accuracy after each epoch; empty if the document gives only the `best`.
    - `epochs`: epochs of training in the document.
    - `recipe`: the document's recipe, completed.
    - `assumed`: the recipe's fields that the document does not give, without those that have no
      effect. It also names `dropout` or `epochs` if that is assumed.
    """

    name: str
    source: str
    design: Design
    params: int
    published: tuple[PublishedLayer, ...]
    accuracies: tuple[float, ...]
    best: float
    epochs: int
    recipe: Recipe
    assumed: tuple[str, ...]
    note: str

    def _sheet(self) -> Sheet:
        lines = (
            ("published", f"{self.best:.2f}% at best within {self.epochs} epochs"),
            ("design", str(self.design)),
            ("recipe", str(self.recipe)),
        )
        return Sheet(f"{self.name}, {self.source}: {self.params:,} parameters", lines)


class Zoo(Mapping[ZooName, Entry]):
    """The entries by name, in the order of the documents.

    >>> from lightsearch import zoo
    >>> zoo["s1-final"].params
    8546

    Raises `ArgumentError` for an unknown name. A name that a program reads is looked up by `get`,
    which gives None for an unknown one.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: ZooName) -> Entry:
        if isinstance(name, str) and name in self._entries:
            return self._entries[name]
        raise ArgumentError(
            f"a zoo name must be one of {', '.join(self._entries)}, "
            f"but got {quote(name)}{suggestion(name, self._entries)}"
        )

    def __iter__(self) -> Iterator[ZooName]:
        return cast("Iterator[ZooName]", iter(self._entries))  # a test holds the names

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @overload
    def get(self, name: str) -> Entry | None: ...
    @overload
    def get(self, name: str, default: T) -> Entry | T: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The entry of that name, or `default`."""
        return self._entries.get(name, default)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._entries)  # after `zoo["`, in a notebook and in IPython

    def __repr__(self) -> str:
        return f"Zoo({', '.join(self._entries)})"


def make_entry(
    name: str,
    params: int,
    *,
    design: str,
    published: str,
    note: str = "",
    accuracies: str = "",
    best: float | None = None,
    epochs: int | None = None,
    recipe: Recipe,
    given: tuple[str, ...],
    assumed: tuple[str, ...] = (),
) -> Entry:
    """Make an entry from the texts of a document. `given` are the fields that it states."""
    figures = tuple(map(float, accuracies.split()))
    return Entry(
        name,
        f"document 00{name[1]}",
        parse(design),
        params,
        _parse_table(published),
        figures,
        max(figures) if best is None else best,
        epochs or len(figures),
        recipe,
        (*_list_assumptions(recipe, given), *assumed),
        note,
    )


def _parse_table(text: str) -> tuple[PublishedLayer, ...]:
    """Return the rows of a table such as `conv 90+20 10x26x26, maxpool 0 10x13x13, ...`."""
    rows = []
    for row in text.replace("\n", " ").split(","):
        kind, counts, sizes = row.split()
        params, _, norm = counts.partition("+")
        channels, height, width = map(int, sizes.split("x"))
        rows.append(PublishedLayer(kind, int(params), int(norm or 0), (channels, height, width)))
    return tuple(rows)


def _list_assumptions(recipe: Recipe, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields that have an effect in `recipe` and are not `given`."""
    momentum = ("momentum",) if recipe.optimizer == "sgd" else ()
    step = ("step_size", "gamma") if recipe.schedule == "step" else ()
    return tuple(name for name in (*_FIELDS, *momentum, *step) if name not in given)
