"""Augmentation against torchvision, and against pictures worked out by hand."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import augment
from lightsearch.randomness import key, uniform

room = importlib.import_module("lightsearch.engines.augment")
quick = settings(deadline=None, database=None, derandomize=True, max_examples=25)
EVERYTHING = Recipe(
    rotation=20,
    shift=0.1,
    scale=0.2,
    shear=10,
    erasing=0.5,
    brightness=0.3,
    contrast=0.3,
    flip=0.5,
)


def images(count: int = 6, channels: int = 1, height: int = 28, width: int = 28) -> Tensor:
    return uniform(key(1, "images", channels), count, channels, height, width)


def smooth(count: int, channels: int, height: int, width: int) -> Tensor:
    """Slopes and waves: no two transformations of them look alike."""
    y = torch.linspace(0, 1, height)[:, None]
    x = torch.linspace(0, 1, width)
    waves = [
        (0.5 + 0.4 * torch.sin(3 * x + c + n) * torch.cos(2 * y + n))
        for n in range(count)
        for c in range(channels)
    ]
    return torch.stack(waves).reshape(count, channels, height, width)


def fixed(monkeypatch: pytest.MonkeyPatch, **draws: list[float]) -> None:
    """Every draw of a purpose is the given column, one value a row, for all images."""
    names = {key(0, purpose): values for purpose, values in draws.items()}

    def drawn(stream: int, *shape: int, device: Any = "cpu") -> Tensor:
        values = torch.tensor(names[stream], dtype=torch.float32)
        rows = values.reshape(-1, *[1] * (len(shape) - 1)) if len(values) > 1 else values
        return rows.expand(shape).contiguous()

    monkeypatch.setattr(room, "uniform", drawn)


# A pure function --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_key_gives_the_same_images_and_leaves_the_input(channels: int) -> None:
    given_, state = images(channels=channels), torch.get_rng_state()
    before = given_.clone()
    once, twice = augment(given_, EVERYTHING, 5), augment(given_, EVERYTHING, 5)
    assert torch.equal(once, twice)
    assert torch.equal(given_, before)
    assert not torch.equal(once, augment(given_, EVERYTHING, 6))
    assert once.shape == given_.shape
    assert once.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


def test_a_recipe_without_augmentation_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("nothing must be drawn")

    monkeypatch.setattr(room, "uniform", refuse)
    given_ = images()
    assert torch.equal(augment(given_, Recipe(), 5), given_)


@pytest.mark.parametrize(
    ("recipe", "purposes"),
    [
        (Recipe(rotation=1), {"affine"}),
        (Recipe(shift=0.1), {"affine"}),
        (Recipe(scale=0.1), {"affine"}),
        (Recipe(shear=1), {"affine"}),
        (Recipe(brightness=0.1), {"brightness"}),
        (Recipe(contrast=0.1), {"contrast"}),
        (Recipe(erasing=0.1), {"erasing"}),
        (Recipe(flip=0.1), {"flip"}),
        (EVERYTHING, {"flip", "affine", "brightness", "contrast", "erasing"}),
    ],
)
def test_only_what_the_recipe_names_is_drawn(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe, purposes: set[str]
) -> None:
    streams = []

    def watched(stream: int, *shape: int, device: Any = "cpu") -> Tensor:
        streams.append(stream)
        return uniform(stream, *shape, device=device)

    monkeypatch.setattr(room, "uniform", watched)
    augment(images(), recipe, 9)
    assert sorted(streams) == sorted(key(9, purpose) for purpose in purposes)


@quick
@given(
    st.integers(0, 2**64 - 1),
    st.sampled_from([(1, 28, 28), (3, 32, 32), (1, 8, 20), (3, 96, 5), (1, 1, 1)]),
)
def test_everything_together_stays_in_range(stream: int, shape: tuple[int, int, int]) -> None:
    wild = Recipe(rotation=180, shift=1, scale=0.99, shear=89, erasing=1, brightness=1, contrast=1)
    changed = augment(images(4, *shape), wild, stream)
    assert changed.shape == (4, *shape)
    assert bool(torch.isfinite(changed).all())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


# The affine map ---------------------------------------------------------------------------------

CASES: dict[str, tuple[Recipe, list[float], dict[str, Any]]] = {
    # recipe, draws in [0, 1) of (rotation, shear, scale, shift x, shift y), what torchvision does
    "rotation": (Recipe(rotation=40), [1, 0.5, 0.5, 0.5, 0.5], {"angle": -40}),
    "rotation, halfway back": (Recipe(rotation=40), [0.25, 0.5, 0.5, 0.5, 0.5], {"angle": 20}),
    "scale up": (Recipe(scale=0.5), [0.5, 0.5, 1, 0.5, 0.5], {"scale": 1.5}),
    "scale down": (Recipe(scale=0.5), [0.5, 0.5, 0, 0.5, 0.5], {"scale": 0.5}),
    "shear": (Recipe(shear=30), [0.5, 1, 0.5, 0.5, 0.5], {"shear": [30, 0]}),
    "rotation and scale": (
        Recipe(rotation=30, scale=0.2),
        [0, 0.5, 1, 0.5, 0.5],
        {"angle": 30, "scale": 1.2},
    ),
    "all that a recipe leaves at rest": (Recipe(rotation=30), [0.5, 0.9, 0.1, 0.9, 0.1], {}),
}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 12, 30), (3, 30, 11)], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_rotation_scale_and_shear_are_torchvisions(
    monkeypatch: pytest.MonkeyPatch, case: str, shape: tuple[int, int, int]
) -> None:
    recipe, draws, more = CASES[case]
    fixed(monkeypatch, affine=draws)
    given_ = smooth(2, *shape)
    arguments = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **more}
    expected = vision.affine(given_, interpolation=InterpolationMode.BILINEAR, **arguments)
    torch.testing.assert_close(augment(given_, recipe, 0), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 10, 20), (1, 20, 40)], ids=str)
@pytest.mark.parametrize(("x", "y"), [(1.0, 0.5), (0.0, 0.5), (0.5, 1.0), (0.5, 0.0), (1.0, 0.0)])
def test_a_shift_moves_by_a_share_of_the_size(
    monkeypatch: pytest.MonkeyPatch, x: float, y: float, shape: tuple[int, int, int]
) -> None:
    """The largest draw looks 0.2 of the width to the right, so the picture moves to the left."""
    fixed(monkeypatch, affine=[0.5, 0.5, 0.5, x, y])
    given_ = images(3, *shape)
    height, width = shape[1:]
    move = [-round((2 * x - 1) * 0.2 * width), -round((2 * y - 1) * 0.2 * height)]
    expected = vision.affine(given_, angle=0.0, translate=move, scale=1.0, shear=[0.0, 0.0])
    torch.testing.assert_close(augment(given_, Recipe(shift=0.2), 0), expected, atol=2e-5, rtol=0)


def test_a_shift_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pixel of four to the left, half a pixel up; black comes in."""
    fixed(monkeypatch, affine=[0.5, 0.5, 0.5, 1.0, 0.75])
    given_ = torch.zeros(1, 1, 4, 4)
    given_[0, 0, 2, 2] = 1
    given_[0, 0, 0, 0] = 1
    expected = torch.zeros(1, 1, 4, 4)
    expected[0, 0, 1:3, 1] = 0.5
    torch.testing.assert_close(augment(given_, Recipe(shift=0.25), 0), expected, atol=1e-6, rtol=0)


