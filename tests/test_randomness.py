"""Randomness against a SplitMix64 written out in plain Python, and against statistics."""

from __future__ import annotations

import hashlib
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsearch.randomness import (
    bits,
    indexed_keys,
    keep,
    key,
    keys,
    mix,
    permutation,
    round_rate,
    signed,
    uniform,
)

WHOLE = 1 << 64
seeds = st.integers(0, WHOLE - 1)
quick = settings(deadline=None, database=None, derandomize=True, max_examples=60)


def splitmix64(state: int, count: int) -> list[int]:
    """Vigna's splitmix64.c, line by line: step the state, then mix it."""
    found = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % WHOLE
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WHOLE
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WHOLE
        found.append(z ^ (z >> 31))
    return found


def unsigned(values: torch.Tensor) -> list[int]:
    return [int(v) % WHOLE for v in values.tolist()]


# The 64 bits ------------------------------------------------------------------------------------


def test_the_published_vector_of_seed_zero() -> None:
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert splitmix64(0, 3) == first
    assert unsigned(bits(0, 3)) == first


@quick
@given(seeds, st.integers(0, 40))
def test_bits_are_splitmix64(stream: int, count: int) -> None:
    drawn = bits(stream, count)
    assert drawn.dtype == torch.int64
    assert drawn.shape == (count,)
    assert unsigned(drawn) == splitmix64(stream, count)


@pytest.mark.parametrize("stream", [WHOLE - 1, 1 << 63, (1 << 63) - 1, 1])
def test_bits_at_the_ends_of_the_key_range(stream: int) -> None:
    assert unsigned(bits(stream, 70)) == splitmix64(stream, 70)


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert torch.equal(bits(5, 100_000)[:1000], bits(5, 1000))
    assert unsigned(bits(5, 100_000)[-1:]) == splitmix64(5, 100_000)[-1:]


def test_mix_is_the_finalizer_of_the_reference() -> None:
    golden = 0x9E3779B97F4A7C15
    assert [mix(k * golden) for k in (1, 2, 3)] == splitmix64(0, 3)
    assert mix(-1) == mix(WHOLE - 1)


# Keys -------------------------------------------------------------------------------------------


def test_each_part_of_a_key_matters() -> None:
    keys = [
        key(seed, purpose, epoch, step)
        for seed, purpose, epoch, step in itertools.product(
            range(6), ("shuffle", "dropout", "augment"), range(6), range(40)
        )
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= k < WHOLE for k in keys)


def finalize(value: int) -> int:
    """Return SplitMix64's output at `state`: one step of the reference from the state before."""
    return splitmix64(value - 0x9E3779B97F4A7C15, 1)[0]


@quick
@given(seeds, st.lists(st.integers(0, WHOLE - 1) | st.text(max_size=8), max_size=4))
def test_keys_are_chained_through_the_finalizer(seed: int, parts: list[int | str]) -> None:
    state = finalize(seed)
    for part in parts:
        if isinstance(part, str):
            part = int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "little")
        state = finalize((state + 0x9E3779B97F4A7C15) % WHOLE ^ finalize(part))
    assert key(seed, *parts) == state


def test_keys_are_fixed_for_ever() -> None:
    """Every study depends on these figures: a change of them changes all its numbers."""
    assert key(0) == 0
    assert key(0, 0) == 0xE220A8397B1DCDAF
    assert key(3, "shuffle", 1) == 0xFF94E74616E78BAF


def test_order_length_and_kind_of_parts_matter() -> None:
    keys = [
        key(1, 2, 3),
        key(1, 3, 2),
        key(2, 1, 3),
        key(1, 2),
        key(1, 2, 3, 0),
        key(1, "2", 3),
        key(1, "2", "3"),
        key(1, "23"),
        key(1, ""),
        key(1),
        key(1, 0),
        key(1, 0, 0),
    ]
    assert len(set(keys)) == len(keys)


def test_any_integer_is_a_seed_modulo_two_to_the_64() -> None:
    assert key(-1, "a") == key(WHOLE - 1, "a")
    assert key(WHOLE + 7, "a") == key(7, "a")
    assert key(1, -1) == key(1, WHOLE - 1)


def test_streams_of_different_keys_have_nothing_in_common() -> None:
    streams = [
        key(seed, purpose, index)
        for seed in range(3)
        for purpose in ("x", "y")
        for index in range(20)
    ]
    values = torch.cat([bits(stream, 2000) for stream in streams])
    assert len(values.unique()) == len(values)  # by chance alone: 1 in 2.5e9


def test_streams_of_neighbouring_keys_do_not_correlate() -> None:
    count = 20_000
    for first, second in ((key(1, "a"), key(2, "a")), (key(1, "a", 1), key(1, "a", 2)), (1, 2)):
        x, y = uniform(first, count), uniform(second, count)
        correlation = torch.corrcoef(torch.stack([x, y]))[0, 1]
        assert abs(float(correlation)) < 4 / math.sqrt(count)


# Uniform numbers --------------------------------------------------------------------------------


