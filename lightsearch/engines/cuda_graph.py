"""The PyTorch engine on a GPU: a training step is one CUDA graph, captured once and replayed.

A tiny network's step is some hundred kernels of a few microseconds each, and launching them one by
one takes the host longer than they run. So the whole step, from picking the images to moving the
averages, is a function of tensors that stay where they are (Captured._step): an epoch's order of
images, learning rates and random keys are uploaded once, and the step reads its own from them at
a counter that it moves on. On a GPU the step is captured after a rehearsal on a stream of its own,
as PyTorch's notes on CUDA graphs demand, and replayed for every full batch; a smaller last batch
runs the same function directly. On a processor it always does: so it is tested without a GPU.

What a captured step must not do: read a value on the host, have a shape that depends on data, copy
between host and device, or use a number that changes from step to step. The optimizers are
PyTorch's fused ones, which read the learning rate and the count of steps from the device.

Source: docs.pytorch.org, "CUDA semantics", section "CUDA Graphs".
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.augment import Streams, augment_values, purposes
from lightsearch.engines.engine import Batch, State, memories
from lightsearch.engines.pytorch import Eager, made_optimizer
from lightsearch.network.cost import cost
from lightsearch.network.operations import Add, Custom
from lightsearch.network.operations import Step as Layer
from lightsearch.randomness import key, signed

REHEARSALS = 3  # as many as PyTorch's notes take: cuDNN, cuBLAS and autograd set themselves up


class Captured(Eager):
    """Trains one design with steps made of tensors alone; see the top of this file.

    `record=False` runs every step directly, kernel by kernel, as does a design with a layer kind
    of a user's own, which may do what a graph cannot hold. Unless `own_kernels=False`, layers are
    those of `triton_layers`, if Triton is there and the precision is not bf16.
    """

    evaluation_batch = 2500

    def __init__(self, design: Design, recipe: Recipe, data: DataSet, seed: int,
                 device: str = "cuda", precision: str = "float32", *,
                 record: bool = True, own_kernels: bool = True) -> None:
        self.layers = _triton_layers(device, precision) if own_kernels else None
        if self.layers is not None:
            self.layout = torch.contiguous_format
        self.record = record and not _has_own_layers(cost(design, data.shape).steps)
        self.stream = _stream(device) if device.startswith("cuda") else None
        self.replay: Callable[[], None] | None = None
        with _placed(self.stream, precision):
            super().__init__(design, recipe, data, seed, device, precision)
            self._make_tables(len(data.train[1]))
            self._make_memory()
            self.made = {name: value.clone() for name, value in self.model.state_dict().items()}

    def _module(self) -> nn.Module:
        module = super()._module()
        if self.layers is not None:
            self.layers.replace_layers(module)
        return module

    def _pixels(self, images: Tensor, batch: Tensor, streams: Streams) -> Tensor:
        if self.layers is None or isinstance(streams, int) or "affine" not in streams:
            return super()._pixels(images, batch, streams)
        rest = len(streams) > 1
        pixels: Tensor = self.layers.warp(images, batch, streams["affine"], self.recipe,
                                  None if rest else (self.mean, self.std))
        if rest:
            pixels = self._normalised(augment_values(pixels, self.recipe, streams))
        return pixels

    def _optimizer(self) -> torch.optim.Optimizer:
        how = {} if self.recipe.optimizer == "sgd" else {"capturable": True}
        made = made_optimizer(self.recipe, self.parameters, fused=True, **how)
        self.rate = torch.zeros((), device=self.device)
        for group in made.param_groups:
            group["lr"] = self.rate  # not given when made, which would read its value
        return made

    def _make_tables(self, count: int) -> None:
        """What an epoch is told, one row a step, and how far it has come."""
        size = self.recipe.batch_size
        steps = -(-count // size)
        self.purposes = purposes(self.recipe)
        keys = len(self.purposes) + len(self.dropouts)
        self.order = torch.zeros(count, dtype=torch.int64, device=self.device)
        self.rates = torch.zeros(steps, device=self.device)
        self.towards = torch.zeros(steps, device=self.device)
        self.keys = torch.zeros(steps, keys, dtype=torch.int64, device=self.device)
        self.places = torch.arange(size + 1, device=self.device)  # one more may join the last
        self.step = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.first = torch.zeros(1, dtype=torch.int64, device=self.device)  # of `order`

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
        with _placed(self.stream, self.precision), torch.no_grad():
            self.model.load_state_dict(self.made)  # an earlier epoch may have been trained here
            super().begin()
            for tensor in (*self._memory(), self.loss, self.correct):
                tensor.zero_()

    def load(self, state: State) -> None:
        """Go on from a state of any engine. The tensors stay where they are."""
        with _placed(self.stream, self.precision), torch.no_grad():
            super().load(state)
            self.loss.zero_()
            self.correct.zero_()

    def _recall(self, parameter: nn.Parameter, name: str, value: Tensor) -> None:
        self.optimizer.state[parameter][name].copy_(value)

    def state(self) -> State:
        """A copy of the weights, their average and the optimizer's memory, in main memory."""
        with _placed(self.stream, self.precision):
            return super().state()

    def _memory(self) -> list[Tensor]:
        return [value for parameter in self.parameters
                for value in self.optimizer.state[parameter].values()]

    # Work ------------------------------------------------------------------------------------

    def train(self, batches: Sequence[Batch]) -> None:
        """The steps of an epoch. Nothing waits for the device once the first has begun."""
        with _placed(self.stream, self.precision):
            self._tell(batches)
            size = self.recipe.batch_size
            if self.replay is None and self.record and len(batches[0].images) == size:
                with self._backward_alone():
                    self.replay = self._recorded()
            for batch in batches:
                if self.replay is not None and len(batch.images) == size:
                    self.replay()
                else:
                    with self._backward_alone():
                        self._step(len(batch.images))

    def _backward_alone(self) -> contextlib.AbstractContextManager[object]:
        """Keep other threads' backward passes on the GPU away: see `_BACKWARD`."""
        return contextlib.nullcontext() if self.stream is None else _BACKWARD

    def _tell(self, batches: Sequence[Batch]) -> None:
        """Upload what the steps of an epoch are told."""
        assert max(len(batch.images) for batch in batches) <= len(self.places)
        order = torch.cat([batch.images for batch in batches])
        self.order[:len(order)].copy_(order)
        self.rates[:len(batches)].copy_(torch.tensor([batch.rate for batch in batches]))
        self.towards[:len(batches)].copy_(torch.tensor([batch.towards for batch in batches]))
        rows = [[*(key(batch.augment_stream, purpose) for purpose in self.purposes),
                 *(key(batch.dropout_stream, index) for index in range(len(self.dropouts)))]
                for batch in batches]
        keys = torch.tensor([signed(each) for row in rows for each in row], dtype=torch.int64)
        self.keys[:len(batches)].copy_(keys.view(len(batches), self.keys.shape[1]))
        self.step.zero_()
        self.first.zero_()

    def _step(self, count: int) -> None:
        """One step, on the next `count` images of the epoch."""
        batch = self.order.index_select(0, self.first + self.places[:count])
        row = self.keys.index_select(0, self.step)[0].unbind()
        self.rate.copy_(self.rates.index_select(0, self.step)[0])
        drawn = len(self.purposes)
        self._gradients(batch, dict(zip(self.purposes, row[:drawn], strict=True)), row[drawn:])
        self.optimizer.step()
        self._follow(self.towards.index_select(0, self.step)[0])
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

    def told(self) -> tuple[float, int]:
        """The summed loss and the number of correct images of the steps so far."""
        with _placed(self.stream, self.precision):
            return super().told()

    def evaluate(self, averaged: bool) -> int:
        """Number of correct test images, in float32, by the averaged weights or the raw ones."""
        with _placed(self.stream, "float32"):
            return super().evaluate(averaged)

    # Capture ---------------------------------------------------------------------------------

    def _recorded(self) -> Callable[[], None]:
        """The step on a full batch as one call: a graph's replay, or itself on a processor."""
        step = functools.partial(self._step, self.recipe.batch_size)
        self._rehearse(step)
        return step if self.stream is None else _graph(step, self.stream)

    @torch.no_grad()
    def _rehearse(self, step: Callable[[], None]) -> None:
        """Run the step for what it sets up in libraries, and undo what it did."""
        kept = [(tensor, tensor.clone()) for tensor in self._changing()]
        for _ in range(REHEARSALS):
            with torch.enable_grad():
                step()
            for tensor, value in kept:
                tensor.copy_(value)
        self.optimizer.zero_grad(set_to_none=True)  # so that the graph owns its gradients

    def _changing(self) -> list[Tensor]:
        """All that a step changes and a later one reads."""
        modules = (self.model, *((self.average,) if self.average is not None else ()))
        weights = [value for module in modules for value in module.state_dict().values()]
        return [*weights, *self._memory(), self.loss, self.correct, self.step, self.first]


