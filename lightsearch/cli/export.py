"""`lightsearch export` and `lightsearch predict`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightsearch.cli.design_argument import DEFAULT_TABLE, pick
from lightsearch.cli.options import data_option, json_option
from lightsearch.cli.output import print_csv, print_json, print_table
from lightsearch.formatting import percent

if TYPE_CHECKING:
    from lightsearch.exporting.writing import Exported
    from lightsearch.training.epoch_result import EpochResult


@click.command(short_help="Write a trained network as ONNX, as source, as C, as weights.")
@click.argument("file", type=click.Path())
@click.option(
    "--row", type=int, metavar="RANK", help=("The rank of a row of --leaderboard.  [default: 1]")
)
@click.option(
    "--leaderboard",
    metavar="CSV",
    type=click.Path(),
    help=f"The file of --row, or the folder of its study.  [default: {DEFAULT_TABLE}]",
)
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(),
    help=("Instead of a row: a .safetensors of `train --save`, or of this command."),
)
@click.option("--fold", is_flag=True, help="Fold batch norm into the weights.")
@click.option("--int8", is_flag=True, help="Quantise weights and activations (.onnx and .c).")
@click.option(
    "--script",
    is_flag=True,
    help="A program that trains the row's network (.py), not its source. A .ipynb is always one.",
)
@click.option(
    "--card",
    metavar="FILE",
    type=click.Path(),
    help="Write a model card about FILE, too: Markdown (.md), with a header for Hugging Face.",
)
@click.option("--license", metavar="NAME", help="The license that the card names.")
@data_option
@click.option(
    "--force", is_flag=True, help="Replace the file, also if lightsearch did not export it."
)
@json_option
def export(
    file: str,
    row: int | None,
    leaderboard: str | None,
    weights: str | None,
    fold: bool,
    int8: bool,
    script: bool,
    card: str | None,
    license: str | None,
    data: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a trained network to FILE, which ends in .onnx, .pt2, .safetensors, .py or .c.

    The weights are those of the row's best epoch, which its study keeps. If there is only the
    CSV file, the row is trained again. A .py comes with its weights in a .safetensors beside it.
    A .c is C99 for a microcontroller, with its header beside it and batch norm folded.
    The file is read back and compared with PyTorch on all test images. ONNX needs the packages
    of `pip install 'lightsearch[export]'`.

    A .ipynb, or a .py with --script, is a program that trains the network in plain PyTorch and
    torchvision, without lightsearch.

    \b
    lightsearch export net.onnx
    lightsearch export net.onnx --row 1 --leaderboard small/leaderboard.csv
    lightsearch export net.py --leaderboard small/leaderboard.csv
    lightsearch export net.c --int8 --leaderboard small/leaderboard.csv
    lightsearch export net8.onnx --int8 --leaderboard small/leaderboard.csv
    lightsearch export net.onnx --card card.md --license mit --leaderboard small/leaderboard.csv
    lightsearch export best.onnx --weights best.safetensors --fold
    lightsearch export net.ipynb --leaderboard small/leaderboard.csv
    lightsearch export train_net.py --script --leaderboard small/leaderboard.csv
    """
    from lightsearch.exporting import export as write_network

    if weights is not None and (row is not None or leaderboard is not None):
        raise click.UsageError("--weights must not be given with --row or --leaderboard")
    if script or file.lower().endswith(".ipynb"):
        if weights or fold or int8 or as_json or card or license:
            raise click.UsageError(
                "a training program must not be given with --weights, --fold, --int8, --card, "
                "--license or --json"
            )
        _write_script(file, row, leaderboard, data, force)
        return
    options: dict[str, Any] = {
        "fold": fold,
        "int8": int8,
        "card": card,
        "license": license,
        "data": data,
        "force": force,
    }
    if weights is not None:
        result = write_network(weights, file, **options)
    else:
        found, folder = _pick_row(row, leaderboard)
        show = None if as_json else _epoch_printer(found["best_epoch"])
        result = write_network(found, file, study=folder, told=show, **options)
    _print_result(result, as_json)


def _print_result(result: Exported, as_json: bool) -> None:
    if not as_json:
        click.echo(str(result))
        return
    print_json(
        {
            **dataclasses.asdict(result),
            "path": str(result.path),
            "card": result.card and str(result.card),
            "accuracy": result.accuracy,
        }
    )


def _pick_row(row: int | None, leaderboard: str | None) -> tuple[Any, Path | None]:
    """Return the row that is asked for, and the folder of its study if that is here."""
    picked = pick(None, row or 1, leaderboard)
    assert picked.row is not None and picked.path is not None
    study = picked.path.parent
    return picked.row, study if (study / "study.json").exists() else None


def _write_script(
    file: str, row: int | None, leaderboard: str | None, data: str | None, force: bool
) -> None:
    from lightsearch.exporting.scripts import export_script

    found, study = _pick_row(row, leaderboard)
    click.echo(str(export_script(found, file, study=study, data=data, force=force)))


def _epoch_printer(last: int) -> Any:
    def show(result: EpochResult) -> None:
        if result.epoch == 1:
            click.echo("its study is not here: the row is trained again, up to its best epoch")
        click.echo(f"epoch {result.epoch:>2}/{int(last)}  {percent(result.accuracy):>7}")

    return show


_FIELDS = {"image": "path", "class": "label"}  # of a prediction, by the head of its column


@click.command(short_help="Classify images by an exported network.")
@click.argument("net", type=click.Path())
@click.argument("images", type=click.Path())
@click.option(
    "--invert/--no-invert",
    default=None,
    help=(
        "Whether dark and bright are exchanged.  [default: for a network of a named data set, if "
        "the border of a grey image is dark and theirs bright, or the other way round]"
    ),
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
def predict(net: str, images: str, invert: bool | None, as_csv: bool, as_json: bool) -> None:
    """Classify an image file, or all images in a folder, by a network of `lightsearch export`.

    NET is a .onnx, .pt2 or .safetensors. Images are made grey or RGB, padded to the network's
    proportions, resized, and normalised as in training. The probability is the softmax of the
    scores; it is not calibrated. The name of the class is printed, too, if the file has it.

    \b
    lightsearch predict net.onnx digit.png
    lightsearch predict net.onnx scans --no-invert
    lightsearch predict net.onnx scans --csv > classes.csv
    """
    if as_csv and as_json:
        raise click.UsageError("--csv must not be given with --json")
    from lightsearch.exporting.predicting import predict as predict_classes

    predictions = predict_classes(net, images, invert=invert)
    if as_json:
        print_json([{**dataclasses.asdict(one), "path": str(one.path)} for one in predictions])
        return
    if as_csv:
        heads = ["image", "class", "name", "probability", "inverted"]
        print_csv(heads, ([getattr(one, _FIELDS.get(h, h)) for h in heads] for one in predictions))
        return
    has_names = any(one.name not in ("", str(one.label)) for one in predictions)
    heads = ["image", "class", *["name"] * has_names, "probability", ""]
    rows = (
        [
            str(one.path),
            one.label,
            *[one.name] * has_names,
            percent(one.probability),
            "inverted" if one.inverted else "",
        ]
        for one in predictions
    )
    print_table(heads, rows, left=("image", "name", ""))
