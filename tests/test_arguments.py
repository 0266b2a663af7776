"""Every public argument out of range or of the wrong kind: the call, and the message with the
rule, the value and the place. (Names that a function does not have, and too many arguments, are
Python's own `TypeError`.)
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import made
import numpy as np
import pytest
import torch

import lightsearch as ls
from lightsearch import errors
from lightsearch.data.references import lend
from lightsearch.design.decoding import replay
from lightsearch.searching.pruning import HalvingPruner, PredictedPruner, RungPruner, TargetPruner
from lightsearch.space import Sampler
from lightsearch.workers.local import local_slots
from lightsearch.workers.process_slot import ProcessSlot

DESIGN = ls.seq(ls.conv(4), ls.gap(), ls.linear(2))
OPEN = ls.seq(ls.conv(ls.oneof(4, 8)), ls.gap(), ls.linear(2))
PIXELS, LABELS = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
DATA = ls.make_dataset((PIXELS, LABELS), (PIXELS, LABELS))
ROW = {
    "design": "conv(4) gap linear(2)",
    "recipe": "recipe()",
    "epochs": 1,
    "seed": 0,
    "dataset": "own",
    "checksum": "x",
    "engine": "torch",
    "device": "cpu",
}


def _search(**given: Any) -> Callable[[], Any]:
    return lambda: ls.search(
        **{
            "budget": 900,
            "epochs": 2,
            "dataset": "digits",
            "quiet": True,
            "study": "nowhere",
            **given,
        }
    )


def _task(**given: Any) -> Any:
    return ls.Task(
        **{
            "design": DESIGN,
            "recipe": ls.Recipe(),
            "data": lend(DATA),
            "epochs": 2,
            "seed": 0,
            **given,
        }
    )


def _train(**given: Any) -> Callable[[], Any]:
    return lambda: _task(**given)


def _own(
    train: Any = (PIXELS, LABELS), test: Any = (PIXELS, LABELS), **given: Any
) -> Callable[[], Any]:
    return lambda: ls.make_dataset(train, test, **given)


def _set(**given: Any) -> Callable[[], Any]:
    return lambda: ls.DataSet(
        **{"name": "x", "train": DATA.train, "test": DATA.test, "classes": 2, **given}
    )


def _row(**given: Any) -> Callable[[], Any]:
    return lambda: ls.rebuild({**ROW, **given})


def _confirm(designs: Any = DESIGN, **given: Any) -> Callable[[], Any]:
    return lambda: ls.confirm(designs, **{"dataset": DATA, "quiet": True, **given})


EMPTY = (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
LARGER = (torch.zeros(4, 1, 9, 9, dtype=torch.uint8), DATA.test[1])

LAYERS: list[tuple[Callable[[], Any], str]] = [
    (lambda: ls.add(3, []), "a part must be a layer, a sequence or a choice, but got 3"),
    (lambda: ls.concat([], []), "concat: `first` or `second` must have a layer, but got none"),
    (lambda: ls.adaptive(0), "adaptive: `size` must be an integer from 1 to 99, or two of them"),
    (lambda: ls.split(0, 0), "split: `of` must be an integer from 1"),
    (lambda: ls.shuffle(0), "shuffle: `groups` must be an integer from 1"),
    (lambda: ls.widen(0), "widen: `out` must be an integer from 1"),
    (lambda: ls.pad(-1), "pad: `before` must be an integer from 0 to 99, or two of them, "),
    (lambda: ls.norm("x"), "norm: `by` must be one of batch, group, layer, none"),
    (lambda: ls.act("x"), "act: `function` must be one of relu, gelu"),
    (lambda: ls.inverted(0), "inverted: `out` must be an integer from 1"),
    (lambda: ls.ghost(0), "ghost: `out` must be an integer from 1"),
]

# (call, type of the error, what the message begins with or holds)
TABLE: list[tuple[Callable[[], Any], str, str]] = [
    # search, iter_search and the command line check in one place
    (_search(select_on="x"), "Argument", "`select_on` must be test or val, but got 'x'"),
    (_search(select_on="val", val_size=0), "Argument", "`val_size` must be an integer from 1 to"),
    (_search(select_on="val", val_seed="x"), "Argument", "`val_seed` must be an integer from"),
    (_search(val_size=10), "Argument", "`val_size` must be given with select_on='val'"),
    (_search(repeatable=3), "Argument", "`repeatable` must be True or False"),
    (_search(precision="x"), "Argument", "`precision` must be one of float32, tf32, bf16"),
    (_search(slots_per_gpu=0), "Argument", "`slots_per_gpu` must be an integer from 1 to 64"),
    (_search(slots=3), "Argument", "`slots` must be a sequence of slots, but got slots=3"),
    (_search(slots=[], workers=1), "Argument", "`slots` must be as many as the"),
    (_search(keep_orientation=3), "Argument", "`keep_orientation` must be True or False"),
    (_search(keep_orientation=True, recipe="recipe()"), "Argument", "must not be given with a"),
    (_search(confirm=1), "Argument", "`confirm` must be an integer from 2 to 1000"),
    (_search(confirm_top="x"), "Argument", "`confirm_top` must be an integer from 1 to 1000"),
    (
        _search(budget="x"),
        "Argument",
        "`budget.params` must be an integer >= 1 or None, but got params='x'",
    ),
    (_search(budget=True), "Argument", "but got params=True"),
    (
        _search(epochs=0),
        "Argument",
        "`epochs` must be an integer from 1 to 10000, but got epochs=0",
    ),
    (_search(epochs=1.5), "Argument", "but got epochs=1.5"),
    (
        _search(target=99.4),
        "Argument",
        "`target` must be a number above 0 and at most 1, but got target=99.4",
    ),
    (_search(target=float("nan")), "Argument", "but got target=nan"),
    (
        _search(space=3),
        "Argument",
        "`space` must be a sequence of layers or its notation, but got 3",
    ),
    (_search(space="conv(4"), "Notation", "expected `,` or `)`, but got the end of the text"),
    (_search(recipe=3), "Argument", "`recipe` must be a Recipe or its notation, but got 3"),
    (_search(dataset="minst"), "Argument", "`dataset` must be one of mnist, "),
    (
        _search(dataset=None),
        "Argument",
        "`dataset` must be the name of a data set, a folder of "
        "images, or a DataSet, but got dataset=None",
    ),
    (_search(data=3), "Argument", "`data` must be a path, but got data=3"),
    (_search(dataset="mnist", data="/no-such"), "Data", "'mnist' was not found in /no-such"),
    (
        _search(trials=0),
        "Argument",
        "`trials` must be an integer from 1 to 1000000, but got trials=0",
    ),
    (
        _search(timeout=-1),
        "Argument",
        "`timeout` must be a number above 0 and at most inf, but got timeout=-1",
    ),
    (
        _search(epoch_timeout=0),
        "Argument",
        "`epoch_timeout` must be a number above 0 and at most inf, but got epoch_timeout=0",
    ),
    (_search(epoch_timeout=None), "Argument", "but got epoch_timeout=None"),
    (_search(stop_after_hits=0), "Argument", "`stop_after_hits` must be an integer from 1"),
    (
        _search(sampler="best"),
        "Argument",
        "`sampler` must be one of model, near-cap, uniform, evolution, tpe, random, or an Optuna "
        "sampler, but got 'best'",
    ),
    (
        _search(pruner=3),
        "Argument",
        "`pruner` must be one of predicted, rungs, target, median, halving, none, or an Optuna "
        "pruner, but got 3",
    ),
    (
        _search(workers=0),
        "Argument",
        "`workers` must be an integer from 1 to 1024, but got workers=0",
    ),
    (_search(study=""), "Argument", "`study` must be a path, but got study=''"),
    (_search(study=3), "Argument", "`study` must be a path, but got study=3"),
    (_search(study="a\ud800"), "Argument", "`study` must be a path that can be, but got study="),
    (_search(warm_start="a\0"), "Argument", "`warm_start` must be a path, but got warm_start="),
    (lambda: ls.read("x" * 5000), "Argument", "`path` must be a path that can be, but got path="),
    (
        _search(study="/dev/null/x"),
        "Study",
        "folder must be writable and have room, but /dev/null/x is not",
    ),
    (_search(seed=2**70), "Argument", "`seed` must be an integer from -9223372036854775808"),
    (_search(device=3), "Argument", "`device` must be auto"),
    (
        _search(engine="gpu"),
        "Argument",
        "`engine` must be one of auto, native, torch, surrogate, but got engine='gpu'",
    ),
    (_search(quiet="yes"), "Argument", "`quiet` must be True or False, but got quiet='yes'"),
    # budgets, data sets
    (
        lambda: ls.Budget(macs=0),
        "Argument",
        "`budget.macs` must be an integer >= 1 or None, but got macs=0",
    ),
    (lambda: ls.load("x"), "Argument", "`name` must be one of mnist, "),
    (lambda: ls.load("mnist", 3), "Argument", "`data` must be a path, but got data=3"),
    (_own(train=None), "Data", "`train` must be a pair of images and labels, but got None"),
    (_own(test=(PIXELS,)), "Data", "`test` must be a pair of images and labels"),
    (_own(name=3), "Argument", "`name` must be a string, but got name=3"),
    (_own(name="mnist"), "Argument", "`name` must be none of mnist"),
    (_own(train=(PIXELS[:0], LABELS[:0])), "Data", "train images must not be empty, but got (0, "),
    (
        _own(train=(PIXELS, LABELS * 2)),
        "Data",
        "every class must have a training image, but class 1 of 3 has none",
    ),
    (
        _own(test=(PIXELS[:, :7], LABELS)),
        "Data",
        "training and test images must have one shape, but got (1, 8, 8) and (1, 7, 8)",
    ),
    (_own(train=("abc", LABELS)), "Data", "train images must be a tensor or an array of numbers"),
    (
        _set(train=None),
        "Argument",
        "`train` must be a tensor of images and one of labels, but got None",
    ),
    (_set(test=EMPTY), "Argument", "but got torch.uint8 (0, 1, 8, 8) and torch.int64 (0,)"),
    (_set(test=LARGER), "Argument", "must have one shape, but got (1, 8, 8) and (1, 9, 9)"),
    (
        _set(test=(DATA.test[0], DATA.test[1] + 5)),
        "Argument",
        "test labels must be from 0 to 1, but got 5 to 6",
    ),
    (
        _set(classes="x"),
        "Argument",
        "`classes` must be an integer from 1 to 200, but got classes='x'",
    ),
    (
        lambda: ls.folder_dataset("/no-such"),
        "Data",
        "a folder of images must exist, but /no-such does not",
    ),
    (lambda: ls.folder_dataset(3), "Argument", "`folder` must be a path, but got folder=3"),
    (lambda: ls.folder_dataset(".", size=97), "Argument", "`size` must be an integer from"),
    (lambda: ls.folder_dataset(".", test="x"), "Argument", "`test` must be above 0 and below 1"),
    (lambda: ls.folder_dataset(".", seed=-1), "Argument", "`seed` must be an integer from 0 to"),
    (lambda: ls.folder_dataset(".", gray=3), "Argument", "`gray` must be True or False"),
    (lambda: ls.torchvision_dataset("x"), "Argument", "`name` must be one of"),
    (lambda: ls.torchvision_dataset(3), "Argument", "`name` must be a name, but got name=3"),
    # results, tables
    (lambda: ls.load_result(3), "Argument", "`study` must be a path, but got study=3"),
    (lambda: ls.load_result("/no-such"), "Study", "must hold a study.json, but /no-such has none"),
    (
        lambda: ls.load_weights("/no-such", "x"),
        "Argument",
        "`trial` must be an integer from 0 to 1000000000, but got trial='x'",
    ),
    (lambda: ls.load_weights("/no-such", 0), "Study", "the weights of trial 0 must be in"),
    (lambda: ls.read(3), "Argument", "`path` must be a path, but got path=3"),
    (
        lambda: ls.read("/no-such"),
        "Argument",
        "must be a CSV file with a column rank, but /no-such is not",
    ),
    (lambda: ls.rebuild(3), "Argument", "a row must have a whole design"),
    (_row(epochs=0), "Argument", "`epochs` must be an integer from 1 to 10000, but got epochs=0"),
    (_row(epochs=float("inf")), "Argument", "a row must have"),
    (_row(epochs=1.5), "Argument", "but 1.5 must be an integer"),
    (
        lambda: ls.rebuild({key: ROW[key] for key in ROW if key != "dataset"}),
        "Argument",
        "a row must have a whole design, recipe, epochs, seed and data set, but it has no "
        "`dataset`",
    ),
    (_row(seed=10**30), "Argument", "`seed` must be an integer from"),
    (_row(engine="x"), "Argument", "`engine` must be one of native, torch"),
    (_row(device="gpu"), "Argument", "`device` must be cpu or cuda, but got device='gpu'"),
    (
        _row(design="conv(8|9)"),
        "Argument",
        "`design` must have no choices left, but got design=conv(8|9)",
    ),
    (_row(recipe="recipe(lr=0.1|0.2)"), "Argument", "`recipe` must have no choices left"),
    (lambda: ls.rebuild(ROW, dataset=3), "Argument", "`dataset` must be a DataSet"),
    (lambda: ls.rebuild(ROW, data=3), "Argument", "`data` must be a path, but got data=3"),
    # training
    (
        _train(design="conv(8)"),
        "Argument",
        "`design` must be a design (`parse` reads notation), but got design='conv(8)'",
    ),
    (_train(design=OPEN), "Argument", "`design` must have no choices left"),
    (_train(recipe="recipe()"), "Argument", "`recipe` must be a Recipe (`parse_recipe` reads "),
    (_train(data=DATA), "Argument", "`data` must be a reference to a data set"),
    (_train(epochs=0), "Argument", "`epochs` must be an integer from 1"),
    (_train(seed=1.5), "Argument", "but got seed=1.5"),
    (_train(engine=3), "Argument", "`engine` must be one of auto, native, torch"),
    (_train(device="mps"), "Argument", "`device` must be cpu or cuda, but got device='mps'"),
    (
        lambda: list(ls.train(3)),
        "Argument",
        "`task` must be a design, its notation, or a Task, as `rebuild` makes, but got task=3",
    ),
    (
        lambda: ls.train(3, dataset="digits"),
        "Argument",
        "`task` must be a design, its notation, or a Task, as `rebuild` makes, but got task=3",
    ),
    (
        lambda: ls.train(DESIGN, dataset=DATA.train),
        "Argument",
        "`dataset` must be the name of a data set, a folder of images, or a DataSet, but got "
        "dataset=tuple of Tensor of shape (4, 1, 8, 8), Tensor of shape (4,): `make_dataset` "
        "makes a DataSet of tensors or arrays",
    ),
    (_train(precision="x"), "Argument", "`precision` must be one of float32, tf32, bf16, but got"),
    (lambda: ls.run_epoch(3, None, 1), "Argument", "`task` must be a Task"),
    (
        lambda: ls.run_epoch(_task(), None, 3),
        "Argument",
        "`epoch` must be an integer from 1 to 2, but got epoch=3",
    ),
    (lambda: ls.run_epoch(_task(), None, "x"), "Argument", "but got epoch='x'"),
    (
        lambda: ls.run_epoch(_task(), None, 2),
        "Argument",
        "`state` must be None at epoch 1 and only there, but got epoch=2",
    ),
    (
        lambda: ls.run_epoch(_task(), 3, 2),
        "Argument",
        "`state` must be what epoch 1 of this task gave, but got a int",
    ),
    (
        lambda: ls.run_epoch(_task(), {"a": torch.zeros(1)}, 2),
        "Argument",
        "`state` must be what epoch 1",
    ),
    # designs
    *(
        (call, "Argument", "`design` must be a sequence of layers")
        for call in (
            lambda: ls.cost(3),
            lambda: ls.fingerprint(3, (1, 28, 28)),
            lambda: ls.build(None),
            lambda: ls.summary(3),
        )
    ),
    *(
        (call, "Argument", "`shape` must be three integers >= 1")
        for call in (
            lambda: ls.cost(DESIGN, (1, 28)),
            lambda: ls.fingerprint(DESIGN, (0, 28, 28)),
            lambda: ls.build(DESIGN, 3),
            lambda: ls.summary(DESIGN, ("a", 1, 1)),
            lambda: ls.survey(DESIGN, 3),
            lambda: ls.default_space((1, 28)),
        )
    ),
    (lambda: ls.cost(DESIGN, classes="x"), "Argument", "`classes` must be an integer from 1"),
    (
        lambda: ls.cost(DESIGN, classes=3),
        "Design",
        "the output must be 3x1x1, one value a class, but got 2x1x1 at [2]",
    ),
    (
        lambda: ls.cost(OPEN),
        "Design",
        "must have no choices left to be costed or built, but got conv(oneof(4, 8)) at [0]",
    ),
    (lambda: ls.build(ls.seq(ls.conv(4, kernel=31, padding=0))), "Design", "at [0]"),
    (lambda: ls.default_space(classes=0), "Argument", "`classes` must be an integer from 1"),
    (lambda: ls.survey(3), "Argument", "`space` must be a sequence of layers or its notation"),
    (lambda: ls.survey("conv(8"), "Notation", "expected `,` or `)`"),
    (
        lambda: ls.survey(DESIGN, budget="x"),
        "Argument",
        "`budget.params` must be an integer >= 1 or None, but got params='x'",
    ),
    (lambda: ls.default_space(budget=0), "Argument", "`budget.params` must be an integer >= 1"),
    (lambda: ls.survey(DESIGN, classes=2, budget=3), "Budget", "has at most 3 parameters"),
    (lambda: ls.survey(DESIGN, limit=-1), "Argument", "`limit` must be an integer from 0"),
    (lambda: ls.survey(DESIGN, draws=0), "Argument", "`draws` must be an integer from 1"),
    (lambda: ls.survey(DESIGN, seed="x"), "Argument", "`seed` must be an integer"),
    (
        lambda: ls.survey(DESIGN, classes=2).histogram("x"),
        "Argument",
        "`bins` must be an integer from 1",
    ),
    (lambda: ls.decode(3, len), "Argument", "`space` must be a sequence of layers or a recipe"),
    (lambda: ls.decode(OPEN, 3), "Argument", "`choose` must be a function, but got choose=3"),
    (
        lambda: ls.decode(OPEN, lambda path, options: 7),
        "Design",
        "`choose` must give an index below 2 at [0].out, but gave 7",
    ),
    # the language
    (lambda: ls.parse(3), "Argument", "`text` must be a string, but got text=3"),
    (
        lambda: ls.parse("conv(0)"),
        "Notation",
        "conv: `out` must be an integer from 1 to 1000000, but got out=0\n  conv(0)\n       ^",
    ),
    (lambda: ls.parse_recipe("gap"), "Notation", "expected recipe(...), but got 'gap'"),
    (lambda: ls.format_text(3), "Argument", "`value` must be a design, space, layer or recipe"),
    (
        lambda: ls.conv("x"),
        "Design",
        "conv: `out` must be an integer from 1 to 1000000, but got out='x'",
    ),
    (lambda: ls.conv({}), "Design", "but got out={}"),
    (lambda: ls.depthwise(kernel=0), "Design", "`kernel` must be"),
    (lambda: ls.separable(-1), "Design", "`out` must be an integer from 1"),
    (lambda: ls.linear(0), "Design", "but got out=0"),
    (
        lambda: ls.dropout(2),
        "Design",
        "dropout: `rate` must be a number from 0 to below 1, but got rate=2",
    ),
    (lambda: ls.maxpool(0), "Design", "`kernel` must be an integer from 1"),
    (lambda: ls.avgpool("x"), "Design", "`kernel` must be an integer from 1"),
    (lambda: ls.se(0), "Design", "se: `"),
    (lambda: ls.residual(3), "Design", "but got"),
    (lambda: ls.loop([], 2), "Design", "`body` must have at least one layer, but got none"),
    (lambda: ls.loop(ls.gap(), 0), "Design", "`passes` must be an integer from 1 to 100"),
    (lambda: ls.seq(3), "Design", "but got 3"),
    (lambda: ls.oneof(), "Design", "a choice must have at least 2 options, but got none"),
    (lambda: ls.oneof({}, []), "Design", "options of a choice must be"),
    (lambda: ls.oneof({}, 3), "Design", "must be plain values or layers, but got {}"),
    (lambda: ls.oneof(1, 2, name="a b"), "Design", "the name of a choice must be letters"),
    (lambda: ls.maybe(3), "Design", "but got 3"),
    (
        lambda: ls.repeat(ls.gap(), -1),
        "Design",
        "`times` must be an integer from 0 to 1000, but got times=-1",
    ),
    (
        lambda: ls.Recipe(lr="x"),
        "Design",
        "recipe: `lr` must be a number from 1e-08 to 100, but got lr='x'",
    ),
    (lambda: ls.register("x", 3, cost=len, module=len), "Argument", "`cls` must be a class"),
    (lambda: ls.register_optimizer("x", 3), "Argument", "`function` must be a function, but got"),
    (lambda: ls.register_loss("a b", len), "Design", "the name of a step must be letters, digits"),
    (lambda: ls.register_augmentation("none", len), "Design", "the augmentation 'none' is regist"),
    (lambda: ls.make_teacher(3), "Argument", "`teacher` must be a Teacher or a PyTorch module"),
    (lambda: ls.find_teacher(3), "Argument", "a row must have a whole design"),
    (_search(teacher=3), "Argument", "`teacher` must be a Teacher or a PyTorch module, but got 3"),
    (_search(recipe="recipe(distill=0.5)"), "Argument", "`teacher` must be given with a recipe"),
    (
        lambda: ls.register(3, type(ls.gap()), cost=len, module=len),
        "Design",
        "lower-case letters, digits and _, but got 3",
    ),
    (
        lambda: ls.register("x", type(ls.gap()), cost=3, module=len),
        "Argument",
        "`cost` must be callable",
    ),
    # confirming, taking away, pictures
    (lambda: ls.confirm(3), "Argument", "`designs` must be a design, its notation, or rows"),
    (_confirm(seeds=1), "Argument", "`seeds` must be an integer from 2 to 1000, but got seeds=1"),
    (_confirm(halving=1), "Argument", "`halving` must be True or False, but got halving=1"),
    (_confirm(target=2), "Argument", "`target` must be a number above 0 and at most 1"),
    (_confirm(epochs=0), "Argument", "`epochs` must be an integer from 1 to 10000"),
    (_confirm(workers="x"), "Argument", "`workers` must be an integer from 1 to 1024"),
    (_confirm(dataset=3), "Argument", "`dataset` must be a name, a folder of images, or a"),
    (_confirm(on=3), "Argument", "`on` must be a name, a folder of images, or a DataSet"),
    (_confirm(study=3), "Argument", "`study` must be a path, but got study=3"),
    (_confirm(engine="x"), "Argument", "`engine` must be one of auto, native, torch"),
    (_confirm(designs=OPEN), "Argument", "`design` must have no choices left"),
    (lambda: ls.export(3, "x.onnx"), "Argument", "a row must have a whole design"),
    (lambda: ls.export(ROW, 3), "Argument", "`path` must be a path, but got path=3"),
    (lambda: ls.export(ROW, "x.txt"), "Argument", "`path` must end in .onnx, .pt2, .safetensors"),
    (lambda: ls.export(ROW, "/no-such/x.py"), "Argument", "must be in a folder that exists"),
    (lambda: ls.export(ROW, "x.py", int8=True), "Argument", "`int8` must go with a path that"),
    (lambda: ls.predict(3, "x.png"), "Argument", "`net` must be a path, but got net=3"),
    (lambda: ls.predict("x.txt", "x.png"), "Argument", "a network must be a file that ends in"),
    (lambda: ls.predict("x.onnx", "x.png"), "Argument", "a network must be a file, but there is"),
    (lambda: ls.export_script(ROW, "x.txt"), "Argument", "`path` must end in .py, .ipynb"),
    (lambda: ls.export_script(3, "x.py"), "Argument", "a row must have a whole design"),
    (lambda: ls.write_report(3), "Argument", "`study` must be a result of a search, or a study's"),
    (lambda: ls.pack(3, "x.zip"), "Argument", "`study` must be a path, but got study=3"),
    (lambda: ls.unpack(3, "x"), "Argument", "`archive` must be a path, but got archive=3"),
    (
        lambda: ls.dask_slots(3),
        "Argument",
        "`client` must be a distributed.Client, or a scheduler",
    ),
    (lambda: ls.dask_slots("tcp://x", 0), "Argument", "`workers` must be an integer from 1 to"),
    (lambda: ls.ray_slots(0), "Argument", "`workers` must be an integer from 1 to"),
    (lambda: ls.compare(3), "Argument", "`studies` must be studies, or a mapping of labels"),
    (lambda: ls.compare([]), "Argument", "studies to compare must be at least one"),
    (lambda: ls.compare(["/nowhere"]), "Study", "a study's folder must hold a study.json"),
    *((call, "Design", text) for call, text in LAYERS),
    (lambda: ls.to_source(3), "Argument", "`design` must be a sequence of layers"),
    (lambda: ls.to_source(OPEN), "Design", "a layer must have no choices left"),
    (lambda: ls.to_source(DESIGN, name="a b"), "Argument", "`name` must be a name for a class"),
    (lambda: ls.to_source(DESIGN, shape=3), "Argument", "`shape` must be three integers >= 1"),
    (lambda: ls.plot_design(3), "Argument", "`design` must be a sequence of layers"),
    (lambda: ls.plot_design(DESIGN, 3), "Argument", "`shape` must be three integers >= 1"),
    # what stands beside
    (lambda: ls.zoo["x"], "Argument", "but got"),
    (lambda: TargetPruner("x"), "Argument", "`target` must be a number above 0"),
    (
        lambda: TargetPruner(0.9, warmup="x"),
        "Argument",
        "`warmup` must be >= 0, but got warmup='x'",
    ),
    (
        lambda: local_slots(1.5),
        "Argument",
        "`workers` must be an integer from 0 to 100000, but got workers=1.5",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), TABLE, ids=[f"{n}-{m[:40]}" for n, (_, _, m) in enumerate(TABLE)]
)
def test_what_is_out_of_range_or_of_the_wrong_kind(
    call: Callable[[], Any],
    kind: str,
    message: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSEARCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    with pytest.raises(getattr(errors, f"{kind}Error"), match=re.escape(message)):
        call()
    assert not list(tmp_path.iterdir()), "nothing was begun"


# Values that would fill a screen, or that have no truth value.

ARRAYS: list[tuple[str, Callable[[Any], Any]]] = [
    *(
        (name, lambda given, name=name: _search(**{name: given})())
        for name in (
            *("device", "engine", "precision", "sampler", "pruner", "goal", "select_on"),
            *("directions", "objective", "space", "recipe", "dataset", "val_size", "slots"),
        )
    ),
    *(
        (f"train {name}", lambda given, name=name: ls.train(DESIGN, **{name: given}))
        for name in ("dataset", "recipe", "device", "engine", "precision")
    ),
    *(
        (f"task {name}", lambda given, name=name: _task(**{name: given}))
        for name in ("device", "engine", "precision", "design", "recipe", "data")
    ),
    ("zoo", lambda given: ls.zoo[given]),
    ("load", lambda given: ls.load(given)),
    ("load_result", lambda given: ls.load_result(given)),
    ("oneof", lambda given: ls.oneof(given, given + 1)),
    ("oneof twice", lambda given: ls.oneof("x" * 9999, "x" * 9999)),
    ("oneof name", lambda given: ls.oneof(1, 2, name=given)),
    ("by", lambda given: ls.compare(["nowhere"], by=given)),
    ("measure", lambda given: ls.compare(["nowhere"], measure=given)),
    ("survey", lambda given: ls.survey(OPEN, budget=given)),
    ("default_space", lambda given: ls.default_space(budget=given)),
    ("make_dataset", lambda given: _own(name=given)()),
    ("make_dataset name", lambda given: _own(name="=" * 9999)()),
]


@pytest.mark.parametrize(("name", "call"), ARRAYS, ids=[name for name, _ in ARRAYS])
@pytest.mark.parametrize("given", [torch.ones(3, 300), np.ones((3, 300))], ids=["torch", "numpy"])
def test_arrays_are_shown_by_their_shape(
    name: str, call: Callable[[Any], Any], given: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.LightsearchError, match="must") as caught:
        call(given)
    said = str(caught.value)
    assert len(said) < 600 and "1., 1." not in said and not list(tmp_path.iterdir())


def test_a_budget_may_be_a_number_wherever_one_is_taken() -> None:
    assert ls.survey(OPEN, classes=2, budget=60) == ls.survey(
        OPEN, classes=2, budget=ls.Budget(params=60)
    )
    wide = ls.default_space(budget=50_000)
    assert wide == ls.default_space(budget=ls.Budget(params=50_000)) != ls.default_space()
    assert Sampler(OPEN, (1, 8, 8), 2, 60).budget == ls.Budget(params=60)


@pytest.mark.parametrize("name", ["by"])
def test_an_order_that_is_none(name: str) -> None:
    from lightsearch.result import SearchResult
    from lightsearch.study.identity import Identity

    asked = Identity(ls.Budget(), 1, Fraction(1, 2), "", "", "", "", "", "", 1, 0, "")
    empty = SearchResult(Path(), asked, ())
    with pytest.raises(errors.ArgumentError, match="`by` must be one of accuracy, params, epochs"):
        empty.ranked(**{name: "size"})


def test_every_public_function_is_in_the_table() -> None:
    text = Path(__file__).read_text()
    without = {
        "iter_search",  # checks as `search` does
        "curves",  # has no arguments
        "gap",
        "gate",  # have no arguments with a range
        "integer",
        "real",
        "word",
        "flag",
        "Local",  # declare layer kinds; see test_design
        "log_to_mlflow",
        "log_to_wandb",  # take a trial; see test_tracking
        *("Candidate", "Comparison", "Cost", "DataRef", "Design", "Entry", "EpochResult"),
        *(
            "Exported",
            "Plots",
            "Prediction",
            "Row",
            "Space",
            "Survey",
            "Teacher",
            "Trial",
        ),  # values given
    }
    for name in ls.__all__:
        value = getattr(ls, name)
        if callable(value) and name not in without and not name.endswith(("Error", "Result")):
            assert re.search(rf"\bls\.{name}\b", text) or name == "Layer", name


def test_numpy_numbers_in_pruners_and_records() -> None:
    pruner = TargetPruner(
        np.float32(0.994), warmup=np.int64(2), startup=np.int32(4), slack=np.float64(0.5)
    )
    values = pruner.target, pruner.warmup, pruner.startup, pruner.slack
    assert values == (0.994, 2, 4, 0.5)
    assert [type(value) for value in values] == [float, int, int, float]
    predicted = PredictedPruner(np.float64(0.9), 3, errors=np.int64(2))
    assert (predicted.errors, type(predicted.errors)) == (2, int)
    rungs = RungPruner(np.int64(15), (np.float64(0.5), np.float32(0.25)), np.int8(2))
    assert (rungs.shares, rungs.first) == ({1: 0.5, 3: 0.25}, 2)
    assert [type(one) for one in (*rungs.shares, *rungs.shares.values())] == [
        int,
        int,
        float,
        float,
    ]
    halving = HalvingPruner(np.int64(3))
    assert (halving.first, type(halving.first)) == (3, int)
    for wrong in (
        lambda: RungPruner(0),
        lambda: RungPruner(15, (0.5, 2.0)),
        lambda: RungPruner(15, 0.5),  # type: ignore[arg-type]
        lambda: RungPruner(15, first=-1),
        lambda: HalvingPruner(0),
        lambda: HalvingPruner(1.5),  # type: ignore[arg-type]
        lambda: TargetPruner(0.9, consistent=0),
        lambda: PredictedPruner(0.9, 3, images=0),
    ):
        with pytest.raises(errors.ArgumentError, match=r"`\w+` must be .*, but got"):
            wrong()
    index = replay({"a": np.int64(1)})("a", (3, 4))  # type: ignore[dict-item]
    assert (index, type(index)) == (1, int)
    for wrong in (np.int64(2), np.float64(1.0), np.bool_(True)):
        with pytest.raises(errors.DesignError, match="must give an index below 2"):
            replay({"a": wrong})("a", (3, 4))  # type: ignore[dict-item]


def test_numpy_numbers_in_slots_spaces_and_choices() -> None:
    assert repr(local_slots(np.int64(1), np.uint8(2))) == repr(local_slots(1, 2))
    assert repr(ProcessSlot(np.int16(2))) == repr(ProcessSlot(2))
    for threads in (0, 1.5, True):
        with pytest.raises(errors.ArgumentError, match="`threads` must be an integer from 1"):
            ProcessSlot(threads)  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    decided = ls.decode(OPEN, lambda path, options: generator.integers(len(options)))
    assert str(decided) in ("conv(4) gap linear(2)", "conv(8) gap linear(2)")
    shape = (np.int64(1), np.int64(9), np.int64(9))  # of no other test: costs are kept by shape
    sampler = Sampler(OPEN, shape, np.int64(2), tries=np.int16(50))
    assert sampler.draw(random.Random(0))[1]
    assert type(ls.cost("conv(4) gap linear(2)", shape, 2).params) is int
    assert type(ls.survey(OPEN, shape, np.int64(2)).counts[0][0]) is int


@pytest.mark.usefixtures("registry")
def test_numpy_numbers_in_the_cost_of_ones_own_layer() -> None:
    @dataclass(frozen=True, slots=True, repr=False)
    class Scaled(ls.Layer):
        by: float = ls.real(1.0)

    stated: list[Any] = [ls.Local((np.int64(4), 3, 3), params=np.prod((4, 3)), macs=np.int32(9))]
    ls.register(
        "scaled",
        Scaled,
        cost=lambda layer, shape: stated[0],
        module=lambda *_: torch.nn.Identity(),
    )
    spent = ls.cost("conv(4) scaled(0.5) gap linear(2)", (1, 8, 8))
    assert spent.rows[1].shape == (4, 3, 3)
    assert {type(n) for n in (spent.params, spent.macs, *spent.rows[1].shape)} == {int}
    for by, wrong, rule in (
        (2, ls.Local((4, 3, 3), params=1.5), "`params of scaled` must be an integer from 0"),  # type: ignore[arg-type]
        (3, ls.Local((4, 3, 3), macs=-1), "`macs of scaled` must be an integer from 0"),
        (4, 12, "`cost of scaled` must be a Local, but got"),
        (5, ls.Local((4, 3)), r"`shape` must be three integers >= 1"),  # type: ignore[arg-type]
    ):
        stated[0] = wrong
        with pytest.raises(errors.ArgumentError, match=rule):
            ls.cost(f"conv(4) scaled({by}) gap linear(2)", (1, 8, 8))


def test_numpy_numbers_in_pictures() -> None:
    result = made.result(12)
    five = result.plot.space(bins=5).patches
    assert len(result.plot.space(bins=np.int64(5)).patches) == len(five) > 0
    for call in (lambda: result.plot.space(bins=0), lambda: result.plot.choices(most=1.5)):
        with pytest.raises(errors.ArgumentError, match=r"`(bins|most)` must be an integer from 1"):
            call()
