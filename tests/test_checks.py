"""Arguments in the forms in which users have them: NumPy's numbers, counts as they are written,
shapes with their channels last, paths from home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import lightsearch as ls
from lightsearch.checks import check_integer, check_number, check_path, read_regular, to_count
from lightsearch.cli import main
from lightsearch.data.named import load
from lightsearch.data.references import lend
from lightsearch.errors import ArgumentError
from lightsearch.presentation import Presented
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.space.default import default_space
from lightsearch.training.task import Task

DESIGN = ls.parse("conv(8) gap linear(10)")

# Numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [(99.4, "0.994"), (99.2, "0.992"), (99, "0.99"), (np.float32(99.4), "0.994"), (100, "1"),
     (np.array(99.4), "0.994"), ("99.4", "0.994"), (" 99.4%", "0.994"), ("0.994", "0.994")],
)  # fmt: skip
def test_a_target_in_per_cent_is_answered_with_the_share(given: Any, meant: str) -> None:
    for call in (
        lambda: ls.search(target=given, dataset="digits"),
        lambda: ls.confirm("conv(8) gap linear(10)", target=given, dataset="digits"),
    ):
        with pytest.raises(ArgumentError, match=rf"but got target=.*: {meant}\?$"):
            call()
    if isinstance(given, str):
        return
    done = CliRunner().invoke(main, ["search", "--dataset", "digits", "--target", str(given)])
    assert done.exit_code == 2 and f": {meant}?" in done.stderr


@pytest.mark.parametrize("given", [0, -1, 100.5, float("nan"), True, "high", "nan", "-1", 1 + 1j])
def test_what_is_no_share_gets_no_such_answer(given: Any) -> None:
    with pytest.raises(ArgumentError, match=r"`target` must be a number above 0 .*[^?]$"):
        check_number("target", given, 0, 1)


@given(st.floats(1e-6, 1))
def test_numbers_of_numpy_are_the_number_that_they_show(value: float) -> None:
    assert check_number("x", np.float64(value), 0, 1) == value
    single = np.float32(value)
    found = check_number("x", single, 0, 2)
    assert type(found) is float and str(found) == str(float(str(single)))
    assert check_number("x", Fraction(1, 3), 0, 1) == 1 / 3
    assert type(check_number("x", np.int64(1), 0, 1)) is int


@pytest.mark.parametrize("given", [np.array(0.994), torch.tensor(0.994), Decimal("0.994")])
def test_numbers_without_dimensions_are_the_number_that_they_show(given: Any) -> None:
    assert check_number("x", given, 0, 1) == 0.994
    assert ls.Recipe(lr=given) == ls.Recipe(lr=0.994) and ls.dropout(given) == ls.dropout(0.994)
    assert resolve(SearchSettings(target=given, dataset="digits")).identity.target == Fraction(
        "0.994"
    )


def test_large_and_strange_decimals() -> None:
    assert check_integer("seed", Decimal(2**62 + 1), 0, 2**64) == 2**62 + 1
    for text in ("NaN", "sNaN", "Infinity", "1e999999999"):
        with pytest.raises(ArgumentError, match="`target` must be a number above 0"):
            check_number("target", Decimal(text), 0, 1)


@pytest.mark.parametrize("given", [np.array([1]), torch.ones(2), np.array("1"), np.array(None)])
def test_other_arrays_are_no_numbers(given: Any) -> None:
    with pytest.raises(ArgumentError, match=r"`epochs` must be an integer"):
        resolve(SearchSettings(epochs=given, dataset="digits"))
    with pytest.raises(ls.DesignError, match=r"`out` must be an integer"):
        ls.conv(given)


@pytest.mark.parametrize("given", [np.True_, np.array(True), torch.tensor(True)])
def test_flags_of_numpy_are_pythons(given: Any) -> None:
    found = SearchSettings(quiet=given, keep_orientation=given)
    assert found.quiet is True and found.keep_orientation is True
    with pytest.raises(ArgumentError, match="`quiet` must be True or False, but got quiet=1"):
        SearchSettings(quiet=1)


@pytest.mark.parametrize(
    "given",
    [8e3, "8k", "8K", "8 k", "8,000", "8_000", "8'000", "8 000", "8\u202f000", "8e3",
     "8000", "0.008M", np.int16(8000), 8000.0, np.float32(8000), "8000.0"],
)  # fmt: skip
def test_a_budget_of_eight_thousand_in_every_spelling(given: Any) -> None:
    caps = ls.Budget(given, given, given)
    assert caps == ls.Budget(8000, 8000, 8000) and type(caps.params) is int
    asked = SearchSettings(budget=given, dataset="digits", trials=1)
    assert resolve(asked).identity.budget == ls.Budget(8000)
    if isinstance(given, str):
        line = ["space", "conv(8|16) gap linear(10)", "--dataset", "digits", "--json"]
        done = CliRunner().invoke(main, [*line, "--budget", given, "--budget-macs", given])
        assert done.exit_code == 0 and '"params": 8000' in done.stdout, done.output
        assert '"macs": 8000' in done.stdout


@pytest.mark.parametrize(
    "given", ["8.000", "8,00", "80,00", "k", "", "8kk", "-8k", "1e99", "8.5", 8.5, True, "0x10"]
)
def test_what_is_no_count_is_refused(given: Any) -> None:
    assert to_count(given) is given
    with pytest.raises(ArgumentError, match=r"`budget.params` must be an integer >= 1 or None"):
        ls.Budget(given)


CALLS: dict[str, Callable[[Any], Any]] = {
    "conv": lambda n: ls.conv(n(8)),
    "oneof": lambda n: ls.seq(ls.conv(ls.oneof(n(8), n(12)))),
    "cost": lambda n: ls.cost(DESIGN, (n(1), n(8), n(8)), n(10)),
    "fingerprint": lambda n: ls.fingerprint(DESIGN, (n(1), n(8), n(8))),
    "survey": lambda n: ls.survey(DESIGN, (n(1), n(8), n(8)), n(10), draws=n(5), seed=n(3)),
    "default_space": lambda n: default_space((n(1), n(8), n(8)), n(10)),
    "task": lambda n: _task(n),
    "settings": lambda n: _identity(n),
    "export": lambda n: str(ls.build(DESIGN, (n(1), n(8), n(8)))),
}


def _task(n: Any) -> Task:
    recipe = ls.parse_recipe("recipe(lr=0.1,batch=64)")
    return Task(DESIGN, recipe, lend(load("digits")), n(2), n(7))


def _identity(n: Any) -> Any:
    return resolve(
        SearchSettings(
            budget=n(900), epochs=n(2), target=n(1), dataset="digits", seed=n(5), trials=n(1),
            workers=n(1), val_seed=n(3), val_size=n(300), select_on="val", consistent=n(2),
        )
    ).identity.to_json()  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "kind",
    [np.int64, np.int32, np.uint16, float, np.float64, np.array, torch.tensor, Decimal],
)
def test_integers_of_numpy_give_what_pythons_give(name: str, kind: Any) -> None:
    assert CALLS[name](kind) == CALLS[name](int)
    assert _all_of(CALLS[name](kind)) == _all_of(CALLS[name](int)) or name == "export"


def _all_of(value: Any) -> str:
    """Everything in a value, with the types of its numbers."""
    if not isinstance(value, Presented):
        return repr(value)
    return str([_all_of(getattr(value, field.name)) for field in fields(value)])


def test_an_epoch_with_a_seed_of_numpy_is_the_same(tmp_path: Path) -> None:
    found = [next(ls.train(_task(kind))) for kind in (int, np.int64)]
    assert found[0].train_loss == found[1].train_loss and found[0].correct == found[1].correct


@pytest.mark.parametrize(
    "shape", [torch.zeros(1, 8, 8).shape, [1, 8, 8], np.array([1, 8, 8]), torch.tensor([1, 8, 8])]
)
def test_a_shape_in_other_containers_is_a_shape(shape: Any) -> None:
    assert ls.fingerprint(DESIGN, shape) == ls.fingerprint(DESIGN, (1, 8, 8))


@pytest.mark.parametrize(
    "shape",
    [28, (28, 28), "123", ["1", 8, 8], {1, 8, 9}, np.ones((3, 3)), np.array(3), (1, 8, 2.5)],
)
def test_what_is_no_shape_is_refused(shape: Any) -> None:
    with pytest.raises(ArgumentError, match="`shape` must be three integers >= 1, "):
        ls.cost(DESIGN, shape)


def test_dropout_of_a_float32_is_the_number_that_it_shows() -> None:
    assert str(ls.dropout(np.float32(0.1))) == "dropout(0.1)"


# Shapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [ls.cost, ls.build, ls.fingerprint, ls.survey, ls.summary])
@pytest.mark.parametrize(("given", "meant"), [((8, 8, 1), (1, 8, 8)), ((60, 80, 3), (3, 60, 80))])
def test_channels_last_are_refused_with_the_shape_that_is_meant(
    call: Any, given: Any, meant: Any
) -> None:
    with pytest.raises(ArgumentError) as caught:
        call(DESIGN, given)
    assert f"here shape={meant}, but got shape={given}" in str(caught.value)
    if call is not ls.survey:
        call(DESIGN, meant)


def test_small_features_are_not_taken_for_channels_last() -> None:
    for shape in ((16, 1, 1), (3, 3, 3), (8, 1, 3), (1, 28, 3), (4, 4, 1)):
        assert ls.cost(ls.parse("conv(8,k=1) gap linear(10)"), shape).params


# Paths ------------------------------------------------------------------------------------------


def test_a_path_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_path("x", "~/a") == tmp_path / "a" == check_path("x", Path("~/a"))
    assert check_path("x", "a/~") == Path("a/~")
    assert SearchSettings(study="~/s", data="~/d").study == tmp_path / "s"
    with pytest.raises(ArgumentError, match="`x` must be a path in a home that exists, but got"):
        check_path("x", "~no-such-user/a")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert read_regular(tmp_path / "file") == b"x"
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"regular|directory"):
            read_regular(path)
