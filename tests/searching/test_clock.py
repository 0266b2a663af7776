"""The virtual clock as a value, by hand and by what must always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsearch import cost, parse
from lightsearch.searching.clock import MEMORY_WORK, VirtualClock, epoch_work


def test_epochs_are_handled_in_the_order_of_their_ends() -> None:
    """Two slots, epochs of 5 and of 3: ends at 3, 5, 6, 9, 10, 12, 15 and 15."""
    clock, order = VirtualClock.of(2).begin(0, 5).begin(1, 3), []
    for _ in range(8):
        slot = clock.next_slot()
        assert slot is not None
        order.append((slot, clock.end(slot)))
        clock = clock.advance(slot)
    assert order == [(1, 3), (0, 5), (1, 6), (1, 9), (0, 10), (1, 12), (0, 15), (1, 15)]


def test_of_equal_ends_the_first_slot_is_next_and_the_last_one_latest() -> None:
    clock = VirtualClock.of(3).begin(0, 4).begin(1, 4).begin(2, 4)
    assert clock.next_slot() == 0
    for slot in range(3):
        clock = clock.advance(slot)
    assert clock.latest_slot() == 2


def test_a_slot_that_was_free_longest_takes_the_next_trial() -> None:
    clock = VirtualClock.of(3).at(0, 7).at(1, 2).at(2, 2)
    assert clock.free() == [1, 2, 0]
    assert clock.begin(1, 10).free() == [2, 0]
    assert clock.begin(1, 10).release(1).free() == [1, 2, 0]
    assert VirtualClock.of(2).next_slot() is None


def test_time_never_goes_back() -> None:
    assert VirtualClock.of(1).at(0, 7).at(0, 3).lanes[0].time == 7


def test_once_stopped_only_epochs_that_end_before_the_running_ones_begin() -> None:
    """Slot 0 runs until 5. Slot 1 is at 3, and an epoch of 2 fits, one of 3 does not."""
    clock = VirtualClock.of(2).begin(0, 5).at(1, 3)
    stopped = clock.stop([0])
    assert stopped.stopping and not clock.stopping
    assert stopped.begin(1, 2).allows(1) and not stopped.begin(1, 3).allows(1)
    assert clock.begin(1, 3).allows(1)
    assert stopped.free() == [1] and clock.at(1, 6).stop([0]).free() == []
    assert VirtualClock.of(1).stop([]).free() == []


def test_a_free_slot_has_no_epoch() -> None:
    with pytest.raises(AssertionError, match="slot 1 has no trial"):
        VirtualClock.of(2).end(1)


def test_work_counts_multiplications_and_values() -> None:
    """Of a convolution of 1 to 4 channels at 28x28 with 3x3 weights, its norm and activation
    included, and a linear layer: MACs, and the values of both outputs by the engine's price."""
    spent = cost(parse("conv(4) gap linear(10)"), (1, 28, 28))
    values = sum(math.prod(step.shape) for step in spent.steps)
    assert spent.macs == 4 * 9 * 28 * 28 + 4 * 10
    assert epoch_work(spent, "native") == spent.macs + 40 * values
    assert epoch_work(spent, "torch") - epoch_work(spent, "native") == 460 * values
    assert MEMORY_WORK == {"torch": 500, "native": 40, "surrogate": 40}


@settings(deadline=None)  # other work shares the processor
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
    st.integers(1, 60),
    st.randoms(use_true_random=False),
)
def test_handled_ends_never_fall_whatever_trials_come(works, steps, generator) -> None:
    clock, handled = VirtualClock.of(len(works)), 0
    for slot, work in enumerate(works):
        clock = clock.begin(slot, work)
    for _ in range(steps):
        slot = clock.next_slot()
        assert slot is not None and clock.end(slot) >= handled
        handled = clock.end(slot)
        clock = clock.advance(slot)
        if generator.random() < 0.3:  # its trial ends, and a new one begins there
            clock = clock.release(slot)
            assert clock.lanes[slot].time == handled
            clock = clock.begin(slot, generator.randint(1, 20))