def test_a_quarter_turn_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed(monkeypatch, affine=[1.0, 0.5, 0.5, 0.5, 0.5])
    given_ = images(2, 3, 9, 9)
    turned = augment(given_, Recipe(rotation=90), 0)
    assert torch.allclose(turned, torch.rot90(given_, 1, (2, 3)), atol=1e-5)


def _measured(recipe: Recipe, count: int = 4000) -> Tensor:
    """(count, 2, 3): the maps in pixels, output to input, measured on an image of coordinates."""
    size = 21  # wide margins: the middle never sees the black outside
    axis = torch.arange(size, dtype=torch.float32) - 10
    ramp = torch.stack(
        [axis.expand(size, size), axis[:, None].expand(size, size), torch.ones(size, size)]
    )
    seen = augment(ramp.expand(count, 3, size, size), recipe, key(4, "measured"))
    assert torch.allclose(seen[:, 2, 9:12, 9:12], torch.ones(count, 3, 3), atol=1e-5)
    place, middle = seen[:, :2], seen[:, :2, 10, 10]
    return torch.stack([place[:, :, 10, 11] - middle, place[:, :, 11, 10] - middle, middle], 2)


def _spread(values: Tensor, end: float) -> None:
    """Even over -end to end."""
    assert float(values.abs().max()) <= end * 1.0001 + 1e-5
    assert float(values.max()) > 0.99 * end
    assert float(values.min()) < -0.99 * end
    assert abs(float(values.mean())) < 5 * end / math.sqrt(3 * len(values))
    assert float(values.std()) == pytest.approx(end / math.sqrt(3), rel=0.05)


