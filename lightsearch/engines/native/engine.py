"""The native engine: a compiled network, and the training state that it works on."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from lightsearch.data.dataset import DataSet
from lightsearch.design.parts import Design
from lightsearch.design.recipe import Recipe
from lightsearch.engines.engine import (
    AVERAGE,
    MODEL,
    STEP,
    Batch,
    State,
    below,
    counts_steps,
    memories,
    optimizer_key,
    under,
)
from lightsearch.engines.initial_weights import initial_weights
from lightsearch.engines.native.interface import Augmentation, Optimizer, Step, Training
from lightsearch.engines.native.layout import Slot
from lightsearch.engines.native.library import library, number_type
from lightsearch.engines.native.plan import plan
from lightsearch.engines.native.recipes import choose_images, training_images
from lightsearch.engines.native.statuses import check_status
from lightsearch.engines.native.structs import (
    fill_augmentation,
    fill_images,
    fill_step,
    make_network,
)
from lightsearch.engines.stopping import current_flag
from lightsearch.errors import EngineError

Shapes: TypeAlias = dict[str, tuple[int, ...]]
OPTIMIZERS = {"sgd": Optimizer.SGD, "adam": Optimizer.ADAM, "adamw": Optimizer.ADAMW}
TOGETHER = 4096  # about as many images are trained on in one call into the library


class Native:
    """Trains one design on one thread of a processor; see `lightsearch.engines.engine.Engine`.

    Raises `Unsupported` for a design with a layer that it does not know, `EngineError` without a
    compiled library, and `MemoryError` if there is not enough memory.
    """

    def __init__(
        self,
        design: Design,
        recipe: Recipe,
        data: DataSet,
        seed: int,
        build: ctypes.CDLL | None = None,
    ) -> None:
        self.design, self.recipe, self.data, self.seed = design, recipe, data, seed
        self.library = build or library()
        self.plan = plan(design, data.shape)
        self.dtype = number_type(self.library)
        self.parameters = self._zeros(self.plan.parameter_count)
        self.gradients = torch.zeros_like(self.parameters)
        self.decays = self._list_decays()
        self.running = self._zeros(self.plan.running_count)
        self.averaged = (self.parameters.clone(), self.running.clone()) if recipe.ema else None
        self.memories = {name: torch.zeros_like(self.parameters) for name in memories(recipe)}
        # Batch norm cannot train on a single value.
        self.needs_two_images = any(
            op.running >= 0 and value.height * value.width == 1
            for op in self.plan.ops
            for value in (self.plan.values[op.source],)
        )
        self.steps = 0  # of the optimizer
        self.loss, self.correct = 0.0, 0
        # If one image is left over at the end of an epoch, it joins the batch before it.
        self.max_batch = min(recipe.batch_size + 1, len(data.train[1]))
        self.network = make_network(self.library, self.plan, self.max_batch)
        self.sets = {
            part: fill_images(split, data)
            for part, split in (("train", training_images(data, recipe)), ("test", data.test))
        }
        self.flag = current_flag()  # the library reads it, so it must live as long
        self.library.network_watch(self.network(), self.flag.address)

    def _zeros(self, count: int) -> Tensor:
        return torch.zeros(count, dtype=self.dtype)

    def _list_decays(self) -> Tensor:
        """Return the weight decay of each parameter."""
        decays = torch.full_like(self.parameters, self.recipe.weight_decay)
        for slot in self.plan.parameters:
            if self.recipe.decay_on == "weights" and len(slot.shape) == 1:  # biases and norms
                _part(decays, slot).zero_()
        return decays

    # State -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start from the initial weights."""
        weights = initial_weights(self.design, self.data.shape, self.seed)
        self._fill(weights, self.parameters, self.running)
        if self.averaged is not None:
            self._fill(weights, *self.averaged)

    def load(self, state: State) -> None:
        """Continue from a state of this engine or the other."""
        self._fill(below(state, MODEL), self.parameters, self.running)
        if self.averaged is not None:
            self._fill(below(state, AVERAGE), *self.averaged)
        for index, slot in enumerate(self.plan.parameters):
            for name, memory in self.memories.items():
                _part(memory, slot).copy_(state[optimizer_key(index, name)])
        self.steps = int(state[STEP])

    def state(self) -> State:
        """Return a copy of the weights, their average and the optimizer's memory."""
        found = under(MODEL, self._tensors(self.parameters, self.running))
        if self.averaged is not None:
            found |= under(AVERAGE, self._tensors(*self.averaged))
        for index, slot in enumerate(self.plan.parameters):
            for name, memory in self.memories.items():
                found[optimizer_key(index, name)] = _part(memory, slot).clone()
            if counts_steps(self.recipe):
                found[optimizer_key(index, "step")] = torch.tensor(self.steps, dtype=torch.float32)
        return found

    def shapes(self) -> Shapes:
        """Return the shape of each tensor of a state, by name."""
        return {name: tuple(tensor.shape) for name, tensor in self.state().items()}

    def _fill(self, tensors: State, parameters: Tensor, running: Tensor) -> None:
        """Copy the tensors of a `state_dict` into the flat arrays."""
        for slots, flat in ((self.plan.parameters, parameters), (self.plan.running, running)):
            for slot in slots:
                _part(flat, slot).copy_(tensors[slot.name])

    def _tensors(self, parameters: Tensor, running: Tensor) -> State:
        """Copy the flat arrays into the tensors of a `state_dict`, in its order."""
        found = {
            slot.name: _part(flat, slot).clone()
            for slots, flat in ((self.plan.parameters, parameters), (self.plan.running, running))
            for slot in slots
        }
        found |= {name: torch.tensor(self.steps) for name in self.plan.counters}
        return {name: found[name] for name in self.plan.names}

    # Work ------------------------------------------------------------------------------------

    def train(self, batches: Sequence[Batch]) -> None:
        """Make the steps of an epoch, one after the other.

        One call into the library makes many steps, so that threads seldom wait for Python's lock.
        It does not make all of them, so that Python can handle Ctrl-C in between.
        """
        first = 0
        while first < len(batches):
            last, images = first, 0
            while last < len(batches) and (last == first or images < TOGETHER):
                images += len(batches[last].images)
                last += 1
            self._train(batches[first:last])
            first = last

    def _train(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._check_batch(batch.images)
        steps = (Step * len(batches))(*(fill_step(batch) for batch in batches))
        images = torch.cat([batch.images for batch in batches])
        indices = torch.cat([self._places(one.images, one.augment_stream) for one in batches])
        how = fill_augmentation(self.recipe, 0)
        loss, correct = ctypes.c_double(self.loss), ctypes.c_int64(self.correct)
        self._end(
            self.library.network_train(
                self.network(),
                self._training(how),
                steps,
                len(steps),
                indices.data_ptr(),
                loss,
                correct,
            ),
            "train",
            images,
        )
        self.loss, self.correct = loss.value, correct.value
        self.steps += len(batches)

    def _training(self, how: Augmentation) -> Training:
        first, second = ([m.data_ptr() for m in self.memories.values()] + [None, None])[:2]
        average, average_running = (
            (None, None)
            if self.averaged is None
            else (tensor.data_ptr() for tensor in self.averaged)
        )
        return Training(
            images=ctypes.addressof(self.sets["train"]),
            augmentation=ctypes.addressof(how),
            parameters=self.parameters.data_ptr(),
            gradients=self.gradients.data_ptr(),
            running=self.running.data_ptr(),
            average=average,
            average_running=average_running,
            first=first,
            second=second,
            parameter_count=len(self.parameters),
            running_count=len(self.running),
            optimizer=OPTIMIZERS[self.recipe.optimizer],
            steps=self.steps,
            momentum=self.recipe.momentum,
            decay=self.decays.data_ptr(),
            smoothing=self.recipe.smoothing,
        )

    def _places(self, images: Tensor, stream: int) -> Tensor:
        """Return where the images of a batch lie among those that the library has."""
        return choose_images(images, stream, self.data, self.recipe).contiguous()

    def _check_batch(self, batch: Tensor) -> None:
        if len(batch) > self.max_batch:
            raise EngineError(
                f"a batch must have at most {self.max_batch} images, but got {len(batch)}"
            )
        if len(batch) == 1 and self.needs_two_images:
            raise ValueError(
                "batch norm must have more than one value a channel to train on, "
                "but got a batch of one image and a plane of one pixel"
            )

    def _end(self, status: int, part: str, images: Tensor | None = None) -> None:
        """Raise an error for the status of a call that took `images` of a part, or all of it."""
        labels = (self.data.train if part == "train" else self.data.test)[1]
        check_status(status, part, labels, self.plan.values[self.plan.scores].channels, images)

    def gradient(self, batch: Tensor, augment_stream: int | None, dropout_stream: int) -> None:
        """Fill `gradients` from a batch of training images; add up the loss and the hits."""
        self._check_batch(batch)
        loss, correct = ctypes.c_double(), ctypes.c_int64()
        how, places = None, batch.contiguous()
        if augment_stream is not None:
            how = fill_augmentation(self.recipe, augment_stream)
            places = self._places(batch, augment_stream)
        self._end(
            self.library.network_gradient(
                self.network(),
                self.sets["train"],
                how,
                places.data_ptr(),
                len(batch),
                dropout_stream,
                self.parameters.data_ptr(),
                len(self.parameters),
                self.gradients.data_ptr(),
                self.running.data_ptr(),
                self.recipe.smoothing,
                loss,
                correct,
            ),
            "train",
            batch,
        )
        self.loss += loss.value
        self.correct += correct.value

    def learn(self, batch: Tensor, rate: float, augment_stream: int, dropout_stream: int) -> None:
        """Make one step on a batch of training images, given by index; the averages stay."""
        self.train([Batch(batch, rate, augment_stream, dropout_stream, towards=0.0)])

    def totals(self) -> tuple[float, int]:
        """Return the summed loss and the number of correct images of the steps so far."""
        return self.loss, self.correct

    def evaluate(self, averaged: bool) -> int:
        """Return the number of correct test images, by the averaged weights or the raw ones."""
        raw = (self.parameters, self.running)
        parameters, running = self.averaged if averaged and self.averaged is not None else raw
        right = ctypes.c_int64()
        self._end(
            self.library.network_evaluate(
                self.network(), self.sets["test"], parameters.data_ptr(), running.data_ptr(), right
            ),
            "test",
        )
        return right.value


def _part(flat: Tensor, slot: Slot) -> Tensor:
    return flat[slot.offset : slot.offset + slot.size].view(slot.shape)
