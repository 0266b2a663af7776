"""Free parts of a network's memory, and buffers at their ends. No torch."""

from __future__ import annotations

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
