"""`export`: write a trained network to a file, read it back, check it on the test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lightsearch.checks import check_path
from lightsearch.data.dataset import DataSet
from lightsearch.errors import ArgumentError
from lightsearch.exporting import folding
from lightsearch.exporting.card.page import File, check_license, format_card
from lightsearch.exporting.card.results import find_history
from lightsearch.exporting.checks import check_record, check_scores, check_target
from lightsearch.exporting.finding import Source, Told, find_net
from lightsearch.exporting.formats import (
    WRITERS,
    Plan,
    count_right,
    load_module,
    run_file,
    save_weights,
    score_all,
)
from lightsearch.exporting.placing import placing
from lightsearch.exporting.reading import scorer
from lightsearch.exporting.trained import TrainedNet, is_held_out
from lightsearch.formatting import percent, plural
from lightsearch.network.cost import cost
from lightsearch.presentation import Presented, Sheet
from lightsearch.study.signing import COMMENTS, sign
from lightsearch.torch_modes import plain_modes


@dataclass(frozen=True, slots=True, repr=False)
class Exported(Presented):
    """An exported file, and its results on the test images, or on the held-out ones if those
    selected.

    Read back, the file gets `correct` of `total` images right, and gives `same` of them PyTorch's
    class. It stores `values` numbers in `value_bytes` of its `size` bytes (with `.py`, those of
    the weights beside it). `recorded` is the accuracy on record, and `origin` says where the
    weights come from.
    """

    path: Path
    correct: int
    total: int
    same: int
    values: int
    value_bytes: int
    size: int
    recorded: float
    origin: str
    metadata: dict[str, str]
    card: Path | None = None

    @property
    def accuracy(self) -> float:
        """Share of the images that the file gets right, from 0 to 1."""
        return self.correct / self.total

    def __str__(self) -> str:
        sheet = self._sheet()
        (_, measured), *others = sheet.lines
        lines = [f"{name}: {text}" for name, text in others]
        return "\n".join([sheet.title, measured, *lines])

    def _sheet(self) -> Sheet:
        images = "held-out" if is_held_out(self.metadata) else "test"
        checked_by = self.metadata.get("checked_by", "the file itself")
        held = "on the board" if self.path.suffix.lower() == ".c" else "of them"
        return Sheet(
            f"{self.path}: {plural(self.size, 'byte')}, {self.value_bytes:,} {held} for "
            f"{plural(self.values, 'stored value')}",
            (
                (
                    "measured",
                    f"{percent(self.accuracy)} of {self.total:,} {images} images by {checked_by}; "
                    f"{self.same:,} have PyTorch's class",
                ),
                ("weights", self.origin),
                ("on record", self.metadata["protocol"]),
                *([("card", str(self.card))] if self.card else []),
            ),
        )


@plain_modes()
def export(
    source: Source,
    path: str | Path,
    *,
    row: int = 1,
    fold: bool = False,
    int8: bool = False,
    study: str | Path | None = None,
    dataset: DataSet | None = None,
    data: str | Path | None = None,
    told: Told | None = None,
    card: str | Path | None = None,
    license: str | None = None,
    force: bool = False,
) -> Exported:
    """Write a trained network to `path`: `.onnx`, `.pt2`, `.safetensors`, `.py` or `.c`.

        result = search(budget=8000, epochs=15)
        print(export(result, "net.onnx"))

    `source` is a search's result or a study's folder, whose `row` of that rank is taken; a
    leaderboard's row; or a `.safetensors` that lightsearch wrote. A
    row without its `study` is trained again, and `told` is called with each epoch's result.
    `dataset` or `data` say where the images are, as in `rebuild`.

    - `.onnx` is a graph for onnxruntime and others; `.pt2` a program for `torch.export.load`;
      `.safetensors` the weights, with the names of `build`; `.py` the source, with its weights in
      a `.safetensors` beside it; `.c` a file of C99, with its header beside it.
      Each but `.c` maps normalised float32 images of (N, C, H, W), for any N, to (N, classes)
      scores; `.c` takes one image. The normalisation, the design and the accuracy with its
      protocol are in the file's metadata, or in the header.
    - `fold` folds batch norm into the weights and removes dropout.
    - `int8` quantises weights and activations (`.onnx` and `.c`), after folding.
    - `card` is a Markdown file to write about it, a model card with the header that the Hugging
      Face Hub reads: what the network is, its data, training, results, limits and use. `license`
      is the license that it names; without one it says "Not stated".
    - `force` replaces what stands at `path`. Files that lightsearch exported are replaced anyway,
      text only as it was written.

    The file is read back, run on all test images, and compared with PyTorch's scores.

    Raises `ArgumentError` for a missing row, or a path or a combination that cannot be written;
    `StudyError` if the row is not the study's; `DataError` if the images are not found;
    `DesignError` for source or C with a layer kind of the user's own, and for C in int8 with a
    group or layer norm; `ExportError` for a file without a design, if a package of
    `lightsearch[export]` is missing, or if what is written does not compute what it should (it is
    removed then).
    """
    path = check_path("path", path)
    if path.suffix.lower() == ".ipynb":
        raise ArgumentError(f"`path` must not be a notebook, which `export_script` writes: {path}")
    if path.suffix.lower() not in WRITERS:
        raise ArgumentError(f"`path` must end in {', '.join(WRITERS)}, but got {path}")
    if not path.resolve().parent.is_dir():
        raise ArgumentError(f"`path` must be in a folder that exists, but got {path}")
    if int8 and path.suffix.lower() not in (".onnx", ".c"):
        raise ArgumentError(f"`int8` must go with a path that ends in .onnx or .c, but got {path}")
    check_target("path", path, force=force)
    beside = _check_card(card, license, force=force)
    net = find_net(
        source,
        row=row,
        study=study,
        dataset=dataset,
        data=data,
        told=told,
    )
    if beside is None:
        return write(net, path, fold=fold, int8=int8)
    history = find_history(source, row, study)
    with placing("card", beside) as part:

        def write_card(written: Exported) -> None:
            file = File(path, written.size, written.correct, written.total, written.metadata)
            try:
                part.write_bytes(sign(format_card(net, file, history, license), ".md"))
            except OSError as error:
                raise ArgumentError(
                    f"`card` must be a file that can be written, but {beside}: {error}"
                ) from None

        written = write(net, path, write_card, fold=fold, int8=int8)
    return dataclasses.replace(written, card=beside)


def _check_card(card: str | Path | None, license: str | None, *, force: bool) -> Path | None:
    """Return the path of a card that can be written, or None if none is asked for."""
    check_license(license)
    if card is None:
        if license is not None:
            raise ArgumentError(f"`license` must be given with `card`, but got {license!r:.60}")
        return None
    path = check_path("card", card)
    if path.suffix.lower() != ".md":
        raise ArgumentError(f"`card` must end in .md, but got {path}")
    if not path.resolve().parent.is_dir():
        raise ArgumentError(f"`card` must be in a folder that exists, but got {path}")
    check_target("card", path, force=force)
    return path


def write(
    net: TrainedNet,
    path: Path,
    then: Callable[[Exported], None] | None = None,
    *,
    fold: bool = False,
    int8: bool = False,
) -> Exported:
    """Write a network; see `export`. The file takes its place after what is done `then`."""
    costed, weights = cost(net.design, net.data.shape, net.data.classes), net.weights
    truth = score_all(scorer(load_module(costed, weights)), net.data)
    check_record(net, count_right(truth, net.data), len(truth))
    folded = fold or int8 or path.suffix.lower() == ".c"
    if folded:
        costed, weights = folding.fold(costed, weights)
    metadata = {**net.metadata, "batch_norm": "folded" if folded else "as trained"}
    plan = Plan(net, costed, weights, metadata, int8)
    with placing("path", path) as part:
        values, value_bytes = WRITERS[path.suffix.lower()](plan, part)
        for file in part.parent.iterdir():
            if file.suffix.lower() in COMMENTS:
                file.write_bytes(sign(file.read_text("utf-8"), file.suffix.lower()))
        scores = run_file(plan, part)
        if not int8:
            check_scores(path, scores, truth)
        is_source = path.suffix.lower() == ".py"
        holder = part.with_suffix(".safetensors") if is_source else part
        written = Exported(
            path,
            count_right(scores, net.data),
            len(truth),
            int((scores.argmax(1) == truth.argmax(1)).sum()),
            values,
            value_bytes,
            holder.stat().st_size,
            float(net.record["accuracy"]),
            net.origin,
            metadata,
        )
        if then is not None:
            then(written)
    return written


def write_weights(net: TrainedNet, path: Path) -> None:
    """Write the weights with their metadata as safetensors, without any check.

    Raises `ArgumentError`, which calls the path `save`, if it cannot be written.
    """
    with placing("save", path) as part:
        save_weights(net.weights, {**net.metadata, "batch_norm": "as trained"}, part)
