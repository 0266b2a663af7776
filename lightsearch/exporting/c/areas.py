"""Free parts of a network's memory, and buffers at their ends. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lightsearch.exporting.c.program import Buffer, Instruction
from lightsearch.shapes import Shape


@dataclass(frozen=True, slots=True)
class Area:
    """The part of the memory that is free, but for the current buffer at one of its ends."""

    low: int
    high: int

    def hold(self, buffer: Buffer) -> bool:
        return self.low <= buffer.offset and buffer.end <= self.high

    def touches(self, buffer: Buffer) -> bool:
        """Whether a buffer lies at one of the area's ends."""
        return buffer.offset == self.low or buffer.end == self.high

    def next_to(self, current: Buffer, shape: Shape) -> Buffer:
        """Return a new buffer at the end where `current` is not."""
        size = Buffer(0, shape).size
        is_low = self.hold(current) and current.offset == self.low
        return Buffer(self.high - size if is_low else self.low, shape)

    def without(self, buffer: Buffer) -> Area:
        """Return the rest of the area beside a buffer at one of its ends."""
        if not self.hold(buffer):
            return self
        if buffer.offset == self.low:
            return Area(buffer.end, self.high)
        return Area(self.low, buffer.offset)

    def mirror(self, buffer: Buffer) -> Buffer:
        """Return the buffer at the mirrored place of the area, or as it is if it is outside."""
        if not self.hold(buffer):
            return buffer
        return replace(buffer, offset=self.low + self.high - buffer.end)


def mirror_instruction(one: Instruction, area: Area) -> Instruction:
    """Return the instruction with its buffers at the mirrored places of the area."""
    second = None if one.second is None else area.mirror(one.second)
    return replace(
        one, source=area.mirror(one.source), target=area.mirror(one.target), second=second
    )


def check_buffers(one: Instruction, memory: int) -> None:
    """Assert that what an instruction reads and writes is in the memory and does not meet."""
    buffers = list(_buffers(one))
    assert all(0 <= buffer.offset and buffer.end <= memory for buffer in buffers), one
    for index, first in enumerate(buffers):
        for second in buffers[:index]:
            assert first.end <= second.offset or second.end <= first.offset, one


def _buffers(one: Instruction) -> Iterator[Buffer]:
    """Yield the different buffers of an instruction."""
    yield one.target
    if one.source != one.target:
        yield one.source
    if one.second is not None and one.second not in (one.source, one.target):
        yield one.second