def test_the_range_of_rotations() -> None:
    maps = _measured(Recipe(rotation=25))
    _spread(torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0])), 25)
    assert torch.allclose(torch.linalg.det(maps[:, :, :2]), torch.ones(len(maps)), atol=1e-4)


def test_the_range_of_scales() -> None:
    maps = _measured(Recipe(scale=0.3))
    assert torch.allclose(maps[:, 0, 0], maps[:, 1, 1], atol=1e-4)
    _spread(1 / maps[:, 0, 0] - 1, 0.3)


def test_the_range_of_shears() -> None:
    maps = _measured(Recipe(shear=20))
    assert torch.allclose(maps[:, 0, 0], torch.ones(len(maps)), atol=1e-4)
    _spread(torch.rad2deg(torch.atan(maps[:, 0, 1])), 20)


def test_the_range_of_shifts_and_that_they_are_independent() -> None:
    maps = _measured(Recipe(shift=0.2))
    across, down = maps[:, 0, 2] / 21, maps[:, 1, 2] / 21
    _spread(across, 0.2)
    _spread(down, 0.2)
    assert abs(float(torch.corrcoef(torch.stack([across, down]))[0, 1])) < 0.08


# Each image by itself ---------------------------------------------------------------------------

KINDS = [
    Recipe(rotation=30),
    Recipe(shift=0.2),
    Recipe(scale=0.3),
    Recipe(shear=20),
    Recipe(brightness=0.5),
    Recipe(contrast=0.5),
    Recipe(erasing=1),
]


@pytest.mark.parametrize("recipe", KINDS, ids=str)
def test_each_image_has_its_own_draw_that_its_channels_share(recipe: Recipe) -> None:
    alike = smooth(1, 1, 28, 28).expand(32, 3, 28, 28)
    changed = augment(alike, recipe, 3)
    assert len(changed[:, 0].reshape(32, -1).unique(dim=0)) > 28
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert torch.equal(changed[:, 0], changed[:, 2])


@pytest.mark.parametrize("recipe", [*KINDS, EVERYTHING], ids=str)
def test_an_images_draw_does_not_depend_on_the_other_images(recipe: Recipe) -> None:
    """It depends on the key, on its place in the batch, and on the size of the batch alone."""
    one, two = images(6), smooth(6, 1, 28, 28)
    mixed = torch.cat([one[:3], two[3:]])
    changed = augment(mixed, recipe, 8)
    assert torch.equal(changed[:3], augment(one, recipe, 8)[:3])
    assert torch.equal(changed[3:], augment(two, recipe, 8)[3:])


