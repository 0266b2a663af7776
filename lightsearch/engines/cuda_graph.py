"""The PyTorch engine on a GPU: a training step is one CUDA graph, captured once and replayed.

A tiny network's step is some hundred kernels of a few microseconds each, and launching them one by
one takes the host longer than they run. So the whole step, from picking the images to moving the
averages, is a function of tensors that stay where they are (`Captured._step`): an epoch's order of
images, learning rates and random keys are uploaded once, and the step reads its own from them at
a counter that it moves on. On a GPU the step is captured after a rehearsal on a stream of its own,
as PyTorch's notes on CUDA graphs demand, and replayed for every full batch. A smaller last batch
runs the same function directly in a trial's first epoch and is captured in its second, and so are
evaluations: threads that train side by side share Python's lock, so none may need it for long. On
a processor all runs directly: so it is tested without a GPU.

What a captured step must not do: read a value on the host, have a shape that depends on data, copy
between host and device, or use a number that changes from step to step. The optimizers are
PyTorch's fused ones, which read the learning rate and the count of steps from the device.

Source: docs.pytorch.org, "CUDA semantics", section "CUDA Graphs".
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, nn

from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import Streams, augment_values
from lightsearch.engines.cuda_stream import (
    backward_alone,
    capture,
    give_back_unused,
    new_stream,
    use_stream,
)
from lightsearch.engines.engine import Batch, State, memories
from lightsearch.engines.epoch_tables import Tables
from lightsearch.engines.optimizers import make_optimizer
from lightsearch.engines.own_kernels import own_kernels
from lightsearch.engines.pytorch import Eager, _on_device
from lightsearch.engines.resident import keep
from lightsearch.engines.stopping import current_flag
from lightsearch.engines.transfer import copy_in, copy_out
from lightsearch.network.lowering import has_own_layers

TOGETHER = 8  # steps of a graph: each call of a replay may have to wait for Python's lock
REHEARSALS = 3  # as many as PyTorch's notes take: cuDNN, cuBLAS and autograd set themselves up


class Captured(Eager):
    """Trains one design with steps made of tensors alone; see the top of this file.

    `record=False` runs every step directly, kernel by kernel, as does a design with a layer kind
    of a user's own, which may do what a graph cannot hold. Unless `own=False`, layers, loss and
    images are those of `engines.triton` where `own_kernels` has them.
    """

    evaluation_batch = 2500

    def __init__(
        self,
        design: Design,
        recipe: Recipe,
        data: DataSet,
        seed: int,
        device: str = "cuda",
        precision: str = "float32",
        *,
        record: bool = True,
        own: bool = True,
    ) -> None:
        self.own = own_kernels(device, precision) if own else None
        if self.own is not None:
            self.layout = torch.contiguous_format
        self.record = record and not has_own_layers(design)
        self.stream = new_stream(device)
        self.pool = None if self.stream is None else torch.cuda.graph_pool_handle()
        self.replay: Callable[[], None] | None = None  # of one step on a full batch
        self.replays: dict[Hashable, Callable[[], None]] = {}  # of all else
        self.met: set[Hashable] = set()
        with use_stream(self.stream, precision):
            super().__init__(design, recipe, data, seed, device, precision)
            tests = min(len(data.test[1]), self.evaluation_batch)
            self.counting = torch.arange(tests, device=self.device)
            # right test images, and those evaluated
            self.hits, self.looked = (self.counting.new_zeros(shape) for shape in ((), (1,)))
            self._make_memory()
            self.made = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.places = super()._tensors()  # of a state; they never move

    def _module(self) -> nn.Module:
        module = super()._module()
        if self.own is not None:
            self.own.replace_layers(module)
        return module

    def _pixels(self, images: Tensor, batch: Tensor, streams: Streams) -> Tensor:
        if (
            self.own is None
            or isinstance(streams, int)
            or "affine" not in streams
            or "flip" in streams  # comes before the map, which our kernel begins with
        ):
            return super()._pixels(images, batch, streams)
        rest = len(streams) > 1
        pixels: Tensor = self.own.warp(
            images, batch, streams["affine"], self.recipe, None if rest else (self.mean, self.std)
        )
        if rest:
            pixels = self._normalise(augment_values(pixels, self.recipe, streams, self.mean))
        return pixels

    def _descend(self, scores: Tensor, labels: Tensor, batch: Tensor) -> None:
        if self.own is None:
            super()._descend(scores, labels, batch)
            return
        slopes = self.own.descend(
            scores, labels, batch, self.recipe.smoothing, self.loss, self.correct
        )
        scores.backward(slopes)  # type: ignore[no-untyped-call]

    def _optimizer(self) -> torch.optim.Optimizer:
        how = {} if self.recipe.optimizer == "sgd" else {"capturable": True}
        made = make_optimizer(self.recipe, self.parameters, fused=True, **how)
        images, dropouts = len(self.data.train[1]), len(self.dropouts)
        self.tables = Tables(self.recipe, images, dropouts, self.device)
        for group in made.param_groups:
            group["lr"] = self.tables.rate  # not given when made, which would read its value
        return made

    def _make_memory(self) -> None:
        """The optimizer's memory: zeros, with which its first step is as if there were none."""
        for parameter in self.parameters:
            memory = {name: torch.zeros_like(parameter) for name in memories(self.recipe)}
            if self.recipe.optimizer != "sgd":
                memory["step"] = torch.zeros((), device=self.device)
            self.optimizer.state[parameter] = memory

    # State -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the initial weights."""
        with use_stream(self.stream, self.precision), torch.no_grad():
            self.model.load_state_dict(self.made)  # an earlier epoch may have been trained here
            super().begin()
            for tensor in (*self._memory(), self.loss, self.correct):
                tensor.zero_()

    def load(self, state: State) -> None:
        """Go on from a state of any engine. The tensors stay where they are."""
        with use_stream(self.stream, self.precision), torch.no_grad():
            copy_in(state, self.places)
            self.loss.zero_()
            self.correct.zero_()

    def state(self) -> State:
        """A copy of the weights, their average and the optimizer's memory, in main memory."""
        with use_stream(self.stream, self.precision):
            return copy_out(self.places)

    def _tensors(self) -> State:
        return self.places

    def _memory(self) -> list[Tensor]:
        return [
            value
            for parameter in self.parameters
            for value in self.optimizer.state[parameter].values()
        ]

    # Work ------------------------------------------------------------------------------------

    def train(self, batches: Sequence[Batch]) -> None:
        """The steps of an epoch. Nothing waits for the device once the first has begun."""
        with use_stream(self.stream, self.precision):
            self.tables.tell(batches)
            for count, alike in itertools.groupby(len(batch.images) for batch in batches):
                self._steps(count, len(list(alike)))

    def _steps(self, count: int, steps: int) -> None:
        """So many steps, on `count` images each."""
        if not self.record or count != self.recipe.batch_size:
            for _ in range(steps):
                self._replay(count, functools.partial(self._step, count))
            return
        if self.replay is None:
            with backward_alone(self.stream):
                self.replay = self._record_step()
        if steps >= 2 * TOGETHER:
            self.met.add("together")  # the kernels were rehearsed with one step
            for _ in range(steps // TOGETHER):
                self._replay("together", self._several)
            steps %= TOGETHER
        for _ in range(steps):
            self.flag.check()
            self.replay()

    def _several(self) -> None:
        for _ in range(TOGETHER):
            self._step(self.recipe.batch_size)

    def _replay(self, name: Hashable, work: Callable[[], None]) -> None:
        """Do something: directly the first time, captured the second, replayed from then on."""
        self.flag.check()
        if name not in self.replays:
            with backward_alone(self.stream):
                if not self.record or name not in self.met:
                    self.met.add(name)
                    work()
                    return
                self.replays[name] = capture(work, self.stream, self.pool)
        self.replays[name]()

    def _step(self, count: int) -> None:
        """One step, on the next `count` images of the epoch."""
        self.tables.advance(count, self.own)
        self._gradients(self.tables.batch[:count], *self.tables.split_row())
        self.optimizer.step()
        self._follow(self.tables.toward)

    @torch.no_grad()
    def _follow(self, towards: Tensor) -> None:
        if self.following is None:
            return
        (mine, theirs), (counters, counted) = self.following
        change = torch._foreach_sub(theirs, mine)
        torch._foreach_mul_(change, towards)
        torch._foreach_add_(mine, change)
        if counters:
            torch._foreach_copy_(counters, counted)

    def totals(self) -> tuple[float, int]:
        """The summed loss and the number of correct images of the steps so far."""
        with use_stream(self.stream, self.precision):
            return super().totals()

    @torch.no_grad()
    def evaluate(self, averaged: bool) -> int:
        """Number of correct test images, in float32, by the averaged weights or the raw ones."""
        module = self.average if averaged and self.average is not None else self.model
        module.eval()
        with use_stream(self.stream, "float32"):
            self.hits.zero_()
            self.looked.zero_()
            for truth in torch.split(self.data.test[1], self.evaluation_batch):
                work = functools.partial(self._look, module, len(truth))
                self._replay((module is self.model, len(truth)), work)
            return int(self.hits)

    @torch.no_grad()
    def _look(self, module: nn.Module, count: int) -> None:
        """Evaluate the next `count` test images."""
        images, labels = _on_device(self.data, "test", self.device)
        places = self.looked + self.counting[:count]
        pixels = images.index_select(0, places).to(torch.float32).div_(255)
        scores = module(self._normalise(pixels))
        self.hits += (scores.argmax(1) == labels.index_select(0, places)).sum()
        self.looked += count

    # Capture ---------------------------------------------------------------------------------

    def _record_step(self) -> Callable[[], None]:
        """The step on a full batch as one call: a graph's replay, or itself on a processor."""
        step = functools.partial(self._step, self.recipe.batch_size)
        self._rehearse(step)
        give_back_unused(self.stream)
        return capture(step, self.stream, self.pool)

    @torch.no_grad()
    def _rehearse(self, step: Callable[[], None]) -> None:
        """Run the step for what it sets up in libraries, and undo what it did."""
        kept = [(tensor, tensor.clone()) for tensor in self._list_changing()]
        for _ in range(REHEARSALS):
            with torch.enable_grad():
                step()
            for tensor, value in kept:
                tensor.copy_(value)
        self.optimizer.zero_grad(set_to_none=True)  # so that the graph owns its gradients

    def _list_changing(self) -> list[Tensor]:
        """All that a step changes and a later one reads."""
        modules = (self.model, *((self.average,) if self.average is not None else ()))
        weights = [value for module in modules for value in module.state_dict().values()]
        counters = (self.tables.step, self.tables.first)
        return [*weights, *self._memory(), self.loss, self.correct, *counters]


def resident(
    design: Design, recipe: Recipe, data: DataSet, seed: int, device: str, precision: str
) -> Captured:
    """An engine for one more epoch of a trial: the one before's, if this thread still has it.

    It must be given its state by `begin` or `load`, as a new one must.
    """
    engine = keep(
        (design, recipe, data.checksum, seed, device, precision),
        lambda: Captured(design, recipe, data, seed, device, precision),
    )
    engine.flag = current_flag()  # of this epoch, not of the one that it was made for
    return engine
