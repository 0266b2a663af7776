"""Plan a network's memory: where each layer reads and writes. No torch.

The activations take turns at the two ends of the memory, so a layer's input and output never
meet. The input of a residual stays at its end until the addition, and the body has the rest of the
memory for itself. So does the first of two branches; its output then stays at the other end, while
the second one has the rest. Thus nothing is lost between buffers: the memory that `cost` counts is
enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightsearch.exporting.c.areas import Area, check_buffers, mirror_instruction
from lightsearch.exporting.c.limits import check_known
from lightsearch.exporting.c.program import (
    AddShortcut,
    Buffer,
    Copy,
    Instruction,
    Join,
    Multiply,
    Primitive,
    Program,
    ScaleChannels,
)
from lightsearch.network.cost import BYTES, Cost
from lightsearch.network.op_costs import shape_after
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Add,
    Border,
    Branches,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    Extend,
    GlobalPool,
    GroupNorm,
    Iterate,
    Op,
    PerPass,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
    Squeeze,
    Step,
    list_bodies,
)
from lightsearch.shapes import Shape


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
        check_buffers(one, memory)
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
        if isinstance(op, Branches):
            return self.plan_branches(op, current, area, where)
        if isinstance(op, Iterate):
            return self.plan_loop(op, current, area, where)
        if isinstance(op, ChannelGate | Squeeze):
            return self.plan_gate(op, current, area, where)
        if isinstance(op, Conv2d) and _scales_channels(op):
            scale = ScaleChannels(op.outputs)
            target = self.in_place(current, area)
            return self.add(scale, where, current, target, weights=where.prefix)
        if isinstance(op, Activation | PRelu | GroupNorm):
            target = self.in_place(current, area)
            return self.add(op, where, current, target, weights=where.prefix)
        assert isinstance(
            op,
            Conv2d
            | Dense
            | Pool
            | AdaptivePool
            | GlobalPool
            | Slice
            | Extend
            | ShuffleChannels
            | Border,
        )
        target = area.next_to(current, shape_after(op, current.shape))
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

    def plan_residual(
        self, op: Add, current: Buffer, area: Area, where: _Where, name: str = "body"
    ) -> Buffer:
        """Plan the body in the rest of the area, so that its output ends where its input is not:
        at the other end of the whole area."""
        rest = area.without(current)
        body, output = _plan_body(name, op.body, current, rest, where)
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
        is_between = output != current and not area.touches(output)
        output = self.take(body, output, rest, mirrored=is_between)
        shortcut = AddShortcut(op.size, project)
        return self.add(shortcut, where, output, output, weights=prefix, second=current)

    def plan_branches(self, op: Branches, current: Buffer, area: Area, where: _Where) -> Buffer:
        makes = {name: _makes_values(body) for name, body in list_bodies(op)}
        if not all(makes.values()):
            if op.by == "concat":
                return self.plan_concat_with_input(op, makes, current, area, where)
            name = "second" if makes["second"] else "first"
            one = Add(op.second if makes["second"] else op.first, None, None)
            return self.plan_residual(one, current, area, where, name)
        rest = area.without(current)
        body, first = _plan_body("first", op.first, current, rest, where)
        first = self.take(body, first, rest, mirrored=not area.touches(first))
        inner = area.without(first)  # the second branch may overwrite the input
        body, second = _plan_body("second", op.second, current, inner, where)
        if op.by == "add":
            self.take(body, second, inner, mirrored=False)
            return self.add(AddShortcut(None, None), where, first, first, second=second)
        # The joined channels need one free piece of memory, so the outputs must lie side by side.
        is_beside = second.end == first.offset or first.end == second.offset
        can_turn = not area.hold(current)
        second = self.take(body, second, inner, mirrored=can_turn and not is_beside)
        if not can_turn and not is_beside:
            second = self.add(Copy(), where, second, inner.next_to(second, second.shape))
        target = area.next_to(first, _join_shapes(first, second))
        return self.add(Join(), where, first, target, second=second)

    def plan_concat_with_input(
        self,
        op: Branches,
        makes: dict[str, bool],
        current: Buffer,
        area: Area,
        where: _Where,
    ) -> Buffer:
        """Plan the branch that is not empty beside the input, which is the other one's output."""
        rest, outputs, is_held = area.without(current), [], area.hold(current)
        for name, steps in list_bodies(op):
            output = current
            if makes[name]:
                body, output = _plan_body(name, steps, current, rest, where)
                is_far = is_held and area.touches(output)
                output = self.take(body, output, rest, mirrored=is_far)
            outputs.append(output)
        first, second = outputs
        made = second if makes["second"] else first
        target = area.next_to(current if is_held else made, _join_shapes(first, second))
        return self.add(Join(), where, first, target, second=second)

    def take(self, body: _Planner, output: Buffer, room: Area, *, mirrored: bool) -> Buffer:
        """Add the instructions of a body that has `room`, mirrored there if asked for, and return
        its output."""
        for one in body.instructions:
            self.instructions.append(mirror_instruction(one, room) if mirrored else one)
        return room.mirror(output) if mirrored else output


def _plan_body(
    name: str, steps: tuple[Step, ...], current: Buffer, room: Area, where: _Where
) -> tuple[_Planner, Buffer]:
    """Return the instructions of a block's body, which has `room` for itself, and its output."""
    body = _Planner([])
    inside = replace(where, prefix=f"{where.prefix}{name}.", path=f"{where.path}.{name}")
    return body, body.plan_steps(steps, current, room, inside)


def _makes_values(steps: tuple[Step, ...]) -> bool:
    """Whether layers do more than pass on their input, as dropout does."""
    for op in (op for step in steps for _, op in step.ops):
        core = op.core if isinstance(op, PerPass) else op
        if _makes_values(core.body) if isinstance(core, Iterate) else not isinstance(core, Drop):
            return True
    return False


def _join_shapes(first: Buffer, second: Buffer) -> Shape:
    return (first.shape[0] + second.shape[0], *first.shape[1:])


def _scales_channels(op: Conv2d) -> bool:
    is_pointwise = all((s.kernel, s.stride, s.padding) == (1, 1, 0) for s in op.slides)
    return is_pointwise and op.groups == op.inputs == op.outputs
