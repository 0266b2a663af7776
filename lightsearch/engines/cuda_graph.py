"""The PyTorch engine on a GPU: a training step is one CUDA graph, captured once and replayed.

A tiny network's step is some hundred kernels of a few microseconds each, and launching them one by
one takes the host longer than they run. So the whole step, from picking the images to moving the
averages, is a function of tensors that stay where they are (Captured._step): an epoch's order of
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

import contextlib
import functools
import itertools
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import Streams, augment_values, purposes
from lightsearch.engines.cuda_stream import backward_alone, capture, new_stream, on_stream
from lightsearch.engines.engine import Batch, State, memories
from lightsearch.engines.pytorch import Eager, _on_device, make_optimizer
from lightsearch.engines.stopping import current_flag
from lightsearch.network.lowering import has_own_layers
from lightsearch.randomness import keys, signed

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
        with _use_stream(self.stream, precision):
            super().__init__(design, recipe, data, seed, device, precision)
            self._make_tables(len(data.train[1]), len(data.test[1]))
            self._make_memory()
            self.made = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.places = super()._tensors()  # of a state; they never move

    def _module(self) -> nn.Module:
        module = super()._module()
        if self.own is not None:
            self.own.replace_layers(module)
        return module

    def _pixels(self, images: Tensor, batch: Tensor, streams: Streams) -> Tensor:
        if self.own is None or isinstance(streams, int) or "affine" not in streams:
            return super()._pixels(images, batch, streams)
        rest = len(streams) > 1
        pixels: Tensor = self.own.warp(
            images, batch, streams["affine"], self.recipe, None if rest else (self.mean, self.std)
        )
        if rest:
            pixels = self._normalise(augment_values(pixels, self.recipe, streams))
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
        self.rate = torch.zeros((), device=self.device)
        for group in made.param_groups:
            group["lr"] = self.rate  # not given when made, which would read its value
        return made

    def _make_tables(self, count: int, tests: int) -> None:
        """What an epoch is told, one row a step, how far it has come, and what a step reads."""
        size = self.recipe.batch_size
        steps = -(-count // size)
        self.purposes = purposes(self.recipe)
        columns = len(self.purposes) + len(self.dropouts)

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=self.device)

        self.order, self.keys = zeros(count), zeros(steps, columns)
        self.rates, self.towards = (zeros(steps, dtype=torch.float32) for _ in range(2))
        self.step, self.first = zeros(1), zeros(1)  # this step, and its first place in `order`
        # of the step: one image more may join the last batch
        self.batch, self.row = zeros(size + 1), zeros(columns)
        self.toward = zeros(dtype=torch.float32)
        places = max(size + 1, min(tests, self.evaluation_batch))
        self.counting = torch.arange(places, device=self.device)
        self.hits, self.looked = zeros(), zeros(1)  # right test images, and those evaluated

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
        with _use_stream(self.stream, self.precision), torch.no_grad():
            self.model.load_state_dict(self.made)  # an earlier epoch may have been trained here
            super().begin()
            for tensor in (*self._memory(), self.loss, self.correct):
                tensor.zero_()

    def load(self, state: State) -> None:
        """Go on from a state of any engine. The tensors stay where they are."""
        with _use_stream(self.stream, self.precision), torch.no_grad():
            for names, tensors in self._by_type():
                flat = torch.cat([state[name].reshape(-1) for name in names])
                parts = torch.split(flat.to(tensors[0]), [tensor.numel() for tensor in tensors])
                torch._foreach_copy_(
                    tensors,
                    [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)],
                )
            self.loss.zero_()
            self.correct.zero_()

    def state(self) -> State:
        """A copy of the weights, their average and the optimizer's memory, in main memory."""
        found: State = {}
        with _use_stream(self.stream, self.precision):
            for names, tensors in self._by_type():
                flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu()
                parts = torch.split(flat, [tensor.numel() for tensor in tensors])
                found |= {
                    name: part.view(tensor.shape).clone()
                    for name, part, tensor in zip(names, parts, tensors, strict=True)
                }
        return {name: found[name] for name in self.places}

    def _tensors(self) -> State:
        return self.places

    def _by_type(self) -> list[tuple[list[str], list[Tensor]]]:
        """The tensors of a state: each type's make one copy between host and device."""
        types = dict.fromkeys(tensor.dtype for tensor in self.places.values())
        names = [[k for k, v in self.places.items() if v.dtype == kind] for kind in types]
        return [(each, [self.places[name].detach() for name in each]) for each in names]

    def _memory(self) -> list[Tensor]:
        return [
            value
            for parameter in self.parameters
            for value in self.optimizer.state[parameter].values()
        ]

    # Work ------------------------------------------------------------------------------------

    def train(self, batches: Sequence[Batch]) -> None:
        """The steps of an epoch. Nothing waits for the device once the first has begun."""
        with _use_stream(self.stream, self.precision):
            self._tell(batches)
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

    def _tell(self, batches: Sequence[Batch]) -> None:
        """Upload what the steps of an epoch are told."""
        assert max(len(batch.images) for batch in batches) <= len(self.batch)
        order = torch.cat([batch.images for batch in batches])
        self.order[: len(order)].copy_(order)
        self.rates[: len(batches)].copy_(torch.tensor([batch.rate for batch in batches]))
        self.towards[: len(batches)].copy_(torch.tensor([batch.towards for batch in batches]))
        augment = torch.tensor([signed(batch.augment_stream) for batch in batches])
        dropout = torch.tensor([signed(batch.dropout_stream) for batch in batches])
        columns = [
            *(keys(augment, purpose) for purpose in self.purposes),
            *(keys(dropout, index) for index in range(len(self.dropouts))),
        ]
        if columns:
            self.keys[: len(batches)].copy_(torch.stack(columns, 1))
        self.step.zero_()
        self.first.zero_()

    def _step(self, count: int) -> None:
        """One step, on the next `count` images of the epoch."""
        self._next(count)
        drawn, row = len(self.purposes), self.row.unbind()
        self._gradients(
            self.batch[:count], dict(zip(self.purposes, row[:drawn], strict=True)), row[drawn:]
        )
        self.optimizer.step()
        self._follow(self.toward)

    def _next(self, count: int) -> None:
        """Read the step's own part of the tables, and count on."""
        if self.own is not None:
            self.own.advance(
                (self.order, self.rates, self.towards, self.keys),
                (self.step, self.first),
                (self.batch, self.rate, self.toward, self.row),
                count,
            )
            return
        torch.index_select(
            self.order, 0, self.first + self.counting[:count], out=self.batch[:count]
        )
        self.rate.copy_(self.rates.index_select(0, self.step)[0])
        self.toward.copy_(self.towards.index_select(0, self.step)[0])
        self.row.copy_(self.keys.index_select(0, self.step)[0])
        self.first += count
        self.step += 1

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
        with _use_stream(self.stream, self.precision):
            return super().totals()

    @torch.no_grad()
    def evaluate(self, averaged: bool) -> int:
        """Number of correct test images, in float32, by the averaged weights or the raw ones."""
        module = self.average if averaged and self.average is not None else self.model
        module.eval()
        with _use_stream(self.stream, "float32"):
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
        return [*weights, *self._memory(), self.loss, self.correct, self.step, self.first]