def test_uniform_takes_the_upper_24_bits() -> None:
    for stream in (0, 99, WHOLE - 5):
        expected = [(value >> 40) / 2**24 for value in splitmix64(stream, 50)]
        drawn = uniform(stream, 5, 10)
        assert drawn.dtype == torch.float32
        assert drawn.shape == (5, 10)
        assert drawn.flatten().tolist() == expected


def test_uniform_is_in_range_on_its_grid_and_flat() -> None:
    count = 400_000
    drawn = uniform(key(7, "flat"), count).double()
    assert 0 <= float(drawn.min()) < 1e-4
    assert 1 - 1e-4 < float(drawn.max()) < 1
    assert torch.equal((drawn * 2**24).round() / 2**24, drawn)
    assert abs(float(drawn.mean()) - 0.5) < 5 * math.sqrt(1 / 12 / count)
    assert abs(float(drawn.var()) - 1 / 12) < 1e-3
    cells = 256
    seen = torch.bincount((drawn * cells).long(), minlength=cells).double()
    chi_square = float(((seen - count / cells) ** 2 / (count / cells)).sum())
    assert abs(chi_square - (cells - 1)) < 5 * math.sqrt(2 * (cells - 1))


def test_neighbours_of_one_stream_do_not_correlate() -> None:
    drawn = uniform(key(8, "serial"), 200_000)
    for lag in (1, 2, 64):
        pair = torch.stack([drawn[:-lag], drawn[lag:]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / math.sqrt(200_000)


def test_uniform_of_no_shape_and_of_nothing() -> None:
    assert uniform(4).shape == ()
    assert uniform(4, 3, 0).shape == (3, 0)


# Permutations -----------------------------------------------------------------------------------


@quick
@given(seeds, st.integers(0, 300))
def test_permutation_sorts_the_draws(stream: int, count: int) -> None:
    found = permutation(stream, count)
    assert found.dtype == torch.int64
    assert sorted(found.tolist()) == list(range(count))
    signed = [v - WHOLE if v >> 63 else v for v in splitmix64(stream, count)]
    assert found.tolist() == sorted(range(count), key=signed.__getitem__)


def test_every_order_of_four_is_as_likely() -> None:
    count = 4800
    orders = [tuple(permutation(key(1, i), 4).tolist()) for i in range(count)]
    seen = [orders.count(order) for order in itertools.permutations(range(4))]
    chi_square = sum((n - count / 24) ** 2 / (count / 24) for n in seen)
    assert chi_square < 23 + 5 * math.sqrt(46)


# Masks ------------------------------------------------------------------------------------------


@quick
@given(seeds, st.floats(0, 1, exclude_max=True), st.integers(0, 41))
def test_keep_reads_sixteen_bits_a_value_lowest_first(
    stream: int, rate: float, count: int
) -> None:
    mask = keep(stream, rate, count)
    assert mask.dtype == torch.bool
    pieces = [
        (word >> shift) & 0xFFFF
        for word in splitmix64(stream, (count + 3) // 4)
        for shift in (0, 16, 32, 48)
    ][:count]
    signed = [piece - 65536 if piece >> 15 else piece for piece in pieces]
    threshold = min(round(rate * 65536), 65535) - 32768
    assert mask.tolist() == [value >= threshold for value in signed]


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.25, 0.5, 0.9])
def test_keep_drops_a_share_of_rate(rate: float) -> None:
    count = 400_000
    dropped = 1 - float(keep(key(2, "drop"), rate, count).double().mean())
    assert abs(dropped - rate) <= 5 * math.sqrt(rate * (1 - rate) / count)


@quick
@given(st.floats(0, 1, exclude_max=True))
def test_the_rounded_rate_is_the_nearest_of_65536ths_below_one(rate: float) -> None:
    found = round_rate(rate)
    assert found * 65536 == int(found * 65536)
    assert 0 <= found < 1
    if rate < 65535 / 65536:
        assert abs(found - rate) <= 2**-17


def test_rounded_rates_by_hand() -> None:
    assert round_rate(0.0) == 0.0
    assert round_rate(0.5) == 0.5
    assert round_rate(0.1) == 6554 / 65536
    assert round_rate(1 - 1e-9) == 65535 / 65536
    assert bool(keep(3, 0.0, 1000).all())


# No state anywhere ------------------------------------------------------------------------------


def test_torchs_generator_is_neither_read_nor_moved() -> None:
    def everything() -> list[torch.Tensor]:
        return [bits(1, 9), uniform(2, 3, 3), permutation(3, 9), keep(4, 0.5, 9)]

    torch.manual_seed(1)
    before, seed = torch.get_rng_state(), torch.initial_seed()
    first = everything()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.initial_seed() == seed
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, everything(), strict=True))


@quick
@given(st.lists(seeds, min_size=1, max_size=5), st.sampled_from(["affine", 0, 7]))
def test_many_keys_at_once_are_the_keys_one_by_one(streams: list[int], part: int | str) -> None:
    given_streams = torch.tensor([signed(stream) for stream in streams])
    before = given_streams.clone()
    assert unsigned(keys(given_streams, part)) == [key(stream, part) for stream in streams]
    assert torch.equal(given_streams, before)
    expected = [key(streams[0], part, 3, index) for index in range(9)]
    assert indexed_keys(9, streams[0], part, 3) == expected
