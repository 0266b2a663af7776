"""What a training step does beside its layers: its numbers, its loss."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call,no-any-return"
import triton
import triton.language as tl
from torch import Tensor

TABLE = 2048  # scores that a turn of `_loss` takes


@triton.jit(do_not_specialize=("count", "columns"))
def _advance(
    order,
    rates,
    towards,
    keys,
    step,
    first,
    batch,
    rate,
    toward,
    row,
    count,
    columns,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    at = tl.load(step)
    start = tl.load(first)
    place = tl.arange(0, BLOCK)
    mask = place < count
    tl.store(batch + place, tl.load(order + start + place, mask=mask, other=0), mask=mask)
    column = tl.arange(0, COLUMNS)
    mask = column < columns
    found = tl.load(keys + at * columns + column, mask=mask, other=0)
    tl.store(row + column, found, mask=mask)
    tl.store(rate, tl.load(rates + at))
    tl.store(toward, tl.load(towards + at))
    tl.debug_barrier()  # all threads have read the counters
    tl.store(step, at + 1)
    tl.store(first, start + count)


def advance(
    tables: tuple[Tensor, Tensor, Tensor, Tensor],
    counters: tuple[Tensor, Tensor],
    found: tuple[Tensor, Tensor, Tensor, Tensor],
    count: int,
) -> None:
    """Copy a step's part of the tables (order, rates, weights of the average, keys), and count on.

    `counters` are the step and the place in the order. `found` are what to fill: the batch, of
    which the first `count` are filled, the rate, the weight and the row of keys.
    """
    columns = tables[3].shape[1]
    _advance[(1,)](
        *tables,
        *counters,
        *found,
        count,
        columns,
        BLOCK=triton.next_power_of_2(count),
        COLUMNS=triton.next_power_of_2(max(1, columns)),
        num_warps=1,
    )


@triton.jit(do_not_specialize=("count", "classes"))
def _loss(
    scores,
    labels,
    batch,
    slopes,
    loss,
    correct,
    count,
    classes,
    smoothing,
    CLASSES: tl.constexpr,
    ROWS: tl.constexpr,
):
    column = tl.arange(0, CLASSES)[None, :]
    total = tl.zeros((ROWS,), tl.float64)
    hits = tl.zeros((ROWS,), tl.int64)
    for first in range(0, count, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < count
        known = here[:, None] & (column < classes)
        label = tl.load(labels + tl.load(batch + row, mask=here, other=0), mask=here, other=0)
        places = row[:, None] * classes + column
        score = tl.load(scores + places, mask=known, other=-float("inf"))
        score = tl.where(here[:, None], score, 0.0)
        best = tl.max(score, axis=1)
        power = tl.where(known, tl.exp(score - best[:, None]), 0.0)
        norm = tl.where(here, tl.sum(power, axis=1), 1.0)
        wanted = tl.where(column == label[:, None], 1.0 - smoothing, 0.0) + smoothing / classes
        missed = tl.where(known, best[:, None] + tl.log(norm)[:, None] - score, 0.0)
        total += tl.sum(wanted * missed, axis=1).to(tl.float64)
        slope = (power / norm[:, None] - wanted) / count
        tl.store(slopes + places, slope, mask=known)
        hits += (here & (tl.argmax(score, axis=1) == label)).to(tl.int64)
    tl.store(loss, tl.load(loss) + tl.sum(total, axis=0))
    tl.store(correct, tl.load(correct) + tl.sum(hits, axis=0))


def descend(
    scores: Tensor, labels: Tensor, batch: Tensor, smoothing: float, loss: Tensor, correct: Tensor
) -> Tensor:
    """The gradient of the mean cross-entropy by the scores.

    The sum of the cross-entropies is added to `loss` (float64), the number of right images to
    `correct`.
    """
    scores = scores.detach().contiguous()
    slopes = scores.new_empty(scores.shape)
    count, classes = scores.shape
    width = triton.next_power_of_2(classes)
    rows = min(triton.next_power_of_2(count), max(1, TABLE // width))
    _loss[(1,)](
        scores,
        labels,
        batch,
        slopes,
        loss,
        correct,
        count,
        classes,
        float(smoothing),
        CLASSES=width,
        ROWS=rows,
        num_warps=4,
    )
    return slopes