def _triton_layers(device: str, precision: str) -> ModuleType | None:
    """`triton_layers`, if it can be used."""
    if not device.startswith("cuda") or precision == "bf16":
        return None
    with contextlib.suppress(ImportError):
        from lightsearch.engines import triton_layers

        return triton_layers
    return None


def _has_own_layers(layers: Sequence[Layer]) -> bool:
    return any(isinstance(op, Custom) or (isinstance(op, Add) and _has_own_layers(op.body))
               for layer in layers for _, op in layer.ops)


# Autograd runs all backward passes on a GPU in one thread of its own, with one cuDNN handle. If
# one trial's pass is captured there while another's runs, cuDNN fails with an internal error (seen
# on an H200 with four trials in threads). A capture also begins by waiting for the device, which
# would end another capture. Replays need no lock: they call neither autograd nor cuDNN.
_BACKWARD = threading.Lock()


def _graph(step: Callable[[], None], stream: torch.cuda.Stream) -> Callable[[], None]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    replay: Callable[[], None] = graph.replay
    return replay


# Where and how it runs --------------------------------------------------------------------------


def _stream(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _placed(stream: torch.cuda.Stream | None, precision: str) -> Iterator[None]:
    """On the stream and in the precision. Raises `MemoryError` where the device's is used up."""
    with contextlib.ExitStack() as place:
        if stream is not None:
            place.enter_context(torch.cuda.device(stream.device))
            place.enter_context(torch.cuda.stream(stream))
            place.enter_context(_FLAGS.held(tf32=precision == "tf32"))
        try:
            yield
        except torch.OutOfMemoryError as error:
            forget()
            raise MemoryError(
                "there is not enough memory on the GPU for this design and batch size beside what "
                "else runs there: fewer trials at once (`slots_per_gpu`) take less. "
                f"PyTorch said: {str(error).splitlines()[0]}") from error


class _Flags:
    """PyTorch's flags of cuDNN and cuBLAS, which are the process's, while an engine works.

    Its own defaults let convolutions compute in TF32. Engines that work at the same time in
    threads of one process must have the same precision.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._kept: tuple[bool, ...] = ()

    @contextlib.contextmanager
    def held(self, *, tf32: bool) -> Iterator[None]:
        with self._lock:
            if self._holders == 0:
                self._kept = _read_flags()
            self._holders += 1
            # No benchmarking: what it picks depends on the moment. Matrix products, the maps of
            # augmentation among them, stay exact.
            _write_flags((tf32, True, False, False))
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    _write_flags(self._kept)


_FLAGS = _Flags()


def _read_flags() -> tuple[bool, ...]:
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, products.allow_tf32)


def _write_flags(flags: tuple[bool, ...]) -> None:
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, products.allow_tf32 = flags


# From epoch to epoch ----------------------------------------------------------------------------

_KEPT = threading.local()  # a cache only: the engine that this thread used last


def resident(design: Design, recipe: Recipe, data: DataSet, seed: int, device: str,
             precision: str) -> Captured:
    """An engine for one more epoch of a trial: the one before's, if this thread still has it.

    It must be given its state by `begin` or `load`, as a new one must.
    """
    wanted = (design, recipe, data.checksum, seed, device, precision)
    if getattr(_KEPT, "wanted", None) != wanted:
        forget()
        _KEPT.engine = Captured(design, recipe, data, seed, device, precision)
        _KEPT.wanted = wanted
    engine: Captured = _KEPT.engine
    return engine


def forget() -> None:
    """Let go of this thread's engine, its graph and their memory."""
    _KEPT.wanted = _KEPT.engine = None
