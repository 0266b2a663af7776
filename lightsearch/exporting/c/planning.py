"""Plan a network's memory: where each layer reads and writes. No torch.

The activations take turns at the two ends of the memory, so a layer's input and output never
meet. The input of a residual stays at its end until the addition, and the body has the rest of the
memory for itself. Thus no value is moved, and nothing is lost between buffers: the memory that
`cost` counts is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lightsearch.exporting.c.areas import Area, mirror_instruction
from lightsearch.exporting.c.limits import check_known
from lightsearch.exporting.c.program import (
    AddShortcut,
    Buffer,
    Copy,
    Instruction,
    Multiply,
    Primitive,
    Program,
    ScaleChannels,
)
from lightsearch.network.cost import BYTES, Cost
from lightsearch.network.operations import (
    Activation,
    Add,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    GlobalPool,
    Iterate,
    Op,
    PerPass,
    Pool,
    Squeeze,
    Step,
)
from lightsearch.shapes import Shape, slide


def plan(costed: Cost, shape: Shape) -> Program:
    """Return the instructions of a network whose batch norm is folded, for an image of `shape`.

    The memory has as many values as `costed` counts. Raises `DesignError`, with the place, for a
    layer that C cannot be written for.
    """
    memory = costed.activation_bytes // BYTES
    image, area = Buffer(0, shape), Area(0, memory)
    planner = _Planner([])
    output = planner.plan_steps(costed.steps, image, area, _Where())
    for one in planner.instructions:
        _check_buffers(one, memory)
    return Program(tuple(planner.instructions), image, output, memory)


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a layer is: the prefixes of its weights and of its place, and the loop's pass."""

    prefix: str = ""
    path: str = ""
    turn: int = 0
    layer: str = ""


@dataclass(frozen=True, slots=True)
class _Planner:
    """Adds instructions. Each method takes the current buffer and returns the next one.

    A current buffer outside of the area is the kept input of a residual: it is not written to.
    """

    instructions: list[Instruction]

    def add(
        self,
        op: Primitive,
        where: _Where,
        source: Buffer,
        target: Buffer,
        *,
        weights: str = "",
        second: Buffer | None = None,
    ) -> Buffer:
        self.instructions.append(
            Instruction(op, where.path, where.layer, source, target, weights, second)
        )
        return target

    def plan_steps(
        self, steps: tuple[Step, ...], current: Buffer, area: Area, where: _Where
    ) -> Buffer:
        for index, step in enumerate(steps):
            for name, op in step.ops:
                here = replace(
                    where,
                    prefix=f"{where.prefix}{index}.{name}.",
                    path=f"{where.path}[{index}]",
                    layer=str(step.layer),
                )
                current = self.plan_operation(op, current, area, here)
        return current

    def plan_operation(self, op: Op, current: Buffer, area: Area, where: _Where) -> Buffer:
        check_known(op, where.layer, where.path)
        if isinstance(op, PerPass):
            own = f"{where.prefix}{op.index(where.turn)}."
            return self.plan_operation(op.op, current, area, replace(where, prefix=own))
        if isinstance(op, Drop):
            return current
        if isinstance(op, Add):
            return self.plan_residual(op, current, area, where)
        if isinstance(op, Iterate):
            return self.plan_loop(op, current, area, where)
        if isinstance(op, ChannelGate | Squeeze):
            return self.plan_gate(op, current, area, where)
        if isinstance(op, Conv2d) and _scales_channels(op):
            scale = ScaleChannels(op.outputs)
            target = self.in_place(current, area)
            return self.add(scale, where, current, target, weights=where.prefix)
        if isinstance(op, Activation):
            return self.add(op, where, current, self.in_place(current, area))
        assert isinstance(op, Conv2d | Dense | Pool | GlobalPool)
        target = area.next_to(current, _output_shape(op, current.shape))
        return self.add(op, where, current, target, weights=where.prefix)

    def in_place(self, current: Buffer, area: Area) -> Buffer:
        return current if area.hold(current) else area.next_to(current, current.shape)

    def plan_loop(self, op: Iterate, current: Buffer, area: Area, where: _Where) -> Buffer:
        for inner in range(op.passes):
            body = replace(
                where,
                prefix=f"{where.prefix}body.",
                path=f"{where.path}.body",
                turn=where.turn * op.passes + inner,
            )
            current = self.plan_steps(op.body, current, area, body)
        return current

    def plan_gate(
        self, op: ChannelGate | Squeeze, current: Buffer, area: Area, where: _Where
    ) -> Buffer:
        """Plan the factors of the channels, at the end where the image is not."""
        target = self.in_place(current, area)
        factors = area.next_to(target, (op.channels, 1, 1))
        self.add(GlobalPool(), where, current, factors)
        if isinstance(op, Squeeze):
            rest = area.without(factors)
            hidden = rest.next_to(target, (op.hidden, 1, 1))
            reduce, expand = f"{where.prefix}reduce.", f"{where.prefix}expand."
            first = Dense(op.channels, op.hidden, True)
            self.add(first, where, factors, hidden, weights=reduce)
            self.add(Activation("relu"), where, hidden, hidden)
            second = Dense(op.hidden, op.channels, True)
            self.add(second, where, hidden, factors, weights=expand)
        self.add(Activation("sigmoid"), where, factors, factors)
        return self.add(Multiply(), where, current, target, second=factors)

    def plan_residual(self, op: Add, current: Buffer, area: Area, where: _Where) -> Buffer:
        """Plan the body in the rest of the area, so that its output ends where its input is not:
        at the other end of the whole area."""
        rest = area.without(current)
        body = _Planner([])
        inside = replace(where, prefix=f"{where.prefix}body.", path=f"{where.path}.body")
        output = body.plan_steps(op.body, current, rest, inside)
        project = op.project
        prefix = f"{where.prefix}project."
        while isinstance(project, PerPass):
            prefix += f"{project.index(where.turn)}."
            assert isinstance(project.op, Conv2d | PerPass)
            project = project.op
        if project is not None:
            check_known(project, where.layer, where.path)
        if output == current and (project is not None or not area.hold(current)):
            output = body.add(Copy(), where, current, rest.next_to(current, current.shape))
        is_apart = output.offset == area.low or output.end == area.high
        if output != current and not is_apart:
            body = _Planner([mirror_instruction(one, rest) for one in body.instructions])
            output = rest.mirror(output)
        self.instructions.extend(body.instructions)
        shortcut = AddShortcut(op.size, project)
        return self.add(shortcut, where, output, output, weights=prefix, second=current)


def _scales_channels(op: Conv2d) -> bool:
    is_pointwise = (op.kernel, op.stride, op.padding) == (1, 1, 0)
    return is_pointwise and op.groups == op.inputs == op.outputs


def _output_shape(op: Conv2d | Dense | Pool | GlobalPool, shape: Shape) -> Shape:
    if isinstance(op, Dense):
        return (op.outputs, 1, 1)
    if isinstance(op, GlobalPool):
        return (shape[0], 1, 1)
    channels, extent = shape[0], op.kernel
    if isinstance(op, Conv2d):
        channels, extent = op.outputs, op.extent
    return (channels, *slide(shape[1:], extent, op.stride, op.padding))


def _check_buffers(one: Instruction, memory: int) -> None:
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