def own_kernels(device: str, precision: str) -> ModuleType | None:
    """The room of our Triton kernels, if they compute there: on a GPU, in float32, where Triton
    works. In the other precisions PyTorch and cuDNN compute."""
    if not device.startswith("cuda") or precision != "float32" or not _triton_works(device):
        return None
    from lightsearch.engines import triton

    return triton


@functools.cache
def _triton_works(device: str) -> bool:
    try:
        from lightsearch.engines.triton import try_out

        try_out(device)
    except ImportError:
        return False
    except Exception as error:  # whatever a compiler may raise
        warnings.warn(
            f"PyTorch's own kernels train on {device}, not ours, since Triton does not "
            f"work there: {error}",
            stacklevel=2,
        )
        return False
    return True


@contextlib.contextmanager
def _use_stream(stream: torch.cuda.Stream | None, precision: str) -> Iterator[None]:
    """On the stream and in the precision. Raises `MemoryError` if the device's is used up."""
    with on_stream(stream, precision):
        try:
            yield
        except torch.OutOfMemoryError as error:
            forget()
            raise MemoryError(
                "there is not enough memory on the GPU for this design and batch size beside what "
                "else runs there: fewer trials at once (`slots_per_gpu`) take less. "
                f"PyTorch said: {str(error).splitlines()[0]}"
            ) from error


# From epoch to epoch ----------------------------------------------------------------------------

_KEPT = threading.local()  # a cache only: the engine that this thread used last


def resident(
    design: Design, recipe: Recipe, data: DataSet, seed: int, device: str, precision: str
) -> Captured:
    """An engine for one more epoch of a trial: the one before's, if this thread still has it.

    It must be given its state by `begin` or `load`, as a new one must.
    """
    wanted = (design, recipe, data.checksum, seed, device, precision)
    if getattr(_KEPT, "wanted", None) != wanted:
        forget()
        _KEPT.engine = Captured(design, recipe, data, seed, device, precision)
        _KEPT.wanted = wanted
    engine: Captured = _KEPT.engine
    engine.flag = current_flag()  # of this epoch, not of the one that it was made for
    return engine


def forget() -> None:
    """Let go of this thread's engine, its graph and their memory."""
    _KEPT.wanted = _KEPT.engine = None