def test_the_size_of_the_batch_matters_where_several_numbers_are_drawn() -> None:
    """Said so that nobody relies on the contrary: (5, count) draws are laid out row by row."""
    whole = images(6)
    for recipe, same in (
        (Recipe(rotation=30), True),
        (Recipe(brightness=0.5), True),
        (Recipe(shift=0.2), False),
        (Recipe(erasing=1), False),
    ):
        alone = augment(whole[:3], recipe, 8)
        assert torch.equal(augment(whole, recipe, 8)[:3], alone) == same


# Mirroring --------------------------------------------------------------------------------------


def test_a_flip_is_torchvisions_and_comes_as_often() -> None:
    """The oracle draws for each image: `RandomHorizontalFlip` draws once for a whole batch."""
    given_ = smooth(1, 3, 5, 7).expand(2000, 3, 5, 7)
    mirror = vision.hflip(given_[0])
    for probability in (0.2, 0.5, 1.0):
        theirs = transforms.RandomHorizontalFlip(probability)
        shares = []
        for changed in (
            augment(given_, Recipe(flip=probability), 4),
            torch.stack([theirs(image) for image in given_]),
        ):
            mirrored = (changed == mirror).flatten(1).all(1)
            assert bool((mirrored | (changed == given_).flatten(1).all(1)).all())
            shares.append(float(mirrored.float().mean()))
        spread = math.sqrt(probability * (1 - probability) / 2000)
        assert abs(shares[0] - probability) <= 4 * spread
        assert abs(shares[0] - shares[1]) <= 6 * spread


def test_a_flip_comes_before_the_map() -> None:
    given_ = smooth(4, 3, 9, 12)
    turned = Recipe(rotation=30, shift=0.2, shear=9)
    both = dataclasses.replace(turned, flip=1.0)
    torch.testing.assert_close(augment(given_, both, 5), augment(vision.hflip(given_), turned, 5))


# Brightness and contrast ------------------------------------------------------------------------


def _one_by_one(
    given_: Tensor, factors: list[float], change: Callable[[Tensor, float], Tensor]
) -> Tensor:
    return torch.stack(
        [change(image, factor) for image, factor in zip(given_, factors, strict=True)]
    )


def test_brightness_is_torchvisions() -> None:
    given_ = images(8, 3)
    draw = uniform(key(2, "brightness"), 8).tolist()
    factors = [1 + 0.6 * (2 * value - 1) for value in draw]
    expected = _one_by_one(given_, factors, vision.adjust_brightness)
    torch.testing.assert_close(augment(given_, Recipe(brightness=0.6), 2), expected)


def test_contrast_of_one_channel_is_torchvisions() -> None:
    given_ = images(8, 1)
    draw = uniform(key(2, "contrast"), 8).tolist()
    factors = [1 + 0.6 * (2 * value - 1) for value in draw]
    expected = _one_by_one(given_, factors, vision.adjust_contrast)
    torch.testing.assert_close(augment(given_, Recipe(contrast=0.6), 2), expected)


