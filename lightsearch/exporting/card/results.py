"""The results in a model card: of this run, of the file, and over fresh seeds if there are any."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lightsearch.exporting.finding import Source, find_row
from lightsearch.exporting.trained import TrainedNet, is_held_out
from lightsearch.formatting import percent, plural
from lightsearch.result import load_result
from lightsearch.statistics import MeanInterval, find_mean
from lightsearch.study.figures import describe_images
from lightsearch.study.rows import Row


@dataclass(frozen=True, slots=True)
class History:
    """What a row and its study know beside the record of the weights.

    - `last`: accuracy after the last epoch, on the images that selected. `tested`: on the test
      images, if others selected.
    - `fresh`: the mean over fresh seeds of `confirm`, after the last epoch on `fresh_on`, and how
      the confirmation ended (`outcome`).
    - `trials`, `seed`: of the study; none if it is not here.
    """

    last: float | None = None
    tested: float | None = None
    fresh: MeanInterval | None = None
    fresh_on: str = ""
    outcome: str = ""
    trials: int = 0
    seed: int | None = None


def find_history(source: Source, rank: int, study: str | Path | None) -> History:
    """Return what the row of a source and its study know; nothing for a file of weights."""
    if isinstance(source, str | Path) and Path(source).suffix.lower() == ".safetensors":
        return History()
    row, folder = find_row(source, row=rank, study=study)
    fresh, on = _mean_of_row(row), str(row.get("confirmed_on", ""))
    trials, seed = 0, None
    if folder is not None:
        result = load_result(folder)
        trials = sum(bool(trial.epochs) for trial in result.records)
        seed = result.identity.seed
        found = result.runs.get((str(row["design"]), str(row["recipe"])), ())
        if found:
            fresh, on = find_mean([run[-1].accuracy for run in found]), "test"
    return History(
        _number(row, "last_accuracy"),
        _number(row, "test_accuracy"),
        fresh,
        on,
        str(row.get("confirmation", "") or ""),
        trials,
        seed,
    )


def _number(row: Row, name: str) -> float | None:
    value = float(row.get(name, math.nan) or math.nan)
    return None if math.isnan(value) else value


def _mean_of_row(row: Row) -> MeanInterval | None:
    """Return the mean of a row whose runs are not here, without an interval."""
    count, mean, sd = (_number(row, f"confirmed_{name}") for name in ("n", "mean", "sd"))
    if not count or mean is None:
        return None
    spread = math.nan if sd is None else sd
    return MeanInterval(mean, spread, math.nan, math.nan, int(count), math.nan)


def list_results(
    net: TrainedNet, right: int, total: int, metadata: dict[str, str], history: History
) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each result."""
    images = f"{total:,} {'held-out' if is_held_out(net.record) else 'test'} images"
    checked = metadata.get("checked_by", "the file itself")
    yield "This file", f"{percent(right / total)} of {images}, by {checked}"
    yield "On record", net.record["protocol"]
    if history.last is not None:
        yield "After the last epoch", f"{percent(history.last)} of {images}"
    if history.tested is not None:
        yield "After the last epoch, on the test images", percent(history.tested)
    if history.fresh is not None:
        yield "Fresh seeds", format_fresh(history.fresh, history.fresh_on)
        if history.outcome:
            yield "Confirmation", history.outcome
    else:
        yield "Fresh seeds", "not known" if history.last is None else "not trained"


def format_fresh(fresh: MeanInterval, on: str) -> str:
    """Return the mean over fresh seeds with its interval."""
    text = (
        f"mean {100 * fresh.mean:.3f}% over {plural(fresh.count, 'seed')}, after the last epoch, "
        f"on {describe_images(on)}"
    )
    if math.isfinite(fresh.low):
        low, high = max(fresh.low, 0), min(fresh.high, 1)
        return f"{text}; 95% t interval {100 * low:.3f}% to {100 * high:.3f}%"
    if fresh.sd == fresh.sd:
        return f"{text}; standard deviation {100 * fresh.sd:.3f} points"
    return text


def list_notes(net: TrainedNet, history: History) -> Iterator[str]:
    """Yield sentences on how to read the results."""
    if net.record["selected_on"] == "test":
        yield (
            "The test images picked the design and the epoch, and they give the accuracy. That "
            "flatters: of many runs of equally good designs, the luckiest comes first."
        )
    yield "The accuracy of this file is that of one run with one seed."
    if history.fresh is not None:
        yield (
            "The fresh seeds are other trainings of the design: this file has none of their "
            "weights. Their interval speaks of seeds on these images, not of other images."
        )
    yield "Percentages of one run are rounded down."