def test_contrast_of_three_channels_is_about_their_common_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixed(monkeypatch, contrast=[0.0])
    given_ = torch.tensor([0.0, 0.3, 0.6]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    changed = augment(given_, Recipe(contrast=0.5), 0)
    expected = torch.tensor([0.15, 0.3, 0.45]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(changed, expected)


def test_the_range_of_factors() -> None:
    given_ = torch.full((4000, 1, 1, 1), 0.5)
    _spread(augment(given_, Recipe(brightness=0.4), 1).flatten() / 0.5 - 1, 0.4)
    pair = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2).expand(4000, 1, 1, 2)
    changed = augment(pair, Recipe(contrast=0.4), 1)
    _spread((changed[..., 1] - changed[..., 0]).flatten() / 0.2 - 1, 0.4)
    torch.testing.assert_close(changed.mean((1, 2, 3)), torch.full((4000,), 0.5))


# Erasing ----------------------------------------------------------------------------------------


def _holes(probability: float, count: int, height: int, width: int) -> list[tuple[int, ...]]:
    """Top, left, height and width of each rectangle of zeros."""
    ones = torch.ones(count, 1, height, width)
    gone = augment(ones, Recipe(erasing=probability), key(6, "holes"))[:, 0] == 0
    found = []
    for hole in gone[gone.flatten(1).any(1)]:
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        top, left, tall, wide = int(rows[0]), int(columns[0]), len(rows), len(columns)
        assert bool(hole[top : top + tall, left : left + wide].all())
        assert int(hole.sum()) == tall * wide
        found.append((top, left, tall, wide))
    return found


@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_the_share_of_images_erased(probability: float) -> None:
    count = 3000
    share = len(_holes(probability, count, 28, 28)) / count
    assert abs(share - probability) <= 5 * math.sqrt(probability * (1 - probability) / count)


def test_erased_rectangles_are_as_large_and_as_long_as_zhongs() -> None:
    """Sizes are rounded to whole pixels: half a pixel of each side is allowed for."""
    found = torch.tensor(_holes(1.0, 3000, 64, 64), dtype=torch.float64)
    top, left, tall, wide = found.unbind(1)
    area, whole = tall * wide, 64 * 64
    assert bool((area >= 0.02 * whole - (tall + wide) / 2 - 1).all())
    assert bool((area <= 0.15 * whole + (tall + wide) / 2 + 1).all())
    assert float(area.mean()) / whole == pytest.approx(0.085, abs=0.004)
    assert float((area / whole).std()) == pytest.approx(0.13 / math.sqrt(12), rel=0.06)
    ratio = (tall / wide).log()
    assert float(ratio.abs().max()) < math.log(3.3 * 1.16)
    assert abs(float(ratio.mean())) < 0.07
    assert float(ratio.std()) == pytest.approx(2 * math.log(3.3) / math.sqrt(12), rel=0.06)
    for first, size in ((top, tall), (left, wide)):
        assert float(first.min()) == 0
        assert float((first + size).max()) == 64
        assert abs(float((first / (64 - size)).mean()) - 0.5) < 0.03


@pytest.mark.parametrize("fill", ["mean", "own"])
def test_a_rectangle_is_filled_as_torchvision_erases_it(fill: str) -> None:
    given_ = images(40, 3, 12, 17) + 0.01
    mean = torch.tensor([0.2, 0.5, 0.7])[:, None, None]
    black = augment(given_, Recipe(erasing=0.6), 6)
    changed = augment(given_, Recipe(erasing=0.6, fill=fill), 6, mean)
    for before, hole, after in zip(given_, black == 0, changed, strict=True):
        expected = before
        if bool(hole.any()):
            rows, columns = hole[0].any(1).nonzero(), hole[0].any(0).nonzero()
            colour = mean if fill == "mean" else before.mean((1, 2), keepdim=True)
            place = int(rows[0]), int(columns[0]), len(rows), len(columns)
            expected = vision.erase(before, *place, colour)
        torch.testing.assert_close(after, expected)


@pytest.mark.parametrize(("height", "width"), [(4, 96), (96, 4), (8, 8), (1, 1)])
def test_erasing_in_small_and_long_images(height: int, width: int) -> None:
    for top, left, tall, wide in _holes(1.0, 300, height, width):
        assert top + tall <= height
        assert left + wide <= width


def test_the_order_is_affine_then_brightness_then_erasing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Black of a hole stays black under contrast, since erasing comes last."""
    given_ = torch.full((50, 1, 16, 16), 0.8)
    changed = augment(given_, Recipe(contrast=1, erasing=1), 3)
    assert all(float(image.min()) == 0 for image in changed)
    fixed(monkeypatch, brightness=[1.0], contrast=[0.0])
    given_ = torch.tensor([0.2, 0.6]).reshape(1, 1, 1, 2)
    changed = augment(given_, Recipe(brightness=1, contrast=0.5), 0)  # 0.4, 1 (clamped), then half
    torch.testing.assert_close(changed.flatten(), torch.tensor([0.55, 0.85]))
